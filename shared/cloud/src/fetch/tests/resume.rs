use super::*;

/// H8.
#[tokio::test]
async fn a_body_cut_at_any_byte_is_resumed_where_it_broke_off() {
    let bytes = file(1 << 20);
    for cut in [1, 512, 65_536, (1 << 20) - 1] {
        let sent = bytes.clone();
        let (body, mut world, server) = fetched_from(move |request| {
            let answer = Answer::file(request, &sent, TAG);
            if request.number == 0 {
                answer.cut_at(cut)
            } else {
                answer
            }
        })
        .await;
        assert_eq!(body.unwrap().digests.sha256, sha256(&bytes), "cut at {cut}");
        assert_eq!(world.bytes().await, bytes);
        let seen = server.seen();
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[1].from_byte(), Some(cut));
        assert_eq!(seen[1].header("if-range"), Some(TAG));
        say(
            "H8",
            &format!("cut at byte {cut}"),
            "resumed, same SHA-256",
            "resumed, same SHA-256",
        );
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
    say("H8", "cut at byte 0", "restarted", "restarted");
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
    let (body, mut world, server) = fetched_from(move |request| {
        let answer = Answer::new(200, sent.clone()).header("etag", TAG);
        if request.number == 0 {
            answer.cut_at(20_000)
        } else {
            answer
        }
    })
    .await;
    assert_eq!(body.unwrap().digests.sha256, sha256(&bytes));
    assert_eq!(world.bytes().await, bytes);
    assert_eq!(server.seen()[1].from_byte(), Some(20_000));
}

#[tokio::test]
async fn a_file_that_changed_meanwhile_is_not_spliced() {
    let (old, new) = (file(50_000), Bytes::from(vec![7; 60_000]));
    let (first, second) = (old.clone(), new.clone());
    let (body, mut world, _server) = fetched_from(move |request| match request.number {
        0 => Answer::file(request, &first, TAG).cut_at(20_000),
        _ => Answer::file(request, &second, "\"v2\""),
    })
    .await;
    assert_eq!(body.unwrap().etag.as_deref(), Some("\"v2\""));
    assert_eq!(world.bytes().await, new);
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
        let (body, mut world, server) = fetched_from(move |request| match request.number {
            0 => Answer::file(request, &sent, TAG).cut_at(20_000),
            1 => Answer::new(206, sent.slice(20_000..)).header("content-range", wrong),
            _ => Answer::file(request, &sent, TAG),
        })
        .await;
        assert_eq!(body.unwrap().digests.sha256, sha256(&bytes), "{wrong:?}");
        assert_eq!(world.bytes().await, bytes);
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
        let (body, mut world, server) = fetched_from(move |request| match request.number {
            // Says it has one more byte than it sends, so that all of it is here when it breaks off.
            0 => Answer::file(request, &sent, TAG).header("content-length", "30001"),
            1 => Answer::new(416, "").header("content-range", format!("bytes */{total}")),
            _ => Answer::file(request, &sent, TAG),
        })
        .await;
        assert_eq!(body.unwrap().digests.sha256, sha256(&bytes));
        assert_eq!(
            (world.bytes().await, server.seen().len()),
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
