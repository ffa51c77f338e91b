//! What the process says to its caller when it ends.

/// How a command ended; the numbers are part of the interface and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All that was asked is done.
    Done = 0,
    /// A fault of swath itself.
    Internal = 1,
    /// The command line cannot be understood.
    Usage = 2,
    /// The areas or the job cannot be used: unreadable file, no usable area, unknown asset key, bad datetime.
    Input = 3,
    /// The catalog cannot be reached, or is none.
    Catalog = 4,
    /// Nothing matches.
    Empty = 5,
    /// The output folder or the lake cannot be written.
    Output = 6,
    /// Done, but some areas, items or assets failed; each is named in the output and in the tables.
    Partial = 7,
    /// The deployment on AWS cannot be reached, or is none, or is not well.
    Deployment = 8,
    /// Interrupted; what was finished is kept, and the same command goes on from there.
    Interrupted = 130,
}

impl Exit {
    /// Returns the process's exit code.
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// The list of codes that `--help` shows.
pub const HELP: &str = "Exit codes:
  0    done
  1    a fault of swath itself
  2    the command line cannot be understood
  3    the areas or the job cannot be used (unreadable file, no usable area, unknown asset key, bad datetime)
  4    the catalog cannot be reached, or is none
  5    nothing matches
  6    the output cannot be written
  7    done, but some areas, items or assets failed: each is named
  8    the deployment on AWS cannot be reached, is none, or is not well
  130  interrupted; the same command goes on from there";
