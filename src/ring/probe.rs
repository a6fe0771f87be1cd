//! Whether this kernel lets us use `io_uring`: found out by using it.
//!
//! Version numbers do not tell: seccomp profiles, sysctls and sandboxes refuse rings on the newest kernels. The
//! probe sets up a ring with the flags a worker uses and runs every operation a worker uses.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use super::direct::{Direct, Event, Tag};
use super::engine::Engine;
use super::host::{Host, Seccomp};
use super::lease::Lease;
use super::op;
use super::pool::Pool;
use super::runtime::Runtime;
use super::stream::Stream;
use crate::bytesize::ByteSize;
use crate::peer::Side;

/// What is moved.
const WORD: &[u8] = b"ringside";

/// How long the probe may take before the ring counts as broken.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a ring was refused at, and why that may be.
#[derive(Clone, Debug)]
pub struct Refused {
    step: &'static str,
    error: Arc<io::Error>,
    causes: Vec<Cause>,
}

/// One thing that may have refused the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// What refuses, with the evidence for it.
    pub what: String,
    /// What to change.
    pub remedy: &'static str,
}

/// Sets up a ring and does everything on it that a worker does.
///
/// # Errors
/// Whatever the kernel refuses.
pub fn io_uring() -> Result<(), Refused> {
    // A thread of its own: the ring belongs to the thread that makes it, and this one may be inside a runtime.
    std::thread::spawn(exercise)
        .join()
        .unwrap_or_else(|_| Err(("run", io::Error::other("the probe panicked"))))
        .map_err(|(step, error)| Refused::new(step, error, &Host::look()))
}

fn exercise() -> Result<(), (&'static str, io::Error)> {
    let runtime = Runtime::new(Engine::IoUring, 1).map_err(|error| ("set up a ring", error))?;
    let step = Cell::new("");
    runtime.block_on(async {
        let done = tokio::time::timeout(PATIENCE, converse(&step)).await;
        done.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(|error| (step.get(), error))
    })
}

/// One connection over a socket that needs neither a file nor a network, from its accept to a cancelled wait. Leaves the
/// step that is under way in `step`.
async fn converse(step: &Cell<&'static str>) -> io::Result<()> {
    step.set("listen on a Unix socket");
    let listener = Rc::new(Socket::new(Domain::UNIX, Type::STREAM, None)?);
    // Bound to nothing in particular, it gets an abstract address that is free.
    listener.bind(&SockAddr::unix("")?)?;
    listener.listen(1)?;
    let address = listener.local_addr()?;
    step.set("accept and connect");
    let accepting = async { op::accept(&listener).await.0.and_then(op::accepted).inspect_err(|_| step.set("accept")) };
    let connecting = async { Stream::connect(Engine::IoUring, address).await.inspect_err(|_| step.set("connect")) };
    let (accepted, near) = tokio::try_join!(accepting, connecting)?;
    let far = Stream::new(Engine::IoUring, accepted)?;

    step.set("send");
    let pool = Pool::new(ByteSize::bytes(0), Box::new(|| ()));
    let mut lease = pool.lend().await;
    lease.append(WORD);
    near.send(lease).await.0?;
    step.set("poll");
    far.readable().await?;
    step.set("receive");
    let (received, lease) = far.recv(pool.lend().await, WORD.len()).await;
    received?;
    if lease.bytes() != WORD {
        return Err(io::Error::other("other bytes than were sent"));
    }

    step.set("set up a ring for relaying");
    relay(near, far, pool.lend().await, step)?;

    step.set("cancel");
    let waiting = op::poll_readable(&listener);
    op::cancel_all(&listener);
    match waiting.await.0 {
        Err(error) if error.raw_os_error() == Some(libc::ECANCELED) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(io::Error::other("the wait was not cancelled")),
    }
}

/// Moves a word on a ring for relaying. Both streams have nothing in flight.
fn relay(near: Stream, far: Stream, mut lease: Lease, step: &Cell<&'static str>) -> io::Result<()> {
    let mut ring = Direct::new()?;
    let [near, far] = [near, far].map(|stream| stream.into_direct().1);
    let tag = |seat| Tag { seat, side: Side::App };
    lease.append(WORD);
    ring.send(tag(0), &near, lease, ());
    ring.receive(tag(1), &far, false);
    let until = Instant::now() + PATIENCE;
    let (mut sent, mut received) = (false, false);
    while !(sent && received) && Instant::now() < until {
        step.set("enter a ring for relaying");
        ring.turn(Some(PATIENCE))?;
        while let Some(event) = ring.event() {
            match event {
                Event::Sent(_, result, ..) => sent = inspect(step, "send while relaying", result)? == WORD.len(),
                Event::Received(_, result) => {
                    let buffer = inspect(step, "receive into a provided buffer", result)?;
                    received = buffer.is_some_and(|mut buffer| buffer.window().bytes() == WORD);
                }
            }
        }
    }
    if sent && received { Ok(()) } else { Err(io::Error::other("other bytes than were sent, or none")) }
}

/// Names the step that a result is of.
fn inspect<T>(step: &Cell<&'static str>, name: &'static str, result: io::Result<T>) -> io::Result<T> {
    step.set(name);
    result
}

/// The likely causes of `error`, the likeliest first.
fn causes(error: &io::Error, host: &Host) -> Vec<Cause> {
    let sysctl = (!host.is_enabled()).then(|| Cause {
        what: format!("the sysctl kernel.io_uring_disabled is {}", host.disabled.unwrap_or_default()),
        remedy: "set it to 0; or to 1, and kernel.io_uring_group to a group of this process",
    });
    let seccomp = (host.seccomp == Some(Seccomp::Filter)).then(|| Cause {
        what: "a seccomp filter is on this process; the default profiles of Docker and containerd refuse io_uring"
            .into(),
        remedy: "run with a profile that allows io_uring_setup, io_uring_enter and io_uring_register, as sidecar/deploy/seccomp does",
    });
    let kernel = Cause {
        what: format!("kernel {} may lack io_uring or flags we use; 6.1 has all", host.release),
        remedy: "run a kernel of version 6.1 or newer; sandboxes such as gVisor have no io_uring",
    };
    let memlock = Cause {
        what: "the memory that may be locked (RLIMIT_MEMLOCK) or the memory cgroup is too small for a ring".into(),
        remedy: "raise LimitMEMLOCK or the container's memory limit",
    };
    let ranked = match error.raw_os_error() {
        Some(libc::ENOMEM | libc::ENOBUFS) => [Some(memlock), None, None],
        Some(libc::EINVAL) => [Some(kernel), seccomp, None],
        Some(libc::ENOSYS) => [seccomp, Some(kernel), None],
        _ => [sysctl, seccomp, Some(kernel)],
    };
    ranked.into_iter().flatten().collect()
}

impl Refused {
    /// The kernel answered `step` with `error`, on this host.
    pub fn new(step: &'static str, error: io::Error, host: &Host) -> Self {
        Self { step, causes: causes(&error, host), error: Arc::new(error) }
    }

    /// What could not be done: `set up a ring`.
    pub const fn step(&self) -> &'static str {
        self.step
    }

    /// What the kernel said to that.
    pub fn error(&self) -> &io::Error {
        &self.error
    }

    /// The likely causes, the likeliest first.
    pub fn causes(&self) -> &[Cause] {
        &self.causes
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.step, self.error)
    }
}

impl std::error::Error for Refused {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.error)
    }
}

#[cfg(test)]
mod tests {
    use std::{io, thread};

    use super::super::host::tests::plain;
    use super::super::host::{Host, Seccomp};
    use super::super::usage::{Operation, of_this_thread};
    use super::{causes, exercise};

    fn host(disabled: Option<u8>, seccomp: Seccomp) -> Host {
        Host { disabled, seccomp: Some(seccomp), ..plain() }
    }

    #[test]
    fn names_the_likeliest_cause_first() {
        let first = |errno, host: &Host| causes(&io::Error::from_raw_os_error(errno), host)[0].what.clone();
        assert!(first(libc::EPERM, &host(Some(2), Seccomp::Filter)).contains("io_uring_disabled is 2"));
        assert!(first(libc::EPERM, &host(Some(0), Seccomp::Filter)).contains("seccomp"));
        assert!(first(libc::ENOSYS, &host(None, Seccomp::Filter)).contains("seccomp"));
        assert!(first(libc::ENOSYS, &host(None, Seccomp::Off)).contains("kernel 5.15.0"));
        assert!(first(libc::EINVAL, &host(Some(0), Seccomp::Off)).contains("6.1"));
        assert!(first(libc::ENOMEM, &host(Some(0), Seccomp::Filter)).contains("MEMLOCK"));
        let member = Host { in_group: true, ..host(Some(1), Seccomp::Filter) };
        assert!(first(libc::EPERM, &member).contains("seccomp"), "the sysctl lets its group pass");
    }

    #[test]
    fn does_all_that_a_worker_does() {
        let asked = thread::spawn(|| {
            let refused = exercise().err();
            let usage = of_this_thread();
            (refused, Operation::ALL.map(|operation| usage.operations(operation)))
        });
        let (refused, asked) = asked.join().expect("no panic");
        match refused {
            None => assert!(asked.iter().all(|times| *times > 0), "{asked:?} of {:?}", Operation::ALL),
            Some((step, error)) => assert!(step == "set up a ring", "it gets a ring and then cannot {step}: {error}"),
        }
    }
}
