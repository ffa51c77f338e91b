//! How each bucket of others is reached: its region, its endpoint, whether requests are signed, who pays.

use std::collections::BTreeMap;
use std::str::FromStr;

/// How one bucket is reached; the environment says the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketAccess {
    /// Requests are not signed: the bucket is public.
    pub unsigned: bool,
    /// The requester pays.
    pub requester_pays: bool,
    /// Its region; asked of the service when absent.
    pub region: Option<String>,
    /// The address of the service.
    pub endpoint: Option<String>,
    /// A folder that stands for the bucket: a copy of it, or a mount.
    pub folder: Option<String>,
    /// A file of two or three lines, `access_key_id`, `secret_access_key` and perhaps `session_token`, each `name=value`.
    pub credentials: Option<String>,
}

/// How buckets are reached, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketAccesses {
    named: BTreeMap<String, BucketAccess>,
    /// For buckets that are not named.
    pub other: BucketAccess,
}

/// A text that says of no bucket how it is reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} does not say how a bucket is reached: use NAME=unsigned, NAME=requester-pays, NAME=region:REGION, \
     NAME=endpoint:URL, NAME=folder:PATH or NAME=credentials:FILE, several separated by commas"
)]
pub struct AccessError {
    text: String,
}

impl BucketAccesses {
    /// Takes what is said of one bucket: `NAME=WORD,WORD`.
    ///
    /// # Errors
    /// When a word is none that we know.
    pub fn add(&mut self, text: &str) -> Result<(), AccessError> {
        let unknown = || AccessError {
            text: text.to_owned(),
        };
        let (name, words) = text.split_once('=').ok_or_else(unknown)?;
        let (name, access) = (name.trim(), self.named.entry(name.trim().to_owned()));
        if name.is_empty() {
            return Err(unknown());
        }
        let access = access.or_default();
        for word in words.split(',').map(str::trim) {
            match word.split_once(':').map_or((word, ""), |pair| pair) {
                ("unsigned", "") => access.unsigned = true,
                ("requester-pays", "") => access.requester_pays = true,
                ("region", value) if !value.is_empty() => access.region = Some(value.to_owned()),
                ("endpoint", value) if !value.is_empty() => {
                    access.endpoint = Some(value.to_owned());
                }
                ("folder", value) if !value.is_empty() => access.folder = Some(value.to_owned()),
                ("credentials", value) if !value.is_empty() => {
                    access.credentials = Some(value.to_owned());
                }
                _ => return Err(unknown()),
            }
        }
        Ok(())
    }

    /// Returns how a bucket is reached.
    pub fn of(&self, bucket: &str) -> &BucketAccess {
        self.named.get(bucket).unwrap_or(&self.other)
    }
}

impl FromStr for BucketAccesses {
    type Err = AccessError;

    /// Takes what is said of several buckets, separated by semicolons.
    fn from_str(text: &str) -> Result<Self, AccessError> {
        let mut accesses = Self::default();
        for one in text.split(';').filter(|one| !one.trim().is_empty()) {
            accesses.add(one.trim())?;
        }
        Ok(accesses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bucket_is_reached_its_own_way() {
        let text = "a=unsigned,region:us-west-2; b=folder:/mnt/b,requester-pays ;c=endpoint:http://h:9000/x";
        let accesses: BucketAccesses = text.parse().unwrap();
        assert!(accesses.of("a").unsigned && !accesses.of("b").unsigned);
        assert_eq!(accesses.of("a").region.as_deref(), Some("us-west-2"));
        assert_eq!(accesses.of("b").folder.as_deref(), Some("/mnt/b"));
        assert_eq!(
            accesses.of("c").endpoint.as_deref(),
            Some("http://h:9000/x")
        );
        assert_eq!(accesses.of("d"), &BucketAccess::default());
    }

    #[test]
    fn a_word_that_is_none_is_named() {
        for text in [
            "a",
            "=unsigned",
            "a=",
            "a=unsined",
            "a=region:",
            "a=unsigned,x",
        ] {
            let error = text.parse::<BucketAccesses>().unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}
