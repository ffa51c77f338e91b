//! `swath census`: a list of objects against the catalog, and the repairs of what differs.

mod compare;
mod heal;
mod records;

use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use serde_json::json;
use swath_cloud::clock::SystemClock;
use swath_cloud::queue::channel;
use swath_cloud::store;
use swath_core::grid::GridSpec;
use swath_core::intake::{Intake, ListSource};
use swath_list::{Filter, ListError};

use crate::exit::Exit;
use crate::ingest::{IngestCommandError, Opening, World, accesses, sources};
use crate::lake::{Held, open_at};
use crate::run::{CommandError, print_json};
use compare::{Finding, Quarantined, compare, taken};
use heal::Repairs;

pub use compare::CompareError;

/// The arguments of `swath census`.
#[derive(Debug, Args)]
pub(crate) struct CensusArgs {
    /// The list of objects: an S3 Inventory, a folder or an `s3://` prefix, as for `swath ingest`.
    #[arg(value_name = "SOURCE")]
    source: String,
    /// The lake: a folder, or `s3://bucket/prefix`.
    #[arg(long, value_name = "DIR|URI")]
    lake: String,
    /// Repairs exactly what differs: takes in what is missing or stale, takes out the items of what is gone.
    #[arg(long)]
    heal: bool,
    /// What the list is complete for: objects whose address begins so and that it does not have are gone. When left out: the
    /// folder or prefix itself; of an inventory the longest one that all its objects have in common.
    #[arg(long, value_name = "PREFIX")]
    below: Option<String>,
    /// Only keys that fit this glob, as for `swath ingest`; may be given again.
    #[arg(long, value_name = "GLOB")]
    include: Vec<String>,
    /// No keys that fit this glob; may be given again.
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// The grid that items are filed under, the one that the lake was made with.
    #[arg(long, value_name = "GRID", default_value = "h3:1")]
    grid: GridSpec,
    #[command(flatten)]
    held: Held,
    /// How a bucket is reached, as for `swath ingest`.
    #[arg(long, value_name = "NAME=HOW")]
    bucket: Vec<String>,
    /// Requests to buckets that `--bucket` does not name are not signed.
    #[arg(long)]
    unsigned: bool,
    /// Only the figures, not each object that differs.
    #[arg(long)]
    count: bool,
}

/// The objects that a list is complete for.
pub(crate) struct Scope {
    below: String,
    filter: Filter,
}

impl Scope {
    fn holds(&self, href: &str) -> bool {
        let Some(rest) = href.strip_prefix(&self.below) else {
            return false;
        };
        let is_bucket = href
            .strip_prefix("s3://")
            .and_then(|rest| rest.split_once('/'));
        self.filter.fits_key(is_bucket.map_or(rest, |(_, key)| key))
    }
}

/// How many objects are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Counts {
    /// Objects that the list names, those left out among them.
    listed: u64,
    /// Items that are as their objects have them.
    same: u64,
    missing: u64,
    stale: u64,
    extra: u64,
    rejected: u64,
    /// Objects that were repaired.
    healed: u64,
}

impl Counts {
    fn add(&mut self, finding: &Finding) {
        match finding {
            Finding::Missing(..) => self.missing += 1,
            Finding::Stale(..) => self.stale += 1,
            Finding::Extra(_) => self.extra += 1,
            Finding::Rejected => self.rejected += 1,
            Finding::Same => self.same += 1,
        }
    }

    fn differing(&self) -> u64 {
        self.missing + self.stale + self.extra
    }
}

/// Runs `swath census`: with `--heal` again and again, until nothing differs or a repair changes nothing.
pub(crate) async fn command(arguments: CensusArgs) -> Result<Exit, CommandError> {
    let ask = ListSource {
        source: arguments.source.clone(),
        intake: Intake {
            include: arguments.include.clone(),
            exclude: arguments.exclude.clone(),
            ..Intake::default()
        },
        retry_pending: false,
        against: None,
        staging_prefix: None,
    };
    let (mut healed, mut before) = (0, u64::MAX);
    loop {
        let (mut counts, repairs) = once(&arguments, &ask).await?;
        let helps = arguments.heal && counts.differing() < before;
        if !helps || repairs.is_empty() {
            counts.healed = healed;
            print_json(&counts);
            return Ok(if counts.differing() == 0 {
                Exit::Done
            } else {
                Exit::Partial
            });
        }
        before = counts.differing();
        let accesses = accesses(&arguments.bucket, arguments.unsigned).map_err(failed)?;
        let sources = sources(accesses).map_err(failed)?;
        let world = World::open(
            &arguments.lake,
            &arguments.grid,
            sources,
            64,
            Opening::of(&arguments.held),
        )
        .await;
        let world = world.map_err(failed)?;
        healed += repairs.make(&world, &ask.source).await.map_err(failed)?;
    }
}

fn failed(error: IngestCommandError) -> CommandError {
    CommandError::Ingest(Box::new(error))
}

/// Takes one census; returns what it found and what would repair it.
async fn once(arguments: &CensusArgs, ask: &ListSource) -> Result<(Counts, Repairs), CommandError> {
    let accesses = accesses(&arguments.bucket, arguments.unsigned).map_err(failed)?;
    let lake = open_at(&arguments.lake, &arguments.held.pointer)?;
    let store = store::open_existing(&arguments.lake);
    let store = store.map_err(|source| failed(IngestCommandError::Lake(source)))?;
    let (queue, _nobody) = channel(1);
    let list = swath_list::Context {
        lake: store.clone(),
        sources: sources(accesses).map_err(failed)?,
        ingest: Arc::new(queue),
        clock: Arc::new(SystemClock),
        intake: Intake::default(),
    };
    let unlisted = |source| {
        failed(IngestCommandError::List {
            at: ask.source.clone(),
            source: Box::new(source),
        })
    };
    let sorted = Box::pin(swath_list::sorted(ask, &list)).await;
    let sorted = sorted.map_err(unlisted)?;
    let below = arguments.below.clone().or(sorted.common);
    let below = below.ok_or_else(|| {
        let at = ask.source.clone();
        unlisted(ListError::NothingListed { at })
    })?;
    let scope = Scope {
        below,
        filter: sorted.filter,
    };
    let mut counts = Counts {
        listed: sorted.listed,
        ..Counts::default()
    };
    let mut repairs = Repairs::default();
    let names = !arguments.count && !arguments.heal;
    let tell = |finding: Finding| {
        if names {
            name(&finding);
        }
        counts.add(&finding);
        repairs.add(finding);
        Ok(())
    };
    let compared = async {
        let quarantined = Quarantined::read(&store).await?;
        let taken = taken(&store, &scope).await?;
        compare(sorted.objects, taken, (&lake, &quarantined), tell).await
    };
    compared.await.map_err(CommandError::Census)?;
    Ok((counts, repairs))
}

/// Names an object that is not as it should be.
fn name(finding: &Finding) {
    let (what, href) = match finding {
        Finding::Missing(href, _) => ("missing", href),
        Finding::Stale(href, _) => ("stale", href),
        Finding::Extra(href) => ("extra", href),
        Finding::Rejected | Finding::Same => return,
    };
    print_json(&json!({"state": what, "href": href}));
}
