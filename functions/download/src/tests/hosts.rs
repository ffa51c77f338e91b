//! What hosts send: bytes that are whole, broken or none, promises, and hrefs that lead nowhere.

use super::*;

#[tokio::test]
async fn a_busy_host_and_a_cut_body_still_bring_the_whole_file() {
    let body = tiff();
    let size = body.len();
    let sent = body.clone();
    let world = World::new(move |request| match request.number {
        0 => Answer::new(503, "busy"),
        1 => Answer::file(request, &sent, TAG).cut_at(size / 2),
        _ => Answer::file(request, &sent, TAG),
    })
    .await;
    let fetched = world.download(&world.asked()).await;
    assert_eq!(std::fs::read(world.file()).unwrap(), body);
    let row = &fetched.row;
    assert_eq!(verdict(&fetched), (Outcome::Published, None, None));
    assert_eq!(row.out_file_path.as_deref(), world.file().to_str());
    assert_eq!(
        (row.out_file_sz, row.is_out_file_valid),
        (Some(size as u64), true)
    );
    assert_eq!((row.attempts, row.http_status), (3, Some(206)));
    assert_eq!(
        (row.etag.as_deref(), row.validation.as_deref()),
        (Some(TAG), Some("good"))
    );
    assert_eq!(
        (row.catalog.as_str(), row.item_id.as_str()),
        ("https://stac.example/v1/", "17/0313")
    );
    assert_eq!(world.server.seen()[2].from_byte(), Some(size / 2));
    // The busy host's four bytes are no part of the file and were never read.
    assert_eq!(fetched.bytes_fetched, size as u64);
    assert_eq!((world.staged(), world.receipts().len()), (0, 1));
}

#[tokio::test]
async fn a_truncated_tiff_is_refused_and_not_published() {
    let whole = tiff();
    let world = World::serving(whole.slice(..whole.len() - 100)).await;
    let fetched = world.download(&world.asked()).await;
    assert_eq!(
        verdict(&fetched),
        (Outcome::Refused, Some(Class::Invalid), Some("truncated"))
    );
    assert_eq!(world.requests(), 2, "the same bytes twice are final");
    assert!(!fetched.row.is_out_file_valid && fetched.row.out_file_path.is_none());
    assert!(fetched.row.sha256.is_some());
    assert!(!world.file().exists());
    assert_eq!(world.staged(), 0);

    let again = world.download(&world.asked()).await;
    assert_eq!(
        (again.outcome, &again.row),
        (Outcome::Skipped, &fetched.row)
    );
    assert_eq!(world.requests(), 2);

    let retrying = Context {
        retry_refused: true,
        ..world.context.clone()
    };
    let again = download(&RunId::new("r"), &world.asked(), &retrying)
        .await
        .unwrap();
    assert_eq!((again.outcome, world.requests()), (Outcome::Refused, 4));
}

#[tokio::test]
async fn a_page_that_comes_twice_in_the_files_stead_is_refused_for_good() {
    let world = World::serving("<html><body>We are down for maintenance</body></html>").await;
    let fetched = world.download(&world.asked()).await;
    assert_eq!(
        verdict(&fetched),
        (
            Outcome::Refused,
            Some(Class::Invalid),
            Some("error_body_html")
        )
    );
    assert_eq!((world.requests(), world.receipts().len()), (2, 1));
    assert!(!world.file().exists());
    let again = world.download(&world.asked()).await;
    assert_eq!((again.outcome, again.row), (Outcome::Skipped, fetched.row));
    assert_eq!(world.requests(), 2);
}

#[tokio::test]
async fn a_page_that_came_once_does_not_keep_the_file_away() {
    let whole = tiff();
    let world = World::new(move |request| match request.number {
        0 => Answer::new(200, "<html><body>We are down for maintenance</body></html>"),
        _ => Answer::new(200, whole.clone()),
    })
    .await;
    let fetched = world.download(&world.asked()).await;
    assert_eq!(fetched.outcome, Outcome::Published);
}

#[tokio::test]
async fn a_busy_hosts_error_as_the_body_fails_today_and_is_asked_for_tomorrow() {
    let whole = tiff();
    let busy = "<?xml version=\"1.0\"?><Error><Code>ServerBusy</Code>\
                <Message>Egress is over the account limit.</Message></Error>";
    let world = World::new(move |request| match request.number {
        0 | 1 => Answer::new(200, busy),
        _ => Answer::new(200, whole.clone()),
    })
    .await;
    let fetched = world.download(&world.asked()).await;
    assert_eq!(
        verdict(&fetched),
        (
            Outcome::Failed,
            Some(Class::Transient),
            Some("error_body_xml_throttle")
        )
    );
    assert_eq!((world.requests(), world.receipts().len()), (2, 0));
    assert_eq!(
        world.download(&world.asked()).await.outcome,
        Outcome::Published
    );
}

/// A6.
#[tokio::test]
async fn a_login_page_is_a_denial_and_not_data() {
    let world = World::serving(LOGIN).await;
    let fetched = world.download(&world.asked()).await;
    assert_eq!(
        verdict(&fetched),
        (
            Outcome::Failed,
            Some(Class::Denied),
            Some("error_body_login")
        )
    );
    assert_eq!((world.requests(), world.receipts().len()), (1, 1));
    assert!(!world.file().exists());

    let again = world.download(&world.asked()).await;
    assert_eq!((again.outcome, again.row), (Outcome::Skipped, fetched.row));
    let mut signed = world.asked();
    signed.job.sign = Signing::Bearer;
    let again = world.download(&signed).await;
    assert_eq!((again.outcome, world.requests()), (Outcome::Failed, 1));
    assert_eq!(again.row.error_code.as_deref(), Some("not_signed"));
    say(
        "A6",
        "a login page with status 200",
        "denied, nothing written",
        "denied, nothing written",
    );
}

#[tokio::test]
async fn one_forbidden_asset_is_a_row_and_is_asked_for_again() {
    let world = World::new(|_| Answer::new(403, "no")).await;
    let fetched = world.download(&world.asked()).await;
    assert_eq!(
        verdict(&fetched),
        (Outcome::Failed, Some(Class::Denied), Some("forbidden"))
    );
    assert_eq!(fetched.row.http_status, Some(403));
    world.download(&world.asked()).await;
    assert_eq!((world.requests(), world.receipts().len()), (2, 0));
}

#[tokio::test]
async fn a_missing_asset_is_refused_once_and_for_all_until_its_href_changes() {
    let world = World::new(|_| Answer::new(404, "no")).await;
    let fetched = world.download(&world.asked()).await;
    assert_eq!(
        verdict(&fetched),
        (Outcome::Refused, Some(Class::Invalid), Some("gone"))
    );
    assert_eq!(
        world.download(&world.asked()).await.outcome,
        Outcome::Skipped
    );
    assert_eq!(world.requests(), 1);
    let moved = DownloadAsset {
        href: world.server.url("/moved/B04.tif"),
        ..world.asked()
    };
    assert_eq!(world.download(&moved).await.outcome, Outcome::Refused);
    assert_eq!(world.requests(), 2);
}

#[tokio::test]
async fn a_spent_transient_failure_goes_back_unless_it_is_the_last_try() {
    let world = World::new(|_| Answer::new(429, "").header("retry-after", "86400")).await;
    let handing = Context {
        last_try: false,
        ..world.context.clone()
    };
    let error = download(&RunId::new("r"), &world.asked(), &handing)
        .await
        .unwrap_err();
    assert_eq!(error.class(), Class::Transient);
    assert_eq!(error.retry_after(), Some(Duration::from_hours(24)));
    let fetched = world.download(&world.asked()).await;
    assert_eq!(
        verdict(&fetched),
        (Outcome::Failed, Some(Class::Transient), Some("throttled"))
    );
    assert_eq!(world.receipts().len(), 0);
}

#[tokio::test]
async fn a_private_address_is_refused_by_default_and_nothing_is_sent() {
    let mut world = World::serving(tiff()).await;
    for (policy, code) in [
        (FetchPolicy::default(), "scheme_refused"),
        (
            FetchPolicy {
                allow_http: true,
                ..FetchPolicy::default()
            },
            "private_address",
        ),
    ] {
        world.context.fetcher = fetcher(policy, &world.clock);
        let fetched = world.download(&world.asked()).await;
        assert_eq!(
            verdict(&fetched),
            (Outcome::Refused, Some(Class::Invalid), Some(code))
        );
    }
    assert_eq!((world.requests(), world.receipts().len()), (0, 0));
    world.context.fetcher = fetcher(local_policy(), &world.clock);
    assert_eq!(
        world.download(&world.asked()).await.outcome,
        Outcome::Published
    );
}

#[tokio::test]
async fn a_file_that_breaks_its_promise_is_refused() {
    let body = tiff();
    let world = World::serving(body.clone()).await;
    let (right, wrong) = ("d50110", "00000000000000000000000000000000");
    let asked = DownloadAsset {
        asset_name: "wrong-sum".into(),
        checksum: Some(format!("{right}{wrong}")),
        ..world.asked()
    };
    let fetched = world.download(&asked).await;
    assert_eq!(
        verdict(&fetched),
        (
            Outcome::Refused,
            Some(Class::Invalid),
            Some("checksum_mismatch")
        )
    );
    assert_eq!(world.requests(), 2);

    let size_bytes = Some(body.len() as u64 + 1);
    let asked = DownloadAsset {
        asset_name: "wrong-size".into(),
        size_bytes,
        ..world.asked()
    };
    let fetched = world.download(&asked).await;
    assert_eq!(
        verdict(&fetched),
        (
            Outcome::Refused,
            Some(Class::Invalid),
            Some("size_mismatch")
        )
    );
}

#[tokio::test]
async fn a_kept_promise_is_good_and_an_unknown_one_is_a_warning() {
    let body = tiff();
    let world = World::serving(body.clone()).await;
    let plain = DownloadAsset {
        asset_name: "plain".into(),
        ..world.asked()
    };
    let sha256 = world.download(&plain).await.row.sha256.unwrap();
    let size_bytes = Some(body.len() as u64);
    let checksum = Some(format!("1220{sha256}"));
    let asked = DownloadAsset {
        asset_name: "right".into(),
        size_bytes,
        checksum,
        ..world.asked()
    };
    let fetched = world.download(&asked).await;
    assert_eq!(
        (fetched.outcome, fetched.warnings.len()),
        (Outcome::Published, 0)
    );

    let checksum = Some("1e20".to_owned() + &sha256);
    let asked = DownloadAsset {
        asset_name: "blake3".into(),
        checksum,
        ..world.asked()
    };
    let fetched = world.download(&asked).await;
    assert_eq!(
        (fetched.outcome, fetched.warnings.as_slice()),
        (Outcome::Published, &["checksum_unverified".to_owned()][..])
    );
}

/// A9.
#[tokio::test]
async fn no_secret_of_an_href_is_written_down() {
    let world = World::new(|request| match request.path.as_str() {
        "/B04.tif?sig=canary" => Answer::new(200, tiff()),
        _ => Answer::new(403, "no"),
    })
    .await;
    for (name, path) in [
        ("good", "/B04.tif?sig=canary"),
        ("bad", "/B05.tif?sig=canary#canary"),
    ] {
        let asked = DownloadAsset {
            asset_name: name.into(),
            href: world.server.url(path),
            ..world.asked()
        };
        let fetched = world.download(&asked).await;
        assert!(!format!("{fetched:?}").contains("canary"), "{fetched:?}");
    }
    let asked = DownloadAsset {
        asset_name: "odd".into(),
        href: "B05.tif?sig=canary".into(),
        ..world.asked()
    };
    let fetched = world.download(&asked).await;
    assert_eq!(
        verdict(&fetched),
        (
            Outcome::Refused,
            Some(Class::Invalid),
            Some("href_malformed")
        )
    );
    assert!(!format!("{fetched:?}").contains("canary"), "{fetched:?}");
    let written: Vec<_> = world
        .receipts()
        .iter()
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    assert!(
        written.len() == 1 && !written[0].contains("canary"),
        "{written:?}"
    );
    say(
        "A9",
        "signed hrefs, good and bad",
        "0 secrets in rows and receipts",
        0,
    );
}

#[tokio::test]
async fn an_asset_without_a_name_is_a_row_and_not_a_file() {
    let world = World::serving(tiff()).await;
    let fetched = world
        .download(&DownloadAsset {
            item_id: String::new(),
            ..world.asked()
        })
        .await;
    assert_eq!(
        verdict(&fetched),
        (Outcome::Refused, Some(Class::Invalid), Some("unnameable"))
    );
    assert_eq!(world.requests(), 0);
}

/// An API and files on one host; the API says today's href of each asset.
async fn world_with_an_api() -> World {
    let whole = tiff();
    let base = Arc::new(std::sync::OnceLock::<String>::new());
    let own = Arc::clone(&base);
    let mut world = World::new(move |request| match request.path.as_str() {
        "/v1/" => Answer::new(200, r#"{"type":"Catalog","links":[]}"#),
        "/v1/search" => {
            let item = format!(
                r#"{{"type":"Feature","id":"17/0313","collection":"sentinel-2","geometry":null,"properties":{{}},
                   "assets":{{"B04":{{"href":"{}new/B04.tif","type":"image/tiff"}}}}}}"#,
                own.get().unwrap()
            );
            Answer::new(200, format!(r#"{{"type":"FeatureCollection","features":[{item}]}}"#))
        }
        "/new/B04.tif" => Answer::file(request, &whole, TAG),
        _ => Answer::new(404, "gone"),
    })
    .await;
    base.set(world.server.url("/")).unwrap();
    let clock = Arc::<FakeClock>::clone(&world.clock);
    world.context.finder = Some(Finder::new(clock).unwrap());
    world
}

#[tokio::test]
async fn an_href_that_is_gone_or_absent_is_asked_of_the_item() {
    for href in [Some("/old/B04.tif"), None] {
        let world = world_with_an_api().await;
        let mut asked = world.asked();
        asked.job.catalog = world.server.url("/v1/").parse().unwrap();
        asked.href = href.map(|path| world.server.url(path)).unwrap_or_default();
        let fetched = world.download(&asked).await;
        assert_eq!(
            verdict(&fetched),
            (Outcome::Published, None, None),
            "{href:?}"
        );
        let row = &fetched.row;
        assert_eq!(row.source_href, world.server.url("/new/B04.tif"));
        assert_eq!(row.attempts, if href.is_some() { 2 } else { 1 });
        assert!(world.file().exists());
    }
}

#[tokio::test]
async fn an_asset_that_the_item_no_longer_has_is_refused_by_name() {
    let world = world_with_an_api().await;
    let mut asked = world.asked();
    asked.job.catalog = world.server.url("/v1/").parse().unwrap();
    asked.asset_name = "B99".to_owned();
    asked.href = String::new();
    let fetched = world.download(&asked).await;
    assert_eq!(
        verdict(&fetched),
        (Outcome::Refused, Some(Class::Invalid), Some("no_href"))
    );
}
