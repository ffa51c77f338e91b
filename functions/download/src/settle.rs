//! From what is known of an asset to its outcome: skip, adopt, fetch, or give up.

use swath_cloud::digest::{Checksum, Digests};
use swath_cloud::fetch::{Body, FetchError, Transfer};
use swath_cloud::publish::{self, Facts, Present, PublishError, StagedFile};
use swath_core::message::DownloadAsset;
use swath_core::row::AssetFile;
use swath_core::{Class, Classify as _, RunId};
use url::Url;

use crate::check::{Checked, Proven, check};
use crate::download::with_found;
use crate::receipt::{self, FileFacts, Receipt};
use crate::{AssetFailure, Context, DownloadError, Fetched, Outcome, WrongBody, row};

/// One asset and where it belongs.
pub(crate) struct Asset<'a> {
    pub(crate) run_id: &'a RunId,
    pub(crate) asked: &'a DownloadAsset,
    pub(crate) context: &'a Context,
    pub(crate) key: String,
    pub(crate) receipt_path: String,
}

impl Asset<'_> {
    /// Finds out what is known, and does what is left to do.
    ///
    /// # Errors
    /// As [`crate::download`].
    pub(crate) async fn settle(&self) -> Result<Fetched, DownloadError> {
        let receipt = receipt::load(&self.context.lake, &self.receipt_path).await?;
        let present = publish::present(&self.context.out, &self.key).await?;
        match (present, receipt) {
            (Some(present), receipt) => self.settle_present(present, receipt).await,
            (None, Some(receipt)) if self.is_refused_by(&receipt) => {
                Ok(Fetched::of(Outcome::Skipped, receipt.row))
            }
            (None, _) => self.fetch().await,
        }
    }

    fn is_refused_by(&self, receipt: &Receipt) -> bool {
        let shown = row::shown_href(&self.asked.href);
        let again = self.context.retry_refused || self.asked.job.retry_refused;
        !again && receipt.refuses(self.asked, &shown)
    }

    /// Takes the file that lies there when a receipt or its own bytes prove it.
    async fn settle_present(
        &self,
        present: Present,
        receipt: Option<Receipt>,
    ) -> Result<Fetched, DownloadError> {
        let proof = receipt.filter(|receipt| receipt.proves(self.asked));
        if let Some(receipt) = proof.as_ref().filter(|proof| proof.describes(&present)) {
            return Ok(Fetched::of(Outcome::Skipped, receipt.row.clone()));
        }
        let (context, key) = (self.context, &self.key);
        let there = publish::local_path(&context.out, key);
        let mut copy = there.is_none().then(|| context.staging.create());
        let promised = self.promised();
        let read = publish::read_back(&context.out, key, promised, copy.as_mut()).await;
        let (size_bytes, digests) = read?;
        if let Some(mut receipt) = proof.filter(|proof| is_of(&proof.row, &digests)) {
            // Moved or touched, not changed: what is known of it holds.
            receipt.file = Some(present.into());
            self.save(&receipt).await?;
            return Ok(Fetched::of(Outcome::Skipped, receipt.row));
        }
        let file = match &there {
            Some(path) => Proven::There(path),
            None => Proven::Staged(copy.get_or_insert_with(|| context.staging.create())),
        };
        let checked = check(file, self.asked, key, &digests).await?;
        let mut row = self.row();
        if let Some(wrong) = checked.wrong {
            return self.occupied(row, wrong.reason).await;
        }
        row.sha256 = Some(digests.sha256);
        let file = FileFacts {
            size_bytes,
            etag: present.etag,
        };
        self.keep(Outcome::Adopted, row, file, checked).await
    }

    /// Fetches from where the asset is said to lie; when it is no longer there, from where its item says it is today.
    async fn fetch(&self) -> Result<Fetched, DownloadError> {
        let tried = self.try_href(self.asked).await?;
        let Some(again) = self.found_again(&tried).await else {
            return self.end(tried).await;
        };
        let (attempts, bytes_fetched) = (tried.row.attempts, tried.bytes_fetched);
        let moved = Asset {
            asked: &again,
            key: self.key.clone(),
            receipt_path: self.receipt_path.clone(),
            ..*self
        };
        let mut tried = moved.try_href(&again).await?;
        tried.row.attempts += attempts;
        tried.bytes_fetched += bytes_fetched;
        moved.end(tried).await
    }

    /// Asks the item for a newer href after one that led nowhere, or whose own signature may have come to its end.
    async fn found_again(&self, tried: &Tried) -> Option<DownloadAsset> {
        let finder = self.context.finder.as_ref()?;
        let ended = match &tried.result {
            Err(rejected) => match &rejected.failure {
                AssetFailure::Fetch(FetchError::Gone { .. }) => true,
                AssetFailure::Fetch(FetchError::Forbidden { .. }) => self.asked.href.contains('?'),
                _ => false,
            },
            Ok(_) => false,
        };
        if !ended {
            return None;
        }
        match finder.find(self.asked).await {
            Ok(found) => (found.href != self.asked.href).then(|| with_found(self.asked, found)),
            Err(error) => {
                tracing::debug!(error = %swath_core::chain(&error), "no newer href");
                None
            }
        }
    }

    async fn try_href(&self, asked: &DownloadAsset) -> Result<Tried, DownloadError> {
        let mut tried = Tried {
            row: self.row(),
            staged: self.context.staging.create(),
            result: Err(Rejected {
                failure: AssetFailure::Href(url::ParseError::RelativeUrlWithoutBase),
                body: None,
            }),
            bytes_fetched: 0,
        };
        let href = match Url::parse(&asked.href) {
            Ok(href) => href,
            Err(error) => {
                tried.result = Err(Rejected {
                    failure: error.into(),
                    body: None,
                });
                return Ok(tried);
            }
        };
        let fetcher = &self.context.fetcher;
        let mut transfer = fetcher.transfer(href, asked.job.sign, self.promised());
        tried.result = self.fetch_proven(&mut transfer, &mut tried.staged).await?;
        tried.row.attempts = transfer.attempts();
        tried.row.http_status = transfer.last_status();
        tried.bytes_fetched = transfer.bytes_fetched();
        Ok(tried)
    }

    async fn end(&self, tried: Tried) -> Result<Fetched, DownloadError> {
        let mut row = tried.row;
        let fetched = match tried.result {
            Ok(proven) => self.publish(row, tried.staged, proven).await?,
            Err(Rejected { failure, body }) => {
                if let Some(body) = body {
                    row.sha256 = Some(body.digests.sha256);
                    row.etag = body.etag;
                }
                self.give_up(row, failure).await?
            }
        };
        Ok(Fetched {
            bytes_fetched: tried.bytes_fetched,
            ..fetched
        })
    }

    async fn publish(
        &self,
        mut row: AssetFile,
        staged: StagedFile,
        (body, checked): (Body, Checked),
    ) -> Result<Fetched, DownloadError> {
        let facts = Facts {
            size_bytes: body.size_bytes,
            sha256: body.digests.sha256,
        };
        row.etag = body.etag;
        row.bytes_per_s = body.bytes_per_s;
        row.sha256 = Some(facts.sha256.clone());
        let (out, clock) = (&self.context.out, self.context.clock.as_ref());
        let published = match publish::publish(out, &self.key, staged, &facts, clock).await {
            Ok(published) => published,
            Err(PublishError::Occupied { .. }) => {
                let reason = "another file was put there meanwhile".to_owned();
                return self.occupied(row, reason).await;
            }
            Err(error) => return Err(error.into()),
        };
        let outcome = if published.adopted {
            Outcome::Adopted
        } else {
            Outcome::Published
        };
        let file = FileFacts {
            size_bytes: facts.size_bytes,
            etag: published.etag,
        };
        self.keep(outcome, row, file, checked).await
    }

    /// Fetches until the bytes are proven; the same wrong bytes twice end the tries.
    async fn fetch_proven(
        &self,
        transfer: &mut Transfer<'_>,
        staged: &mut StagedFile,
    ) -> Result<Result<(Body, Checked), Rejected>, DownloadError> {
        let mut before = None;
        loop {
            let body = match transfer.run(staged).await {
                Ok(body) => body,
                Err(FetchError::Staging(error)) => return Err(error.into()),
                Err(error) => return Ok(Err(Rejected::unfetched(error))),
            };
            let file = Proven::Staged(staged);
            let mut checked = check(file, self.asked, &self.key, &body.digests).await?;
            let Some(wrong) = checked.wrong.take() else {
                return Ok(Ok((body, checked)));
            };
            let again = before.replace(body.digests.sha256.clone());
            let same = again.as_ref() == Some(&body.digests.sha256);
            let wrong = if same { wrong.came_again() } else { wrong };
            if same || !transfer.wait(&wrong).await {
                return Ok(Err(Rejected::wrong(wrong, body)));
            }
        }
    }

    /// Writes down what is in its place and proven.
    async fn keep(
        &self,
        outcome: Outcome,
        mut row: AssetFile,
        file: FileFacts,
        checked: Checked,
    ) -> Result<Fetched, DownloadError> {
        row.out_file_path = Some(publish::address(&self.context.out, &self.key));
        row.out_file_sz = Some(file.size_bytes);
        row.is_out_file_valid = true;
        row.validation = Some(checked.code.to_owned());
        let sign = self.asked.job.sign;
        self.save(&Receipt::new(&self.key, sign, row.clone(), Some(file)))
            .await?;
        Ok(Fetched {
            warnings: checked.warnings,
            ..Fetched::of(outcome, row)
        })
    }

    /// Ends with a failure: a receipt when it is final, nothing but the row when it is not, back to the queue when
    /// somebody will ask again.
    async fn give_up(
        &self,
        mut row: AssetFile,
        failure: AssetFailure,
    ) -> Result<Fetched, DownloadError> {
        if failure.class() == Class::Transient && !self.context.last_try {
            return Err(DownloadError::NotYet(failure));
        }
        row::note(&mut row, &failure);
        let sign = self.asked.job.sign;
        if failure.is_final(sign) {
            self.save(&Receipt::new(&self.key, sign, row.clone(), None))
                .await?;
        }
        let outcome = match failure.class() {
            Class::Invalid => Outcome::Refused,
            _ => Outcome::Failed,
        };
        Ok(Fetched::of(outcome, row))
    }

    async fn occupied(&self, row: AssetFile, reason: String) -> Result<Fetched, DownloadError> {
        let place = publish::address(&self.context.out, &self.key);
        self.give_up(row, AssetFailure::Occupied { place, reason })
            .await
    }

    async fn save(&self, receipt: &Receipt) -> Result<(), DownloadError> {
        let saved = receipt::save(&self.context.lake, &self.receipt_path, receipt).await;
        Ok(saved?)
    }

    fn promised(&self) -> Option<Checksum> {
        self.asked.checksum.as_deref().and_then(Checksum::parse)
    }

    fn row(&self) -> AssetFile {
        row::empty(self.run_id, self.asked, self.context.clock.now())
    }
}

/// What came of one href.
struct Tried {
    row: AssetFile,
    staged: StagedFile,
    result: Result<(Body, Checked), Rejected>,
    bytes_fetched: u64,
}

/// An asset that was given up, with the body that was read to its end, if any.
struct Rejected {
    failure: AssetFailure,
    body: Option<Body>,
}

impl Rejected {
    fn unfetched(error: FetchError) -> Self {
        Self {
            failure: AssetFailure::Fetch(error),
            body: None,
        }
    }

    fn wrong(wrong: WrongBody, body: Body) -> Self {
        Self {
            failure: AssetFailure::Body(wrong),
            body: Some(body),
        }
    }
}

fn is_of(row: &AssetFile, digests: &Digests) -> bool {
    row.sha256.as_ref() == Some(&digests.sha256) && digests.promise_kept != Some(false)
}
