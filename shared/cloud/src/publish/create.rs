//! Uploads in parts that end only where no object lies: S3 asks for `If-None-Match` on the request that completes them,
//! which the store's own client sends for whole objects alone.

use async_trait::async_trait;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};
use reqwest::Method;
use reqwest::header::{HeaderValue, IF_NONE_MATCH};

/// Connects as the store's own client does, and makes the completion of every upload conditional.
#[derive(Debug, Default)]
pub(crate) struct CreateOnly;

impl HttpConnector for CreateOnly {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Completing(client)))
    }
}

#[derive(Debug)]
struct Completing(HttpClient);

#[async_trait]
impl HttpService for Completing {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        // The header is none that a signature must cover.
        if completes(&request) {
            let headers = request.headers_mut();
            headers.insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
        }
        self.0.execute(request).await
    }
}

/// Returns whether it is S3's `CompleteMultipartUpload`.
fn completes(request: &HttpRequest) -> bool {
    let query = request.uri().query().unwrap_or_default();
    request.method() == Method::POST && query.split('&').any(|pair| pair.starts_with("uploadId="))
}

#[cfg(test)]
mod tests {
    use object_store::client::HttpRequestBody;

    use super::*;

    #[test]
    fn only_the_request_that_completes_an_upload_is_conditional() {
        let asked = |method: Method, address: &str| {
            let mut request = HttpRequest::new(HttpRequestBody::empty());
            *request.method_mut() = method;
            *request.uri_mut() = address.parse().unwrap();
            completes(&request)
        };
        assert!(asked(Method::POST, "https://b.s3.example/k?uploadId=1"));
        assert!(asked(Method::POST, "https://b.s3.example/k?x=1&uploadId=1"));
        assert!(!asked(Method::POST, "https://b.s3.example/k?uploads"));
        assert!(!asked(
            Method::PUT,
            "https://b.s3.example/k?partNumber=1&uploadId=1"
        ));
        assert!(!asked(Method::DELETE, "https://b.s3.example/k?uploadId=1"));
        assert!(!asked(Method::POST, "https://b.s3.example/uploadId=1"));
    }
}
