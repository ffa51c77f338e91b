//! `swath repair`: rows whose file is not as it should be are downloaded again.

mod table;

use std::path::PathBuf;

use clap::Args;
use swath_cloud::publish;
use swath_cloud::store::{self, Store};
use swath_core::message::Check;
use swath_core::{Level, RunId, TableName};
use swath_repair::{Again, Choice, Found, State, choose};
use url::Url;

use table::Table;
pub use table::TableError;

use crate::download::{
    FetchArgs, Fetching, Ledger, Planned, contexts, origin, show_estimate, tell,
};
use crate::exit::Exit;
use crate::run::{CommandError, print_json, print_text};

/// The arguments of `swath repair`.
#[derive(Debug, Args)]
pub struct RepairArgs {
    /// The lake, as `swath run --out` and `swath download --out-dir` leave it.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Where the files lie; `assets` in the lake when there is such a folder, else the lake itself.
    #[arg(long, value_name = "DIR")]
    pub assets_dir: Option<String>,
    /// A Parquet file of rows of your own instead of `swath.asset_files`: it needs `item_id`, `asset_name`, `out_file_path` and
    /// `is_out_file_valid`. What comes of the repair is merged into it; its other columns and rows stay as they are.
    #[arg(long, value_name = "FILE")]
    pub table: Option<PathBuf>,
    /// The STAC API of rows that name none; asked for hrefs that are absent or gone.
    #[arg(long, value_name = "URL")]
    pub catalog: Option<Url>,
    /// Which assets to download again, as a condition on the columns of the table: `= <> < <= > >=`, `IN`, `LIKE`,
    /// `IS NULL`, `AND`, `OR`, `NOT`. Of several rows of one asset the newest counts.
    #[arg(
        long = "where",
        value_name = "PREDICATE",
        default_value = "is_out_file_valid = false"
    )]
    pub predicate: String,
    /// Also look at every file that a row says is there, and download those that are gone, changed or shorter.
    #[arg(long)]
    pub check: bool,
    /// How far each file's wholeness is proven; as far as each row says when left out.
    #[arg(long, value_name = "LEVEL")]
    pub validate: Option<Level>,
    /// Say what would be downloaded again, and download nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// How files are fetched.
    #[command(flatten)]
    pub fetch: FetchArgs,
    /// One JSON object a line on standard output instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// Files that cannot be repaired.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepairError {
    /// The assets cannot be chosen.
    #[error("the assets cannot be chosen")]
    Choose(#[from] swath_repair::RepairError),
    /// A broken file cannot be moved aside.
    #[error("{} cannot be moved aside", path.display())]
    Aside {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A table of the user's own cannot be used.
    #[error("{} cannot be used as a table of files", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// Why.
        source: TableError,
    },
}

/// Runs `swath repair`.
pub(crate) async fn command(arguments: RepairArgs) -> Result<Exit, CommandError> {
    let out = assets(&arguments)?;
    let read = |path: &PathBuf| Table::read(path).map_err(|source| of_table(path, source));
    let mut table = arguments.table.as_ref().map(read).transpose()?;
    let choice = choice(&arguments, table.as_ref())?;
    let ledger = Ledger::open(&arguments.out).await?;
    let told = match &table {
        Some(table) => swath_repair::newest(table.batches()),
        None => swath_repair::newest(&rows(&ledger, &arguments).await?),
    };
    let chosen = choose(told, &choice, &out).await;
    let (again, found) = chosen.map_err(|error| failed(error.into()))?;
    if arguments.check {
        tell_found(&found, arguments.json);
    }
    let planned = planned(again, &out, !arguments.dry_run)?;
    if arguments.dry_run {
        show_estimate(&planned, arguments.json);
        return Ok(Exit::Done);
    }
    let keys: Vec<&[u8]> = planned.iter().map(|one| one.key.as_bytes()).collect();
    let fetching = Fetching {
        run_id: RunId::derive(&keys),
        contexts: contexts(&ledger, &out, &arguments.fetch).await?,
        concurrency: arguments.fetch.concurrency,
        fail_fast: false,
        json: arguments.json,
        keep: arguments.table.is_some(),
    };
    let mut tally = fetching.run(planned).await;
    tally.take(ledger.close().await);
    if let (Some(table), Some(path)) = (&mut table, &arguments.table) {
        let merged = table.merge(&tally.settled).and_then(|()| table.write(path));
        merged.map_err(|source| of_table(path, source))?;
    }
    tell(&tally, arguments.json);
    Ok(tally.exit())
}

fn choice(arguments: &RepairArgs, table: Option<&Table>) -> Result<Choice, CommandError> {
    let columns: Vec<&str> = if let Some(table) = table {
        table.columns().collect()
    } else {
        let columns = swath_table::schema::of(TableName::AssetFiles).columns;
        columns.iter().map(|column| column.name).collect()
    };
    let predicate = swath_repair::parse(&arguments.predicate, &columns);
    let predicate =
        predicate.map_err(|error| failed(swath_repair::RepairError::from(error).into()))?;
    let catalog = match (&arguments.catalog, &arguments.table) {
        (Some(catalog), _) => Some(catalog.clone()),
        (None, Some(path)) => Some(origin(path)?),
        (None, None) => None,
    };
    Ok(Choice {
        predicate,
        check: if arguments.check {
            Check::Contents
        } else {
            Check::None
        },
        validate: arguments.validate,
        sign: arguments.fetch.sign.signing,
        catalog,
    })
}

async fn rows(
    ledger: &Ledger,
    arguments: &RepairArgs,
) -> Result<Vec<arrow_array::RecordBatch>, CommandError> {
    let batches = ledger.lake.rows(TableName::AssetFiles).await;
    batches.map_err(|source| CommandError::Lake {
        path: arguments.out.clone(),
        source: Box::new(source),
    })
}

fn failed(error: RepairError) -> CommandError {
    CommandError::Repair(Box::new(error))
}

fn of_table(path: &std::path::Path, source: TableError) -> CommandError {
    failed(RepairError::Table {
        path: path.to_owned(),
        source,
    })
}

fn assets(arguments: &RepairArgs) -> Result<Store, CommandError> {
    let below = arguments.out.join("assets");
    let folder = match &arguments.assets_dir {
        Some(folder) => folder.clone(),
        None if below.is_dir() => below.to_string_lossy().into_owned(),
        None => arguments.out.to_string_lossy().into_owned(),
    };
    store::open_existing(&folder).map_err(|error| CommandError::Output(Box::new(error)))
}

/// Plans what was chosen; what lies in the way of the right file is moved aside when `clear`.
fn planned(again: Vec<Again>, out: &Store, clear: bool) -> Result<Vec<Planned>, CommandError> {
    let mut planned = Vec::with_capacity(again.len());
    for one in again {
        if clear && one.state == Some(State::Changed) {
            move_aside(out, &one.key)?;
        }
        planned.push(Planned {
            asked: one.asked,
            key: one.key,
            number: one.told.number,
        });
    }
    Ok(planned)
}

/// Moves a file that is not what its row says out of the way, so that the right one can take its place. Nothing is deleted.
fn move_aside(out: &Store, key: &str) -> Result<(), CommandError> {
    let Some(path) = publish::local_path(out, key) else {
        // In a bucket nothing is moved: the download names the object that is in the way.
        return Ok(());
    };
    let aside = |number: u32| {
        let mut name = path.clone().into_os_string();
        name.push(format!(".broken{number}"));
        PathBuf::from(name)
    };
    let free = (1..=u32::MAX).map(aside).find(|path| !path.exists());
    let moved = free.map_or(Ok(()), |free| std::fs::rename(&path, free));
    moved.map_err(|source| failed(RepairError::Aside { path, source }))
}

fn tell_found(found: &Found, json: bool) {
    if json {
        print_json(found);
        return;
    }
    print_text(&format!(
        "{} assets, {} match, {} files gone, {} changed, {} without a row\n",
        found.assets,
        found.matching,
        found.gone,
        found.changed,
        found.unknown_files.len()
    ));
    for file in &found.unknown_files {
        print_text(&format!("no row names {file}\n"));
    }
}
