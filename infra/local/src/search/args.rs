//! The arguments of `swath search`, named as pystac-client and rustac name them.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;
use swath_core::{AssetChoice, Headers, Job};
use url::Url;

use crate::download::{Secret, SignArg};

/// The catalog that is searched when none is named.
const PLANETARY_COMPUTER: &str = "https://planetarycomputer.microsoft.com/api/stac/v1";

/// The arguments of `swath search`.
#[derive(Debug, Args)]
pub struct SearchArgs {
    /// The STAC API's landing page.
    #[arg(value_name = "URL", default_value = PLANETARY_COMPUTER)]
    pub catalog: Url,
    /// Areas of interest, one search each: GeoJSON, GeoJSON text sequence, NDJSON, CSV, Parquet; a file, a folder, an s3://
    /// address, or `-` for standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["intersects", "bbox"])]
    pub aois: Option<String>,
    /// The column of a CSV or Parquet file that holds the geometry: GeoJSON, WKT, WKB or H3 cells.
    #[arg(long, value_name = "COLUMN", requires = "aois")]
    pub geojson_col: Option<String>,
    /// One area: a GeoJSON geometry or Feature, or `@FILE` that holds it.
    #[arg(long, value_name = "JSON", conflicts_with = "bbox")]
    pub intersects: Option<String>,
    /// One area: west,south,east,north; a west that is larger than its east crosses the antimeridian.
    #[arg(
        long,
        value_name = "W,S,E,N",
        value_delimiter = ',',
        allow_hyphen_values = true
    )]
    pub bbox: Vec<f64>,
    /// Collections to search, separated by commas; all of them when left out.
    #[arg(short, long, value_name = "A,B", value_delimiter = ',')]
    pub collections: Vec<String>,
    /// Ids of the items to search for, separated by commas.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub ids: Vec<String>,
    /// An instant or interval: `2024`, `2024-06`, `2024-06-01/2024-08-31`, `2024-06-01T00:00:00Z/..`.
    #[arg(long, value_name = "RANGE")]
    pub datetime: Option<String>,
    /// A CQL2 filter, as JSON or as text.
    #[arg(long, value_name = "CQL2")]
    pub filter: Option<String>,
    /// What properties must be like, as JSON of the query extension.
    #[arg(long, value_name = "JSON")]
    pub query: Option<String>,
    /// Fields to sort by, separated by commas, a `-` before those that fall.
    #[arg(
        long,
        value_name = "A,-B",
        value_delimiter = ',',
        allow_hyphen_values = true
    )]
    pub sortby: Vec<String>,
    /// Members of each item to be served, separated by commas, a `-` before those to be left out.
    #[arg(
        long,
        value_name = "A,-B",
        value_delimiter = ',',
        allow_hyphen_values = true
    )]
    pub fields: Vec<String>,
    /// A header for the catalog's server, such as `X-Api-Key=…`; may be given many times.
    #[arg(long, value_name = "NAME=VALUE")]
    pub headers: Vec<String>,
    /// Assets to make rows of, separated by commas: keys, patterns (`B0*`), `role:data`, `type:image/tiff*`.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub assets: Vec<String>,
    /// Write hrefs that can be opened for as long as their signatures last, instead of those of the catalog. What cannot be
    /// signed is named and left as it is (exit code 7).
    #[arg(long)]
    pub sign_hrefs: bool,
    /// How `--sign-hrefs` signs: `planetary_computer` (Azure blobs get a token, all else is left as it is), `command:PROG`,
    /// `lambda:ARN`, `none`.
    #[arg(long, value_name = "HOW", default_value = "planetary_computer")]
    pub sign: SignArg,
    /// The Planetary Computer's subscription key.
    #[arg(long, env = "SWATH_PC_KEY", hide = true, hide_env_values = true)]
    pub pc_key: Option<Secret>,
    /// Items per page.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
    /// Items per area at most.
    #[arg(long, value_name = "N")]
    pub max_items: Option<u64>,
    /// Where the result goes; the name says what: `rows.*` or `items.*`, `.ndjson`, `.parquet`, or `.geojson` (items).
    /// Items as NDJSON on standard output when left out.
    #[arg(long, value_name = "FILE", visible_alias = "save")]
    pub to: Option<PathBuf>,
    /// Say how many items match, and search no further.
    #[arg(long)]
    pub matched: bool,
    /// Say how many requests, items, assets and bytes it would be, by the first page of each area.
    #[arg(long)]
    pub dry_run: bool,
    /// Where to say what was asked and what came of it, so that the result can be cited and asked for again.
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    /// Searches at a time; the server's own pace bounds them further.
    #[arg(long, value_name = "N", default_value_t = 4, visible_alias = "partitions", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub searches: u16,
    /// Ask once per cell for areas that lie together, and match items to areas here; on by default over 100 areas.
    #[arg(long, value_name = "yes|no", num_args = 0..=1, default_missing_value = "yes", value_parser = yes_or_no)]
    pub coalesce: Option<bool>,
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        _ => Err("use yes or no".to_owned()),
    }
}

/// An argument that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArgumentError {
    /// JSON that is none.
    #[error("--{flag} is not JSON")]
    Json {
        /// The flag.
        flag: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A header without a value; what was given is not shown.
    #[error("a header of --headers is not NAME=VALUE")]
    Header,
    /// A result of an unknown kind.
    #[error(
        "--to {0:?}: use a name such as items.ndjson, items.geojson, items.parquet, rows.ndjson or rows.parquet"
    )]
    To(PathBuf),
    /// A way of signing that goes along with a request, not into an href.
    #[error(
        "--sign {0}: its secret cannot stand in an href; use planetary_computer, command:PROG, lambda:ARN or none"
    )]
    Sign(swath_core::Signing),
}

impl SearchArgs {
    /// Makes the job of the arguments.
    pub(super) fn job(&self) -> Result<Job, ArgumentError> {
        let json = |flag, text: &str| {
            serde_json::from_str(text).map_err(|source| ArgumentError::Json { flag, source })
        };
        let filter = match self.filter.as_deref().map(str::trim) {
            Some(text) if text.starts_with('{') => Some(json("filter", text)?),
            text => text.map(Value::from),
        };
        let query = self.query.as_deref().map(|text| {
            serde_json::from_str(text).map_err(|source| ArgumentError::Json {
                flag: "query",
                source,
            })
        });
        let headers = self.headers.iter().map(|header| {
            let (name, value) = header.split_once('=').ok_or(ArgumentError::Header)?;
            Ok((name.trim().to_owned(), value.to_owned()))
        });
        Ok(Job {
            collections: self.collections.clone(),
            datetime: self.datetime.clone(),
            ids: self.ids.clone(),
            filter,
            query: query.transpose()?,
            sortby: self.sortby.clone(),
            fields: self.fields.clone(),
            headers: Headers::new(headers.collect::<Result<Vec<_>, _>>()?),
            assets: AssetChoice::keys(self.assets.clone()),
            limit: self.limit,
            max_items: self.max_items,
            download: false,
            ..Job::new(self.catalog.clone())
        })
    }
}
