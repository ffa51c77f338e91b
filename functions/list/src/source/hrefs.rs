//! A list of addresses of items, one a line; what begins with `#` says nothing.

use std::io::{BufRead as _, BufReader};

use swath_cloud::runs::Entry;
use swath_cloud::sources::Sources;

use crate::filter::Filter;
use crate::list::{ListError, read_failed};
use crate::out::Out;

/// Bytes of one address.
const LONGEST: usize = 64 << 10;

pub(super) async fn run(
    at: &str,
    filter: &Filter,
    sources: &Sources,
    mut out: Out,
) -> Result<Out, ListError> {
    let file = sources.copy(at).await.map_err(ListError::source(at))?;
    let filter = filter.clone();
    let at = at.to_owned();
    let run = move || {
        let opened = std::fs::File::open(&file.path).map_err(read_failed(&at))?;
        for (number, line) in BufReader::new(opened).lines().enumerate() {
            let line = line.map_err(read_failed(&at))?;
            let line = line.trim();
            if line.len() > LONGEST {
                return Err(ListError::Line {
                    at: at.clone(),
                    line: number as u64 + 1,
                    reason: format!("longer than {LONGEST} bytes"),
                });
            }
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            out.listed += 1;
            if filter.fits_key(line)
                && out
                    .put_blocking(Entry::object(line.to_owned(), None, None))
                    .is_err()
            {
                break;
            }
        }
        Ok(out)
    };
    tokio::task::spawn_blocking(run)
        .await
        .map_err(|_| ListError::Ended)?
}
