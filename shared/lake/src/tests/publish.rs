use object_store::memory::InMemory;

use super::*;
use crate::pointer::S3Pointer;

/// Reads where a database leads.
async fn led(lake: &Lake) -> Option<String> {
    let path = lake.place().path("earthcatalog.db").unwrap();
    let bytes = lake.place().store.get(&path).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("earthcatalog.db");
    std::fs::write(&database, bytes.bytes().await.unwrap()).unwrap();
    let pointed = SqlitePointer::new(database).load(ITEMS).await.unwrap();
    pointed.map(|pointed| pointed.location)
}

#[tokio::test]
async fn a_database_beside_a_lake_in_a_bucket_leads_to_what_is_there_now() {
    let store = Arc::new(InMemory::new());
    let place = Place::new(store, Path::default(), "s3://bucket/base");
    let pointer = Arc::new(S3Pointer::new(place.clone()));
    let world = World {
        folder: tempfile::tempdir().unwrap(),
        place,
        pointer: Arc::new(FaultyPointer::new(pointer)),
    };
    let lake = world.lake().await;
    for name in ["a", "b"] {
        let file = world.write(CELL, &[item(name, None)]).await;
        commit(&lake, &[&file]).await;
        assert!(lake.publish_database().await.unwrap());
        let now = lake.metadata_location(ITEMS).await.unwrap();
        assert!(now.is_some());
        assert_eq!(led(&lake).await, now);
    }
    // Many at once: the last word is what is there.
    let file = world.write(CELL, &[item("c", None)]).await;
    commit(&lake, &[&file]).await;
    let all = (0..8).map(|_| lake.publish_database());
    for published in futures::future::join_all(all).await {
        assert!(published.unwrap());
    }
    assert_eq!(
        led(&lake).await,
        lake.metadata_location(ITEMS).await.unwrap()
    );
}

#[tokio::test]
async fn the_database_of_a_folder_is_the_catalog_and_stays() {
    let world = World::new();
    let lake = world.lake().await;
    let before = std::fs::read(world.folder.path().join("earthcatalog.db")).unwrap();
    assert!(!lake.publish_database().await.unwrap());
    let after = std::fs::read(world.folder.path().join("earthcatalog.db")).unwrap();
    assert_eq!(before, after);
}

#[tokio::test]
async fn the_database_that_earthcatalog_made_in_a_bucket_is_the_catalog_and_stays() {
    let store = Arc::new(InMemory::new());
    let place = Place::new(store, Path::default(), "s3://bucket/base");
    let object = crate::pointer::DatabaseObject::new(place.clone());
    let pointer = Arc::new(object.clone());
    let world = World {
        folder: tempfile::tempdir().unwrap(),
        place,
        pointer: Arc::new(FaultyPointer::new(pointer)),
    };
    let lake = world.lake().await;
    let file = world.write(CELL, &[item("a", None)]).await;
    commit(&lake, &[&file]).await;
    assert!(!lake.publish_database().await.unwrap());
    assert_eq!(
        led(&lake).await,
        lake.metadata_location(ITEMS).await.unwrap()
    );
    assert_eq!(rows(&world.lake().await).await.len(), 1);
}
