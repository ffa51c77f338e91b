//! `swath submit`: areas of interest to the inbox of a deployment.

use std::sync::Arc;
use std::time::Duration;

use object_store::path::Path;
use object_store::{Attribute, PutOptions};
use serde::Serialize;
use swath_cloud::clock::{Clock as _, SystemClock};
use swath_cloud::queue::channel;
use swath_core::{AssetChoice, Job, RunId};
use swath_plan::{Context, Upload, read_upload};

use super::arguments::SubmitArgs;
use super::deployment::Deployment;
use super::error::AwsError;
use super::status::Status;
use crate::exit::Exit;
use crate::run;

/// The user metadata of an upload that holds its job.
const JOB: &str = "swath-job";

/// How often the queues are asked, and how many answers in a row must say that they are empty.
const POLL: Duration = Duration::from_secs(2);
const QUIET_ANSWERS: u32 = 4;

#[derive(Debug, Serialize)]
struct Submitted {
    run_id: RunId,
    uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
}

/// Uploads a file of areas and says which run it is.
pub(super) async fn submit(arguments: &SubmitArgs) -> Result<Exit, AwsError> {
    let path = &arguments.file;
    let bytes = std::fs::read(path).map_err(|source| AwsError::File {
        path: path.clone(),
        source,
    })?;
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| AwsError::NoName { path: path.clone() })?;
    let deployment = Deployment::find(&arguments.deployment).await?;
    let inbox = deployment.inbox()?;
    let key = Path::from_iter(["aois", name]);
    let mut options = PutOptions::default();
    if let Some(job) = job_of(arguments) {
        let job = serde_json::to_string(&job).unwrap_or_default();
        let attribute = Attribute::Metadata(JOB.into());
        options.attributes.insert(attribute, job.into());
    }
    let put = inbox.store.put_opts(&key, bytes.into(), options).await;
    let upload_failed = |source| AwsError::Upload {
        key: key.to_string(),
        source,
    };
    put.map_err(upload_failed)?;
    let submitted = Submitted {
        run_id: run_of(&deployment, &key).await?,
        uri: format!("{}/{key}", inbox.uri),
        status: None,
    };
    let ended = if arguments.wait {
        await_quiet(&deployment).await?;
        Some(Status::of(&deployment).await?)
    } else {
        None
    };
    if arguments.json {
        run::print_json(&Submitted {
            status: ended,
            ..submitted
        });
    } else {
        run::print_text(&format!(
            "run {} from {}\n",
            submitted.run_id, submitted.uri
        ));
    }
    Ok(Exit::Done)
}

fn job_of(arguments: &SubmitArgs) -> Option<Job> {
    let catalog = arguments.catalog.clone()?;
    Some(Job {
        collections: arguments.collections.clone(),
        datetime: arguments.datetime.clone(),
        assets: AssetChoice::keys(arguments.assets.iter().cloned()),
        max_items: arguments.max_items,
        validate: arguments.validate,
        download: !arguments.no_download,
        ..Job::new(catalog)
    })
}

/// Reads the upload as `plan` will: what it would refuse is known here, and so is the run's id.
async fn run_of(deployment: &Deployment, key: &Path) -> Result<RunId, AwsError> {
    let (queue, _) = channel(1);
    let mut context = Context::new(Arc::new(queue));
    let inbox = deployment.inbox()?;
    let upload = Upload {
        bucket: inbox.uri.trim_start_matches("s3://").to_owned(),
        key: key.to_string(),
    };
    context.inbox = Some(inbox);
    let read = read_upload(&upload, &context).await;
    let read = read.map_err(|source| AwsError::Unplannable {
        key: key.to_string(),
        source: Box::new(source),
    })?;
    let gone = || AwsError::Gone {
        key: key.to_string(),
    };
    Ok(read.ok_or_else(gone)?.run_id)
}

async fn await_quiet(deployment: &Deployment) -> Result<(), AwsError> {
    let mut quiet = 0;
    while quiet < QUIET_ANSWERS {
        SystemClock.sleep(POLL).await;
        quiet = if deployment.is_quiet().await? {
            quiet + 1
        } else {
            0
        };
    }
    Ok(())
}
