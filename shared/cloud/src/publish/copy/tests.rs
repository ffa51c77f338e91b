use std::collections::BTreeMap;
use std::sync::Mutex;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::path::Path;
use sha2::{Digest as _, Sha256};

use super::*;

const SOURCE: &str = "theirs/some dir/a+b.tif";
const TAG: &str = "\"v1\"";
const KEY: &str = "below/a.tif";

/// As much of S3 as a copy needs.
#[derive(Default)]
struct Bucket {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    uploads: Mutex<BTreeMap<String, BTreeMap<i32, Vec<u8>>>>,
    asked: Mutex<Vec<String>>,
    fault: Fault,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Fault {
    #[default]
    None,
    /// The source may not be read by whom the target belongs to.
    Denied,
    /// What is copied is not what is there.
    Rot,
    /// The object is made and the answer is another's refusal.
    LostAnswer,
}

impl Bucket {
    fn with(fault: Fault, bytes: &[u8]) -> Arc<Self> {
        let objects = BTreeMap::from([(SOURCE.to_owned(), bytes.to_vec())]);
        Arc::new(Self {
            objects: Mutex::new(objects),
            fault,
            ..Self::default()
        })
    }

    fn object(&self, name: &str) -> Option<Vec<u8>> {
        self.objects.lock().unwrap().get(name).cloned()
    }

    fn asked(&self, what: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|asked| asked.starts_with(what)).count()
    }

    fn answer(&self, method: &Method, name: &str, query: &str, headers: &HeaderMap) -> Response {
        let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap());
        let part = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("partNumber="));
        match (method.as_str(), part) {
            ("GET" | "HEAD", _) => match self.object(name) {
                Some(bytes) => ([("etag", TAG)], bytes).into_response(),
                None => StatusCode::NOT_FOUND.into_response(),
            },
            ("POST", _) if query.starts_with("uploads") => {
                let mut uploads = self.uploads.lock().unwrap();
                uploads.insert(name.to_owned(), BTreeMap::new());
                let body = "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
                body.into_response()
            }
            ("PUT", Some(part)) => self.take_part(name, part, &header),
            ("POST", _) => {
                assert_eq!(header("if-none-match"), Some("*"));
                let mut objects = self.objects.lock().unwrap();
                if objects.contains_key(name) {
                    return StatusCode::PRECONDITION_FAILED.into_response();
                }
                let parts = self.uploads.lock().unwrap().remove(name).unwrap();
                objects.insert(name.to_owned(), parts.into_values().flatten().collect());
                if self.fault == Fault::LostAnswer {
                    return StatusCode::PRECONDITION_FAILED.into_response();
                }
                "<CompleteMultipartUploadResult><ETag>\"new\"</ETag></CompleteMultipartUploadResult>"
                    .into_response()
            }
            ("DELETE", _) => {
                self.uploads.lock().unwrap().remove(name);
                StatusCode::NO_CONTENT.into_response()
            }
            _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
        }
    }
}

impl Bucket {
    /// Answers a request to copy a part.
    fn take_part<'h>(
        &self,
        name: &str,
        part: &str,
        header: &impl Fn(&str) -> Option<&'h str>,
    ) -> Response {
        let denied = |code: &str| {
            let body = format!("<Error><Code>{code}</Code></Error>");
            (StatusCode::FORBIDDEN, body).into_response()
        };
        if self.fault == Fault::Denied {
            return denied("AccessDenied");
        }
        if header("x-amz-copy-source-if-match") != Some(TAG) {
            return denied("PreconditionFailed");
        }
        let from = header("x-amz-copy-source").unwrap();
        let from = percent_encoding::percent_decode_str(from);
        let mut bytes = self.object(&from.decode_utf8().unwrap()).unwrap();
        if let Some(range) = header("x-amz-copy-source-range") {
            let (first, last) = range[6..].split_once('-').unwrap();
            bytes = bytes[first.parse().unwrap()..=last.parse().unwrap()].to_vec();
        }
        if self.fault == Fault::Rot {
            bytes[0] ^= 1;
        }
        let sha256 = STANDARD.encode(Sha256::digest(&bytes));
        let mut uploads = self.uploads.lock().unwrap();
        let parts = uploads.get_mut(name).unwrap();
        parts.insert(part.parse().unwrap(), bytes);
        let tags = format!("<ETag>\"p\"</ETag><ChecksumSHA256>{sha256}</ChecksumSHA256>");
        format!("<CopyPartResult>{tags}</CopyPartResult>").into_response()
    }
}

async fn serve(State(bucket): State<Arc<Bucket>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let name = parts.uri.path().trim_start_matches('/').to_owned();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let asked = format!("{} {name}?{query}", parts.method);
    bucket.asked.lock().unwrap().push(asked);
    bucket.answer(&parts.method, &name, &query, &parts.headers)
}

/// A bucket's store and what copies into it.
async fn target(bucket: &Arc<Bucket>, largest_part: u64) -> (Store, Copier) {
    let router = axum::Router::new()
        .fallback(serve)
        .with_state(Arc::clone(bucket));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let store = AmazonS3Builder::new()
        .with_endpoint(&endpoint)
        .with_allow_http(true)
        .with_bucket_name("ours")
        .with_access_key_id("id")
        .with_secret_access_key("secret")
        .with_conditional_put(S3ConditionalPut::ETagMatch);
    let out = Store {
        store: Arc::new(store.build().unwrap()),
        prefix: Path::from("assets"),
        uri: "s3://ours/assets".to_owned(),
        local_root: None,
    };
    let credentials = aws_sdk_s3::config::Credentials::new("id", "secret", None, None, "test");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version_latest()
        .endpoint_url(endpoint)
        .force_path_style(true)
        .region(aws_sdk_s3::config::Region::from_static("eu-west-1"))
        .credentials_provider(credentials)
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    let copier = Copier {
        client: Arc::new(OnceCell::new_with(Some(Client::from_conf(config.build())))),
        largest_part,
    };
    (out, copier)
}

fn facts(bytes: &[u8]) -> Facts {
    Facts {
        size_bytes: bytes.len() as u64,
        sha256: hex(&Sha256::digest(bytes)),
    }
}

async fn copied(
    bucket: &Arc<Bucket>,
    etag: &str,
    bytes: &[u8],
    largest_part: u64,
) -> Result<Option<Published>, PublishError> {
    let (out, copier) = target(bucket, largest_part).await;
    let href = Url::parse("s3://theirs/some%20dir/a+b.tif").unwrap();
    let source = Source {
        href: &href,
        etag,
        pays: false,
    };
    copier.copy(source, (&out, KEY), &facts(bytes)).await
}

fn bytes() -> Vec<u8> {
    (0..100_000_u32).map(|n| (n % 251) as u8).collect()
}

#[tokio::test]
async fn an_object_is_copied_whole_or_in_parts_and_its_bytes_do_not_go_up() {
    for (largest, parts) in [(LARGEST_PART, 1), (40_000, 3), (50_000, 2)] {
        let bucket = Bucket::with(Fault::None, &bytes());
        let done = copied(&bucket, TAG, &bytes(), largest)
            .await
            .unwrap()
            .unwrap();
        assert!(!done.adopted && done.etag.as_deref() == Some("\"new\""));
        assert_eq!(bucket.object("ours/assets/below/a.tif"), Some(bytes()));
        assert_eq!(bucket.asked("PUT"), parts);
        assert_eq!(
            bucket.asked("PUT ours/assets/below/a.tif?x-id=UploadPartCopy"),
            parts
        );
    }
}

#[tokio::test]
async fn what_may_not_be_copied_or_changed_meanwhile_leaves_nothing_behind() {
    for (fault, etag) in [
        (Fault::Denied, TAG),
        (Fault::Rot, TAG),
        (Fault::None, "\"v0\""),
    ] {
        let bucket = Bucket::with(fault, &bytes());
        let done = copied(&bucket, etag, &bytes(), LARGEST_PART).await.unwrap();
        assert_eq!(done, None, "the bytes go up instead");
        assert_eq!(bucket.object("ours/assets/below/a.tif"), None);
        assert!(bucket.uploads.lock().unwrap().is_empty());
        assert_eq!(bucket.asked("DELETE"), 1);
    }
}

#[tokio::test]
async fn an_object_that_lies_there_is_ours_only_by_its_bytes() {
    let bucket = Bucket::with(Fault::LostAnswer, &bytes());
    let done = copied(&bucket, TAG, &bytes(), LARGEST_PART).await.unwrap();
    assert!(done.unwrap().adopted);
    let bucket = Bucket::with(Fault::None, &bytes());
    let theirs = b"theirs".to_vec();
    let place = "ours/assets/below/a.tif";
    bucket
        .objects
        .lock()
        .unwrap()
        .insert(place.to_owned(), theirs.clone());
    let error = copied(&bucket, TAG, &bytes(), LARGEST_PART)
        .await
        .unwrap_err();
    assert!(matches!(error, PublishError::Occupied { .. }), "{error}");
    assert_eq!(bucket.object(place), Some(theirs));
}

#[test]
fn parts_cover_every_byte_once_and_none_is_too_large() {
    for (size, largest, count) in [(1, 5, 1), (5, 5, 1), (6, 5, 2), (10, 5, 2), (11, 5, 3)] {
        let ranges = ranges(size, largest);
        assert_eq!(ranges.len(), count);
        let mut end = 0;
        for range in ranges {
            assert!(range.start == end && range.end - range.start <= largest);
            end = range.end;
        }
        assert_eq!(end, size);
    }
}
