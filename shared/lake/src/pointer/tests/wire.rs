//! The pointer in S3 over the wire: what the store's own client makes of answers that are lost, late or refused.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Mutex;

use futures::TryStreamExt as _;
use object_store::ObjectStore as _;
use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::path::Path;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::place::Place;

/// What happens to one PUT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// It takes effect, and the answer is an error of the server.
    ErrorAfter,
    /// It is in conflict with another one: ask again.
    Conflict,
    /// Too many requests: ask again.
    Slow,
}

/// As much of S3 as a pointer needs: objects with entity tags, put on condition.
#[derive(Debug, Default)]
struct Bucket {
    objects: Mutex<std::collections::BTreeMap<String, (u64, Vec<u8>)>>,
    troubles: Mutex<VecDeque<Trouble>>,
    puts: std::sync::atomic::AtomicU64,
}

struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    async fn read(input: &mut BufReader<TcpStream>) -> Option<Self> {
        let mut line = String::new();
        input.read_line(&mut line).await.ok()?;
        let mut words = line.split_whitespace();
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            input.read_line(&mut line).await.ok()?;
            let Some((name, value)) = line.trim().split_once(':') else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut request = Self {
            method,
            path,
            headers,
            body: Vec::new(),
        };
        let length = request.header("content-length").unwrap_or("0").parse();
        request.body = vec![0; length.ok()?];
        input.read_exact(&mut request.body).await.ok()?;
        Some(request)
    }

    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl Bucket {
    async fn serve(self: Arc<Self>, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let bucket = Arc::clone(&self);
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                while let Some(request) = Request::read(&mut stream).await {
                    let answer = bucket.answer(&request);
                    if stream.write_all(&answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    }

    fn answer(&self, request: &Request) -> Vec<u8> {
        let none =
            |status: &str| format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").into_bytes();
        let mut objects = self.objects.lock().unwrap();
        let now = objects.get(&request.path).cloned();
        let tag = |version: u64| format!("\"{version:032x}\"");
        if request.method == "POST" {
            let asked = String::from_utf8_lossy(&request.body).into_owned();
            let keys = asked
                .split("<Key>")
                .skip(1)
                .filter_map(|rest| rest.split_once('<'));
            let mut text = String::from("<DeleteResult>");
            for (key, _) in keys {
                objects.remove(&format!("/lake/{key}"));
                let _ = write!(text, "<Deleted><Key>{key}</Key></Deleted>");
            }
            return ok(&(text + "</DeleteResult>"));
        }
        if let Some((_, query)) = request.path.split_once('?') {
            return page(&objects, query);
        }
        if request.method == "GET" {
            let Some((version, bytes)) = now else {
                return none("404 Not Found");
            };
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nETag: {}\r\nLast-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n\r\n",
                bytes.len(),
                tag(version)
            );
            return [head.as_bytes(), &bytes].concat();
        }
        let trouble = self.troubles.lock().unwrap().pop_front();
        match trouble {
            Some(Trouble::Conflict) => return none("409 Conflict"),
            Some(Trouble::Slow) => return none("503 Slow Down"),
            Some(Trouble::ErrorAfter) | None => {}
        }
        let version = now.map(|(version, _)| version);
        let creates = request.header("if-none-match") == Some("*");
        let matches = request
            .header("if-match")
            .map(|wanted| version.map(tag).as_deref() == Some(wanted));
        if matches.is_some() && version.is_none() {
            return none("404 Not Found");
        }
        if (creates && version.is_some()) || matches == Some(false) {
            return none("412 Precondition Failed");
        }
        let version = 1 + self.puts.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        objects.insert(request.path.clone(), (version, request.body.clone()));
        if trouble == Some(Trouble::ErrorAfter) {
            return none("500 Internal Server Error");
        }
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: {}\r\n\r\n",
            tag(version)
        )
        .into_bytes()
    }

    fn meet(&self, troubles: &[Trouble]) {
        self.troubles.lock().unwrap().extend(troubles);
    }
}

/// A page of at most a thousand keys, as `ListObjectsV2` gives them.
fn page(objects: &std::collections::BTreeMap<String, (u64, Vec<u8>)>, query: &str) -> Vec<u8> {
    let mut query = query.split('&').filter_map(|pair| pair.split_once('='));
    let after = query.find(|(name, _)| *name == "continuation-token");
    let skip: usize = after.map_or(0, |(_, token)| token.parse().unwrap());
    let keys = objects.keys().skip(skip).take(1000);
    let mut text = String::from("<ListBucketResult>");
    for key in keys {
        let key = key.strip_prefix("/lake/").unwrap();
        let _ = write!(
            text,
            "<Contents><Key>{key}</Key><LastModified>2024-01-01T00:00:00Z</LastModified><Size>1</Size></Contents>"
        );
    }
    if skip + 1000 < objects.len() {
        let next = skip + 1000;
        let _ = write!(
            text,
            "<IsTruncated>true</IsTruncated><NextContinuationToken>{next}</NextContinuationToken>"
        );
    }
    ok(&(text + "</ListBucketResult>"))
}

fn ok(text: &str) -> Vec<u8> {
    let length = text.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{text}").into_bytes()
}

async fn over_the_wire() -> (Arc<Bucket>, S3Pointer) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let bucket = Arc::new(Bucket::default());
    tokio::spawn(Arc::clone(&bucket).serve(listener));
    let store = AmazonS3Builder::new()
        .with_bucket_name("lake")
        .with_region("eu-west-1")
        .with_endpoint(endpoint)
        .with_allow_http(true)
        .with_access_key_id("x")
        .with_secret_access_key("y")
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .build()
        .unwrap();
    let place = Place::new(Arc::new(store), Path::default(), "/l");
    (bucket, S3Pointer::new(place))
}

async fn location(pointer: &S3Pointer) -> Option<String> {
    pointer.load(ITEMS).await.unwrap().map(|now| now.location)
}

/// O1, and what every pointer does.
#[tokio::test]
async fn o1_a_pointer_over_the_wire_asks_for_conditions_and_behaves() {
    let (_, pointer) = over_the_wire().await;
    pointer.probe().await.unwrap();
    behaves(Arc::new(pointer)).await;
}

/// O2: the server fails after it has stored; the client asks again and is refused because of itself.
#[tokio::test]
async fn o2_an_error_after_the_effect_is_no_conflict_and_no_second_effect() {
    let (bucket, pointer) = over_the_wire().await;
    for name in ["0", "1"] {
        let old = pointer.load(ITEMS).await.unwrap();
        bucket.meet(&[Trouble::ErrorAfter]);
        let swap = pointer.swap(ITEMS, old.as_ref(), &at(ITEMS, name)).await;
        assert_eq!(swap.unwrap(), Swap::Swapped);
        assert_eq!(location(&pointer).await, Some(at(ITEMS, name)));
    }
    assert_eq!(bucket.puts.load(std::sync::atomic::Ordering::SeqCst), 2);
}

/// O3: others were first.
#[tokio::test]
async fn o3_what_others_put_is_not_overwritten() {
    let (_, pointer) = over_the_wire().await;
    pointer.swap(ITEMS, None, &at(ITEMS, "0")).await.unwrap();
    let old = pointer.load(ITEMS).await.unwrap();
    let theirs = at(ITEMS, "theirs");
    let swap = pointer.swap(ITEMS, old.as_ref(), &theirs).await;
    assert_eq!(swap.unwrap(), Swap::Swapped);
    for expected in [None, old.as_ref()] {
        let swap = pointer.swap(ITEMS, expected, &at(ITEMS, "ours")).await;
        assert_eq!(swap.unwrap(), Swap::Lost);
        assert_eq!(location(&pointer).await, Some(at(ITEMS, "theirs")));
    }
}

/// O4: the store asks to come again, three times: a put that was in conflict may or may not be asked again by the client,
/// but it ends as one swap, or as one that is known to have done nothing.
#[tokio::test]
async fn o4_a_store_that_asks_to_come_again_is_asked_again() {
    for trouble in [Trouble::Slow, Trouble::Conflict] {
        let (bucket, pointer) = over_the_wire().await;
        pointer.swap(ITEMS, None, &at(ITEMS, "0")).await.unwrap();
        bucket.meet(&[trouble; 3]);
        let mut asked = 0;
        loop {
            asked += 1;
            let old = pointer.load(ITEMS).await.unwrap();
            let swap = pointer.swap(ITEMS, old.as_ref(), &at(ITEMS, "1")).await;
            match swap {
                Ok(Swap::Swapped) => break,
                Ok(Swap::Lost) => assert_eq!(location(&pointer).await, Some(at(ITEMS, "0"))),
                Err(error) => panic!("{trouble:?}: {error}"),
            }
        }
        println!("O4: {trouble:?} three times: swapped at call {asked}");
        assert!(asked <= 4);
        assert_eq!(location(&pointer).await, Some(at(ITEMS, "1")));
    }
}

/// O5: a condition on an object that is not there makes none.
#[tokio::test]
async fn o5_a_condition_on_what_is_not_there_makes_nothing() {
    let (bucket, pointer) = over_the_wire().await;
    pointer.swap(ITEMS, None, &at(ITEMS, "0")).await.unwrap();
    let old = pointer.load(ITEMS).await.unwrap();
    pointer
        .swap(ITEMS, old.as_ref(), &at(ITEMS, "1"))
        .await
        .unwrap();
    bucket.objects.lock().unwrap().clear();
    let swap = pointer.swap(ITEMS, old.as_ref(), &at(ITEMS, "2")).await;
    assert_eq!(swap.unwrap(), Swap::Lost);
    assert_eq!(location(&pointer).await, None);
}

/// O6: twenty tasks count to five hundred in one object.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn o6_twenty_tasks_count_to_five_hundred_exactly() {
    let (bucket, pointer) = over_the_wire().await;
    pointer.swap(ITEMS, None, &at(ITEMS, "n-0")).await.unwrap();
    let count = |location: &str| -> u32 {
        let name = location.strip_suffix(".metadata.json").unwrap();
        name.rsplit_once('-').unwrap().1.parse().unwrap()
    };
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..20 {
        let pointer = pointer.clone();
        tasks.spawn(async move {
            let mut counted = 0;
            while counted < 25 {
                let old = pointer.load(ITEMS).await.unwrap().unwrap();
                // As with metadata files, no two writers ever use one name.
                let next = format!("{task}-{}", count(&old.location) + 1);
                let swap = pointer.swap(ITEMS, Some(&old), &at(ITEMS, &next)).await;
                counted += u32::from(swap.unwrap() == Swap::Swapped);
            }
        });
    }
    tasks.join_all().await;
    let last = location(&pointer).await.unwrap();
    println!(
        "O6: {} in {} puts",
        count(&last),
        bucket.puts.load(std::sync::atomic::Ordering::SeqCst)
    );
    assert_eq!(count(&last), 500);
}

/// O7: a listing of more than one page is complete. What a commit decides never depends on one: see `index`.
#[tokio::test]
async fn o7_a_listing_of_several_pages_is_complete() {
    let (bucket, pointer) = over_the_wire().await;
    for number in 0..2_345 {
        let key = format!("/lake/swath_index/{number:05}");
        bucket.objects.lock().unwrap().insert(key, (1, vec![0]));
    }
    let listed = pointer.place.store.list(None).try_collect::<Vec<_>>();
    let names: std::collections::BTreeSet<_> = { listed.await.unwrap() }
        .into_iter()
        .map(|meta| meta.location.to_string())
        .collect();
    assert_eq!(names.len(), 2_345);
}
