use super::*;

/// Answers as a file server does that knows ranges with both ends.
fn served(request: &Request, body: &Bytes, tag: &str) -> Answer {
    let same = request.header("if-range").is_none_or(|asked| asked == tag);
    let range = request.header("range").filter(|_| same);
    let span = range.and_then(|text| text.strip_prefix("bytes=")?.split_once('-'));
    let answer = match span {
        Some((first, last)) => {
            let first: usize = first.parse().unwrap();
            let last = last.parse().unwrap_or(body.len() - 1);
            let range = format!("bytes {first}-{last}/{}", body.len());
            Answer::new(206, body.slice(first..=last)).header("content-range", range)
        }
        None => Answer::new(200, body.clone()),
    };
    answer.header("etag", tag).header("accept-ranges", "bytes")
}

async fn in_parts(
    script: impl Fn(&Request) -> Answer + Send + Sync + 'static,
) -> (Result<Body, FetchError>, World, Vec<Request>) {
    let server = ScriptedServer::start(script).await.unwrap();
    let parts = Parts {
        least_bytes: 2_000,
        part_bytes: 1_000,
        at_once: 3,
    };
    let mut world = World::new(FetchPolicy {
        parts,
        ..local_policy()
    })
    .await;
    let body = world.fetch(&server.url("/a.tif")).await;
    (body, world, server.seen())
}

#[tokio::test]
async fn a_large_file_comes_in_parts_and_in_order() {
    for size in [9_999, 10_000, 10_001] {
        let bytes = file(size);
        let served_bytes = bytes.clone();
        let (body, mut world, seen) =
            in_parts(move |request| served(request, &served_bytes, TAG)).await;
        let body = body.unwrap();
        assert_eq!(body.size_bytes, size as u64);
        assert_eq!(body.digests.sha256, sha256(&bytes));
        assert!(world.bytes().await == bytes);
        assert_eq!(seen.len(), size.div_ceil(1_000), "one request a part");
        let mut ranges: Vec<_> = seen.iter().filter_map(|one| one.header("range")).collect();
        ranges.sort_unstable();
        assert_eq!(ranges.first(), Some(&"bytes=1000-1999"));
        assert!(
            seen[1..]
                .iter()
                .all(|one| one.header("if-range") == Some(TAG))
        );
    }
}

#[tokio::test]
async fn a_part_that_breaks_off_is_resumed_over_one_connection() {
    let bytes = file(10_000);
    let whole = bytes.clone();
    let (body, mut world, seen) = in_parts(move |request| {
        let answer = served(request, &bytes, TAG);
        match request.header("range") {
            Some("bytes=4000-4999") => answer.cut_at(300),
            _ => answer,
        }
    })
    .await;
    assert_eq!(body.unwrap().digests.sha256, sha256(&whole));
    assert!(world.bytes().await == whole);
    let last = seen.last().unwrap();
    assert_eq!(last.header("range"), Some("bytes=4300-"), "{seen:?}");
}

#[tokio::test]
async fn a_host_that_does_not_know_ranges_after_all_sends_the_file_whole() {
    let bytes = file(10_000);
    let whole = bytes.clone();
    let (body, mut world, seen) = in_parts(move |_| {
        Answer::new(200, bytes.clone())
            .header("etag", TAG)
            .header("accept-ranges", "bytes")
    })
    .await;
    assert_eq!(body.unwrap().digests.sha256, sha256(&whole));
    assert!(world.bytes().await == whole);
    assert_eq!(seen.last().unwrap().header("range"), None);
}

#[tokio::test]
async fn a_file_that_changes_between_its_parts_is_not_spliced() {
    let (old, new) = (file(10_000), file(9_000).slice(7..));
    let expected = new.clone();
    let (body, mut world, _) = in_parts(move |request| match request.number {
        0..=3 => served(request, &old, TAG),
        _ => served(request, &new, "\"v2\""),
    })
    .await;
    assert_eq!(body.unwrap().digests.sha256, sha256(&expected));
    assert!(world.bytes().await == expected);
}

#[tokio::test]
async fn a_small_file_and_one_whose_host_knows_no_ranges_come_at_once() {
    let small = file(1_999);
    let (body, _, seen) = in_parts(move |request| served(request, &small, TAG)).await;
    assert_eq!((body.unwrap().size_bytes, seen.len()), (1_999, 1));
    let plain = file(10_000);
    let answer = move |request: &Request| served(request, &plain, TAG).without("accept-ranges");
    let (body, _, seen) = in_parts(answer).await;
    assert_eq!((body.unwrap().size_bytes, seen.len()), (10_000, 1));
}
