//! What a long listing has read so far, kept in the lake: one that is cut short goes on where it was.

use std::collections::VecDeque;

use futures::TryStreamExt as _;
use object_store::ObjectStoreExt as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use swath_core::RunId;
use time::{Duration, OffsetDateTime};

use super::{Ledger, LedgerError};
use crate::store::{Store, StoreError};

/// Readings of one page; a crash repeats as many at most, besides those under way.
const READINGS: usize = 32;
/// Bytes of one page, more or less.
const BYTES: usize = 4 << 20;
/// After so long what was read is read anew.
const KEPT: Duration = Duration::hours(24);

#[derive(Serialize, Deserialize)]
struct Page<T> {
    #[serde(with = "time::serde::rfc3339")]
    begun: OffsetDateTime,
    readings: Vec<T>,
}

/// Readings in their order, in pages of `runs/{id}/journal/`, where the id is that of what is listed. A listing that is done
/// again in the same order finds at its next place what was read there before; where it takes another turn, the rest is of no
/// use any more.
#[derive(Debug)]
pub struct Journal<T> {
    ledger: Ledger,
    begun: OffsetDateTime,
    /// The page that is filled or read again.
    number: u32,
    /// Readings of it, those that were met again and new ones.
    page: Vec<T>,
    bytes: usize,
    /// Readings of it that were not met yet.
    before: VecDeque<T>,
    is_new: bool,
}

impl<T: Serialize + DeserializeOwned + Clone + Send + Sync> Journal<T> {
    /// Opens the journal of what `parts` name.
    ///
    /// # Errors
    /// When the lake fails.
    pub async fn open(
        lake: &Store,
        parts: &[&[u8]],
        now: OffsetDateTime,
    ) -> Result<Self, LedgerError> {
        let named = [&[b"journal".as_slice()], parts].concat();
        let mut journal = Self {
            ledger: Ledger::new(lake.clone(), RunId::derive(&named)),
            begun: now,
            number: 0,
            page: Vec::new(),
            bytes: 0,
            before: VecDeque::new(),
            is_new: false,
        };
        match journal.read().await? {
            Some(page) if now - page.begun <= KEPT => {
                journal.begun = page.begun;
                journal.before = page.readings.into();
            }
            Some(_) => journal.forget().await?,
            None => journal.is_new = true,
        }
        Ok(journal)
    }

    fn at(&self) -> String {
        format!("journal/{:06}.json", self.number)
    }

    async fn read(&self) -> Result<Option<Page<T>>, LedgerError> {
        match self.ledger.read(&self.at()).await {
            Err(LedgerError::Page { path, source }) => {
                tracing::warn!(path, error = %source, "a page of a listing does not read back: it is listed anew");
                Ok(None)
            }
            read => read,
        }
    }

    /// Returns the next reading of an earlier listing, if it is the one that is looked for.
    ///
    /// # Errors
    /// When the lake fails.
    pub async fn next(
        &mut self,
        is_it: impl Fn(&T) -> bool + Send,
    ) -> Result<Option<T>, LedgerError> {
        while !self.is_new && self.before.is_empty() {
            if !self.page.is_empty() {
                self.number += 1;
                (self.page, self.bytes) = (Vec::new(), 0);
            }
            match self.read().await? {
                Some(page) if page.begun == self.begun => self.before = page.readings.into(),
                _ => self.is_new = true,
            }
        }
        match self.before.pop_front() {
            Some(reading) if is_it(&reading) => {
                self.page.push(reading.clone());
                Ok(Some(reading))
            }
            _ => {
                self.before.clear();
                self.is_new = true;
                Ok(None)
            }
        }
    }

    /// Notes a reading of so many bytes.
    ///
    /// # Errors
    /// When the lake does not take a page that is full.
    pub async fn put(&mut self, reading: T, bytes: usize) -> Result<(), LedgerError> {
        self.is_new = true;
        self.page.push(reading);
        self.bytes += bytes;
        if self.page.len() >= READINGS || self.bytes >= BYTES {
            self.flush().await?;
            self.number += 1;
            (self.page, self.bytes) = (Vec::new(), 0);
        }
        Ok(())
    }

    /// Writes what is not written yet.
    ///
    /// # Errors
    /// When the lake does not take it.
    pub async fn flush(&mut self) -> Result<(), LedgerError> {
        if self.page.is_empty() {
            return Ok(());
        }
        let page = Page {
            begun: self.begun,
            readings: std::mem::take(&mut self.page),
        };
        let written = self.ledger.write(&self.at(), &page).await;
        self.page = page.readings;
        written
    }

    /// Forgets everything: what was listed is planned, or too old.
    ///
    /// # Errors
    /// When the lake fails.
    pub async fn forget(&mut self) -> Result<(), LedgerError> {
        let lake = &self.ledger.lake;
        let folder = lake.path(&format!("runs/{}/journal", self.ledger.run_id()));
        let call = |source| StoreError::Call {
            path: folder.clone(),
            source,
        };
        let pages: Vec<_> = lake
            .store
            .list(Some(&folder))
            .try_collect()
            .await
            .map_err(call)?;
        for page in pages {
            match lake.store.delete(&page.location).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(source) => return Err(call(source).into()),
            }
        }
        (self.number, self.bytes, self.is_new) = (0, 0, true);
        self.page.clear();
        self.before.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2024-06-01 0:00 UTC);

    async fn open(lake: &Store, now: OffsetDateTime) -> Journal<u32> {
        Journal::open(lake, &[b"a"], now).await.unwrap()
    }

    /// Lists `numbers`; returns those that had to be read, up to the `end`th, where the listing is cut short.
    async fn read(journal: &mut Journal<u32>, numbers: &[u32], end: usize) -> Vec<u32> {
        let mut read = Vec::new();
        for number in numbers {
            let before = journal.next(|before| before == number).await.unwrap();
            if before.is_none() && read.len() == end {
                break;
            }
            if before.is_none() {
                read.push(*number);
                journal.put(*number, 1).await.unwrap();
            }
        }
        read
    }

    #[tokio::test]
    async fn what_was_read_is_not_read_again() {
        let lake = Store::in_memory();
        let numbers: Vec<u32> = (0..100).collect();
        let first = read(&mut open(&lake, NOW).await, &numbers, 70).await;
        assert_eq!(first.len(), 70);
        // Two pages were full, the rest is lost.
        let mut again = open(&lake, NOW + Duration::hours(23)).await;
        assert_eq!(
            read(&mut again, &numbers, 10).await,
            (64..74).collect::<Vec<_>>()
        );
        again.flush().await.unwrap();
        let mut third = open(&lake, NOW + Duration::hours(23)).await;
        assert_eq!(
            read(&mut third, &numbers, 99).await,
            (74..100).collect::<Vec<_>>()
        );
        third.forget().await.unwrap();
        let mut fourth = open(&lake, NOW).await;
        assert_eq!(read(&mut fourth, &numbers, 100).await, numbers);
    }

    #[tokio::test]
    async fn a_page_that_does_not_read_back_is_read_anew() {
        let lake = Store::in_memory();
        let numbers: Vec<u32> = (0..64).collect();
        let mut first = open(&lake, NOW).await;
        read(&mut first, &numbers, 64).await;
        first.number = 1;
        let at = format!("runs/{}/{}", first.ledger.run_id(), first.at());
        lake.put(&at, "{\"begun".into()).await.unwrap();
        let mut again = open(&lake, NOW).await;
        assert_eq!(read(&mut again, &numbers, 99).await, numbers[32..]);
        assert!(
            read(&mut open(&lake, NOW).await, &numbers, 99)
                .await
                .is_empty()
        );
    }

    #[tokio::test]
    async fn where_the_listing_takes_another_turn_the_rest_is_read_anew() {
        let lake = Store::in_memory();
        let numbers: Vec<u32> = (0..64).collect();
        read(&mut open(&lake, NOW).await, &numbers, 64).await;
        let mut turned = numbers.clone();
        turned[40] = 1000;
        let mut again = open(&lake, NOW).await;
        assert_eq!(read(&mut again, &turned, 99).await, turned[40..]);
        again.flush().await.unwrap();
        assert_eq!(
            read(&mut open(&lake, NOW).await, &turned, 99).await,
            [0_u32; 0]
        );
        let mut old = open(&lake, NOW + Duration::hours(25)).await;
        assert_eq!(read(&mut old, &turned, 99).await, turned);
    }
}
