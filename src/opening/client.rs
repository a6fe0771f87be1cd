//! The client's side while it is opening: its socket, its TLS, and what it has sent so far.

use std::io;
use std::net::Shutdown;
use std::rc::Rc;
use std::time::Duration;

use super::gate::Gate;
use super::refuse::Refusal;
use super::{Joined, Means, Opened};
use crate::http1::head::HeadEnd;
use crate::ring::lease::CAPACITY;
use crate::ring::pool::Pool;
use crate::ring::stream::Stream;
use crate::telemetry::record::TlsFacts;
use crate::tls::acceptor::Acceptor;
use crate::tls::records::{PLAIN, Progress, Records, SEALED};

/// Most bytes of a TLS handshake that may wait for the rest of their message: one such message (RFC 8446 section 4
/// allows more, but rustls takes no more), and what one receive may add.
const HANDSHAKE: usize = (64 << 10) + CAPACITY;

/// Most bytes of tickets that are held back for our answer: they leave room for it in one lease.
const DUE: usize = CAPACITY - SEALED;

/// How long a refused client may take to read what it is told.
const FAREWELL: Duration = Duration::from_secs(2);

pub(super) struct Client {
    stream: Stream,
    pool: Rc<Pool>,
    gate: Rc<Gate>,
    tls: Option<Box<dyn Records>>,
    /// Received and not opened; stays empty without TLS.
    wire: Vec<u8>,
    /// Opened and not taken.
    plain: Vec<u8>,
    /// What TLS has to say that can go with the next that we say.
    due: Vec<u8>,
    /// Whether a response can be read: after the TLS handshake, if there is one.
    can_read: bool,
    /// Whether the request was a HEAD.
    head_only: bool,
    /// Whether the client was told why it is refused, to the last byte.
    told: bool,
}

impl Client {
    pub(super) fn new(stream: Stream, means: &Means) -> Self {
        Self {
            stream,
            pool: Rc::clone(&means.pool),
            gate: Rc::clone(&means.gate),
            tls: None,
            wire: Vec::new(),
            plain: Vec::new(),
            due: Vec::new(),
            can_read: true,
            head_only: false,
            told: false,
        }
    }

    /// Says whether the answer is to a HEAD request.
    pub(super) fn answers_head(&mut self, is_head: bool) {
        self.head_only = is_head;
    }

    /// The TLS handshake.
    pub(super) async fn secure(&mut self, acceptor: &Acceptor) -> Result<TlsFacts, Refusal> {
        self.can_read = false;
        let mut tls = acceptor.accept()?;
        let mut reply = Vec::new();
        loop {
            let progress = tls.handshake(&mut self.wire, &mut self.plain, &mut reply);
            // Behind a client's last word TLS 1.3 has tickets to say and nothing else, for which nobody waits: they go with
            // our answer, in one packet.
            if matches!(progress, Ok(Progress::Done)) && tls.facts().version == "1.3" && reply.len() <= DUE {
                self.due = reply;
                break;
            }
            self.stream.write(&self.pool, &reply).await.map_err(Refusal::ClientGone)?;
            reply.clear();
            match progress? {
                Progress::Done => break,
                Progress::Blocked if self.wire.len() > HANDSHAKE => return Err(Refusal::TlsTooLarge),
                Progress::Blocked => self.receive().await?,
            }
        }
        let facts = tls.facts();
        self.tls = Some(tls);
        self.can_read = true;
        Ok(facts)
    }

    /// The request head, of at most `bound` bytes. What came behind it stays here.
    pub(super) async fn head(&mut self, bound: usize) -> Result<Vec<u8>, Refusal> {
        let mut end = HeadEnd::default();
        loop {
            // The end of the TLS handshake may have come together with more.
            let closed = self.open()?;
            if let Some(length) = end.find(&self.plain) {
                if length > bound {
                    return Err(Refusal::HeadTooLarge);
                }
                let behind = self.plain.split_off(length);
                return Ok(std::mem::replace(&mut self.plain, behind));
            }
            if self.plain.len() > bound {
                return Err(Refusal::HeadTooLarge);
            }
            if closed {
                return Err(Refusal::ClientGone(io::ErrorKind::UnexpectedEof.into()));
            }
            self.receive().await?;
        }
    }

    /// How many bytes came behind the request head.
    pub(super) fn early(&self) -> usize {
        self.plain.len()
    }

    /// Sends `bytes`, sealed when there is TLS, behind what is due.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut due = std::mem::take(&mut self.due);
        for part in bytes.chunks(PLAIN) {
            let mut lease = self.pool.lend().await;
            lease.append(&std::mem::take(&mut due));
            match &mut self.tls {
                None => lease.append(part),
                Some(tls) => {
                    let sealed = tls.seal(part, lease.spare(SEALED)).map_err(io::Error::other)?;
                    lease.fill(sealed);
                }
            }
            self.stream.send_all(lease).await?;
        }
        Ok(())
    }

    /// Tells the client that it is refused, if it can be told. Returns the status it was sent.
    pub(super) async fn refuse(&mut self, refusal: Refusal) -> Option<u16> {
        let answer = if self.can_read { refusal.answer(self.head_only) } else { None };
        // A client that does not read its refusal gets no more of our time.
        tokio::time::timeout(FAREWELL, self.say_farewell(answer)).await.ok().flatten()
    }

    async fn say_farewell(&mut self, answer: Option<(u16, Vec<u8>)>) -> Option<u16> {
        let (status, answer) = answer?;
        self.send(&answer).await.ok()?;
        if let Some(tls) = &mut self.tls {
            let mut alert = vec![0; SEALED];
            let length = tls.close(&mut alert).ok()?;
            self.stream.write(&self.pool, &alert[..length]).await.ok()?;
        }
        self.told = self.stream.shutdown(Shutdown::Write).is_ok();
        Some(status)
    }

    /// Closes the connection. While a client that was told something still sends, that would reset the connection, and
    /// what it was told with it: such a client is waited for.
    pub(super) async fn leave(self) {
        if self.told {
            self.stream.discard(&self.pool, FAREWELL / 2).await;
        }
    }

    /// Hands both sides over to be relayed.
    pub(super) fn join(self, joined: Joined) -> Opened {
        Opened {
            client: self.stream,
            tls: self.tls,
            wire: self.wire,
            early: self.plain,
            app: joined.app,
            app_early: joined.early,
            deflate: joined.deflate,
            permit: joined.permit,
        }
    }

    /// Waits for bytes and puts what is there behind the wire bytes, or without TLS behind the plain ones. Then it waits
    /// for its turn to compute: what comes next is some part of a handshake.
    async fn receive(&mut self) -> Result<(), Refusal> {
        let into = if self.tls.is_some() || !self.can_read { &mut self.wire } else { &mut self.plain };
        match self.stream.read(&self.pool, into).await {
            Ok(0) => Err(Refusal::ClientGone(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => {
                self.gate.pass().await;
                Ok(())
            }
            Err(error) => Err(Refusal::ClientGone(error)),
        }
    }

    /// Opens the complete records among the wire bytes. Returns whether the client has ended its TLS stream.
    fn open(&mut self) -> Result<bool, Refusal> {
        let Some(tls) = &mut self.tls else { return Ok(false) };
        let start = self.plain.len();
        self.plain.resize(start + self.wire.len(), 0);
        // A key update or an alert before the request is answered together with the request, or never.
        let opened = tls.open(&mut self.wire, &mut self.plain[start..], &mut Vec::new());
        self.plain.truncate(start + opened.as_ref().map_or(0, |opened| opened.written));
        let opened = opened?;
        self.wire.drain(..opened.taken);
        Ok(tls.is_closed())
    }
}
