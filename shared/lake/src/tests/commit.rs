use swath_core::{Class, Classify as _};

use super::*;

const EARLY: Option<&str> = Some("2024-02-01T00:00:00Z");
const LATE: Option<&str> = Some("2024-03-01T00:00:00Z");

#[tokio::test]
async fn a_batch_becomes_one_snapshot_with_figures_and_marks() {
    let world = World::new();
    let lake = world.lake().await;
    let one = world.write(CELL, &[item("a", None), item("b", None)]).await;
    let two = world.write(OTHER_CELL, &[item("a", None)]).await;
    let committed = commit(&lake, &[&one, &two, &one]).await;
    assert_eq!(
        (
            committed.total().files_added,
            committed.total().rows_added,
            committed.total().rows_known
        ),
        (2, 3, 0)
    );
    let counts = lake.counts(ITEMS).await.unwrap();
    assert_eq!((counts.files, counts.rows, counts.partitions), (2, 3, 2));
    assert_eq!(counts.snapshot_id, committed.snapshot_id);
    assert_eq!(lake.distinct_items().await.unwrap(), 2);
    let base = lake.base(ITEMS).await.unwrap();
    let summary = &base
        .metadata
        .current_snapshot()
        .unwrap()
        .summary()
        .additional_properties;
    assert_eq!(summary["added-records"], "3");
    assert_eq!(summary["changed-partition-count"], "2");
    assert_eq!(
        summary["total-files-size"],
        (one.size_bytes + two.size_bytes).to_string()
    );
    assert_eq!(summary["total-position-deletes"], "0");
    assert_eq!(summary["swath.run-ids"], "r1");
    assert_eq!(summary["swath.commit-id"].len(), 32);
    check(&lake, ITEMS).await;
}

#[tokio::test]
async fn nothing_new_makes_no_snapshot() {
    let world = World::new();
    let lake = world.lake().await;
    assert_eq!(commit(&lake, &[]).await.snapshot_id, None);
    let file = world.write(CELL, &[item("a", None)]).await;
    commit(&lake, &[&file]).await;
    let before = lake.counts(ITEMS).await.unwrap();
    // The same lake, and one that has nothing in its cache.
    for lake in [&lake, &world.lake().await] {
        let again = commit(lake, &[&file]).await;
        assert_eq!(
            (
                again.snapshot_id,
                again.total().rows_added,
                again.total().rows_known
            ),
            (None, 0, 1)
        );
        assert_eq!(lake.counts(ITEMS).await.unwrap(), before);
    }
}

#[tokio::test]
async fn recomposed_batches_add_each_row_once() {
    let world = World::new();
    let lake = world.lake().await;
    let [a, b, c] = [item("a", EARLY), item("b", EARLY), item("c", EARLY)];
    let ab = world.write(CELL, &[a.clone(), b.clone()]).await;
    let ac = world.write(CELL, &[a, c]).await;
    let b = world.write(CELL, &[b]).await;
    commit(&lake, &[&ab]).await;
    let lake = world.lake().await;
    let second = commit(&lake, &[&ac, &b]).await;
    assert_eq!(
        (
            second.total().files_added,
            second.total().rows_added,
            second.total().rows_known
        ),
        (1, 1, 2)
    );
    assert_eq!(ids(&lake).await, ["a", "b", "c"]);
    for files in [[&ab, &ac, &b], [&b, &ab, &ac]] {
        assert_eq!(commit(&lake, &files).await.snapshot_id, None);
    }
    check(&lake, ITEMS).await;
}

/// What decides between versions is in their content: no two versions of one content differ in age, so that leaving out
/// what says the same cannot make a row look older than it is, whatever comes late.
#[tokio::test]
async fn c7_the_newest_version_stays_whatever_the_order_and_however_often_it_comes() {
    let versions = [
        vec![item("a", None)],
        vec![item("a", EARLY)],
        vec![item("a", LATE)],
        vec![item_of("2024-05-05T00:00:00Z", "a", None)],
    ];
    let orders: [&[usize]; 6] = [
        &[0, 1, 2, 3, 0, 1],
        &[2, 1, 0, 3, 2, 1],
        &[1, 3, 1, 0, 2, 0],
        &[3, 2, 3, 1, 2, 0],
        &[2, 0, 2, 1, 3, 2],
        &[0, 3, 0, 3, 1, 2],
    ];
    for order in orders {
        let world = World::new();
        let lake = world.lake().await;
        for at in order {
            let file = world.write(CELL, &versions[*at]).await;
            commit(&lake, &[&file]).await;
        }
        let expected = [("a".to_owned(), LATE.map(str::to_owned))];
        assert_eq!(rows(&lake).await, expected, "{order:?}");
    }
    // Without `updated` the content decides, in every order alike.
    let mut ends = BTreeSet::new();
    for order in [[0, 3, 0], [3, 0, 3], [0, 0, 3], [3, 3, 0]] {
        let world = World::new();
        let lake = world.lake().await;
        for at in order {
            let file = world.write(CELL, &versions[at]).await;
            commit(&lake, &[&file]).await;
        }
        assert_eq!(rows(&lake).await.len(), 1);
        let location = live_files(&lake, ITEMS).await.remove(0);
        let path = lake.place().path_of(&location).unwrap();
        let bytes = lake.place().store.get(&path).await.unwrap();
        let text = read_items(bytes.bytes().await.unwrap()).unwrap().remove(0);
        ends.insert(text);
    }
    assert_eq!(ends.len(), 1, "{ends:?}");
}

/// C10.
#[tokio::test]
async fn c10_a_file_that_a_batch_names_twice_is_added_once() {
    let world = World::new();
    let lake = world.lake().await;
    let file = world.write(CELL, &[item("a", None)]).await;
    let committed = commit(&lake, &[&file, &file]).await;
    assert_eq!(committed.total().rows_added, 1);
    assert_eq!(live_files(&lake, ITEMS).await.len(), 1);
    check(&lake, ITEMS).await;
}

#[tokio::test]
async fn files_of_one_batch_that_share_rows_add_each_once() {
    let world = World::new();
    let lake = world.lake().await;
    let [a, b, c] = [item("a", None), item("b", None), item("c", None)];
    let ab = world.write(CELL, &[a.clone(), b.clone()]).await;
    let bc = world.write(CELL, &[b, c]).await;
    let committed = commit(&lake, &[&ab, &bc]).await;
    assert_eq!(
        (committed.total().rows_added, committed.total().rows_known),
        (3, 1)
    );
    assert_eq!(ids(&lake).await, ["a", "b", "c"]);
    check(&lake, ITEMS).await;
}

#[tokio::test]
async fn a_newer_version_replaces_the_older_one_in_the_same_snapshot() {
    let world = World::new();
    let lake = world.lake().await;
    let old = world
        .write(CELL, &[item("a", EARLY), item("b", EARLY)])
        .await;
    let lone = world.write(OTHER_CELL, &[item("a", EARLY)]).await;
    commit(&lake, &[&old, &lone]).await;
    let new = world
        .write(CELL, &[item("a", LATE), item("c", EARLY)])
        .await;
    let new_lone = world.write(OTHER_CELL, &[item("a", LATE)]).await;
    let committed = commit(&lake, &[&new, &new_lone]).await;
    assert_eq!(
        (
            committed.total().rows_added,
            committed.total().versions_replaced
        ),
        (3, 2)
    );
    let own = |id: &str, updated: Option<&str>| (id.to_owned(), updated.map(str::to_owned));
    let expected = [
        own("a", LATE),
        own("a", LATE),
        own("b", EARLY),
        own("c", EARLY),
    ];
    assert_eq!(rows(&lake).await, expected);
    let base = lake.base(ITEMS).await.unwrap();
    let summary = base.metadata.current_snapshot().unwrap().summary();
    assert_eq!(summary.operation, iceberg::spec::Operation::Overwrite);
    assert_eq!(summary.additional_properties["deleted-data-files"], "2");
    check(&lake, ITEMS).await;

    // The old version, delivered again, stays out, whoever asks.
    for lake in [&lake, &world.lake().await] {
        let again = commit(lake, &[&old, &lone]).await;
        assert_eq!(
            (
                again.snapshot_id,
                again.total().versions_kept_out,
                again.total().rows_known
            ),
            (None, 2, 1)
        );
    }
    assert_eq!(rows(&lake).await, expected);
}

#[tokio::test]
async fn a_version_of_another_year_replaces_the_row_in_its_old_partition() {
    let world = World::new();
    let lake = world.lake().await;
    let old = world
        .write(CELL, &[item_of("2023-12-31T23:59:59Z", "a", EARLY)])
        .await;
    commit(&lake, &[&old]).await;
    let new = world
        .write(CELL, &[item_of("2024-01-01T00:00:00Z", "a", LATE)])
        .await;
    let committed = commit(&lake, &[&new]).await;
    assert_eq!(committed.total().versions_replaced, 1);
    assert_eq!(
        rows(&lake).await,
        [("a".to_owned(), LATE.map(str::to_owned))]
    );
    let counts = lake.counts(ITEMS).await.unwrap();
    assert_eq!((counts.files, counts.partitions), (1, 1));
}

#[tokio::test]
async fn a_version_that_moved_leaves_no_rows_behind() {
    let world = World::new();
    let lake = world.lake().await;
    let old = [item("a", EARLY), item("b", EARLY)];
    let old_one = world.write(CELL, &old).await;
    let old_other = world.write(OTHER_CELL, &old[..1]).await;
    commit(&lake, &[&old_one, &old_other]).await;
    // The new version lies in a third cell and in another year.
    let moved = item_of("2023-05-01T00:00:00Z", "a", LATE);
    let new = world.write("8109bffffffffff", &[moved]).await;
    for lake in [world.lake().await, lake] {
        let committed = commit(&lake, &[&new]).await;
        let expected = u64::from(committed.snapshot_id.is_some());
        assert_eq!(committed.total().versions_replaced, expected);
        let own = |id: &str, updated: Option<&str>| (id.to_owned(), updated.map(str::to_owned));
        assert_eq!(rows(&lake).await, [own("a", LATE), own("b", EARLY)]);
        assert_eq!(lake.counts(ITEMS).await.unwrap().partitions, 2);
        // The old version, delivered again in the cells that are free of it now.
        let again = commit(&lake, &[&old_other, &old_one]).await;
        assert_eq!(
            (again.snapshot_id, again.total().versions_kept_out),
            (None, 2)
        );
        check(&lake, ITEMS).await;
    }
}

#[tokio::test]
async fn the_number_of_manifests_does_not_grow_with_the_number_of_commits() {
    let world = World::new();
    let lake = world.lake().await;
    let mut most = 0;
    for count in 0..70 {
        let file = world
            .write(CELL, &[item(&format!("i{count:03}"), None)])
            .await;
        commit(&lake, &[&file]).await;
        let manifests = lake.base(ITEMS).await.unwrap().manifests(&lake).await;
        most = most.max(manifests.unwrap().len());
    }
    assert!(most <= 17, "{most} manifests");
    let found = ids(&world.lake().await).await;
    assert_eq!(found.len(), 70);
    check(&lake, ITEMS).await;
}

#[tokio::test]
async fn outcomes_are_one_row_per_attempt() {
    let world = World::new();
    let lake = world.lake().await;
    let table = TableName::AssetFiles;
    let first = world
        .write_outcomes(&[outcome("a", 1), outcome("b", 1)])
        .await;
    let second = world
        .write_outcomes(&[outcome("a", 2), outcome("b", 1)])
        .await;
    for (file, added, known) in [(&first, 2, 0), (&second, 1, 1), (&first, 0, 2)] {
        let files = inspect(&lake, table, &[file]).await;
        let committed = lake
            .commit(table, &files, &[], &Tries::new(1))
            .await
            .unwrap();
        assert_eq!(
            (committed.total().rows_added, committed.total().rows_known),
            (added, known)
        );
    }
    check(&lake, table).await;
}

/// The range of `last_update` says that the first file cannot have rows of the second: it need not be read.
#[tokio::test]
async fn files_whose_keys_cannot_meet_are_not_read() {
    let world = World::new();
    let lake = world.lake().await;
    let table = TableName::AssetFiles;
    let first = world.write_outcomes(&[outcome("a", 1)]).await;
    let files = inspect(&lake, table, &[&first]).await;
    lake.commit(table, &files, &[], &Tries::new(1))
        .await
        .unwrap();
    let lake = world.lake().await;
    let path = lake.place().path(&first.path).unwrap();
    lake.place().store.delete(&path).await.unwrap();
    let later = world.write_outcomes(&[outcome("a", 2)]).await;
    let files = inspect(&lake, table, &[&later]).await;
    let committed = lake
        .commit(table, &files, &[], &Tries::new(1))
        .await
        .unwrap();
    assert_eq!(committed.total().rows_added, 1);
}

#[tokio::test]
async fn a_file_that_is_not_as_told_is_refused() {
    let world = World::new();
    let lake = world.lake().await;
    let good = world.write(CELL, &[item("a", None)]).await;
    let partition = |cell: &str, year| {
        Some(Partition {
            cell: cell.to_owned(),
            year,
        })
    };
    let wrong = [
        WrittenFile {
            rows: 2,
            ..good.clone()
        },
        WrittenFile {
            size_bytes: 3,
            ..good.clone()
        },
        WrittenFile {
            partition: None,
            ..good.clone()
        },
        WrittenFile {
            partition: partition(OTHER_CELL, 2024),
            ..good.clone()
        },
        WrittenFile {
            partition: partition(CELL, 2023),
            ..good.clone()
        },
        WrittenFile {
            path: "warehouse/none.parquet".to_owned(),
            ..good.clone()
        },
        WrittenFile {
            path: "../x.parquet".to_owned(),
            ..good.clone()
        },
        WrittenFile {
            path: "earthcatalog.db".to_owned(),
            ..good.clone()
        },
    ];
    for told in wrong {
        let error = lake.inspect(ITEMS, &told).await.unwrap_err();
        assert_eq!(error.class(), Class::Invalid, "{told:?}: {error}");
    }
    let error = lake.inspect(TableName::AssetRows, &good).await.unwrap_err();
    assert_eq!(error.class(), Class::Invalid, "{error}");
    assert!(lake.inspect(ITEMS, &good).await.is_ok());
}

#[tokio::test]
async fn metadata_files_older_than_a_hundred_commits_are_cleared_away() {
    let world = World::new();
    let lake = world.lake().await;
    for count in 0..110 {
        let file = world.write(CELL, &[item(&format!("i{count}"), None)]).await;
        commit(&lake, &[&file]).await;
    }
    let folder = world
        .folder
        .path()
        .join("warehouse/earthcatalog/stac_items/metadata");
    let names = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let metadata = names.filter(|name| name.to_string_lossy().ends_with(".metadata.json"));
    assert_eq!(metadata.count(), 101);
    assert_eq!(ids(&world.lake().await).await.len(), 110);
    check(&lake, ITEMS).await;
}

/// C1 and C6: eight lakes on one database, each file delivered to two of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn c1_c6_eight_writers_at_once_lose_nothing_and_add_nothing_twice() {
    let world = Arc::new(World::new());
    world.lake().await;
    let mut files = Vec::new();
    for number in 0..24 {
        let rows = [
            item(&format!("i{number}"), None),
            item(&format!("j{number}"), None),
        ];
        files.push(world.write(CELL, &rows).await);
    }
    let files = Arc::new(files);
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8 {
        let (world, files) = (Arc::clone(&world), Arc::clone(&files));
        writers.spawn(async move {
            let lake = world.lake().await;
            let (mut added, mut attempts) = (0, 0);
            for turn in 0..3 {
                let own = &files[writer * 3 + turn];
                let neighbours = &files[(writer * 3 + turn + 3) % 24];
                let committed = try_commit(&lake, &[own, neighbours], 1000).await.unwrap();
                added += committed.total().rows_added;
                attempts += committed.attempts;
            }
            (added, attempts)
        });
    }
    let done = writers.join_all().await;
    let added: u64 = done.iter().map(|(added, _)| added).sum();
    let attempts: u32 = done.iter().map(|(_, attempts)| attempts).sum();
    println!("C1 8 writers x 3 commits: {added} rows of 48 added in {attempts} attempts");
    assert_eq!(added, 48);
    assert!(attempts > 24, "no two writers ever met");
    let lake = world.lake().await;
    let found = ids(&lake).await;
    let unique: BTreeSet<_> = found.iter().collect();
    assert_eq!((found.len(), unique.len()), (48, 48));
    check(&lake, ITEMS).await;
}
