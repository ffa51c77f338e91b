//! Calls of AWS services that need no SDK of their own.

use aws_config::SdkConfig;
use aws_sdk_s3::config::ProvideCredentials as _;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use time::OffsetDateTime;

pub use crate::sign::s3::load;

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
        let signable = SignableRequest::new(self.method, self.url, std::iter::empty(), body);
        let signable = signable.map_err(|error| error.to_string())?;
        let signed = sign(signable, &parameters.into()).map_err(|error| error.to_string())?;
        let method = reqwest::Method::from_bytes(self.method.as_bytes());
        let method = method.map_err(|error| error.to_string())?;
        let request = http.request(method, self.url).body(self.body.to_owned());
        let (instructions, _) = signed.into_parts();
        let headers = instructions.headers();
        Ok(headers.fold(request, |request, (name, value)| {
            request.header(name, value)
        }))
    }
}
