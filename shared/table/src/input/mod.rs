//! Texts of items out of files, one at a time: a line, an element of a collection, a document, a row.

mod split;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use crate::TableError;
use crate::items::ItemReader;
use crate::json::MAX_BYTES;
use split::{Splitter, Step};

/// Bytes that are read at a time.
const BLOCK: usize = 1 << 20;

/// An input that cannot be read to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is no table of items.
    #[error("{} is no file of items", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<TableError>,
    },
}

/// Where a text lies in its file, from 1: a line of NDJSON, an item of a document, a row of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// What is counted.
    pub unit: &'static str,
    /// Which one.
    pub number: u64,
}

/// What the next place of an input holds.
#[derive(Debug)]
pub enum Next {
    /// A text, which is now in the buffer.
    Text(Spot),
    /// A text that is too long to be held, passed over; the buffer has its beginning.
    TooLong(Spot),
    /// Something that is no item, or a document that ends before it should; the buffer has what there is.
    Broken(Spot, &'static str),
    /// There is no more.
    End,
}

/// One input file.
pub struct Input {
    path: PathBuf,
    number: u64,
    form: Form,
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Input({})", self.path.display())
    }
}

enum Form {
    Lines(Box<dyn BufRead + Send>),
    Document(Box<Splitter>),
    Table(Box<ItemReader>),
}

impl Input {
    /// Opens a file; `-` is standard input. What it holds is told by its first bytes, not by its name.
    ///
    /// # Errors
    /// When it cannot be read, or is a Parquet file without items.
    pub fn open(path: &Path) -> Result<Self, InputError> {
        let failed = |source| InputError::Read {
            path: path.to_owned(),
            source,
        };
        let mut input: Box<dyn BufRead + Send> = if path == Path::new("-") {
            Box::new(BufReader::with_capacity(BLOCK, io::stdin()))
        } else {
            let mut file = File::open(path).map_err(failed)?;
            if is_parquet(&mut file).map_err(failed)? {
                return Self::table(path, file);
            }
            Box::new(BufReader::with_capacity(BLOCK, file))
        };
        let head = input.fill_buf().map_err(failed)?;
        let form = if is_lines(path, head) {
            Form::Lines(input)
        } else {
            Form::Document(Box::new(Splitter::new(input)))
        };
        Ok(Self {
            path: path.to_owned(),
            number: 0,
            form,
        })
    }

    fn table(path: &Path, file: File) -> Result<Self, InputError> {
        let reader = ItemReader::open(file).map_err(|source| InputError::Table {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        Ok(Self {
            path: path.to_owned(),
            number: 0,
            form: Form::Table(Box::new(reader)),
        })
    }

    /// Appends the next text to the buffer.
    ///
    /// # Errors
    /// When the input cannot be read on.
    pub fn next(&mut self, into: &mut Vec<u8>) -> Result<Next, InputError> {
        let path = &self.path;
        let failed = |source| InputError::Read {
            path: path.clone(),
            source,
        };
        match &mut self.form {
            Form::Lines(input) => next_line(input, &mut self.number, into).map_err(failed),
            Form::Document(splitter) => {
                let step = splitter.next(into).map_err(failed)?;
                self.number += 1;
                let spot = Spot {
                    unit: "item",
                    number: self.number,
                };
                Ok(match step {
                    Step::Text => Next::Text(spot),
                    Step::TooLong => Next::TooLong(spot),
                    Step::Broken(reason) => Next::Broken(spot, reason),
                    Step::End => Next::End,
                })
            }
            Form::Table(reader) => {
                let Some(item) = reader.next() else {
                    return Ok(Next::End);
                };
                let (text, _) = item.map_err(|source| InputError::Table {
                    path: path.clone(),
                    source: Box::new(source),
                })?;
                into.extend_from_slice(text.as_bytes());
                self.number += 1;
                Ok(Next::Text(Spot {
                    unit: "row",
                    number: self.number,
                }))
            }
        }
    }
}

fn is_parquet(file: &mut File) -> io::Result<bool> {
    let mut magic = [0; 4];
    let mut read = 0;
    while let Some(rest) = magic.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read(rest)? {
            0 => break,
            count => read += count,
        }
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(magic == *b"PAR1")
}

/// Says whether a text is NDJSON: by its name, or because its first line is an object and not the last line.
fn is_lines(path: &Path, head: &[u8]) -> bool {
    let name = path.extension().and_then(|end| end.to_str());
    if let Some("ndjson" | "jsonl" | "ndgeojson" | "geojsonl") = name {
        return true;
    }
    let mut lines = head
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| !line.trim_ascii().is_empty());
    let first = lines.next().unwrap_or_default().trim_ascii();
    let next = lines.next().map(<[u8]>::trim_ascii_start);
    first.ends_with(b"}") && next.is_some_and(|line| line.starts_with(b"{"))
}

fn next_line(
    input: &mut Box<dyn BufRead + Send>,
    number: &mut u64,
    into: &mut Vec<u8>,
) -> io::Result<Next> {
    loop {
        let begin = into.len();
        let limit = MAX_BYTES as u64 + 2;
        let read = input.by_ref().take(limit).read_until(b'\n', into)?;
        if read == 0 {
            return Ok(Next::End);
        }
        *number += 1;
        let spot = Spot {
            unit: "line",
            number: *number,
        };
        if read as u64 == limit && into.last() != Some(&b'\n') {
            input.skip_until(b'\n')?;
            return Ok(Next::TooLong(spot));
        }
        let line = into.get(begin..).unwrap_or_default();
        if !line.trim_ascii().is_empty() {
            return Ok(Next::Text(spot));
        }
        into.truncate(begin);
    }
}
