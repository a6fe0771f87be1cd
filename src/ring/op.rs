//! Our own one-shot operations on a worker's ring.
//!
//! tokio-uring 0.5 has no receive and send with flags, no poll and no cancel; it does have a public door for
//! any one-shot submission (`UnsubmittedOneshot`), which is safe to call and therefore leaves the argument to
//! us. It is the same for every operation here: what the submission points to is owned by the `data` that
//! travels with it; `data` is a `Box`, a `Lease` or an `Rc`, whose heap memory does not move; and it is given
//! up only by the completion. When the future is dropped first, tokio-uring keeps `data` until the completion.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::rc::Rc;

use io_uring::{cqueue, opcode, squeue, types};
use socket2::{SockAddr, Socket};
use tokio_uring::{InFlightOneshot, OneshotOutputTransform, UnsubmittedOneshot};

use super::lease::Lease;
use super::runtime::inside_runtime;
use super::usage::{self, Operation};

/// An operation in flight; yields its result and what was lent to it.
pub(super) type Op<D> = InFlightOneshot<D, Finish<D>>;

/// Splits a completion into its result and what was lent.
pub(super) struct Finish<D>(PhantomData<D>);

impl<D: 'static> OneshotOutputTransform for Finish<D> {
    type Output = (io::Result<usize>, D);
    type StoredData = D;

    fn transform_oneshot_output(self, data: D, cqe: cqueue::Entry) -> Self::Output {
        let result = cqe.result();
        match usize::try_from(result) {
            Ok(n) => (Ok(n), data),
            Err(_) => (Err(io::Error::from_raw_os_error(-result)), data),
        }
    }
}

fn submit<D: 'static>(operation: Operation, data: D, entry: squeue::Entry) -> Op<D> {
    usage::count(operation);
    UnsubmittedOneshot::new(data, Finish(PhantomData), entry).submit()
}

fn fd(socket: &Socket) -> types::Fd {
    types::Fd(socket.as_raw_fd())
}

/// Waits until `socket` is readable, at its end, or broken.
pub(super) fn poll_readable(socket: &Rc<Socket>) -> Op<Rc<Socket>> {
    let events = (libc::POLLIN | libc::POLLRDHUP).cast_unsigned().into();
    submit(Operation::Poll, Rc::clone(socket), opcode::PollAdd::new(fd(socket), events).build())
}

/// Receives what is there into the spare bytes of `lease`, at most `limit`; never waits.
pub(super) fn recv(socket: &Rc<Socket>, mut lease: Lease, limit: usize) -> Op<(Lease, Rc<Socket>)> {
    let spare = lease.spare(limit);
    let entry = opcode::Recv::new(fd(socket), spare.as_mut_ptr(), length(spare)).flags(libc::MSG_DONTWAIT).build();
    submit(Operation::Recv, (lease, Rc::clone(socket)), entry)
}

/// Sends from the filled bytes of `lease` as many as the kernel takes, at least one.
pub(super) fn send(socket: &Rc<Socket>, lease: Lease) -> Op<(Lease, Rc<Socket>)> {
    let bytes = lease.bytes();
    let entry = opcode::Send::new(fd(socket), bytes.as_ptr(), length(bytes)).flags(libc::MSG_NOSIGNAL).build();
    submit(Operation::Send, (lease, Rc::clone(socket)), entry)
}

/// Connects `socket` to `address`.
pub(super) fn connect(socket: &Rc<Socket>, address: SockAddr) -> Op<(Box<SockAddr>, Rc<Socket>)> {
    let address = Box::new(address);
    let entry = opcode::Connect::new(fd(socket), address.as_ptr().cast(), address.len()).build();
    submit(Operation::Connect, (address, Rc::clone(socket)), entry)
}

/// Waits for one connection.
pub(super) fn accept(listener: &Rc<Socket>) -> Op<Rc<Socket>> {
    let entry =
        opcode::Accept::new(fd(listener), std::ptr::null_mut(), std::ptr::null_mut()).flags(libc::SOCK_CLOEXEC).build();
    submit(Operation::Accept, Rc::clone(listener), entry)
}

/// Does nothing, and completes as soon as the ring is asked.
pub(super) async fn nothing() {
    // There is nothing that could fail but the ring, which others notice.
    let _ = UnsubmittedOneshot::new((), Finish(PhantomData), opcode::Nop::new().build()).submit().await;
}

/// Cancels whatever is in flight on `socket`, without waiting: the cancelled operations complete with an error of
/// their own. After the runtime has stopped, which cancels everything itself, this does nothing.
pub(super) fn cancel_all(socket: &Rc<Socket>) {
    if inside_runtime() {
        let entry = opcode::AsyncCancel2::new(types::CancelBuilder::fd(fd(socket)).all()).build();
        drop(submit(Operation::Cancel, Rc::clone(socket), entry));
    }
}

/// The socket that an accept completed with.
pub(super) fn accepted(descriptor: usize) -> io::Result<Socket> {
    let descriptor = i32::try_from(descriptor).map_err(io::Error::other)?;
    #[expect(unsafe_code, reason = "a completion carries a descriptor as a plain number")]
    // SAFETY: the kernel made this descriptor for the accept that returned it, and nobody else knows it.
    let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
    Ok(Socket::from(owned))
}

/// Lengths in submissions are 32 bits wide; a lease is far smaller.
fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}
