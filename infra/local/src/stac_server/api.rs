//! The HTTP face of the index.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query as Pairs, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::index::Index;
use super::query::Query;

/// A server at work; it ends when this is dropped.
#[derive(Debug)]
pub struct Served {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Served {
    /// Returns the landing page's address, with a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Waits for the server's end.
    pub async fn ended(mut self) {
        // A join error means the task was aborted, which is its normal end.
        let _ended = (&mut self.task).await;
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves the index on loopback, with other routes (assets, say) beside it. The index is built by `fill` once the
/// server's address is known, since items hold absolute hrefs.
///
/// # Errors
/// When no port can be bound.
pub async fn serve(
    port: u16,
    fill: impl FnOnce(&str) -> (Index, Router),
) -> std::io::Result<Served> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let address = listener.local_addr()?;
    let base = format!("http://{address}");
    let (index, beside) = fill(&base);
    let shared = Arc::new(Shared { base, index });
    let app = Router::new()
        .route("/", get(landing))
        .route("/collections", get(collections))
        .route("/collections/{id}", get(collection))
        .route("/search", get(search_by_get).post(search_by_post))
        .with_state(shared)
        .merge(beside);
    let task = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, app).await {
            tracing::error!(%error, "the STAC server ended");
        }
    });
    Ok(Served { address, task })
}

struct Shared {
    base: String,
    index: Index,
}

type App = State<Arc<Shared>>;

async fn landing(State(app): App) -> Response {
    let base = &app.base;
    let geojson = "application/geo+json";
    json_of(&json!({
        "type": "Catalog",
        "stac_version": "1.1.0",
        "id": "swath",
        "description": "Items in memory",
        "conformsTo": [
            "https://api.stacspec.org/v1.0.0/core",
            "https://api.stacspec.org/v1.0.0/collections",
            "https://api.stacspec.org/v1.0.0/item-search",
            "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson"
        ],
        "links": [
            {"rel": "self", "href": format!("{base}/"), "type": "application/json"},
            {"rel": "root", "href": format!("{base}/"), "type": "application/json"},
            {"rel": "data", "href": format!("{base}/collections"), "type": "application/json"},
            {"rel": "search", "href": format!("{base}/search"), "type": geojson, "method": "GET"},
            {"rel": "search", "href": format!("{base}/search"), "type": geojson, "method": "POST"}
        ]
    }))
}

async fn collections(State(app): App) -> Response {
    let all: Vec<&Value> = app.index.collections().collect();
    json_of(&json!({"collections": all, "links": []}))
}

async fn collection(State(app): App, Path(id): Path<String>) -> Response {
    match app.index.collection(&id) {
        Some(found) => json_of(found),
        None => refusal(
            StatusCode::NOT_FOUND,
            "NotFound",
            &format!("no collection {id}"),
        ),
    }
}

async fn search_by_get(State(app): App, Pairs(pairs): Pairs<HashMap<String, String>>) -> Response {
    let next_link = |token: &str| {
        let mut url = url::form_urlencoded::Serializer::new(String::new());
        for (key, value) in pairs.iter().filter(|(key, _)| *key != "token") {
            url.append_pair(key, value);
        }
        url.append_pair("token", token);
        json!({"rel": "next", "method": "GET", "href": format!("{}/search?{}", app.base, url.finish())})
    };
    answer(&app, Query::from_pairs(&pairs), next_link)
}

async fn search_by_post(State(app): App, body: Bytes) -> Response {
    let body: Map<String, Value> = match serde_json::from_slice(&body) {
        Ok(body) => body,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, "BadRequest", &error.to_string()),
    };
    let next_link = |token: &str| {
        let href = format!("{}/search", app.base);
        json!({"rel": "next", "method": "POST", "href": href, "merge": true, "body": {"token": token}})
    };
    answer(&app, Query::from_body(&body), next_link)
}

fn answer(
    app: &Shared,
    query: Result<Query, String>,
    next_link: impl Fn(&str) -> Value,
) -> Response {
    let query = match query {
        Ok(query) => query,
        Err(reason) => return refusal(StatusCode::BAD_REQUEST, "BadRequest", &reason),
    };
    let page = app.index.search(&query);
    let links: Vec<Value> = page
        .next
        .map(|offset| next_link(&format!("next:{offset}")))
        .into_iter()
        .collect();
    let text = format!(
        r#"{{"type":"FeatureCollection","numberMatched":{},"numberReturned":{},"links":{},"features":[{}]}}"#,
        page.matched,
        page.items.len(),
        Value::from(links),
        page.items.join(",")
    );
    ([(header::CONTENT_TYPE, "application/geo+json")], text).into_response()
}

fn json_of(value: &Value) -> Response {
    (
        [(header::CONTENT_TYPE, "application/json")],
        value.to_string(),
    )
        .into_response()
}

fn refusal(status: StatusCode, code: &str, description: &str) -> Response {
    let body = json!({"code": code, "description": description}).to_string();
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}
