use std::collections::BTreeSet;
use std::future::poll_fn;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use socket2::Socket;

use super::{Direct, Event, Tag};
use crate::bytesize::ByteSize;
use crate::peer::Side;
use crate::ring::engine::Engine;
use crate::ring::pool::Pool;
use crate::ring::runtime::Runtime;

const PATIENCE: Option<Duration> = Some(Duration::from_secs(10));

fn on_a_ring(test: impl AsyncFnOnce(Direct<u8>)) {
    let runtime = Runtime::new(Engine::IoUring, 1).expect("a runtime");
    runtime.block_on(async { test(Direct::new().expect("a ring")).await });
}

fn pair() -> (Rc<Socket>, UnixStream) {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    theirs.set_read_timeout(PATIENCE).expect("a timeout");
    (Rc::new(Socket::from(std::os::fd::OwnedFd::from(ours))), theirs)
}

const fn tag(seat: u32) -> Tag {
    Tag { seat, side: Side::Client }
}

/// The next event, for which it may take some turns.
fn event(ring: &mut Direct<u8>) -> Event<u8> {
    for _ in 0..100 {
        if let Some(event) = ring.event() {
            return event;
        }
        ring.turn(PATIENCE).expect("a turn");
    }
    panic!("nothing came back");
}

fn received(event: Event<u8>) -> (Tag, Option<Vec<u8>>) {
    let Event::Received(tag, result) = event else { panic!("{event:?}") };
    (tag, result.expect("no error").map(|mut received| received.window().bytes().to_vec()))
}

#[test]
fn receives_what_comes_and_then_the_end() {
    on_a_ring(async |mut ring| {
        let (ours, mut theirs) = pair();
        ring.receive(tag(7), &ours, false);
        ring.turn(None).expect("a turn");
        assert!(ring.event().is_none());
        theirs.write_all(b"hello").expect("written");
        assert_eq!(received(event(&mut ring)), (tag(7), Some(b"hello".to_vec())));

        theirs.write_all(b"more").expect("written");
        drop(theirs);
        ring.receive(tag(7), &ours, true);
        assert_eq!(received(event(&mut ring)), (tag(7), Some(b"more".to_vec())));
        ring.receive(tag(7), &ours, true);
        assert_eq!(received(event(&mut ring)), (tag(7), None));
    });
}

#[test]
fn there_are_buffers_for_all_who_receive_at_once() {
    on_a_ring(async |mut ring| {
        let pairs: Vec<_> = (0..60).map(|_| pair()).collect();
        for ((ours, theirs), seat) in pairs.iter().zip(0..) {
            (&*theirs).write_all(&seat.to_string().into_bytes()).expect("written");
            ring.receive(tag(seat), ours, true);
        }
        let (mut waiting, mut held) = ((0..60).collect::<BTreeSet<_>>(), Vec::new());
        while !waiting.is_empty() {
            match event(&mut ring) {
                Event::Received(Tag { seat, .. }, Ok(Some(mut buffer))) => {
                    assert_eq!(buffer.window().bytes(), seat.to_string().as_bytes());
                    waiting.remove(&seat);
                    held.push(buffer);
                }
                Event::Received(tag, Err(error)) if super::calls_for_another_try(&error) => {
                    ring.receive(tag, &pairs[tag.seat as usize].0, true);
                }
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn a_send_goes_on_when_there_is_room() {
    on_a_ring(async |mut ring| {
        let (ours, mut theirs) = pair();
        let pool = Pool::new(ByteSize::bytes(0), Box::new(|| ()));
        while ours.send_with_flags(&[0; 4096], libc::MSG_DONTWAIT).is_ok() {}
        let mut lease = pool.lend_now().expect("a lease");
        lease.append(b"last");
        ring.send(tag(1), &ours, lease, 9);
        ring.turn(None).expect("a turn");
        assert!(ring.event().is_none(), "there is no room");
        theirs.set_nonblocking(true).expect("non-blocking");
        let mut all = Vec::new();
        let _ = theirs.read_to_end(&mut all);
        let Event::Sent(_, Ok(4), lease, 9) = event(&mut ring) else { panic!("not sent") };
        assert!(lease.is_empty());
        let _ = theirs.read_to_end(&mut all);
        assert!(all.ends_with(b"last"));
    });
}

#[test]
fn what_is_cancelled_does_not_come_back_and_holds_no_socket() {
    on_a_ring(async |mut ring| {
        let (ours, mut theirs) = pair();
        let flight = ring.receive(tag(1), &ours, false);
        ring.turn(None).expect("a turn");
        ring.cancel(flight);
        drop(ours);
        ring.turn(None).expect("a turn");
        assert!(ring.event().is_none());
        assert_eq!(theirs.read(&mut [0]).expect("the end"), 0);
    });
}

#[test]
fn the_bell_wakes_who_sleeps_in_the_runtime() {
    on_a_ring(async |mut ring| {
        let (ours, mut theirs) = pair();
        ring.receive(tag(1), &ours, false);
        ring.turn(None).expect("a turn");
        for _ in 0..3 {
            theirs.write_all(b"x").expect("written");
            poll_fn(|cx| ring.poll_bell(cx)).await.expect("a bell");
            ring.turn(None).expect("a turn");
            assert_eq!(received(ring.event().expect("it has come")).1.as_deref(), Some(&b"x"[..]));
            ring.receive(tag(1), &ours, false);
            ring.turn(None).expect("a turn");
        }
    });
}

#[test]
fn a_dropped_ring_holds_nothing() {
    on_a_ring(async |mut ring| {
        let (ours, mut theirs) = pair();
        ring.receive(tag(1), &ours, false);
        ring.turn(None).expect("a turn");
        drop(ours);
        drop(ring);
        assert_eq!(theirs.read(&mut [0]).expect("the end"), 0);
    });
}
