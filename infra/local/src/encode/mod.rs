//! `swath encode`: items of any spelling into partitioned files or one file, in bounded memory.
//!
//! Every item is read once. Its row is kept aside, in memory or in a nameless file, and an index of some tens of bytes
//! per row says where it belongs; then each file is made from its rows in their order. What is held does not
//! grow with the input, but for that index.

pub(crate) mod command;
mod files;
mod gather;
mod index;
mod quarantine;
mod report;
mod spool;
mod stac_geoparquet;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use swath_core::grid::{Grid, GridError, GridOptions, GridSpec};
pub(crate) use swath_table::input::{self, InputError};
use swath_table::stac_geoparquet::{Inference, Layout};
use swath_table::{Effort, Repair, Rules, RulesError, TableError, Validation};

pub(crate) use files::beside;
use files::{Plan, Written};
use gather::{Feed, Gathered, Worker};
use index::Index;
use quarantine::Quarantine;
pub(crate) use report::Report;
use spool::Spool;

/// What `swath encode` is asked to do.
#[derive(Clone, Debug)]
pub(crate) struct EncodeRequest {
    /// The files to read, in this order; `-` is standard input.
    pub(crate) inputs: Vec<PathBuf>,
    /// Where the items come from, if that is not the files themselves.
    pub(crate) source: Option<String>,
    /// A folder if there is a grid, else a file.
    pub(crate) out: PathBuf,
    /// How the folder is partitioned.
    pub(crate) grid: Option<GridSpec>,
    /// What the rows of the one file are; partitions are always a table's.
    pub(crate) form: FileForm,
    /// Where rejected texts are kept.
    pub(crate) quarantine: Option<PathBuf>,
    /// Whether files are read back and compared.
    pub(crate) check: bool,
    /// How much work goes into making files small.
    pub(crate) effort: Effort,
    /// Threads.
    pub(crate) threads: usize,
    /// How much is asked of an item.
    pub(crate) validation: Validation,
    /// What may be mended.
    pub(crate) repairs: Vec<Repair>,
    /// The folder of the published JSON schemas.
    pub(crate) schemas: Option<PathBuf>,
}

/// What the rows of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum FileForm {
    /// What other tools call stac-geoparquet: `bbox`, `assets` and `links` as structs, every property a column.
    StacGeoparquet,
    /// The catalog's table: EarthCatalog's columns, the exact item beside them.
    Table,
}

/// Items that cannot be encoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// An input cannot be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// Items cannot be held against the rules that were asked for.
    #[error("cannot validate items")]
    Rules(#[from] RulesError),
    /// The grid cannot be made.
    #[error("cannot make the grid")]
    Grid(#[source] GridError),
    /// The file of regions cannot be read.
    #[error("cannot read the regions in {}", path.display())]
    Regions {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Rows cannot be kept aside.
    #[error("cannot keep rows aside beside the output")]
    Spool(#[source] std::io::Error),
    /// A row kept aside does not read back.
    #[error("the row kept aside at byte {at} does not read back")]
    Record {
        /// Where.
        at: u64,
    },
    /// Rows do not form a file.
    #[error("cannot make a file of items")]
    Table {
        /// Why.
        source: Box<TableError>,
    },
    /// The output cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file read back does not hold the items that went in.
    #[error("{} does not give back the items that went in", path.display())]
    Differs {
        /// The file.
        path: PathBuf,
    },
    /// A thread ended of itself.
    #[error("a thread ended before its work was done")]
    Thread,
}

impl EncodeError {
    fn table(source: TableError) -> Self {
        Self::Table {
            source: Box::new(source),
        }
    }
}

/// Encodes all items of the inputs; what is no item is named, kept where asked, and counted.
pub(crate) fn encode(request: &EncodeRequest) -> Result<Report, EncodeError> {
    let schemas = request.schemas.as_deref();
    let rules = Rules::new(request.validation, &request.repairs, schemas)?;
    let quarantine = Quarantine::open(request.quarantine.as_deref())?;
    let folder = folder_of(request)?;
    let gathered = gather(request, &rules, &folder, quarantine)?;
    let mut report = Report {
        items: gathered.items,
        clashes: gathered.clashes,
        rejected: gathered.rejected,
        repaired: gathered.repaired,
        ..Report::default()
    };
    gathered.quarantine.finish()?;
    let records = gathered.spool.finish().map_err(EncodeError::Spool)?;
    let (entries, groups) = gathered.index.finish();
    let layout = matches!(request.form, FileForm::StacGeoparquet);
    let plan = Plan {
        layout: layout.then(|| Layout::of(&gathered.inference)),
        records,
        entries,
        groups,
        sources: sources(request),
        effort: request.effort,
        check: request.check,
    };
    report.written(if request.grid.is_some() {
        write_folder(&plan, request)?
    } else {
        plan.write_one(&request.out)?
    });
    Ok(report)
}

/// Makes the folder of the output, in which rows are kept aside as well.
fn folder_of(request: &EncodeRequest) -> Result<PathBuf, EncodeError> {
    let folder = match (&request.grid, request.out.parent()) {
        (Some(_), _) => request.out.as_path(),
        (None, Some(parent)) if !parent.as_os_str().is_empty() => parent,
        (None, _) => Path::new("."),
    };
    std::fs::create_dir_all(folder).map_err(|source| EncodeError::Write {
        path: folder.to_owned(),
        source,
    })?;
    Ok(folder.to_owned())
}

fn sources(request: &EncodeRequest) -> Vec<Arc<str>> {
    let name = |path: &PathBuf| match &request.source {
        Some(source) => Arc::from(source.as_str()),
        None => Arc::from(path.to_string_lossy().as_ref()),
    };
    request.inputs.iter().map(name).collect()
}

fn open_grid(spec: &GridSpec) -> Result<Box<dyn Grid>, EncodeError> {
    let boundaries = spec
        .boundaries_path()
        .map(|path| {
            std::fs::read(path).map_err(|source| EncodeError::Regions {
                path: PathBuf::from(path),
                source,
            })
        })
        .transpose()?;
    spec.open(boundaries.as_deref(), GridOptions::default())
        .map_err(EncodeError::Grid)
}

fn gather(
    request: &EncodeRequest,
    rules: &Rules,
    folder: &Path,
    quarantine: Quarantine,
) -> Result<Gathered, EncodeError> {
    let feed = Mutex::new(Feed::new(request.inputs.clone()));
    let gathered = Mutex::new(Gathered {
        spool: Spool::new(folder),
        inference: Inference::default(),
        index: Index::default(),
        quarantine,
        items: 0,
        clashes: 0,
        rejected: BTreeMap::new(),
        repaired: BTreeMap::new(),
    });
    let sources = sources(request);
    let workers = (0..request.threads.max(1))
        .map(|_| {
            Ok(Worker {
                feed: &feed,
                gathered: &gathered,
                grid: request.grid.as_ref().map(open_grid).transpose()?,
                sources: &sources,
                rules,
                form: request.form,
                inference: Inference::default(),
            })
        })
        .collect::<Result<Vec<_>, EncodeError>>()?;
    thread::scope(|scope| {
        let threads: Vec<_> = workers
            .into_iter()
            .map(|worker| scope.spawn(|| worker.run()))
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or(Err(EncodeError::Thread)))
    })?;
    Ok(gathered
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner))
}

fn write_folder(plan: &Plan, request: &EncodeRequest) -> Result<Written, EncodeError> {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..request.threads.max(1))
            .map(|_| scope.spawn(|| plan.write_parts(&request.out, &next)))
            .collect();
        let mut written = Written::default();
        for thread in threads {
            written.add(thread.join().unwrap_or(Err(EncodeError::Thread))?);
        }
        Ok(written)
    })
}
