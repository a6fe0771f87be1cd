//! The app is killed in the middle of what it says, again and again: its clients are told so between two frames, and
//! inside of one they are cut. What they have got is what the app has sent, to the last byte.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::thread;

use ringside::telemetry::end::{By, Why};
use ringside::telemetry::record::Connection;
use socket2::{SockRef, Socket};

use crate::support::app::{App, Joined};
use crate::support::client::{Client, Seen, seen};
use crate::support::engines::{Engine, on_both_engines};
use crate::support::frame::{self, BINARY, CLOSE, Frame, TEXT};
use crate::support::http::upgrade_to;
use crate::support::proxy::{Proxy, Setup};

on_both_engines!(an_app_killed_a_hundred_times_forges_nothing_and_hangs_nobody);

const KILLS: u64 = 100;

/// Bytes of payload that a client gets for a message.
const TURN: usize = 1000;

/// How an app talks. Each is a target that clients ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Manner {
    /// A frame for each message of the client: between them it waits, and is between frames.
    Turns,
    /// Frames one after another, larger than what sockets buffer: it is inside a frame nearly always.
    Stream,
    /// Frames of any size, one after another.
    Mixed,
}

use Fate::{Cut, Told};
use Manner::{Mixed, Stream, Turns};

const MANNERS: [Manner; 3] = [Turns, Stream, Mixed];

impl Manner {
    const fn target(self) -> &'static str {
        match self {
            Self::Turns => "/turns",
            Self::Stream => "/stream",
            Self::Mixed => "/mixed",
        }
    }

    /// The lengths of its frames' payloads, in order.
    fn lengths(self) -> Vec<usize> {
        match self {
            Self::Turns => vec![TURN; 64],
            Self::Stream => vec![2 << 20; 6],
            Self::Mixed => (0..40).flat_map(|n| [n * 3, 126 + n * 97, n % 2, (n * 7919) % 300_000]).collect(),
        }
    }

    /// All that it ever says: the frames, no two alike.
    fn frames(self) -> Vec<Vec<u8>> {
        let pattern = frame::pattern(self as u64, 65_521).repeat(48);
        let lengths = self.lengths().into_iter().enumerate();
        lengths.map(|(n, length)| frame::from_app(BINARY, &pattern[n * 101..n * 101 + length])).collect()
    }
}

/// All that an app says in one manner, and where its frames begin and end.
struct Speech {
    bytes: Vec<u8>,
    boundaries: HashSet<usize>,
}

static SPEECHES: LazyLock<[Speech; 3]> = LazyLock::new(|| {
    MANNERS.map(|manner| {
        let (mut bytes, mut boundaries) = (Vec::new(), HashSet::from([0]));
        for frame in manner.frames() {
            bytes.extend(frame);
            boundaries.insert(bytes.len());
        }
        Speech { bytes, boundaries }
    })
});

/// A client, and what it has got.
struct Listener {
    client: Client,
    speech: &'static Speech,
    /// So much of the speech.
    got: usize,
    /// And behind it this, which is none of it.
    behind: Vec<u8>,
}

/// How a client saw the app die.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fate {
    /// With a Close, between two frames.
    Told,
    /// Inside a frame, with a cut.
    Cut,
}

impl Listener {
    fn join(proxy: &Proxy, manner: Manner) -> Self {
        let mut client = proxy.ask(&upgrade_to(manner.target(), &[]));
        assert_eq!(client.head().status(), 101);
        // Linux would hold a whole speech for it.
        SockRef::from(client.tcp()).set_recv_buffer_size(64 << 10).expect("a socket");
        Self { client, speech: &SPEECHES[manner as usize], got: 0, behind: Vec::new() }
    }

    fn port(&self) -> u16 {
        self.client.tcp().local_addr().expect("connected").port()
    }

    /// Gets this many bytes more of the speech.
    fn get(&mut self, count: usize) {
        let mut bytes = vec![0; count];
        self.client.read_exact(&mut bytes).expect("the app speaks");
        self.take(&bytes);
        assert!(self.behind.is_empty(), "not what the app has said, behind {} bytes", self.got);
    }

    /// The app is dead: gets all that still comes, answers a Close, and sees the end.
    fn outlive(mut self) -> (Fate, usize) {
        let mut bytes = vec![0; 64 << 10];
        let end = loop {
            match self.client.read(&mut bytes) {
                Ok(n) if n > 0 => self.take(&bytes[..n]),
                end => break seen(end),
            }
            if let Some(close) = self.close() {
                let (code, reason) = close.close();
                assert!(code == 1012 && reason.contains("retry-after-ms="), "{code} {reason:?}");
                self.client.send(&frame::from_client(CLOSE, &frame::close(1012, "")));
            }
        };
        let fate = if self.close().is_some() { Told } else { Cut };
        assert_eq!(end == Seen::Orderly, fate == Told, "{end:?} behind {} bytes", self.got);
        (fate, self.got)
    }

    fn take(&mut self, bytes: &[u8]) {
        let rest = &self.speech.bytes[self.got..];
        let same = if !self.behind.is_empty() {
            0
        } else if rest.starts_with(bytes) {
            bytes.len()
        } else {
            rest.iter().zip(bytes).take_while(|(said, got)| said == got).count()
        };
        self.got += same;
        self.behind.extend(&bytes[same..]);
    }

    /// What is none of the speech: a frame, whole, between two of the app's and behind all of them that came.
    fn close(&self) -> Option<Frame> {
        let mut rest = self.behind.as_slice();
        let frame = frame::read(&mut rest).ok()?;
        assert!(rest.is_empty(), "{} bytes behind the Close", rest.len());
        assert!(self.speech.boundaries.contains(&self.got), "a Close inside a frame, behind {} bytes", self.got);
        Some(frame)
    }
}

fn an_app_killed_a_hundred_times_forges_nothing_and_hangs_nobody(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).start(&app);
    let mut fates: HashMap<(Manner, Fate), u64> = HashMap::new();
    for n in 0..KILLS {
        let mut child = start(&app);
        let mut listeners = MANNERS.map(|manner| Listener::join(&proxy, manner));
        hear_some(&mut listeners, n);
        child.kill().expect("it runs");
        child.wait().expect("a child");
        let seen = listeners.map(|listener| (listener.port(), listener.speech, listener.outlive()));
        let records: HashMap<_, _> = seen.iter().map(|_| proxy.connection()).map(|r| (r.client.port(), r)).collect();
        for (manner, (port, speech, (fate, got))) in MANNERS.into_iter().zip(seen) {
            agrees(&records[&port], speech, fate, got as u64);
            *fates.entry((manner, fate)).or_default() += 1;
        }
    }
    proxy.wait_until_held(0);
    let times = |manner, fate| fates.get(&(manner, fate)).copied().unwrap_or_default();
    assert_eq!(times(Turns, Told), KILLS, "{fates:?}");
    assert!(times(Stream, Cut) > KILLS / 2, "{fates:?}");
}

/// Each gets a part of what the app says in its manner. The app says far more of it than buffers hold.
fn hear_some([turns, stream, mixed]: &mut [Listener; 3], seed: u64) {
    let chance: Vec<_> =
        frame::pattern(seed, 6).chunks(2).map(|two| usize::from(two[0]) << 8 | usize::from(two[1])).collect();
    for _ in 0..=chance[0] % 4 {
        turns.client.send(&frame::from_client(TEXT, b"your turn"));
        turns.get(frame::from_app(BINARY, &[0; TURN]).len());
    }
    stream.get(chance[1] * 32);
    mixed.get(chance[2] * 16);
}

/// The record tells what the client saw.
fn agrees(record: &Connection, speech: &Speech, fate: Fate, got: u64) {
    let (end, relayed) = (record.end, record.from_app.bytes);
    assert_eq!(end.by, By::App, "{end:?}");
    assert!(matches!(end.why, Why::Eof | Why::Truncated | Why::Reset), "{end:?}");
    let between_frames = speech.boundaries.contains(&usize::try_from(relayed).expect("fits"));
    match fate {
        Told => assert_eq!((end.code_sent, end.code_received, relayed), (Some(1012), Some(1012), got)),
        // A reset takes with it what is on its way.
        Cut => assert!(end.code_sent.is_none() && got <= relayed && !between_frames, "{end:?}: {got} of {relayed}"),
    }
}

/// Starts an app that listens where `app` does: this program once more, for the test below.
fn start(app: &App) -> Child {
    let this = std::env::current_exe().expect("a path");
    let mut command = Command::new(this);
    command.args(["--exact", "dying::the_app", "--ignored"]);
    command.stdin(Stdio::from(OwnedFd::from(app.listener()))).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("a child")
}

#[test]
#[ignore = "started by an_app_killed_a_hundred_times_forges_nothing_and_hangs_nobody, which kills it"]
fn the_app() {
    let listener = Socket::from(io::stdin().as_fd().try_clone_to_owned().expect("a descriptor"));
    let app = App::listening(listener);
    thread::scope(|scope| {
        for _ in MANNERS {
            let joined = app.accept();
            scope.spawn(move || speak(joined));
        }
    });
}

fn speak(mut joined: Joined) {
    let manner = MANNERS.into_iter().find(|manner| joined.request().line.contains(manner.target()));
    let manner = manner.expect("a target");
    let frames = manner.frames();
    joined.answer(&[]);
    for frame in frames {
        if manner == Turns {
            joined.frame();
        }
        joined.send(&frame);
    }
    joined.rest();
}
