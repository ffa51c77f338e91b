use iceberg::spec::{Transform, UnboundPartitionSpec};

use super::*;
use crate::{Compaction, LEAST_GRACE};

const HOW: Compaction = Compaction {
    threshold: 2,
    target_bytes: 32 << 20,
    most_bytes: None,
};

/// A lake with six files of one cell and one of another.
async fn with_files() -> (World, Lake) {
    let world = World::new();
    let lake = world.lake().await;
    for number in 0..6 {
        let rows = [
            item(&format!("i{number}"), Some("2024-02-01T00:00:00Z")),
            item(&format!("a{number}"), None),
        ];
        let file = world.write(CELL, &rows).await;
        commit(&lake, &[&file]).await;
    }
    let other = world
        .write(OTHER_CELL, &[item("i0", Some("2024-02-01T00:00:00Z"))])
        .await;
    commit(&lake, &[&other]).await;
    (world, lake)
}

/// Commits a file between attempts, and loses the first swap.
#[derive(Debug)]
struct OthersCommit<'a>(&'a Lake, &'a WrittenFile);

#[async_trait]
impl Pace for OthersCommit<'_> {
    fn now(&self) -> OffsetDateTime {
        datetime!(2024-06-01 12:00 UTC)
    }

    async fn again(&self, attempts: u32) -> bool {
        commit(self.0, &[self.1]).await;
        attempts < 3
    }
}

/// K1, K7 and C7.
#[tokio::test]
async fn k1_k7_compaction_keeps_every_row_and_survives_an_append_meanwhile() {
    let (world, lake) = with_files().await;
    let before = rows(&lake).await;
    let dry = lake
        .compact(ITEMS, &HOW, true, &Tries::new(1))
        .await
        .unwrap();
    assert_eq!(
        (dry.buckets_compacted, dry.files_before, dry.files_after),
        (1, 6, 1)
    );
    assert_eq!(lake.counts(ITEMS).await.unwrap().files, 7);
    let fresh = world.write(CELL, &[item("late", None)]).await;
    world.pointer.meet([Fault::Before]);
    let other = world.lake().await;
    let done = lake
        .compact(ITEMS, &HOW, false, &OthersCommit(&other, &fresh))
        .await
        .unwrap();
    assert!(done.snapshot_id.is_some());
    assert_eq!(
        (done.buckets_scanned, done.files_before, done.files_after),
        (2, 6, 1)
    );
    let mut expected = before;
    expected.push(("late".to_owned(), None));
    expected.sort();
    let lake = world.lake().await;
    assert_eq!(rows(&lake).await, expected);
    assert_eq!(lake.counts(ITEMS).await.unwrap().files, 3);
    check(&lake, ITEMS).await;
    let snapshots = lake.snapshots(ITEMS).await.unwrap();
    assert_eq!(snapshots.last().unwrap().operation, "replace");
    // Rows that lie in the compacted file now are known all the same.
    let again = world
        .write(CELL, &[item("a3", None), item("late", None)])
        .await;
    assert_eq!(commit(&lake, &[&again]).await.snapshot_id, None);
}

/// K2 and K3.
#[tokio::test]
async fn k2_k3_of_two_compactions_of_the_same_files_one_is_refused() {
    let (world, lake) = with_files().await;
    let before = rows(&lake).await;
    let others: Arc<Lake> = Arc::new(world.lake().await);
    world.pointer.meet([Fault::Before]);
    let pace = OthersCompact(Arc::clone(&others));
    let error = lake.compact(ITEMS, &HOW, false, &pace).await.unwrap_err();
    assert!(matches!(error, LakeError::InputsGone { .. }), "{error}");
    assert_eq!(rows(&world.lake().await).await, before);
    check(&others, ITEMS).await;
}

/// Compacts between attempts.
#[derive(Debug)]
struct OthersCompact(Arc<Lake>);

#[async_trait]
impl Pace for OthersCompact {
    fn now(&self) -> OffsetDateTime {
        datetime!(2024-06-01 12:00 UTC)
    }

    async fn again(&self, attempts: u32) -> bool {
        // Into two files, so that their names differ from that of the other's one.
        let how = Compaction {
            target_bytes: 60_000,
            ..HOW
        };
        self.0
            .compact(ITEMS, &how, false, &Tries::new(1))
            .await
            .unwrap();
        attempts < 3
    }
}

/// K6: files that no snapshot has are cleared away, but not before they are a day old, and none that one has.
#[tokio::test]
async fn k6_orphans_go_when_they_are_old_and_nothing_else_does() {
    let (world, lake) = with_files().await;
    let never = world.write(CELL, &[item("never committed", None)]).await;
    lake.compact(ITEMS, &HOW, false, &Tries::new(1))
        .await
        .unwrap();
    let written = std::fs::metadata(world.folder.path().join(&never.path)).unwrap();
    let now = OffsetDateTime::from(written.modified().unwrap());
    let young = lake
        .clear_orphans(ITEMS, Duration::ZERO, now, false)
        .await
        .unwrap();
    assert_eq!((young.files_young, young.cleared.len()), (1, 0));
    let later = now + LEAST_GRACE + Duration::from_mins(1);
    let dry = lake
        .clear_orphans(ITEMS, Duration::ZERO, later, true)
        .await
        .unwrap();
    assert_eq!(dry.cleared.len(), 1);
    let before = rows(&lake).await;
    // Without the old snapshots, their files go too.
    let pace = Tries::new(1);
    lake.expire(ITEMS, (1, Duration::ZERO), false, &LongAfter)
        .await
        .unwrap();
    let done = lake
        .clear_orphans(ITEMS, Duration::ZERO, later, false)
        .await
        .unwrap();
    let data = done.cleared.iter().filter(|path| path.contains("/year="));
    assert_eq!(data.count(), 7);
    let lake = world.lake().await;
    assert_eq!(rows(&lake).await, before);
    check(&lake, ITEMS).await;
    let again = lake
        .clear_orphans(ITEMS, Duration::ZERO, later, false)
        .await
        .unwrap();
    assert_eq!(again.cleared, Vec::<String>::new());
    // C7: after compaction and expiry as well, what was there is known.
    let old = world
        .write(CELL, &[item("a1", None), item("new", None)])
        .await;
    let files = inspect(&lake, ITEMS, &[&old]).await;
    let committed = lake.commit(ITEMS, &files, &[], &pace).await.unwrap();
    assert_eq!(
        (committed.total().rows_known, committed.total().rows_added),
        (1, 1)
    );
}

#[tokio::test]
async fn a_compaction_with_a_limit_leaves_the_rest_for_the_next_time() {
    let (_world, lake) = with_files().await;
    let before = rows(&lake).await;
    // Two files a group, and a group a time.
    let sizes = lake.parts().await.unwrap();
    let size = sizes.iter().map(|part| part.size_bytes / part.files).max();
    let how = Compaction {
        target_bytes: size.unwrap() * 5 / 2,
        most_bytes: Some(1),
        ..HOW
    };
    for (left, waiting) in [(6, 4), (5, 2), (4, 2)] {
        let pace = Tries::new(1);
        let done = lake.compact(ITEMS, &how, false, &pace).await.unwrap();
        assert_eq!((done.files_before, done.files_waiting), (2, waiting));
        assert_eq!(lake.counts(ITEMS).await.unwrap().files, left);
    }
    assert_eq!(rows(&lake).await, before);
    check(&lake, ITEMS).await;
}

/// A function whose time is nearly over.
#[derive(Debug)]
struct Late;

#[async_trait]
impl Pace for Late {
    fn now(&self) -> OffsetDateTime {
        datetime!(2024-06-01 12:00 UTC)
    }

    async fn again(&self, _: u32) -> bool {
        false
    }

    fn may_go_on(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn a_compaction_that_runs_out_of_time_commits_what_it_has_merged() {
    let (_world, lake) = with_files().await;
    let before = rows(&lake).await;
    let sizes = lake.parts().await.unwrap();
    let size = sizes.iter().map(|part| part.size_bytes / part.files).max();
    let how = Compaction {
        target_bytes: size.unwrap() * 5 / 2,
        ..HOW
    };
    let done = lake.compact(ITEMS, &how, false, &Late).await.unwrap();
    assert_eq!((done.files_before, done.files_waiting), (2, 4));
    assert!(done.snapshot_id.is_some());
    assert_eq!(lake.counts(ITEMS).await.unwrap().files, 6);
    assert_eq!(rows(&lake).await, before);
    check(&lake, ITEMS).await;
}

/// K8: what is not touched keeps its sequence numbers and its partition spec through merged manifests and compaction, and
/// files of another spec are left as they are.
#[tokio::test]
async fn k8_sequence_numbers_and_files_of_another_partition_spec_stay_as_they_are() {
    let (_world, lake) = with_files().await;
    let before = entries(&lake).await;
    lake.rewrite_manifests(ITEMS, false, &Tries::new(1))
        .await
        .unwrap();
    assert_eq!(entries(&lake).await, before);
    // Merging the six files of one cell leaves that of the other as it was.
    lake.compact(ITEMS, &HOW, false, &Tries::new(1))
        .await
        .unwrap();
    let after = entries(&lake).await;
    assert_eq!(
        after.iter().filter(|entry| before.contains(entry)).count(),
        1
    );

    // Others have given the table another spec: what there is now is of the old one.
    let (world, lake) = with_files().await;
    let before = entries(&lake).await;
    let base = lake.base(ITEMS).await.unwrap();
    let spec = UnboundPartitionSpec::builder()
        .add_partition_field(2, "cell_only", Transform::Identity)
        .unwrap()
        .build();
    let changed = base.change().add_default_partition_spec(spec).unwrap();
    let changed = changed.build().unwrap().metadata;
    let at = base.next_location(&changed);
    changed.write_to(&lake.io, &at).await.unwrap();
    let (pointer, to) = (&lake.pointer, at.to_string());
    let swapped = pointer.swap(ITEMS, Some(&base.pointed), &to).await;
    assert_eq!(swapped.unwrap(), crate::pointer::Swap::Swapped);
    let left = lake
        .compact(ITEMS, &HOW, false, &Tries::new(1))
        .await
        .unwrap();
    assert_eq!((left.snapshot_id, left.files_before), (None, 0));
    lake.rewrite_manifests(ITEMS, false, &Tries::new(1))
        .await
        .unwrap();
    assert_eq!(entries(&lake).await, before);
    // Nor can files of ours be added: that is said, and nothing changes.
    let file = world.write(CELL, &[item("late", None)]).await;
    let error = try_commit(&lake, &[&file], 1).await.unwrap_err();
    assert!(matches!(error, LakeError::Foreign { .. }), "{error}");
    assert_eq!(entries(&lake).await, before);
}

/// The location, sequence number and partition spec of every live file.
async fn entries(lake: &Lake) -> BTreeSet<(String, Option<i64>, i32)> {
    let base = lake.base(ITEMS).await.unwrap();
    let mut all = BTreeSet::new();
    for manifest in base.manifests(lake).await.unwrap() {
        let read = manifest.load_manifest(&lake.io).await.unwrap();
        let alive = read.entries().iter().filter(|entry| entry.is_alive());
        all.extend(alive.map(|entry| {
            let spec = manifest.partition_spec_id;
            (entry.file_path().to_owned(), entry.sequence_number(), spec)
        }));
    }
    all
}

#[derive(Debug)]
struct LongAfter;

#[async_trait]
impl Pace for LongAfter {
    fn now(&self) -> OffsetDateTime {
        datetime!(2100-01-01 00:00 UTC)
    }

    async fn again(&self, _: u32) -> bool {
        false
    }
}
