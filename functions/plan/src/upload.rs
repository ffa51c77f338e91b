//! An uploaded file of areas, and the job that goes with it.

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Attribute, Attributes, ObjectStoreExt as _};
use serde::Deserialize;
use serde_json::value::RawValue;
use swath_cloud::store::{Store, class_of};
use swath_core::aoi::Areas;
use swath_core::{Class, Classify, Job, RunId};

use crate::{Context, ReadError, read};

/// Where files of areas lie in the inbox.
const FOLDER: &str = "aois";

/// The user metadata of an uploaded object that holds its job, as JSON.
const JOB: &str = "swath-job";

/// The user metadata of an uploaded table that names its column of geometries.
const COLUMN: &str = "swath-geojson-col";

/// A file of areas may have this many bytes; more does not fit into the function's memory with its copies.
const LARGEST: u64 = 64 << 20;

/// A file that was uploaded to the inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// The bucket's name.
    pub bucket: String,
    /// The object's key.
    pub key: String,
}

/// Why an upload could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UploadError {
    /// There is no inbox.
    #[error("{key}: there is no inbox to read uploads from")]
    NoInbox {
        /// The object's key.
        key: String,
    },
    /// Not a file of areas in our inbox.
    #[error("{bucket}/{key} does not lie under {FOLDER}/ of the inbox {inbox}")]
    Elsewhere {
        /// The bucket's name.
        bucket: String,
        /// The object's key.
        key: String,
        /// The inbox.
        inbox: String,
    },
    /// A key that cannot be asked for: empty parts, `.` or `..`.
    #[error("{key:?} is a key that cannot be read")]
    Key {
        /// The object's key.
        key: String,
        /// Why.
        #[source]
        source: object_store::path::Error,
    },
    /// The store did not hand it out.
    #[error("{key} could not be read")]
    Read {
        /// The object's key.
        key: String,
        /// Why.
        #[source]
        source: object_store::Error,
    },
    /// More than the function can hold.
    #[error("{key} has {size_bytes} bytes, {LARGEST} are the most")]
    TooLarge {
        /// The object's key.
        key: String,
        /// Its size.
        size_bytes: u64,
    },
    /// The bytes are no file of areas.
    #[error("{key} is no file of areas")]
    Areas {
        /// The object's key.
        key: String,
        /// Why.
        #[source]
        source: ReadError,
    },
    /// Nobody said what to search for.
    #[error(
        "{key} names no job: wrap it as {{\"job\": …, \"areas\": …}}, upload it with the user metadata {JOB}, or set a default job"
    )]
    NoJob {
        /// The object's key.
        key: String,
    },
    /// A job that makes no sense.
    #[error("{key}: the job in {place} is unusable")]
    Job {
        /// The object's key.
        key: String,
        /// Where it stood.
        place: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl Classify for UploadError {
    fn class(&self) -> Class {
        match self {
            Self::NoInbox { .. } => Class::Denied,
            Self::Read { source, .. } => class_of(source),
            _ => Class::Invalid,
        }
    }
}

/// An uploaded file, read.
#[derive(Clone, Debug)]
pub struct Uploaded {
    /// The same file and job are the same run.
    pub run_id: RunId,
    /// What is asked of every area.
    pub job: Job,
    /// The areas, and the rows that are none.
    pub areas: Areas,
}

/// A file of areas that names its own job.
#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow, default)]
    job: Option<&'a RawValue>,
    #[serde(borrow, default)]
    areas: Option<&'a RawValue>,
}

/// Reads an uploaded file; `None` when it is gone by now, or is only a folder's marker.
///
/// The job is the document's own (`{"job": …, "areas": …}`), else the object's metadata `swath-job`, else the default. The
/// metadata `swath-geojson-col` names the column of a table that holds geometries.
///
/// # Errors
/// When it cannot be read, is not JSON or too large, or there is no job for it.
pub async fn read_upload(
    upload: &Upload,
    context: &Context,
) -> Result<Option<Uploaded>, UploadError> {
    let key = || upload.key.clone();
    let Some(inbox) = &context.inbox else {
        return Err(UploadError::NoInbox { key: key() });
    };
    if upload.key.ends_with('/') {
        return Ok(None);
    }
    let found = match inbox.store.get(&path_of(upload, inbox)?).await {
        Ok(found) => found,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(source) => return Err(UploadError::Read { key: key(), source }),
    };
    let size_bytes = found.meta.size;
    if size_bytes > LARGEST {
        let key = key();
        return Err(UploadError::TooLarge { key, size_bytes });
    }
    let attributes = found.attributes.clone();
    // The tag of what is read, not of what was announced: an upload that was replaced meanwhile is one run, not two.
    let etag = found.meta.e_tag.clone().unwrap_or_default();
    let bytes = found.bytes().await;
    let bytes = bytes.map_err(|source| UploadError::Read { key: key(), source })?;
    let (job, areas) = read_body(upload, &bytes, &attributes, context)?;
    let asked = serde_json::to_vec(&job).unwrap_or_default();
    let parts = [&upload.bucket, &upload.key, etag.trim_matches('"')].map(str::as_bytes);
    let [bucket, name, etag] = parts;
    let run_id = RunId::derive(&[bucket, name, etag, &asked]);
    Ok(Some(Uploaded { run_id, job, areas }))
}

/// Returns where the object lies in the inbox's store.
fn path_of(upload: &Upload, inbox: &Store) -> Result<Path, UploadError> {
    let elsewhere = || UploadError::Elsewhere {
        bucket: upload.bucket.clone(),
        key: upload.key.clone(),
        inbox: inbox.uri.clone(),
    };
    let address = inbox.uri.strip_prefix("s3://");
    let bucket = address.map(|rest| rest.split('/').next().unwrap_or_default());
    if bucket.is_some_and(|bucket| bucket != upload.bucket) {
        return Err(elsewhere());
    }
    let path = Path::parse(&upload.key).map_err(|source| UploadError::Key {
        key: upload.key.clone(),
        source,
    })?;
    let is_ours = path.prefix_match(&inbox.prefix).is_some_and(|mut below| {
        below.next().is_some_and(|folder| folder.as_ref() == FOLDER) && below.next().is_some()
    });
    if !is_ours {
        return Err(elsewhere());
    }
    Ok(path)
}

/// Takes job and areas out of a file's bytes.
fn read_body(
    upload: &Upload,
    bytes: &Bytes,
    attributes: &Attributes,
    context: &Context,
) -> Result<(Job, Areas), UploadError> {
    let bare = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    // Anything but a JSON object wraps nothing; reading its areas says what is wrong with it.
    let wrapped: Wrapped<'_> = serde_json::from_slice(bare).unwrap_or(Wrapped {
        job: None,
        areas: None,
    });
    let job = job_of(upload, &wrapped, attributes, context)?;
    let column = attributes.get(&Attribute::Metadata(COLUMN.into()));
    let areas = match wrapped.areas {
        Some(areas) => read(&Bytes::copy_from_slice(areas.get().as_bytes()), None),
        None => read(bytes, column.map(AsRef::as_ref)),
    };
    let areas = areas.map_err(|source| UploadError::Areas {
        key: upload.key.clone(),
        source,
    })?;
    Ok((job, areas))
}

fn job_of(
    upload: &Upload,
    wrapped: &Wrapped<'_>,
    attributes: &Attributes,
    context: &Context,
) -> Result<Job, UploadError> {
    let parse = |text: &str, place| {
        serde_json::from_str::<Job>(text).map_err(|source| UploadError::Job {
            key: upload.key.clone(),
            place,
            source,
        })
    };
    let tagged = attributes.get(&Attribute::Metadata(JOB.into()));
    match (wrapped.areas.and(wrapped.job), tagged, &context.default_job) {
        (Some(own), ..) => parse(own.get(), "the document"),
        (None, Some(tagged), _) => parse(tagged, "the metadata swath-job"),
        (None, None, Some(default)) => Ok(default.clone()),
        (None, None, None) => Err(UploadError::NoJob {
            key: upload.key.clone(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::{ObjectStore as _, PutOptions};
    use swath_cloud::queue::channel;

    use super::*;

    const POINT: &str = r#"{"type":"Point","coordinates":[1,2]}"#;
    const KEY: &str = "aois/a b+ü 100%.geojson";

    fn job(host: &str) -> String {
        format!(r#"{{"catalog":"https://{host}/"}}"#)
    }

    fn context(default: Option<&str>) -> Context {
        Context {
            search_queue: Arc::new(channel(1).0),
            inbox: Some(Store::in_memory()),
            default_job: default.map(|host| serde_json::from_str(&job(host)).unwrap()),
        }
    }

    async fn put(context: &Context, text: &str, tagged: Option<String>) {
        let mut options = PutOptions::default();
        if let Some(job) = tagged {
            let attribute = Attribute::Metadata("swath-job".into());
            options.attributes.insert(attribute, job.into());
        }
        let store = &context.inbox.as_ref().unwrap().store;
        let path = Path::parse(KEY).unwrap();
        let payload = text.to_owned().into();
        store.put_opts(&path, payload, options).await.unwrap();
    }

    fn upload(key: &str) -> Upload {
        Upload {
            bucket: "inbox".to_owned(),
            key: key.to_owned(),
        }
    }

    async fn read(context: &Context) -> Result<Option<Uploaded>, UploadError> {
        read_upload(&upload(KEY), context).await
    }

    #[tokio::test]
    async fn the_documents_own_job_goes_before_the_metadata_and_that_before_the_default() {
        let context = context(Some("default"));
        let wrapped = format!(r#"{{"job":{},"areas":{POINT}}}"#, job("own"));
        let wrapped_alone = format!(r#"{{"areas":{POINT}}}"#);
        for (text, tagged, host) in [
            (wrapped.as_str(), Some("tagged"), "own"),
            (POINT, Some("tagged"), "tagged"),
            (&wrapped_alone, Some("tagged"), "tagged"),
            (&wrapped_alone, None, "default"),
            (POINT, None, "default"),
            (&format!("\u{feff}{POINT}\n"), None, "default"),
        ] {
            put(&context, text, tagged.map(job)).await;
            let found = read(&context).await.unwrap().unwrap();
            assert_eq!(found.job.catalog.host_str(), Some(host), "{text}");
            assert_eq!(found.areas.areas[0].geometry.get(), POINT, "{text}");
        }
    }

    #[tokio::test]
    async fn no_job_at_all_is_invalid_and_says_what_to_do() {
        let context = context(None);
        put(&context, POINT, None).await;
        let error = read(&context).await.unwrap_err();
        assert_eq!(error.class(), Class::Invalid);
        assert!(error.to_string().contains("swath-job"), "{error}");
        put(&context, POINT, Some("{}".to_owned())).await;
        let error = read(&context).await.unwrap_err();
        assert_eq!(error.class(), Class::Invalid);
        assert!(error.to_string().contains("metadata"), "{error}");
    }

    #[tokio::test]
    async fn the_same_file_and_job_are_the_same_run() {
        let context = context(Some("default"));
        put(&context, POINT, None).await;
        let first = read(&context).await.unwrap().unwrap().run_id;
        let again = read(&context).await.unwrap().unwrap().run_id;
        assert_eq!(first, again);
        put(&context, POINT, Some(job("other"))).await;
        let other = read(&context).await.unwrap().unwrap().run_id;
        assert_ne!(first, other);
    }

    #[tokio::test]
    async fn a_file_that_is_gone_asks_nothing() {
        let context = context(Some("default"));
        assert!(read(&context).await.unwrap().is_none());
        let marker = read_upload(&upload("aois/"), &context).await;
        assert!(marker.unwrap().is_none());
    }

    #[tokio::test]
    async fn what_lies_elsewhere_is_not_read() {
        let mut context = context(Some("default"));
        for key in [
            "items/a.json",
            "aois/../items/a.json",
            "aois//a.json",
            "aois",
        ] {
            let error = read_upload(&upload(key), &context).await.unwrap_err();
            assert_eq!(error.class(), Class::Invalid, "{key}");
        }
        let inbox = context.inbox.as_mut().unwrap();
        inbox.uri = "s3://other/base".to_owned();
        inbox.prefix = Path::from("base");
        let error = read_upload(&upload("base/aois/a.json"), &context).await;
        assert!(matches!(error, Err(UploadError::Elsewhere { .. })));
        context.inbox.as_mut().unwrap().uri = "s3://inbox/base".to_owned();
        let gone = read_upload(&upload("base/aois/a.json"), &context).await;
        assert!(gone.unwrap().is_none());
        for key in ["aois/a.json", "baseaois/a.json", "base/aois"] {
            let outside = read_upload(&upload(key), &context).await;
            assert!(
                matches!(outside, Err(UploadError::Elsewhere { .. })),
                "{key}"
            );
        }
    }

    #[tokio::test]
    async fn a_table_is_read_too_and_what_is_no_file_of_areas_is_invalid() {
        let context = context(Some("default"));
        put(&context, "id,wkt\n1,POINT(1 2)\n", None).await;
        let found = read(&context).await.unwrap().unwrap();
        assert_eq!(found.areas.areas[0].row_id, "1");
        put(&context, "id,name\n1,a\n", None).await;
        let error = read(&context).await.unwrap_err();
        assert_eq!(error.class(), Class::Invalid);
        assert!(error.to_string().contains(KEY), "{error}");
    }
}
