//! Random schedules against a model: whatever is sent, again, mixed anew, compacted, expired, cleared away, with answers
//! lost and processes ended, the table holds what the model says.

use std::collections::BTreeMap;

use object_store::memory::InMemory;
use proptest::prelude::*;
use swath_core::message::RemovedItem;

use super::*;
use crate::pointer::MemoryPointer;
use crate::{Batch, Compaction};

/// One step of a schedule; items and versions are small numbers, so that they meet.
#[derive(Clone, Debug)]
enum Step {
    /// New versions of items, in one commit.
    Write(Vec<(u8, u8)>),
    /// Files that were written before, some of them, in one commit.
    Again(Vec<usize>),
    /// An item is gone, as of a version.
    Remove(u8, u8),
    Compact,
    Manifests,
    Expire,
    Orphans,
    Index,
    LoseIndex,
    /// The next swap meets this.
    Meet(Fault),
    /// The process ends, with all that it remembered.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let faults = [Fault::Before, Fault::BeforeUnknown, Fault::LostReply];
    prop_oneof![
        4 => prop::collection::vec((0..5_u8, 0..6_u8), 1..4).prop_map(Step::Write),
        4 => prop::collection::vec(0..20_usize, 1..5).prop_map(Step::Again),
        1 => (0..5_u8, 0..6_u8).prop_map(|(item, version)| Step::Remove(item, version)),
        2 => Just(Step::Compact),
        1 => Just(Step::Manifests),
        1 => Just(Step::Expire),
        1 => Just(Step::Orphans),
        1 => Just(Step::Index),
        1 => Just(Step::LoseIndex),
        2 => (0..3_usize).prop_map(move |at| Step::Meet(faults[at])),
        1 => Just(Step::Restart),
    ]
}

/// Which cells a version of an item lies in: one, the other, or both.
fn cells(item: u8, version: u8) -> &'static [&'static str] {
    match (item + version) % 3 {
        0 => &[CELL],
        1 => &[OTHER_CELL],
        _ => &[CELL, OTHER_CELL],
    }
}

fn instant(version: u8) -> String {
    format!("2024-01-{:02}T00:00:00Z", version + 1)
}

fn version_of(item: u8, version: u8) -> ItemRow {
    let year = 2023 + u32::from(version % 2);
    let datetime = format!("{year}-06-01T00:00:00Z");
    item_of(&datetime, &format!("item{item}"), Some(&instant(version)))
}

/// Rows: the version of each item, and in which cells it lies.
type Rows = BTreeMap<u8, (u8, BTreeSet<&'static str>)>;

/// A file as it was written: its rows all lie in one cell and year.
struct Sent {
    file: WrittenFile,
    cell: &'static str,
    rows: Vec<(u8, u8)>,
}

struct Machine {
    world: World,
    lake: Lake,
    sent: Vec<Sent>,
    model: Rows,
    steps: i64,
}

/// In seconds.
const HUNDRED_YEARS: i64 = 100 * 365 * 86_400;

/// Tries again at once, at a time that goes on.
#[derive(Debug)]
struct At(i64);

#[async_trait]
impl Pace for At {
    fn now(&self) -> OffsetDateTime {
        datetime!(2025-01-01 0:00 UTC) + Duration::from_secs(self.0.unsigned_abs())
    }

    async fn again(&self, attempts: u32) -> bool {
        attempts < 9
    }
}

impl Machine {
    async fn new() -> Self {
        let store = Arc::new(InMemory::new());
        let pointer = FaultyPointer::new(Arc::new(MemoryPointer::default()));
        let world = World {
            folder: tempfile::tempdir().unwrap(),
            place: Place::new(store, Path::default(), "s3://bucket"),
            pointer: Arc::new(pointer),
        };
        Self {
            lake: world.lake().await,
            world,
            sent: Vec::new(),
            model: Rows::new(),
            steps: 0,
        }
    }

    async fn take(&mut self, step: &Step) {
        self.steps += 1;
        let pace = At(self.steps * 60);
        match step {
            Step::Write(versions) => {
                let sent = self.write(versions).await;
                self.commit(sent, &pace).await;
            }
            Step::Again(picks) => {
                let all = self.sent.len().max(1);
                let picks = picks
                    .iter()
                    .map(|at| at % all)
                    .filter(|at| *at < self.sent.len());
                self.commit(picks.collect(), &pace).await;
            }
            Step::Remove(item, version) => self.remove(*item, *version, &pace).await,
            Step::Compact => {
                let how = Compaction::default();
                self.lake.compact(ITEMS, &how, false, &pace).await.unwrap();
            }
            Step::Manifests => {
                self.lake
                    .rewrite_manifests(ITEMS, false, &pace)
                    .await
                    .unwrap();
            }
            Step::Expire => {
                // Metadata without a new snapshot bear the system's time, which is past the schedule's: so is this.
                let keep = (1, Duration::from_mins(1));
                let late = At(HUNDRED_YEARS);
                self.lake.expire(ITEMS, keep, false, &late).await.unwrap();
            }
            Step::Orphans => {
                let grace = crate::LEAST_GRACE;
                let later = datetime!(2100-01-01 0:00 UTC);
                self.lake
                    .clear_orphans(ITEMS, grace, later, false)
                    .await
                    .unwrap();
            }
            Step::Index => {
                let index = self.lake.maintain_index(false).await.unwrap();
                assert_eq!(index.files, index.files_covered);
            }
            Step::LoseIndex => self.lose_index().await,
            Step::Meet(fault) => self.world.pointer.meet([*fault]),
            Step::Restart => self.lake = self.world.lake().await,
        }
    }

    /// Writes the versions' files, one per cell and year; returns their places among those sent.
    async fn write(&mut self, versions: &[(u8, u8)]) -> Vec<usize> {
        let mut files: BTreeMap<(&'static str, u8), BTreeSet<(u8, u8)>> = BTreeMap::new();
        for (item, version) in versions {
            for cell in cells(*item, *version) {
                let rows = files.entry((cell, version % 2)).or_default();
                rows.insert((*item, *version));
            }
        }
        let first = self.sent.len();
        for ((cell, _), rows) in files {
            let items: Vec<_> = rows.iter().map(|(i, v)| version_of(*i, *v)).collect();
            let file = self.world.write(cell, &items).await;
            let rows = rows.into_iter().collect();
            self.sent.push(Sent { file, cell, rows });
        }
        (first..self.sent.len()).collect()
    }

    async fn commit(&mut self, picks: Vec<usize>, pace: &At) {
        let mut files = Vec::new();
        for at in picks {
            let sent = &self.sent[at];
            // One that was cleared away since can only be quarantined.
            match self.lake.inspect(ITEMS, &sent.file).await {
                Ok(file) => files.push(file),
                Err(LakeError::Missing { .. }) => continue,
                Err(error) => panic!("{error}"),
            }
            for (item, version) in &sent.rows {
                let row = self
                    .model
                    .entry(*item)
                    .or_insert((*version, BTreeSet::new()));
                if *version > row.0 {
                    *row = (*version, BTreeSet::new());
                }
                if *version == row.0 {
                    row.1.insert(sent.cell);
                }
            }
        }
        self.lake.commit(ITEMS, &files, &[], pace).await.unwrap();
    }

    async fn remove(&mut self, item: u8, version: u8, pace: &At) {
        let as_of = datetime!(2024-01-01 0:00 UTC) + Duration::from_hours(24 * u64::from(version));
        let gone = [RemovedItem {
            collection: Some("c".to_owned()),
            id: format!("item{item}"),
            as_of,
        }];
        let batch = Batch {
            table: ITEMS,
            files: &[],
            gone: &gone,
            runs: &[],
        };
        self.lake.change(&batch, pace).await.unwrap();
        if self.model.get(&item).is_some_and(|row| row.0 <= version) {
            self.model.remove(&item);
        }
    }

    async fn lose_index(&self) {
        let store = &self.world.place.store;
        let prefix = Path::from(crate::index::FOLDER);
        let listed = store.list_with_delimiter(Some(&prefix)).await.unwrap();
        for meta in listed.objects {
            store.delete(&meta.location).await.unwrap();
        }
    }

    /// The table is sound (one line of history, no file twice, all there, figures right) and holds what the model says,
    /// each row once.
    async fn agrees(&self) {
        let lake = self.world.lake().await;
        check(&lake, ITEMS).await;
        let mut found: Vec<(String, String, String)> = Vec::new();
        for location in live_files(&lake, ITEMS).await {
            let path = lake.place().path_of(&location).unwrap();
            let bytes = lake.place().store.get(&path).await.unwrap();
            let (_, rest) = location.split_once("grid_partition=").unwrap();
            let cell = rest.split_once('/').unwrap().0;
            for text in read_items(bytes.bytes().await.unwrap()).unwrap() {
                let item: serde_json::Value = serde_json::from_str(&text).unwrap();
                let word = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
                let updated = word(&item["properties"]["updated"]);
                found.push((word(&item["id"]), updated, cell.to_owned()));
            }
        }
        found.sort();
        let rows = self.model.iter().flat_map(|(item, (version, cells))| {
            let row =
                move |cell: &&str| (format!("item{item}"), instant(*version), (*cell).to_owned());
            cells.iter().map(row)
        });
        let mut expected: Vec<_> = rows.collect();
        expected.sort();
        assert_eq!(found, expected);
        let sound = lake.examine().await.unwrap();
        assert_eq!(sound.faults, []);
    }
}

/// Runs a schedule, with a look at everything after every step.
fn run(steps: &[Step]) {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    runtime.block_on(async {
        let mut machine = Machine::new().await;
        for step in steps {
            machine.take(step).await;
            machine.agrees().await;
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn k4_any_schedule_ends_as_the_model_says(steps in prop::collection::vec(step(), 1..14)) {
        run(&steps);
    }
}

/// C7: {A,B} is committed and the answer lost; then {A,C} and {B} come, also after compaction and expiry.
#[test]
fn c7_recomposed_batches_add_nothing_twice_also_after_compaction_and_expiry() {
    let (a, b, c) = ((0, 1), (1, 1), (2, 1));
    let upkeep = [Step::Compact, Step::Manifests, Step::Expire, Step::Orphans];
    for maintained in [false, true] {
        for index in [Step::Index, Step::LoseIndex, Step::Restart] {
            let mut steps = vec![
                Step::Write(vec![a]),
                Step::Meet(Fault::LostReply),
                Step::Write(vec![a, b]),
            ];
            steps.extend(upkeep.iter().filter(|_| maintained).cloned());
            steps.extend([index, Step::Write(vec![a, c]), Step::Write(vec![b])]);
            steps.extend([Step::Restart, Step::Again((0..8).collect())]);
            run(&steps);
        }
    }
}
