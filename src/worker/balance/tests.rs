use std::net::{Ipv4Addr, TcpStream};

use super::{Handed, Load, MAILBOX, Share, shares};
use crate::ring::engine::Engine;
use crate::ring::listener::{Accepted, Listener, bind};
use crate::ring::runtime::Runtime;

/// Connections just accepted.
fn accepted(count: usize) -> Vec<Accepted> {
    let (address, mut bound) = bind((Ipv4Addr::LOCALHOST, 0).into(), 1).expect("a port");
    let runtime = Runtime::new(Engine::Epoll, count).expect("epoll");
    runtime.block_on(async {
        let listener = Listener::new(Engine::Epoll, bound.remove(0)).expect("a listener");
        let mut all = Vec::new();
        for _ in 0..count {
            let _client = TcpStream::connect(address).expect("connected");
            all.push(listener.accept().await.expect("accepted"));
        }
        all
    })
}

fn set(load: &Load, count: usize) {
    (0..count).for_each(|_| load.add());
}

/// Whom a worker with `own` connections gives one to, when the others have so many.
fn goes_to(own: usize, others: &[usize], bound: usize) -> Option<usize> {
    let shares = shares(others.len() + 1);
    for (share, count) in shares.iter().zip([&[own], others].concat()) {
        set(share.balance.load(), count);
    }
    shares[0].balance.load().lighter(bound).map(|load| load.index)
}

#[test]
fn few_are_even_and_many_are_even_enough() {
    assert_eq!(goes_to(0, &[], 100), None);
    assert_eq!(goes_to(0, &[0, 0], 100), None);
    assert_eq!(goes_to(1, &[0], 100), Some(1));
    assert_eq!(goes_to(7, &[7, 6, 9], 100), Some(2));
    assert_eq!(goes_to(6, &[7, 6, 9], 100), None);
    assert_eq!(goes_to(90, &[80], 1000), None);
    assert_eq!(goes_to(91, &[80], 1000), Some(1));
}

#[test]
fn who_is_full_hands_over_as_long_as_there_is_room() {
    assert_eq!(goes_to(100, &[99], 100), Some(1));
    assert_eq!(goes_to(100, &[100], 100), None);
    assert_eq!(goes_to(101, &[100], 100), None);
}

#[test]
fn what_is_handed_over_counts_at_once_and_a_full_mailbox_takes_nothing() {
    let mut shares = shares(2);
    let Share { balance: other, mut mailbox } = shares.remove(1);
    let Share { balance, .. } = shares.remove(0);
    set(balance.load(), 10 * MAILBOX);
    let handed: Vec<_> = accepted(MAILBOX + 1).into_iter().map(|accepted| balance.hand_over(accepted, 1000)).collect();
    assert!(handed[..MAILBOX].iter().all(|handed| matches!(handed, Handed::Over)));
    assert!(matches!(handed[MAILBOX], Handed::Full(_)));
    // The other worker has as many as wait for it.
    set(other.load(), 8 * MAILBOX);
    assert!(balance.load().lighter(1000).is_none());
    let mut waited = 0;
    while mailbox.try_recv().is_ok() {
        waited += 1;
    }
    assert_eq!(waited, MAILBOX);
}
