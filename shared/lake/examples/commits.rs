//! What commits cost, for `tests/bench/commit.py`: each prints one JSON object.
//!
//! - `commits register FOLDER GRID`: makes every data file below `FOLDER/warehouse` part of the lake there, in one commit;
//! - `commits plan FOLDER`: lists the live files of a lake by cell and year, from its manifests;
//! - `commits grow COUNT one|world|mixed`: commits of one file each, in memory, all in one cell and year or in cells all over
//!   the world, with ids that follow those before or (mixed) come in between; bytes read and written by some of them, by a
//!   writer that remembers the ones before and by one that does not.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

use std::fmt;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt as _, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use serde_json::json;
use swath_core::TableName;
use swath_core::grid::GridSpec;
use swath_core::message::{Partition, WrittenFile};
use swath_lake::pointer::{self, MemoryPointer, TablePointer};
use swath_lake::{Lake, Now, Pace, Place};
use swath_table::items::{Placed, encode_partition};
use swath_table::layout::data_path;
use swath_table::{Effort, ItemRow};
use time::OffsetDateTime;

const ITEMS: TableName = TableName::StacItems;

#[derive(Debug)]
struct Once;

#[async_trait]
impl Pace for Once {
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_717_243_200).unwrap()
    }

    async fn again(&self, _: u32) -> bool {
        false
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["register", folder, grid] => register(FilePath::new(folder), grid.parse().unwrap()).await,
        ["plan", folder] => plan(FilePath::new(folder)).await,
        ["grow", count, where_to] => grow(count.parse().unwrap(), where_to).await,
        _ => println!("usage: commits register FOLDER GRID, plan FOLDER or grow COUNT WHERE"),
    }
}

fn in_folder(folder: &FilePath) -> (Place, Arc<dyn TablePointer>) {
    let folder = folder.canonicalize().unwrap();
    let store = LocalFileSystem::new_with_prefix(&folder).unwrap();
    let now = Now::new(|| Once.now());
    pointer::of_lake(
        Arc::new(store),
        Path::default(),
        ("file:", Some(&folder)),
        now,
    )
}

async fn register(folder: &FilePath, grid: GridSpec) {
    let (place, pointer) = in_folder(folder);
    let mut told = Vec::new();
    let found = place.store.list(Some(&Path::from("warehouse")));
    let found: Vec<ObjectMeta> = found.map(|meta| meta.unwrap()).collect().await;
    for meta in found {
        let path = meta.location.to_string();
        let parts: Vec<&str> = path.split('/').collect();
        let ["warehouse", cell, year, _] = parts[..] else {
            continue;
        };
        let partition = Partition {
            cell: cell.trim_start_matches("grid_partition=").to_owned(),
            year: year.trim_start_matches("year=").parse().unwrap(),
        };
        told.push((path, partition));
    }
    let lake = Lake::open(place, pointer, grid).await.unwrap();
    let mut files = Vec::new();
    for (path, partition) in told {
        let file = lake.discover(ITEMS, &path, Some(partition)).await;
        files.push(file.unwrap());
    }
    let committed = lake.commit(ITEMS, &files, &[], &Once).await.unwrap();
    let total = committed.total();
    println!(
        "{}",
        json!({"files": total.files_added, "rows": total.rows_added})
    );
}

async fn plan(folder: &FilePath) {
    let (place, pointer) = in_folder(folder);
    let lake = Lake::existing(place, pointer);
    let parts = lake.parts().await.unwrap();
    let files: u64 = parts.iter().map(|part| part.files).sum();
    println!("{}", json!({"parts": parts.len(), "files": files}));
}

async fn grow(count: u64, where_to: &str) {
    let store = Arc::new(Counting::default());
    let pointer: Arc<dyn TablePointer> = Arc::new(MemoryPointer::default());
    let place = Place::new(Arc::clone(&store) as _, Path::default(), "s3://bucket");
    let warm = Lake::open(place.clone(), Arc::clone(&pointer), GridSpec::default());
    let warm = warm.await.unwrap();
    let mut figures = Vec::new();
    for number in 1..=count {
        let file = write(&place, number, where_to).await;
        let is_cold = number % 2 == 0;
        let cold = Lake::existing(place.clone(), Arc::clone(&pointer));
        let lake = if is_cold { &cold } else { &warm };
        store.forget();
        let file = lake.inspect(ITEMS, &file).await.unwrap();
        lake.commit(ITEMS, &[file], &[], &Once).await.unwrap();
        let (read, written) = store.told();
        figures.push((is_cold, read, written));
    }
    // A commit that merges manifests costs more than the ones beside it: twenty of them are taken together.
    for end in [20, 100, 500, 1000, 5000] {
        let Some(window) = figures.get(end - 20..end) else {
            continue;
        };
        for is_cold in [false, true] {
            let of: Vec<_> = window.iter().filter(|one| one.0 == is_cold).collect();
            let mean = |figure: fn(&(bool, u64, u64)) -> u64| {
                of.iter().map(|one| figure(one)).sum::<u64>() / of.len() as u64
            };
            let line = json!({
                "where": where_to, "commits": end, "writer": if is_cold { "new" } else { "warm" },
                "bytes_read": mean(|one| one.1), "bytes_written": mean(|one| one.2),
            });
            println!("{line}");
        }
    }
}

/// A number that looks like chance and is always the same.
fn mixed(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23) >> 20
}

/// Writes a file of ten items, none of which was there before.
async fn write(place: &Place, number: u64, where_to: &str) -> WrittenFile {
    let (place_number, year) = match where_to {
        "one" => (0, 2024),
        _ => (mixed(number) % 840, 2015 + number % 10),
    };
    // The cells of H3 at resolution 1.
    let (base, digit) = (place_number / 7, place_number % 7);
    let cell = (1 << 59) | (1 << 52) | (base << 45) | (digit << 42) | ((1_u64 << 42) - 1);
    let cell = format!("{cell:x}");
    let items: Vec<ItemRow> = (0..10)
        .map(|row| {
            let id = match where_to {
                "mixed" => format!("item-{:011x}-{number:06}-{row}", mixed(number * 10 + row)),
                _ => format!("item-{number:06}-{row}"),
            };
            let text = json!({
                "type": "Feature", "stac_version": "1.1.0", "id": id,
                "collection": "c", "geometry": {"type": "Point", "coordinates": [-44.5, 70.5]},
                "properties": {"datetime": format!("{year}-01-01T00:00:00Z"), "updated": "2024-02-01T00:00:00Z"},
                "links": [], "assets": {"data": {"href": format!("s3://b/{number}/{row}.tif")}},
            });
            ItemRow::parse(&text.to_string()).unwrap()
        })
        .collect();
    let placed: Vec<_> = items
        .iter()
        .map(|row| Placed { row, source: "s" })
        .collect();
    let file = encode_partition(&cell, &placed, Effort::Ingest).unwrap();
    let partition = Partition {
        cell,
        year: i32::try_from(year).unwrap(),
    };
    let told = WrittenFile {
        path: data_path(ITEMS, Some(&partition), &file.name),
        partition: Some(partition),
        rows: file.rows,
        size_bytes: file.bytes.len() as u64,
    };
    let at = place.path(&told.path).unwrap();
    let payload = PutPayload::from(file.bytes);
    place.store.put(&at, payload).await.unwrap();
    told
}

/// A store in memory that counts the bytes that are read and written.
#[derive(Debug, Default)]
struct Counting {
    store: InMemory,
    read: AtomicU64,
    written: AtomicU64,
}

impl Counting {
    fn forget(&self) {
        self.read.store(0, Ordering::SeqCst);
        self.written.store(0, Ordering::SeqCst);
    }

    fn told(&self) -> (u64, u64) {
        let of = |figure: &AtomicU64| figure.load(Ordering::SeqCst);
        (of(&self.read), of(&self.written))
    }
}

impl fmt::Display for Counting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counting")
    }
}

#[async_trait]
impl ObjectStore for Counting {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let bytes = payload.content_length() as u64;
        self.written.fetch_add(bytes, Ordering::SeqCst);
        self.store.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let is_head = options.head;
        let got = self.store.get_opts(location, options).await?;
        if !is_head {
            let bytes = got.range.end - got.range.start;
            self.read.fetch_add(bytes, Ordering::SeqCst);
        }
        Ok(got)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.store.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}
