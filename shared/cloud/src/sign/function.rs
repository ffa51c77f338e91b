//! A Lambda function of the user's own that signs: href in, href out.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use serde_json::{Value, json};
use swath_core::{Class, redact_url};
use tokio::sync::OnceCell;
use url::Url;

use super::s3::load;
use crate::aws::Call;
use crate::clock::Clock;
use crate::fetch::{Sign, SignError, Signed};
use crate::http::read_body;

/// Bytes of its answer that are read.
const LARGEST: usize = 64 << 10;
/// What is asked for when a function that is called too often does not say when to come back.
const PAUSE: Duration = Duration::from_secs(1);

/// Calls a function with `{"href": ...}`; it answers with an href, alone or as the member `href`.
#[derive(Clone, Debug)]
pub struct Function {
    http: reqwest::Client,
    arn: String,
    clock: Arc<dyn Clock>,
    config: Arc<OnceCell<SdkConfig>>,
}

impl Function {
    /// Takes the function's ARN, with or without a version or alias.
    pub fn new(http: reqwest::Client, arn: String, clock: Arc<dyn Clock>) -> Self {
        Self {
            http,
            arn,
            clock,
            config: Arc::default(),
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

    /// Calls the function; its answer is JSON.
    async fn call(&self, href: &Url) -> Result<Value, SignError> {
        let region = region_of(&self.arn);
        let region = region.ok_or_else(|| {
            let reason = format!("{:?} is no ARN of a Lambda function", self.arn);
            SignError::denied(href, reason)
        })?;
        let config = self.config.get_or_init(load).await;
        let endpoint = match config.endpoint_url() {
            Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
            None => format!("https://lambda.{region}.amazonaws.com"),
        };
        let arn = self.arn.replace(':', "%3A");
        let url = format!("{endpoint}/2015-03-31/functions/{arn}/invocations");
        let body = json!({"href": href.as_str()}).to_string();
        let call = Call {
            method: "POST",
            url: &url,
            body: &body,
            service: "lambda",
            region,
            headers: &[],
        };
        let request = call.signed(&self.http, config, self.clock.now()).await;
        let request = request.map_err(|reason| SignError::denied(href, reason))?;
        let sent = request.send().await;
        let answer = sent.map_err(|error| transient(href, error.without_url().to_string()))?;
        let status = answer.status().as_u16();
        let failed_inside = answer.headers().contains_key("x-amz-function-error");
        let bytes = read_body(answer, LARGEST).await;
        let bytes = bytes.map_err(|error| transient(href, swath_core::chain(&error)))?;
        match status {
            200 if failed_inside => {
                let reason = format!("function {} failed", self.arn);
                Err(transient(href, reason))
            }
            200 => serde_json::from_slice(&bytes).map_err(|error| {
                let reason = format!("the answer of function {} is no JSON: {error}", self.arn);
                SignError::denied(href, reason)
            }),
            429 | 500..=599 => {
                let reason = format!("function {}: status {status}", self.arn);
                Err(transient(href, reason))
            }
            _ => {
                let reason = format!("function {} cannot be called: status {status}", self.arn);
                Err(SignError::denied(href, reason))
            }
        }
    }
}

#[async_trait]
impl Sign for Function {
    async fn sign(&self, href: &Url) -> Result<Signed, SignError> {
        let answer = self.call(href).await?;
        let signed = answer.as_str().or_else(|| answer.get("href")?.as_str());
        let signed = signed.and_then(|text| Url::parse(text.trim()).ok());
        signed.map(Signed::plain).ok_or_else(|| {
            let reason = format!("function {} answers with no absolute address", self.arn);
            SignError::denied(href, reason)
        })
    }

    /// The function is asked for every attempt anyway.
    async fn renew(&self, href: &Url, _used: &Signed) -> bool {
        tracing::debug!(href = redact_url(href), "signing again");
        true
    }
}

/// Reads the region out of `arn:aws:lambda:REGION:ACCOUNT:function:NAME`.
fn region_of(arn: &str) -> Option<&str> {
    let mut parts = arn.split(':');
    let named = (parts.next()?, parts.next()?, parts.next()?);
    let region = parts.next().filter(|region| !region.is_empty())?;
    let (account, kind, name) = (parts.next()?, parts.next()?, parts.next()?);
    let plain = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let ours = named.0 == "arn" && named.2 == "lambda" && kind == "function";
    (ours && !name.is_empty() && [region, account, name].into_iter().all(plain)).then_some(region)
}

fn transient(href: &Url, reason: String) -> SignError {
    SignError {
        class: Class::Transient,
        retry_after: Some(PAUSE),
        ..SignError::denied(href, reason)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use aws_sdk_s3::config::{Credentials, Region, SharedCredentialsProvider};

    use super::*;
    use crate::clock::testing::FakeClock;
    use crate::fetch::testing::{Answer, ScriptedServer};
    use crate::http::{Timeouts, for_apis};
    use swath_core::Classify as _;

    const ARN: &str = "arn:aws:lambda:eu-central-1:123456789012:function:sign:live";

    fn function(arn: &str, endpoint: &str) -> Function {
        let key = Credentials::new("AKIDEXAMPLE", "canary", None, None::<SystemTime>, "test");
        let config = SdkConfig::builder()
            .endpoint_url(endpoint)
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(key))
            .build();
        let http = for_apis(Timeouts::default()).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(FakeClock::default());
        Function::new(http, arn.to_owned(), clock).with_config(config)
    }

    #[tokio::test]
    async fn a_function_signs_and_its_failures_are_named() {
        let server = ScriptedServer::start(|request| match request.number {
            0 => Answer::new(200, "\"https://h.example/a?sig=1\""),
            1 => Answer::new(200, "{\"href\": \"https://h.example/a?sig=2\"}"),
            2 => Answer::new(200, "{}").header("x-amz-function-error", "Unhandled"),
            3 => Answer::new(429, "slow down"),
            4 => Answer::new(403, "no"),
            5 => Answer::new(200, "{\"url\": 1}"),
            _ => Answer::new(200, "<html>"),
        });
        let server = server.await.unwrap();
        let function = function(ARN, &server.url(""));
        let href = Url::parse("https://h.example/a").unwrap();
        for query in ["sig=1", "sig=2"] {
            let signed = function.sign(&href).await.unwrap();
            assert_eq!(signed.url.query(), Some(query));
        }
        for class in [Class::Transient, Class::Transient]
            .into_iter()
            .chain([Class::Denied; 3])
        {
            let error = function.sign(&href).await.unwrap_err();
            assert_eq!(error.class(), class, "{error}");
            assert!(!error.to_string().contains("canary"));
        }
        let seen = server.seen();
        assert_eq!(
            seen[0].path,
            "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-central-1%3A123456789012%3Afunction%3Asign%3Alive/invocations"
        );
        let authorization = seen[0].header("authorization").unwrap();
        assert!(
            authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
                && authorization.contains("/eu-central-1/lambda/aws4_request"),
            "{authorization}"
        );
    }

    #[tokio::test]
    async fn what_is_no_function_is_not_called() {
        let href = Url::parse("https://h.example/a").unwrap();
        for arn in [
            "sign",
            "arn:aws:s3:::bucket",
            "arn:aws:lambda::1:function:sign",
            "arn:aws:lambda:evil.example/:1:function:sign",
        ] {
            let error = function(arn, "http://127.0.0.1:1").sign(&href).await;
            assert_eq!(error.unwrap_err().class(), Class::Denied, "{arn}");
        }
    }
}
