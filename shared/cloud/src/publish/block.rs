//! Memory for bytes on their way to a disk: aligned as direct writes need it, and used again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of one block.
pub(super) const BLOCK_BYTES: usize = 1 << 20;
/// What offset, length and address of a direct write are multiples of, on every disk in use.
pub(super) const ALIGNMENT: usize = 4096;
/// Blocks that all staged files of a folder may fill before the first of them goes to its file.
const POOL_BLOCKS: usize = 32;

/// Blocks that are free, and the number of those in use.
#[derive(Debug, Default)]
pub(super) struct Pool {
    free: Mutex<Vec<Vec<u8>>>,
    taken: AtomicUsize,
}

impl Pool {
    /// Returns an empty block, if memory for one more is left.
    pub(super) fn take(self: &Arc<Self>) -> Option<Block> {
        let left = |taken: usize| (taken < POOL_BLOCKS).then_some(taken + 1);
        let taken = self
            .taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left);
        taken.is_ok().then(|| self.block())
    }

    /// Returns an empty block whatever is taken: every file needs one.
    pub(super) fn take_one(self: &Arc<Self>) -> Block {
        self.taken.fetch_add(1, Ordering::Relaxed);
        self.block()
    }

    fn block(self: &Arc<Self>) -> Block {
        let memory = self.free().pop();
        let memory = memory.unwrap_or_else(|| vec![0; BLOCK_BYTES + ALIGNMENT]);
        let lead = memory.as_ptr().align_offset(ALIGNMENT);
        Block {
            // Not aligned at all is slower, not wrong.
            lead: if lead < ALIGNMENT { lead } else { 0 },
            memory,
            length: 0,
            pool: Arc::clone(self),
        }
    }

    fn free(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Up to [`BLOCK_BYTES`] bytes of a file.
#[derive(Debug)]
pub(super) struct Block {
    memory: Vec<u8>,
    /// Bytes before the first aligned address.
    lead: usize,
    length: usize,
    pool: Arc<Pool>,
}

impl Block {
    /// Takes as many bytes as there is room for; returns the rest.
    pub(super) fn append<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let taken = bytes.len().min(BLOCK_BYTES - self.length);
        let (fitting, rest) = bytes.split_at(taken);
        let start = self.lead + self.length;
        if let Some(room) = self.memory.get_mut(start..start + taken) {
            room.copy_from_slice(fitting);
        }
        self.length += taken;
        rest
    }

    pub(super) fn is_full(&self) -> bool {
        self.length == BLOCK_BYTES
    }

    /// The bytes taken.
    pub(super) fn bytes(&self) -> &[u8] {
        let taken = self.memory.get(self.lead..self.lead + self.length);
        taken.unwrap_or_default()
    }

    /// The bytes taken, followed by zeros up to a multiple of [`ALIGNMENT`].
    pub(super) fn padded(&mut self) -> &[u8] {
        let (end, padded) = (self.length, self.length.next_multiple_of(ALIGNMENT));
        let memory = self.memory.get_mut(self.lead..self.lead + padded);
        let memory = memory.unwrap_or_default();
        if let Some(padding) = memory.get_mut(end..) {
            padding.fill(0);
        }
        memory
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let taken = self.pool.taken.fetch_sub(1, Ordering::Relaxed);
        let memory = std::mem::take(&mut self.memory);
        if taken <= POOL_BLOCKS {
            self.pool.free().push(memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_padded_and_used_again() {
        let pool = Arc::new(Pool::default());
        for fill in [1_u8, 2] {
            let mut block = pool.take().unwrap();
            assert_eq!(block.append(&[fill; 5000]), b"");
            assert_eq!(block.bytes(), [fill; 5000]);
            let padded = block.padded();
            assert_eq!(
                (padded.len(), padded.as_ptr().align_offset(4096)),
                (8192, 0)
            );
            assert!(padded[5000..].iter().all(|byte| *byte == 0));
            let much = vec![fill; BLOCK_BYTES];
            assert_eq!(block.append(&much).len(), 5000);
            assert!(block.is_full());
        }
        assert_eq!(pool.free().len(), 1);
    }

    #[test]
    fn a_file_gets_its_one_block_when_all_are_taken() {
        let pool = Arc::new(Pool::default());
        let taken: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
        assert_eq!(taken.len(), POOL_BLOCKS);
        drop(pool.take_one());
        assert!(pool.take().is_none());
        drop(taken);
        assert!(pool.take().is_some());
        assert_eq!(pool.free().len(), POOL_BLOCKS);
    }
}
