//! How far a run has come: one small object for its plan and one for each area that was searched, beside the lake.
//!
//! Tables say what was found and fetched; that an area was searched and holds nothing is said only here.

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use swath_core::row::SearchEnd;
use swath_core::{RunId, digest_hex};

use crate::store::{Store, StoreError};

/// Objects read at the same time.
const AT_ONCE: usize = 16;

/// What became of a run's file of areas.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// Areas to be searched.
    pub areas: u64,
    /// Rows that cannot be searched.
    pub rejected: u64,
}

/// What the search of one area found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Searched {
    /// The area's id.
    pub row_id: String,
    /// Items.
    pub items: u64,
    /// Wanted assets.
    pub assets: u64,
    /// Downloads asked for.
    pub downloads: u64,
    /// How the search ended, in a word.
    pub status: SearchEnd,
}

/// How far a run has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Its plan, once there is one.
    pub planned: Option<Planned>,
    /// The areas that were searched; the order is none.
    pub searched: Vec<Searched>,
}

/// Returns where a run's objects lie, below the lake's base; a run's id may be any text.
fn folder(run_id: &RunId) -> String {
    format!(
        "receipts/runs/{}",
        digest_hex(&[run_id.as_str().as_bytes()], 32)
    )
}

impl Planned {
    /// Writes it down, in the place of an earlier one.
    ///
    /// # Errors
    /// When the store does not take it.
    pub async fn keep(&self, lake: &Store, run_id: &RunId) -> Result<(), StoreError> {
        let path = format!("{}/plan.json", folder(run_id));
        lake.put(&path, json(self)).await
    }
}

impl Searched {
    /// Writes it down, in the place of an earlier search of the same area, `row_number` being its place in the file.
    ///
    /// # Errors
    /// When the store does not take it.
    pub async fn keep(
        &self,
        lake: &Store,
        run_id: &RunId,
        row_number: u64,
    ) -> Result<(), StoreError> {
        let path = format!("{}/areas/{row_number}.json", folder(run_id));
        lake.put(&path, json(self)).await
    }
}

impl Progress {
    /// Reads how far a run has come; a run that nobody has heard of has come nowhere.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub async fn of(lake: &Store, run_id: &RunId) -> Result<Self, StoreError> {
        let folder = folder(run_id);
        let planned = match lake.get(&format!("{folder}/plan.json")).await {
            Ok(bytes) => read(&bytes),
            Err(StoreError::Call {
                source: object_store::Error::NotFound { .. },
                ..
            }) => None,
            Err(error) => return Err(error),
        };
        let areas = format!("{folder}/areas");
        let at = lake.path(&areas);
        let found = lake.store.list(Some(&at));
        let searched = found
            .map_err(|source| StoreError::Call {
                path: at.clone(),
                source,
            })
            .map_ok(|object| {
                let name = object.location.filename().unwrap_or_default().to_owned();
                let path = format!("{areas}/{name}");
                async move { lake.get(&path).await }
            })
            .try_buffer_unordered(AT_ONCE)
            .try_filter_map(|bytes| std::future::ready(Ok(read(&bytes))));
        Ok(Self {
            planned,
            searched: searched.boxed().try_collect().await?,
        })
    }
}

fn json(value: &impl Serialize) -> Bytes {
    // Plain numbers and text: it cannot fail, and were it to, nothing readable is as good as nothing.
    serde_json::to_vec(value).unwrap_or_default().into()
}

/// Reads what another version may have written; what cannot be understood says nothing.
fn read<T: DeserializeOwned>(bytes: &Bytes) -> Option<T> {
    serde_json::from_slice(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn searched(row_id: &str, items: u64) -> Searched {
        Searched {
            row_id: row_id.to_owned(),
            items,
            assets: 2 * items,
            downloads: items,
            status: SearchEnd::Ok,
        }
    }

    #[tokio::test]
    async fn a_run_is_told_from_others_and_each_area_counts_once() {
        let lake = Store::in_memory();
        let (run, other) = (RunId::new("../r"), RunId::new("r"));
        assert_eq!(
            Progress::of(&lake, &run).await.unwrap(),
            Progress::default()
        );
        let planned = Planned {
            areas: 3,
            rejected: 1,
        };
        planned.keep(&lake, &run).await.unwrap();
        searched("a", 1).keep(&lake, &run, 0).await.unwrap();
        searched("b", 2).keep(&lake, &run, 1).await.unwrap();
        searched("b", 4).keep(&lake, &run, 1).await.unwrap();
        searched("a", 9).keep(&lake, &other, 0).await.unwrap();
        let mut found = Progress::of(&lake, &run).await.unwrap();
        found.searched.sort_by_key(|area| area.row_id.clone());
        assert_eq!(found.planned, Some(planned));
        assert_eq!(found.searched, [searched("a", 1), searched("b", 4)]);
    }
}
