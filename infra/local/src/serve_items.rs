//! `swath serve-items`: a folder of items as a STAC API on loopback.

use std::path::{Path, PathBuf};

use axum::Router;
use axum::extract::{Path as UrlPath, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;

use crate::cli::ServeItemsArgs;
use crate::demo;
use crate::exit::Exit;
use crate::run::{CommandError, print_json};
use crate::stac_server::{self, Index, Served};

/// Serves until interrupted; prints one JSON line with the address, how many items are served, and which files are not.
pub(crate) async fn serve_items(arguments: ServeItemsArgs) -> Result<Exit, CommandError> {
    let (served, line) = if arguments.items.is_empty() {
        let served = demo::serve(arguments.port)
            .await
            .map_err(CommandError::Serve)?;
        let line = json!({"url": served.url(), "items": "the demo's scenes"});
        (served, line)
    } else {
        serve_files(&arguments).await?
    };
    print_json(&line);
    tokio::select! {
        () = served.ended() => Ok(Exit::Internal),
        _ = tokio::signal::ctrl_c() => Ok(Exit::Done),
    }
}

async fn serve_files(arguments: &ServeItemsArgs) -> Result<(Served, Value), CommandError> {
    let mut documents = Vec::new();
    for path in &arguments.items {
        read(path, &mut documents)?;
    }
    let rasters = match &arguments.rasters {
        Some(folder) => rasters_in(folder)?,
        None => Vec::new(),
    };
    let mut left_out = Vec::new();
    let mut count = 0;
    let served = stac_server::serve(arguments.port, |base| {
        let mut index = Index::default();
        let mut next = rasters.iter().enumerate().cycle();
        for (path, text) in documents {
            if let Err(reason) = take(&mut index, &text, || {
                let (number, raster) = next.next()?;
                Some(format!(
                    "{base}/rasters/{number}/{}",
                    raster.file_name()?.to_string_lossy()
                ))
            }) {
                left_out.push(json!({"file": path, "reason": reason}));
            }
        }
        count = index.len();
        let routes = Router::new()
            .route("/rasters/{number}/{name}", get(raster))
            .with_state(rasters.clone());
        (index, routes)
    })
    .await
    .map_err(CommandError::Serve)?;
    let line = json!({"url": served.url(), "items": count, "left_out": left_out});
    Ok((served, line))
}

/// Takes the items of a document: an item, or the features of an ItemCollection.
fn take(
    index: &mut Index,
    text: &str,
    mut href: impl FnMut() -> Option<String>,
) -> Result<(), String> {
    let document: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let items = match document.get("type").and_then(Value::as_str) {
        Some("Feature") => vec![document],
        Some("FeatureCollection") => document
            .get("features")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default(),
        other => return Err(format!("type {} is not an item", other.unwrap_or("none"))),
    };
    for mut item in items {
        for asset in item
            .get_mut("assets")
            .and_then(Value::as_object_mut)
            .into_iter()
            .flat_map(serde_json::Map::values_mut)
        {
            if let (Some(asset), Some(href)) = (asset.as_object_mut(), href()) {
                // What the item said of the file it meant does not hold for this one.
                for member in ["file:size", "file:checksum"] {
                    asset.remove(member);
                }
                asset.insert("href".to_owned(), Value::from(href));
                asset.insert("type".to_owned(), Value::from("image/tiff"));
            }
        }
        index
            .add(item.to_string())
            .map_err(|error| swath_core::chain(&error))?;
    }
    Ok(())
}

fn read(path: &Path, documents: &mut Vec<(PathBuf, String)>) -> Result<(), CommandError> {
    let failed = |source| CommandError::File {
        path: path.to_owned(),
        source,
    };
    if path.is_dir() {
        for entry in sorted(path)? {
            if entry.is_dir()
                || entry
                    .extension()
                    .is_some_and(|ext| ext == "json" || ext == "geojson")
            {
                read(&entry, documents)?;
            }
        }
    } else {
        documents.push((
            path.to_owned(),
            std::fs::read_to_string(path).map_err(failed)?,
        ));
    }
    Ok(())
}

fn rasters_in(folder: &Path) -> Result<Vec<PathBuf>, CommandError> {
    let mut found = Vec::new();
    for entry in sorted(folder)? {
        if entry.is_dir() {
            found.extend(rasters_in(&entry)?);
        } else if entry
            .extension()
            .is_some_and(|ext| ext == "tif" || ext == "tiff")
        {
            found.push(entry);
        }
    }
    Ok(found)
}

fn sorted(folder: &Path) -> Result<Vec<PathBuf>, CommandError> {
    let failed = |source| CommandError::File {
        path: folder.to_owned(),
        source,
    };
    let mut entries = std::fs::read_dir(folder)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    entries.sort();
    Ok(entries)
}

async fn raster(
    State(rasters): State<Vec<PathBuf>>,
    UrlPath((number, _)): UrlPath<(usize, String)>,
) -> Response {
    let Some(path) = rasters.get(number) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match tokio::fs::File::open(path).await {
        Err(_) => StatusCode::NOT_FOUND.into_response(),
        Ok(file) => {
            let length = file
                .metadata()
                .await
                .map(|meta| meta.len())
                .unwrap_or_default();
            let body = axum::body::Body::from_stream(ReaderStream::new(file.take(length)));
            let headers = [
                (header::CONTENT_TYPE, "image/tiff".to_owned()),
                (header::CONTENT_LENGTH, length.to_string()),
            ];
            (headers, body).into_response()
        }
    }
}
