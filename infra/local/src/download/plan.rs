//! What is to be fetched and under which name: each asset once, no two under one name.

use std::collections::{BTreeMap, HashSet};

use swath_core::message::DownloadAsset;
use swath_core::naming::{AssetName, NamingError};
use swath_core::template::Naming;
use swath_core::{Job, Signing};
use url::Url;

use super::args::{DownloadArgs, OnCollision};
use super::rows::Row;

/// One asset and its file's name below the folder.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub(crate) asked: DownloadAsset,
    pub(crate) key: String,
    /// Its place in the plan, or the row that asks for it, from 0.
    pub(crate) number: usize,
}

/// A plan that cannot be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A row's catalog is no address.
    #[error("item {item_id:?}: its catalog {catalog:?} is no address")]
    Catalog {
        /// The item.
        item_id: String,
        /// The catalog.
        catalog: String,
        /// Why.
        source: url::ParseError,
    },
    /// An asset that cannot be named.
    #[error("{item_id:?}/{asset_name:?} cannot be named")]
    Name {
        /// The item.
        item_id: String,
        /// The asset's key.
        asset_name: String,
        /// Why.
        source: NamingError,
    },
    /// Two assets with one name.
    #[error(
        "{count} names are shared by several assets, the first is {key:?}: of {first} and of {second}; name more of them in --name, or use --on-collision hash"
    )]
    Collision {
        /// Names that are shared.
        count: usize,
        /// The first name.
        key: String,
        /// One of its assets.
        first: String,
        /// Another one.
        second: String,
    },
    /// Nothing to do.
    #[error("no row asks for an asset")]
    Nothing,
}

/// Plans each asset once, in the rows' order.
pub(crate) fn plan(
    rows: Vec<Row>,
    arguments: &DownloadArgs,
    origin: &Url,
) -> Result<Vec<Planned>, PlanError> {
    let wanted = |row: &Row| {
        arguments.asset_names.is_empty() || arguments.asset_names.contains(&row.asset_name)
    };
    let mut seen = HashSet::new();
    let mut planned = Vec::new();
    for row in rows.into_iter().filter(wanted) {
        let catalog = catalog_of(&row, arguments, origin)?;
        let identity = (
            catalog.to_string(),
            row.collection.clone(),
            row.item_id.clone(),
            row.asset_name.clone(),
        );
        if seen.insert(identity) {
            planned.push(plan_one(row, arguments, catalog)?);
        }
    }
    if planned.is_empty() {
        return Err(PlanError::Nothing);
    }
    let mut planned = part(planned, arguments.on_collision)?;
    for (number, one) in planned.iter_mut().enumerate() {
        one.number = number;
    }
    Ok(planned)
}

fn catalog_of(row: &Row, arguments: &DownloadArgs, origin: &Url) -> Result<Url, PlanError> {
    match &row.catalog {
        Some(catalog) => Url::parse(catalog).map_err(|source| PlanError::Catalog {
            item_id: row.item_id.clone(),
            catalog: catalog.clone(),
            source,
        }),
        None => Ok(arguments.catalog.as_ref().unwrap_or(origin).clone()),
    }
}

fn plan_one(row: Row, arguments: &DownloadArgs, catalog: Url) -> Result<Planned, PlanError> {
    let href = row.href.unwrap_or_default();
    let name = AssetName {
        collection: row.collection.as_deref(),
        item_id: &row.item_id,
        asset_name: &row.asset_name,
        href: &href,
        media_type: row.media_type.as_deref(),
    };
    let key = match &arguments.name {
        Some(template) => template.key(&Naming {
            catalog: &catalog,
            name,
            datetime: row.datetime,
            middle: row.middle,
        }),
        None => name.key(),
    };
    let key = key.map_err(|source| PlanError::Name {
        item_id: row.item_id.clone(),
        asset_name: row.asset_name.clone(),
        source,
    })?;
    let job = Job {
        validate: arguments.validate,
        sign: arguments.fetch.sign.signing,
        retry_refused: arguments.retry_refused,
        ..Job::new(catalog)
    };
    let asked = DownloadAsset {
        job,
        collection: row.collection,
        item_id: row.item_id,
        asset_name: row.asset_name,
        href,
        alternate_hrefs: row.alternate_hrefs,
        media_type: row.media_type,
        size_bytes: row.size_bytes,
        checksum: row.checksum,
    };
    Ok(Planned {
        asked,
        key,
        number: 0,
    })
}

/// Parts assets that share a name, or refuses them before the first byte. Names that differ by case alone are one on
/// some file systems.
fn part(mut planned: Vec<Planned>, how: OnCollision) -> Result<Vec<Planned>, PlanError> {
    let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (place, one) in planned.iter().enumerate() {
        let name = one.key.to_lowercase();
        places.entry(name).or_default().push(place);
    }
    places.retain(|_, places| places.len() > 1);
    let shared: Vec<&Planned> = places
        .values()
        .flatten()
        .filter_map(|place| planned.get(*place))
        .collect();
    if let (OnCollision::Refuse, [first, second, ..]) = (how, shared.as_slice()) {
        let shown = |one: &Planned| format!("{}/{}", one.asked.item_id, one.asked.asset_name);
        return Err(PlanError::Collision {
            count: places.len(),
            key: first.key.clone(),
            first: shown(first),
            second: shown(second),
        });
    }
    for place in places.into_values().flatten() {
        if let Some(one) = planned.get_mut(place) {
            one.key = with_digest(one);
        }
    }
    Ok(planned)
}

/// Puts eight digits in front of the file's extension.
fn with_digest(one: &Planned) -> String {
    let asked = &one.asked;
    let naming = Naming {
        catalog: &asked.job.catalog,
        name: AssetName {
            collection: asked.collection.as_deref(),
            item_id: &asked.item_id,
            asset_name: &asked.asset_name,
            href: &asked.href,
            media_type: asked.media_type.as_deref(),
        },
        datetime: None,
        middle: None,
    };
    let digest: String = naming.digest().chars().take(8).collect();
    let file = one.key.rsplit('/').next().unwrap_or_default();
    match one.key.rsplit_once('.') {
        Some((stem, ending)) if file.contains('.') => format!("{stem}_{digest}.{ending}"),
        _ => format!("{}_{digest}", one.key),
    }
}

/// What a plan would ask for.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Estimate {
    event: &'static str,
    /// Files, and so requests at least.
    pub(crate) requests: u64,
    /// Bytes of those whose size is known.
    pub(crate) bytes: u64,
    /// Files of unknown size.
    pub(crate) unknown_sizes: u64,
    /// What a reader who pays would pay for them, dollars at S3's list prices.
    pub(crate) dollars: Option<f64>,
}

/// Sums up what a plan would ask for.
pub(crate) fn estimate(planned: &[Planned]) -> Estimate {
    let sizes = || planned.iter().map(|one| one.asked.size_bytes);
    let (requests, bytes) = (planned.len() as u64, sizes().flatten().sum());
    let pays = |one: &Planned| one.asked.job.sign == Signing::S3RequesterPays;
    Estimate {
        event: "estimate",
        requests,
        bytes,
        unknown_sizes: sizes().filter(Option::is_none).count() as u64,
        dollars: planned
            .iter()
            .any(pays)
            .then(|| swath_cloud::sign::s3::estimated_cost(requests, bytes)),
    }
}
