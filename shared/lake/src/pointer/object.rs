//! The pointer in `EarthCatalog`'s database as an object in a bucket, which is read and put back as a whole, on condition.

use async_trait::async_trait;
use bytes::Bytes;
use object_store::{Error, ObjectStoreExt as _, PutMode, PutPayload, UpdateVersion};
use swath_core::TableName;
use tempfile::TempDir;

use super::s3::settled;
use super::{Effect, Pointed, PointerError, SqlitePointer, Swap, TablePointer};
use crate::place::Place;

/// The object's name, below the lake's base.
pub(crate) const DATABASE: &str = "earthcatalog.db";

/// Times that a swap begins anew because others changed the database meanwhile, other tables of it for one.
const TRIES: u32 = 20;

/// Where `SQLite`'s header has room for the id of the application that a file belongs to.
const APPLICATION: std::ops::Range<usize> = 68..72;

/// The id of a database that is a copy of pointers which lie elsewhere.
const COPY: [u8; 4] = *b"swth";

/// Pointers in the database of a catalog that `EarthCatalog` keeps in a bucket.
#[derive(Clone, Debug)]
pub struct DatabaseObject {
    place: Place,
}

/// The object as it was read, and the entity tag of these bytes.
pub(crate) struct Found {
    pub(crate) bytes: Bytes,
    e_tag: Option<String>,
}

impl Found {
    /// Returns whether it is a copy of ours, for readers alone.
    pub(crate) fn is_copy(&self) -> bool {
        self.bytes.get(APPLICATION) == Some(&COPY)
    }
}

impl DatabaseObject {
    /// Takes the lake's place; nothing is read or written.
    pub fn new(place: Place) -> Self {
        Self { place }
    }

    /// Returns whether the object is there and is the catalog itself, no copy of it.
    pub(super) async fn is_catalog(&self) -> Result<bool, PointerError> {
        Ok(self.fetch().await?.is_some_and(|found| !found.is_copy()))
    }

    /// Reads the object; `None` when there is none.
    pub(crate) async fn fetch(&self) -> Result<Option<Found>, PointerError> {
        let path = self.place.path(DATABASE).map_err(PointerError::Outside)?;
        let read = async {
            let object = self.place.store.get(&path).await?;
            let e_tag = object.meta.e_tag.clone();
            Ok(Found {
                bytes: object.bytes().await?,
                e_tag,
            })
        };
        match read.await {
            Ok(found) => Ok(Some(found)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(self.failed("reading it", Effect::None, source)),
        }
    }

    /// Puts a database in the place of what was found; [`Swap::Lost`] when that is no longer there.
    pub(crate) async fn put(
        &self,
        bytes: Vec<u8>,
        found: Option<Found>,
    ) -> Result<Swap, PointerError> {
        let mode = match found {
            None => PutMode::Create,
            Some(found) => PutMode::Update(UpdateVersion {
                e_tag: found.e_tag,
                version: None,
            }),
        };
        let path = self.place.path(DATABASE).map_err(PointerError::Outside)?;
        let payload = PutPayload::from(bytes);
        match self.place.store.put_opts(&path, payload, mode.into()).await {
            Ok(_) => Ok(Swap::Swapped),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(Swap::Lost),
            Err(source) => Err(self.failed("putting it on condition", settled(&source), source)),
        }
    }

    /// Marks a database as a copy, which readers open and no writer may change.
    pub(crate) fn mark(bytes: &mut [u8]) {
        if let Some(id) = bytes.get_mut(APPLICATION) {
            id.copy_from_slice(&COPY);
        }
    }

    fn failed(&self, doing: &'static str, effect: Effect, source: Error) -> PointerError {
        PointerError::Store {
            location: self.place.location(DATABASE),
            doing,
            effect,
            source,
        }
    }
}

/// The object's bytes as a file of this machine.
struct Scratch {
    _folder: TempDir,
    database: SqlitePointer,
}

impl Scratch {
    async fn of(found: Option<&Found>) -> Result<Self, PointerError> {
        let folder = tempfile::tempdir().map_err(failed)?;
        let at = folder.path().join(DATABASE);
        if let Some(found) = found {
            tokio::fs::write(&at, &found.bytes).await.map_err(failed)?;
        }
        Ok(Self {
            _folder: folder,
            database: SqlitePointer::new(at),
        })
    }

    async fn bytes(&self) -> Result<Vec<u8>, PointerError> {
        let read = tokio::fs::read(self.database.database()).await;
        read.map_err(failed)
    }
}

fn failed(source: std::io::Error) -> PointerError {
    PointerError::Folder {
        database: DATABASE.into(),
        source,
    }
}

#[async_trait]
impl TablePointer for DatabaseObject {
    async fn load(&self, table: TableName) -> Result<Option<Pointed>, PointerError> {
        let Some(found) = self.fetch().await? else {
            return Ok(None);
        };
        Scratch::of(Some(&found)).await?.database.load(table).await
    }

    async fn swap(
        &self,
        table: TableName,
        expected: Option<&Pointed>,
        location: &str,
    ) -> Result<Swap, PointerError> {
        for _ in 0..TRIES {
            let found = self.fetch().await?;
            let scratch = Scratch::of(found.as_ref()).await?;
            if scratch.database.swap(table, expected, location).await? == Swap::Lost {
                // The client asks again when an answer is lost, and is then refused because of its own first success.
                let now = scratch.database.load(table).await?;
                return Ok(match now {
                    Some(now) if now.location == location => Swap::Swapped,
                    _ => Swap::Lost,
                });
            }
            if self.put(scratch.bytes().await?, found).await? == Swap::Swapped {
                return Ok(Swap::Swapped);
            }
        }
        Ok(Swap::Lost)
    }

    async fn remove(&self, table: TableName) -> Result<(), PointerError> {
        for _ in 0..TRIES {
            let Some(found) = self.fetch().await? else {
                return Ok(());
            };
            let scratch = Scratch::of(Some(&found)).await?;
            scratch.database.remove(table).await?;
            if self.put(scratch.bytes().await?, Some(found)).await? == Swap::Swapped {
                return Ok(());
            }
        }
        let source = Error::Precondition {
            path: DATABASE.to_owned(),
            source: "others change it all the time".into(),
        };
        Err(self.failed("removing a table", Effect::None, source))
    }
}
