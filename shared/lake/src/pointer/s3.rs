//! The pointer in S3: an object per table, beside the metadata files, changed on condition.

use async_trait::async_trait;
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt as _, PutMode, UpdateVersion};
use swath_core::{Class, TableName};
use swath_table::layout::WAREHOUSE;

use super::{Effect, Pointed, PointerError, Swap, TablePointer};
use crate::place::Place;

/// The object's name: whoever is given the table's folder alone looks for the current metadata there.
const HINT: &str = "version-hint.text";

/// What the names of metadata files end with.
const METADATA: &str = ".metadata.json";

/// Where the store is asked whether it honours conditions, below the lake's base.
const PROBE: &str = "warehouse/conditions.probe";

/// An entity tag that no object has.
const NO_TAG: &str = "\"00000000000000000000000000000000\"";

/// Pointers in the objects `warehouse/<namespace>/<table>/metadata/version-hint.text`, for stores that put on condition.
///
/// No catalog is needed to read such a table: `PyIceberg`'s `StaticTable` and `DuckDB`'s `iceberg_scan` take its folder.
#[derive(Clone, Debug)]
pub struct S3Pointer {
    pub(super) place: Place,
}

impl S3Pointer {
    /// Takes the lake's place; nothing is read or written.
    pub fn new(place: Place) -> Self {
        Self { place }
    }

    /// Asks the store whether it honours conditions: one that ignores them would let the last writer win. An empty object
    /// stays there, so that the question costs two refused requests.
    ///
    /// # Errors
    /// [`PointerError::Unconditional`] when it does not, or when it cannot be asked.
    pub async fn probe(&self) -> Result<(), PointerError> {
        let create = || self.put(PROBE, "", PutMode::Create);
        let asked = create().await?;
        if asked == Swap::Swapped && create().await? == Swap::Swapped {
            return Err(self.unconditional("If-None-Match"));
        }
        let stale = PutMode::Update(UpdateVersion {
            e_tag: Some(NO_TAG.to_owned()),
            version: None,
        });
        if self.put(PROBE, "", stale).await? == Swap::Swapped {
            return Err(self.unconditional("If-Match"));
        }
        Ok(())
    }

    fn unconditional(&self, condition: &'static str) -> PointerError {
        PointerError::Unconditional {
            base: self.place.base().to_owned(),
            condition,
        }
    }

    fn path(&self, below: &str) -> Result<Path, PointerError> {
        self.place.path(below).map_err(PointerError::Outside)
    }

    /// Puts on condition; a condition that does not hold is [`Swap::Lost`].
    async fn put(&self, below: &str, text: &str, mode: PutMode) -> Result<Swap, PointerError> {
        let path = self.path(below)?;
        let payload = text.to_owned().into_bytes().into();
        match self.place.store.put_opts(&path, payload, mode.into()).await {
            Ok(_) => Ok(Swap::Swapped),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(Swap::Lost),
            Err(source) => Err(self.failed(below, "putting it on condition", source)),
        }
    }

    fn failed(&self, below: &str, doing: &'static str, source: Error) -> PointerError {
        PointerError::Store {
            location: self.place.location(below),
            doing,
            effect: settled(&source),
            source,
        }
    }

    /// Returns what the pointer's object holds for a location: the file's name without its ending, unless that could be
    /// taken for a version number.
    fn hint<'a>(&self, table: TableName, location: &'a str) -> Result<&'a str, PointerError> {
        let below = self.place.below(location).map_err(PointerError::Outside)?;
        let file = below.strip_prefix(&folder(table));
        let stem = file.and_then(|file| file.strip_suffix(METADATA));
        let hint = [stem, file].into_iter().flatten();
        let mut hint = hint.filter(|hint| file_name(hint).as_deref() == file);
        hint.next().ok_or_else(|| PointerError::Misplaced {
            table,
            location: location.to_owned(),
        })
    }
}

#[async_trait]
impl TablePointer for S3Pointer {
    async fn load(&self, table: TableName) -> Result<Option<Pointed>, PointerError> {
        let below = format!("{}{HINT}", folder(table));
        let path = self.path(&below)?;
        // One answer holds both: the tag is that of these bytes.
        let read = async {
            let object = self.place.store.get(&path).await?;
            let token = object.meta.e_tag.clone();
            Ok((object.bytes().await?, token))
        };
        let (bytes, token) = match read.await {
            Ok(read) => read,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(source) => {
                return Err(PointerError::Store {
                    location: self.place.location(&below),
                    doing: "reading it",
                    effect: Effect::None,
                    source,
                });
            }
        };
        let name = std::str::from_utf8(&bytes).ok().and_then(file_name);
        let (Some(name), Some(token)) = (name, token) else {
            return Err(PointerError::Hint {
                location: self.place.location(&below),
            });
        };
        let location = self.place.location(&format!("{}{name}", folder(table)));
        Ok(Some(Pointed { location, token }))
    }

    async fn swap(
        &self,
        table: TableName,
        expected: Option<&Pointed>,
        location: &str,
    ) -> Result<Swap, PointerError> {
        let mode = match expected {
            None => PutMode::Create,
            Some(expected) => PutMode::Update(UpdateVersion {
                e_tag: Some(expected.token.clone()),
                version: None,
            }),
        };
        let below = format!("{}{HINT}", folder(table));
        let hint = self.hint(table, location)?;
        let swap = self.put(&below, hint, mode).await?;
        // The client asks again when an answer is lost, and is then refused because of its own first success.
        if swap == Swap::Lost
            && let Ok(Some(now)) = self.load(table).await
            && now.location == location
        {
            return Ok(Swap::Swapped);
        }
        Ok(swap)
    }

    async fn remove(&self, table: TableName) -> Result<(), PointerError> {
        let below = format!("{}{HINT}", folder(table));
        match self.place.store.delete(&self.path(&below)?).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(self.failed(&below, "removing it", source)),
        }
    }
}

/// Returns a table's folder of metadata below the lake's base, with its slash.
fn folder(table: TableName) -> String {
    format!(
        "{WAREHOUSE}/{}/{}/metadata/",
        table.namespace(),
        table.name()
    )
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', '\n', '\r']) && name != "." && name != ".."
}

/// Returns the metadata file that a hint means: by its whole name, by a version number, or by its name without its ending.
fn file_name(hint: &str) -> Option<String> {
    let hint = hint.trim();
    if !is_name(hint) {
        return None;
    }
    Some(if hint.len() > METADATA.len() && hint.ends_with(METADATA) {
        hint.to_owned()
    } else if hint.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("v{hint}{METADATA}")
    } else {
        format!("{hint}{METADATA}")
    })
}

/// A request that was refused before it was looked at has done nothing.
pub(super) fn settled(error: &Error) -> Effect {
    match error {
        Error::PermissionDenied { .. }
        | Error::Unauthenticated { .. }
        | Error::NotFound { .. }
        | Error::NotSupported { .. }
        | Error::NotImplemented { .. }
        | Error::InvalidPath { .. }
        | Error::UnknownConfigurationKey { .. } => Effect::None,
        _ => Effect::Unknown,
    }
}

/// Returns the class of a failure that has done nothing.
pub(super) fn class_of(error: &Error) -> Class {
    match error {
        // No bucket, no right, no conditional put: every message would fail alike.
        Error::PermissionDenied { .. }
        | Error::Unauthenticated { .. }
        | Error::NotFound { .. }
        | Error::NotSupported { .. }
        | Error::NotImplemented { .. }
        | Error::UnknownConfigurationKey { .. } => Class::Denied,
        Error::InvalidPath { .. } => Class::Bug,
        _ => Class::Transient,
    }
}
