//! What is asked of a run, whatever its areas.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use crate::{AssetChoice, Level, Signing};

/// What is asked of every area of a run: which scenes, which of their assets, where to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// The STAC API's landing page.
    pub catalog: Url,
    /// Collections to search; all of them when empty.
    #[serde(default)]
    pub collections: Vec<String>,
    /// An instant or interval as STAC APIs take it (`2024-06-01/2024-08-31`); any time when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datetime: Option<String>,
    /// Ids of the items to search for; any when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
    /// A CQL2 filter: an object is CQL2 JSON and goes by POST, or as text to an API that takes none; text is CQL2 text and goes by
    /// GET, or by POST when it is too long for an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Value>,
    /// What properties must be like, in the older words of the query extension: `{"eo:cloud_cover": {"lt": 10}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<Map<String, Value>>,
    /// Fields to sort by, a `-` before those that fall: `-properties.datetime`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sortby: Vec<String>,
    /// Members of each item to be served, a `-` before those to be left out. Such items are not catalogued: they are parts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// HTTP headers for the catalog's own server, such as an API key.
    #[serde(default, skip_serializing_if = "Headers::is_empty")]
    pub headers: Headers,
    /// Which assets of each item are wanted.
    #[serde(default)]
    pub assets: AssetChoice,
    /// Items asked for per page.
    #[serde(default = "default_limit")]
    pub limit: u32,
    /// Items taken per area at most; all of them when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_items: Option<u64>,
    /// How hrefs are signed before they are fetched.
    #[serde(default)]
    pub sign: Signing,
    /// How far each file's wholeness is proven.
    #[serde(default)]
    pub validate: Level,
    /// Whether assets are downloaded, or only found and catalogued.
    #[serde(default = "yes")]
    pub download: bool,
    /// Whether assets that were refused for good are fetched again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retry_refused: bool,
}

fn default_limit() -> u32 {
    100
}

fn yes() -> bool {
    true
}

impl Job {
    /// Asks for everything that the catalog at `catalog` has.
    pub fn new(catalog: Url) -> Self {
        Self {
            catalog,
            collections: Vec::new(),
            datetime: None,
            ids: Vec::new(),
            filter: None,
            query: None,
            sortby: Vec::new(),
            fields: Vec::new(),
            headers: Headers::default(),
            assets: AssetChoice::default(),
            limit: default_limit(),
            max_items: None,
            sign: Signing::None,
            validate: Level::default(),
            download: true,
            retry_refused: false,
        }
    }
}

/// HTTP headers whose `Debug` shows their names alone, for their values may be secrets.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Headers(BTreeMap<String, String>);

impl Headers {
    /// Takes names and values.
    pub fn new(headers: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(headers.into_iter().collect())
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns names and values, for the requests that carry them.
    pub fn expose(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl std::fmt::Debug for Headers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_of_one_line_has_the_defaults() {
        let job: Job = serde_json::from_str(r#"{"catalog":"https://stac.example/v1/"}"#).unwrap();
        assert_eq!(job, Job::new("https://stac.example/v1/".parse().unwrap()));
        let text = serde_json::to_string(&job).unwrap();
        assert!(
            !text.contains("filter") && !text.contains("headers"),
            "{text}"
        );
    }

    #[test]
    fn the_values_of_headers_are_not_printed() {
        let mut job = Job::new("https://stac.example/".parse().unwrap());
        job.headers = Headers::new([("X-Key".to_owned(), "canary".to_owned())]);
        let shown = format!("{job:?}");
        assert!(
            shown.contains("X-Key") && !shown.contains("canary"),
            "{shown}"
        );
    }

    #[test]
    fn a_misspelt_parameter_is_refused() {
        let text = r#"{"catalog":"https://stac.example/","colections":["a"]}"#;
        let error = serde_json::from_str::<Job>(text).unwrap_err().to_string();
        assert!(error.contains("colections"), "{error}");
    }
}
