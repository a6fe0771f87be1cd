//! A ring without futures: operations go out with a tag and come back with it, many at a time.
//!
//! ```text
//!   receive(tag) --+                       +--> Received(tag, buffer)
//!   send(tag) -----+--> turn: one enter ---+--> Sent(tag, lease)
//! ```
//!
//! Completions are worked off by [`Direct::turn`] alone (`DEFER_TASKRUN`), so a thread that is busy is never interrupted
//! for one, and finds all of them together. A receive names no buffer; the kernel picks one when there is something to
//! put into it ([`provided`]).
//!
//! A ring of this kind does not tell epoll that it has work; it rings a bell instead, an eventfd on which a task of
//! the runtime waits.

pub mod provided;

use std::fmt;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use io_uring::types::{CancelBuilder, Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use rustix::event::{EventfdFlags, eventfd};
use slab::Slab;
use socket2::Socket;
use tokio::io::unix::AsyncFd;

use super::epoll;
use super::lease::Lease;
use super::usage::{self, Operation};
use crate::peer::Side;
use provided::{GROUP, Provided, Received};

/// Submissions that wait for the next turn; when it is full, they go to the kernel at once.
const SUBMISSIONS: u32 = 256;

/// Completions that fit. Past them the kernel keeps them aside, slowly but without loss.
const COMPLETIONS: u32 = 4096;

/// Marks completions that nobody waits for: of cancellations.
const NOBODY: u64 = u64::MAX;

/// `IORING_RECVSEND_POLL_FIRST` of `linux/io_uring.h`.
const POLL_FIRST: u16 = 1;

/// `IORING_ENTER_GETEVENTS` of `linux/io_uring.h`.
const GETEVENTS: u32 = 1;

/// How long the last operations may take to be cancelled.
const LAST: Duration = Duration::from_secs(1);

/// Whose an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Whose.
    pub seat: u32,
    /// On which of its sockets.
    pub side: Side,
}

/// An operation in flight: which of the receives, or of the sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flight(u32);

/// Marks the sends among the [`Flight`]s.
const SEND: u32 = 1 << 31;

/// What came back.
#[derive(Debug)]
pub enum Event<P> {
    /// A receive: bytes, the end of the stream (`None`), or an error. One that [calls for another
    /// try](calls_for_another_try) says that nothing was received yet.
    Received(Tag, io::Result<Option<Received>>),
    /// A send: how many bytes the kernel took, which are no longer filled, and what was put down with it.
    Sent(Tag, io::Result<usize>, Lease, P),
}

/// What a receive holds while the kernel has it.
struct Receiving {
    /// `None` when nobody waits for it any more.
    tag: Option<Tag>,
    /// Its descriptor must not become another's.
    _socket: Rc<Socket>,
}

/// What a send holds while the kernel has it.
struct Sending<P> {
    tag: Option<Tag>,
    _socket: Rc<Socket>,
    lease: Lease,
    note: P,
}

/// The ring. With each send a note of type `P` can be put down.
pub struct Direct<P> {
    ring: IoUring,
    receiving: Slab<Receiving>,
    sending: Slab<Sending<P>>,
    provided: ManuallyDrop<Provided>,
    bell: AsyncFd<OwnedFd>,
}

impl<P> Direct<P> {
    /// A ring for the calling thread, which must be inside a runtime.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn new() -> io::Result<Self> {
        let mut builder = IoUring::builder();
        builder.setup_single_issuer().setup_defer_taskrun().setup_cqsize(COMPLETIONS);
        let ring: IoUring = builder.build(SUBMISSIONS)?;
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let bell = epoll::watch(bell)?;
        let provided = ManuallyDrop::new(Provided::register(&ring.submitter())?);
        // From here on dropped as a ring is.
        let direct = Self { ring, receiving: Slab::new(), sending: Slab::new(), provided, bell };
        direct.ring.submitter().register_eventfd(direct.bell.as_raw_fd())?;
        Ok(direct)
    }

    /// Receives on `socket` what comes. `at_once` if something is there already.
    pub fn receive(&mut self, tag: Tag, socket: &Rc<Socket>, at_once: bool) -> Flight {
        let entry = opcode::Recv::new(Fd(socket.as_raw_fd()), std::ptr::null_mut(), 0)
            .buf_group(GROUP)
            .build()
            .flags(squeue::Flags::BUFFER_SELECT);
        let entry = if at_once { entry } else { poll_first(entry) };
        usage::count(Operation::Recv);
        let at = self.receiving.insert(Receiving { tag: Some(tag), _socket: Rc::clone(socket) });
        self.launch(number(at), entry)
    }

    /// Sends from the filled bytes of `lease` as many as the kernel takes, at least one. `note` comes back with it.
    pub fn send(&mut self, tag: Tag, socket: &Rc<Socket>, lease: Lease, note: P) -> Flight {
        let bytes = lease.bytes();
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let entry = opcode::Send::new(Fd(socket.as_raw_fd()), bytes.as_ptr(), length).flags(libc::MSG_NOSIGNAL).build();
        usage::count(Operation::Send);
        let at = self.sending.insert(Sending { tag: Some(tag), _socket: Rc::clone(socket), lease, note });
        self.launch(number(at) | SEND, entry)
    }

    /// Cancels an operation that has not come back. It never will.
    pub fn cancel(&mut self, Flight(flight): Flight) {
        let at = (flight & !SEND) as usize;
        let tag = match flight & SEND {
            0 => self.receiving.get_mut(at).map(|receiving| &mut receiving.tag),
            _ => self.sending.get_mut(at).map(|sending| &mut sending.tag),
        };
        if let Some(tag) = tag {
            *tag = None;
            usage::count(Operation::Cancel);
            self.push(&opcode::AsyncCancel::new(flight.into()).build().user_data(NOBODY));
        }
    }

    /// Whether all buffers are away: a receive would find none before one comes back.
    pub fn is_dry(&self) -> bool {
        self.provided.is_dry()
    }

    /// Submits what is to be submitted and waits for at most `patience` until something comes back. `None`: does not
    /// wait, but sees what has come. Then ask for the [`event`](Self::event)s.
    ///
    /// # Errors
    /// When the ring is broken.
    pub fn turn(&mut self, patience: Option<Duration>) -> io::Result<()> {
        self.provided.publish();
        usage::count(Operation::Enter);
        let entered = match patience {
            None => enter_now(&mut self.ring),
            Some(patience) => {
                let patience = Timespec::from(patience);
                self.ring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&patience))
            }
        };
        match entered {
            Ok(_) => Ok(()),
            // Time is up; a signal; completions that wait to be taken first; memory is short for the moment.
            Err(error) => match error.raw_os_error() {
                Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
                _ => Err(error),
            },
        }
    }

    /// Something that came back.
    pub fn event(&mut self) -> Option<Event<P>> {
        loop {
            let completion = self.ring.completion().next()?;
            if let Some(event) = self.land(&completion) {
                return Some(event);
            }
        }
    }

    /// Ready when the bell has rung since the last time: there may be something for a [`turn`](Self::turn).
    ///
    /// # Errors
    /// When the runtime is shutting down.
    pub fn poll_bell(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The count in the eventfd is of no interest, and each ring is a new edge: nothing has to be read.
        ready!(self.bell.poll_read_ready(cx))?.clear_ready();
        Poll::Ready(Ok(()))
    }

    /// Rings the bell.
    ///
    /// # Errors
    /// Those of `write(2)`.
    pub fn ring(&self) -> io::Result<()> {
        rustix::io::write(self.bell.get_ref(), &1_u64.to_ne_bytes())?;
        Ok(())
    }

    fn launch(&mut self, flight: u32, entry: squeue::Entry) -> Flight {
        self.push(&entry.user_data(flight.into()));
        Flight(flight)
    }

    fn push(&mut self, entry: &squeue::Entry) {
        loop {
            #[expect(unsafe_code, reason = "the kernel reads and writes what a submission points to")]
            // SAFETY: what it points to is a lease in `sending`, whose bytes do not move, and which is given up only by
            // the completion; or buffers of `provided`; or nothing. The descriptor is that of a socket that is held beside.
            let pushed = unsafe { self.ring.submission().push(entry) };
            if pushed.is_ok() {
                return;
            }
            // Full: what waits goes to the kernel. Should it take nothing now, it may after its completions are taken,
            // for which there is always room.
            usage::count(Operation::Enter);
            let _ = self.ring.submit();
        }
    }

    fn land(&mut self, completion: &cqueue::Entry) -> Option<Event<P>> {
        let flight = u32::try_from(completion.user_data()).ok()?;
        let result =
            usize::try_from(completion.result()).map_err(|_| io::Error::from_raw_os_error(-completion.result()));
        if flight & SEND != 0 {
            let Sending { tag, mut lease, note, .. } = self.sending.try_remove((flight & !SEND) as usize)?;
            lease.consume(result.as_ref().copied().unwrap_or(0));
            return Some(Event::Sent(tag?, result, lease, note));
        }
        let Receiving { tag, .. } = self.receiving.try_remove(flight as usize)?;
        let received = cqueue::buffer_select(completion.flags())
            .and_then(|slot| self.provided.take(slot, result.as_ref().copied().unwrap_or(0)))
            .filter(|received| !received.is_empty());
        if result.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::ENOBUFS)) {
            self.provided.grow();
        }
        Some(Event::Received(tag?, result.map(|_| received)))
    }

    /// Whether the kernel has nothing of ours but empty buffers.
    fn is_idle(&self) -> bool {
        self.receiving.is_empty() && self.sending.is_empty()
    }

    /// Cancels everything. Whether the kernel has given all up.
    fn clear(&mut self) -> bool {
        self.receiving.iter_mut().for_each(|(_, receiving)| receiving.tag = None);
        self.sending.iter_mut().for_each(|(_, sending)| sending.tag = None);
        let cancelled = self.ring.submitter().register_sync_cancel(Some(LAST.into()), CancelBuilder::any().all());
        let until = Instant::now() + LAST;
        while !self.is_idle() && Instant::now() < until {
            if self.turn(Some(LAST / 100)).is_err() {
                break;
            }
            while self.event().is_some() {}
        }
        self.is_idle() && cancelled.is_ok() && self.ring.submitter().unregister_buf_ring(GROUP).is_ok()
    }
}

impl<P> Drop for Direct<P> {
    fn drop(&mut self) {
        if self.clear() {
            #[expect(unsafe_code, reason = "the buffers go only if the kernel has given them up")]
            // SAFETY: not used after this.
            unsafe {
                ManuallyDrop::drop(&mut self.provided);
            };
        } else {
            // Better lost than written to by the kernel when they are somebody else's.
            std::mem::forget(std::mem::take(&mut self.receiving));
            std::mem::forget(std::mem::take(&mut self.sending));
        }
    }
}

impl<P> fmt::Debug for Direct<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Direct")
            .field("receiving", &self.receiving.len())
            .field("sending", &self.sending.len())
            .finish_non_exhaustive()
    }
}

/// The number of an operation: each is on a descriptor, of which there are fewer.
fn number(at: usize) -> u32 {
    u32::try_from(at).ok().filter(|number| number & SEND == 0).expect("fewer operations than descriptors")
}

/// Whether a receive that failed so has to be made again.
pub fn calls_for_another_try(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::EAGAIN | libc::EINTR))
}

/// Submits what is to be submitted, and has the kernel work off what has come, without waiting.
fn enter_now(ring: &mut IoUring) -> io::Result<usize> {
    let submissions = ring.submission().len();
    #[expect(unsafe_code, reason = "the crate has no enter that takes events without waiting for one")]
    // SAFETY: as many submissions as there are, and no argument.
    unsafe {
        ring.submitter().enter::<libc::sigset_t>(u32::try_from(submissions).unwrap_or(0), 0, GETEVENTS, None)
    }
}

/// Has a receive wait first, without looking whether something is there already: it knows that there is nothing.
fn poll_first(mut entry: squeue::Entry) -> squeue::Entry {
    #[expect(unsafe_code, reason = "the crate has no setter for this field of a receive")]
    // SAFETY: an entry is the kernel's `struct io_uring_sqe` (`repr(C)`), 64 bytes aligned for 8, whose `ioprio` are the
    // bytes 2 and 3.
    unsafe {
        (&raw mut entry).cast::<u16>().add(1).write(POLL_FIRST);
    };
    entry
}

#[cfg(test)]
mod tests;
