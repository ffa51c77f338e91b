//! The arguments of `swath download`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use swath_cloud::fetch::{FetchPolicy, Parts};
use swath_cloud::retry::Policy;
use swath_cloud::sign::{Access, Buckets, Hosts};
use swath_core::template::NameTemplate;
use swath_core::{Level, Redacted, Signing};
use url::Url;

/// The arguments of `swath download`.
#[derive(Debug, Args)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "the flags of a command line are each its own"
)]
pub struct DownloadArgs {
    /// Rows with `item_id` and `asset_name`, and where they are known `href`, `collection`, `catalog`, `datetime`,
    /// `item_bbox`, `asset_type`, `file_size`, `file_checksum` and `alternate_hrefs`, a list of other places to try: Parquet,
    /// CSV or NDJSON; `-` reads standard input.
    #[arg(value_name = "ROWS", default_value = "-")]
    pub rows: PathBuf,
    /// Asset keys to download, separated by commas; all that the rows name when left out.
    #[arg(long, value_name = "K1,K2", value_delimiter = ',')]
    pub asset_names: Vec<String>,
    /// Where the files go: a folder or `s3://bucket/prefix`.
    #[arg(long, value_name = "DIR")]
    pub out_dir: String,
    /// The lake whose `swath.asset_files` gets a row an outcome; the folder of files itself when left out.
    #[arg(long, value_name = "DIR")]
    pub lake: Option<PathBuf>,
    /// How files are named: any of `{catalog} {collection} {item_id} {asset_name} {ext} {year} {month} {day} {h3:N} {hash8}`;
    /// `{collection}/{item_id}/{asset_name}{ext}` when left out.
    #[arg(long, value_name = "TEMPLATE")]
    pub name: Option<NameTemplate>,
    /// What to do when two assets come to one name.
    #[arg(long, value_enum, default_value_t = OnCollision::Refuse)]
    pub on_collision: OnCollision,
    /// The STAC API of rows that name none; asked for hrefs that are absent or gone.
    #[arg(long, value_name = "URL")]
    pub catalog: Option<Url>,
    /// How far each file's wholeness is proven: none, size, structure, window or full.
    #[arg(long, value_name = "LEVEL", default_value = "window")]
    pub validate: Level,
    /// End at the first asset that cannot be had.
    #[arg(long)]
    pub fail_fast: bool,
    /// Say what would be asked for, and ask for nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Fetch again what an earlier run found broken for good.
    #[arg(long)]
    pub retry_refused: bool,
    /// Write the items of the files that are there now, one a line: `href` leads to the file, `file:size` and
    /// `file:checksum` are the file's, `alternate` says where it came from.
    #[arg(long, value_name = "FILE")]
    pub write_items: Option<PathBuf>,
    /// Where those items are, separated by commas: NDJSON, JSON, collections of items or GeoParquet. Items that are in none of
    /// them are asked of their catalog.
    #[arg(
        long,
        value_name = "F1,F2",
        value_delimiter = ',',
        requires = "write_items"
    )]
    pub items: Vec<PathBuf>,
    /// How files are fetched.
    #[command(flatten)]
    pub fetch: FetchArgs,
    /// One JSON object a line on standard output instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// What to do when two assets come to one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnCollision {
    /// Name the two and fetch nothing.
    Refuse,
    /// Add eight hex digits to the names that collide.
    Hash,
}

/// How files are fetched.
#[derive(Clone, Debug, Args)]
pub struct FetchArgs {
    /// Downloads at a time.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrency: u16,
    /// Parts of one file that are fetched at a time where 64 MiB or more are left of it; 1 fetches each over one connection.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub parts: u8,
    /// Requests for one file at most.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub max_tries: u32,
    /// Bytes that one file may have.
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 30)]
    pub largest_file: u64,
    /// Fetch over http too, not only https. Hosts of this machine and its networks may always use it.
    #[arg(long)]
    pub allow_http: bool,
    /// How hrefs are signed: `none`, `planetary_computer`, `bearer`, `header`, `earthdata`, `s3`, `s3_requester_pays`,
    /// `command:PROG` or `lambda:ARN`.
    #[arg(long, value_name = "HOW", default_value = "none")]
    pub sign: SignArg,
    /// The Planetary Computer's subscription key.
    #[arg(long, env = "SWATH_PC_KEY", hide = true, hide_env_values = true)]
    pub pc_key: Option<Secret>,
    /// The token for `bearer`.
    #[arg(long, env = "SWATH_BEARER_TOKEN", hide = true, hide_env_values = true)]
    pub bearer_token: Option<Secret>,
    /// The header for `header`.
    #[arg(long, env = "SWATH_AUTH_HEADER", hide = true, hide_env_values = true)]
    pub auth_header: Option<Secret>,
    /// The token for `earthdata`.
    #[arg(
        long,
        env = "SWATH_EARTHDATA_TOKEN",
        hide = true,
        hide_env_values = true
    )]
    pub earthdata_token: Option<Secret>,
    /// Hosts that may see the token or header, separated by commas; `.example.com` means all below it.
    #[arg(
        long,
        env = "SWATH_AUTH_HOSTS",
        value_name = "HOSTS",
        value_delimiter = ','
    )]
    pub auth_hosts: Vec<String>,
}

/// A secret on the command line or, better, in the environment; `Debug` does not show it.
#[derive(Clone, Debug)]
pub struct Secret(pub(crate) Redacted<String>);

impl std::str::FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(Redacted::new(text.to_owned())))
    }
}

/// A way of signing, and the program or function if it is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignArg {
    /// The way.
    pub signing: Signing,
    /// The program for `command`.
    pub command: Option<PathBuf>,
    /// The ARN of the function for `lambda`.
    pub lambda: Option<String>,
}

/// A way of signing that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignArgError {
    /// There is no such way.
    #[error(transparent)]
    Unknown(#[from] swath_core::UnknownSigning),
    /// `command` without a program.
    #[error("command needs a program: command:PROG")]
    NoProgram,
    /// `lambda` without a function.
    #[error("lambda needs a function: lambda:ARN")]
    NoFunction,
}

impl std::str::FromStr for SignArg {
    type Err = SignArgError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, rest) = text.split_once(':').unwrap_or((text, ""));
        let given = (!rest.is_empty()).then(|| rest.to_owned());
        let sign = |signing| Self {
            signing,
            command: None,
            lambda: None,
        };
        match (name.parse()?, given) {
            (Signing::Command, Some(program)) => Ok(Self {
                command: Some(program.into()),
                ..sign(Signing::Command)
            }),
            (Signing::Lambda, Some(arn)) => Ok(Self {
                lambda: Some(arn),
                ..sign(Signing::Lambda)
            }),
            (Signing::Command, None) => Err(SignArgError::NoProgram),
            (Signing::Lambda, None) => Err(SignArgError::NoFunction),
            (signing, None) => Ok(sign(signing)),
            (_, Some(_)) => text.parse().map(sign).map_err(SignArgError::from),
        }
    }
}

impl FetchArgs {
    /// Returns what may be fetched from the open internet; from this machine and its networks when `at_home`.
    pub(crate) fn policy(&self, at_home: bool) -> FetchPolicy {
        FetchPolicy {
            allow_http: self.allow_http || at_home,
            allow_file: at_home,
            allow_private_hosts: at_home,
            max_size_bytes: self.largest_file,
            parts: Parts {
                at_once: self.parts.into(),
                ..Parts::default()
            },
            retry: Policy {
                attempts: self.max_tries,
                ..Policy::default()
            },
            ..FetchPolicy::default()
        }
    }

    /// Returns the secrets at hand.
    pub(crate) fn access(&self) -> Access {
        let secret = |given: &Option<Secret>| given.as_ref().map(|secret| secret.0.clone());
        Access {
            planetary_computer_key: secret(&self.pc_key),
            bearer_token: secret(&self.bearer_token),
            header: secret(&self.auth_header),
            hosts: Hosts::new(&self.auth_hosts),
            earthdata_token: secret(&self.earthdata_token),
            // The credentials are the user's own, and so is the disk.
            buckets: Buckets::Any,
            command: self.sign.command.clone(),
            lambda: self.sign.lambda.clone(),
        }
    }
}
