use std::sync::Mutex;

use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use axum::extract::State;
use axum::{Json, Router};
use serde_json::{Value, json};
use swath_core::message::{Body, Delivered, WriteItems};
use swath_core::{Classify as _, RunId};

use super::*;
use crate::clock::testing::FakeClock;
use crate::queue::{LARGEST, fetch_body};

/// An SQS that takes what it is told to: each call's answer is a list of places that it hands back.
#[derive(Default)]
struct Service {
    calls: Mutex<Vec<Vec<String>>>,
    hand_back: Mutex<Vec<(Vec<usize>, bool)>>,
    status: Option<(u16, &'static str)>,
}

type Answer = (axum::http::StatusCode, Json<Value>);

async fn answer(State(service): State<Arc<Service>>, body: String) -> Answer {
    let body: Value = serde_json::from_str(&body).unwrap();
    let entries = body["Entries"].as_array().unwrap();
    let text = |entry: &Value| entry["MessageBody"].as_str().unwrap().to_owned();
    let call = entries.iter().map(text).collect();
    service.calls.lock().unwrap().push(call);
    if let Some((status, code)) = service.status {
        let status = axum::http::StatusCode::from_u16(status).unwrap();
        let code = format!("com.amazonaws.sqs#{code}");
        return (status, Json(json!({"__type": code, "message": "no"})));
    }
    let (back, ours) = service.hand_back.lock().unwrap().pop().unwrap_or_default();
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (place, entry) in entries.iter().enumerate() {
        let id = &entry["Id"];
        if back.contains(&place) {
            failed.push(json!({"Id": id, "Code": "InternalError", "SenderFault": ours}));
        } else {
            successful.push(json!({"Id": id, "MessageId": "m", "MD5OfMessageBody": "x"}));
        }
    }
    let answer = json!({"Successful": successful, "Failed": failed});
    (axum::http::StatusCode::OK, Json(answer))
}

async fn start(service: Service) -> (SqsQueue, Arc<Service>) {
    let service = Arc::new(service);
    let router = Router::new()
        .fallback(answer)
        .with_state(Arc::clone(&service));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let keys = Credentials::new("id", "secret", None, None, "test");
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .region(Region::new("eu-west-1"))
        .endpoint_url(&address)
        .retry_config(aws_sdk_sqs::config::retry::RetryConfig::disabled())
        .build();
    let url = Url::parse(&format!("{address}/000000000000/write")).unwrap();
    let clock = Arc::new(FakeClock::default());
    let client = aws_sdk_sqs::Client::from_conf(config);
    (
        SqsQueue::new(client, url, Store::in_memory(), clock),
        service,
    )
}

/// A message whose item is a JSON string of `bytes` bytes.
fn message(run: usize, bytes: usize) -> Message {
    let item = format!("\"{}\"", "x".repeat(bytes.saturating_sub(2)));
    items(run, item)
}

fn items(run: usize, item: String) -> Message {
    Message {
        run_id: RunId::new(run.to_string()),
        body: Body::WriteItems(WriteItems {
            source: "test".to_owned(),
            items: vec![serde_json::value::RawValue::from_string(item).unwrap()],
        }),
    }
}

fn runs(texts: impl IntoIterator<Item = String>) -> Vec<usize> {
    let mut runs: Vec<usize> = texts
        .into_iter()
        .map(|text| {
            let wire: Value = serde_json::from_str(&text).unwrap();
            wire["run_id"].as_str().unwrap().parse().unwrap()
        })
        .collect();
    runs.sort_unstable();
    runs
}

#[tokio::test]
async fn batches_hold_ten_messages_and_a_mebibyte_at_most() {
    let (queue, service) = start(Service::default()).await;
    let small = (0..23).map(|n| message(n, 10));
    let large = (23..33).map(|n| message(n, 190_000));
    queue.send(small.chain(large).collect()).await.unwrap();
    let calls = service.calls.lock().unwrap().clone();
    for call in &calls {
        let bytes: usize = call.iter().map(String::len).sum();
        assert!(call.len() <= 10 && bytes <= 1_048_576, "{bytes} bytes");
    }
    assert_eq!(calls.len(), 4, "10, 10, 3 small with 5 large, 5 large");
    assert_eq!(runs(calls.concat()), (0..33).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_a_successful_answer_hands_back_is_sent_again_alone() {
    let service = Service {
        hand_back: Mutex::new(vec![(vec![0], false), (vec![2, 7], false)]),
        ..Service::default()
    };
    let (queue, service) = start(service).await;
    queue
        .send((0..10).map(|n| message(n, 10)).collect())
        .await
        .unwrap();
    let calls: Vec<_> = service.calls.lock().unwrap().drain(..).map(runs).collect();
    assert_eq!(calls, [(0..10).collect(), vec![2, 7], vec![2]]);
}

#[tokio::test]
async fn messages_handed_back_for_ever_are_an_error_with_their_code() {
    let service = Service {
        hand_back: Mutex::new(vec![(vec![0], false); 20]),
        ..Service::default()
    };
    let (queue, service) = start(service).await;
    let error = queue.send(vec![message(0, 10)]).await.unwrap_err();
    assert_eq!(error.class(), Class::Transient);
    assert!(
        error
            .to_string()
            .contains("1 messages were not taken: InternalError")
    );
    assert_eq!(service.calls.lock().unwrap().len(), 5);
}

#[tokio::test]
async fn a_message_that_is_itself_at_fault_is_not_sent_again() {
    let service = Service {
        hand_back: Mutex::new(vec![(vec![0], true); 20]),
        ..Service::default()
    };
    let (queue, service) = start(service).await;
    let error = queue.send(vec![message(0, 10)]).await.unwrap_err();
    assert_eq!(error.class(), Class::Bug);
    assert_eq!(service.calls.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn ten_bodies_over_the_limit_go_by_reference_and_come_back_whole() {
    let (queue, service) = start(Service::default()).await;
    let sent: Vec<_> = (0..10).map(|n| message(n, LARGEST + n)).collect();
    queue.send(sent.clone()).await.unwrap();
    let calls = service.calls.lock().unwrap().clone();
    assert_eq!(calls.len(), 1);
    for (text, sent) in calls[0].iter().zip(sent) {
        assert!(text.len() < 300, "{} bytes", text.len());
        let Delivered::ByReference(pending) = Message::parse(text).unwrap() else {
            panic!("whole")
        };
        let body = fetch_body(&queue.lake, &pending.body_at).await.unwrap();
        let whole = pending.with_body(&body).unwrap();
        assert_eq!(whole.to_json().unwrap(), sent.to_json().unwrap());
    }
}

#[tokio::test]
async fn characters_that_the_service_refuses_go_by_reference() {
    let (queue, service) = start(Service::default()).await;
    let sent = items(1, "\"a\u{FFFF}b\"".to_owned());
    queue.send(vec![sent]).await.unwrap();
    let text = service.calls.lock().unwrap()[0][0].clone();
    let Delivered::ByReference(pending) = Message::parse(&text).unwrap() else {
        panic!("whole")
    };
    let body = fetch_body(&queue.lake, &pending.body_at).await.unwrap();
    assert!(body.contains('\u{FFFF}'));
}

#[tokio::test]
async fn a_reference_out_of_the_bodies_folder_is_refused() {
    let lake = Store::in_memory();
    lake.put("secret", "x".into()).await.unwrap();
    for path in ["secret", "messages/../secret"] {
        let at = swath_core::message::BodyAt {
            path: path.to_owned(),
            size_bytes: 1,
        };
        let error = fetch_body(&lake, &at).await.unwrap_err();
        assert!(matches!(error, QueueError::Reference { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_missing_queue_stops_the_batch_and_a_busy_service_does_not() {
    let cases = [
        (400, "QueueDoesNotExist", Class::Denied),
        (403, "AccessDeniedException", Class::Denied),
        (400, "RequestThrottled", Class::Transient),
        (500, "InternalFailure", Class::Transient),
        (400, "BatchRequestTooLong", Class::Bug),
    ];
    for (status, code, class) in cases {
        let service = Service {
            status: Some((status, code)),
            ..Service::default()
        };
        let (queue, _) = start(service).await;
        let error = queue.send(vec![message(0, 10)]).await.unwrap_err();
        assert_eq!(error.class(), class, "{code}");
        assert!(error.to_string().contains("/000000000000/write"), "{error}");
    }
}

#[tokio::test]
async fn a_service_that_is_down_is_transient() {
    let (mut queue, _) = start(Service::default()).await;
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let config = queue.client.config().to_builder();
    let config = config.endpoint_url(format!("http://{address}")).build();
    queue.client = aws_sdk_sqs::Client::from_conf(config);
    let error = queue.send(vec![message(0, 10)]).await.unwrap_err();
    assert_eq!(error.class(), Class::Transient);
}

#[test]
fn the_region_is_read_off_the_host() {
    assert_eq!(region_of("sqs.eu-north-1.amazonaws.com"), "eu-north-1");
    assert_eq!(region_of("localhost"), "us-east-1");
}
