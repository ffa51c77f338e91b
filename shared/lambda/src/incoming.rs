//! What the body of an SQS message may be.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::value::RawValue;
use swath_core::message::{Delivered, Message, MessageError, Pending};
use swath_core::{Class, Classify};

/// What a queue brought.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Incoming {
    /// A message of ours, whole.
    Message(Box<Message>),
    /// Objects of a bucket changed.
    Objects(Vec<ObjectEvent>),
}

/// One object of a bucket changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectEvent {
    /// What happened to it.
    pub change: Change,
    /// The bucket's name.
    pub bucket: String,
    /// The object's key, decoded.
    pub key: String,
    /// Its size, bytes.
    pub size_bytes: Option<u64>,
    /// Its entity tag, without quotes.
    pub etag: Option<String>,
    /// Orders the events of one key: hex digits, compared after padding the shorter with zeros at its end.
    pub sequencer: Option<String>,
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// It was written.
    Created,
    /// It was deleted, by someone or by a lifecycle rule.
    Removed,
    /// Its tags, storage class or anything else that is no change of content.
    Other,
}

/// A body that is nothing we know.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The message has no body.
    #[error("the body is empty")]
    Empty,
    /// Not a JSON object.
    #[error("the body is no JSON object")]
    NotJson(#[source] serde_json::Error),
    /// Records that are not those of an S3 notification.
    #[error("the body's Records are no S3 notification")]
    NotS3(#[source] serde_json::Error),
    /// A key that is no text once decoded.
    #[error("the S3 key {key:?} is not UTF-8 once decoded")]
    Key {
        /// The key as it came.
        key: String,
    },
    /// Neither an S3 notification nor a message of ours.
    #[error("the body is neither an S3 notification nor a message")]
    NotMessage(#[source] MessageError),
}

impl Classify for Malformed {
    fn class(&self) -> Class {
        Class::Invalid
    }
}

/// A message that is whole but nothing for this function.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a message of kind {kind} is nothing for this function")]
pub struct Refused {
    kind: &'static str,
}

impl Refused {
    /// Refuses a message by the name of its kind.
    pub fn kind(kind: &'static str) -> Self {
        Self { kind }
    }
}

impl Classify for Refused {
    fn class(&self) -> Class {
        Class::Invalid
    }
}

impl Incoming {
    /// Takes a message of ours, for functions that work on nothing else.
    ///
    /// # Errors
    /// When it is an S3 notification.
    pub fn message(self) -> Result<Message, Refused> {
        match self {
            Self::Message(message) => Ok(*message),
            Self::Objects(_) => Err(Refused::kind("S3 notification")),
        }
    }
}

/// What a body says before anything is fetched.
#[derive(Debug)]
pub(crate) enum Parsed {
    Ready(Incoming),
    ByReference(Pending),
    TestEvent,
}

/// The members that tell the kinds of bodies apart. SNS (`Message`) and `EventBridge` (`detail`) envelopes fit here.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default, rename = "Records")]
    records: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "Event")]
    event: Option<Cow<'a, str>>,
}

impl Parsed {
    pub(crate) fn of(body: Option<&str>) -> Result<Self, Malformed> {
        let body = body.map(str::trim).filter(|body| !body.is_empty());
        let body = body.ok_or(Malformed::Empty)?;
        let envelope: Envelope<'_> = serde_json::from_str(body).map_err(Malformed::NotJson)?;
        if let Some(records) = envelope.records {
            return Ok(Self::Ready(Incoming::Objects(objects(records)?)));
        }
        // S3 sends this once, when a bucket's notifications are set up.
        if envelope.event.as_deref() == Some("s3:TestEvent") {
            return Ok(Self::TestEvent);
        }
        match Message::parse(body).map_err(Malformed::NotMessage)? {
            Delivered::Whole(message) => Ok(Self::Ready(Incoming::Message(message))),
            Delivered::ByReference(pending) => Ok(Self::ByReference(pending)),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireRecord {
    #[serde(default)]
    event_name: String,
    s3: WireS3,
}

#[derive(Deserialize)]
struct WireS3 {
    bucket: WireBucket,
    object: WireObject,
}

#[derive(Deserialize)]
struct WireBucket {
    name: String,
}

#[derive(Deserialize)]
struct WireObject {
    key: String,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default, rename = "eTag")]
    etag: Option<String>,
    #[serde(default)]
    sequencer: Option<String>,
}

fn objects(records: &RawValue) -> Result<Vec<ObjectEvent>, Malformed> {
    let records: Vec<WireRecord> = serde_json::from_str(records.get()).map_err(Malformed::NotS3)?;
    records.into_iter().map(object).collect()
}

fn object(record: WireRecord) -> Result<ObjectEvent, Malformed> {
    let WireS3 { bucket, object } = record.s3;
    let key = form_decode(&object.key).ok_or(Malformed::Key { key: object.key })?;
    Ok(ObjectEvent {
        change: Change::named(&record.event_name),
        bucket: bucket.name,
        key,
        size_bytes: object.size,
        etag: object.etag.map(|etag| etag.trim_matches('"').to_owned()),
        sequencer: object.sequencer,
    })
}

impl Change {
    fn named(event: &str) -> Self {
        let event = event.strip_prefix("s3:").unwrap_or(event);
        match event.split_once(':').map_or(event, |(kind, _)| kind) {
            "ObjectCreated" => Self::Created,
            "ObjectRemoved" | "LifecycleExpiration" => Self::Removed,
            _ => Self::Other,
        }
    }
}

/// Decodes a key as S3 notifications spell it: as a form does, `+` for a space, then percent signs.
fn form_decode(key: &str) -> Option<String> {
    let spaced = key.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notification(event: &str, key: &str) -> String {
        format!(
            r#"{{"Records":[{{"eventVersion":"2.6","eventSource":"aws:s3","eventName":"{event}","s3":{{"s3SchemaVersion":"1.0",
               "bucket":{{"name":"inbox","arn":"arn:aws:s3:::inbox"}},
               "object":{{"key":"{key}","size":12,"eTag":"abc","sequencer":"0055AED6DCD90281E5"}}}}}}]}}"#
        )
    }

    fn object_of(body: &str) -> ObjectEvent {
        match Parsed::of(Some(body)).unwrap() {
            Parsed::Ready(Incoming::Objects(mut objects)) => objects.remove(0),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_key_is_decoded_once_as_a_form_is() {
        let object = object_of(&notification(
            "ObjectCreated:Put",
            "aois/a+b%2B%C3%BC%2520.json",
        ));
        assert_eq!(object.key, "aois/a b+ü%20.json");
        assert_eq!(object.bucket, "inbox");
        assert_eq!(object.size_bytes, Some(12));
        assert_eq!(object.etag.as_deref(), Some("abc"));
        assert_eq!(object.sequencer.as_deref(), Some("0055AED6DCD90281E5"));
    }

    #[test]
    fn changes_are_told_apart_by_the_events_name() {
        for (name, change) in [
            ("ObjectCreated:CompleteMultipartUpload", Change::Created),
            ("s3:ObjectCreated:Copy", Change::Created),
            ("ObjectRemoved:DeleteMarkerCreated", Change::Removed),
            ("LifecycleExpiration:Delete", Change::Removed),
            ("ObjectTagging:Put", Change::Other),
        ] {
            assert_eq!(object_of(&notification(name, "k")).change, change, "{name}");
        }
    }

    #[test]
    fn the_test_event_of_a_new_bucket_is_known() {
        let body = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2024-06-01T00:00:00.000Z","Bucket":"b","RequestId":"r","HostId":"h"}"#;
        assert!(matches!(Parsed::of(Some(body)), Ok(Parsed::TestEvent)));
    }

    #[test]
    fn what_is_nothing_we_know_is_malformed() {
        for body in [
            None,
            Some(" "),
            Some("{"),
            Some("[]"),
            Some("{}"),
            Some(r#"{"Records":[{"dynamodb":{}}]}"#),
            Some(r#"{"Records":{}}"#),
            Some(r#"{"version":1,"run_id":"r","kind":"MakeTea","body":{}}"#),
        ] {
            let error = Parsed::of(body).unwrap_err();
            assert_eq!(error.class(), Class::Invalid, "{body:?}");
        }
        let error = Parsed::of(Some(&notification("ObjectCreated:Put", "%ff"))).unwrap_err();
        assert!(matches!(error, Malformed::Key { key } if key == "%ff"));
    }

    #[test]
    fn a_notification_is_no_message() {
        let refused = Incoming::Objects(Vec::new()).message().unwrap_err();
        assert_eq!(refused.class(), Class::Invalid);
    }
}
