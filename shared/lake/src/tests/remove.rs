//! Items that are gone.

use swath_core::message::RemovedItem;

use super::*;
use crate::{Batch, Removed};

fn gone(id: &str, as_of: OffsetDateTime) -> RemovedItem {
    RemovedItem {
        collection: Some("c".to_owned()),
        id: id.to_owned(),
        as_of,
    }
}

async fn remove(lake: &Lake, gone: &[RemovedItem]) -> Committed {
    let batch = Batch {
        table: ITEMS,
        files: &[],
        gone,
        runs: &[],
    };
    lake.change(&batch, &Tries::new(3)).await.unwrap()
}

#[tokio::test]
async fn an_item_leaves_every_cell_and_year_and_nothing_else_does() {
    let world = World::new();
    let lake = world.lake().await;
    let files = [
        world.write(CELL, &[item("a", None), item("b", None)]).await,
        world.write(OTHER_CELL, &[item("a", None)]).await,
        world
            .write(CELL, &[item_of("2021-01-01T00:00:00Z", "z", None)])
            .await,
    ];
    commit(&lake, &files.iter().collect::<Vec<_>>()).await;
    let as_of = datetime!(2024-06-01 0:00 UTC);
    let other = RemovedItem {
        collection: None,
        ..gone("b", as_of)
    };
    let asked = [gone("a", as_of), other, gone("none", as_of)];
    let done = remove(&lake, &asked).await;
    assert_eq!(done.removed[0].rows, 2);
    assert_eq!(done.removed[1..], [Removed::default(); 2]);
    assert_eq!(ids(&lake).await, ["b", "z"]);
    check(&lake, ITEMS).await;

    let again = remove(&lake, &asked).await;
    assert_eq!((again.snapshot_id, again.removed[0].rows), (None, 0));
    // The last rows: a snapshot that only takes away.
    remove(&lake, &[gone("b", as_of), gone("z", as_of)]).await;
    assert_eq!(ids(&lake).await, [""; 0]);
    check(&lake, ITEMS).await;
}

#[tokio::test]
async fn what_is_newer_than_the_removal_stays_and_a_lost_answer_changes_nothing() {
    let world = World::new();
    let lake = world.lake().await;
    let newer = item("a", Some("2024-03-01T00:00:00Z"));
    let older = item("b", Some("2024-01-01T00:00:00Z"));
    let file = world.write(CELL, &[newer, older]).await;
    commit(&lake, &[&file]).await;
    let asked = ["a", "b"].map(|id| gone(id, datetime!(2024-02-01 0:00 UTC)));
    world.pointer.meet([Fault::LostReply]);
    let done = remove(&lake, &asked).await;
    let figures = done.removed.iter();
    let figures: Vec<_> = figures.map(|r| (r.rows, r.rows_newer)).collect();
    assert_eq!(figures, [(0, 1), (1, 0)]);
    assert_eq!(ids(&lake).await, ["a"]);
    check(&lake, ITEMS).await;
}
