//! What lies in an asset's place already, and what a crash leaves: nothing is fetched twice, nothing good is replaced.

use super::*;

#[tokio::test]
async fn a_second_run_fetches_nothing_and_tells_the_same_row() {
    let world = World::serving(tiff()).await;
    let first = world.download(&world.asked()).await;
    world.clock.advance(Duration::from_hours(1));
    let second = world.download(&world.asked()).await;
    assert_eq!(
        (second.outcome, second.bytes_fetched),
        (Outcome::Skipped, 0)
    );
    assert_eq!(second.row, first.row);
    assert_eq!(world.requests(), 1);
}

#[tokio::test]
async fn a_file_that_was_cut_once_is_fetched_again() {
    let whole = tiff();
    let sent = whole.clone();
    let world = World::new(move |request| match request.number {
        0 => Answer::new(200, sent.slice(..sent.len() - 100)),
        _ => Answer::new(200, sent.clone()),
    })
    .await;
    let fetched = world.download(&world.asked()).await;
    assert_eq!(
        (fetched.outcome, fetched.row.attempts),
        (Outcome::Published, 2)
    );
    assert_eq!(std::fs::read(world.file()).unwrap(), whole);
}

#[tokio::test]
async fn a_valid_file_in_its_place_is_adopted_and_never_replaced() {
    let world = World::serving("other bytes").await;
    let mine = tiff();
    world.place(&mine);
    let fetched = world.download(&world.asked()).await;
    assert_eq!(
        (fetched.outcome, fetched.row.is_out_file_valid),
        (Outcome::Adopted, true)
    );
    assert_eq!(fetched.row.out_file_sz, Some(mine.len() as u64));
    assert_eq!(std::fs::read(world.file()).unwrap(), mine);
    assert_eq!(
        world.download(&world.asked()).await.outcome,
        Outcome::Skipped
    );
    assert_eq!(world.requests(), 0);
}

#[tokio::test]
async fn a_broken_file_in_its_place_is_named_and_left_alone() {
    let world = World::serving(tiff()).await;
    world.place(b"half a file");
    let fetched = world.download(&world.asked()).await;
    assert_eq!(
        verdict(&fetched),
        (Outcome::Failed, Some(Class::Conflict), Some("occupied"))
    );
    let error = fetched.row.error.unwrap();
    assert!(error.contains(world.file().to_str().unwrap()), "{error}");
    assert_eq!(std::fs::read(world.file()).unwrap(), b"half a file");
    assert_eq!((world.requests(), world.receipts().len()), (0, 0));

    std::fs::remove_file(world.file()).unwrap();
    assert_eq!(
        world.download(&world.asked()).await.outcome,
        Outcome::Published
    );
}

#[tokio::test]
async fn a_crash_between_publishing_and_the_receipt_costs_no_second_fetch() {
    // The receipt's folder becomes a file while the asset is on its way.
    let blocked = Arc::new(std::sync::OnceLock::<PathBuf>::new());
    let blocking = Arc::clone(&blocked);
    let world = World::new(move |_| {
        let folder = blocking.get().unwrap();
        std::fs::create_dir_all(folder.parent().unwrap()).unwrap();
        std::fs::write(folder, b"not a folder").unwrap();
        Answer::new(200, tiff())
    })
    .await;
    let key = "sentinel-2/17%2F0313/B04.tif";
    let receipt = world
        .lake
        .join(crate::receipt::path(&world.context.out, key));
    let folder = receipt.parent().unwrap().to_owned();
    blocked.set(folder.clone()).unwrap();
    let error = world.try_download(&world.asked()).await.unwrap_err();
    assert!(
        matches!(error, DownloadError::Receipt(_)),
        "{}",
        chain(&error)
    );
    assert_eq!(error.class(), Class::Denied);
    assert!(world.file().exists());

    std::fs::remove_file(folder).unwrap();
    let fetched = world.download(&world.asked()).await;
    assert_eq!(
        (fetched.outcome, fetched.bytes_fetched),
        (Outcome::Adopted, 0)
    );
    assert_eq!(
        world.download(&world.asked()).await.outcome,
        Outcome::Skipped
    );
    assert_eq!(world.requests(), 1);
}

#[tokio::test]
async fn a_crash_between_the_receipt_and_the_row_tells_the_row_again() {
    let mut world = World::serving(tiff()).await;
    let (write, closed) = channel(1);
    drop(closed);
    let open = std::mem::replace(&mut world.context.write, Arc::new(write));
    let error = world.try_download(&world.asked()).await.unwrap_err();
    assert!(matches!(error, DownloadError::Tell(_)), "{error}");
    world.context.write = open;
    let fetched = world.download(&world.asked()).await;
    assert_eq!(
        (fetched.outcome, fetched.row.is_out_file_valid),
        (Outcome::Skipped, true)
    );
    assert_eq!(world.requests(), 1);
}

#[tokio::test]
async fn an_asset_asked_for_by_many_at_once_is_fetched_once() {
    let world = World::serving(tiff()).await;
    let asked = world.asked();
    let all = (0..8).map(|_| {
        tokio::spawn({
            let (asked, context) = (asked.clone(), world.context.clone());
            async move {
                download(&RunId::new("r"), &asked, &context)
                    .await
                    .unwrap()
                    .outcome
            }
        })
    });
    let mut outcomes = Vec::new();
    for task in all.collect::<Vec<_>>() {
        outcomes.push(task.await.unwrap());
    }
    let published = outcomes
        .iter()
        .filter(|outcome| **outcome == Outcome::Published)
        .count();
    let skipped = outcomes
        .iter()
        .filter(|outcome| **outcome == Outcome::Skipped)
        .count();
    assert_eq!((published, skipped, world.requests()), (1, 7, 1));
}

#[tokio::test]
async fn a_receipt_does_not_outweigh_a_promise_made_since() {
    let world = World::serving(tiff()).await;
    world.download(&world.asked()).await;
    let checksum = Some("1220".to_owned() + &"0".repeat(64));
    let fetched = world
        .download(&DownloadAsset {
            checksum,
            ..world.asked()
        })
        .await;
    assert_eq!(
        verdict(&fetched),
        (Outcome::Failed, Some(Class::Conflict), Some("occupied"))
    );
    let size_bytes = Some(1);
    let fetched = world
        .download(&DownloadAsset {
            size_bytes,
            ..world.asked()
        })
        .await;
    assert_eq!(
        verdict(&fetched),
        (Outcome::Failed, Some(Class::Conflict), Some("occupied"))
    );
    assert_eq!(
        world.download(&world.asked()).await.outcome,
        Outcome::Skipped
    );
    assert_eq!(world.requests(), 1);
}

#[tokio::test]
async fn a_deeper_level_looks_again_and_fetches_nothing() {
    let world = World::serving(tiff()).await;
    let at = |level| {
        let mut asked = world.asked();
        asked.job.validate = level;
        asked
    };
    assert_eq!(
        world.download(&at(Level::Size)).await.outcome,
        Outcome::Published
    );
    let deeper = world.download(&at(Level::Full)).await;
    assert_eq!(
        (deeper.outcome, deeper.row.validation_level),
        (Outcome::Adopted, Level::Full)
    );
    assert_eq!(
        world.download(&at(Level::Window)).await.outcome,
        Outcome::Skipped
    );
    assert_eq!(world.requests(), 1);
}

#[tokio::test]
async fn a_file_that_was_only_touched_is_known_by_its_bytes() {
    let world = World::serving(tiff()).await;
    let first = world.download(&world.asked()).await;
    let bytes = std::fs::read(world.file()).unwrap();
    std::fs::remove_file(world.file()).unwrap();
    world.place(&bytes);
    let second = world.download(&world.asked()).await;
    assert_eq!((second.outcome, second.row), (Outcome::Skipped, first.row));
    assert_eq!(world.requests(), 1);
}

#[tokio::test]
async fn a_file_that_was_removed_is_fetched_again() {
    let world = World::serving(tiff()).await;
    world.download(&world.asked()).await;
    std::fs::remove_file(world.file()).unwrap();
    assert_eq!(
        world.download(&world.asked()).await.outcome,
        Outcome::Published
    );
    assert_eq!(world.requests(), 2);
}

#[tokio::test]
async fn a_folder_that_takes_no_file_stops_the_run_with_its_name() {
    let world = World::serving(tiff()).await;
    std::fs::write(
        world.out.join("sentinel-2"),
        b"a file where a folder should be",
    )
    .unwrap();
    let error = world.try_download(&world.asked()).await.unwrap_err();
    assert_eq!(error.class(), Class::Denied);
    assert!(chain(&error).contains("sentinel-2"), "{}", chain(&error));
    assert_eq!(world.staged(), 0);
}

#[tokio::test]
async fn a_bucket_is_filled_and_found_full_like_a_folder() {
    let mut world = World::serving(tiff()).await;
    world.context.out = Store::in_memory();
    let scratch = world.lake.join("scratch");
    world.context.staging = Staging::open(&world.context.out, &scratch).await.unwrap();
    let first = world.download(&world.asked()).await;
    assert_eq!(first.outcome, Outcome::Published);
    assert_eq!(
        first.row.out_file_path.as_deref(),
        Some("memory:/sentinel-2/17%2F0313/B04.tif")
    );
    let key = "sentinel-2/17%2F0313/B04.tif";
    assert_eq!(world.context.out.get(key).await.unwrap(), tiff());
    assert_eq!(
        world.download(&world.asked()).await.outcome,
        Outcome::Skipped
    );

    let other_lake = world.lake.join("another");
    world.context.lake = store::open(other_lake.to_str().unwrap()).unwrap();
    assert_eq!(
        world.download(&world.asked()).await.outcome,
        Outcome::Adopted
    );
    assert_eq!(world.requests(), 1);
    assert_eq!(
        std::fs::read_dir(world.context.staging.folder())
            .unwrap()
            .count(),
        0
    );
}

#[tokio::test]
async fn a_receipt_that_cannot_be_read_is_as_good_as_none() {
    let world = World::serving(tiff()).await;
    world.download(&world.asked()).await;
    for text in ["{", "{\"version\":2}", "null"] {
        std::fs::write(&world.receipts()[0], text).unwrap();
        assert_eq!(
            world.download(&world.asked()).await.outcome,
            Outcome::Adopted,
            "{text}"
        );
    }
    assert_eq!(world.requests(), 1);
}

#[tokio::test]
async fn a_download_that_is_given_up_halfway_leaves_nothing() {
    let world = World::new(|_| Answer::new(200, tiff()).trickle(Duration::from_millis(1))).await;
    let asked = world.asked();
    let asked_once = async {
        while world.requests() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        ended = world.try_download(&asked) => panic!("{ended:?}"),
        () = asked_once => {}
    }
    assert_eq!(
        (world.requests(), world.staged(), world.receipts().len()),
        (1, 0, 0)
    );
    assert!(!world.out.join("sentinel-2").exists());
}

#[tokio::test]
async fn a_fresh_context_removes_what_a_crashed_run_staged() {
    let world = World::serving(tiff()).await;
    let stale = world.out.join(".swath-staging/asset-1.part");
    let fresh = world.out.join(".swath-staging/asset-2.part");
    std::fs::write(&fresh, b"half").unwrap();
    let file = std::fs::File::create(&stale).unwrap();
    let long_ago = std::time::SystemTime::UNIX_EPOCH + Duration::from_hours(1);
    file.set_modified(long_ago).unwrap();
    let (write, _rows) = channel(1);
    let (lake, out) = (world.context.lake.clone(), world.context.out.clone());
    Context::open(lake, out, Arc::new(write), local_policy(), &world.lake)
        .await
        .unwrap();
    assert!(!stale.exists() && fresh.exists());
}

#[tokio::test]
async fn an_asset_can_be_brought_to_a_place_of_the_callers_own() {
    let world = World::serving(tiff()).await;
    let run = RunId::new("r");
    let fetched = crate::download_to(&run, &world.asked(), "x/B04_17.tif", &world.context)
        .await
        .unwrap();
    assert_eq!(fetched.outcome, Outcome::Published);
    assert!(world.out.join("x/B04_17.tif").exists());
}
