//! Iceberg's file access over an object store.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use iceberg::io::{
    FileIO, FileIOBuilder, FileMetadata, FileRead, FileWrite, InputFile, OutputFile, Storage,
    StorageConfig, StorageFactory,
};
use iceberg::{Error, ErrorKind, Result};
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutPayload};
use serde::{Deserialize, Serialize};

use crate::place::Place;

/// Returns Iceberg's file access to everything below a place.
pub(crate) fn file_io(place: &Place) -> FileIO {
    let place = Some(place.clone());
    FileIOBuilder::new(Arc::new(PlaceStorage { place })).build()
}

/// A place as Iceberg's storage. Iceberg demands that it can be serialised; what is read back has no store and says so.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct PlaceStorage {
    #[serde(skip)]
    place: Option<Place>,
}

#[derive(Debug, thiserror::Error)]
#[error("this storage was serialised and has lost its store")]
struct NoStore;

fn failed(location: &str, source: object_store::Error) -> Error {
    use object_store::Error as E;
    let (kind, retryable) = match source {
        E::NotFound { .. } => (ErrorKind::DataInvalid, false),
        E::PermissionDenied { .. } | E::Unauthenticated { .. } | E::InvalidPath { .. } => {
            (ErrorKind::PreconditionFailed, false)
        }
        _ => (ErrorKind::Unexpected, true),
    };
    Error::new(kind, "the store's call failed")
        .with_context("location", location)
        .with_retryable(retryable)
        .with_source(source)
}

impl PlaceStorage {
    fn at(&self, location: &str) -> Result<(&Place, Path)> {
        let invalid = |message| Error::new(ErrorKind::PreconditionFailed, message);
        let place = self
            .place
            .as_ref()
            .ok_or_else(|| invalid("no store").with_source(NoStore))?;
        let path = place
            .path_of(location)
            .map_err(|source| invalid("location").with_source(source))?;
        Ok((place, path))
    }
}

#[typetag::serde(name = "swath")]
impl StorageFactory for PlaceStorage {
    fn build(&self, _: &StorageConfig) -> Result<Arc<dyn Storage>> {
        Ok(Arc::new(self.clone()))
    }
}

#[async_trait]
#[typetag::serde(name = "swath")]
impl Storage for PlaceStorage {
    async fn exists(&self, location: &str) -> Result<bool> {
        let (place, path) = self.at(location)?;
        match place.store.head(&path).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(source) => Err(failed(location, source)),
        }
    }

    async fn metadata(&self, location: &str) -> Result<FileMetadata> {
        let (place, path) = self.at(location)?;
        let head = place.store.head(&path).await;
        let size = head.map_err(|source| failed(location, source))?.size;
        Ok(FileMetadata { size })
    }

    async fn read(&self, location: &str) -> Result<Bytes> {
        let (place, path) = self.at(location)?;
        let read = async { place.store.get(&path).await?.bytes().await };
        read.await.map_err(|source| failed(location, source))
    }

    async fn reader(&self, location: &str) -> Result<Box<dyn FileRead>> {
        let (place, path) = self.at(location)?;
        Ok(Box::new(Reader {
            place: place.clone(),
            path,
            location: location.to_owned(),
        }))
    }

    async fn write(&self, location: &str, bytes: Bytes) -> Result<()> {
        let (place, path) = self.at(location)?;
        let written = place.store.put(&path, PutPayload::from(bytes)).await;
        written.map_err(|source| failed(location, source))?;
        Ok(())
    }

    async fn writer(&self, location: &str) -> Result<Box<dyn FileWrite>> {
        self.at(location)?;
        Ok(Box::new(Writer {
            storage: self.clone(),
            location: location.to_owned(),
            bytes: Some(Vec::new()),
        }))
    }

    async fn delete(&self, location: &str) -> Result<()> {
        let (place, path) = self.at(location)?;
        let deleted = place.store.delete(&path).await;
        deleted.map_err(|source| failed(location, source))
    }

    async fn delete_prefix(&self, location: &str) -> Result<()> {
        let (place, path) = self.at(location)?;
        let mut listed = place.store.list(Some(&path));
        while let Some(found) = listed.next().await {
            let found = found.map_err(|source| failed(location, source))?;
            let deleted = place.store.delete(&found.location).await;
            deleted.map_err(|source| failed(location, source))?;
        }
        Ok(())
    }

    async fn delete_stream(&self, mut locations: BoxStream<'static, String>) -> Result<()> {
        while let Some(location) = locations.next().await {
            self.delete(&location).await?;
        }
        Ok(())
    }

    fn new_input(&self, location: &str) -> Result<InputFile> {
        Ok(InputFile::new(Arc::new(self.clone()), location.to_owned()))
    }

    fn new_output(&self, location: &str) -> Result<OutputFile> {
        Ok(OutputFile::new(Arc::new(self.clone()), location.to_owned()))
    }
}

struct Reader {
    place: Place,
    path: Path,
    location: String,
}

#[async_trait]
impl FileRead for Reader {
    async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        let read = self.place.store.get_range(&self.path, range).await;
        read.map_err(|source| failed(&self.location, source))
    }
}

/// Gathers a file and puts it in one call when closed: metadata files are small, and a reader sees all of one or nothing.
struct Writer {
    storage: PlaceStorage,
    location: String,
    bytes: Option<Vec<u8>>,
}

impl Writer {
    fn closed(&self) -> Error {
        Error::new(ErrorKind::PreconditionFailed, "the file is closed already")
            .with_context("location", &self.location)
    }
}

#[async_trait]
impl FileWrite for Writer {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        match &mut self.bytes {
            Some(gathered) => gathered.extend_from_slice(&bytes),
            None => return Err(self.closed()),
        }
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        let gathered = self.bytes.take().ok_or_else(|| self.closed())?;
        self.storage.write(&self.location, gathered.into()).await
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    fn io() -> FileIO {
        file_io(&Place::new(
            Arc::new(InMemory::new()),
            Path::default(),
            "/lake",
        ))
    }

    #[tokio::test]
    async fn a_file_appears_whole_when_its_writer_is_closed() {
        let (io, location) = (io(), "/lake/warehouse/a.avro");
        let mut writer = io.new_output(location).unwrap().writer().await.unwrap();
        writer.write(Bytes::from_static(b"he")).await.unwrap();
        writer.write(Bytes::from_static(b"llo")).await.unwrap();
        assert!(!io.exists(location).await.unwrap());
        writer.close().await.unwrap();
        assert!(writer.close().await.is_err());
        let input = io.new_input(location).unwrap();
        assert_eq!(input.metadata().await.unwrap().size, 5);
        assert_eq!(input.read().await.unwrap(), "hello");
        let reader = input.reader().await.unwrap();
        assert_eq!(reader.read(1..3).await.unwrap(), "el");
        io.delete_prefix("/lake/warehouse").await.unwrap();
        assert!(!io.exists(location).await.unwrap());
    }

    #[tokio::test]
    async fn a_missing_file_is_damage_and_not_tried_again() {
        let error = io().new_input("/lake/x").unwrap().read().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DataInvalid);
        assert!(!error.retryable());
    }

    #[tokio::test]
    async fn nothing_outside_the_lake_is_touched() {
        for location in ["/lakes/x", "/lake/../x", "s3://lake/x"] {
            let written = io().new_output(location).unwrap().write(Bytes::new()).await;
            assert_eq!(
                written.unwrap_err().kind(),
                ErrorKind::PreconditionFailed,
                "{location}"
            );
        }
    }
}
