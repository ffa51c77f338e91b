//! Where an asset may come from: its href, its alternates, and what its item says of it today.

use swath_cloud::fetch::FetchError;
use swath_core::message::DownloadAsset;
use swath_core::row::AssetFile;
use swath_core::{Class, Classify as _, chain};
use url::Url;

use crate::download::with_found;
use crate::row::shown_href;
use crate::settle::{Arrived, Asset, Rejected};
use crate::{AssetFailure, DownloadError, Fetched};

/// The places that did not have it, in the order in which they were tried.
#[derive(Default)]
struct Tries {
    failed: Vec<Failed>,
    attempts: u32,
    bytes_fetched: u64,
}

/// A place that did not have it.
struct Failed {
    href: String,
    row: AssetFile,
    rejected: Rejected,
}

/// What came of one place.
struct Tried {
    row: AssetFile,
    result: Result<Arrived, Rejected>,
    bytes_fetched: u64,
}

impl Asset<'_> {
    /// Fetches from the first place that has the asset whole: its href, then its alternates in their order. When all
    /// fail and its href leads nowhere any more, the places that its item names today follow.
    ///
    /// # Errors
    /// As [`crate::download`].
    pub(crate) async fn fetch(&self) -> Result<Fetched, DownloadError> {
        let mut tries = Tries::default();
        if let Some(fetched) = self.try_places(&mut tries).await? {
            return Ok(fetched);
        }
        if let Some(again) = self.found_again(&tries).await {
            let moved = Asset {
                asked: &again,
                key: self.key.clone(),
                receipt_path: self.receipt_path.clone(),
                ..*self
            };
            if let Some(fetched) = moved.try_places(&mut tries).await? {
                return Ok(fetched);
            }
        }
        let Tries {
            failed,
            attempts,
            bytes_fetched,
        } = tries;
        let (mut row, failure) = self.decide(failed);
        row.attempts = attempts;
        let fetched = self.give_up(row, failure).await?;
        Ok(Fetched {
            bytes_fetched,
            ..fetched
        })
    }

    /// Tries every place that was not tried before; nothing when none has it.
    async fn try_places(&self, tries: &mut Tries) -> Result<Option<Fetched>, DownloadError> {
        for href in places(self.asked) {
            if tries.have(href) {
                continue;
            }
            let came = self.try_href(href).await?;
            tries.attempts += came.row.attempts;
            tries.bytes_fetched += came.bytes_fetched;
            let mut row = came.row;
            let arrived = match came.result {
                Ok(arrived) => arrived,
                Err(rejected) => {
                    let href = href.clone();
                    tries.failed.push(Failed {
                        href,
                        row,
                        rejected,
                    });
                    continue;
                }
            };
            row.attempts = tries.attempts;
            let mut fetched = self.publish(row, arrived).await?;
            fetched.bytes_fetched = tries.bytes_fetched;
            fetched.warnings.extend(tries.told());
            return Ok(Some(fetched));
        }
        Ok(None)
    }

    async fn try_href(&self, href: &str) -> Result<Tried, DownloadError> {
        let mut row = self.row();
        row.source_href = shown_href(href);
        let address = match Url::parse(href) {
            Ok(address) => address,
            Err(error) => {
                let failure = error.into();
                return Ok(Tried {
                    row,
                    result: Err(Rejected {
                        failure,
                        body: None,
                    }),
                    bytes_fetched: 0,
                });
            }
        };
        let fetcher = &self.context.fetcher;
        let mut staged = self.context.staging.create();
        let mut transfer = fetcher.transfer(address.clone(), self.asked.job.sign, self.promised());
        let result = self.fetch_proven(&mut transfer, &mut staged).await?;
        row.attempts = transfer.attempts();
        row.http_status = transfer.last_status();
        Ok(Tried {
            row,
            result: result.map(|(body, checked)| Arrived {
                href: address,
                staged,
                body,
                checked,
            }),
            bytes_fetched: transfer.bytes_fetched(),
        })
    }

    /// Asks the item for its places of today when the asset's own href led nowhere, or its own signature may have come
    /// to its end.
    async fn found_again(&self, tries: &Tries) -> Option<DownloadAsset> {
        let finder = self.context.finder.as_ref()?;
        let ended = match &tries.failed.first()?.rejected.failure {
            AssetFailure::Fetch(FetchError::Gone { .. }) => true,
            AssetFailure::Fetch(FetchError::Forbidden { .. }) => self.asked.href.contains('?'),
            _ => false,
        };
        if !ended {
            return None;
        }
        match finder.find(self.asked).await {
            Ok(found) => {
                let again = with_found(self.asked, found);
                let new = places(&again).any(|href| !tries.have(href));
                new.then_some(again)
            }
            Err(error) => {
                tracing::debug!(error = %chain(&error), "no newer href");
                None
            }
        }
    }

    /// Makes one failure of those of all places, with the row of the one that decides.
    fn decide(&self, mut failed: Vec<Failed>) -> (AssetFile, AssetFailure) {
        let passes = |one: &Failed| one.rejected.failure.class() == Class::Transient;
        let place = failed.iter().position(passes).unwrap_or_default();
        if failed.is_empty() {
            // No href at all is no address.
            let failure = url::ParseError::RelativeUrlWithoutBase.into();
            return (self.row(), failure);
        }
        let Failed { row, rejected, .. } = failed.remove(place);
        let mut row = AssetFile {
            source_href: shown_href(&self.asked.href),
            ..row
        };
        if let Some(body) = rejected.body {
            row.sha256 = Some(body.digests.sha256);
            row.etag = body.etag;
        }
        if failed.is_empty() {
            return (row, rejected.failure);
        }
        let others = failed.into_iter().map(|other| other.rejected.failure);
        let failure = AssetFailure::Everywhere {
            decisive: Box::new(rejected.failure),
            others: others.collect(),
        };
        (row, failure)
    }
}

impl Tries {
    fn have(&self, href: &str) -> bool {
        self.failed.iter().any(|failed| failed.href == href)
    }

    /// Says why a file had to come from elsewhere.
    fn told(&self) -> Option<String> {
        let first = self.failed.first()?;
        let why = chain(&first.rejected.failure);
        Some(format!("taken from another place: {why}"))
    }
}

/// Returns everywhere that an asset is said to lie.
fn places(asked: &DownloadAsset) -> impl Iterator<Item = &String> {
    std::iter::once(&asked.href).chain(&asked.alternate_hrefs)
}
