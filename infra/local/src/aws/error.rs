//! Why a deployment could not be talked to.

use std::path::PathBuf;

use swath_cloud::store::StoreError;
use swath_core::TableName;

use crate::exit::Exit;

/// Why a deployment could not be talked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AwsError {
    /// A program cannot be started.
    #[error("{program} cannot be started; it is needed for {what}")]
    Start {
        /// The program.
        program: String,
        /// What it is for.
        what: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A program failed.
    #[error("{what} failed: {program} ended with {status}")]
    Program {
        /// The program.
        program: String,
        /// What it was doing.
        what: &'static str,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// A file of ours cannot be kept.
    #[error("{} cannot be kept", path.display())]
    Keep {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The emulator does not answer.
    #[error("the emulator does not answer at {endpoint}; its log is {}", log.display())]
    Silent {
        /// Its address.
        endpoint: String,
        /// Its log.
        log: PathBuf,
    },
    /// No region is set.
    #[error("no AWS region: set AWS_REGION, or a region in the profile")]
    Region,
    /// The queue of a function is not there.
    #[error("no deployment {name:?}: its queue {queue} cannot be found")]
    NoQueue {
        /// The deployment's name.
        name: String,
        /// The queue's name.
        queue: String,
        /// Why.
        #[source]
        source: Box<aws_sdk_sqs::Error>,
    },
    /// A queue's address that names no account.
    #[error("{url:?} is no queue URL: it names no account")]
    QueueUrl {
        /// The address.
        url: String,
    },
    /// A call to a queue failed.
    #[error("{queue}: {doing} failed")]
    Queue {
        /// The queue's URL.
        queue: String,
        /// What was being done.
        doing: &'static str,
        /// Why.
        #[source]
        source: Box<aws_sdk_sqs::Error>,
    },
    /// A bucket cannot be used.
    #[error("the bucket cannot be used")]
    Store(#[source] StoreError),
    /// The upload failed.
    #[error("{key} cannot be uploaded")]
    Upload {
        /// The object's key.
        key: String,
        /// Why.
        #[source]
        source: object_store::Error,
    },
    /// A table cannot be read.
    #[error("{table} cannot be read")]
    Table {
        /// The table.
        table: TableName,
        /// Why.
        #[source]
        source: Box<swath_lake::LakeError>,
    },
    /// The areas cannot be read.
    #[error("cannot use the areas")]
    Areas(#[source] Box<crate::areas::ReadError>),
    /// The file has no name of its own.
    #[error("{} has no name that the upload could bear", path.display())]
    NoName {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be planned.
    #[error("{key} would not be planned")]
    Unplannable {
        /// The object's key.
        key: String,
        /// Why.
        #[source]
        source: Box<swath_plan::UploadError>,
    },
    /// Nothing is known of a run.
    #[error("nothing is known of run {run_id:?}: it is not planned yet, or another deployment's")]
    NoRun {
        /// The run's id.
        run_id: String,
    },
    /// The upload is gone before it could be looked at.
    #[error("{key} is gone")]
    Gone {
        /// The object's key.
        key: String,
    },
}

impl AwsError {
    /// Returns how the process ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Areas(_)
            | Self::NoName { .. }
            | Self::NoRun { .. }
            | Self::Unplannable { .. } => Exit::Input,
            _ => Exit::Deployment,
        }
    }
}
