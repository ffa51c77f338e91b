use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

use super::*;
use crate::clock::testing::FakeClock;
use crate::fetch::testing::say;

const KEY: &str = "c/17%2F0313/B04.tif";

fn facts(bytes: &[u8]) -> Facts {
    let mut hashing = Hashing::new(None);
    hashing.update(bytes);
    Facts {
        size_bytes: bytes.len() as u64,
        sha256: hashing.digests().sha256,
    }
}

async fn published(out: &Store, bytes: &[u8]) -> std::result::Result<Published, PublishError> {
    let scratch = tempfile::tempdir().unwrap();
    let staging = Staging::open(out, scratch.path()).await?;
    let mut staged = staging.create();
    staged.write(bytes).await?;
    publish(out, KEY, staged, &facts(bytes), &FakeClock::default()).await
}

fn local() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = crate::store::open(folder.path().to_str().unwrap()).unwrap();
    (folder, store)
}

fn staged_left(folder: &FilePath) -> usize {
    std::fs::read_dir(folder.join(".swath-staging"))
        .unwrap()
        .count()
}

#[tokio::test]
async fn a_local_file_appears_whole_under_its_own_name() {
    let (folder, out) = local();
    let made = published(&out, b"whole").await.unwrap();
    let path = folder
        .path()
        .canonicalize()
        .unwrap()
        .join("c/17%2F0313/B04.tif");
    assert_eq!(std::fs::read(&path).unwrap(), b"whole");
    assert_eq!(address(&out, KEY), path.display().to_string());
    assert!(!made.adopted && made.etag.is_some());
    let there = present(&out, KEY).await.unwrap().unwrap();
    assert_eq!((there.size_bytes, there.etag), (5, made.etag));
    assert_eq!(staged_left(folder.path()), 0);
}

#[cfg(unix)]
#[tokio::test]
async fn a_published_file_can_be_read_by_others() {
    use std::os::unix::fs::PermissionsExt as _;
    let (folder, out) = local();
    published(&out, b"whole").await.unwrap();
    let plain = folder.path().join("plain");
    std::fs::write(&plain, b"").unwrap();
    let mode = |path: &FilePath| path.metadata().unwrap().permissions().mode();
    assert_eq!(mode(&local_path(&out, KEY).unwrap()), mode(&plain));
}

#[tokio::test]
async fn the_same_bytes_are_adopted_and_others_are_left_alone() {
    for (_folder, out) in [local(), (tempfile::tempdir().unwrap(), Store::in_memory())] {
        assert!(!published(&out, b"first").await.unwrap().adopted);
        assert!(published(&out, b"first").await.unwrap().adopted);
        for other in [&b"other"[..], b"longer than first"] {
            let error = published(&out, other).await.unwrap_err();
            assert!(matches!(error, PublishError::Occupied { .. }), "{error}");
            assert_eq!(error.class(), Class::Conflict);
        }
        let (size, digests) = read_back(&out, KEY, None, None).await.unwrap();
        assert_eq!((size, digests.sha256), (5, facts(b"first").sha256));
    }
}

#[tokio::test]
async fn a_large_object_goes_up_in_parts_and_is_never_replaced() {
    let out = Store::in_memory();
    let large: Vec<u8> = (0..SINGLE_PUT_BYTES + 3_000_000)
        .map(|n| (n % 251) as u8)
        .collect();
    assert!(!published(&out, &large).await.unwrap().adopted);
    let (size, digests) = read_back(&out, KEY, None, None).await.unwrap();
    assert_eq!(
        (size, digests.sha256),
        (large.len() as u64, facts(&large).sha256)
    );
    assert!(published(&out, &large).await.unwrap().adopted);
    let other = vec![1; large.len()];
    let error = published(&out, &other).await.unwrap_err();
    assert!(matches!(error, PublishError::Occupied { .. }), "{error}");
}

/// P3.
#[cfg(unix)]
#[tokio::test]
async fn a_link_that_leads_out_of_the_store_is_not_followed() {
    let (folder, out) = local();
    let elsewhere = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("c")).unwrap();
    let error = published(&out, b"x").await.unwrap_err();
    assert!(matches!(error, PublishError::Escapes { .. }), "{error}");
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    say("P3", "a link out of the root", "refused", "refused");
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_named_and_denied() {
    let (folder, out) = local();
    std::fs::write(folder.path().join("c"), b"a file where a folder should be").unwrap();
    let error = published(&out, b"x").await.unwrap_err();
    assert!(matches!(error, PublishError::Place { .. }), "{error}");
    assert!(error.to_string().contains("c/17%2F0313"), "{error}");
    assert_eq!(error.class(), Class::Denied);
    assert_eq!(staged_left(folder.path()), 0);
}

#[tokio::test]
async fn a_staging_folder_that_cannot_be_made_is_named_and_denied() {
    let (folder, out) = local();
    std::fs::write(folder.path().join(".swath-staging"), b"").unwrap();
    let error = published(&out, b"x").await.unwrap_err();
    assert!(error.to_string().contains(".swath-staging"), "{error}");
    assert_eq!(error.class(), Class::Denied);
}

/// A store whose creating PUTs go wrong: lost answers after the effect, refusals before it.
#[derive(Debug)]
struct Faulty {
    inner: InMemory,
    puts: AtomicUsize,
    faults: Vec<Fault>,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    /// Stored, but the answer says that it was there already, as after a retry inside the client.
    LostAnswer,
    /// Not stored: another writer's request was under way, which then failed too.
    RacedAndLost,
    /// Not stored.
    Down,
    /// Another writer's object appears while the parts go up.
    Late,
}

/// An upload whose completion is refused.
#[derive(Debug)]
struct TooLate(Box<dyn MultipartUpload>);

#[async_trait]
impl MultipartUpload for TooLate {
    fn put_part(&mut self, bytes: PutPayload) -> UploadPart {
        self.0.put_part(bytes)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        Err(object_store::Error::Precondition {
            path: "c".to_owned(),
            source: "412".into(),
        })
    }

    async fn abort(&mut self) -> Result<()> {
        self.0.abort().await
    }
}

impl std::fmt::Display for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Faulty")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, at: &Path, bytes: PutPayload, how: PutOptions) -> Result<PutResult> {
        assert_eq!(how.mode, PutMode::Create);
        let number = self.puts.fetch_add(1, Ordering::SeqCst);
        let exists = || object_store::Error::AlreadyExists {
            path: at.to_string(),
            source: "412".into(),
        };
        match self.faults.get(number) {
            None => self.inner.put_opts(at, bytes, how).await,
            Some(Fault::LostAnswer) => {
                self.inner.put_opts(at, bytes, how).await?;
                Err(exists())
            }
            Some(Fault::RacedAndLost | Fault::Late) => Err(exists()),
            Some(Fault::Down) => Err(object_store::Error::Generic {
                store: "faulty",
                source: "503".into(),
            }),
        }
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        how: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.inner.put_multipart_opts(at, how).await?;
        if !matches!(self.faults.first(), Some(Fault::Late)) {
            return Ok(upload);
        }
        self.inner.put(at, PutPayload::from_static(b"x")).await?;
        Ok(Box::new(TooLate(upload)))
    }

    async fn get_opts(&self, at: &Path, how: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(at, how).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, how).await
    }
}

fn faulty(faults: &[Fault]) -> (Arc<Faulty>, Store) {
    let store = Arc::new(Faulty {
        inner: InMemory::new(),
        puts: AtomicUsize::new(0),
        faults: faults.to_vec(),
    });
    let out = Store {
        store: Arc::<Faulty>::clone(&store),
        ..Store::in_memory()
    };
    (store, out)
}

#[tokio::test]
async fn parts_that_come_too_late_replace_nothing() {
    let (store, out) = faulty(&[Fault::Late]);
    let bytes = vec![7; usize::try_from(SINGLE_PUT_BYTES).unwrap() + 1];
    let error = published(&out, &bytes).await.unwrap_err();
    assert!(matches!(error, PublishError::Occupied { .. }), "{error}");
    let there: Vec<ObjectMeta> = store.inner.list(None).try_collect().await.unwrap();
    assert!(there.len() == 1 && there[0].size == 1, "{there:?}");
}

/// O2.
#[tokio::test]
async fn an_upload_whose_answer_was_lost_is_found_to_be_ours() {
    let (store, out) = faulty(&[Fault::LostAnswer]);
    assert!(published(&out, b"whole").await.unwrap().adopted);
    assert_eq!(store.puts.load(Ordering::SeqCst), 1);
}

/// O4.
#[tokio::test]
async fn an_upload_refused_for_another_that_failed_is_made_again() {
    let (store, out) = faulty(&[Fault::RacedAndLost, Fault::RacedAndLost, Fault::Down]);
    assert!(!published(&out, b"whole").await.unwrap().adopted);
    assert_eq!(store.puts.load(Ordering::SeqCst), 4);
}

/// O3.
#[tokio::test]
async fn anothers_object_is_neither_replaced_nor_taken_for_ours() {
    let (_, out) = faulty(&[]);
    published(&out, b"theirs").await.unwrap();
    let error = published(&out, b"mine!!").await.unwrap_err();
    assert!(matches!(error, PublishError::Occupied { .. }), "{error}");
    assert_eq!(&out.get(KEY).await.unwrap()[..], b"theirs");
}

#[tokio::test]
async fn a_store_that_stays_down_is_a_transient_failure() {
    let (store, out) = faulty(&[Fault::Down; 9]);
    let error = published(&out, b"whole").await.unwrap_err();
    assert_eq!(error.class(), Class::Transient);
    assert_eq!(store.puts.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn twenty_writers_of_one_key_leave_one_whole_file() {
    let (folder, out) = local();
    let writers = (0..20_u8).map(|n| {
        let out = out.clone();
        tokio::spawn(async move { published(&out, &[n; 5_000]).await.is_ok() })
    });
    let mut won = 0;
    for writer in writers.collect::<Vec<_>>() {
        won += usize::from(writer.await.unwrap());
    }
    let bytes = std::fs::read(local_path(&out, KEY).unwrap()).unwrap();
    assert!(bytes.len() == 5_000 && bytes.iter().all(|byte| *byte == bytes[0]));
    assert_eq!((won, staged_left(folder.path())), (1, 0));
}
