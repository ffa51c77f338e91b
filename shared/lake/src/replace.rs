//! A table's rows replaced as a whole, in one snapshot.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use async_trait::async_trait;
use swath_core::{RunId, TableName, digest_hex};
use swath_table::keys::RowKey;

use crate::attempts::{Attempts, Step, Work};
use crate::commit::{Committed, Figures, Pace};
use crate::decide::{Decision, Gone, decide};
use crate::error::LakeError;
use crate::file::NewFile;
use crate::lake::{Base, Lake};
use crate::schema;
use crate::snapshot::{Change, stage};

/// What a snapshot's summary calls the files that replaced all others.
const NOTE: &str = "swath.replace-id";

impl Lake {
    /// Makes the rows of these files all that a table holds, in one snapshot; readers see the old rows or the new ones. Of
    /// versions of one item among them the newest stays. The same again changes nothing, as long as the snapshot that it
    /// became is kept.
    ///
    /// # Errors
    /// As for a commit; also when the table has columns of others, which would be lost.
    pub async fn replace(
        &self,
        table: TableName,
        files: &[NewFile],
        runs: &[RunId],
        pace: &dyn Pace,
    ) -> Result<Committed, LakeError> {
        let mut locations = HashSet::new();
        let files: Vec<&NewFile> = files
            .iter()
            .filter(|file| file.table == table && locations.insert(file.location.as_str()))
            .collect();
        let mut paths: Vec<&[u8]> = files.iter().map(|file| file.path.as_bytes()).collect();
        paths.sort_unstable();
        let names: BTreeSet<&[u8]> = runs.iter().map(|run| run.as_str().as_bytes()).collect();
        let names: Vec<&[u8]> = names.into_iter().collect();
        let work = Replacement {
            lake: self,
            table,
            // The run too: going back to what was there before is no repetition.
            id: digest_hex(&[paths.concat().as_slice(), names.concat().as_slice()], 16),
            runs: runs.iter().map(RunId::as_str).collect::<Vec<_>>().join(","),
            decision: decide(&keys(&files), &[], &Gone::new()),
            files,
            pace,
        };
        let attempts = Attempts {
            lake: self,
            table,
            work: &work,
            pace,
        };
        let ended = attempts.run().await?;
        Ok(Committed {
            table,
            snapshot_id: ended.snapshot_id,
            files: ended.done,
            removed: Vec::new(),
            attempts: ended.attempts,
        })
    }
}

fn keys<'a>(files: &[&'a NewFile]) -> Vec<&'a [RowKey]> {
    files.iter().map(|file| file.keys.as_ref()).collect()
}

struct Replacement<'a> {
    lake: &'a Lake,
    table: TableName,
    id: String,
    runs: String,
    files: Vec<&'a NewFile>,
    decision: Decision,
    pace: &'a dyn Pace,
}

#[async_trait]
impl Work for Replacement<'_> {
    type Done = BTreeMap<String, Figures>;

    async fn prepare(&self, base: &Base) -> Result<Step<Self::Done>, LakeError> {
        let mut snapshots = base.metadata.snapshots();
        let is_this = |id: &String| *id == self.id;
        if snapshots.any(|snapshot| {
            snapshot
                .summary()
                .additional_properties
                .get(NOTE)
                .is_some_and(is_this)
        }) {
            let known = self.files.iter().map(|file| {
                let figures = Figures {
                    rows_known: file.rows(),
                    ..Figures::default()
                };
                (file.path.clone(), figures)
            });
            return Ok(Step::Nothing(known.collect()));
        }
        base.check_spec()?;
        if schema::has_more(self.table, &base.metadata) {
            return Err(LakeError::Foreign {
                table: self.table,
                what: "has columns of others, which a replacement would lose".to_owned(),
            });
        }
        let manifests = base.manifests(self.lake).await?;
        let listed = base.files(self.lake, manifests.iter()).await?;
        let (mut change, figures) = self.added().await?;
        let mut stay = HashSet::new();
        let new: HashSet<&str> = change
            .add
            .iter()
            .map(iceberg::spec::DataFile::file_path)
            .collect();
        let mut remove: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for file in listed.iter().flat_map(|files| files.iter()) {
            if new.contains(file.location.as_str()) {
                stay.insert(file.location.clone());
            } else {
                let gone = remove.entry(file.manifest.to_string()).or_default();
                gone.insert(file.location.clone());
            }
        }
        change.add.retain(|file| !stay.contains(file.file_path()));
        change.remove = remove;
        change.notes = HashMap::from([
            (NOTE.to_owned(), self.id.clone()),
            ("swath.run-ids".to_owned(), self.runs.clone()),
        ]);
        if change.add.is_empty() && change.remove.is_empty() {
            return Ok(Step::Nothing(figures));
        }
        let staged = stage(self.lake, base, manifests, &change, self.pace.now()).await;
        let staged = staged.map_err(LakeError::metadata(self.table, "writing a snapshot"))?;
        Ok(Step::Offer(Box::new(staged), figures))
    }
}

impl Replacement<'_> {
    /// Adds the files, without rows that others of them have in a newer version.
    async fn added(&self) -> Result<(Change, BTreeMap<String, Figures>), LakeError> {
        let (mut change, mut figures) = (Change::default(), BTreeMap::new());
        for (file, fates) in self.files.iter().zip(&self.decision.fates) {
            let keep: Vec<bool> = fates.iter().map(|fate| fate.stays()).collect();
            if keep.iter().all(|stays| *stays) {
                change
                    .add
                    .extend((!keep.is_empty()).then(|| file.facts.clone()));
            } else if keep.contains(&true) {
                let (at, partition) = (&file.location, file.partition.as_ref());
                let rest = self.lake.rewrite(self.table, at, partition, keep).await?;
                change.add.extend(rest.map(|file| file.facts));
            }
            figures.insert(file.path.clone(), Figures::of(fates));
        }
        Ok((change, figures))
    }
}
