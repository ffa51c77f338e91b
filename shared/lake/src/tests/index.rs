//! The index against lakes in temporary folders: absent, old, damaged.

use std::path::PathBuf;

use super::*;
use crate::index::FOLDER;

/// Commits files of one item each, by lakes that remember nothing of one another.
async fn filled(world: &World, files: usize) {
    for at in 0..files {
        let file = world.write(CELL, &[item(&format!("i{at:03}"), None)]).await;
        commit(&world.lake().await, &[&file]).await;
    }
}

fn runs(world: &World) -> Vec<PathBuf> {
    let Ok(found) = std::fs::read_dir(world.folder.path().join(FOLDER)) else {
        return Vec::new();
    };
    found.map(|entry| entry.unwrap().path()).collect()
}

/// Sends old and new items again, in one file whose ids span all others: nothing comes twice.
async fn nothing_comes_twice(world: &World, new: &str) {
    let lake = world.lake().await;
    let before = ids(&lake).await;
    let batch = [item("i000", None), item(new, None), item("i011", None)];
    let file = world.write(CELL, &batch).await;
    let total = commit(&lake, &[&file]).await.total();
    assert_eq!((total.rows_added, total.rows_known), (1, 2));
    let mut after = before;
    after.push(new.to_owned());
    after.sort();
    assert_eq!(ids(&lake).await, after);
    check(&lake, ITEMS).await;
}

#[tokio::test]
async fn commits_keep_the_index_and_its_runs_few() {
    let world = World::new();
    filled(&world, 20).await;
    let index = world.lake().await.index().await.unwrap();
    assert_eq!((index.files, index.files_covered), (20, 20));
    assert!(index.runs < 10, "{index:?}");
    nothing_comes_twice(&world, "i011b").await;
}

#[tokio::test]
async fn files_that_cannot_hold_an_item_are_not_read() {
    let world = World::new();
    filled(&world, 12).await;
    let lake = world.lake().await;
    // Far enough on that files are looked up rather than read, though the first of these commits may leave one read.
    let items = BTreeSet::from([(Some("c".to_owned()), "i008".to_owned())]);
    let found = lake.look_up(&items).await;
    assert_eq!((found.covered.len(), found.holding.len()), (12, 1));
    // All but the one that holds the item are taken away: a commit that read them would fail.
    let holding = found.holding.iter().next().unwrap();
    for (below, _) in found.covered.iter().filter(|(below, _)| *below != holding) {
        std::fs::remove_file(world.folder.path().join(below)).unwrap();
    }
    let file = world
        .write(
            CELL,
            &[
                item("i000", Some("2024-01-01T00:00:00Z")),
                item("i008", None),
            ],
        )
        .await;
    let error = try_commit(&lake, &[&file], 1).await.unwrap_err();
    assert!(matches!(error, LakeError::Dangling { .. }), "{error}");
    let file = world
        .write(CELL, &[item("h", None), item("i008", None)])
        .await;
    let total = commit(&lake, &[&file]).await.total();
    assert_eq!((total.rows_added, total.rows_known), (1, 1));
}

#[tokio::test]
async fn a_new_writer_reads_no_manifest_that_the_index_covers() {
    let world = World::new();
    filled(&world, 12).await;
    let metadata = "warehouse/earthcatalog/stac_items/metadata";
    let metadata = world.folder.path().join(metadata);
    let mut hidden = 0;
    for entry in std::fs::read_dir(&metadata).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains("-m") {
            std::fs::rename(&path, path.with_extension("hidden")).unwrap();
            hidden += 1;
        }
    }
    assert!(hidden >= 12);
    let file = world.write(CELL, &[item("i004b", None)]).await;
    let total = commit(&world.lake().await, &[&file]).await.total();
    assert_eq!(total.rows_added, 1);
    // One that the index finds a row of is looked up in the manifests that list its partition.
    let file = world.write(CELL, &[item("i004", None)]).await;
    let lake = world.lake().await;
    try_commit(&lake, &[&file], 1).await.unwrap_err();
    // Without the cover all manifests are read.
    for run in runs(&world) {
        if run.extension().is_some_and(|ending| ending == "cover") {
            std::fs::remove_file(run).unwrap();
        }
    }
    let file = world.write(CELL, &[item("i005b", None)]).await;
    let lake = world.lake().await;
    try_commit(&lake, &[&file], 1).await.unwrap_err();
    for entry in std::fs::read_dir(&metadata).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "hidden") {
            std::fs::rename(&path, path.with_extension("avro")).unwrap();
        }
    }
    nothing_comes_twice(&world, "i004c").await;
}

#[tokio::test]
async fn an_index_that_is_absent_old_or_damaged_costs_time_only() {
    let world = World::new();
    filled(&world, 12).await;
    for run in runs(&world) {
        std::fs::remove_file(run).unwrap();
    }
    nothing_comes_twice(&world, "absent").await;
    let learnt = world.lake().await.index().await.unwrap();
    assert!(learnt.files_covered >= 12, "{learnt:?}");

    // Old: half of it is gone.
    filled(&world, 30).await;
    for run in runs(&world).into_iter().step_by(2) {
        std::fs::remove_file(run).unwrap();
    }
    nothing_comes_twice(&world, "old").await;

    for run in runs(&world) {
        let mut bytes = std::fs::read(&run).unwrap();
        let middle = bytes.len() / 3;
        bytes[middle] ^= 1;
        std::fs::write(run, bytes).unwrap();
    }
    nothing_comes_twice(&world, "damaged").await;
    let lake = world.lake().await;
    let mended = lake.maintain_index(false).await.unwrap();
    assert_eq!(mended.files, mended.files_covered);
    assert_eq!(mended.runs, 1);
    assert!(mended.runs_cleared > 0);
    nothing_comes_twice(&world, "mended").await;
}

#[tokio::test]
async fn what_is_replaced_leaves_the_index_with_maintenance() {
    let world = World::new();
    filled(&world, 12).await;
    let lake = world.lake().await;
    let how = crate::Compaction::default();
    let pace = Tries::new(1);
    lake.compact(ITEMS, &how, false, &pace).await.unwrap();
    let old = world.lake().await.index().await.unwrap();
    assert_eq!((old.files, old.files_covered), (1, 0));
    let lake = world.lake().await;
    let new = lake.maintain_index(false).await.unwrap();
    assert_eq!((new.files, new.files_covered, new.runs), (1, 1, 1));
    let found = lake.look_up(&BTreeSet::new()).await;
    assert_eq!(found.covered.len(), 1);
    nothing_comes_twice(&world, "after").await;
}
