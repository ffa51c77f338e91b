//! The arguments of the commands that talk to a deployment.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use swath_core::{Level, RunId};
use url::Url;

/// What to do with a deployment; `AWS_ENDPOINT_URL` says that it is on an emulator.
#[derive(Debug, Subcommand)]
pub(crate) enum AwsCommand {
    /// Start an emulator of AWS on loopback and deploy the functions to it.
    Up(UpArgs),
    /// End the emulator that `swath up` started; what it held is gone.
    Down(DownArgs),
    /// Deploy the functions to AWS, or change a deployment.
    Deploy(DeployArgs),
    /// Upload areas of interest to a deployment, which searches, fetches and catalogs them.
    Submit(SubmitArgs),
    /// Say what waits in a deployment's queues and what its tables hold, or how far one run has come.
    Status(StatusArgs),
    /// See and send again what a deployment has given up on.
    Dlq(DeadLettersArgs),
    /// Say whether a deployment can be reached and whether its lake can be committed to.
    Doctor(DoctorArgs),
}

/// The arguments of `swath up`.
#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// The emulator's port on 127.0.0.1.
    #[arg(long, value_name = "N", default_value_t = 4566)]
    pub(crate) port: u16,
    /// The region that the emulator is taken to be.
    #[arg(long, value_name = "REGION", default_value = "eu-west-1")]
    pub(crate) region: String,
    /// What is common to the commands that deploy.
    #[command(flatten)]
    pub(crate) how: PackageArgs,
}

/// The arguments of `swath down`.
#[derive(Debug, Args)]
pub(crate) struct DownArgs {
    /// The folder that `swath up` was given.
    #[arg(long, value_name = "DIR", default_value = ".swath")]
    pub(crate) state: PathBuf,
}

/// The arguments of `swath deploy`.
#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    /// Take the stack away instead; buckets and what is in them stay.
    #[arg(long)]
    pub(crate) delete: bool,
    /// What is common to the commands that deploy.
    #[command(flatten)]
    pub(crate) how: PackageArgs,
}

/// How functions come to be, and what they are deployed as.
#[derive(Debug, Args)]
pub(crate) struct PackageArgs {
    /// Where tools are installed once, and where the emulator keeps its own.
    #[arg(long, value_name = "DIR", default_value = ".swath")]
    pub(crate) state: PathBuf,
    /// A folder with `NAME/bootstrap` for each function; without it, they are built from the checkout in this folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) functions: Option<PathBuf>,
    /// A parameter of the template; may be given again.
    #[arg(long = "parameter", value_name = "KEY=VALUE", value_parser = parameter)]
    pub(crate) parameters: Vec<String>,
    /// The deployment's name, the template's parameter `Name`.
    #[arg(long, value_name = "NAME", default_value = "swath")]
    pub(crate) name: String,
}

fn parameter(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some(("Name", _)) => Err("the name is given by --name".to_owned()),
        Some((key, _)) if !key.is_empty() => Ok(text.to_owned()),
        _ => Err("not KEY=VALUE".to_owned()),
    }
}

/// The arguments of `swath submit`.
#[derive(Debug, Args)]
pub(crate) struct SubmitArgs {
    /// Areas of interest: GeoJSON, GeoJSON text sequence, NDJSON, CSV, Parquet; a file, a folder of them, an s3:// address, or
    /// `-` for standard input. `{"job": …, "areas": …}` needs no `--catalog`.
    #[arg(value_name = "FILE")]
    pub(crate) file: String,
    /// The column of a CSV or Parquet file that holds the geometry: GeoJSON, WKT, WKB or H3 cells.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) geojson_col: Option<String>,
    /// The STAC API's landing page.
    #[arg(long, value_name = "URL")]
    pub(crate) catalog: Option<Url>,
    /// Collections to search, separated by commas; all of them when left out.
    #[arg(long, value_name = "A,B", value_delimiter = ',', requires = "catalog")]
    pub(crate) collections: Vec<String>,
    /// An instant or interval: `2024`, `2024-06`, `2024-06-01/2024-08-31`.
    #[arg(long, value_name = "RANGE", requires = "catalog")]
    pub(crate) datetime: Option<String>,
    /// Asset keys to download, separated by commas; all of them when left out.
    #[arg(
        long,
        value_name = "K1,K2",
        value_delimiter = ',',
        requires = "catalog"
    )]
    pub(crate) assets: Vec<String>,
    /// How far each file's wholeness is proven: none, size, structure, window or full.
    #[arg(long, value_name = "LEVEL", default_value = "window")]
    pub(crate) validate: Level,
    /// Items per area at most.
    #[arg(long, value_name = "N", requires = "catalog")]
    pub(crate) max_items: Option<u64>,
    /// Find and catalog items, download nothing.
    #[arg(long, requires = "catalog")]
    pub(crate) no_download: bool,
    /// Follow the run: say how far it has come on standard error, until every area is searched and no queue has had a message
    /// for some seconds; then what became of it.
    #[arg(long)]
    pub(crate) wait: bool,
    /// One JSON object on standard output.
    #[arg(long)]
    pub(crate) json: bool,
    /// Which deployment.
    #[command(flatten)]
    pub(crate) deployment: DeploymentArgs,
}

/// The arguments of `swath status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Say how far this run has come instead: its areas, items and assets. Reads both tables of assets whole.
    #[arg(value_name = "RUN", value_parser = run_id)]
    pub(crate) run: Option<RunId>,
    /// One JSON object on standard output.
    #[arg(long)]
    pub(crate) json: bool,
    /// Which deployment.
    #[command(flatten)]
    pub(crate) deployment: DeploymentArgs,
}

fn run_id(text: &str) -> Result<RunId, String> {
    if text.is_empty() {
        return Err("a run has an id".to_owned());
    }
    Ok(RunId::new(text))
}

/// The arguments of `swath dlq`.
#[derive(Debug, Args)]
pub(crate) struct DeadLettersArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: DeadLettersCommand,
    /// One JSON object a line on standard output.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Which deployment.
    #[command(flatten)]
    pub(crate) deployment: DeploymentArgs,
}

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// Count them, function by function.
    List,
    /// Show them one by one, and where their failures are logged; they stay where they are.
    Explain(ChosenArgs),
    /// Send them to their function again.
    Replay(ChosenArgs),
}

/// Which dead letters.
#[derive(Debug, Args)]
pub(crate) struct ChosenArgs {
    /// Of this function only.
    #[arg(long, value_name = "NAME")]
    pub(crate) function: Option<Function>,
    /// Of this run only.
    #[arg(long, value_name = "ID")]
    pub(crate) run: Option<String>,
    /// As many at most.
    #[arg(long, value_name = "N")]
    pub(crate) max: Option<usize>,
}

/// The arguments of `swath doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// One JSON object a line on standard output.
    #[arg(long)]
    pub(crate) json: bool,
    /// Which deployment.
    #[command(flatten)]
    pub(crate) deployment: DeploymentArgs,
}

/// Which deployment.
#[derive(Debug, Args)]
pub(crate) struct DeploymentArgs {
    /// The deployment's name, the template's parameter `Name`.
    #[arg(long, value_name = "NAME", default_value = "swath", global = true)]
    pub(crate) name: String,
}

/// A deployed function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Function {
    /// Plans searches.
    Plan,
    /// Searches.
    Search,
    /// Downloads.
    Download,
    /// Lists archives of items.
    List,
    /// Fetches the items of an archive.
    Ingest,
    /// Writes data files.
    Write,
    /// Commits them.
    Commit,
    /// Has downloaded again what is not as it should be.
    Repair,
    /// Looks after the lake.
    Maintain,
}

impl Function {
    /// All of them, in the order of the chain.
    pub(crate) const ALL: [Self; 9] = [
        Self::Plan,
        Self::Search,
        Self::Download,
        Self::List,
        Self::Ingest,
        Self::Write,
        Self::Commit,
        Self::Repair,
        Self::Maintain,
    ];

    /// Returns the name that its queue and its log bear after the deployment's.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Search => "search",
            Self::Download => "download",
            Self::List => "list",
            Self::Ingest => "ingest",
            Self::Write => "write",
            Self::Commit => "commit",
            Self::Repair => "repair",
            Self::Maintain => "maintain",
        }
    }
}
