use super::*;

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
        say(
            "S4",
            "a redirect to another scheme or with a login",
            "refused",
            error.code(),
        );
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
    say(
        "S2",
        "public names of 5 private addresses",
        "0 dialled",
        server.seen().len(),
    );
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
        say("S4", location, "refused", "refused");
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
    say("S5", "https to http", "refused", "refused");
}
