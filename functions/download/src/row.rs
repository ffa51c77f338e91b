//! Rows of `swath.asset_files`.

use swath_core::message::DownloadAsset;
use swath_core::row::AssetFile;
use swath_core::{Classify as _, RunId, chain, redact_url};
use time::OffsetDateTime;
use url::Url;

use crate::AssetFailure;

/// Returns the href as tables may hold it; one that is no address may still hold secrets, so its query goes too.
pub(crate) fn shown_href(href: &str) -> String {
    if let Ok(href) = Url::parse(href) {
        return redact_url(&href);
    }
    let path = href.split(['?', '#']).next();
    path.unwrap_or_default().to_owned()
}

/// Begins the row of an asset of which nothing is known yet.
pub(crate) fn empty(run_id: &RunId, asked: &DownloadAsset, now: OffsetDateTime) -> AssetFile {
    AssetFile {
        run_id: run_id.clone(),
        catalog: redact_url(&asked.job.catalog),
        collection: asked.collection.clone(),
        item_id: asked.item_id.clone(),
        asset_name: asked.asset_name.clone(),
        out_file_path: None,
        out_file_sz: None,
        is_out_file_valid: false,
        last_update: now,
        sha256: None,
        etag: None,
        source_href: shown_href(&asked.href),
        attempts: 0,
        http_status: None,
        error_class: None,
        error_code: None,
        error: None,
        validation_level: asked.job.validate,
        validation: None,
        bytes_per_s: None,
    }
}

/// Writes a failure into its row.
pub(crate) fn note(row: &mut AssetFile, failure: &AssetFailure) {
    row.error_class = Some(failure.class());
    row.error_code = Some(failure.code().to_owned());
    row.error = Some(chain(failure));
    if let AssetFailure::Body(wrong) = failure {
        row.validation = Some(wrong.code.to_owned());
    }
}
