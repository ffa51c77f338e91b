//! A snapshot's files: manifests, their list, the next metadata file. Until the pointer names it, none of it is the table's.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use iceberg::spec::{
    DataFile, MAIN_BRANCH, ManifestEntry, ManifestFile, ManifestListWriter, ManifestWriter,
    ManifestWriterBuilder, Operation, PartitionSpecRef, SchemaRef, Snapshot,
    SnapshotSummaryCollector, Summary, TableMetadata, TableMetadataBuildResult,
};
use iceberg::{Error, ErrorKind, Result};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::expire::Keep;
use crate::facts::partition_of;
use crate::lake::{Base, Lake};

/// Manifests of one size class that are merged into one; each class holds this many times the files of the one below.
const FAN_IN: u64 = 8;

/// Files in a manifest that is merged no more, about 8 MB.
const MOST_FILES: u64 = 8192;

/// The table property that says how many snapshots commits leave in the metadata.
pub(crate) const KEEP_SNAPSHOTS: &str = "swath.commit.keep-snapshots";

/// What a snapshot changes.
#[derive(Debug, Default)]
pub(crate) struct Change {
    pub(crate) add: Vec<DataFile>,
    /// Manifests and the locations of files in them that leave the table.
    pub(crate) remove: BTreeMap<String, BTreeSet<String>>,
    /// What the snapshot's summary says besides the figures.
    pub(crate) notes: HashMap<String, String>,
    /// Whether the rows stay the same: then the snapshot replaces files by others.
    pub(crate) same_rows: bool,
    /// Whether all manifests are merged, not only as many as keep their number small.
    pub(crate) merge_all: bool,
}

/// A snapshot that is written but not yet current.
#[derive(Debug)]
pub(crate) struct Staged {
    /// The metadata file in which it is current.
    pub(crate) location: String,
    /// The snapshot, if there is a new one.
    pub(crate) snapshot_id: Option<i64>,
    pub(crate) metadata: TableMetadata,
    /// Metadata files that the new one's log no longer names.
    outdated: Vec<String>,
    /// Files that must be kept when the pointer leads to the metadata.
    pub(crate) written: Vec<String>,
    /// The manifests of a new snapshot.
    pub(crate) listed: Vec<Listed>,
}

/// A manifest, and those of the base whose live files are all that it lists; none when its files are new.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) location: String,
    pub(crate) sources: Vec<String>,
}

impl Staged {
    /// Writes the next metadata file.
    pub(crate) async fn write(
        lake: &Lake,
        base: &Base,
        built: TableMetadataBuildResult,
    ) -> Result<Self> {
        let at = base.next_location(&built.metadata);
        built.metadata.write_to(&lake.io, &at).await?;
        let outdated = built.expired_metadata_logs.into_iter();
        Ok(Self {
            location: at.to_string(),
            snapshot_id: None,
            metadata: built.metadata,
            outdated: outdated.map(|log| log.metadata_file).collect(),
            written: vec![at.to_string()],
            listed: Vec::new(),
        })
    }

    /// Returns the metadata files that the table wants cleared away.
    pub(crate) fn cleared(&self) -> Vec<String> {
        let name = "write.metadata.delete-after-commit.enabled";
        let asked = self.metadata.properties().get(name);
        let clears = asked.is_some_and(|value| value == "true");
        if clears {
            self.outdated.clone()
        } else {
            Vec::new()
        }
    }
}

impl Listed {
    /// A manifest that was there before is made of itself.
    pub(crate) fn as_before(manifest: &ManifestFile) -> Self {
        let location = manifest.manifest_path.clone();
        Self {
            sources: vec![location.clone()],
            location,
        }
    }
}

/// Writes a change on a base, given the manifests of that base.
pub(crate) async fn stage(
    lake: &Lake,
    base: &Base,
    manifests: Vec<ManifestFile>,
    change: &Change,
    now: OffsetDateTime,
) -> Result<Staged> {
    let mut writing = Writing::begin(lake, base);
    let mut made = Vec::with_capacity(manifests.len() + 1);
    for manifest in writing.merged(manifests, change).await? {
        match change.remove.get(&manifest.manifest_path) {
            None => made.push(manifest),
            Some(gone) => made.push(writing.without(&manifest, gone).await?),
        }
    }
    if !change.add.is_empty() {
        made.push(writing.added(&change.add).await?);
    }
    let listed = made.iter().map(|manifest| writing.listed(manifest));
    let listed = listed.collect();
    let snapshot = writing.snapshot(made, change, now).await?;
    let snapshot_id = snapshot.snapshot_id();
    let mut written = writing.written;
    written.push(snapshot.manifest_list().to_owned());
    written.extend(change.add.iter().map(|file| file.file_path().to_owned()));
    let builder = base.change().set_branch_snapshot(snapshot, MAIN_BRANCH)?;
    let built = builder
        .remove_snapshots(&outgrown(&base.metadata))
        .build()?;
    let mut staged = Staged::write(lake, base, built).await?;
    staged.snapshot_id = Some(snapshot_id);
    staged.listed = listed;
    staged.written.extend(written);
    Ok(staged)
}

/// One attempt: every file of it bears a name of its own, so that attempts cannot overwrite one another.
struct Writing<'a> {
    lake: &'a Lake,
    base: &'a Base,
    snapshot_id: i64,
    attempt: Uuid,
    manifests: usize,
    figures: SnapshotSummaryCollector,
    written: Vec<String>,
    /// What manifests that are written are made of.
    sources: HashMap<String, Vec<String>>,
}

impl<'a> Writing<'a> {
    fn begin(lake: &'a Lake, base: &'a Base) -> Self {
        let attempt = Uuid::now_v7();
        Self {
            lake,
            base,
            snapshot_id: snapshot_id(&base.metadata),
            attempt,
            manifests: 0,
            figures: SnapshotSummaryCollector::default(),
            written: Vec::new(),
            sources: HashMap::new(),
        }
    }

    fn writer(&mut self, spec: &PartitionSpecRef) -> Result<ManifestWriter> {
        let folder = self.base.metadata.location();
        let (attempt, number) = (self.attempt, self.manifests);
        self.manifests += 1;
        let location = format!("{folder}/metadata/{attempt}-m{number}.avro");
        let output = self.lake.io.new_output(&location)?;
        self.written.push(location);
        let (schema, spec) = (self.schema(), spec.as_ref().clone());
        let builder = ManifestWriterBuilder::new(output, Some(self.snapshot_id), schema, spec);
        Ok(builder.build_v2_data())
    }

    fn schema(&self) -> SchemaRef {
        SchemaRef::clone(self.base.metadata.current_schema())
    }

    /// Says what a manifest of the new snapshot is made of.
    fn listed(&self, manifest: &ManifestFile) -> Listed {
        match self.sources.get(&manifest.manifest_path) {
            None => Listed::as_before(manifest),
            Some(sources) => Listed {
                location: manifest.manifest_path.clone(),
                sources: sources.clone(),
            },
        }
    }

    /// Finishes a manifest that is made of these.
    async fn finish(
        &mut self,
        writer: ManifestWriter,
        sources: &[ManifestFile],
    ) -> Result<ManifestFile> {
        let manifest = writer.write_manifest_file().await?;
        let sources = sources.iter().map(|source| source.manifest_path.clone());
        let location = manifest.manifest_path.clone();
        self.sources.insert(location, sources.collect());
        Ok(manifest)
    }

    /// Writes a manifest of files that are new.
    async fn added(&mut self, files: &[DataFile]) -> Result<ManifestFile> {
        let spec = PartitionSpecRef::clone(self.base.metadata.default_partition_spec());
        let mut writer = self.writer(&spec)?;
        for file in files {
            let (schema, spec) = (self.schema(), PartitionSpecRef::clone(&spec));
            self.figures.add_file(file, schema, spec);
            // A negative number stands for the snapshot's own.
            writer.add_file(file.clone(), -1)?;
        }
        self.finish(writer, &[]).await
    }

    /// Merges manifests of like size, so that their number grows with the logarithm of the number of commits and each
    /// file is listed anew a few times only. Those in which a file is to be marked as deleted are left as they are.
    async fn merged(
        &mut self,
        manifests: Vec<ManifestFile>,
        change: &Change,
    ) -> Result<Vec<ManifestFile>> {
        let mut tiers: BTreeMap<(i32, u32), Vec<ManifestFile>> = BTreeMap::new();
        let mut listed = Vec::new();
        for manifest in manifests {
            let files = live_files(&manifest);
            if files > MOST_FILES || change.remove.contains_key(&manifest.manifest_path) {
                listed.push(manifest);
                continue;
            }
            let size = files.max(1).ilog(FAN_IN);
            let tier = if change.merge_all { 0 } else { size };
            let tiers = tiers.entry((manifest.partition_spec_id, tier));
            tiers.or_default().push(manifest);
        }
        for (_, tier) in tiers {
            let full = tier.len() as u64 >= FAN_IN || (change.merge_all && tier.len() > 1);
            if full {
                listed.extend(self.merge(&tier).await?);
            } else {
                listed.extend(tier);
            }
        }
        Ok(listed)
    }

    /// Writes the live files of several manifests of one spec into as few as hold them, sorted by partition.
    async fn merge(&mut self, manifests: &[ManifestFile]) -> Result<Vec<ManifestFile>> {
        let Some(first) = manifests.first() else {
            return Ok(Vec::new());
        };
        let spec = self.spec(first)?;
        let mut entries = Vec::new();
        for manifest in manifests {
            let read = manifest.load_manifest(&self.lake.io).await?;
            let alive = read.entries().iter().filter(|entry| entry.is_alive());
            entries.extend(alive.map(|entry| (Arc::clone(entry), manifest.added_snapshot_id)));
        }
        entries.sort_by_cached_key(|(entry, _)| {
            let partition = partition_of(entry.data_file().partition());
            (partition, entry.file_path().to_owned())
        });
        let mut merged = Vec::new();
        for part in entries.chunks(usize::try_from(MOST_FILES).unwrap_or(usize::MAX)) {
            let mut writer = self.writer(&spec)?;
            for (entry, added) in part {
                let (data, file) = sequence(entry)?;
                let added = entry.snapshot_id().unwrap_or(*added);
                writer.add_existing_file(entry.data_file().clone(), added, data, file)?;
            }
            merged.push(self.finish(writer, manifests).await?);
        }
        Ok(merged)
    }

    fn spec(&self, manifest: &ManifestFile) -> Result<PartitionSpecRef> {
        let spec = self
            .base
            .metadata
            .partition_spec_by_id(manifest.partition_spec_id);
        spec.map(PartitionSpecRef::clone)
            .ok_or_else(|| Error::new(ErrorKind::DataInvalid, "a manifest of an unknown spec"))
    }

    /// Writes a manifest again with some of its files marked as deleted.
    async fn without(
        &mut self,
        manifest: &ManifestFile,
        gone: &BTreeSet<String>,
    ) -> Result<ManifestFile> {
        let spec = self.spec(manifest)?;
        let read = manifest.load_manifest(&self.lake.io).await?;
        let mut writer = self.writer(&spec)?;
        let mut left = HashSet::new();
        for entry in read.entries().iter().filter(|entry| entry.is_alive()) {
            let file = entry.data_file().clone();
            let (sequence, of_file) = sequence(entry)?;
            if gone.contains(entry.file_path()) && left.insert(entry.file_path()) {
                let (schema, spec) = (self.schema(), PartitionSpecRef::clone(&spec));
                self.figures.remove_file(&file, schema, spec);
                writer.add_delete_file(file, sequence, of_file)?;
            } else {
                let added = entry.snapshot_id().unwrap_or(manifest.added_snapshot_id);
                writer.add_existing_file(file, added, sequence, of_file)?;
            }
        }
        if left.len() != gone.len() {
            let message = "a file to replace is not in its manifest";
            return Err(Error::new(ErrorKind::DataInvalid, message));
        }
        self.finish(writer, std::slice::from_ref(manifest)).await
    }

    async fn snapshot(
        &self,
        manifests: Vec<ManifestFile>,
        change: &Change,
        now: OffsetDateTime,
    ) -> Result<Snapshot> {
        let metadata = self.base.metadata.as_ref();
        let (id, attempt) = (self.snapshot_id, self.attempt);
        let location = format!(
            "{}/metadata/snap-{id}-0-{attempt}.avro",
            metadata.location()
        );
        let output = self.lake.io.new_output(&location)?.writer().await?;
        let (parent, sequence) = (
            metadata.current_snapshot_id(),
            metadata.next_sequence_number(),
        );
        let mut list = ManifestListWriter::v2(output, id, parent, sequence);
        list.add_manifests(manifests.into_iter())?;
        list.close().await?;
        let now_ms = now.unix_timestamp_nanos() / 1_000_000;
        let now_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
        Ok(Snapshot::builder()
            .with_manifest_list(location)
            .with_snapshot_id(id)
            .with_parent_snapshot_id(parent)
            .with_sequence_number(sequence)
            .with_schema_id(metadata.current_schema_id())
            // A clock that is behind another writer's must not make history go backwards.
            .with_timestamp_ms(now_ms.max(metadata.last_updated_ms()))
            .with_summary(self.summary(change))
            .build())
    }

    fn summary(&self, change: &Change) -> Summary {
        let figures = self.figures.build();
        let before = self.base.metadata.current_snapshot();
        let before = before.map(|snapshot| &snapshot.summary().additional_properties);
        let mut all = change.notes.clone();
        for (total, plus, minus) in TOTALS {
            if let Some(sum) = running_total(before, &figures, [total, plus, minus]) {
                all.insert(total.to_owned(), sum.to_string());
            }
        }
        all.extend(figures);
        Summary {
            operation: match (change.same_rows, change.remove.is_empty()) {
                (true, _) => Operation::Replace,
                (false, true) => Operation::Append,
                (false, false) if change.add.is_empty() => Operation::Delete,
                (false, false) => Operation::Overwrite,
            },
            additional_properties: all,
        }
    }
}

/// Running totals of a summary, what adds to each, and what takes away.
const TOTALS: [(&str, &str, &str); 6] = [
    ("total-data-files", "added-data-files", "deleted-data-files"),
    (
        "total-delete-files",
        "added-delete-files",
        "removed-delete-files",
    ),
    ("total-records", "added-records", "deleted-records"),
    ("total-files-size", "added-files-size", "removed-files-size"),
    (
        "total-position-deletes",
        "added-position-deletes",
        "removed-position-deletes",
    ),
    (
        "total-equality-deletes",
        "added-equality-deletes",
        "removed-equality-deletes",
    ),
];

/// Returns a total after a change; `None` when the snapshot before does not say what it was.
fn running_total(
    before: Option<&HashMap<String, String>>,
    figures: &HashMap<String, String>,
    [total, plus, minus]: [&str; 3],
) -> Option<u64> {
    let figure = |name| {
        figures
            .get(name)
            .and_then(|text: &String| text.parse().ok())
    };
    let start = match before {
        None => 0,
        Some(before) => before.get(total)?.parse::<u64>().ok()?,
    };
    (start + figure(plus).unwrap_or(0)).checked_sub(figure(minus).unwrap_or(0))
}

/// Returns the sequence numbers that an entry keeps: its data's and its file's.
fn sequence(entry: &ManifestEntry) -> Result<(i64, Option<i64>)> {
    let of_data = entry.sequence_number().ok_or_else(|| {
        Error::new(
            ErrorKind::DataInvalid,
            "a manifest entry without a sequence number",
        )
        .with_context("location", entry.file_path())
    })?;
    Ok((of_data, entry.file_sequence_number.or(Some(of_data))))
}

/// Returns an id that no snapshot of the table has.
fn snapshot_id(metadata: &TableMetadata) -> i64 {
    loop {
        let (time, random) = Uuid::now_v7().as_u64_pair();
        let mixed = time ^ random.rotate_left(17);
        if let Ok(id) = i64::try_from(mixed >> 1)
            && id > 0
            && metadata.snapshot_by_id(id).is_none()
        {
            return id;
        }
    }
}

fn live_files(manifest: &ManifestFile) -> u64 {
    let counts = [manifest.added_files_count, manifest.existing_files_count];
    counts.into_iter().flatten().map(u64::from).sum()
}

/// Returns the snapshots that a commit takes out of the metadata, so that its size does not grow with the number of
/// commits: where the table asks for it, all but the newest and those that branches and tags name.
fn outgrown(metadata: &TableMetadata) -> Vec<i64> {
    let keep = metadata.properties().get(KEEP_SNAPSHOTS);
    let Some(keep) = keep.and_then(|keep| keep.parse::<usize>().ok()) else {
        return Vec::new();
    };
    // In batches: to find out what branches and tags name takes time.
    if metadata.snapshots().len() <= keep.saturating_add(keep / 8) {
        return Vec::new();
    }
    let keep = Keep {
        last: keep,
        since_ms: i64::MAX,
    };
    keep.outdated(metadata)
}
