//! `swath submit`: areas of interest to the inbox of a deployment.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Attribute, PutOptions};
use serde::Serialize;
use swath_cloud::clock::{Clock as _, SystemClock};
use swath_cloud::progress::Progress;
use swath_cloud::queue::channel;
use swath_core::{AssetChoice, Job, RunId, digest_hex};
use swath_plan::{Context, Upload, read_upload};

use super::arguments::SubmitArgs;
use super::deployment::Deployment;
use super::error::AwsError;
use super::run_status::RunStatus;
use super::status::Status;
use crate::areas;
use crate::exit::Exit;
use crate::run;

/// The user metadata of an upload that holds its job.
const JOB: &str = "swath-job";

/// The user metadata of an upload that names its table's column of geometries.
const COLUMN: &str = "swath-geojson-col";

/// How often the queues are asked, and how many answers in a row must say that they are empty.
const POLL: Duration = Duration::from_secs(2);
const QUIET_ANSWERS: u32 = 4;

#[derive(Debug, Serialize)]
struct Submitted {
    run_id: RunId,
    uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<RunStatus>,
}

/// Uploads files of areas and says which runs they are.
pub(super) async fn submit(arguments: &SubmitArgs) -> Result<Exit, AwsError> {
    let files = areas::files(&arguments.file).await;
    let files = files.map_err(|source| AwsError::Areas(Box::new(source)))?;
    let deployment = Deployment::find(&arguments.deployment).await?;
    let mut submitted = Vec::new();
    for (path, bytes) in files {
        let key = Path::from_iter(["aois", &name_of(&path, &bytes)?]);
        submitted.push(upload(&deployment, &key, bytes, arguments).await?);
    }
    if !arguments.json {
        for one in &submitted {
            run::print_text(&format!("run {} from {}\n", one.run_id, one.uri));
        }
    }
    if arguments.wait {
        await_ends(&deployment, &mut submitted).await?;
    }
    for one in &submitted {
        match &one.run {
            _ if arguments.json => run::print_json(one),
            Some(ended) => run::print_text(&ended.words()),
            None => {}
        }
    }
    Ok(Exit::Done)
}

/// Returns what an upload is called: its file's name, or for standard input a hash of its content.
fn name_of(path: &str, bytes: &[u8]) -> Result<String, AwsError> {
    if path == "-" {
        return Ok(format!("stdin-{}", digest_hex(&[bytes], 8)));
    }
    let name = path.rsplit(['/', std::path::MAIN_SEPARATOR]).next();
    match name {
        Some(name) if !name.is_empty() => Ok(name.to_owned()),
        _ => Err(AwsError::NoName { path: path.into() }),
    }
}

async fn upload(
    deployment: &Deployment,
    key: &Path,
    bytes: Bytes,
    arguments: &SubmitArgs,
) -> Result<Submitted, AwsError> {
    let inbox = deployment.inbox()?;
    let mut options = PutOptions::default();
    let mut put = |name: &'static str, value: String| {
        let attribute = Attribute::Metadata(name.into());
        options.attributes.insert(attribute, value.into());
    };
    if let Some(job) = job_of(arguments) {
        put(JOB, serde_json::to_string(&job).unwrap_or_default());
    }
    if let Some(column) = &arguments.geojson_col {
        put(COLUMN, column.clone());
    }
    let put = inbox.store.put_opts(key, bytes.into(), options).await;
    put.map_err(|source| AwsError::Upload {
        key: key.to_string(),
        source,
    })?;
    Ok(Submitted {
        run_id: run_of(deployment, key).await?,
        uri: format!("{}/{key}", inbox.uri),
        status: None,
        run: None,
    })
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

/// Waits for the ends of all runs and asks what became of them.
async fn await_ends(deployment: &Deployment, submitted: &mut [Submitted]) -> Result<(), AwsError> {
    for one in &*submitted {
        follow(deployment, &one.run_id).await?;
    }
    for one in submitted {
        one.status = Some(Status::of(deployment).await?);
        one.run = Some(RunStatus::of(deployment, &one.run_id).await?);
    }
    Ok(())
}

/// Says how far the run has come whenever it has come further, until its areas are searched and no queue holds a message.
async fn follow(deployment: &Deployment, run_id: &RunId) -> Result<(), AwsError> {
    let lake = deployment.lake_bucket()?;
    let (mut quiet, mut said) = (0, String::new());
    while quiet < QUIET_ANSWERS {
        SystemClock.sleep(POLL).await;
        let progress = Progress::of(&lake, run_id).await;
        let progress = progress.map_err(AwsError::Store)?;
        let waiting = deployment.messages().await?;
        let now = RunStatus::of_progress(run_id, &progress).line();
        let now = format!("{now}; {waiting} messages in all queues");
        if now != said {
            let _ignored = writeln!(std::io::stderr().lock(), "{now}");
            said = now;
        }
        quiet = if waiting == 0 { quiet + 1 } else { 0 };
    }
    Ok(())
}
