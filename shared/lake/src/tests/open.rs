use swath_core::{Class, Classify as _};

use super::*;
use crate::pointer::{MemoryPointer, Swap};

#[tokio::test]
async fn opening_makes_three_empty_tables_and_opening_again_changes_nothing() {
    let world = World::new();
    let lake = world.lake().await;
    let mut before = Vec::new();
    for table in TableName::ALL {
        let counts = lake.counts(table).await.unwrap();
        assert_eq!(
            (counts.files, counts.rows, counts.snapshot_id),
            (0, 0, None)
        );
        let root = world.folder.path().canonicalize().unwrap();
        let expected = format!(
            "{}/warehouse/{}/{}/metadata/00000-",
            root.display(),
            table.namespace(),
            table.name()
        );
        assert!(
            counts.metadata_location.starts_with(&expected),
            "{counts:?}"
        );
        before.push(counts.metadata_location);
    }
    let again = world.lake().await;
    for (table, before) in TableName::ALL.into_iter().zip(before) {
        assert_eq!(again.metadata_location(table).await.unwrap(), Some(before));
    }
    let properties = again.base(ITEMS).await.unwrap();
    let properties = properties.metadata.properties();
    assert_eq!(properties["earthcatalog.grid.type"], "h3");
    assert_eq!(properties["earthcatalog.grid.resolution"], "1");
    assert!(properties["earthcatalog.hash_index_path"].ends_with("/warehouse_id_hashes.parquet"));
}

#[tokio::test]
async fn a_lake_of_another_grid_is_refused() {
    let world = World::new();
    world.lake().await;
    let pointer: Arc<dyn TablePointer> = Arc::clone(&world.pointer) as _;
    let asked: GridSpec = "h3:3".parse().unwrap();
    let error = Lake::open(world.place.clone(), pointer, asked)
        .await
        .unwrap_err();
    assert_eq!(error.class(), Class::Denied);
    assert_eq!(
        error.to_string(),
        "the lake's items lie in grid h3:1, not in h3:3: use that grid or another folder"
    );
}

/// `EarthCatalog` can put the database of one catalog in the place of another's.
#[tokio::test]
async fn a_catalog_that_leads_to_another_lake_is_named_and_not_read() {
    let (world, other) = (World::new(), World::new());
    world.lake().await;
    let theirs = other.lake().await.metadata_location(ITEMS).await.unwrap();
    let theirs = theirs.unwrap();
    let pointer: Arc<dyn TablePointer> = Arc::clone(&world.pointer) as _;
    let before = pointer.load(ITEMS).await.unwrap();
    let swapped = pointer.swap(ITEMS, before.as_ref(), &theirs).await;
    assert_eq!(swapped.unwrap(), Swap::Swapped);
    let lake = Lake::existing(world.place.clone(), pointer);
    let found = lake.examine().await.unwrap();
    let elsewhere = crate::Fault::MetadataElsewhere { location: theirs };
    assert_eq!((found.faults, found.parts), (vec![elsewhere], vec![]));
    assert!(lake.counts(ITEMS).await.is_err());
}

/// `EarthCatalog`'s compaction makes the table anew without properties.
#[tokio::test]
async fn a_lost_grid_is_told_from_the_cells_and_noted_again() {
    let world = World::new();
    let lake = world.lake().await;
    let file = world.write(CELL, &[item("a", None)]).await;
    commit(&lake, &[&file]).await;
    let base = lake.base(ITEMS).await.unwrap();
    let lost: Vec<String> = crate::grid::properties(&GridSpec::default())
        .into_keys()
        .collect();
    let without = base
        .change()
        .remove_properties(&lost)
        .unwrap()
        .build()
        .unwrap()
        .metadata;
    let at = base.next_location(&without);
    without.write_to(&lake.io, &at).await.unwrap();
    let swap = world
        .pointer
        .swap(ITEMS, Some(&base.pointed), &at.to_string())
        .await;
    assert_eq!(swap.unwrap(), Swap::Swapped);

    let pointer: Arc<dyn TablePointer> = Arc::clone(&world.pointer) as _;
    let asked: GridSpec = "h3:3".parse().unwrap();
    let refused = Lake::open(world.place.clone(), pointer, asked).await;
    assert!(matches!(refused, Err(LakeError::Grid { found, .. }) if found == "h3:1"));
    let lake = world.lake().await;
    let noted = lake.base(ITEMS).await.unwrap();
    assert_eq!(
        noted.metadata.properties()["earthcatalog.grid.resolution"],
        "1"
    );
    assert_eq!(ids(&lake).await, ["a"]);
}

#[tokio::test]
async fn eight_openings_at_once_make_one_lake() {
    let world = Arc::new(World::new());
    let mut openings = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let world = Arc::clone(&world);
        openings.spawn(async move { world.lake().await.metadata_location(ITEMS).await.unwrap() });
    }
    let locations: BTreeSet<_> = openings.join_all().await.into_iter().collect();
    assert_eq!(locations.len(), 1);
}

#[tokio::test]
async fn a_lake_that_is_not_there_is_not_made_by_reading() {
    let world = World::new();
    let lake = Lake::existing(world.place.clone(), Arc::new(MemoryPointer::default()));
    assert_eq!(lake.metadata_location(ITEMS).await.unwrap(), None);
    let error = lake.counts(ITEMS).await.unwrap_err();
    assert!(matches!(error, LakeError::NoTable { table: ITEMS }));
    assert_eq!(std::fs::read_dir(world.folder.path()).unwrap().count(), 0);
}
