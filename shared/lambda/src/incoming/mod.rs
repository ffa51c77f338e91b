//! What the body of an SQS message may be.

mod s3;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use swath_core::message::{Delivered, Message, MessageError, Pending};
use swath_core::{Class, Classify};

pub use s3::{Change, ObjectEvent, Sequencer};

/// Envelopes around one message: a notification told by `EventBridge` to a topic, and by that to a queue, has two.
const ENVELOPES: usize = 3;

/// What a queue brought.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Incoming {
    /// A message of ours, whole.
    Message(Box<Message>),
    /// Objects of a bucket changed.
    Objects(Vec<ObjectEvent>),
    /// A STAC Item, Collection or ItemCollection, byte for byte.
    Document(Box<RawValue>),
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
    /// An event of `EventBridge` that tells of no object.
    #[error("the body is the event {kind:?}, which no bucket tells")]
    OtherEvent {
        /// What `EventBridge` calls it.
        kind: String,
    },
    /// A notification in a notification, again and again.
    #[error("the body lies in more than {ENVELOPES} notifications, one in another")]
    TooDeep,
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
    /// When it is an S3 notification or a STAC document.
    pub fn message(self) -> Result<Message, Refused> {
        match self {
            Self::Message(message) => Ok(*message),
            Self::Objects(_) => Err(Refused::kind("S3 notification")),
            Self::Document(_) => Err(Refused::kind("STAC document")),
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

/// The members that tell the kinds of bodies apart.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default, rename = "Records")]
    records: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "Event")]
    event: Option<Cow<'a, str>>,
    /// What a topic of SNS was told, as text.
    #[serde(borrow, default, rename = "Message")]
    message: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "TopicArn")]
    topic: Option<Cow<'a, str>>,
    /// What kind of event `EventBridge` tells of, and the event.
    #[serde(borrow, default, rename = "detail-type")]
    detail_type: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    detail: Option<&'a RawValue>,
    #[serde(borrow, default)]
    source: Option<&'a RawValue>,
    /// What GeoJSON and STAC say of themselves.
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
}

impl Parsed {
    pub(crate) fn of(body: Option<&str>) -> Result<Self, Malformed> {
        Self::within(body.unwrap_or_default(), ENVELOPES)
    }

    /// Reads a body that may lie in so many envelopes.
    fn within(body: &str, envelopes: usize) -> Result<Self, Malformed> {
        let body = body.trim();
        if body.is_empty() {
            return Err(Malformed::Empty);
        }
        let envelope: Envelope<'_> = serde_json::from_str(body).map_err(Malformed::NotJson)?;
        if let Some(records) = envelope.records {
            return Ok(Self::Ready(Incoming::Objects(s3::of_notification(
                records,
            )?)));
        }
        // S3 sends this once, when a bucket's notifications are set up.
        if envelope.event.as_deref() == Some("s3:TestEvent") {
            return Ok(Self::TestEvent);
        }
        if let (Some(kind), Some(detail)) = (&envelope.detail_type, envelope.detail) {
            return envelope.told_by_event_bridge(kind, detail);
        }
        if let (Some(message), Some(_)) = (&envelope.message, &envelope.topic) {
            let left = envelopes.checked_sub(1).ok_or(Malformed::TooDeep)?;
            return Self::within(message, left);
        }
        if let Some("Feature" | "FeatureCollection" | "Collection") = envelope.kind.as_deref() {
            let document = RawValue::from_string(body.to_owned()).map_err(Malformed::NotJson)?;
            return Ok(Self::Ready(Incoming::Document(document)));
        }
        match Message::parse(body).map_err(Malformed::NotMessage)? {
            Delivered::Whole(message) => Ok(Self::Ready(Incoming::Message(message))),
            Delivered::ByReference(pending) => Ok(Self::ByReference(pending)),
        }
    }
}

impl Envelope<'_> {
    fn told_by_event_bridge(&self, kind: &str, detail: &RawValue) -> Result<Parsed, Malformed> {
        let source = self.source.map(RawValue::get).unwrap_or_default();
        if source.trim_matches('"') != "aws.s3" {
            let kind = kind.to_owned();
            return Err(Malformed::OtherEvent { kind });
        }
        let object = s3::of_event_bridge(kind, detail)?;
        Ok(Parsed::Ready(Incoming::Objects(vec![object])))
    }
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
        assert_eq!(object.sequencer, Some(Sequencer::new("0055AED6DCD90281E5")));
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

    fn told_to_a_topic(message: &str) -> String {
        let topic = "arn:aws:sns:eu-west-1:123456789012:uploads";
        serde_json::json!({"Type": "Notification", "MessageId": "m", "TopicArn": topic, "Subject": "Amazon S3 Notification",
            "Message": message, "Timestamp": "2024-06-01T12:00:00.000Z", "SignatureVersion": "1"})
        .to_string()
    }

    /// An event of a bucket as `EventBridge` tells it.
    fn told_by_event_bridge(source: &str, kind: &str, key: &str) -> String {
        serde_json::json!({"version": "0", "id": "i", "detail-type": kind, "source": source, "account": "123456789012",
            "time": "2024-06-01T12:00:00Z", "region": "eu-west-1", "resources": ["arn:aws:s3:::inbox"],
            "detail": {"version": "0", "bucket": {"name": "inbox"}, "request-id": "r", "requester": "123456789012",
                "object": {"key": key, "size": 12, "etag": "abc", "sequencer": "0055AED6DCD90281E5"}}})
        .to_string()
    }

    #[test]
    fn a_topic_tells_what_it_was_told() {
        let told = notification("ObjectCreated:Put", "aois/a+b%2B%C3%BC%2520.json");
        assert_eq!(object_of(&told_to_a_topic(&told)), object_of(&told));
        let test = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b"}"#;
        let parsed = Parsed::of(Some(&told_to_a_topic(test)));
        assert!(matches!(parsed, Ok(Parsed::TestEvent)));
        let ours = r#"{"version":1,"run_id":"r","kind":"FilesWritten","body_at":{"path":"messages/0","size_bytes":1}}"#;
        let parsed = Parsed::of(Some(&told_to_a_topic(ours)));
        assert!(matches!(parsed, Ok(Parsed::ByReference(_))));
    }

    #[test]
    fn event_bridge_spells_keys_as_they_are() {
        let event = told_by_event_bridge("aws.s3", "Object Created", "aois/a b+ü%20.json");
        let plain = notification("ObjectCreated:Put", "aois/a+b%2B%C3%BC%2520.json");
        assert_eq!(object_of(&event), object_of(&plain));
        assert_eq!(object_of(&told_to_a_topic(&event)), object_of(&plain));
        for (kind, change) in [
            ("Object Deleted", Change::Removed),
            ("Object Tags Added", Change::Other),
        ] {
            let event = told_by_event_bridge("aws.s3", kind, "k");
            assert_eq!(object_of(&event).change, change, "{kind}");
        }
    }

    #[test]
    fn an_event_of_others_and_endless_envelopes_are_malformed() {
        let other = told_by_event_bridge("aws.ec2", "EC2 Spot Instance Interruption", "k");
        let error = Parsed::of(Some(&other)).unwrap_err();
        assert!(matches!(error, Malformed::OtherEvent { kind } if kind.starts_with("EC2")));
        let plain = notification("ObjectCreated:Put", "k");
        let wrapped = (0..4).fold(plain, |told, _| told_to_a_topic(&told));
        let error = Parsed::of(Some(&wrapped)).unwrap_err();
        assert!(matches!(error, Malformed::TooDeep));
    }

    #[test]
    fn a_notification_is_no_message() {
        let refused = Incoming::Objects(Vec::new()).message().unwrap_err();
        assert_eq!(refused.class(), Class::Invalid);
    }
}
