//! From what is known of an asset to its outcome: skip, adopt, fetch, or give up.

use swath_cloud::digest::{Checksum, Digests};
use swath_cloud::fetch::{Body, FetchError, Transfer};
use swath_cloud::publish::{self, Facts, Present, PublishError, Published, Source, StagedFile};
use swath_core::message::DownloadAsset;
use swath_core::row::AssetFile;
use swath_core::{Class, Classify as _, RunId, Signing};
use url::Url;

use crate::check::{Checked, Proven, check};
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
        let again = self.context.retry_refused || self.asked.job.retry_refused;
        !again && receipt.refuses(self.asked)
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

    /// Puts a proven file into its place.
    pub(crate) async fn publish(
        &self,
        mut row: AssetFile,
        arrived: Arrived,
    ) -> Result<Fetched, DownloadError> {
        let facts = Facts {
            size_bytes: arrived.body.size_bytes,
            sha256: arrived.body.digests.sha256.clone(),
        };
        row.bytes_per_s = arrived.body.bytes_per_s;
        row.sha256 = Some(facts.sha256.clone());
        let copied = self.copy(&arrived, &facts).await;
        let Arrived {
            staged,
            body,
            checked,
            ..
        } = arrived;
        row.etag = body.etag;
        let (out, clock) = (&self.context.out, self.context.clock.as_ref());
        let published = match copied {
            Ok(None) => publish::publish(out, &self.key, staged, &facts, clock).await,
            Ok(Some(copied)) => Ok(copied),
            Err(error) => Err(error),
        };
        let published = match published {
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

    /// Has the store copy what our own credentials fetched from another bucket; nothing when it does not.
    async fn copy(
        &self,
        arrived: &Arrived,
        facts: &Facts,
    ) -> Result<Option<Published>, PublishError> {
        let signing = self.asked.job.sign;
        let ours = matches!(signing, Signing::S3 | Signing::S3RequesterPays);
        let etag = arrived.body.etag.as_deref();
        let Some(etag) = etag.filter(|_| ours && arrived.href.scheme() == "s3") else {
            return Ok(None);
        };
        let source = Source {
            href: &arrived.href,
            etag,
            pays: signing == Signing::S3RequesterPays,
        };
        let Context { copier, out, .. } = self.context;
        // Seldom asked for, and large.
        Box::pin(copier.copy(source, (out, &self.key), facts)).await
    }

    /// Fetches until the bytes are proven; the same wrong bytes twice end the tries.
    pub(crate) async fn fetch_proven(
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
        self.save(&Receipt::new(
            &self.key,
            self.asked,
            row.clone(),
            Some(file),
        ))
        .await?;
        Ok(Fetched {
            warnings: checked.warnings,
            ..Fetched::of(outcome, row)
        })
    }

    /// Ends with a failure: a receipt when it is final, nothing but the row when it is not, back to the queue when
    /// somebody will ask again.
    pub(crate) async fn give_up(
        &self,
        mut row: AssetFile,
        failure: AssetFailure,
    ) -> Result<Fetched, DownloadError> {
        if failure.class() == Class::Transient && !self.context.last_try {
            return Err(DownloadError::NotYet(failure));
        }
        row::note(&mut row, &failure);
        if failure.is_final(self.asked.job.sign) {
            self.save(&Receipt::new(&self.key, self.asked, row.clone(), None))
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

    pub(crate) fn promised(&self) -> Option<Checksum> {
        self.asked.checksum.as_deref().and_then(Checksum::parse)
    }

    pub(crate) fn row(&self) -> AssetFile {
        row::empty(self.run_id, self.asked, self.context.clock.now())
    }
}

/// A proven file, and where it came from.
pub(crate) struct Arrived {
    pub(crate) href: Url,
    pub(crate) staged: StagedFile,
    pub(crate) body: Body,
    pub(crate) checked: Checked,
}

/// An asset that was given up, with the body that was read to its end, if any.
pub(crate) struct Rejected {
    pub(crate) failure: AssetFailure,
    pub(crate) body: Option<Body>,
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
