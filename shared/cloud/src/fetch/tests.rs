use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use reqwest::dns::{Addrs, Name, Resolving};
use swath_core::{Class, Classify as _};
use time::macros::datetime;

use super::testing::{Answer, Request, ScriptedServer};
use super::*;
use crate::clock::testing::FakeClock;
use crate::digest::Hashing;
use crate::publish::{StagedFile, Staging};
use crate::retry::Retryable as _;

const TAG: &str = "\"v1\"";

/// Bytes in which every place differs from its neighbours.
fn file(size: usize) -> Bytes {
    (0..size)
        .map(|n| u8::try_from((n * 31 + n / 251) % 256).unwrap())
        .collect()
}

fn sha256(bytes: &[u8]) -> String {
    let mut hashing = Hashing::new(None);
    hashing.update(bytes);
    hashing.digests().sha256
}

fn local_policy() -> FetchPolicy {
    FetchPolicy {
        allow_http: true,
        allow_private_hosts: true,
        ..FetchPolicy::default()
    }
}

struct World {
    folder: tempfile::TempDir,
    clock: Arc<FakeClock>,
    fetcher: Fetcher,
    staged: StagedFile,
}

impl World {
    async fn new(policy: FetchPolicy) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(FakeClock::default());
        let fetcher =
            Fetcher::new(policy, Signers::default(), Arc::<FakeClock>::clone(&clock)).unwrap();
        let store = crate::store::open(folder.path().to_str().unwrap()).unwrap();
        let staging = Staging::open(&store, Path::new("unused")).await.unwrap();
        let staged = staging.create().await.unwrap();
        Self {
            folder,
            clock,
            fetcher,
            staged,
        }
    }

    async fn fetch(&mut self, href: &str) -> Result<Body, FetchError> {
        let mut transfer = self
            .fetcher
            .transfer(href.parse().unwrap(), Signing::None, None);
        transfer.run(&mut self.staged).await
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.staged.path()).unwrap()
    }
}

async fn fetched_from(
    script: impl Fn(&Request) -> Answer + Send + Sync + 'static,
) -> (Result<Body, FetchError>, World, ScriptedServer) {
    let server = ScriptedServer::start(script).await.unwrap();
    let mut world = World::new(local_policy()).await;
    let body = world.fetch(&server.url("/a.tif")).await;
    (body, world, server)
}

#[tokio::test]
async fn a_whole_file_arrives_with_its_facts() {
    let bytes = file(3_000_000);
    let sent = bytes.clone();
    let (body, world, server) =
        fetched_from(move |request| Answer::file(request, &sent, TAG)).await;
    let body = body.unwrap();
    assert_eq!(world.bytes(), bytes);
    assert_eq!(
        (body.size_bytes, body.etag.as_deref()),
        (3_000_000, Some(TAG))
    );
    assert_eq!(body.digests.sha256, sha256(&bytes));
    let request = &server.seen()[0];
    assert_eq!(request.header("accept-encoding"), Some("identity"));
    assert_eq!(request.header("range"), None);
}

#[tokio::test]
async fn a_busy_host_is_asked_again() {
    let (body, world, server) = fetched_from(|request| match request.number {
        0 => Answer::new(503, "busy"),
        1 => Answer::new(500, ""),
        _ => Answer::new(200, "whole"),
    })
    .await;
    assert_eq!(
        (body.unwrap().size_bytes, world.bytes()),
        (5, b"whole".to_vec())
    );
    assert_eq!((server.seen().len(), world.clock.waits().len()), (3, 2));
}

/// H1, H2.
#[tokio::test]
async fn the_hosts_own_wish_is_kept_in_both_forms() {
    for wish in ["7", "Sat, 01 Jun 2024 12:00:07 GMT"] {
        let (body, world, _server) = fetched_from(move |request| match request.number {
            0 => Answer::new(429, "").header("retry-after", wish),
            _ => Answer::new(200, "whole"),
        })
        .await;
        assert!(body.is_ok());
        let waits = world.clock.waits();
        assert!(
            waits.len() == 1 && waits[0] >= Duration::from_secs(7),
            "{wish}: {waits:?}"
        );
        assert!(world.clock.now() >= datetime!(2024-06-01 12:00:07 UTC));
    }
}

/// H3.
#[tokio::test]
async fn a_wish_of_a_day_is_handed_on_and_not_slept() {
    let (body, world, server) =
        fetched_from(|_| Answer::new(429, "").header("retry-after", "86400")).await;
    let error = body.unwrap_err();
    assert_eq!(
        (error.class(), error.code()),
        (Class::Transient, "throttled")
    );
    assert_eq!(error.retry_after(), Some(Duration::from_hours(24)));
    assert_eq!((server.seen().len(), world.clock.waits().len()), (1, 0));
}

/// H8.
#[tokio::test]
async fn a_body_cut_at_any_byte_is_resumed_where_it_broke_off() {
    let bytes = file(1 << 20);
    for cut in [1, 512, 65_536, (1 << 20) - 1] {
        let sent = bytes.clone();
        let (body, world, server) = fetched_from(move |request| {
            let answer = Answer::file(request, &sent, TAG);
            if request.number == 0 {
                answer.cut_at(cut)
            } else {
                answer
            }
        })
        .await;
        assert_eq!(body.unwrap().digests.sha256, sha256(&bytes), "cut at {cut}");
        assert_eq!(world.bytes(), bytes);
        let seen = server.seen();
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[1].from_byte(), Some(cut));
        assert_eq!(seen[1].header("if-range"), Some(TAG));
    }
}

/// H8 at byte 0: nothing to resume.
#[tokio::test]
async fn a_body_cut_before_its_first_byte_starts_anew() {
    let (body, _world, server) = fetched_from(|request| {
        let answer = Answer::new(200, "whole").header("etag", TAG);
        if request.number == 0 {
            answer.cut_at(0)
        } else {
            answer
        }
    })
    .await;
    assert!(body.is_ok());
    assert_eq!(server.seen()[1].header("range"), None);
}

#[tokio::test]
async fn only_the_missing_bytes_are_fetched_again() {
    let bytes = file(100_000);
    let sent = bytes.clone();
    let server = ScriptedServer::start(move |request| {
        let answer = Answer::file(request, &sent, TAG);
        if request.number < 2 {
            answer.cut_at(40_000)
        } else {
            answer
        }
    })
    .await
    .unwrap();
    let mut world = World::new(local_policy()).await;
    let href = server.url("/a").parse().unwrap();
    let mut transfer = world.fetcher.transfer(href, Signing::None, None);
    let body = transfer.run(&mut world.staged).await.unwrap();
    assert_eq!(
        (transfer.bytes_fetched(), transfer.attempts()),
        (100_000, 3)
    );
    assert_eq!(transfer.last_status(), Some(206));
    assert_eq!(body.digests.sha256, sha256(&bytes));
}

#[tokio::test]
async fn a_host_that_ignores_ranges_makes_us_start_over() {
    let bytes = file(50_000);
    let sent = bytes.clone();
    let (body, world, server) = fetched_from(move |request| {
        let answer = Answer::new(200, sent.clone()).header("etag", TAG);
        if request.number == 0 {
            answer.cut_at(20_000)
        } else {
            answer
        }
    })
    .await;
    assert_eq!(body.unwrap().digests.sha256, sha256(&bytes));
    assert_eq!(world.bytes(), bytes);
    assert_eq!(server.seen()[1].from_byte(), Some(20_000));
}

#[tokio::test]
async fn a_file_that_changed_meanwhile_is_not_spliced() {
    let (old, new) = (file(50_000), Bytes::from(vec![7; 60_000]));
    let (first, second) = (old.clone(), new.clone());
    let (body, world, _server) = fetched_from(move |request| match request.number {
        0 => Answer::file(request, &first, TAG).cut_at(20_000),
        _ => Answer::file(request, &second, "\"v2\""),
    })
    .await;
    assert_eq!(body.unwrap().etag.as_deref(), Some("\"v2\""));
    assert_eq!(world.bytes(), new);
}

#[tokio::test]
async fn a_file_without_a_validator_is_never_resumed() {
    let bytes = file(50_000);
    let sent = bytes.clone();
    let (body, _world, server) = fetched_from(move |request| {
        let answer = Answer::file(request, &sent, "W/\"weak\"");
        if request.number == 0 {
            answer.cut_at(20_000)
        } else {
            answer
        }
    })
    .await;
    assert_eq!(body.unwrap().digests.sha256, sha256(&bytes));
    assert_eq!(server.seen()[1].header("range"), None);
}

#[tokio::test]
async fn a_range_that_was_not_asked_for_is_not_taken() {
    let bytes = file(50_000);
    for wrong in [
        "bytes 20001-49999/50000",
        "bytes 0-49999/50000",
        "bytes 20000-49999/60000",
        "nonsense",
        "",
    ] {
        let sent = bytes.clone();
        let (body, world, server) = fetched_from(move |request| match request.number {
            0 => Answer::file(request, &sent, TAG).cut_at(20_000),
            1 => Answer::new(206, sent.slice(20_000..)).header("content-range", wrong),
            _ => Answer::file(request, &sent, TAG),
        })
        .await;
        assert_eq!(body.unwrap().digests.sha256, sha256(&bytes), "{wrong:?}");
        assert_eq!(world.bytes(), bytes);
        assert_eq!(
            server.seen()[2].header("range"),
            None,
            "what came before is forgotten"
        );
    }
}

#[tokio::test]
async fn a_range_past_the_end_ends_a_file_only_when_the_total_fits() {
    let bytes = file(30_000);
    for (total, requests) in [(30_000, 2), (40_000, 3)] {
        let sent = bytes.clone();
        let (body, world, server) = fetched_from(move |request| match request.number {
            // Says it has one more byte than it sends, so that all of it is here when it breaks off.
            0 => Answer::file(request, &sent, TAG).header("content-length", "30001"),
            1 => Answer::new(416, "").header("content-range", format!("bytes */{total}")),
            _ => Answer::file(request, &sent, TAG),
        })
        .await;
        assert_eq!(body.unwrap().digests.sha256, sha256(&bytes));
        assert_eq!(
            (world.bytes(), server.seen().len()),
            (bytes.to_vec(), requests)
        );
    }
}

#[tokio::test]
async fn a_body_that_is_always_cut_is_a_named_failure() {
    let (body, _world, server) = fetched_from(|_| {
        Answer::new(200, "whole")
            .header("etag", "W/\"x\"")
            .cut_at(3)
    })
    .await;
    let error = body.unwrap_err();
    assert!(
        matches!(
            error,
            FetchError::CutShort {
                received: 3,
                expected: 5,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(
        (error.code(), error.class()),
        ("cut_short", Class::Transient)
    );
    assert_eq!(server.seen().len(), 5);
}

#[tokio::test]
async fn statuses_have_the_class_of_what_to_do_about_them() {
    let cases = [
        (404, Class::Invalid, "gone", 1),
        (410, Class::Invalid, "gone", 1),
        (400, Class::Invalid, "unexpected_status", 1),
        (204, Class::Invalid, "unexpected_status", 1),
        (401, Class::Denied, "forbidden", 1),
        (403, Class::Denied, "forbidden", 1),
        (408, Class::Transient, "unavailable", 5),
        (429, Class::Transient, "throttled", 5),
        (500, Class::Transient, "unavailable", 5),
        (503, Class::Transient, "unavailable", 5),
    ];
    for (status, class, code, requests) in cases {
        let (body, _world, server) = fetched_from(move |_| Answer::new(status, "")).await;
        let error = body.unwrap_err();
        assert_eq!((error.class(), error.code()), (class, code), "{status}");
        assert_eq!(server.seen().len(), requests, "{status}");
    }
}

#[tokio::test]
async fn a_file_over_the_limit_is_refused_before_its_first_byte_and_while_counting() {
    let policy = FetchPolicy {
        max_size_bytes: 1000,
        ..local_policy()
    };
    let server = ScriptedServer::start(|request| {
        let answer = Answer::new(200, vec![0; 1001]);
        if request.path == "/known" {
            answer.cut_at(0)
        } else {
            answer.without("content-length")
        }
    })
    .await
    .unwrap();
    for path in ["/known", "/unknown"] {
        let mut world = World::new(policy.clone()).await;
        let error = world.fetch(&server.url(path)).await.unwrap_err();
        assert!(
            matches!(
                error,
                FetchError::TooLarge {
                    limit_bytes: 1000,
                    ..
                }
            ),
            "{path}: {error}"
        );
    }
    assert_eq!(server.seen().len(), 2);
}

/// H7.
#[tokio::test]
async fn a_body_that_trickles_is_given_up() {
    let mut policy = local_policy();
    // Long beside the pauses: on a busy machine too the body is slow, not silent.
    policy.timeouts.idle = Duration::from_secs(1);
    policy.retry.attempts = 1;
    let server =
        ScriptedServer::start(|_| Answer::new(200, file(1000)).trickle(Duration::from_millis(20)))
            .await
            .unwrap();
    let mut world = World::new(policy).await;
    let error = world.fetch(&server.url("/a")).await.unwrap_err();
    assert_eq!(
        (error.code(), error.class()),
        ("stalled", Class::Transient),
        "{error}"
    );
}

#[tokio::test]
async fn a_silent_host_is_given_up() {
    let mut policy = local_policy();
    policy.timeouts.idle = Duration::from_millis(100);
    policy.retry.attempts = 1;
    let server = ScriptedServer::start(|_| Answer::new(200, "x").trickle(Duration::from_secs(30)))
        .await
        .unwrap();
    let mut world = World::new(policy).await;
    let error = world.fetch(&server.url("/a")).await.unwrap_err();
    assert_eq!(
        (error.code(), error.class()),
        ("timeout", Class::Transient),
        "{error}"
    );
}

#[tokio::test]
async fn redirects_are_followed_with_the_range_and_no_further_than_the_limit() {
    let bytes = file(10_000);
    let sent = bytes.clone();
    let (body, _world, server) = fetched_from(move |request| match request.path.as_str() {
        "/a.tif" => Answer::new(302, "").header("location", "/b.tif?x=1"),
        _ if request.number == 0 => Answer::file(request, &sent, TAG).cut_at(4_000),
        _ => Answer::file(request, &sent, TAG),
    })
    .await;
    assert_eq!(body.unwrap().digests.sha256, sha256(&bytes));
    let last = server.seen().pop().unwrap();
    assert_eq!(
        (last.path.as_str(), last.from_byte()),
        ("/b.tif?x=1", Some(4_000))
    );

    let (body, _world, server) =
        fetched_from(|_| Answer::new(307, "").header("location", "/a.tif")).await;
    assert_eq!(body.unwrap_err().code(), "too_many_redirects");
    assert_eq!(server.seen().len(), 6);

    let (body, _world, _server) = fetched_from(|_| Answer::new(302, "")).await;
    assert_eq!(body.unwrap_err().code(), "redirect_to_nowhere");
}

/// S4: hops are held to the same rules, and no host makes us read our own disk.
#[tokio::test]
async fn a_redirect_to_a_refused_place_is_refused() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    let path = format!("file://{}", secret.path().display());
    for to in [
        path.as_str(),
        "ftp://example.com/",
        "http://user:pw@127.0.0.1/",
    ] {
        let to = to.to_owned();
        let server =
            ScriptedServer::start(move |_| Answer::new(302, "").header("location", to.clone()))
                .await
                .unwrap();
        let policy = FetchPolicy {
            allow_file: true,
            ..local_policy()
        };
        let error = World::new(policy)
            .await
            .fetch(&server.url("/"))
            .await
            .unwrap_err();
        assert!(error.is_policy(), "{error}");
        assert_eq!(server.seen().len(), 1);
    }
}

/// Leads every name to the addresses of a list, one per question, and counts the questions.
#[derive(Debug, Default)]
struct Names {
    answers: Mutex<Vec<SocketAddr>>,
    asked: Mutex<usize>,
}

impl Resolve for Names {
    fn resolve(&self, _: Name) -> Resolving {
        *self.asked.lock().unwrap() += 1;
        let answer = self.answers.lock().unwrap().pop();
        Box::pin(async move { Ok(Box::new(answer.into_iter()) as Addrs) })
    }
}

fn named(policy: FetchPolicy, answers: Vec<SocketAddr>) -> (Fetcher, Arc<Names>) {
    let names = Arc::new(Names {
        answers: Mutex::new(answers),
        ..Names::default()
    });
    let clock = Arc::new(FakeClock::default());
    let fetcher = Fetcher::with_resolver(
        policy,
        Signers::default(),
        clock,
        Arc::<Names>::clone(&names),
    )
    .unwrap();
    (fetcher, names)
}

/// S2.
#[tokio::test]
async fn a_public_name_that_leads_to_a_private_address_is_not_dialled() {
    let server = ScriptedServer::start(|_| Answer::new(200, "secret"))
        .await
        .unwrap();
    let port = server.url("").rsplit(':').next().unwrap().parse().unwrap();
    for address in [
        "127.0.0.1",
        "169.254.169.254",
        "10.0.0.1",
        "::1",
        "fd00:ec2::254",
    ] {
        let policy = FetchPolicy {
            allow_http: true,
            ..FetchPolicy::default()
        };
        let answers = vec![SocketAddr::new(address.parse().unwrap(), port)];
        let (fetcher, names) = named(policy, answers);
        let href = Url::parse("http://public.example/a?sig=secret").unwrap();
        let mut world = World::new(local_policy()).await;
        let error = fetcher
            .transfer(href, Signing::None, None)
            .run(&mut world.staged)
            .await
            .unwrap_err();
        assert_eq!(
            (error.code(), error.class()),
            ("private_address", Class::Invalid)
        );
        assert!(error.to_string().contains(address), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
        assert_eq!(*names.asked.lock().unwrap(), 1);
    }
    assert_eq!(server.seen().len(), 0);
}

/// Follows one redirect of an https host as [`Fetcher::ask`] does, up to where the next request would be sent.
fn hop(policy: FetchPolicy, location: &str) -> Result<(), FetchError> {
    let (fetcher, _) = named(policy, Vec::new());
    let answer = axum::http::Response::builder()
        .status(302)
        .header("location", location)
        .body("")
        .unwrap();
    let from = Url::parse("https://public.example/a").unwrap();
    let next = fetcher.next_hop(&from, &answer.into())?;
    guard::check(&fetcher.policy, &next)
}

/// S4.
#[test]
fn a_redirect_into_our_own_networks_is_refused() {
    for location in [
        "https://169.254.169.254/latest/meta-data/",
        "https://127.0.0.1/",
        "https://[::ffff:10.0.0.1]/",
        "https://2130706433/",
        "//192.168.1.1/",
    ] {
        let result = hop(FetchPolicy::default(), location);
        assert!(
            matches!(result, Err(FetchError::Private { .. })),
            "{location}: {result:?}"
        );
    }
    assert!(hop(FetchPolicy::default(), "https://other.example/b").is_ok());
    assert!(hop(FetchPolicy::default(), "../b").is_ok());
}

/// S5.
#[test]
fn a_redirect_from_https_to_http_is_refused() {
    let to = "http://example.com/a";
    assert!(matches!(
        hop(FetchPolicy::default(), to),
        Err(FetchError::Downgrade { .. })
    ));
    assert!(hop(local_policy(), to).is_ok());
}

#[tokio::test]
async fn a_local_file_is_read_only_where_it_is_allowed() {
    let mut world = World::new(FetchPolicy {
        allow_file: true,
        ..FetchPolicy::default()
    })
    .await;
    let bytes = file(700_000);
    let path = world.folder.path().join("a b.tif");
    std::fs::write(&path, &bytes).unwrap();
    let href = Url::from_file_path(&path).unwrap().to_string();
    let body = world.fetch(&href).await.unwrap();
    assert_eq!(
        (body.digests.sha256, world.bytes()),
        (sha256(&bytes), bytes.to_vec())
    );

    let gone = world.fetch(&format!("{href}.gone")).await.unwrap_err();
    assert_eq!((gone.class(), gone.code()), (Class::Invalid, "gone"));
    let mut strict = World::new(FetchPolicy::default()).await;
    assert_eq!(
        strict.fetch(&href).await.unwrap_err().code(),
        "scheme_refused"
    );
}

#[tokio::test]
async fn nobody_listening_is_a_transient_failure() {
    let server = ScriptedServer::start(|_| Answer::new(200, ""))
        .await
        .unwrap();
    let href = server.url("/a");
    drop(server);
    let mut world = World::new(local_policy()).await;
    let error = world.fetch(&href).await.unwrap_err();
    assert_eq!(
        (error.class(), error.code()),
        (Class::Transient, "connection_refused")
    );
    assert_eq!(world.clock.waits().len(), 4);
}

/// Adds a token that is another one each time.
#[derive(Debug, Default)]
struct Counting(Mutex<u32>);

#[async_trait::async_trait]
impl Sign for Counting {
    async fn sign(&self, href: &Url) -> Result<Signed, SignError> {
        let mut count = self.0.lock().unwrap();
        *count += 1;
        let mut signed = href.clone();
        signed.set_query(Some(&format!("sig=canary{count}")));
        Ok(Signed::plain(signed))
    }
}

#[tokio::test]
async fn every_attempt_is_signed_anew_and_no_signature_is_printed() {
    let server = ScriptedServer::start(|_| Answer::new(503, ""))
        .await
        .unwrap();
    let mut world = World::new(local_policy()).await;
    let signers = Signers::default().with(Signing::None, Arc::new(Counting::default()));
    world.fetcher = Fetcher::new(
        local_policy(),
        signers,
        Arc::<FakeClock>::clone(&world.clock),
    )
    .unwrap();
    let error = world.fetch(&server.url("/a")).await.unwrap_err();
    let paths: Vec<_> = server
        .seen()
        .into_iter()
        .map(|request| request.path)
        .collect();
    let expected: Vec<_> = (1..=5).map(|n| format!("/a?sig=canary{n}")).collect();
    assert_eq!(paths, expected);
    assert!(!swath_core::chain(&error).contains("canary"), "{error}");
}
