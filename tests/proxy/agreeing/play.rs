//! A client or the app does what the plan says, and counts what it gets.

use super::plan::{Ending, Frame, Plan, Sent};
use crate::support::client::Seen;
use crate::support::frame::{self, CLOSE, FIN, TEXT};
use crate::support::many::Peer;

/// What one side saw.
#[derive(Clone, Copy, Debug)]
pub(super) struct Saw {
    /// What it got of the other side.
    pub(super) got: Sent,
    /// The code of the Close that it got.
    pub(super) close: Option<u16>,
}

pub(super) async fn client(peer: Peer, plan: &Plan) -> Saw {
    let mut side = Side { peer, masked: true, got: Sent::default(), message: 0 };
    side.exchange(&plan.client, plan.app.len()).await;
    let close = match plan.ending {
        Ending::ClientCloses => side.close(1000).await,
        Ending::AppCloses => side.answer(true).await,
        Ending::AppEnds | Ending::AppBreaks => side.answer(false).await,
        Ending::ClientBreaks => {
            side.send(&frame::bare(FIN | TEXT, b"not masked")).await;
            side.answer(false).await
        }
        Ending::ClientCuts => None,
    };
    Saw { got: side.got, close }
}

pub(super) async fn app(peer: Peer, plan: &Plan) -> Saw {
    let mut side = Side { peer, masked: false, got: Sent::default(), message: 0 };
    side.exchange(&plan.app, plan.client.len()).await;
    let close = match plan.ending {
        Ending::AppCloses => side.close(3333).await,
        Ending::ClientCloses => side.answer(true).await,
        Ending::ClientBreaks => side.answer(false).await,
        Ending::AppBreaks => {
            side.send(&frame::masked(FIN | TEXT, b"masked")).await;
            side.answer(false).await
        }
        Ending::ClientCuts => {
            let end = side.peer.frame().await;
            assert!(end.is_err(), "a cut is no Close: {end:?}");
            None
        }
        Ending::AppEnds => None,
    };
    Saw { got: side.got, close }
}

struct Side {
    peer: Peer,
    /// Whether what it sends is masked.
    masked: bool,
    got: Sent,
    /// The opcode of the message that is coming in.
    message: u8,
}

impl Side {
    /// Sends its own frames, and gets as many of the other's.
    async fn exchange(&mut self, own: &[Frame], others: usize) {
        for frame in own {
            self.send(&frame.encode(self.masked)).await;
        }
        for _ in 0..others {
            let frame = self.peer.frame().await.expect("a frame");
            self.count(&frame);
        }
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.peer.send_bytes(bytes).await.expect("the proxy takes it");
    }

    fn count(&mut self, frame: &frame::Frame) {
        self.got.count(frame.first, frame.payload.len(), !self.masked, &mut self.message);
    }

    /// Closes with this code, which the other answers.
    async fn close(&mut self, code: u16) -> Option<u16> {
        self.peer.send(CLOSE, &frame::close(code, "")).await.expect("the proxy takes it");
        let answer = self.peer.frame().await.expect("an answer");
        self.count(&answer);
        assert_eq!(self.peer.frame().await.expect_err("the end"), Seen::Orderly);
        Some(answer.close().0)
    }

    /// Answers the Close that comes. It is of the other side (`relayed`), or of the proxy.
    async fn answer(&mut self, relayed: bool) -> Option<u16> {
        let close = self.peer.frame().await.expect("a Close");
        if relayed {
            self.count(&close);
        }
        self.peer.answer(&close).await;
        Some(close.close().0)
    }
}
