//! Objects of a bucket that changed, as S3 tells of them: itself, or through `EventBridge`.

use std::collections::HashMap;

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Malformed;

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
    /// Orders the events of one key.
    pub sequencer: Option<Sequencer>,
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

/// The place of an event among those of its key: hex digits, compared as if the shorter were padded with zeros at its end.
/// Two events of one place are one event, delivered twice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequencer(String);

impl Sequencer {
    /// Takes the digits as S3 spells them.
    pub fn new(digits: &str) -> Self {
        // Zero is the least digit, so leaving zeros out at the end orders as padding with them does.
        Self(digits.trim_end_matches('0').to_ascii_uppercase())
    }
}

/// The digits that count: as texts they are ordered as the places are.
impl std::fmt::Display for Sequencer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
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
    #[serde(default, rename = "eTag", alias = "etag")]
    etag: Option<String>,
    #[serde(default)]
    sequencer: Option<String>,
}

/// Reads the `Records` of a notification; an event that a later one of its key overtook is left out.
pub(super) fn of_notification(records: &RawValue) -> Result<Vec<ObjectEvent>, Malformed> {
    let records: Vec<WireRecord> = serde_json::from_str(records.get()).map_err(Malformed::NotS3)?;
    let objects = records.into_iter().map(|record| {
        let encoded = &record.s3.object.key;
        let key = form_decode(encoded).ok_or_else(|| Malformed::Key {
            key: encoded.clone(),
        })?;
        let change = Change::named(&record.event_name);
        Ok(record.s3.into_event(change, key))
    });
    Ok(newest(objects.collect::<Result<_, _>>()?))
}

/// Reads the `detail` of what `EventBridge` tells; there keys are not encoded.
pub(super) fn of_event_bridge(kind: &str, detail: &RawValue) -> Result<ObjectEvent, Malformed> {
    let wire: WireS3 = serde_json::from_str(detail.get()).map_err(Malformed::NotS3)?;
    let change = match kind {
        "Object Created" => Change::Created,
        "Object Deleted" => Change::Removed,
        _ => Change::Other,
    };
    let key = wire.object.key.clone();
    Ok(wire.into_event(change, key))
}

impl WireS3 {
    fn into_event(self, change: Change, key: String) -> ObjectEvent {
        let Self { bucket, object } = self;
        ObjectEvent {
            change,
            bucket: bucket.name,
            key,
            size_bytes: object.size,
            etag: object.etag.map(|etag| etag.trim_matches('"').to_owned()),
            sequencer: object.sequencer.as_deref().map(Sequencer::new),
        }
    }
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

/// Leaves of the events of one key the newest, in the order in which they came.
///
/// Only writes and deletions of what carries a place are compared: S3 orders nothing else.
fn newest(objects: Vec<ObjectEvent>) -> Vec<ObjectEvent> {
    let mut last: HashMap<(&str, &str), (&Sequencer, usize)> = HashMap::new();
    for (at, object) in objects.iter().enumerate() {
        if let Some(sequencer) = object.ordered() {
            let key = (object.bucket.as_str(), object.key.as_str());
            let newest = last.entry(key).or_insert((sequencer, at));
            if sequencer > newest.0 {
                *newest = (sequencer, at);
            }
        }
    }
    let keeps = |(at, object): (usize, &ObjectEvent)| {
        let key = (object.bucket.as_str(), object.key.as_str());
        object.ordered().is_none() || last.get(&key).is_some_and(|newest| newest.1 == at)
    };
    let kept: Vec<_> = objects.iter().enumerate().map(keeps).collect();
    let objects = objects.into_iter().zip(kept);
    objects
        .filter_map(|(object, kept)| kept.then_some(object))
        .collect()
}

impl ObjectEvent {
    fn ordered(&self) -> Option<&Sequencer> {
        let changed = self.change != Change::Other;
        self.sequencer.as_ref().filter(|_| changed)
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
    use proptest::prelude::*;

    fn event(key: &str, change: Change, sequencer: Option<&str>) -> ObjectEvent {
        ObjectEvent {
            change,
            bucket: "b".to_owned(),
            key: key.to_owned(),
            size_bytes: None,
            etag: None,
            sequencer: sequencer.map(Sequencer::new),
        }
    }

    #[test]
    fn of_one_keys_events_the_newest_is_left_once() {
        let created = event("a", Change::Created, Some("0055AED6DCD90281E5"));
        let copy = created.clone();
        let overtaken = event("a", Change::Removed, Some("0055AED6DCD9028"));
        let tagged = event("a", Change::Other, Some("00FF"));
        let other = event("b", Change::Removed, Some("01"));
        let unordered = event("a", Change::Created, None);
        let all = vec![
            overtaken,
            created.clone(),
            copy,
            tagged.clone(),
            other.clone(),
            unordered.clone(),
        ];
        assert_eq!(newest(all), [created, tagged, other, unordered]);
    }

    proptest! {
        #[test]
        fn sequencers_order_as_digits_padded_with_zeros(a in "[0-9A-F]{16,20}", b in "[0-9a-f]{16,20}") {
            let padded = |digits: &str| format!("{:0<20}", digits.to_ascii_uppercase());
            prop_assert_eq!(Sequencer::new(&a).cmp(&Sequencer::new(&b)), padded(&a).cmp(&padded(&b)));
        }

        #[test]
        fn events_in_any_order_and_number_leave_the_same_state(
            order in prop::collection::vec(0..4_usize, 4..12)
        ) {
            let all = ["00", "0055AED6DCD90281", "0055AED6DCD9028100", "0055AED6DCD90281E5"];
            let changes = [Change::Created, Change::Removed, Change::Removed, Change::Created];
            let told = order.iter().map(|&at| event("k", changes[at], Some(all[at])));
            let left = newest(told.collect());
            prop_assert_eq!(left.len(), 1);
            let last = order.iter().max_by_key(|&&at| Sequencer::new(all[at])).unwrap();
            prop_assert_eq!(left[0].change, changes[*last]);
        }
    }
}
