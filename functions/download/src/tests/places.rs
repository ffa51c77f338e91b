//! Assets that lie in several places.

use super::*;

/// Serves the whole file below `/good/`, half of it below `/half/`, and nothing elsewhere; `/down/` is ill.
async fn world() -> World {
    let whole = tiff();
    World::new(move |request| {
        let part = request.path.split('/').nth(1).unwrap_or_default();
        match part {
            "good" => Answer::file(request, &whole, TAG),
            "half" => Answer::new(200, whole.slice(..whole.len() / 2)),
            "down" => Answer::new(503, ""),
            _ => Answer::new(404, "no"),
        }
    })
    .await
}

fn lying(world: &World, href: &str, alternates: &[&str]) -> DownloadAsset {
    let absolute = |href: &str| {
        if href.starts_with('/') {
            world.server.url(href)
        } else {
            href.to_owned()
        }
    };
    DownloadAsset {
        href: absolute(href),
        alternate_hrefs: alternates.iter().map(|href| absolute(href)).collect(),
        ..world.asked()
    }
}

#[tokio::test]
async fn the_first_place_that_has_it_whole_is_taken_and_named() {
    // The asset's own href, and how many requests it takes to give it up.
    for (href, tries) in [
        ("/gone/B04.tif", 1),
        ("tape://archive/B04.tif", 0),
        ("B04.tif", 0),
        ("/half/B04.tif", 2),
        ("/down/B04.tif", 5),
    ] {
        let world = world().await;
        let asked = lying(
            &world,
            href,
            &["gs://b/B04.tif", "/good/1.tif", "/good/2.tif"],
        );
        let fetched = world.download(&asked).await;
        assert_eq!(
            verdict(&fetched),
            (Outcome::Published, None, None),
            "{href}"
        );
        let row = &fetched.row;
        assert_eq!(row.source_href, world.server.url("/good/1.tif"), "{href}");
        assert_eq!(world.requests(), tries + 1, "{href}");
        assert!(fetched.warnings[0].starts_with("taken from another place: "));
        assert_eq!(std::fs::read(world.file()).unwrap(), tiff());
        let again = world.download(&asked).await;
        assert_eq!(again.outcome, Outcome::Skipped);
        assert_eq!(again.row.source_href, row.source_href);
    }
}

#[tokio::test]
async fn an_asset_that_is_nowhere_is_refused_once_until_another_place_is_named() {
    let world = world().await;
    let asked = lying(&world, "/gone/B04.tif", &["/gone/mirror.tif"]);
    let fetched = world.download(&asked).await;
    assert_eq!(
        verdict(&fetched),
        (Outcome::Refused, Some(Class::Invalid), Some("gone"))
    );
    let row = &fetched.row;
    assert_eq!((row.source_href.as_str(), row.attempts), (&*asked.href, 2));
    let error = row.error.as_deref().unwrap();
    assert!(
        error.contains("/gone/B04.tif: not there (status 404); nor from elsewhere: ")
            && error.contains("/gone/mirror.tif: not there (status 404)"),
        "{error}"
    );
    assert_eq!(world.download(&asked).await.outcome, Outcome::Skipped);
    assert_eq!(world.requests(), 2);
    let more = lying(
        &world,
        "/gone/B04.tif",
        &["/gone/mirror.tif", "/good/B04.tif"],
    );
    assert_eq!(world.download(&more).await.outcome, Outcome::Published);
}

#[tokio::test]
async fn one_place_that_may_come_back_keeps_an_asset_from_being_refused() {
    let world = world().await;
    let asked = lying(&world, "/gone/B04.tif", &["/down/B04.tif"]);
    let fetched = world.download(&asked).await;
    assert_eq!(
        verdict(&fetched),
        (Outcome::Failed, Some(Class::Transient), Some("unavailable"))
    );
    assert_eq!(fetched.row.http_status, Some(503));
    assert_eq!(fetched.row.source_href, asked.href);
    assert_eq!(world.receipts().len(), 0);
    // Nor is one refused for good whose other place is against our own rules, which may change.
    let asked = DownloadAsset {
        asset_name: "B05".into(),
        ..lying(&world, "/gone/B05.tif", &["tape://archive/B05.tif"])
    };
    let fetched = world.download(&asked).await;
    assert_eq!(fetched.row.error_code.as_deref(), Some("gone"));
    assert_eq!(world.receipts().len(), 0);
}
