//! All objects below a prefix or folder.

use swath_cloud::runs::Entry;
use swath_cloud::sources::Sources;

use crate::filter::Filter;
use crate::list::ListError;
use crate::out::Out;

pub(super) async fn run(
    at: &str,
    filter: &Filter,
    sources: &Sources,
    mut out: Out,
) -> Result<Out, ListError> {
    let failed = ListError::source(at);
    let mut listing = sources.list(at).await.map_err(&failed)?;
    while !out.is_full()
        && let Some(object) = listing.next().await.map_err(&failed)?
    {
        out.listed += 1;
        if !filter.fits_key(&object.key) || !filter.fits_time(object.modified) {
            continue;
        }
        let entry = Entry::object(object.address, object.etag, Some(object.size));
        if out.put(entry).await.is_err() {
            break;
        }
    }
    Ok(out)
}
