//! Why a command could not be carried out.

use std::path::PathBuf;

use crate::exit::Exit;

/// Why a command could not be carried out at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// A deployment cannot be talked to.
    #[error(transparent)]
    Aws(crate::aws::AwsError),
    /// The threads of the runtime cannot be started.
    #[error("the runtime cannot be started")]
    Runtime(#[source] std::io::Error),
    /// The file of areas cannot be read.
    #[error("cannot use the areas")]
    Areas(#[source] Box<crate::areas::ReadError>),
    /// The areas or the job cannot be used.
    #[error("cannot plan the run")]
    Plan(#[source] Box<swath_plan::PlanError>),
    /// Every row of the file was rejected.
    #[error(
        "no usable area: all {rejected} rows of the file are rejected, the first because {reason}"
    )]
    NoArea {
        /// Rows rejected.
        rejected: u64,
        /// What is wrong with the first.
        reason: String,
    },
    /// No item has an asset of this key.
    #[error("no item has an asset {key:?}; the items found have: {known}")]
    UnknownAsset {
        /// The key asked for.
        key: String,
        /// The keys that are there.
        known: String,
    },
    /// The catalog cannot be used.
    #[error("cannot use the catalog")]
    Catalog(#[source] Box<swath_cloud::stac::StacError>),
    /// No area could be searched.
    #[error("no area could be searched")]
    Search(#[source] Box<swath_search::SearchError>),
    /// The datetime cannot be understood.
    #[error("cannot use the datetime")]
    Datetime(#[source] swath_core::datetime::DatetimeError),
    /// The output folder cannot be opened or written.
    #[error("cannot use the output folder")]
    Output(#[source] Box<swath_cloud::store::StoreError>),
    /// The catalog in the output folder cannot be opened.
    #[error("cannot open the lake in {}", path.display())]
    Lake {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: Box<swath_lake::LakeError>,
    },
    /// The lock of a catalog cannot be read or taken away.
    #[error("cannot get at the lock")]
    Lock(#[source] Box<swath_lake::LockError>),
    /// The download's staging area cannot be set up.
    #[error("cannot stage downloads")]
    Staging(#[source] Box<swath_download::StartError>),
    /// The grid cannot be made.
    #[error("cannot make the grid")]
    Grid(#[source] Box<swath_core::grid::GridError>),
    /// The HTTP client cannot be built.
    #[error("cannot build the HTTP client")]
    Http(#[source] Box<swath_cloud::http::HttpError>),
    /// A loopback server cannot be started.
    #[error("cannot serve on loopback")]
    Serve(#[source] std::io::Error),
    /// A loopback server's address is no URL.
    #[error("cannot use the server's address")]
    Address(#[source] url::ParseError),
    /// Items cannot be encoded or decoded.
    #[error(transparent)]
    Encode(crate::encode::EncodeError),
    /// The demo's files cannot be compared.
    #[error("cannot compare the demo's files")]
    Verdict(#[source] std::io::Error),
    /// Nothing could be taken in.
    #[error(transparent)]
    Ingest(Box<crate::ingest::IngestCommandError>),
    /// A search into a file failed.
    #[error("cannot search")]
    SearchFile(#[from] crate::search::SearchCommandError),
    /// The rows that say what to download cannot be used.
    #[error("cannot use the rows of {}", path.display())]
    Rows {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<crate::download::RowsError>,
    },
    /// The assets cannot be named, or two come to one name.
    #[error("cannot plan the download")]
    Names(#[source] Box<crate::download::PlanError>),
    /// The files cannot be repaired.
    #[error("cannot repair")]
    Repair(#[source] Box<crate::repair::RepairError>),
    /// Lists of objects cannot be compared.
    #[error("cannot compare")]
    Diff(#[source] crate::diff::DiffError),
    /// A list of objects cannot be compared with the catalog.
    #[error("cannot take a census")]
    Census(#[source] crate::census::CompareError),
    /// A source cannot be read.
    #[error("cannot read {text}")]
    Source {
        /// The source.
        text: String,
        /// Why.
        source: Box<swath_cloud::store::StoreError>,
    },
    /// A file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl CommandError {
    /// Takes areas that cannot be read.
    pub(crate) fn areas(source: crate::areas::ReadError) -> Self {
        Self::Areas(Box::new(source))
    }

    /// Takes the failure of a lake in this folder.
    pub(super) fn lake(folder: &std::path::Path) -> impl Fn(swath_lake::LakeError) -> Self {
        move |source| Self::Lake {
            path: folder.to_owned(),
            source: Box::new(source),
        }
    }

    /// Returns how the process ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Aws(error) => error.exit(),
            Self::Diff(error) => error.exit(),
            Self::Encode(error) => error.exit(),
            Self::Ingest(error) => error.exit(),
            Self::SearchFile(error) => error.exit(),
            Self::Runtime(_)
            | Self::Grid(_)
            | Self::Http(_)
            | Self::Serve(_)
            | Self::Address(_)
            | Self::Verdict(_) => Exit::Internal,
            Self::Areas(_)
            | Self::Plan(_)
            | Self::NoArea { .. }
            | Self::UnknownAsset { .. }
            | Self::Datetime(_)
            | Self::Rows { .. }
            | Self::Names(_)
            | Self::Repair(_)
            | Self::Source { .. }
            | Self::File { .. } => Exit::Input,
            Self::Catalog(_) | Self::Search(_) => Exit::Catalog,
            Self::Output(_)
            | Self::Census(_)
            | Self::Lock(_)
            | Self::Staging(_)
            | Self::Lake { .. }
            | Self::Write { .. } => Exit::Output,
        }
    }
}
