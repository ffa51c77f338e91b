//! Calls of AWS services that need no SDK of their own.

use std::sync::Arc;

use aws_config::SdkConfig;
use aws_sdk_s3::config::ProvideCredentials as _;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use futures::future::BoxFuture;
use time::OffsetDateTime;
use tokio::sync::OnceCell;

use crate::clock::{Clock as _, SystemClock};
use crate::http::{self, Timeouts, read_body};
pub use crate::sign::s3::load;

/// Bytes of the largest answer that is read.
const LARGEST: usize = 16 << 20;

/// What is asked of a service.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// `GET`, `POST` and so on.
    pub method: &'a str,
    /// Where.
    pub url: &'a str,
    /// With what; empty for nothing.
    pub body: &'a str,
    /// The service's name in signatures, such as `lambda`.
    pub service: &'a str,
    /// The service's region.
    pub region: &'a str,
    /// Headers, signed with the rest.
    pub headers: &'a [(&'a str, &'a str)],
}

impl Call<'_> {
    /// Makes the request, signed by AWS Signature Version 4 with the credentials of `config`.
    ///
    /// # Errors
    /// Says why there are no credentials, or why this cannot be signed.
    pub async fn signed(
        &self,
        http: &reqwest::Client,
        config: &SdkConfig,
        now: OffsetDateTime,
    ) -> Result<reqwest::RequestBuilder, String> {
        let provider = config.credentials_provider();
        let provider = provider.ok_or("there are no AWS credentials")?;
        let credentials = provider.provide_credentials().await;
        let credentials = credentials.map_err(|error| swath_core::chain(&error))?;
        let identity = credentials.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service)
            .time(now.into())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| error.to_string())?;
        let body = SignableBody::Bytes(self.body.as_bytes());
        let headers = self.headers.iter().copied();
        let signable = SignableRequest::new(self.method, self.url, headers, body);
        let signable = signable.map_err(|error| error.to_string())?;
        let signed = sign(signable, &parameters.into()).map_err(|error| error.to_string())?;
        let method = reqwest::Method::from_bytes(self.method.as_bytes());
        let method = method.map_err(|error| error.to_string())?;
        let mut request = http.request(method, self.url).body(self.body.to_owned());
        for (name, value) in self.headers {
            request = request.header(*name, *value);
        }
        let (instructions, _) = signed.into_parts();
        let headers = instructions.headers();
        Ok(headers.fold(request, |request, (name, value)| {
            request.header(name, value)
        }))
    }
}

/// The status and the body of an answer; or, when none came, whether the request may have been heard, and what went wrong.
pub type Answer = Result<(u16, String), (bool, String)>;

/// Returns what asks AWS Glue: an action (`GetTable`) and its JSON body. Settings and credentials are the environment's; nothing
/// is asked twice.
pub fn glue() -> impl Fn(&'static str, String) -> BoxFuture<'static, Answer> + Send + Sync + 'static
{
    let glue = Arc::new(Glue::default());
    move |action, body| {
        let glue = Arc::clone(&glue);
        Box::pin(async move { glue.ask(action, &body).await })
    }
}

#[derive(Debug, Default)]
struct Glue(OnceCell<(SdkConfig, reqwest::Client)>);

impl Glue {
    async fn ask(&self, action: &str, body: &str) -> Answer {
        let unheard = |why: String| (false, why);
        let set_up = || async {
            let client = http::for_apis(Timeouts::default());
            let client = client.map_err(|error| swath_core::chain(&error))?;
            Ok::<_, String>((load().await, client))
        };
        let (config, client) = self.0.get_or_try_init(set_up).await.map_err(unheard)?;
        let region = config.region().map(AsRef::as_ref);
        let region = region.ok_or_else(|| unheard("no region of AWS is set".to_owned()))?;
        let url = match config.endpoint_url() {
            Some(endpoint) => format!("{}/", endpoint.trim_end_matches('/')),
            None => address(region),
        };
        let call = Call {
            method: "POST",
            url: &url,
            body,
            service: "glue",
            region,
            headers: &[
                ("content-type", "application/x-amz-json-1.1"),
                ("x-amz-target", &format!("AWSGlue.{action}")),
            ],
        };
        let signed = call.signed(client, config, SystemClock.now()).await;
        let answer = signed.map_err(unheard)?.send().await;
        let answer = answer.map_err(|error| (true, swath_core::chain(&error.without_url())))?;
        let status = answer.status().as_u16();
        let body = read_body(answer, LARGEST).await;
        let body = body.map_err(|error| (true, swath_core::chain(&error)))?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }
}

fn address(region: &str) -> String {
    let china = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("https://glue.{region}.amazonaws.com{china}/")
}
