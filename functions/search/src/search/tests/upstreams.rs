//! How real upstreams behave, and what comes of it: each line of the table is a behaviour, its expected figures, and the figures.

use super::*;

fn told(id: &str, behaviour: &str, expected: &str, got: &str) {
    println!("{id:<3} {behaviour} | expected {expected} | got {got}");
    assert_eq!(got, expected, "{id} {behaviour}");
}

/// Searches one page of these features.
async fn found(features: &[String]) -> (AreaFound, Sent) {
    let count = features.len();
    let text =
        page(features, None).replace("\"numberMatched\":3", &format!("\"numberMatched\":{count}"));
    let world = world(vec![text]).await;
    let found = world.search().await.unwrap();
    (found, world.sent().await)
}

#[tokio::test]
async fn members_that_a_server_dropped_are_done_without() {
    let text = r#"{"type":"Feature","id":"i","collection":"c","geometry":null,
        "properties":{"start_datetime":"2024-06-01T00:00:00Z","end_datetime":"2024-06-02T00:00:00Z"},
        "assets":{"a":{"href":"https://data.example/a.tif"}}}"#;
    let (found, sent) = found(&[text.to_owned()]).await;
    let row = &sent.rows[0];
    let got = format!(
        "{} row, date {}, as served: {}",
        found.assets,
        row.found.date.as_deref().unwrap_or("none"),
        sent.items[0] == text
    );
    told(
        "U4",
        "`datetime: null` comes without the key",
        "1 row, date 2024-06-01T00:00:00Z, as served: true",
        &got,
    );
}

#[tokio::test]
async fn ids_with_slashes_are_ids() {
    let id = "17/031331303020/10300100DB064000";
    let (_, sent) = found(&[item(id, &["visual"])]).await;
    let got = format!(
        "{}, {}",
        sent.rows[0].found.item_id == id,
        sent.downloads[0].item_id == id
    );
    told("U5", "an id holds slashes", "true, true", &got);
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "made where they are handed in"
)]
fn odd(id: &str, bbox: Value, properties: Value) -> String {
    json!({"type": "Feature", "id": id, "collection": "c", "geometry": null, "bbox": bbox, "properties": properties,
        "assets": {"a": {"href": "https://data.example/a.tif"}}})
    .to_string()
}

#[tokio::test]
async fn odd_boxes_and_times_cost_no_item() {
    let time = |text: &str| json!({"datetime": text});
    let items = [
        odd(
            "modis",
            json!([-180.07, 1, -170, 2]),
            time("2024-06-01T00:00:00.040Z"),
        ),
        odd(
            "goes",
            json!([-184.4, -80, 20, 80]),
            time("2024-06-01T00:00:00+00:00"),
        ),
        odd(
            "viirs",
            json!([-182.8, 1, -170, 2]),
            time("2024-06-01 00:00:00Z"),
        ),
        odd(
            "high",
            json!([1, 2, -5, 3, 4, 900]),
            json!({"datetime": null, "start_datetime": "2024-06-02T00:00:00Z", "end_datetime": "2024-06-01T00:00:00Z"}),
        ),
        odd(
            "across",
            json!([170, 1, -170, 2]),
            json!({"datetime": null, "start_datetime": "2024-06-01T00:00:00Z", "end_datetime": "2024-06-01T00:00:00Z"}),
        ),
        odd("none", Value::Null, json!({"datetime": "soon"})),
    ];
    let (found, sent) = found(&items).await;
    let boxes = sent
        .rows
        .iter()
        .filter(|row| row.found.item_bbox.is_some())
        .count();
    let times = sent
        .rows
        .iter()
        .filter(|row| row.found.datetime.is_some())
        .count();
    let spans = sent
        .rows
        .iter()
        .filter(|row| row.found.start_datetime.is_some())
        .count();
    let got = format!(
        "{} items, {boxes} boxes, {times} times, {spans} spans, {} rejected",
        found.items,
        found.rejected.len()
    );
    told(
        "U6",
        "boxes beyond ±180, of 6 numbers, none; four spellings of time",
        "6 items, 5 boxes, 3 times, 2 spans, 0 rejected",
        &got,
    );
}

#[tokio::test]
async fn a_count_is_not_needed_and_one_that_is_not_kept_is_told() {
    let uncounted = page(&[item("1", &["a"])], None).replace("\"numberMatched\":3,", "");
    let world = world(vec![uncounted]).await;
    let found = world.search().await.unwrap();
    let got = format!(
        "{}, matched {:?}, {} item",
        found.status().as_str(),
        found.matched,
        found.items
    );
    told(
        "U7",
        "numberMatched is missing",
        "ok, matched None, 1 item",
        &got,
    );
}

#[tokio::test]
async fn fewer_items_than_were_promised_are_a_partial_search() {
    let promised = |features: &[String], next| {
        page(features, next).replace("\"numberMatched\":3", "\"numberMatched\":1000")
    };
    let nine: Vec<String> = (0..9).map(|n| item(&n.to_string(), &["a"])).collect();
    let world = world(vec![
        promised(&nine[..5], Some("/search?page=1")),
        promised(&nine[5..], None),
    ])
    .await;
    let found = world.search().await.unwrap();
    let row = &world.sent().await.statuses[0];
    assert_eq!(found.status(), row.status);
    let got = format!(
        "{}, {} of {} items",
        row.status.as_str(),
        row.items,
        row.matched.unwrap()
    );
    told(
        "N7",
        "numberMatched 1000, 9 are served",
        "partial, 9 of 1000 items",
        &got,
    );
}

#[tokio::test]
async fn hrefs_stay_what_they_are() {
    let hrefs = [
        ("../a.tif", "https://api.example/c/a.tif"),
        ("s3://bucket/a b.tif", "s3://bucket/a b.tif"),
        ("az://box/a.tif", "az://box/a.tif"),
        (
            "abfs://box@account.example/a.tif",
            "abfs://box@account.example/a.tif",
        ),
        (
            "https://data.example/a.tif?v=1&b=%20",
            "https://data.example/a.tif?v=1&b=%20",
        ),
    ];
    let text = |id: &str| {
        let assets: serde_json::Map<_, _> = (0..)
            .zip(&hrefs)
            .map(|(n, (href, _))| (format!("a{n}"), json!({"href": href})))
            .collect();
        json!({"type": "Feature", "id": id, "collection": "c", "geometry": null, "properties": {},
            "links": [{"rel": "self", "href": "https://api.example/c/items/i"}], "assets": assets})
        .to_string()
    };
    // Two items that share all their files.
    let (_, sent) = found(&[text("1"), text("2")]).await;
    let right = sent
        .rows
        .iter()
        .zip(hrefs.iter().cycle())
        .filter(|(row, (_, expected))| row.found.href == *expected);
    let got = format!("{} of {} rows", right.count(), sent.rows.len());
    told(
        "U8",
        "relative, s3, az, abfs, query strings, shared",
        "10 of 10 rows",
        &got,
    );
}
