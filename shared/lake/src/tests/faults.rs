use swath_core::{Class, Classify as _};

use super::*;

/// Lets another writer commit between attempts.
#[derive(Debug)]
struct OthersCommit(Lake, WrittenFile);

#[async_trait]
impl Pace for OthersCommit {
    fn now(&self) -> OffsetDateTime {
        datetime!(2024-06-01 12:00 UTC)
    }

    async fn again(&self, attempts: u32) -> bool {
        commit(&self.0, &[&self.1]).await;
        attempts < 3
    }
}

/// Commits one file while swaps meet faults, and returns how it ended and what the table holds then.
async fn commit_through(
    faults: &[Fault],
    tries: u32,
) -> (World, Result<Committed, LakeError>, Vec<String>) {
    let world = World::new();
    let lake = world.lake().await;
    let before = world.write(CELL, &[item("before", None)]).await;
    commit(&lake, &[&before]).await;
    let file = world.write(CELL, &[item("a", None), item("b", None)]).await;
    world.pointer.meet(faults.iter().copied());
    let ended = try_commit(&lake, &[&file], tries).await;
    world.pointer.recover();
    let found = ids(&world.lake().await).await;
    check(&lake, ITEMS).await;
    (world, ended, found)
}

/// C2: the client asks again by itself and is refused because of its own success.
#[tokio::test]
async fn c2_a_lost_reply_commits_once() {
    for fault in [Fault::LostReply, Fault::RefusedReply] {
        // With no time for another attempt as well.
        for tries in [1, 5] {
            let (_, ended, found) = commit_through(&[fault], tries).await;
            let committed = ended.unwrap();
            assert_eq!(committed.total().rows_added, 2, "{fault:?}");
            assert!(committed.snapshot_id.is_some());
            assert_eq!(found, ["a", "b", "before"], "{fault:?}, {tries} tries");
        }
    }
}

/// C5: others were first, up to twelve times; the ninth is one too many for a budget of eight attempts.
#[tokio::test]
async fn c5_a_commit_is_refused_as_often_as_its_time_allows() {
    for refusals in 0..=12 {
        let faults = vec![Fault::Refused; refusals];
        let (world, ended, found) = commit_through(&faults, 8).await;
        if refusals < 8 {
            let attempts = ended.unwrap().attempts as usize;
            assert_eq!((attempts, found.len()), (refusals + 1, 3));
            continue;
        }
        let error = ended.unwrap_err();
        assert_eq!(error.class(), Class::Conflict, "{error}");
        assert_eq!(found, ["before"]);
        // No file of it was deleted: what was written is taken in by the next delivery.
        let lake = world.lake().await;
        let again = world.write(CELL, &[item("a", None), item("b", None)]).await;
        let committed = try_commit(&lake, &[&again], 99).await.unwrap();
        assert_eq!(committed.total().rows_added, 2);
    }
}

#[tokio::test]
async fn a_swap_that_fails_before_its_effect_is_tried_again() {
    let faults = [Fault::Before, Fault::BeforeUnknown, Fault::Before];
    let (_, ended, found) = commit_through(&faults, 10).await;
    let committed = ended.unwrap();
    assert_eq!((committed.total().rows_added, committed.attempts), (2, 4));
    assert_eq!(found, ["a", "b", "before"]);
}

#[tokio::test]
async fn a_swap_that_never_works_commits_nothing_and_says_so() {
    let (_, ended, found) = commit_through(&[Fault::Before; 3], 3).await;
    assert_eq!(ended.unwrap_err().class(), Class::Transient);
    assert_eq!(found, ["before"]);
}

/// C3: the answer is lost, and the table cannot be asked.
#[tokio::test]
async fn c3_a_commit_of_unknown_outcome_keeps_its_files_and_the_next_delivery_adds_nothing() {
    let (world, ended, found) = commit_through(&[Fault::LostReplyThenDown], 3).await;
    let error = ended.unwrap_err();
    assert_eq!(error.class(), Class::Uncertain, "{error}");
    assert!(matches!(error, LakeError::Unknown { attempts: 3, .. }));
    assert_eq!(found, ["a", "b", "before"]);
    let lake = world.lake().await;
    let again = world.write(CELL, &[item("a", None), item("b", None)]).await;
    let committed = commit(&lake, &[&again]).await;
    assert_eq!(
        (committed.snapshot_id, committed.total().rows_known),
        (None, 2)
    );
    assert_eq!(ids(&lake).await, ["a", "b", "before"]);
}

#[tokio::test]
async fn a_swap_whose_outcome_stays_unknown_is_not_called_a_failure() {
    let (_, ended, found) = commit_through(&[Fault::BeforeUnknown], 1).await;
    assert_eq!(ended.unwrap_err().class(), Class::Uncertain);
    assert_eq!(found, ["before"]);
}

/// C4: a crash after any file of a snapshot was written leaves files that no one refers to, and nothing else.
#[tokio::test]
async fn what_a_crash_leaves_behind_does_no_harm() {
    let (world, ended, _) = commit_through(&[Fault::Before], 1).await;
    assert!(ended.is_err());
    let folder = world
        .folder
        .path()
        .join("warehouse/earthcatalog/stac_items/metadata");
    let left = std::fs::read_dir(&folder).unwrap().count();
    let lake = world.lake().await;
    let file = world.write(CELL, &[item("a", None), item("b", None)]).await;
    let committed = commit(&lake, &[&file]).await;
    assert_eq!((committed.total().rows_added, committed.attempts), (2, 1));
    assert_eq!(ids(&lake).await, ["a", "b", "before"]);
    // One manifest, one list and one metadata file more; those of the crash stay as they were.
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), left + 3);
    check(&lake, ITEMS).await;
}

#[tokio::test]
async fn a_lost_reply_while_others_commit_is_found_in_the_history() {
    let world = World::new();
    let lake = world.lake().await;
    let other = world.lake().await;
    let ours = world.write(CELL, &[item("a", None)]).await;
    let theirs = world.write(CELL, &[item("b", None)]).await;
    let files = inspect(&lake, ITEMS, &[&ours]).await;
    world.pointer.meet([Fault::LostReply]);
    let pace = OthersCommit(other, theirs);
    let committed = lake.commit(ITEMS, &files, &[], &pace).await.unwrap();
    assert_eq!((committed.total().rows_added, committed.attempts), (1, 2));
    assert_eq!(ids(&lake).await, ["a", "b"]);
    assert_ne!(
        lake.counts(ITEMS).await.unwrap().snapshot_id,
        committed.snapshot_id
    );
    check(&lake, ITEMS).await;
}
