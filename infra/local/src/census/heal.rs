//! What a census found amiss is made good: as a run of its own.

use swath_cloud::clock::{Clock as _, SystemClock};
use swath_cloud::runs::{Chunker, Entry, Ledger, Plan, known};
use swath_core::RunId;
use swath_core::intake::{CHUNK, IngestChunk, Intake, Rasters};

use super::Finding;
use crate::ingest::{IngestCommandError, World};

/// Repairs of one pass; the next one goes on.
const MOST: usize = 1_000_000;

/// What is to be done.
#[derive(Debug, Default)]
pub(super) struct Repairs {
    /// Objects to be taken in.
    take: Vec<(String, Option<String>)>,
    /// Objects whose items are to leave.
    remove: Vec<String>,
}

impl Repairs {
    pub(super) fn add(&mut self, finding: Finding) {
        if self.take.len() + self.remove.len() >= MOST {
            return;
        }
        match finding {
            Finding::Missing(href, etag) | Finding::Stale(href, etag) => {
                self.take.push((href, etag));
            }
            Finding::Extra(href) => self.remove.push(href),
            Finding::Rejected | Finding::Same => {}
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.take.is_empty() && self.remove.is_empty()
    }

    /// Takes in and takes out; returns how many objects that were.
    ///
    /// What leaves does so first: an item that a gone object shares with one that is there comes back.
    pub(super) async fn make(self, world: &World, source: &str) -> Result<u64, IngestCommandError> {
        let now = SystemClock.now();
        let mut chunks = Vec::new();
        let mut digests = String::new();
        let (mut taken, mut removals) = (0, None);
        let gone = self.remove.into_iter();
        let gone: Vec<Entry> = gone.map(|href| Entry::gone(href, now)).collect();
        let here = self.take.into_iter();
        let here = here.map(|(href, etag)| Entry::object(href, etag, None));
        for entries in [gone, here.collect()] {
            let mut chunker = Chunker::new(world.lake.clone(), CHUNK);
            for entry in &entries {
                chunker.add(entry).await?;
            }
            taken += chunker.taken();
            let (some, digest) = chunker.finish().await?;
            chunks.extend(some);
            digests.push_str(&digest);
            removals = removals.or(Some(chunks.len()));
        }
        // Every repair is a run of its own.
        let moment = now.unix_timestamp_nanos().to_be_bytes();
        let plan = Plan {
            run_id: RunId::derive(&[b"heal", digests.as_bytes(), &moment]),
            source: source.to_owned(),
            intake: Intake::default(),
            listed: taken,
            taken,
            chunks,
            planned: now,
            cursor: None,
        };
        carry_out(world, &plan, removals.unwrap_or_default()).await?;
        Ok(taken)
    }
}

/// Carries out a plan, the first chunks of which are removals.
async fn carry_out(world: &World, plan: &Plan, removals: usize) -> Result<(), IngestCommandError> {
    let ledger = Ledger::new(world.lake.clone(), plan.run_id.clone());
    let spans = known(&world.lake).await?;
    ledger.put_plan(plan).await?;
    let context = world.ingest();
    for (chunk, planned) in (0_u32..).zip(&plan.chunks) {
        let is_removal = usize::try_from(chunk).is_ok_and(|chunk| chunk < removals);
        let asked = IngestChunk {
            source: plan.source.clone(),
            chunk,
            at: planned.at.clone(),
            objects: planned.entries,
            // What is known is fetched all the same: it is not as it should be.
            known: if is_removal {
                spans.of(planned)
            } else {
                Vec::new()
            },
            bulk: false,
            again: false,
            rasters: Rasters::default(),
        };
        let done = Box::pin(swath_ingest::ingest(&plan.run_id, &asked, &context)).await;
        done.map_err(|error| IngestCommandError::Chunk(Box::new(error)))?;
    }
    world.end(ledger).await
}
