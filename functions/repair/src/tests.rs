use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use swath_cloud::queue::channel;
use swath_cloud::store::{self, Store};
use swath_core::message::Check;
use swath_core::predicate::Predicate;
use swath_core::{Level, Signing};

use crate::{Again, Choice, Found, State, Told, choose};

fn told(number: usize, columns: Value) -> Told {
    let Value::Object(columns) = columns else {
        panic!("{columns}")
    };
    Told { columns, number }
}

fn choice(predicate: &str, check: Check) -> Choice {
    Choice {
        predicate: predicate.parse::<Predicate>().unwrap(),
        check,
        validate: None,
        sign: Signing::None,
        catalog: Some("https://stac.example/v1/".parse().unwrap()),
    }
}

fn world() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let out = store::open(folder.path().to_str().unwrap()).unwrap();
    (folder, out)
}

/// Rows of three files: `a` as told, `b` of another size, `c` gone; and of one that was never there.
fn rows(out: &Store) -> Vec<Told> {
    let root = out.local_root.clone().unwrap();
    std::fs::write(root.join("a.tif"), b"whole").unwrap();
    std::fs::write(root.join("b.tif"), b"short").unwrap();
    std::fs::write(root.join("stray.tif"), b"x").unwrap();
    let at = |name: &str| root.join(name).display().to_string();
    let sha256 = "3f14bd1b9e2cbcc9aa5cdbd0c8bd4e35fd4ae6bc28a2f5b9ab3b34ed0d0ab9e0";
    vec![
        told(
            0,
            json!({"item_id": "i", "asset_name": "a", "out_file_path": at("a.tif"), "out_file_sz": 5, "is_out_file_valid": true}),
        ),
        told(
            1,
            json!({"item_id": "i", "asset_name": "b", "out_file_path": at("b.tif"), "out_file_sz": 6, "is_out_file_valid": true}),
        ),
        told(
            2,
            json!({"item_id": "i", "asset_name": "c", "out_file_path": at("c.tif"), "out_file_sz": 5, "is_out_file_valid": true, "sha256": sha256}),
        ),
        told(
            3,
            json!({"item_id": "i", "asset_name": "d", "is_out_file_valid": false, "source_href": "https://h.example/d.tif", "validation_level": "full"}),
        ),
    ]
}

fn names(again: &[Again]) -> BTreeSet<&str> {
    again
        .iter()
        .map(|one| one.asked.asset_name.as_str())
        .collect()
}

async fn chosen(choice: &Choice) -> (Vec<Again>, Found) {
    let (_folder, out) = world();
    choose(rows(&out), choice, &out).await.unwrap()
}

#[tokio::test]
async fn a_condition_alone_looks_at_no_other_file() {
    let (again, found) = chosen(&choice("is_out_file_valid = false", Check::None)).await;
    assert_eq!(names(&again), BTreeSet::from(["d"]));
    assert_eq!((found.assets, found.matching, found.gone), (4, 1, 0));
    let [one] = again.as_slice() else {
        panic!("{again:?}")
    };
    assert_eq!(one.asked.href, "https://h.example/d.tif");
    assert_eq!(
        one.asked.job.validate,
        Level::Full,
        "as deep as the row says"
    );
    assert!(one.asked.job.retry_refused);
    assert_eq!((one.state, one.told.number), (None, 3));
}

#[tokio::test]
async fn a_check_finds_what_is_gone_or_changed_and_files_of_nobody() {
    let (again, found) = chosen(&choice("is_out_file_valid = false", Check::Sizes)).await;
    assert_eq!(names(&again), BTreeSet::from(["b", "c", "d"]));
    assert_eq!((found.gone, found.changed, found.asked_again), (1, 1, 3));
    assert_eq!(found.unknown_files.len(), 1);
    assert!(
        found
            .unknown_files
            .iter()
            .all(|file| file.ends_with("stray.tif"))
    );
    let keys: Vec<_> = again.iter().map(|one| one.key.as_str()).collect();
    assert_eq!(keys[..2], ["b.tif", "c.tif"], "they go where they were");
}

#[tokio::test]
async fn contents_are_compared_only_where_that_is_asked_for() {
    let (_folder, out) = world();
    let mut row = rows(&out).remove(0);
    row.columns.insert("sha256".to_owned(), "00".into());
    for (check, state) in [
        (Check::Sizes, State::AsTold),
        (Check::Contents, State::Changed),
    ] {
        assert_eq!(row.look(&out, "a.tif", check).await.unwrap(), state);
    }
}

#[tokio::test]
async fn a_row_without_an_item_or_a_catalog_is_named() {
    let (_folder, out) = world();
    let all = choice("item_id IS NULL OR item_id LIKE '%'", Check::None);
    let nameless = vec![told(0, json!({"asset_name": "a"}))];
    let error = choose(nameless, &all, &out).await.unwrap_err();
    assert!(error.to_string().contains("item_id"), "{error}");
    let nowhere = Choice {
        catalog: None,
        ..all
    };
    let row = vec![told(0, json!({"item_id": "i", "asset_name": "a"}))];
    let error = choose(row, &nowhere, &out).await.unwrap_err();
    assert!(error.to_string().contains("its catalog"), "{error}");
}

#[test]
fn a_path_elsewhere_is_no_key() {
    let (_folder, out) = world();
    let root = out.local_root.clone().unwrap();
    let key = |path: String| {
        let columns: Map<_, _> = [("out_file_path".to_owned(), path.into())]
            .into_iter()
            .collect();
        Told { columns, number: 0 }.key(&out)
    };
    assert_eq!(
        key(format!("{}/x/a.tif", root.display())).as_deref(),
        Some("x/a.tif")
    );
    assert_eq!(key(format!("{}/../a.tif", root.display())), None);
    assert_eq!(key("/elsewhere/a.tif".to_owned()), None);
}

/// The sample that a schedule sends, over a lake of one row whose file is not there.
#[tokio::test]
async fn the_scheduled_message_asks_for_what_is_not_valid() {
    use swath_lambda::{Batch, Deadline, Invocation, Shell};
    let (folder, at) = world();
    let (download, asked) = channel(4);
    let config = crate::Config {
        pointer: swath_lake::pointer::PointerKind::Lake,
        lake: at.uri.clone(),
        out: at.uri.clone(),
        download_queue: format!("file://{}", folder.path().join("queue").display()),
        upstream_queues: swath_cloud::queue::Upstreams::default(),
        concurrency: std::num::NonZeroUsize::MIN,
        time_needed: std::time::Duration::ZERO,
    };
    let context = crate::Context {
        download: Arc::new(download),
        ..crate::Context::from_config(&config, &at).await.unwrap()
    };
    let event = include_str!("../../../events/repair/scheduled.asks-again.json");
    let invocation = Invocation {
        request_id: String::new(),
        received: time::OffsetDateTime::UNIX_EPOCH,
        deadline: Deadline::none(),
    };
    let shell = Arc::new(Shell::new("repair", at.clone()));
    let batch = Batch::new(serde_json::from_str(event).unwrap(), shell, invocation);
    let answer = crate::handle(batch, &context).await.unwrap();
    assert_eq!(answer.batch_item_failures.len(), 0);
    drop(context);
    assert!(
        asked.recv().await.is_none(),
        "an empty table asks for nothing"
    );
}
