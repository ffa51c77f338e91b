//! A seekable file of known size, read by absolute offset and never past its end.

use std::io::{self, Read, Seek, SeekFrom};

use crate::verdict::Code;

/// Ends a check: the file is bad or cannot be verified (`Verdict`), or it could not be read at all (`Io`).
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stop {
    /// The source failed; nothing can be said about the file.
    #[error("cannot read the source")]
    Io(#[from] io::Error),
    /// The check is over with this code and reason.
    #[error("{code}: {reason}")]
    Verdict {
        /// What the verdict will carry.
        code: Code,
        /// What, which and the limit.
        reason: String,
    },
}

impl Stop {
    pub(crate) fn new(code: Code, reason: impl Into<String>) -> Self {
        Self::Verdict {
            code,
            reason: reason.into(),
        }
    }

    pub(crate) fn truncated(reason: impl Into<String>) -> Self {
        Self::new(Code::Truncated, reason)
    }

    pub(crate) fn malformed(reason: impl Into<String>) -> Self {
        Self::new(Code::Malformed, reason)
    }

    pub(crate) fn undecodable(reason: impl Into<String>) -> Self {
        Self::new(Code::DecodeFailed, reason)
    }
}

pub(crate) type Checked<T> = Result<T, Stop>;

/// Reads byte ranges of one file.
#[derive(Debug)]
pub(crate) struct Source<'a, R> {
    inner: &'a mut R,
    size: u64,
}

impl<'a, R: Read + Seek> Source<'a, R> {
    pub(crate) fn new(inner: &'a mut R) -> io::Result<Self> {
        let size = inner.seek(SeekFrom::End(0))?;
        Ok(Self { inner, size })
    }

    /// The size of the file in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The bytes from `offset` to the end; none if it lies past the end.
    pub(crate) fn left(&self, offset: u64) -> u64 {
        self.size.saturating_sub(offset)
    }

    /// Fills as much of `buf` as the file holds from `offset` on and returns that many bytes.
    pub(crate) fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let wanted =
            usize::try_from(self.left(offset)).map_or(buf.len(), |left| left.min(buf.len()));
        let Some(target) = buf.get_mut(..wanted) else {
            return Ok(0);
        };
        if wanted > 0 {
            self.inner.seek(SeekFrom::Start(offset))?;
            self.inner.read_exact(target)?;
        }
        Ok(wanted)
    }

    /// Reads `N` bytes, or none if the file ends before.
    pub(crate) fn array_at<const N: usize>(&mut self, offset: u64) -> io::Result<Option<[u8; N]>> {
        let mut bytes = [0; N];
        let read = self.read_at(offset, &mut bytes)?;
        Ok((read == N).then_some(bytes))
    }

    /// Reads up to `limit` bytes; callers pass constants or lengths already compared with the file's.
    pub(crate) fn up_to(&mut self, offset: u64, limit: usize) -> io::Result<Vec<u8>> {
        let length = usize::try_from(self.left(offset)).map_or(limit, |left| left.min(limit));
        let mut bytes = vec![0; length];
        let read = self.read_at(offset, &mut bytes)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// Reads up to the last `limit` bytes of the file.
    pub(crate) fn tail(&mut self, limit: usize) -> io::Result<Vec<u8>> {
        let start = u64::try_from(limit).map_or(0, |limit| self.size.saturating_sub(limit));
        self.up_to(start, limit)
    }
}

/// Writes a size as people say it.
pub(crate) fn human(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} bytes");
    }
    let (mut whole, mut tenth, mut unit) = (bytes, 0, "bytes");
    for name in UNITS {
        if whole < 1000 {
            break;
        }
        tenth = whole % 1000 / 100;
        whole /= 1000;
        unit = name;
    }
    if whole < 10 {
        format!("{whole}.{tenth} {unit}")
    } else {
        format!("{whole} {unit}")
    }
}

/// Says a count with its noun.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    if count == 1 {
        format!("1 {noun}")
    } else {
        format!("{count} {noun}s")
    }
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn sizes_are_said_in_the_largest_fitting_unit() {
        assert_eq!(human(0), "0 bytes");
        assert_eq!(human(999), "999 bytes");
        assert_eq!(human(1000), "1.0 kB");
        assert_eq!(human(41_300_000), "41 MB");
        assert_eq!(human(u64::MAX), "18446 PB");
    }
}
