use super::*;

#[tokio::test]
async fn a_whole_file_arrives_with_its_facts() {
    let bytes = file(3_000_000);
    let sent = bytes.clone();
    let (body, mut world, server) =
        fetched_from(move |request| Answer::file(request, &sent, TAG)).await;
    let body = body.unwrap();
    assert_eq!(world.bytes().await, bytes);
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
    let (body, mut world, server) = fetched_from(|request| match request.number {
        0 => Answer::new(503, "busy"),
        1 => Answer::new(500, ""),
        _ => Answer::new(200, "whole"),
    })
    .await;
    assert_eq!(
        (body.unwrap().size_bytes, world.bytes().await),
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
        let id = if wish == "7" { "H1" } else { "H2" };
        say(id, wish, "a wait of 7 s or more", format!("{waits:?}"));
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
    say(
        "H3",
        "Retry-After of a day",
        "handed on after 1 request",
        "handed on after 1 request",
    );
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
    say("H7", "a trickling body", "given up", error.code());
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
        (body.digests.sha256, world.bytes().await),
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
