use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStoreExt as _;
use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

#[cfg(feature = "glue")]
mod glue;
mod s3;
mod wire;

const ITEMS: TableName = TableName::StacItems;

/// Names a metadata file of a table in a lake at `/l`.
fn at(table: TableName, name: &str) -> String {
    let (namespace, table) = (table.namespace(), table.name());
    format!("/l/warehouse/{namespace}/{table}/metadata/{name}.metadata.json")
}

/// What every pointer does, whatever holds it.
async fn behaves(pointer: Arc<dyn TablePointer>) {
    let items = |name| at(ITEMS, name);
    assert_eq!(pointer.load(ITEMS).await.unwrap(), None);
    pointer.remove(ITEMS).await.unwrap();

    // A table is made once.
    let swap = pointer.swap(ITEMS, None, &items("0")).await.unwrap();
    assert_eq!(swap, Swap::Swapped);
    let lost = pointer.swap(ITEMS, None, &items("0b")).await.unwrap();
    assert_eq!(lost, Swap::Lost);
    let zero = pointer.load(ITEMS).await.unwrap().unwrap();
    assert_eq!(zero.location, items("0"));

    // Whoever expects what is no longer there has lost, and nothing changes.
    let swap = pointer.swap(ITEMS, Some(&zero), &items("1")).await.unwrap();
    assert_eq!(swap, Swap::Swapped);
    let lost = pointer.swap(ITEMS, Some(&zero), &items("2")).await.unwrap();
    assert_eq!(lost, Swap::Lost);
    let one = pointer.load(ITEMS).await.unwrap().unwrap();
    assert_eq!(one.location, items("1"));

    // Tables do not know of one another.
    assert_eq!(pointer.load(TableName::AssetRows).await.unwrap(), None);
    for table in [TableName::AssetRows, TableName::AssetFiles] {
        pointer.swap(table, None, &at(table, "0")).await.unwrap();
    }
    pointer.remove(TableName::AssetRows).await.unwrap();
    assert_eq!(pointer.load(TableName::AssetRows).await.unwrap(), None);
    assert_eq!(pointer.load(ITEMS).await.unwrap(), Some(one.clone()));

    // A table that is gone cannot be swapped.
    pointer.remove(ITEMS).await.unwrap();
    let lost = pointer.swap(ITEMS, Some(&one), &items("3")).await.unwrap();
    assert_eq!(lost, Swap::Lost);
    assert_eq!(pointer.load(ITEMS).await.unwrap(), None);

    one_of_many_wins(pointer).await;
}

/// Twenty writers, each going on until five swaps of its own have taken effect: a chain of a hundred.
async fn one_of_many_wins(pointer: Arc<dyn TablePointer>) {
    let count = |location: &str| -> u32 {
        let name = location.strip_suffix(".metadata.json").unwrap();
        name.rsplit_once('-').unwrap().1.parse().unwrap()
    };
    let start = at(ITEMS, "start-0");
    pointer.swap(ITEMS, None, &start).await.unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..20 {
        let pointer = Arc::clone(&pointer);
        writers.spawn(async move {
            let mut won = 0;
            while won < 5 {
                let old = pointer.load(ITEMS).await.unwrap().unwrap();
                let new = at(ITEMS, &format!("{writer}-{}", count(&old.location) + 1));
                if pointer.swap(ITEMS, Some(&old), &new).await.unwrap() == Swap::Swapped {
                    won += 1;
                }
            }
        });
    }
    writers.join_all().await;
    let last = pointer.load(ITEMS).await.unwrap().unwrap();
    assert_eq!(count(&last.location), 100);
}

fn sqlite() -> (TempDir, SqlitePointer) {
    let folder = tempfile::tempdir().unwrap();
    let pointer = SqlitePointer::new(folder.path().join("new/earthcatalog.db"));
    (folder, pointer)
}

#[tokio::test]
async fn a_pointer_in_memory_behaves() {
    behaves(Arc::new(MemoryPointer::default())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_pointer_in_a_store_behaves() {
    behaves(Arc::new(s3::pointer().1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_database_in_a_store_behaves() {
    behaves(Arc::new(DatabaseObject::new(s3::pointer().1.place))).await;
}

/// Who made the catalog in a bucket keeps its pointers: `EarthCatalog` in its database, under its lock, swath in objects
/// beside which a copy of the database may lie.
#[tokio::test]
async fn in_a_bucket_the_pointers_lie_where_they_were() {
    let now = || Now::new(|| time::OffsetDateTime::UNIX_EPOCH);
    let bucket = |place: &Place| BucketPointer::new(place.clone(), now());
    let place = s3::pointer().1.place;
    let theirs = DatabaseObject::new(place.clone());
    theirs.swap(ITEMS, None, &at(ITEMS, "0")).await.unwrap();
    let pointer = bucket(&place);
    let zero = pointer.load(ITEMS).await.unwrap().unwrap();
    assert_eq!(zero.location, at(ITEMS, "0"));
    let one = at(ITEMS, "1");
    // As `EarthCatalog` writes it.
    let held = r#"{"owner": "incremental", "pid": 1, "hostname": "h", "acquired": "1970-01-01T00:00:00+00:00", "ttl_hours": 12}"#;
    let lock = place.path(".lock").unwrap();
    place.store.put(&lock, held.into()).await.unwrap();
    let error = pointer.swap(ITEMS, Some(&zero), &one).await.unwrap_err();
    assert!(matches!(error, PointerError::Locked { .. }), "{error}");
    place.store.delete(&lock).await.unwrap();
    let swap = pointer.swap(ITEMS, Some(&zero), &one).await.unwrap();
    assert_eq!(swap, Swap::Swapped);
    assert_eq!(theirs.load(ITEMS).await.unwrap().unwrap().location, one);
    assert_eq!(S3Pointer::new(place).load(ITEMS).await.unwrap(), None);

    let place = s3::pointer().1.place;
    let pointer = bucket(&place);
    pointer.swap(ITEMS, None, &at(ITEMS, "0")).await.unwrap();
    let ours = S3Pointer::new(place).load(ITEMS).await.unwrap();
    assert_eq!(ours.unwrap().location, at(ITEMS, "0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_pointer_in_sqlite_behaves() {
    let (_folder, pointer) = sqlite();
    behaves(Arc::new(pointer)).await;
}

#[tokio::test]
async fn reading_makes_no_file() {
    let (_folder, pointer) = sqlite();
    assert_eq!(pointer.load(ITEMS).await.unwrap(), None);
    pointer.remove(ITEMS).await.unwrap();
    assert!(!pointer.database().exists());
}

#[tokio::test]
async fn the_database_is_one_file_with_the_rows_that_earthcatalog_reads() {
    let (_folder, pointer) = sqlite();
    pointer.swap(ITEMS, None, "/l/0").await.unwrap();
    let old = pointer.load(ITEMS).await.unwrap().unwrap();
    pointer.swap(ITEMS, Some(&old), "/l/1").await.unwrap();
    let files: Vec<_> = std::fs::read_dir(pointer.database().parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(files, ["earthcatalog.db"]);
    let database = Connection::open(pointer.database()).unwrap();
    let row: [String; 6] = database
        .query_row("SELECT * FROM iceberg_tables", (), |row| {
            Ok([0, 1, 2, 3, 4, 5].map(|column| row.get(column).unwrap()))
        })
        .unwrap();
    let expected = [
        "earthcatalog",
        "earthcatalog",
        "stac_items",
        "/l/1",
        "/l/0",
        "TABLE",
    ];
    assert_eq!(row, expected);
    let namespace: [String; 4] = database
        .query_row("SELECT * FROM iceberg_namespace_properties", (), |row| {
            Ok([0, 1, 2, 3].map(|column| row.get(column).unwrap()))
        })
        .unwrap();
    assert_eq!(
        namespace,
        ["earthcatalog", "earthcatalog", "exists", "true"]
    );
}

#[tokio::test]
async fn a_database_without_types_and_with_rows_of_others_is_used_as_it_is() {
    let (_folder, pointer) = sqlite();
    std::fs::create_dir_all(pointer.database().parent().unwrap()).unwrap();
    let database = Connection::open(pointer.database()).unwrap();
    database
        .execute_batch(
            "PRAGMA journal_mode = WAL;
             CREATE TABLE notes (k text primary key);
             CREATE TABLE iceberg_tables (
               catalog_name text, table_namespace text, table_name text, metadata_location text,
               previous_metadata_location text, PRIMARY KEY (catalog_name, table_namespace, table_name));
             INSERT INTO iceberg_tables VALUES ('other', 'earthcatalog', 'stac_items', '/other', NULL),
               ('earthcatalog', 'earthcatalog', 'stac_items', '/l/7', NULL);",
        )
        .unwrap();
    drop(database);
    let seven = pointer.load(ITEMS).await.unwrap().unwrap();
    assert_eq!(seven.location, "/l/7");
    let swap = pointer.swap(ITEMS, Some(&seven), "/l/8").await.unwrap();
    assert_eq!(swap, Swap::Swapped);
    let swap = pointer.swap(TableName::AssetRows, None, "/r/0").await;
    assert_eq!(swap.unwrap(), Swap::Swapped);
    let database = Connection::open(pointer.database()).unwrap();
    let read = |sql: &str| -> String { database.query_row(sql, (), |row| row.get(0)).unwrap() };
    assert_eq!(
        read("SELECT metadata_location FROM iceberg_tables WHERE catalog_name = 'other'"),
        "/other"
    );
    assert_eq!(read("PRAGMA journal_mode"), "delete");
}

/// The lock that a slow reader holds keeps COMMIT from ending; a driver that swallows that error loses the swap.
#[tokio::test]
async fn a_swap_that_another_process_locks_out_says_that_nothing_was_done() {
    let (_folder, pointer) = sqlite();
    pointer.swap(ITEMS, None, "/l/0").await.unwrap();
    let old = pointer.load(ITEMS).await.unwrap().unwrap();
    let reader = Connection::open(pointer.database()).unwrap();
    reader
        .execute_batch("BEGIN; SELECT * FROM iceberg_tables;")
        .unwrap();
    let error = pointer.swap(ITEMS, Some(&old), "/l/1").await.unwrap_err();
    assert_eq!(
        (error.effect(), error.class()),
        (Effect::None, Class::Transient),
        "{}",
        swath_core::chain(&error)
    );
    reader.execute_batch("ROLLBACK").unwrap();
    assert_eq!(pointer.load(ITEMS).await.unwrap(), Some(old.clone()));
    assert_eq!(
        pointer.swap(ITEMS, Some(&old), "/l/1").await.unwrap(),
        Swap::Swapped
    );
}

#[tokio::test]
async fn a_swap_waits_for_a_short_lock() {
    let (_folder, pointer) = sqlite();
    pointer.swap(ITEMS, None, "/l/0").await.unwrap();
    let old = pointer.load(ITEMS).await.unwrap().unwrap();
    let path = pointer.database().to_owned();
    let (locked, is_locked) = std::sync::mpsc::channel();
    let other = std::thread::spawn(move || {
        let writer = Connection::open(path).unwrap();
        writer.execute_batch("BEGIN EXCLUSIVE").unwrap();
        locked.send(()).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        writer.execute_batch("ROLLBACK").unwrap();
    });
    is_locked.recv().unwrap();
    let swap = pointer.swap(ITEMS, Some(&old), "/l/1").await.unwrap();
    assert_eq!(swap, Swap::Swapped);
    other.join().unwrap();
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_kept() {
    let (_folder, pointer) = sqlite();
    std::fs::create_dir_all(pointer.database().parent().unwrap()).unwrap();
    std::fs::write(
        pointer.database(),
        "not a database, but long enough to be read as one".repeat(20),
    )
    .unwrap();
    let error = pointer.load(ITEMS).await.unwrap_err();
    assert_eq!(
        error.class(),
        Class::Denied,
        "{}",
        swath_core::chain(&error)
    );
    let error = pointer.swap(ITEMS, None, "/l/0").await.unwrap_err();
    assert_eq!(
        error.class(),
        Class::Denied,
        "{}",
        swath_core::chain(&error)
    );
    let kept = std::fs::read_to_string(pointer.database()).unwrap();
    assert!(kept.starts_with("not a database"));
}
