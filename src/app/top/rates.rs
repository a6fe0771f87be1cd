//! How fast things move, from two looks.

use std::collections::HashMap;

use crate::control::admin::connections::shape::{Connection, Connections, Sent, Totals};

/// What one side sends in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rate {
    pub(super) messages: f64,
    pub(super) bytes: f64,
}

/// What both sides of a connection send in a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rates {
    pub(super) from_client: Rate,
    pub(super) from_app: Rate,
    /// Over the whole age of the connection, because it was not seen before.
    pub(super) average: bool,
}

/// What happens in a second in the whole process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pulse {
    pub(super) opened: f64,
    pub(super) refused: f64,
    pub(super) from_client: Rate,
    pub(super) from_app: Rate,
    /// Since the start of the process.
    pub(super) average: bool,
}

impl Rates {
    /// Bytes of both.
    pub(super) fn bytes(&self) -> f64 {
        self.from_client.bytes + self.from_app.bytes
    }
}

/// The connections of the look before, by their numbers. Nothing of a process that has ended since: its numbers are
/// given anew.
pub(super) fn by_number<'c>(before: Option<&'c Connections>, now: &Connections) -> HashMap<u64, &'c Connection> {
    same_process(before, now).map_or_else(HashMap::new, |before| {
        before.connections.iter().map(|connection| (connection.id, connection)).collect()
    })
}

/// How fast a connection is, which was so when it was looked at before.
///
/// Its age says how long that is ago, exactly, whatever the network and the clocks did meanwhile.
pub(super) fn of(before: Option<&Connection>, now: &Connection) -> Rates {
    let before = before.filter(|before| before.age < now.age && before.client == now.client);
    let seconds = now.age - before.map_or(0.0, |before| before.age);
    let was = before.map_or_else(Default::default, |before| (before.from_client, before.from_app));
    Rates {
        from_client: rate(was.0, now.from_client, seconds),
        from_app: rate(was.1, now.from_app, seconds),
        average: before.is_none(),
    }
}

/// How fast the whole process is.
pub(super) fn pulse(before: Option<&Connections>, now: &Connections) -> Pulse {
    let before = same_process(before, now).filter(|before| before.at.0 < now.at.0);
    let since = before.map_or(now.started, |before| before.at);
    let seconds = now.at.since(since).as_secs_f64();
    let was = before.map_or(
        Totals { opened: 0, refused: 0, from_client: Sent::default(), from_app: Sent::default(), ..now.totals },
        |before| before.totals,
    );
    Pulse {
        opened: per_second(was.opened, now.totals.opened, seconds),
        refused: per_second(was.refused, now.totals.refused, seconds),
        from_client: rate(was.from_client, now.totals.from_client, seconds),
        from_app: rate(was.from_app, now.totals.from_app, seconds),
        average: before.is_none(),
    }
}

fn same_process<'c>(before: Option<&'c Connections>, now: &Connections) -> Option<&'c Connections> {
    before.filter(|before| before.started == now.started)
}

fn rate(was: Sent, is: Sent, seconds: f64) -> Rate {
    Rate { messages: per_second(was.messages, is.messages, seconds), bytes: per_second(was.bytes, is.bytes, seconds) }
}

#[expect(clippy::cast_precision_loss, reason = "what is lost is less than what is shown")]
fn per_second(was: u64, is: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { is.saturating_sub(was) as f64 / seconds } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::example::{connection, connections, sent};
    use super::{Rate, Rates, by_number, of, pulse};
    use crate::control::admin::connections::shape::{Connection, Time};

    #[test]
    fn a_rate_is_what_came_since_the_look_before() {
        let before = connection(7, 10.0);
        let now = Connection { age: 14.0, from_client: sent(8, 140), ..connection(7, 10.0) };
        let before = Connection { from_client: sent(2, 100), ..before };
        let rates = of(Some(&before), &now);
        assert_eq!(rates.from_client, Rate { messages: 1.5, bytes: 10.0 });
        assert_eq!((rates.from_app, rates.average), (Rate::default(), false));
        assert!((rates.bytes() - 10.0).abs() < 1e-9);
    }

    #[test]
    fn without_one_it_is_the_average() {
        let now = Connection { age: 4.0, from_app: sent(8, 140), ..connection(7, 10.0) };
        let average = Rates {
            from_client: of(None, &now).from_client,
            from_app: Rate { messages: 2.0, bytes: 35.0 },
            average: true,
        };
        assert_eq!(of(None, &now), average);
        let other = Connection { client: "192.0.2.9:1".into(), age: 1.0, ..connection(7, 10.0) };
        for not_the_same in [other, Connection { age: 5.0, ..now.clone() }, now.clone()] {
            assert_eq!(of(Some(&not_the_same), &now), average);
        }
        assert_eq!(of(None, &Connection { age: 0.0, ..now }).from_app, Rate::default());
    }

    #[test]
    fn a_process_that_began_anew_has_no_past() {
        let before = connections(vec![connection(7, 10.0)]);
        let mut now = before.clone();
        now.at = Time(before.at.0 + Duration::from_secs(2));
        now.totals.refused += 10;
        assert!(by_number(Some(&before), &now).contains_key(&7));
        let same = pulse(Some(&before), &now);
        assert!((same.refused - 5.0).abs() < 1e-9 && !same.average, "{same:?}");
        now.started = Time(now.started.0 + Duration::from_secs(1));
        assert!(by_number(Some(&before), &now).is_empty());
        assert!(pulse(Some(&before), &now).average);
    }
}
