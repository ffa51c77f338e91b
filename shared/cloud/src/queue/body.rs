//! Bodies too large for a queue: they lie in the store, named by their content.

use bytes::Bytes;
use swath_core::digest_hex;
use swath_core::message::{BodyAt, Message};

use super::QueueError;
use crate::store::Store;

/// The largest body in bytes that goes inside its message: five fit into one call of SQS, and other queues take less.
pub const LARGEST: usize = 200 * 1024;

/// Where bodies lie, below the lake's base.
const FOLDER: &str = "messages/";

/// Writes the message as a queue takes it, its body in the store when it is too large or holds characters that SQS refuses.
pub(super) async fn wire_text(message: &Message, lake: &Store) -> Result<String, QueueError> {
    let text = message.to_json().map_err(QueueError::Message)?;
    // SQS takes the characters of XML 1.0 only; JSON escapes the other ones that it lacks.
    if text.len() <= LARGEST && !text.contains(['\u{FFFE}', '\u{FFFF}']) {
        return Ok(text);
    }
    let body = message.body.to_json().map_err(QueueError::Message)?;
    // Named by content: sending the same message again writes the same object again.
    let digest = digest_hex(&[message.body.kind().as_bytes(), body.as_bytes()], 16);
    let at = BodyAt {
        path: format!("{FOLDER}{digest}.json"),
        size_bytes: body.len() as u64,
    };
    lake.put(&at.path, Bytes::from(body))
        .await
        .map_err(QueueError::Body)?;
    message
        .to_json_by_reference(&at)
        .map_err(QueueError::Message)
}

/// Fetches a body that goes by reference.
///
/// # Errors
/// When it is gone, is not what was sent, or the store fails.
pub async fn fetch_body(lake: &Store, at: &BodyAt) -> Result<String, QueueError> {
    let wrong = |reason| QueueError::Reference {
        path: at.path.clone(),
        reason,
    };
    if !at.path.starts_with(FOLDER) || at.path.split('/').any(|part| part == "..") {
        return Err(wrong("bodies lie below messages/"));
    }
    let bytes = lake.get(&at.path).await.map_err(QueueError::Body)?;
    if bytes.len() as u64 != at.size_bytes {
        return Err(wrong("its size is not the one that was sent"));
    }
    String::from_utf8(bytes.into()).map_err(|_| wrong("it is not UTF-8"))
}
