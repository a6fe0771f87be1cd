//! Bytes on their way out, in buffers that an idle connection does not keep.

use std::mem;

/// A buffer that is filled from its start. Its memory stays as it is when it goes back, so none of it is zeroed twice.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    bytes: Vec<u8>,
    filled: usize,
}

impl Outgoing {
    pub(super) fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// What is in it.
    pub(super) fn filled(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    /// Room for so many bytes behind what is in it.
    pub(super) fn room(&mut self, length: usize) -> &mut [u8] {
        let end = self.filled + length;
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        &mut self.bytes[self.filled..end]
    }

    /// Tells that so many bytes of the room were written.
    pub(super) fn fill(&mut self, length: usize) {
        self.filled += length;
        debug_assert!(self.filled <= self.bytes.len(), "only what there was room for");
    }

    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.room(bytes.len()).copy_from_slice(bytes);
        self.fill(bytes.len());
    }
}

/// Buffers that wait for their next use, whoever needs one.
#[derive(Default)]
pub(super) struct Spare {
    buffers: Vec<Outgoing>,
    /// Bytes in all of them.
    kept: usize,
}

impl Spare {
    /// Most bytes that are kept.
    const MOST: usize = 16 << 20;

    /// Gives `buffer` memory if it has none and there is some.
    pub(super) fn lend(&mut self, buffer: &mut Outgoing) {
        if buffer.bytes.capacity() == 0
            && let Some(spare) = self.buffers.pop()
        {
            self.kept -= spare.bytes.capacity();
            *buffer = spare;
        }
    }

    /// Empties `buffer` and takes its memory.
    pub(super) fn take_back(&mut self, buffer: &mut Outgoing) {
        let mut spare = mem::take(buffer);
        let capacity = spare.bytes.capacity();
        if capacity > 0 && self.kept + capacity <= Self::MOST {
            spare.filled = 0;
            self.kept += capacity;
            self.buffers.push(spare);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Outgoing, Spare};

    #[test]
    fn what_was_in_a_buffer_before_does_not_come_out() {
        let (mut spare, mut first, mut second) = (Spare::default(), Outgoing::default(), Outgoing::default());
        first.extend(b"something long");
        spare.take_back(&mut first);
        assert!(first.is_empty());
        spare.lend(&mut second);
        second.room(9)[..5].copy_from_slice(b"short");
        second.fill(5);
        assert_eq!(second.filled(), b"short");
        assert_eq!(spare.kept, 0);
    }
}
