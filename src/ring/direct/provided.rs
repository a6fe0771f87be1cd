//! Buffers that the kernel picks from when there is something to receive: a provided buffer ring.
//!
//! ```text
//!   slots    0: home   1: home   2: away   3: home ...      away: filled, not given back yet
//!   ring     | 0 | 1 | 3 | . . . |                          what the kernel may pick, in its order
//!                  ^ picked       ^ tail: what is given back is put here
//! ```
//!
//! So a connection that waits for bytes holds none. There are few at first, and twice as many each time the kernel finds
//! none: as many as connections are busy at a time.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::RefCell;
use std::fmt;
use std::io;
use std::ops::Range;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

use crate::ring::shelf::CAPACITY;
use crate::window::Window;

/// Room in front of what is received, for what was left of the bytes before: all but the last byte of the longest TLS
/// record, and what a session holds back.
pub const ROOM: usize = 19 << 10;

/// Most bytes of one receive.
pub const MOST: usize = CAPACITY - ROOM;

/// The only group of buffers of a ring.
pub(super) const GROUP: u16 = 0;

/// Buffers at first.
const FIRST: u16 = 16;

/// Buffers at most (4.3 MiB). Each is in use only until what is in it has been opened or sealed into a lease, so these are
/// as many as can be received into in one turn; for who comes late there is the next.
const SLOTS: u16 = 64;

/// A buffer with what was received in it. The kernel gets it back when it is dropped.
pub struct Received {
    // Empty only while being dropped.
    buf: Box<[u8]>,
    filled: Range<usize>,
    slot: u16,
    returned: Returned,
}

/// Buffers that have come back, and their slots.
type Returned = Rc<RefCell<Vec<(u16, Box<[u8]>)>>>;

impl Received {
    /// What was received, with [`ROOM`] before it.
    pub fn window(&mut self) -> Window<'_> {
        Window::new(&mut self.buf, &mut self.filled)
    }

    /// Whether it is the end of the stream.
    pub fn is_empty(&self) -> bool {
        self.filled.is_empty()
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        self.returned.borrow_mut().push((self.slot, std::mem::take(&mut self.buf)));
    }
}

impl fmt::Debug for Received {
    /// Says how much was received, never what.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received").field("filled", &self.filled).finish_non_exhaustive()
    }
}

/// The ring of buffers, and the buffers.
pub(super) struct Provided {
    /// `SLOTS` entries that the kernel reads.
    entries: NonNull<BufRingEntry>,
    /// The buffers that are home. The kernel may write into those that are in the ring.
    home: Vec<Option<Box<[u8]>>>,
    returned: Returned,
    /// How many are not home.
    away: usize,
    tail: u16,
}

impl Provided {
    /// Registers a ring of buffers.
    pub(super) fn register(submitter: &Submitter<'_>) -> io::Result<Self> {
        let layout = Self::layout();
        #[expect(unsafe_code, reason = "the kernel wants whole pages")]
        // SAFETY: the layout has a size.
        let memory = unsafe { alloc_zeroed(layout) };
        let Some(entries) = NonNull::new(memory.cast()) else { handle_alloc_error(layout) };
        // From here on dropped, and with it freed, on every way out.
        let mut provided = Self { entries, home: Vec::new(), returned: Returned::default(), away: 0, tail: 0 };
        #[expect(unsafe_code, reason = "the kernel reads the entries until they are unregistered")]
        // SAFETY: the entries live as long as this value, which outlives the ring or is unregistered before.
        let registered = unsafe { submitter.register_buf_ring(entries.as_ptr() as u64, SLOTS, GROUP) };
        registered?;
        provided.grow_to(FIRST);
        provided.publish();
        Ok(provided)
    }

    fn layout() -> Layout {
        let page = rustix::param::page_size();
        Layout::array::<BufRingEntry>(SLOTS.into())
            .and_then(|layout| layout.align_to(page))
            .expect("a page is a power of two, and the entries are few")
    }

    /// The kernel has put `len` bytes into the buffer `slot`.
    pub(super) fn take(&mut self, slot: u16, len: usize) -> Option<Received> {
        let buf = self.home.get_mut(usize::from(slot))?.take()?;
        self.away += 1;
        Some(Received { buf, filled: ROOM..ROOM + len, slot, returned: Rc::clone(&self.returned) })
    }

    /// Whether there is no buffer to receive into, and will be none before one comes back.
    pub(super) fn is_dry(&self) -> bool {
        self.away == usize::from(SLOTS) && self.returned.borrow().is_empty()
    }

    /// The kernel found no buffer: from now on there are more, if there may be. Twice as many, however many receives have
    /// found none in a turn.
    pub(super) fn grow(&mut self) {
        if self.away == self.home.len() {
            let now = u16::try_from(self.home.len()).unwrap_or(SLOTS);
            self.grow_to(now.saturating_mul(2).min(SLOTS));
        }
    }

    fn grow_to(&mut self, count: u16) {
        for slot in u16::try_from(self.home.len()).unwrap_or(SLOTS)..count {
            self.home.push(None);
            self.offer(slot, vec![0; CAPACITY].into_boxed_slice());
        }
    }

    /// Puts a buffer behind those that the kernel may pick.
    fn offer(&mut self, slot: u16, mut buf: Box<[u8]>) {
        let address = buf[ROOM..].as_mut_ptr();
        let at = usize::from(self.tail % SLOTS);
        #[expect(unsafe_code, reason = "the ring is memory shared with the kernel")]
        // SAFETY: `at` is inside the entries, and the kernel reads none at or behind the tail that it was told. There is
        // room: each slot is offered once at a time, since its buffer is, and there are no more slots than entries.
        let entry = unsafe { &mut *self.entries.as_ptr().add(at) };
        entry.set_addr(address as u64);
        entry.set_len(u32::try_from(MOST).unwrap_or(u32::MAX));
        entry.set_bid(slot);
        self.tail = self.tail.wrapping_add(1);
        self.home[usize::from(slot)] = Some(buf);
    }

    /// Offers the buffers that have come back.
    pub(super) fn publish(&mut self) {
        let returned = Rc::clone(&self.returned);
        for (slot, buf) in returned.borrow_mut().drain(..) {
            self.away -= 1;
            self.offer(slot, buf);
        }
        #[expect(unsafe_code, reason = "the tail is memory shared with the kernel")]
        // SAFETY: the tail lies in the first entry, is aligned for its type, and the kernel only reads it.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.entries.as_ptr()).cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }
}

impl Drop for Provided {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "the counterpart of the allocation")]
        // SAFETY: allocated with the same layout, and not in use: the owner has unregistered the ring or closed it.
        unsafe {
            dealloc(self.entries.as_ptr().cast(), Self::layout());
        };
    }
}
