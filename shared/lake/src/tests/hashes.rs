//! `EarthCatalog`'s index of ids.

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::RowAccessor as _;

use super::*;

#[tokio::test]
async fn every_id_is_in_the_file_once_and_sorted() {
    let world = World::new();
    let lake = world.lake().await;
    assert_eq!(lake.hash_index().await.unwrap(), None);
    let one = world.write(CELL, &[item("a", None), item("b", None)]).await;
    let two = world
        .write(OTHER_CELL, &[item("a", None), item("c", None)])
        .await;
    commit(&lake, &[&one, &two]).await;
    let written = lake.write_hash_index().await.unwrap();
    assert_eq!(written.ids, Some(3));
    let found = lake.hash_index().await.unwrap().unwrap();
    assert_eq!(found.location, written.location);
    let file = world.folder.path().join("warehouse_id_hashes.parquet");
    let file = SerializedFileReader::new(std::fs::File::open(file).unwrap()).unwrap();
    let rows = file.get_row_iter(None).unwrap();
    let hashes: Vec<_> = rows
        .map(|row| row.unwrap().get_bytes(0).unwrap().data().to_vec())
        .collect();
    assert_eq!(hashes.len(), 3);
    assert!(hashes.is_sorted() && hashes.iter().all(|hash| hash.len() == 16));
}
