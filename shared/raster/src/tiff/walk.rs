//! Visits every directory once, and every chunk range of every image.

use std::collections::{BTreeSet, VecDeque};
use std::io::{Read, Seek};

use super::directory::{Directory, Encoding, Entry, Numbers, read_directory, read_header};
use super::image::{Image, tag};
use super::ranges::{Extent, check_chunks};
use crate::source::{Checked, Source, Stop, counted};
use crate::validate::Notes;
use crate::verdict::TiffReport;

/// Directories that one file may hold.
const MAX_DIRECTORIES: usize = 4096;
/// Entries that all directories together may hold: overlapping directories must not cost more than honest ones.
const MAX_ENTRIES_IN_ALL: usize = 1 << 18;
/// Bytes after the last known one that need no mention: padding, and GDAL's block trailer.
const QUIET_TRAILER: u64 = 16;

struct Walk {
    encoding: Encoding,
    /// Directories that were pointed to, and those that were read.
    seen: BTreeSet<u64>,
    visited: BTreeSet<u64>,
    queue: VecDeque<u64>,
    entries: usize,
    extent: Extent,
}

/// Walks the whole structure and returns the images in the order of the walk.
pub(super) fn walk<R: Read + Seek>(
    source: &mut Source<'_, R>,
    notes: &mut Notes,
    report: &mut TiffReport,
) -> Checked<Vec<Image>> {
    let (encoding, first) = read_header(source)?;
    report.bigtiff = encoding.bigtiff;
    report.big_endian = encoding.big_endian;
    let extent = Extent::new(encoding.header_bytes(), source.size());
    let mut walk = Walk {
        encoding,
        seen: BTreeSet::new(),
        visited: BTreeSet::new(),
        queue: VecDeque::new(),
        entries: 0,
        extent,
    };
    if first == 0 {
        return Err(Stop::malformed("the header points to no directory"));
    }
    walk.enqueue(first)?;
    let mut images = Vec::new();
    while let Some(at) = walk.queue.pop_front() {
        walk.visited.insert(at);
        let directory = walk.directory(source, at, notes)?;
        report.ifds += 1;
        let next = u64::try_from(images.len()).unwrap_or(u64::MAX);
        if let Some(mut image) = Image::read(source, encoding, &directory, next)? {
            describe(report, &image, &directory);
            image.sparse = check_chunks(source, &image, &mut walk.extent, notes, report)?;
            images.push(image);
        } else {
            notes.warn(format!("the directory at byte {at} holds no image"));
        }
        walk.follow(source, &directory, notes)?;
    }
    finish(&mut walk.extent, &images, source.size(), notes, report);
    Ok(images)
}

impl Walk {
    fn enqueue(&mut self, at: u64) -> Checked<()> {
        if at < self.encoding.header_bytes() {
            return Err(Stop::malformed(format!(
                "a directory is said to be at byte {at}, within the header"
            )));
        }
        if self.visited.contains(&at) {
            return Err(Stop::malformed(format!(
                "the directories form a loop: one points back to byte {at}"
            )));
        }
        // Writers of pyramids list sub-images and chain them as well, so a second way to one is no loop yet.
        if !self.seen.insert(at) {
            return Ok(());
        }
        if self.seen.len() > MAX_DIRECTORIES {
            return Err(Stop::malformed(format!(
                "the file holds more than {MAX_DIRECTORIES} directories"
            )));
        }
        self.queue.push_back(at);
        Ok(())
    }

    fn directory<R: Read + Seek>(
        &mut self,
        source: &mut Source<'_, R>,
        at: u64,
        notes: &mut Notes,
    ) -> Checked<Directory> {
        let directory = read_directory(source, self.encoding, at)?;
        self.entries += directory.entries.len();
        if self.entries > MAX_ENTRIES_IN_ALL {
            return Err(Stop::malformed(format!(
                "the directories hold more than {MAX_ENTRIES_IN_ALL} entries"
            )));
        }
        self.extent.reach(directory.end);
        for entry in &directory.entries {
            self.extent.reach(entry.end().unwrap_or_default());
        }
        for oddity in &directory.oddities {
            notes.warn(oddity.clone());
        }
        Ok(directory)
    }

    /// Queues what the directory points to: the next one and its sub-images.
    fn follow<R: Read + Seek>(
        &mut self,
        source: &mut Source<'_, R>,
        directory: &Directory,
        notes: &mut Notes,
    ) -> Checked<()> {
        if let Some(children) = directory.get(tag::SUB_IFDS) {
            self.children(source, *children)?;
        }
        for tag in [tag::EXIF, tag::GPS] {
            if let Some(entry) = directory.get(tag) {
                self.metadata(source, *entry, notes)?;
            }
        }
        if directory.next != 0 {
            self.enqueue(directory.next)?;
        }
        Ok(())
    }

    fn children<R: Read + Seek>(
        &mut self,
        source: &mut Source<'_, R>,
        entry: Entry,
    ) -> Checked<()> {
        let mut offsets = Numbers::new(entry, self.encoding)?;
        while let Some(at) = offsets.next(source)? {
            if at != 0 {
                self.enqueue(at)?;
            }
        }
        Ok(())
    }

    /// Camera and position metadata: no reader needs them for pixels, so faults in them are only odd.
    fn metadata<R: Read + Seek>(
        &mut self,
        source: &mut Source<'_, R>,
        entry: Entry,
        notes: &mut Notes,
    ) -> Checked<()> {
        let at = match Numbers::new(entry, self.encoding) {
            Ok(mut offsets) => offsets.next(source)?,
            Err(_) => None,
        };
        let Some(at) = at else { return Ok(()) };
        match self.directory(source, at, notes) {
            Ok(_) => Ok(()),
            Err(Stop::Verdict { reason, .. }) => {
                notes.warn(format!(
                    "the metadata of tag {} cannot be read: {reason}",
                    entry.tag
                ));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

fn describe(report: &mut TiffReport, image: &Image, directory: &Directory) {
    if report.images == 0 {
        report.width = image.width;
        report.height = image.height;
        report.compression = image.compression;
        report.cloud_optimized = image.grid.tiled && directory.get(tag::TILE_OFFSETS).is_some();
    }
    report.images += 1;
}

fn finish(
    extent: &mut Extent,
    images: &[Image],
    size: u64,
    notes: &mut Notes,
    report: &mut TiffReport,
) {
    let (overlapping, shared) = extent.overlaps();
    report.overlapping = overlapping;
    report.shared = shared;
    if overlapping > 0 {
        notes.warn(format!(
            "{} overlaps another's bytes",
            counted(overlapping, "chunk")
        ));
    }
    report.trailing_bytes = size.saturating_sub(extent.end());
    if report.trailing_bytes > QUIET_TRAILER {
        notes.warn(format!(
            "{} bytes follow the last one that a directory refers to",
            report.trailing_bytes
        ));
    }
    let before_data = images.iter().all(|image| image.at < extent.first_data());
    let others_reduced = images
        .iter()
        .skip(1)
        .all(|image| image.grid.tiled || image.reduced);
    report.cloud_optimized &= before_data && others_reduced;
}
