//! Tokens expire on live sockets, each at its own second, while everybody talks.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ringside::telemetry::end::{By, Why};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::support::app::App;
use crate::support::client::{Security, Seen};
use crate::support::engines::{Engine, on_both_engines};
use crate::support::frame::{self, BINARY, CLOSE, FIN};
use crate::support::many::{self, Peer};
use crate::support::material;
use crate::support::proxy::Setup;

on_both_engines!(a_hundred_tokens_expire_under_traffic);

/// Clients whose tokens expire here, and clients whose tokens do not.
const MORTALS: u64 = 100;
const OTHERS: u64 = 20;

/// In how many seconds the first tokens expire, and in how many different ones they do. All are open by the first.
const FIRST: u64 = 4;
const SECONDS: u64 = 3;

/// How late a Close may be on a machine that has other things to do.
const LATE: Duration = Duration::from_secs(1);

/// A client that talks until it is told to go, or until nobody is left who may be told so.
async fn talk(address: SocketAddr, expires: u64, mut over: watch::Receiver<bool>) -> (u16, Option<SystemTime>) {
    let token = material::token_with(json!({ "exp": expires }));
    let fields = [format!("Authorization: Bearer {token}")];
    let (mut client, port) = Peer::join(address, &Security::usual(), "/", &[&fields[0]]).await;
    for n in 0.. {
        let message = frame::pattern(n, 100 + usize::try_from(n % 1000).expect("small"));
        client.send(BINARY, &message).await.expect("the proxy takes it");
        let frame = client.frame().await.expect("a frame");
        if frame.first == FIN | CLOSE {
            let told = SystemTime::now();
            assert_eq!(frame.close(), (4401, "the token has expired"));
            assert_eq!(client.answer(&frame).await, Seen::Orderly);
            return (port, Some(told));
        }
        assert!(frame.payload == message, "not the echo of message {n}");
        if *over.borrow_and_update() {
            break;
        }
    }
    (port, None)
}

fn a_hundred_tokens_expire_under_traffic(engine: Engine) {
    let _alone = many::alone();
    let app = App::unix();
    let proxy = Setup::new(engine).workers(2).jwt("leeway = \"0s\"").start(&app);
    let began = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let expiry = move |n: u64| began + FIRST + n % SECONDS;
    let told = many::run(async {
        many::echo(&app);
        let (end, over) = watch::channel(false);
        let talk = |expires| talk(proxy.address(), expires, over.clone());
        let others: JoinSet<_> = (0..OTHERS).map(|_| talk(began + 600)).collect();
        let mortals: JoinSet<_> = (0..MORTALS)
            .map(|n| {
                let life = talk(expiry(n));
                async move { (expiry(n), life.await) }
            })
            .collect();
        let told = mortals.join_all().await;
        end.send(true).expect("the others talk");
        assert!(others.join_all().await.iter().all(|(_, told)| told.is_none()), "told too early");
        told
    });
    proxy.wait_until_held(0);
    let records = std::iter::repeat_with(|| proxy.connection()).take(usize::try_from(MORTALS + OTHERS).expect("fits"));
    let records: HashMap<_, _> = records.map(|record| (record.client.port(), record.end)).collect();
    for (expires, (port, told)) in told {
        let (expires, told) = (UNIX_EPOCH + Duration::from_secs(expires), told.expect("it was told"));
        let late = told.duration_since(expires).expect("not before the token expired");
        assert!(late < LATE, "told {late:?} after its token expired");
        let end = records[&port];
        assert_eq!((end.by, end.why), (By::Ringside, Why::Expired));
        assert_eq!((end.code_sent, end.code_received), (Some(4401), Some(4401)));
    }
}
