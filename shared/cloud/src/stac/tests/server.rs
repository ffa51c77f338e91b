//! An API that answers as it is told and remembers what it was asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, Uri};
use serde_json::{Value, json};
use swath_core::Job;

use crate::clock::testing::FakeClock;
use crate::http::Timeouts;
use crate::stac::Client;

/// A request as it came in.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Seen {
    pub(super) fn line(&self) -> String {
        format!("{} {}", self.method, self.uri)
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// An answer to be given.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

impl Reply {
    pub(super) fn text(status: u16, text: &str) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: text.as_bytes().to_vec(),
        }
    }

    pub(super) fn json(value: &Value) -> Self {
        Self::text(200, &value.to_string())
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// Answers the n-th search, from 0.
type Script = Box<dyn Fn(usize, &Seen) -> Reply + Send + Sync>;

struct Stage {
    script: Script,
    landing: Mutex<Value>,
    seen: Mutex<Vec<Seen>>,
}

/// A running API.
pub(super) struct Api {
    stage: Arc<Stage>,
    pub(super) address: SocketAddr,
    pub(super) clock: Arc<FakeClock>,
    pub(super) client: Client,
}

impl Api {
    pub(super) async fn start(
        script: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let stage = Arc::new(Stage {
            script: Box::new(script),
            landing: Mutex::new(json!({"type": "Catalog", "links": []})),
            seen: Mutex::default(),
        });
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&stage));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let clock = Arc::new(FakeClock::default());
        let port: Arc<FakeClock> = Arc::clone(&clock);
        let client = super::client_with(Timeouts::default(), port);
        Self {
            stage,
            address,
            clock,
            client,
        }
    }

    pub(super) fn with_landing(self, landing: Value) -> Self {
        *self.stage.landing.lock().unwrap() = landing;
        self
    }

    pub(super) fn job(&self) -> Job {
        Job::new(format!("http://{}/v1", self.address).parse().unwrap())
    }

    /// Returns every request so far, the landing page's first.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.stage.seen.lock().unwrap().clone()
    }

    /// Returns how many requests there were besides the landing page's.
    pub(super) fn searches(&self) -> usize {
        self.seen().len() - 1
    }
}

async fn answer(
    State(stage): State<Arc<Stage>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response<Body> {
    let seen = Seen {
        method,
        uri,
        headers,
        body,
    };
    let number = {
        let mut all = stage.seen.lock().unwrap();
        all.push(seen.clone());
        all.len() - 1
    };
    let reply = if number == 0 {
        Reply::json(&stage.landing.lock().unwrap())
    } else {
        (stage.script)(number - 1, &seen)
    };
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(reply.body)).unwrap()
}
