//! Whether this kernel lets us use `io_uring`: found out by using it.
//!
//! Version numbers do not tell: seccomp profiles, sysctls and sandboxes refuse rings on the newest kernels. The
//! probe sets up a ring with the flags a worker uses and runs the operations a connection uses.

use std::fmt;
use std::io;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::engine::Engine;
use super::pool::Pool;
use super::runtime::Runtime;
use super::stream::Stream;
use crate::bytesize::ByteSize;

/// How long the probe may take before the ring counts as broken.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a ring was refused at, and why that may be.
#[derive(Debug)]
pub struct Refused {
    step: &'static str,
    error: io::Error,
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

/// Sets up a ring and moves bytes through it.
///
/// # Errors
/// Whatever the kernel refuses.
pub fn io_uring() -> Result<(), Refused> {
    // A thread of its own: the ring belongs to the thread that makes it, and this one may be inside a runtime.
    std::thread::spawn(exercise)
        .join()
        .unwrap_or_else(|_| Err(("run", io::Error::other("the probe panicked"))))
        .map_err(|(step, error)| Refused { step, causes: causes(&error, &Host::look()), error })
}

fn exercise() -> Result<(), (&'static str, io::Error)> {
    let runtime = Runtime::new(Engine::IoUring, 1).map_err(|error| ("set up a ring", error))?;
    let (near, far) = Socket::pair(Domain::UNIX, Type::STREAM, None).map_err(|error| ("make a socket pair", error))?;
    runtime.block_on(async {
        tokio::time::timeout(PATIENCE, echo(near, far))
            .await
            .unwrap_or_else(|_| Err(("move bytes", io::ErrorKind::TimedOut.into())))
    })
}

async fn echo(near: Socket, far: Socket) -> Result<(), (&'static str, io::Error)> {
    const WORD: &[u8] = b"ringside";
    let pool = Pool::new(ByteSize::bytes(0), Box::new(|| ()));
    let near = Stream::new(Engine::IoUring, near).map_err(|error| ("take a socket", error))?;
    let far = Stream::new(Engine::IoUring, far).map_err(|error| ("take a socket", error))?;
    let mut lease = pool.lend().await;
    lease.append(WORD);
    let (sent, _) = near.send(lease).await;
    sent.map_err(|error| ("send", error))?;
    far.readable().await.map_err(|error| ("poll", error))?;
    let (received, lease) = far.recv(pool.lend().await, WORD.len()).await;
    received.map_err(|error| ("receive", error))?;
    if lease.bytes() != WORD {
        return Err(("receive", io::Error::other("other bytes than were sent")));
    }
    Ok(())
}

/// What the host says about itself.
struct Host {
    /// `kernel.io_uring_disabled`, where the kernel has it.
    disabled: Option<u8>,
    /// Whether a seccomp filter is on this process.
    seccomp: bool,
    /// Kernel release.
    release: String,
}

impl Host {
    fn look() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        Self {
            disabled: read("/proc/sys/kernel/io_uring_disabled").trim().parse().ok(),
            seccomp: read("/proc/self/status")
                .lines()
                .any(|line| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() == "2")),
            release: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

/// The likely causes of `error`, the likeliest first.
fn causes(error: &io::Error, host: &Host) -> Vec<Cause> {
    let sysctl = host.disabled.filter(|level| *level > 0).map(|level| Cause {
        what: format!("the sysctl kernel.io_uring_disabled is {level}"),
        remedy: "set it to 0; or at 1, add our group to kernel.io_uring_group",
    });
    let seccomp = host.seccomp.then(|| Cause {
        what: "a seccomp filter is on this process; the default profiles of Docker and containerd refuse io_uring"
            .into(),
        remedy: "run with a profile that allows io_uring_setup, io_uring_enter and io_uring_register",
    });
    let kernel = Cause {
        what: format!("kernel {} may lack io_uring or flags we use; 6.0 has all", host.release),
        remedy: "run a kernel of version 6.0 or newer; sandboxes such as gVisor have no io_uring",
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
        Some(&self.error)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{Host, causes};

    fn host(disabled: Option<u8>, seccomp: bool) -> Host {
        Host { disabled, seccomp, release: "5.15.0".into() }
    }

    #[test]
    fn names_the_likeliest_cause_first() {
        let first = |errno, host: &Host| causes(&io::Error::from_raw_os_error(errno), host)[0].what.clone();
        assert!(first(libc::EPERM, &host(Some(2), true)).contains("io_uring_disabled is 2"));
        assert!(first(libc::EPERM, &host(Some(0), true)).contains("seccomp"));
        assert!(first(libc::ENOSYS, &host(None, true)).contains("seccomp"));
        assert!(first(libc::ENOSYS, &host(None, false)).contains("kernel 5.15.0"));
        assert!(first(libc::EINVAL, &host(Some(0), false)).contains("6.0"));
        assert!(first(libc::ENOMEM, &host(Some(0), true)).contains("MEMLOCK"));
    }
}
