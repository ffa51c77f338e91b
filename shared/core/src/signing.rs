//! How hrefs become addresses that their hosts accept.

use serde::{Deserialize, Serialize};

/// How an href is turned into one that the host accepts. Secrets are no part of it: they belong to whoever fetches.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case", try_from = "String")]
#[non_exhaustive]
pub enum Signing {
    /// The href is fetched as it stands; objects of S3 without credentials.
    #[default]
    None,
    /// Azure blobs get a token of the Planetary Computer, per account and container.
    PlanetaryComputer,
    /// A bearer token goes to the hosts that are named for it.
    Bearer,
    /// A header goes to the hosts that are named for it.
    Header,
    /// A bearer token goes to NASA's Earthdata hosts.
    Earthdata,
    /// Objects of S3 are asked for with our own credentials.
    S3,
    /// As `s3`, and we pay for the requests and the transfer.
    S3RequesterPays,
    /// A program is given the href and gives back another.
    Command,
    /// A Lambda function is given the href and gives back another.
    Lambda,
}

/// A way of signing that does not exist.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "unknown way of signing {0:?}: use none, planetary_computer, bearer, header, earthdata, s3, s3_requester_pays, command or lambda"
)]
pub struct UnknownSigning(String);

impl Signing {
    const ALL: [Self; 9] = [
        Self::None,
        Self::PlanetaryComputer,
        Self::Bearer,
        Self::Header,
        Self::Earthdata,
        Self::S3,
        Self::S3RequesterPays,
        Self::Command,
        Self::Lambda,
    ];

    /// Returns the name used in jobs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::PlanetaryComputer => "planetary_computer",
            Self::Bearer => "bearer",
            Self::Header => "header",
            Self::Earthdata => "earthdata",
            Self::S3 => "s3",
            Self::S3RequesterPays => "s3_requester_pays",
            Self::Command => "command",
            Self::Lambda => "lambda",
        }
    }
}

impl std::fmt::Display for Signing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Signing {
    type Err = UnknownSigning;

    /// Reads a name in any of the spellings in use: `planetary_computer`, `planetary-computer`, `planetarycomputer`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bare = |name: &str| name.replace(['_', '-'], "").to_ascii_lowercase();
        let wanted = bare(text);
        Self::ALL
            .into_iter()
            .find(|signing| bare(signing.as_str()) == wanted)
            .ok_or_else(|| UnknownSigning(text.to_owned()))
    }
}

impl TryFrom<String> for Signing {
    type Error = UnknownSigning;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_has_one_name_in_jobs_and_on_the_command_line() {
        for signing in Signing::ALL {
            assert_eq!(signing.as_str().parse(), Ok(signing));
            let json = serde_json::to_string(&signing).unwrap();
            assert_eq!(json, format!("\"{signing}\""));
        }
        assert!("password".parse::<Signing>().is_err());
        for spelling in [
            "planetary_computer",
            "planetary-computer",
            "PlanetaryComputer",
        ] {
            assert_eq!(spelling.parse(), Ok(Signing::PlanetaryComputer));
            let json = serde_json::json!(spelling);
            let read: Signing = serde_json::from_value(json).unwrap();
            assert_eq!(read, Signing::PlanetaryComputer);
        }
    }
}
