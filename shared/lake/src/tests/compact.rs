use super::*;
use crate::{Compaction, LEAST_GRACE};

const HOW: Compaction = Compaction {
    threshold: 2,
    target_bytes: 32 << 20,
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
async fn compaction_keeps_every_row_and_survives_an_append_meanwhile() {
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
async fn of_two_compactions_of_the_same_files_one_is_refused() {
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
async fn orphans_go_when_they_are_old_and_nothing_else_does() {
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
