//! The use case: rows in, the assets to be downloaded again out.

use std::collections::HashSet;

use futures::TryStreamExt as _;
use swath_cloud::publish::{self, PublishError};
use swath_cloud::queue::QueueError;
use swath_cloud::retry::Retryable;
use swath_cloud::store::{Store, class_of};
use swath_core::message::{Body, Check, DownloadAsset, Message, RepairAssets};
use swath_core::naming::{AssetName, NamingError};
use swath_core::predicate::{Predicate, PredicateError};
use swath_core::{Class, Classify, Job, Level, RunId, Signing, TableName};
use swath_lake::LakeError;
use url::Url;

use crate::{Context, State, Told, newest};

/// What swath itself keeps beside the files, in a lake whose folder is the files' too.
const OURS: [&str; 7] = [
    "warehouse",
    "warehouse_id_hashes.parquet",
    "receipts",
    "quarantine",
    "messages",
    "staging",
    ".swath-staging",
];

/// Which assets are asked for again, and how.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The condition on a row's columns.
    pub predicate: Predicate,
    /// How far files are looked at.
    pub check: Check,
    /// How far wholeness is proven; as far as each row says when absent.
    pub validate: Option<Level>,
    /// How hrefs are signed.
    pub sign: Signing,
    /// The STAC API of rows that name none.
    pub catalog: Option<Url>,
}

/// An asset to be asked for again.
#[derive(Clone, Debug)]
pub struct Again {
    /// Its newest row.
    pub told: Told,
    /// How its file compares with the row; absent when there was no file to look at.
    pub state: Option<State>,
    /// What is asked.
    pub asked: DownloadAsset,
    /// Where its file belongs.
    pub key: String,
}

/// What was found. The names are part of the interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Found {
    /// Always `found`.
    pub event: &'static str,
    /// Assets in the table.
    pub assets: u64,
    /// Of which the condition holds.
    pub matching: u64,
    /// Files that are gone.
    pub gone: u64,
    /// Files of another size or content than their row says.
    pub changed: u64,
    /// Files that no row names.
    pub unknown_files: Vec<String>,
    /// Assets asked for again.
    pub asked_again: u64,
}

/// Rows that cannot be repaired.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepairError {
    /// The condition is none.
    #[error("the condition cannot be used")]
    Predicate(#[from] PredicateError),
    /// A row without ids.
    #[error("a row has no {column}: every row needs item_id and asset_name")]
    Row {
        /// The column.
        column: &'static str,
    },
    /// A row's catalog is no address.
    #[error("item {item_id:?}: its catalog is no address")]
    Catalog {
        /// The item.
        item_id: String,
        /// Why.
        source: url::ParseError,
    },
    /// A row whose file has no name.
    #[error("{item_id:?}/{asset_name:?} cannot be named")]
    Name {
        /// The item.
        item_id: String,
        /// The asset's key.
        asset_name: String,
        /// Why.
        source: NamingError,
    },
    /// A file cannot be looked at.
    #[error("a file cannot be looked at")]
    Look(#[from] PublishError),
    /// The files cannot be listed.
    #[error("the files cannot be listed")]
    List(#[source] object_store::Error),
    /// The rows cannot be read.
    #[error("the rows cannot be read")]
    Rows(#[from] LakeError),
    /// The assets cannot be asked for.
    #[error("the assets cannot be asked for again")]
    Ask(#[from] QueueError),
}

impl Classify for RepairError {
    fn class(&self) -> Class {
        match self {
            Self::Predicate(_) | Self::Row { .. } | Self::Catalog { .. } | Self::Name { .. } => {
                Class::Invalid
            }
            Self::Look(error) => error.class(),
            Self::List(error) => class_of(error),
            Self::Rows(error) => error.class(),
            Self::Ask(error) => error.class(),
        }
    }
}

impl Retryable for RepairError {}

/// Reads a condition on some columns.
///
/// # Errors
/// When it is none, or names another column.
pub fn parse(text: &str, columns: &[&str]) -> Result<Predicate, PredicateError> {
    let predicate: Predicate = text.parse()?;
    predicate.check_columns(columns)?;
    Ok(predicate)
}

/// Asks `context.download` for every asset of the lake that the message chooses.
///
/// # Errors
/// When the condition is none, or the rows, the files or the queue cannot be used.
pub async fn repair(
    run_id: &RunId,
    asked: &RepairAssets,
    context: &Context,
) -> Result<Found, RepairError> {
    let columns = swath_table::schema::of(TableName::AssetFiles).columns;
    let columns: Vec<&str> = columns.iter().map(|column| column.name).collect();
    let choice = Choice {
        predicate: parse(&asked.predicate, &columns)?,
        check: asked.check,
        validate: asked.validate,
        sign: asked.sign,
        catalog: None,
    };
    let table = TableName::AssetFiles;
    if context.lake.metadata_location(table).await?.is_none() {
        // Nothing was ever downloaded.
        return Ok(Found::default());
    }
    let batches = context.lake.rows(table).await?;
    let told = newest(&batches);
    drop(batches);
    let (again, found) = choose(told, &choice, &context.out).await?;
    let messages = again.into_iter().map(|again| Message {
        run_id: run_id.clone(),
        body: Body::DownloadAsset(again.asked),
    });
    context.download.send(messages.collect()).await?;
    Ok(found)
}

/// Chooses the assets to be asked for again: those the condition holds for and, where files are looked at, those whose file
/// is not as its row says.
///
/// # Errors
/// When a row lacks what it needs, or a file cannot be looked at.
pub async fn choose(
    told: Vec<Told>,
    choice: &Choice,
    out: &Store,
) -> Result<(Vec<Again>, Found), RepairError> {
    let mut found = Found {
        event: "found",
        assets: told.len() as u64,
        ..Found::default()
    };
    let (mut wanted, mut named) = (Vec::new(), HashSet::new());
    for told in told {
        let matching = choice.predicate.holds(&|column| told.columns.get(column));
        found.matching += u64::from(matching);
        let key = told.key(out);
        let mut state = None;
        if let Some(key) = &key
            && (matching || choice.check != Check::None)
        {
            let seen = told.look(out, key, choice.check).await?;
            found.gone += u64::from(seen == State::Gone);
            found.changed += u64::from(seen == State::Changed);
            state = Some(seen);
        }
        let broken = choice.check != Check::None && state.is_some_and(|seen| seen != State::AsTold);
        if matching || broken {
            wanted.push(told.again(choice, (key.clone(), state))?);
        }
        named.extend(key);
    }
    found.asked_again = wanted.len() as u64;
    if choice.check != Check::None {
        found.unknown_files = unknown_files(out, &named).await?;
    }
    Ok((wanted, found))
}

impl Told {
    fn needed(&self, column: &'static str) -> Result<&str, RepairError> {
        self.text(column).ok_or(RepairError::Row { column })
    }

    fn again(
        self,
        choice: &Choice,
        (key, state): (Option<String>, Option<State>),
    ) -> Result<Again, RepairError> {
        let text = |column| self.text(column).map(str::to_owned);
        let (item_id, asset_name) = (self.needed("item_id")?, self.needed("asset_name")?);
        let catalog = match (self.text("catalog"), &choice.catalog) {
            (None, Some(catalog)) => Ok(catalog.clone()),
            (catalog, _) => Url::parse(catalog.unwrap_or_default()),
        };
        let catalog = catalog.map_err(|source| RepairError::Catalog {
            item_id: item_id.to_owned(),
            source,
        })?;
        let level = self
            .text("validation_level")
            .and_then(|level| level.parse().ok());
        let asked = DownloadAsset {
            job: Job {
                validate: choice.validate.or(level).unwrap_or_default(),
                sign: choice.sign,
                retry_refused: true,
                ..Job::new(catalog)
            },
            collection: text("collection"),
            item_id: item_id.to_owned(),
            asset_name: asset_name.to_owned(),
            href: text("source_href")
                .or_else(|| text("href"))
                .unwrap_or_default(),
            // Rows do not have them; a gone href leads to the item, which does.
            alternate_hrefs: Vec::new(),
            media_type: text("asset_type").or_else(|| text("media_type")),
            size_bytes: None,
            checksum: None,
        };
        let key = match key {
            Some(key) => key,
            None => name_of(&asked)?,
        };
        Ok(Again {
            told: self,
            state,
            asked,
            key,
        })
    }
}

fn name_of(asked: &DownloadAsset) -> Result<String, RepairError> {
    let name = AssetName {
        collection: asked.collection.as_deref(),
        item_id: &asked.item_id,
        asset_name: &asked.asset_name,
        href: &asked.href,
        media_type: asked.media_type.as_deref(),
    };
    name.key().map_err(|source| RepairError::Name {
        item_id: asked.item_id.clone(),
        asset_name: asked.asset_name.clone(),
        source,
    })
}

/// Lists files that no row names; what swath itself keeps beside them is none.
async fn unknown_files(out: &Store, named: &HashSet<String>) -> Result<Vec<String>, RepairError> {
    let prefix = (!out.prefix.as_ref().is_empty()).then_some(&out.prefix);
    let listed: Vec<_> = out
        .store
        .list(prefix)
        .try_collect()
        .await
        .map_err(RepairError::List)?;
    let mut unknown = Vec::new();
    for object in listed {
        let full = object.location.as_ref();
        let key = full.strip_prefix(out.prefix.as_ref()).unwrap_or(full);
        let key = key.trim_start_matches('/');
        let first = key.split('/').next().unwrap_or_default();
        let own = OURS.contains(&first)
            || first.starts_with("earthcatalog.db")
            || key.contains(".broken");
        if !own && !named.contains(key) {
            unknown.push(publish::address(out, key));
        }
    }
    Ok(unknown)
}
