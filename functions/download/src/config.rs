//! Everything this function reads from its environment.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use swath_cloud::sign::{Access, Buckets, Hosts};
use swath_core::Redacted;
use swath_lambda::MAX_RECEIVES;
use swath_lambda::env::{Env, EnvError};

/// Where the open archives keep their files: what a deployment fetches from when it names no hosts of its own.
const ARCHIVES: [&str; 8] = [
    ".amazonaws.com",
    ".blob.core.windows.net",
    ".copernicus.eu",
    ".earthdata.nasa.gov",
    ".earthdatacloud.nasa.gov",
    ".source.coop",
    ".usgs.gov",
    "storage.googleapis.com",
];
/// What stands for any host.
const ANY: &str = "*";

/// The settings of one deployment.
#[derive(Clone, Debug)]
pub struct Config {
    /// `SWATH_LAKE`: the lake's base, for receipts, large messages and quarantine: `s3://bucket/prefix` or a folder.
    pub lake: String,
    /// `SWATH_OUT`: where assets are published: `s3://bucket/prefix` or a folder.
    pub out: String,
    /// `SWATH_WRITE_QUEUE`: where outcomes go, as rows: an SQS queue URL or `file:///folder`.
    pub write_queue: String,
    /// `SWATH_STAGING`: where files grow until they are published, unless `SWATH_OUT` is a folder itself.
    pub staging: PathBuf,
    /// `SWATH_LARGEST_FILE`: bytes that one file may have; as many as messages at once must fit into `SWATH_STAGING`.
    pub largest_file: u64,
    /// `SWATH_ALLOW_HTTP`: whether `http` is fetched beside `https`.
    pub allow_http: bool,
    /// `SWATH_ALLOW_PRIVATE_HOSTS`: whether hosts outside the open internet, and ports other than the web's, are fetched from.
    pub allow_private_hosts: bool,
    /// `SWATH_ASSET_HOSTS`: the only hosts that are fetched from, separated by commas; `*` for any. By default those of the
    /// open archives, and any where private ones are allowed.
    pub hosts: Hosts,
    /// `SWATH_MAX_RECEIVES`: deliveries of one message, after which its queue gives it up: then a failure becomes a row.
    pub max_receives: NonZeroU32,
    /// `SWATH_PC_KEY`, `SWATH_BEARER_TOKEN`, `SWATH_AUTH_HEADER`, `SWATH_AUTH_HOSTS`, `SWATH_EARTHDATA_TOKEN`,
    /// `SWATH_SIGN_LAMBDA` and `SWATH_S3_BUCKETS`: what signs hrefs, and for which hosts and buckets, separated by commas.
    pub access: Access,
    /// `SWATH_CONCURRENCY`: messages worked on at once.
    pub concurrency: NonZeroUsize,
    /// `SWATH_TIME_NEEDED`: no message is started with fewer seconds left.
    pub time_needed: Duration,
}

impl Config {
    /// Reads the environment, once, at cold start.
    ///
    /// # Errors
    /// When a setting is missing or makes no sense.
    pub fn from_env() -> Result<Self, EnvError> {
        Self::read(&Env::of_process())
    }

    fn read(env: &Env) -> Result<Self, EnvError> {
        Ok(Self {
            lake: env.required("SWATH_LAKE")?,
            out: env.required("SWATH_OUT")?,
            write_queue: env.required("SWATH_WRITE_QUEUE")?,
            staging: env.or("SWATH_STAGING", PathBuf::from("/tmp"))?,
            largest_file: env.or("SWATH_LARGEST_FILE", 1 << 30)?,
            allow_http: env.or("SWATH_ALLOW_HTTP", false)?,
            allow_private_hosts: env.or("SWATH_ALLOW_PRIVATE_HOSTS", false)?,
            hosts: hosts(env)?,
            max_receives: env.or("SWATH_MAX_RECEIVES", MAX_RECEIVES)?,
            access: access(env)?,
            concurrency: env.count("SWATH_CONCURRENCY", 4)?,
            time_needed: env.seconds("SWATH_TIME_NEEDED", 60)?,
        })
    }
}

fn hosts(env: &Env) -> Result<Hosts, EnvError> {
    let named: Option<String> = env.optional("SWATH_ASSET_HOSTS")?;
    let anywhere = env.or("SWATH_ALLOW_PRIVATE_HOSTS", false)?;
    Ok(match named.as_deref().map(str::trim) {
        Some(ANY) => Hosts::default(),
        Some(named) => Hosts::new(named.split(',')),
        None if anywhere => Hosts::default(),
        None => Hosts::new(ARCHIVES),
    })
}

fn access(env: &Env) -> Result<Access, EnvError> {
    let secret = |name| Ok(env.optional::<String>(name)?.map(Redacted::new));
    let names = |name| Ok(env.optional::<String>(name)?.unwrap_or_default());
    let hosts: String = names("SWATH_AUTH_HOSTS")?;
    let buckets: String = names("SWATH_S3_BUCKETS")?;
    let buckets = buckets.split(',').map(str::trim);
    Ok(Access {
        planetary_computer_key: secret("SWATH_PC_KEY")?,
        bearer_token: secret("SWATH_BEARER_TOKEN")?,
        header: secret("SWATH_AUTH_HEADER")?,
        hosts: Hosts::new(hosts.split(',')),
        earthdata_token: secret("SWATH_EARTHDATA_TOKEN")?,
        buckets: Buckets::Named(buckets.map(str::to_owned).collect()),
        command: None,
        lambda: env.optional("SWATH_SIGN_LAMBDA")?,
    })
}

#[cfg(test)]
mod tests {
    use swath_cloud::fetch::testing::say;

    use super::*;

    /// S8.
    #[test]
    fn only_the_open_archives_are_fetched_from_unless_others_are_named() {
        let hosts = |more: &[(&'static str, &'static str)]| {
            let needed = [
                ("SWATH_LAKE", "s3://lake/a"),
                ("SWATH_OUT", "s3://assets/a"),
                ("SWATH_WRITE_QUEUE", "https://sqs.example/1/write"),
            ];
            let given = needed.into_iter().chain(more.iter().copied());
            Config::read(&Env::of(given)).unwrap().hosts
        };
        let archives = hosts(&[]);
        for host in [
            "sentinel-cogs.s3.us-west-2.amazonaws.com",
            "s3.amazonaws.com",
            "sentinel2l2a01.blob.core.windows.net",
            "landsatlook.usgs.gov",
            "data.lpdaac.earthdatacloud.nasa.gov",
        ] {
            assert!(archives.have(host), "{host}");
        }
        let strangers = [
            "example.com",
            "amazonaws.com.example.com",
            "evilamazonaws.com",
            "xblob.core.windows.net",
            "169.254.169.254",
            "localhost",
        ];
        let let_in = strangers.iter().filter(|host| archives.have(host)).count();
        say("S8", "6 hosts that nobody named", "0 let in", let_in);
        assert_eq!(let_in, 0);
        let own = hosts(&[("SWATH_ASSET_HOSTS", "tiles.example.com")]);
        assert!(own.have("tiles.example.com") && !own.have("s3.amazonaws.com"));
        // No list means any.
        assert!(hosts(&[("SWATH_ASSET_HOSTS", "*")]).is_empty());
        assert!(hosts(&[("SWATH_ALLOW_PRIVATE_HOSTS", "true")]).is_empty());
    }

    #[test]
    fn nothing_unsafe_is_allowed_unless_asked_for() {
        let needed = [
            ("SWATH_LAKE", "s3://lake/a"),
            ("SWATH_OUT", "s3://assets/a"),
            ("SWATH_WRITE_QUEUE", "https://sqs.example/1/write"),
        ];
        let config = Config::read(&Env::of(needed)).unwrap();
        assert!(!config.allow_http && !config.allow_private_hosts);
        let asked = [("SWATH_ALLOW_HTTP", "true")];
        let config = Config::read(&Env::of(needed.into_iter().chain(asked))).unwrap();
        assert!(config.allow_http && !config.allow_private_hosts);
        assert_eq!(config.access.buckets, Buckets::Named(vec![String::new()]));
        let secret = [("SWATH_BEARER_TOKEN", "canary")];
        let config = Config::read(&Env::of(needed.into_iter().chain(secret))).unwrap();
        assert!(!format!("{config:?}").contains("canary"));
        let unclear = [("SWATH_ALLOW_HTTP", "yes please")];
        assert!(Config::read(&Env::of(needed.into_iter().chain(unclear))).is_err());
    }
}
