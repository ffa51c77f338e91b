//! Objects of S3: open ones by their web address, others by presigned requests.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::types::{ChecksumMode, RequestPayer};
use aws_smithy_http_client::tls;
use percent_encoding::percent_decode_str;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use swath_core::Class;
use tokio::sync::{Mutex, OnceCell};
use url::Url;

use super::Hosts;
use crate::fetch::{Sign, SignError, Signed};

/// Buckets whose owners have readers pay.
const PAID: [&str; 6] = [
    "naip-source",
    "naip-analytic",
    "sentinel-s2-l1c",
    "sentinel-s2-l2a",
    "sentinel-s1-l1c",
    "usgs-landsat",
];
/// How long a presigned request may be sent; it is made anew for every attempt.
const VALID: Duration = Duration::from_mins(15);

/// Buckets that our own credentials may be used for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Buckets {
    /// Those named; by default none: a catalog could name a bucket of ours that is no business of its readers.
    #[default]
    None,
    /// These.
    Named(Vec<String>),
    /// All, where the credentials are the user's own.
    Any,
}

impl Buckets {
    fn have(&self, bucket: &str) -> bool {
        match self {
            Self::None => false,
            Self::Named(names) => names.iter().any(|name| name == bucket),
            Self::Any => true,
        }
    }
}

/// Returns what reading costs a reader who pays, in dollars: S3's list prices for requests and for transfer to the internet.
#[allow(
    clippy::cast_precision_loss,
    reason = "an estimate needs no more than 53 bits"
)]
pub fn estimated_cost(requests: u64, bytes: u64) -> f64 {
    requests as f64 * 0.000_000_4 + bytes as f64 / 1e9 * 0.09
}

/// Returns the web address of an object that everyone may read.
///
/// # Errors
/// When the href names no bucket or no object.
pub fn open_address(href: &Url) -> Result<Url, SignError> {
    let (bucket, key) = object(href)?;
    // A dot in a host name before S3's own would match no certificate of it.
    let address = if bucket.contains('.') {
        format!("https://s3.amazonaws.com/{bucket}/{key}")
    } else {
        format!("https://{bucket}.s3.amazonaws.com/{key}")
    };
    Url::parse(&address).map_err(|error| SignError::denied(href, error.to_string()))
}

/// Refuses objects whose owner has readers pay.
///
/// # Errors
/// When the href's bucket is one of those.
pub(crate) fn refuse_paid(href: &Url) -> Result<(), SignError> {
    let host = href.host_str().unwrap_or_default();
    let first = href
        .path_segments()
        .and_then(|mut path| path.next())
        .unwrap_or_default();
    let bucket = match (href.scheme(), host.strip_suffix(".amazonaws.com")) {
        ("s3", _) => host,
        (_, Some(at)) if at == "s3" || at.starts_with("s3.") || at.starts_with("s3-") => first,
        (_, Some(at)) => at.split(".s3").next().unwrap_or_default(),
        _ => return Ok(()),
    };
    if !PAID.contains(&bucket) {
        return Ok(());
    }
    let reason = format!(
        "bucket {bucket} has its readers pay (about ${:.2} per GB): sign by s3_requester_pays to agree to that",
        estimated_cost(1, 1_000_000_000)
    );
    Err(SignError::denied(href, reason))
}

/// Returns bucket and key, the key as it stands in the href.
fn object(href: &Url) -> Result<(&str, &str), SignError> {
    let bucket = href.host_str().unwrap_or_default();
    let key = href.path().trim_start_matches('/');
    if bucket.is_empty() || key.is_empty() {
        let reason = "the href names no object of a bucket";
        return Err(SignError::denied(href, reason));
    }
    Ok((bucket, key))
}

/// Returns bucket and key, the key as S3 knows it.
///
/// # Errors
/// When the href names no bucket or no object, or its key is not UTF-8.
pub(crate) fn named(href: &Url) -> Result<(&str, Cow<'_, str>), SignError> {
    let (bucket, key) = object(href)?;
    let key = percent_decode_str(key).decode_utf8();
    let key = key.map_err(|_| SignError::denied(href, "the key is not UTF-8"))?;
    Ok((bucket, key))
}

/// Asks for objects of S3 with the credentials of the environment; hrefs of other schemes stay as they are.
#[derive(Clone, Debug)]
pub struct S3 {
    http: reqwest::Client,
    buckets: Buckets,
    pays: bool,
    config: Arc<OnceCell<SdkConfig>>,
    clients: Arc<Mutex<HashMap<String, aws_sdk_s3::Client>>>,
}

impl S3 {
    /// Takes the buckets that may be read, and whether we pay for it.
    pub fn new(http: reqwest::Client, buckets: Buckets, pays: bool) -> Self {
        Self {
            http,
            buckets,
            pays,
            config: Arc::default(),
            clients: Arc::default(),
        }
    }

    /// Takes settings that were made elsewhere instead of the environment's.
    #[must_use]
    pub fn with_config(self, config: SdkConfig) -> Self {
        Self {
            config: Arc::new(OnceCell::new_with(Some(config))),
            ..self
        }
    }

    async fn client(&self, bucket: &str) -> aws_sdk_s3::Client {
        let mut clients = self.clients.lock().await;
        if let Some(client) = clients.get(bucket) {
            return client.clone();
        }
        let shared = self.config.get_or_init(load).await;
        let mut config = aws_sdk_s3::config::Builder::from(shared);
        if shared.endpoint_url().is_some() {
            config = config.force_path_style(true);
        } else if let Some(region) = self.region(bucket).await {
            config = config.region(Region::new(region));
        }
        if shared.region().is_none() && shared.endpoint_url().is_some() {
            config = config.region(Region::from_static("us-east-1"));
        }
        let client = aws_sdk_s3::Client::from_conf(config.build());
        clients.insert(bucket.to_owned(), client.clone());
        client
    }

    /// Asks where a bucket lies; S3 says so even to those who may not read it.
    async fn region(&self, bucket: &str) -> Option<String> {
        let url = format!("https://s3.amazonaws.com/{bucket}");
        let answer = self.http.head(url).send().await.ok()?;
        let region = answer.headers().get("x-amz-bucket-region")?;
        region.to_str().ok().map(str::to_owned)
    }
}

/// Loads settings and credentials of the environment.
pub async fn load() -> SdkConfig {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(
            tls::rustls_provider::CryptoMode::Ring,
        ))
        .build_https();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .load()
        .await
}

#[async_trait]
impl Sign for S3 {
    async fn sign(&self, href: &Url) -> Result<Signed, SignError> {
        if href.scheme() != "s3" {
            return Ok(Signed::plain(href.clone()));
        }
        let (bucket, key) = named(href)?;
        if !self.buckets.have(bucket) {
            let reason = format!("bucket {bucket} is none that our credentials may be used for");
            return Err(SignError::denied(href, reason));
        }
        let failed = |reason: String| SignError {
            class: Class::Denied,
            ..SignError::denied(href, reason)
        };
        let request = self
            .client(bucket)
            .await
            .get_object()
            .bucket(bucket)
            .key(key);
        let payer = self.pays.then_some(RequestPayer::Requester);
        let request = request.set_request_payer(payer);
        let request = request.checksum_mode(ChecksumMode::Enabled);
        let valid =
            PresigningConfig::expires_in(VALID).map_err(|error| failed(error.to_string()))?;
        let presigned = request.presigned(valid).await;
        let presigned = presigned.map_err(|error| failed(swath_core::chain(&error)))?;
        let url = Url::parse(presigned.uri()).map_err(|error| failed(error.to_string()))?;
        let headers: HeaderMap = presigned
            .headers()
            .filter_map(|(name, value)| {
                let name = name.parse::<HeaderName>().ok()?;
                Some((name, HeaderValue::from_str(value).ok()?))
            })
            .collect();
        let hosts = Hosts::new(url.host_str());
        Ok(Signed::with_headers(url, headers, hosts))
    }
}
