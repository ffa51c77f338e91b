//! `swath decode`: items of files as NDJSON, each once.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use swath_table::json::canonical;
use xxhash_rust::xxh3::xxh3_128;

use crate::encode::input::{Input, Next};
use crate::encode::{EncodeError, InputError, beside};
use crate::exit::Exit;
use crate::run::CommandError;

/// The arguments of `swath decode`.
#[derive(Debug, Args)]
pub(crate) struct DecodeArgs {
    /// Parquet files of swath, folders of such files (searched in depth), or whatever `encode` reads.
    #[arg(value_name = "IN", required = true)]
    inputs: Vec<PathBuf>,
    /// The file of items, one a line; `-` writes to standard output.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Runs `swath decode`.
pub(crate) fn command(arguments: &DecodeArgs) -> Result<Exit, CommandError> {
    decode(arguments).map_err(CommandError::Encode)
}

fn decode(arguments: &DecodeArgs) -> Result<Exit, EncodeError> {
    let mut files = Vec::new();
    for input in &arguments.inputs {
        find(input, &mut files)?;
    }
    let out = &arguments.out;
    if out == Path::new("-") {
        return write_items(&files, &mut std::io::stdout().lock(), out);
    }
    let partial = beside(out);
    let mut output = BufWriter::new(File::create(&partial).map_err(EncodeError::write(out))?);
    let exit = write_items(&files, &mut output, out).and_then(|exit| {
        output.flush().map_err(EncodeError::write(out))?;
        fs::rename(&partial, out).map_err(EncodeError::write(out))?;
        Ok(exit)
    });
    if exit.is_err() {
        // The first failure is the one to tell of.
        let _ignored = fs::remove_file(&partial);
    }
    exit
}

/// Collects the files of a folder in the order of their names.
fn find(path: &Path, into: &mut Vec<PathBuf>) -> Result<(), EncodeError> {
    if !path.is_dir() {
        into.push(path.to_owned());
        return Ok(());
    }
    let failed = |source| InputError::Read {
        path: path.to_owned(),
        source,
    };
    let mut below = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        below.push(entry.map_err(failed)?.path());
    }
    below.sort();
    for path in below {
        if path.is_dir() || path.extension().is_some_and(|end| end == "parquet") {
            find(&path, into)?;
        }
    }
    Ok(())
}

/// Writes the items of all files; an item that lies in several cells, and so in several files, comes once.
fn write_items(files: &[PathBuf], output: &mut dyn Write, out: &Path) -> Result<Exit, EncodeError> {
    let mut known = HashSet::new();
    let mut exit = Exit::Done;
    let mut text = Vec::new();
    for path in files {
        let mut input = Input::open(path)?;
        loop {
            text.clear();
            let (spot, flaw) = match input.next(&mut text)? {
                Next::End => break,
                Next::Text(spot) => (spot, None),
                Next::TooLong(spot) => (spot, Some("longer than an item may be".to_owned())),
                Next::Broken(spot, reason) => (spot, Some(reason.to_owned())),
            };
            let item = flaw.map_or_else(|| one_line(&text), Err);
            let item = match item {
                Ok(item) => item,
                Err(reason) => {
                    exit = Exit::Partial;
                    let _ignored = writeln!(
                        std::io::stderr().lock(),
                        "{}: {} {}: {reason}",
                        path.display(),
                        spot.unit,
                        spot.number
                    );
                    continue;
                }
            };
            if known.insert(xxh3_128(item.as_bytes())) {
                writeln!(output, "{item}").map_err(EncodeError::write(out))?;
            }
        }
    }
    Ok(if known.is_empty() && exit == Exit::Done {
        Exit::Empty
    } else {
        exit
    })
}

/// Writes an item in its canonical form, which has no line breaks and is the same for equal items.
fn one_line(text: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
    canonical(text).map_err(|error| error.to_string())
}
