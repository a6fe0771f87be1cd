//! A turn of the loop.

use super::engine::Engine;
use super::op;

/// Lets the loop of this thread turn: what waits to be submitted is submitted, what has come is seen, and whoever that
/// wakes runs before this returns.
pub async fn turn(engine: Engine) {
    match engine {
        // A yield looks for what has come, but tokio-uring submits only before a wait.
        Engine::IoUring => op::nothing().await,
        Engine::Epoll => tokio::task::yield_now().await,
    }
}
