//! Receive buffers that the kernel picks from, in a ring that both sides map.

use std::io;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::cqueue;
use io_uring::types::BufRingEntry;

use super::queue::{GROUP, Queue};

/// Buffers: more than the sockets of 100 connections, so that all of them may have something at once. A power of two.
const COUNT: u16 = 256;

/// Bytes of each: nearly four full TLS records.
const SIZE: usize = 64 << 10;

/// Where the kernel looks for the tail, in units of it: in a field of the first entry that has no other use.
const TAIL_AT: usize = 14 / size_of::<u16>();

/// The entries: they must start at a page, and fill just one.
#[repr(align(4096))]
#[expect(dead_code, reason = "it is written through a pointer, for the kernel to read")]
struct Page([u8; COUNT as usize * size_of::<BufRingEntry>()]);

/// A buffer that holds received bytes. Whoever has it is the only one to touch them.
#[derive(Debug)]
pub(in crate::floor) struct Lease {
    id: u16,
    length: usize,
}

/// All buffers. Their memory is never freed, because the kernel writes there at any time.
pub(super) struct Buffers {
    page: *mut Page,
    memory: *mut u8,
    tail: u16,
}

impl Buffers {
    pub(super) fn register(queue: &Queue) -> io::Result<Self> {
        let page: *mut Page = Box::leak(Box::new(Page([0; _])));
        let memory = vec![0_u8; usize::from(COUNT) * SIZE].leak().as_mut_ptr();
        #[expect(unsafe_code, reason = "the kernel keeps the address")]
        // SAFETY: there are COUNT zeroed entries at that address, from a page's start, and they are never freed.
        unsafe {
            queue.submitter().register_buf_ring(page as u64, COUNT, GROUP)?;
        }
        let mut buffers = Self { page, memory, tail: 0 };
        for id in 0..COUNT {
            buffers.give_back(Lease { id, length: 0 });
        }
        Ok(buffers)
    }

    /// The buffer that a completion has filled, if any.
    pub(super) fn lease(completion: &cqueue::Entry) -> Option<Lease> {
        let id = cqueue::buffer_select(completion.flags())?;
        let length = usize::try_from(completion.result()).ok()?;
        (id < COUNT && length <= SIZE).then_some(Lease { id, length })
    }

    pub(super) fn bytes(&mut self, lease: &mut Lease) -> &mut [u8] {
        #[expect(unsafe_code, reason = "the buffers are raw memory, of which a lease is a part")]
        // SAFETY: a lease is made only of the completion that ended the kernel's use of its buffer, and lies within the
        // memory. There is one lease of a buffer at a time, it cannot be cloned, and it is borrowed for as long as the
        // slice: so nobody else reads or writes these bytes.
        unsafe {
            std::slice::from_raw_parts_mut(self.memory.add(usize::from(lease.id) * SIZE), lease.length)
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "who gives back has it no longer")]
    #[expect(clippy::cast_possible_truncation, reason = "SIZE is a constant that fits")]
    pub(super) fn give_back(&mut self, lease: Lease) {
        #[expect(unsafe_code, reason = "the kernel reads the entry, and writes where it points to")]
        // SAFETY: the index is below COUNT. The kernel reads an entry only below the tail, which is moved afterwards;
        // with as many entries as buffers, the one at the tail is not in use. The address is that of the lease's buffer,
        // which nobody else uses: the lease ends here. The tail lies within the first entry, is aligned for a `u16`,
        // and is written by this thread alone, atomically, because the kernel reads it.
        unsafe {
            let entry = self.page.cast::<BufRingEntry>().add(usize::from(self.tail & (COUNT - 1)));
            (*entry).set_addr(self.memory.add(usize::from(lease.id) * SIZE) as u64);
            (*entry).set_len(SIZE as u32);
            (*entry).set_bid(lease.id);
            self.tail = self.tail.wrapping_add(1);
            let tail = self.page.cast::<u16>().add(TAIL_AT);
            AtomicU16::from_ptr(tail).store(self.tail, Ordering::Release);
        }
    }
}
