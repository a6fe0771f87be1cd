//! Openings compute one at a time, and the connections that are relayed have a turn in between.
//!
//! A handshake costs a signature, a key exchange and the check of a token: as much as two dozen echoes. When many clients come
//! at once, all of them are ready at once, and whoever is relayed on the same thread would wait for all. So an opening that
//! has received something waits in line, and each lets the loop turn before it goes on.
//!
//! ```text
//! without:  turn | hello | hello | hello | hello | turn
//! with:     turn | hello | turn | hello | turn | hello | turn | hello | turn
//! ```

use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::ring::engine::Engine;
use crate::ring::turn::turn;

/// Who comes so long after the one before needs no turn of its own: the loop has had one.
const APART: Duration = Duration::from_millis(1);

/// The line of a worker's openings.
#[derive(Debug)]
pub struct Gate {
    engine: Engine,
    apart: Duration,
    /// When the last one passed. First come, first served.
    last: Mutex<Option<Instant>>,
}

impl Gate {
    /// Nobody is in line.
    pub fn new(engine: Engine) -> Self {
        Self { engine, apart: APART, last: Mutex::new(None) }
    }

    /// Waits in line, then lets the loop turn. What the caller does until it waits for something else, it does alone.
    pub async fn pass(&self) {
        let mut last = self.last.lock().await;
        if last.is_some_and(|last| last.elapsed() < self.apart) {
            turn(self.engine).await;
        }
        *last = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::time::Duration;

    use tokio::net::UnixStream;

    use super::Gate;
    use crate::ring::engine::Engine;
    use crate::ring::runtime::{Runtime, spawn};

    #[test]
    fn who_is_in_line_passes_one_by_one_with_turns_of_the_loop_in_between() {
        for engine in [Engine::Epoll, Engine::IoUring] {
            Runtime::new(engine, 16).expect("an engine").block_on(async {
                // However slow this machine is, they come together.
                let gate = Rc::new(Gate { apart: Duration::MAX, ..Gate::new(engine) });
                let seen = Rc::<RefCell<Vec<&str>>>::default();
                // Somebody has passed just now.
                gate.pass().await;
                let passing: Vec<_> = (0..3)
                    .map(|_| {
                        let (gate, seen) = (Rc::clone(&gate), Rc::clone(&seen));
                        spawn(async move {
                            gate.pass().await;
                            seen.borrow_mut().push("opens");
                        })
                    })
                    .collect();
                // Somebody for whom there is something at each turn.
                let (near, far) = UnixStream::pair().expect("sockets");
                let relaying = spawn({
                    let seen = Rc::clone(&seen);
                    async move {
                        loop {
                            near.try_write(b"x").expect("room");
                            far.readable().await.expect("a socket");
                            while far.try_read(&mut [0; 8]).is_ok() {}
                            seen.borrow_mut().push("relays");
                        }
                    }
                });
                for task in passing {
                    task.await.expect("no panic");
                }
                relaying.abort();
                let seen = seen.borrow();
                assert_eq!(seen.iter().filter(|what| **what == "opens").count(), 3);
                assert!(!seen.windows(2).any(|pair| pair == ["opens", "opens"]), "{engine}: {seen:?}");
            });
        }
    }
}
