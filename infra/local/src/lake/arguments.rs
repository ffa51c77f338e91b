//! The commands that look after a lake.

use clap::{Args, Subcommand, ValueEnum};
use swath_core::TableName;
use swath_core::upkeep::{MaintainLake, MaintainStep};
use swath_lake::pointer::PointerKind;

use crate::exit;

/// What looks after a lake.
#[derive(Debug, Subcommand)]
pub(crate) enum LakeCommand {
    /// Merge small files, drop old snapshots, clear away files that no snapshot needs.
    #[command(after_help = exit::HELP)]
    Maintain(MaintainArgs),
    /// Say what a lake is, and name each fault of it; nothing is written.
    #[command(after_help = exit::HELP)]
    Info(ShowArgs),
    /// Count rows, files and bytes by cell and year; nothing is written.
    #[command(after_help = exit::HELP)]
    Stats(StatsArgs),
    /// Show or take away the lock that `EarthCatalog` and swath take while they change a catalog.
    #[command(after_help = exit::HELP)]
    Lock(LockArgs),
    /// List a table's snapshots, the oldest first.
    #[command(after_help = exit::HELP)]
    Snapshots(SnapshotsArgs),
    /// Name a snapshot, so that it is kept.
    #[command(after_help = exit::HELP)]
    Tag(TagArgs),
    /// Make a snapshot the current one again.
    #[command(after_help = exit::HELP)]
    Rollback(RollbackArgs),
}

/// Which lake.
#[derive(Debug, Args)]
pub(crate) struct Where {
    /// The lake: a folder with `earthcatalog.db`, or `s3://bucket/prefix`.
    #[arg(long, value_name = "DIR|URI")]
    pub(crate) lake: String,
    #[command(flatten)]
    pub(crate) held: Held,
}

/// Who holds the pointers to a lake's tables.
#[derive(Debug, Args)]
pub(crate) struct Held {
    /// Who holds the pointers to the tables: the lake itself (`lake`), or the AWS Glue Data Catalog (`glue`), in databases
    /// whose names begin with PREFIX (`glue:PREFIX`). A lake keeps the one that it was made with.
    #[arg(
        long,
        env = "SWATH_POINTER",
        default_value_t,
        value_name = "lake|glue|glue:PREFIX"
    )]
    pub(crate) pointer: PointerKind,
}

/// A table, as the command line names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Table {
    /// `earthcatalog.stac_items`.
    Items,
    /// `swath.asset_rows`.
    Rows,
    /// `swath.asset_files`.
    Files,
    /// `swath.area_status`.
    Status,
}

impl From<Table> for TableName {
    fn from(table: Table) -> Self {
        match table {
            Table::Items => Self::StacItems,
            Table::Rows => Self::AssetRows,
            Table::Files => Self::AssetFiles,
            Table::Status => Self::AreaStatus,
        }
    }
}

/// One thing that maintenance does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Step {
    /// Merge small files within their partitions.
    Compact,
    /// Merge manifests, sorted by partition.
    Manifests,
    /// Take old snapshots out of the tables; their files stay until orphans are cleared away.
    Expire,
    /// Clear away files that no snapshot needs.
    Orphans,
    /// Bring the id index up to date: what commits look items up in.
    Index,
    /// Write `EarthCatalog`'s index of ids, `warehouse_id_hashes.parquet`; only when asked for.
    Hashes,
    /// Write `earthcatalog.db` beside a lake in a bucket, for `EarthCatalog` to open; only when asked for. The one of a
    /// folder is the catalog itself.
    Database,
}

impl From<Step> for MaintainStep {
    fn from(step: Step) -> Self {
        match step {
            Step::Compact => Self::Compact,
            Step::Manifests => Self::Manifests,
            Step::Expire => Self::Expire,
            Step::Orphans => Self::Orphans,
            Step::Index => Self::Index,
            Step::Hashes => Self::Hashes,
            Step::Database => Self::Database,
        }
    }
}

/// The arguments of `swath info`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Which lake.
    #[command(flatten)]
    pub(crate) at: Where,
    /// One JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The arguments of `swath stats`.
#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    /// Which lake.
    #[command(flatten)]
    pub(crate) at: Where,
    /// Only the cells with the most rows, this many, all years together.
    #[arg(long, value_name = "N")]
    pub(crate) top: Option<usize>,
    /// One JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The arguments of `swath lock`.
#[derive(Debug, Args)]
pub(crate) struct LockArgs {
    /// What to do.
    #[arg(value_name = "WHAT")]
    pub(crate) what: LockStep,
    /// Which lake; its lock is the object `.lock` below it.
    #[command(flatten)]
    pub(crate) at: Where,
    /// One JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What can be done with a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LockStep {
    /// Say who holds it.
    Show,
    /// Take it away from whoever holds it: only when that one is known to be dead.
    Break,
}

/// The arguments of `swath maintain`.
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
#[derive(Debug, Args)]
pub(crate) struct MaintainArgs {
    /// What to do; all of it, in this order, when left out.
    #[arg(value_name = "STEP")]
    pub(crate) steps: Vec<Step>,
    /// Which lake.
    #[command(flatten)]
    pub(crate) at: Where,
    /// Tables to look after, separated by commas; all of them when left out.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub(crate) table: Vec<Table>,
    /// Say what would be done, change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Write `EarthCatalog`'s index of ids as well.
    #[arg(long)]
    pub(crate) update_hash_index: bool,
    /// Write `earthcatalog.db` beside a lake in a bucket as well, as the step `database` does.
    #[arg(long)]
    pub(crate) publish_db: bool,
    /// Delete orphans; without it they are only counted.
    #[arg(long)]
    pub(crate) delete: bool,
    /// Small files that a partition must have before they are merged.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) threshold: u32,
    /// Size that merged files aim at, MiB; up to six times this is needed in memory, however many files there are.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub(crate) target_mib: u64,
    /// MiB that are merged at most, of each table; the rest is for the next time. Everything when left out.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    pub(crate) most_mib: Option<u64>,
    /// Snapshots that are kept whatever their age.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) keep_last: u32,
    /// Days for which snapshots are kept.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) keep_days: u32,
    /// Hours before a file that no snapshot needs is cleared away, 24 at least.
    #[arg(long, value_name = "N", default_value_t = 72, value_parser = clap::value_parser!(u32).range(24..))]
    pub(crate) grace_hours: u32,
    /// One JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

impl MaintainArgs {
    /// Says the same as the message that asks the function for it.
    pub(super) fn asked(&self) -> MaintainLake {
        let steps: Vec<MaintainStep> = self.steps.iter().map(|step| (*step).into()).collect();
        let more = [
            (self.update_hash_index, MaintainStep::Hashes),
            (self.publish_db, MaintainStep::Database),
        ];
        let more = more
            .into_iter()
            .filter(|(asked, _)| *asked && !self.dry_run);
        let more: Vec<MaintainStep> = more.map(|(_, step)| step).collect();
        MaintainLake {
            steps: swath_maintain::steps(&steps, &more),
            tables: self.table.iter().map(|table| (*table).into()).collect(),
            threshold: self.threshold,
            target_mib: self.target_mib,
            most_mib: self.most_mib,
            keep_last: self.keep_last,
            keep_days: self.keep_days,
            grace_hours: self.grace_hours,
            delete: self.delete,
            dry_run: self.dry_run,
        }
    }
}

/// The arguments of `swath snapshots`.
#[derive(Debug, Args)]
pub(crate) struct SnapshotsArgs {
    /// Which lake.
    #[command(flatten)]
    pub(crate) at: Where,
    /// Which table.
    #[arg(long, default_value = "items")]
    pub(crate) table: Table,
    /// One JSON object a line; ids are strings, since they exceed what JSON's numbers hold exactly.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The arguments of `swath tag`.
#[derive(Debug, Args)]
pub(crate) struct TagArgs {
    /// The name.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// The snapshot; the current one when left out.
    #[arg(long, value_name = "ID")]
    pub(crate) snapshot: Option<i64>,
    /// Which lake.
    #[command(flatten)]
    pub(crate) at: Where,
    /// Which table.
    #[arg(long, default_value = "items")]
    pub(crate) table: Table,
}

/// The arguments of `swath rollback`.
#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// The snapshot.
    #[arg(value_name = "ID")]
    pub(crate) snapshot: i64,
    /// Which lake.
    #[command(flatten)]
    pub(crate) at: Where,
    /// Which table.
    #[arg(long, default_value = "items")]
    pub(crate) table: Table,
}
