use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use swath_core::{Class, Classify as _};
use url::Url;

use super::*;
use crate::clock::Clock as _;
use crate::clock::testing::FakeClock;
use crate::fetch::testing::{Answer, Request, ScriptedServer, say};
use crate::fetch::{Body, FetchError, FetchPolicy, Fetcher, Sign as _, SignError, Signed};
use crate::publish::Staging;

const TAG: &str = "\"v1\"";

fn file() -> Bytes {
    (0..200_000_u32)
        .map(|n| u8::try_from((n * 31 + n / 251) % 256).unwrap())
        .collect()
}

fn secret(text: &str) -> Redacted<String> {
    Redacted::new(text.to_owned())
}

struct World {
    folder: tempfile::TempDir,
    clock: Arc<FakeClock>,
    fetcher: Fetcher,
}

impl World {
    fn new(signing: Signing, signer: Arc<dyn crate::fetch::Sign>) -> Self {
        let clock = Arc::new(FakeClock::default());
        Self::at(clock, signing, signer)
    }

    fn at(clock: Arc<FakeClock>, signing: Signing, signer: Arc<dyn crate::fetch::Sign>) -> Self {
        let policy = FetchPolicy {
            allow_http: true,
            allow_private_hosts: true,
            ..FetchPolicy::default()
        };
        let signers = Signers::default().with(signing, signer);
        let fetcher = Fetcher::new(policy, signers, Arc::<FakeClock>::clone(&clock)).unwrap();
        Self {
            folder: tempfile::tempdir().unwrap(),
            clock,
            fetcher,
        }
    }

    async fn fetch(&self, href: &str, signing: Signing) -> (Result<Body, FetchError>, u32) {
        let store = crate::store::open(self.folder.path().to_str().unwrap()).unwrap();
        let staging = Staging::open(&store, Path::new("unused")).await.unwrap();
        let mut staged = staging.create();
        let href = href.parse().unwrap();
        let mut transfer = self.fetcher.transfer(href, signing, None);
        let body = transfer.run(&mut staged).await;
        (body, transfer.attempts())
    }
}

/// A token service and a store of blobs on one host; tokens are numbered and live as long as `life` says.
struct Azure {
    server: ScriptedServer,
    clock: Arc<FakeClock>,
    tokens: Arc<AtomicUsize>,
}

fn number_of(request: &Request) -> Option<usize> {
    let (_, query) = request.path.split_once('?')?;
    query.strip_prefix("sig=canary")?.parse().ok()
}

impl Azure {
    /// `skew` is how far the service's clock is ahead of ours; `accept` answers requests for blobs by their token's number.
    async fn new(
        life: Duration,
        skew: time::Duration,
        accept: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let clock = Arc::new(FakeClock::default());
        let tokens = Arc::new(AtomicUsize::new(0));
        let (time, count) = (Arc::clone(&clock), Arc::clone(&tokens));
        let server = ScriptedServer::start(move |request| {
            if !request.path.starts_with("/token/") {
                return match number_of(request) {
                    Some(number) => accept(request, number),
                    None => Answer::new(404, "unsigned"),
                };
            }
            let number = count.fetch_add(1, Ordering::SeqCst) + 1;
            let now = time.now() + skew;
            let format = time::format_description::well_known::Rfc3339;
            let expiry = (now + life).format(&format).unwrap();
            let date = time::format_description::well_known::Rfc2822;
            let date = now.format(&date).unwrap().replace("+0000", "GMT");
            let body = format!(r#"{{"msft:expiry":"{expiry}","token":"sig=canary{number}"}}"#);
            Answer::new(200, body).header("date", date)
        })
        .await
        .unwrap();
        Self {
            server,
            clock,
            tokens,
        }
    }

    fn signer(&self) -> Arc<PlanetaryComputer> {
        let http = http::for_apis(Timeouts::default()).unwrap();
        let clock: Arc<dyn Clock> = Arc::<FakeClock>::clone(&self.clock);
        let endpoint = self.server.url("/token/").parse().unwrap();
        let planetary = PlanetaryComputer::new(http, None, clock).at(endpoint, "127.0.0.1");
        Arc::new(planetary)
    }

    fn world(&self) -> World {
        let clock = Arc::clone(&self.clock);
        World::at(clock, Signing::PlanetaryComputer, self.signer())
    }

    fn blob(&self, name: &str) -> String {
        self.server.url(&format!("/account/container/{name}"))
    }
}

/// A1.
#[tokio::test]
async fn many_downloads_share_the_few_tokens_that_their_time_takes() {
    let body = file();
    let azure = Azure::new(Duration::from_secs(3), time::Duration::ZERO, {
        move |request, _| Answer::file(request, &body, TAG)
    })
    .await;
    let world = azure.world();
    let mut failed = 0;
    for second in 0..20 {
        let names: Vec<_> = (0..5)
            .map(|n| azure.blob(&format!("{second}-{n}")))
            .collect();
        let fetches = names
            .iter()
            .map(|href| world.fetch(href, Signing::PlanetaryComputer));
        for (result, _) in futures::future::join_all(fetches).await {
            failed += usize::from(result.is_err());
        }
        azure.clock.advance(Duration::from_secs(1));
    }
    let calls = azure.tokens.load(Ordering::SeqCst);
    say(
        "A1",
        "100 downloads in 20 s, tokens of 3 s",
        "<= 8 calls, 0 failed",
        format!("{calls}, {failed}"),
    );
    assert!(calls <= 8 && failed == 0, "{calls} calls, {failed} failed");
}

/// A2.
#[tokio::test]
async fn a_token_that_ends_in_mid_download_is_renewed_and_the_file_resumed() {
    let body = file();
    let sent = body.clone();
    let azure = Azure::new(Duration::from_hours(1), time::Duration::ZERO, {
        move |request, token| match (token, request.from_byte()) {
            (1, None) => Answer::file(request, &sent, TAG).cut_at(100_000),
            (1, Some(_)) => Answer::new(403, "expired"),
            _ => Answer::file(request, &sent, TAG),
        }
    })
    .await;
    let (got, attempts) = azure
        .world()
        .fetch(&azure.blob("a.tif"), Signing::PlanetaryComputer)
        .await;
    let got = got.unwrap();
    let calls = azure.tokens.load(Ordering::SeqCst);
    say(
        "A2",
        "403 in mid-download",
        "2 tokens, 2 attempts",
        format!("{calls}, {attempts}"),
    );
    assert_eq!((got.size_bytes, calls, attempts), (body.len() as u64, 2, 2));
    let mut hashing = crate::digest::Hashing::new(None);
    hashing.update(&body);
    assert_eq!(got.digests, hashing.digests());
    let last = azure.server.seen().pop().unwrap();
    assert_eq!(last.from_byte(), Some(100_000));
}

/// A3.
#[tokio::test]
async fn a_refusal_of_a_new_token_too_ends_the_tries() {
    let azure = Azure::new(Duration::from_hours(1), time::Duration::ZERO, |_, _| {
        Answer::new(403, "no")
    })
    .await;
    let (got, _) = azure
        .world()
        .fetch(&azure.blob("a.tif"), Signing::PlanetaryComputer)
        .await;
    let error = got.unwrap_err();
    let blobs = azure
        .server
        .seen()
        .iter()
        .filter(|request| number_of(request).is_some())
        .count();
    say(
        "A3",
        "403 after a refresh",
        "denied, <= 2 requests",
        format!("{}, {blobs}", error.class()),
    );
    assert_eq!(
        (error.code(), error.class(), blobs),
        ("forbidden", Class::Denied, 2)
    );
    assert!(!swath_core::chain(&error).contains("canary"));
}

/// A4.
#[tokio::test]
async fn a_busy_token_service_is_waited_for_and_storage_is_not_asked_unsigned() {
    let body = file();
    let server = ScriptedServer::start(move |request| match request.path.as_str() {
        "/token/account/container" if request.number < 5 => {
            Answer::new(429, "later").header("retry-after", "2")
        }
        "/token/account/container" => Answer::new(200, r#"{"token":"sig=canary"}"#),
        "/account/container/a?sig=canary" => Answer::file(request, &body, TAG),
        _ => Answer::new(404, ""),
    })
    .await
    .unwrap();
    let clock = Arc::new(FakeClock::default());
    let time: Arc<dyn Clock> = Arc::<FakeClock>::clone(&clock);
    let http = http::for_apis(Timeouts::default()).unwrap();
    let signer = PlanetaryComputer::new(http, None, time)
        .at(server.url("/token/").parse().unwrap(), "127.0.0.1");
    let world = World::at(clock, Signing::PlanetaryComputer, Arc::new(signer));
    let href = server.url("/account/container/a");
    let (got, _) = world.fetch(&href, Signing::PlanetaryComputer).await;
    got.unwrap();
    let unsigned = server
        .seen()
        .iter()
        .filter(|request| request.path == "/account/container/a")
        .count();
    let waited: Duration = world.clock.waits().iter().sum();
    say(
        "A4",
        "signer 429 five times",
        "0 unsigned, >= 10 s waited",
        format!("{unsigned}, {waited:?}"),
    );
    assert_eq!(unsigned, 0);
    assert!(waited >= Duration::from_secs(10));
}

/// A5.
#[tokio::test]
async fn a_clock_that_is_wrong_by_minutes_makes_no_storm_of_tokens() {
    for skew in [time::Duration::minutes(5), time::Duration::minutes(-5)] {
        let body = file();
        let azure = Azure::new(Duration::from_mins(4), skew, move |request, _| {
            Answer::file(request, &body, TAG)
        })
        .await;
        let world = azure.world();
        for n in 0..30 {
            let href = azure.blob(&n.to_string());
            let (got, _) = world.fetch(&href, Signing::PlanetaryComputer).await;
            got.unwrap();
            azure.clock.advance(Duration::from_secs(20));
        }
        let calls = azure.tokens.load(Ordering::SeqCst);
        say(
            "A5",
            &format!("clock skew {skew}"),
            "3 tokens in 10 min",
            calls,
        );
        assert!(calls <= 3, "{calls} tokens");
    }
}

/// A6, at Earthdata: the login page is not even asked for.
#[tokio::test]
async fn a_redirect_to_log_in_is_a_denial() {
    let server = ScriptedServer::start(|_| {
        Answer::new(302, "").header(
            "location",
            "https://urs.earthdata.nasa.gov/oauth/authorize?x=1",
        )
    })
    .await
    .unwrap();
    let signer = Header::earthdata(&secret("canary"), &Hosts::default()).unwrap();
    let world = World::new(Signing::Earthdata, Arc::new(signer));
    let (got, attempts) = world.fetch(&server.url("/a"), Signing::Earthdata).await;
    let error = got.unwrap_err();
    say(
        "A6",
        "302 to a login page",
        "denied at once",
        format!("{} after {attempts}", error.class()),
    );
    assert_eq!(
        (error.code(), error.class(), attempts),
        ("login_required", Class::Denied, 1)
    );
}

/// A7.
#[tokio::test]
async fn a_token_goes_to_the_named_hosts_alone_wherever_redirects_lead() {
    let body = file();
    let server = Arc::new(std::sync::OnceLock::<String>::new());
    let good = Arc::clone(&server);
    let started = ScriptedServer::start(move |request| match request.path.as_str() {
        "/evil" => {
            let location = good.get().unwrap().replace("127.0.0.1", "localhost");
            Answer::new(302, "").header("location", format!("{location}good"))
        }
        "/good" => {
            let location = format!("{}back", good.get().unwrap());
            Answer::new(302, "").header("location", location)
        }
        _ => Answer::file(request, &body, TAG),
    })
    .await
    .unwrap();
    server.set(started.url("/")).unwrap();
    let hosts = Hosts::new(["localhost"]);
    let signer = Header::bearer(&secret("canary"), hosts).unwrap();
    let world = World::new(Signing::Bearer, Arc::new(signer));
    world
        .fetch(&started.url("/evil"), Signing::Bearer)
        .await
        .0
        .unwrap();
    let seen: Vec<_> = started
        .seen()
        .into_iter()
        .map(|request| {
            (
                request.path.clone(),
                request.header("authorization").map(str::to_owned),
            )
        })
        .collect();
    let token = Some("Bearer canary".to_owned());
    say(
        "A7",
        "evil -> named -> evil",
        "the named host alone",
        format!("{seen:?}"),
    );
    assert_eq!(
        seen,
        [
            ("/evil".into(), None),
            ("/good".into(), token),
            ("/back".into(), None)
        ]
    );
}

#[test]
fn host_names_are_matched_whole() {
    let hosts = Hosts::new(["Example.com", ".nasa.gov", ""]);
    for host in ["example.com", "EXAMPLE.com", "data.nasa.gov"] {
        assert!(hosts.have(host), "{host}");
    }
    for host in [
        "evil-example.com",
        "example.com.evil",
        "nasa.gov",
        "evilnasa.gov",
        "",
    ] {
        assert!(!hosts.have(host), "{host}");
    }
}

#[tokio::test]
async fn a_token_without_a_host_to_see_it_is_not_used() {
    let signer = Header::bearer(&secret("canary"), Hosts::default()).unwrap();
    let href = Url::parse("https://h.example/a").unwrap();
    let error = signer.sign(&href).await.unwrap_err();
    assert_eq!(error.class(), Class::Denied);
    assert!(!error.to_string().contains("canary"), "{error}");
    assert!(!format!("{signer:?}").contains("canary"));
    assert_eq!(
        Header::bearer(&secret("a\nb"), Hosts::default()).unwrap_err(),
        HeaderError::Characters
    );
}

/// A8.
#[tokio::test]
async fn a_bucket_whose_readers_pay_is_refused_before_any_request() {
    let clock: Arc<dyn Clock> = Arc::new(FakeClock::default());
    let access = Access {
        buckets: Buckets::Any,
        ..Access::default()
    };
    let signers = access.signers(&clock).unwrap();
    let fetcher = Fetcher::new(FetchPolicy::default(), signers, clock).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = crate::store::open(folder.path().to_str().unwrap()).unwrap();
    let staging = Staging::open(&store, Path::new("unused")).await.unwrap();
    for href in [
        "s3://usgs-landsat/collection02/a.TIF",
        "https://usgs-landsat.s3.us-west-2.amazonaws.com/a.TIF",
        "https://s3.eu-central-1.amazonaws.com/sentinel-s2-l1c/tiles/B04.jp2",
        "https://sentinel-s2-l2a.s3.amazonaws.com/tiles/B04.jp2",
    ] {
        for signing in [Signing::None, Signing::S3] {
            let mut staged = staging.create();
            let mut transfer = fetcher.transfer(href.parse().unwrap(), signing, None);
            let error = transfer.run(&mut staged).await.unwrap_err();
            assert_eq!(
                (error.code(), error.class()),
                ("not_signed", Class::Denied),
                "{href}"
            );
            assert!(error.to_string().contains("$0.09 per GB"), "{error}");
            assert_eq!(transfer.last_status(), None);
        }
    }
    say(
        "A8",
        "requester pays without opt-in",
        "refused, 0 requests",
        "refused, 0 requests",
    );
}

#[test]
fn open_objects_of_s3_are_fetched_from_their_web_address() {
    let cases = [
        (
            "s3://bucket/a/b%20c.tif",
            "https://bucket.s3.amazonaws.com/a/b%20c.tif",
        ),
        ("s3://my.bucket/a", "https://s3.amazonaws.com/my.bucket/a"),
    ];
    for (href, address) in cases {
        let href = Url::parse(href).unwrap();
        assert_eq!(s3::open_address(&href).unwrap().as_str(), address);
    }
    let bare = Url::parse("s3://bucket/").unwrap();
    assert_eq!(s3::open_address(&bare).unwrap_err().class(), Class::Denied);
}

fn s3_of(server: &ScriptedServer, buckets: Buckets, pays: bool) -> S3 {
    let credentials = aws_sdk_s3::config::Credentials::new("id", "canary", None, None, "test");
    let provider = aws_sdk_s3::config::SharedCredentialsProvider::new(credentials);
    let config = aws_config::SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .endpoint_url(server.url(""))
        .credentials_provider(provider)
        .build();
    let http = http::for_apis(Timeouts::default()).unwrap();
    S3::new(http, buckets, pays).with_config(config)
}

#[tokio::test]
async fn an_object_is_asked_for_with_our_credentials_only_in_named_buckets() {
    let body = file();
    let server = ScriptedServer::start(move |request| Answer::file(request, &body, TAG))
        .await
        .unwrap();
    for (signing, pays) in [(Signing::S3, false), (Signing::S3RequesterPays, true)] {
        let buckets = Buckets::Named(vec!["mine".to_owned()]);
        let world = World::new(signing, Arc::new(s3_of(&server, buckets, pays)));
        world
            .fetch("s3://mine/a/b%20c.tif", signing)
            .await
            .0
            .unwrap();
        let seen = server.seen().pop().unwrap();
        assert!(seen.path.starts_with("/mine/a/b%20c.tif?"), "{}", seen.path);
        assert!(seen.path.contains("X-Amz-Signature="), "{}", seen.path);
        let payer = seen.header("x-amz-request-payer");
        assert_eq!(payer, pays.then_some("requester"));
        let requests = server.seen().len();
        let (refused, _) = world.fetch("s3://other/a", signing).await;
        assert_eq!(refused.unwrap_err().code(), "not_signed");
        assert_eq!(server.seen().len(), requests);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_command_signs_each_attempt_and_its_failures_are_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let program = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    let body = file();
    let server = ScriptedServer::start(move |request| match request.path.as_str() {
        "/a?by=me" => Answer::file(request, &body, TAG),
        _ => Answer::new(403, ""),
    })
    .await
    .unwrap();
    let signer = Command::new(program("good", "echo \"$1?by=me\""));
    let world = World::new(Signing::Command, Arc::new(signer));
    world
        .fetch(&server.url("/a"), Signing::Command)
        .await
        .0
        .unwrap();
    let href = Url::parse("https://h.example/a").unwrap();
    let failure = |path: PathBuf| {
        let href = href.clone();
        async move { Command::new(path).sign(&href).await.unwrap_err().class() }
    };
    assert_eq!(failure(program("fails", "exit 3")).await, Class::Transient);
    assert_eq!(failure(program("silent", "true")).await, Class::Denied);
    assert_eq!(failure(folder.path().join("missing")).await, Class::Denied);
}

/// A9, as far as the signed address itself goes.
#[tokio::test]
async fn what_is_signed_prints_no_secret() {
    let azure = Azure::new(Duration::from_hours(1), time::Duration::ZERO, |_, _| {
        Answer::new(200, "")
    })
    .await;
    let signer = azure.signer();
    let href = azure.blob("a?x=1").parse().unwrap();
    let answer: Signed = signer.sign(&href).await.unwrap();
    assert!(answer.url.query().unwrap().ends_with("x=1&sig=canary1"));
    let shown = format!("{answer:?} {signer:?}");
    say(
        "A9",
        "secrets in what is printed",
        "0",
        shown.matches("canary").count(),
    );
    assert!(!shown.contains("canary"), "{shown}");
}

#[tokio::test]
async fn only_blobs_without_a_signature_get_a_token() {
    let clock: Arc<dyn Clock> = Arc::new(FakeClock::default());
    let http = http::for_apis(Timeouts::default()).unwrap();
    let nowhere = Url::parse("http://127.0.0.1:9/token/").unwrap();
    let signer = PlanetaryComputer::new(http, None, clock).at(nowhere, "none");
    for href in [
        "https://h.example/account/container/a",
        "https://ai4edatasetspublicassets.blob.core.windows.net/assets/a",
        "https://acc.blob.core.windows.net/con/a?st=1&se=2&sp=r&sig=x",
    ] {
        let href: Url = href.parse().unwrap();
        let answer: Result<Signed, SignError> = signer.sign(&href).await;
        assert_eq!(answer.unwrap().url, href);
    }
}
