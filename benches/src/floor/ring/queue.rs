//! The two queues, and the bytes on their way out.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use io_uring::{IoUring, Submitter, cqueue, opcode, squeue, types};

use crate::floor::outgoing::Outgoing;

/// The number of the one group of receive buffers.
pub(super) const GROUP: u16 = 0;

/// Submissions that fit before they must go out.
const ENTRIES: u32 = 1024;

/// Completions that fit. More are kept by the kernel and come with the next wait.
const COMPLETIONS: u32 = 1 << 15;

/// What a completion is of. Its number and an index make the `user_data`.
const ACCEPT: u64 = 0;
const RECEIVE: u64 = 1;
const SEND: u64 = 2;

/// A completion, with what it sets free.
pub(super) enum Reaped {
    Accepted(io::Result<OwnedFd>),
    Received { index: usize, completion: cqueue::Entry },
    Sent { index: usize, bytes: Outgoing, all: bool },
}

pub(super) struct Queue {
    ring: IoUring,
    /// The completions of the last wait, the first one last.
    reaped: Vec<cqueue::Entry>,
    /// By index: what is being sent there. The kernel reads it until the send has completed.
    sending: Vec<Option<Outgoing>>,
}

impl Queue {
    pub(super) fn new() -> io::Result<Self> {
        let mut builder = IoUring::builder();
        builder.setup_single_issuer().setup_defer_taskrun().setup_submit_all().setup_cqsize(COMPLETIONS);
        Ok(Self { ring: builder.build(ENTRIES)?, reaped: Vec::new(), sending: Vec::new() })
    }

    pub(super) fn submitter(&self) -> Submitter<'_> {
        self.ring.submitter()
    }

    pub(super) fn push_accept(&mut self, listener: BorrowedFd<'_>) -> io::Result<()> {
        let accept = opcode::AcceptMulti::new(types::Fd(listener.as_raw_fd())).build().user_data(ACCEPT);
        #[expect(unsafe_code, reason = "the kernel acts on what an entry names")]
        // SAFETY: this accept names a socket and no memory: it asks for no address.
        unsafe {
            self.push(&accept)
        }
    }

    pub(super) fn push_receive(&mut self, index: usize, socket: BorrowedFd<'_>) -> io::Result<()> {
        let receive = opcode::RecvMulti::new(types::Fd(socket.as_raw_fd()), GROUP).build();
        #[expect(unsafe_code, reason = "the kernel acts on what an entry names")]
        // SAFETY: a multishot receive names a socket and a group of buffers, whose memory is never freed.
        unsafe {
            self.push(&receive.user_data(RECEIVE | (index as u64) << 2))
        }
    }

    /// Queues a send of `bytes`, which come back with its completion.
    pub(super) fn push_send(&mut self, index: usize, socket: BorrowedFd<'_>, bytes: Outgoing) -> io::Result<()> {
        if self.sending.len() <= index {
            self.sending.resize_with(index + 1, || None);
        }
        assert!(self.sending[index].is_none(), "what is being sent must not be freed");
        let bytes = self.sending[index].insert(bytes).filled();
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        let send = opcode::Send::new(types::Fd(socket.as_raw_fd()), bytes.as_ptr(), length)
            .flags(libc::MSG_WAITALL | libc::MSG_NOSIGNAL)
            .build()
            .user_data(SEND | (index as u64) << 2);
        #[expect(unsafe_code, reason = "the kernel reads the bytes that an entry names")]
        // SAFETY: the bytes are on the heap and owned by `sending`, whose growth moves the owner and not them. They leave
        // it only with the completion of this send, in `reaped`; nothing takes their place before, as asserted above;
        // and when this queue is dropped they are not freed.
        unsafe {
            self.push(&send)
        }
    }

    /// Queues an entry, and sends out what is queued when there is no room.
    ///
    /// # Safety
    ///
    /// Memory that the entry names stays valid until its completion.
    #[expect(unsafe_code, reason = "what an entry names is not borrowed by it")]
    unsafe fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        if self.ring.submission().is_full() {
            self.ring.submit()?;
        }
        // SAFETY: the caller's promise is passed on.
        unsafe { self.ring.submission().push(entry) }.map_err(io::Error::other)
    }

    /// Submits, sleeps until there is a completion, and takes all that are there.
    pub(super) fn wait(&mut self) -> io::Result<()> {
        match self.ring.submit_and_wait(1) {
            // Completions must be taken before more can be submitted.
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {}
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        self.reaped.extend(self.ring.completion());
        self.reaped.reverse();
        Ok(())
    }

    /// The next of those.
    pub(super) fn reaped(&mut self) -> Option<Reaped> {
        let completion = self.reaped.pop()?;
        let index = usize::try_from(completion.user_data() >> 2).ok()?;
        Some(match completion.user_data() & 3 {
            ACCEPT => Reaped::Accepted(accepted(&completion)),
            RECEIVE => Reaped::Received { index, completion },
            _ => {
                let bytes = self.sending[index].take().unwrap_or_default();
                let all = result(&completion).ok() == Some(bytes.filled().len());
                Reaped::Sent { index, bytes, all }
            }
        })
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // The kernel may read on for a while after the ring's descriptor is closed.
        self.sending.drain(..).for_each(mem::forget);
    }
}

/// What a completion tells: a count, or an error.
pub(super) fn result(completion: &cqueue::Entry) -> io::Result<usize> {
    usize::try_from(completion.result()).map_err(|_| io::Error::from_raw_os_error(-completion.result()))
}

/// The socket that the completion of an accept tells of.
fn accepted(completion: &cqueue::Entry) -> io::Result<OwnedFd> {
    result(completion)?;
    #[expect(unsafe_code, reason = "a descriptor comes as a number")]
    // SAFETY: the accept has succeeded, so the number is a new descriptor. Its completion was taken from the queue just
    // now, so nobody else makes an owner of it.
    Ok(unsafe { OwnedFd::from_raw_fd(completion.result()) })
}
