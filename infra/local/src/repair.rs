//! `swath repair`: rows whose file is not as it should be are downloaded again.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use clap::Args;
use futures::TryStreamExt as _;
use serde_json::{Map, Value};
use swath_cloud::publish;
use swath_cloud::store::{self, Store};
use swath_core::message::DownloadAsset;
use swath_core::naming::AssetName;
use swath_core::predicate::{Predicate, PredicateError};
use swath_core::{Job, Level, RunId, TableName};
use url::Url;

use crate::download::{
    FetchArgs, Fetching, Ledger, Planned, Row, contexts, object_of, show_estimate, tell,
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
    /// Which assets to download again, as a condition on the columns of `swath.asset_files`: `= <> < <= > >=`, `IN`, `LIKE`,
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

/// Rows that cannot be repaired.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepairError {
    /// The condition is none.
    #[error("--where cannot be used")]
    Predicate(#[source] PredicateError),
    /// A row's catalog is no address.
    #[error("item {item_id:?}: its catalog is no address")]
    Catalog {
        /// The item.
        item_id: String,
        /// Why.
        source: url::ParseError,
    },
    /// A row without ids.
    #[error("a row of swath.asset_files cannot be read")]
    Row(#[source] crate::download::RowsError),
    /// A file cannot be looked at.
    #[error("a file cannot be looked at")]
    Look(#[source] publish::PublishError),
    /// A broken file cannot be moved aside.
    #[error("{} cannot be moved aside", path.display())]
    Aside {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The files cannot be listed.
    #[error("the files cannot be listed")]
    List(#[source] object_store::Error),
}

/// The newest row of one asset.
struct Newest {
    columns: Map<String, Value>,
    row: Row,
}

/// What `--check` found. The names are part of the interface.
#[derive(Debug, Default, serde::Serialize)]
struct Found {
    event: &'static str,
    /// Assets in the table.
    assets: u64,
    /// Of which the condition holds.
    matching: u64,
    /// Files that are gone.
    gone: u64,
    /// Files of another size or content than their row says.
    changed: u64,
    /// Files that no row names.
    unknown_files: Vec<String>,
}

/// Runs `swath repair`.
pub(crate) async fn command(arguments: RepairArgs) -> Result<Exit, CommandError> {
    let predicate = parse(&arguments.predicate)?;
    let out = assets(&arguments)?;
    let ledger = Ledger::open(&arguments.out).await?;
    let newest = newest(&ledger, &arguments).await?;
    let mut found = Found {
        event: "found",
        assets: newest.len() as u64,
        ..Found::default()
    };
    let wanted = choose(newest, &predicate, &arguments, (&out, &mut found)).await?;
    if arguments.check {
        tell_found(&found, arguments.json);
    }
    let planned: Vec<Planned> = wanted
        .into_iter()
        .map(|newest| plan_one(newest, &arguments, &out))
        .collect::<Result<_, _>>()?;
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
    };
    let mut tally = fetching.run(planned).await;
    tally.take(ledger.close().await);
    tell(&tally, arguments.json);
    Ok(tally.exit())
}

fn parse(text: &str) -> Result<Predicate, CommandError> {
    let columns = swath_table::schema::of(TableName::AssetFiles).columns;
    let known: Vec<&str> = columns.iter().map(|column| column.name).collect();
    let predicate: Result<Predicate, _> = text.parse();
    let predicate = predicate.and_then(|predicate| {
        predicate.check_columns(&known)?;
        Ok(predicate)
    });
    predicate.map_err(|source| failed(RepairError::Predicate(source)))
}

fn failed(error: RepairError) -> CommandError {
    CommandError::Repair(Box::new(error))
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

/// Reads the newest row of every asset.
async fn newest(ledger: &Ledger, arguments: &RepairArgs) -> Result<Vec<Newest>, CommandError> {
    let batches = ledger.lake.rows(TableName::AssetFiles).await;
    let batches = batches.map_err(|source| CommandError::Lake {
        path: arguments.out.clone(),
        source: Box::new(source),
    })?;
    let mut newest: BTreeMap<[Option<String>; 4], Map<String, Value>> = BTreeMap::new();
    let text = |columns: &Map<String, Value>, name: &str| {
        columns.get(name).and_then(Value::as_str).map(str::to_owned)
    };
    for batch in &batches {
        for place in 0..batch.num_rows() {
            let columns = object_of(batch, place);
            let key = ["catalog", "collection", "item_id", "asset_name"];
            let key = key.map(|name| text(&columns, name));
            let age = |columns: &Map<String, Value>| {
                let text = text(columns, "last_update");
                text.and_then(|text| swath_core::stac::parse_datetime(&text))
            };
            let entry = newest.entry(key).or_insert_with(|| columns.clone());
            if age(entry) < age(&columns) {
                *entry = columns;
            }
        }
    }
    newest
        .into_values()
        .map(|columns| {
            let row = Row::of(0, &columns).map_err(|source| failed(RepairError::Row(source)))?;
            Ok(Newest { columns, row })
        })
        .collect()
}

/// Chooses what is downloaded again: what the condition says, and what `--check` finds.
async fn choose(
    newest: Vec<Newest>,
    predicate: &Predicate,
    arguments: &RepairArgs,
    (out, found): (&Store, &mut Found),
) -> Result<Vec<Newest>, CommandError> {
    let mut wanted = Vec::new();
    let mut named = HashSet::new();
    for one in newest {
        let key = one.key(out);
        let matching = predicate.holds(&|column| one.columns.get(column));
        found.matching += u64::from(matching);
        let mut again = matching;
        if let Some(key) = key.filter(|_| arguments.check || matching) {
            let state = one.look(out, &key).await?;
            found.gone += u64::from(state == State::Gone);
            found.changed += u64::from(state == State::Changed);
            again |= arguments.check && state != State::AsTold;
            if again && state == State::Changed && !arguments.dry_run {
                move_aside(out, &key)?;
            }
            named.insert(key);
        }
        if again {
            wanted.push(one);
        }
    }
    if arguments.check {
        found.unknown_files = unknown_files(out, &named).await?;
    }
    Ok(wanted)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    AsTold,
    Gone,
    Changed,
}

impl Newest {
    /// Returns the file's key below the folder of files, if the row names one in it.
    fn key(&self, out: &Store) -> Option<String> {
        let path = self.columns.get("out_file_path")?.as_str()?;
        let below = match &out.local_root {
            Some(root) => {
                let below = std::path::Path::new(path).strip_prefix(root).ok()?;
                below.to_str()?.to_owned()
            }
            None => path
                .strip_prefix(&out.uri)?
                .trim_start_matches('/')
                .to_owned(),
        };
        (!below.is_empty() && !below.split('/').any(|part| part == "..")).then_some(below)
    }

    /// Compares the file with its row: size first, then content.
    async fn look(&self, out: &Store, key: &str) -> Result<State, CommandError> {
        let look = |source| failed(RepairError::Look(source));
        let Some(present) = publish::present(out, key).await.map_err(look)? else {
            return Ok(State::Gone);
        };
        let size = self.columns.get("out_file_sz").and_then(Value::as_u64);
        if size.is_some_and(|size| size != present.size_bytes) {
            return Ok(State::Changed);
        }
        let sha256 = self.columns.get("sha256").and_then(Value::as_str);
        let read = publish::read_back(out, key, None, None).await;
        let (_, digests) = read.map_err(look)?;
        Ok(match sha256 {
            Some(sha256) if sha256 != digests.sha256 => State::Changed,
            _ => State::AsTold,
        })
    }
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

/// Lists files that no row names; what swath itself keeps beside them is none.
async fn unknown_files(out: &Store, named: &HashSet<String>) -> Result<Vec<String>, CommandError> {
    let prefix = (!out.prefix.as_ref().is_empty()).then_some(&out.prefix);
    let listed: Vec<_> = out
        .store
        .list(prefix)
        .try_collect()
        .await
        .map_err(|source| failed(RepairError::List(source)))?;
    let ours = [
        "warehouse",
        "warehouse_id_hashes.parquet",
        "receipts",
        "quarantine",
        "messages",
        "staging",
        ".swath-staging",
    ];
    let mut unknown = Vec::new();
    for object in listed {
        let full = object.location.as_ref();
        let key = full.strip_prefix(out.prefix.as_ref()).unwrap_or(full);
        let key = key.trim_start_matches('/');
        let first = key.split('/').next().unwrap_or_default();
        let own = ours.contains(&first)
            || first.starts_with("earthcatalog.db")
            || key.contains(".broken");
        if !own && !named.contains(key) {
            unknown.push(publish::address(out, key));
        }
    }
    Ok(unknown)
}

fn plan_one(newest: Newest, arguments: &RepairArgs, out: &Store) -> Result<Planned, CommandError> {
    let key = newest.key(out);
    let told = newest
        .columns
        .get("validation_level")
        .and_then(Value::as_str);
    let told = told
        .and_then(|level| level.parse().ok())
        .unwrap_or_default();
    let row = newest.row;
    let catalog = Url::parse(row.catalog.as_deref().unwrap_or_default());
    let catalog = catalog.map_err(|source| {
        failed(RepairError::Catalog {
            item_id: row.item_id.clone(),
            source,
        })
    })?;
    let asked = DownloadAsset {
        job: Job {
            validate: arguments.validate.unwrap_or(told),
            sign: arguments.fetch.sign.signing,
            retry_refused: true,
            ..Job::new(catalog)
        },
        collection: row.collection,
        item_id: row.item_id,
        asset_name: row.asset_name,
        href: row.href.unwrap_or_default(),
        media_type: row.media_type,
        size_bytes: None,
        checksum: None,
    };
    let name = AssetName {
        collection: asked.collection.as_deref(),
        item_id: &asked.item_id,
        asset_name: &asked.asset_name,
        href: &asked.href,
        media_type: asked.media_type.as_deref(),
    };
    let key = match key {
        Some(key) => key,
        None => name.key().map_err(|source| {
            CommandError::Names(Box::new(crate::download::PlanError::Name {
                item_id: asked.item_id.clone(),
                asset_name: asked.asset_name.clone(),
                source,
            }))
        })?,
    };
    Ok(Planned { asked, key })
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
