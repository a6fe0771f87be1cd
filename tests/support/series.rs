//! Every series that `/metrics` has, and what is wrong with a query that asks for others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ringside::telemetry::counters::Counters;
use ringside::telemetry::names::{self, Kind, Process, Queue, Seen, Usage};

use super::promql::{Query, Selector};

/// Labels that Prometheus gives to all series of a target.
const TARGET: [&str; 2] = ["job", "instance"];

/// Series of Prometheus' own, one for each target.
const PROMETHEUS: [&str; 1] = ["up"];

/// Labels whose values are facts, not members of a closed list.
const FACTS: [(&str, &str); 2] = [("ringside_engine_info", "why"), ("ringside_build_info", "version")];

/// Functions over time for what only goes up, and for what goes up and down.
const OF_COUNTERS: [&str; 2] = ["rate", "increase"];
const OF_GAUGES: [&str; 4] = ["changes", "last_over_time", "max_over_time", "min_over_time"];

type Labels = BTreeMap<&'static str, String>;

/// Every metric's kind and series, by its name.
pub(crate) struct Table(BTreeMap<&'static str, (Kind, Vec<Labels>)>);

impl Table {
    /// The table of this build.
    pub(crate) fn new() -> Self {
        let (workers, process) = ([Arc::new(Counters::default())], process());
        let seen = Seen { workers: &workers, process: &process };
        let mut table = BTreeMap::new();
        for metric in names::all() {
            let mut series = Vec::new();
            metric.read(&seen, &mut |labels, _| {
                series.push(labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect());
            });
            table.insert(metric.name, (metric.kind, series));
        }
        Self(table)
    }

    /// Every metric's name.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    /// The metric that a series of this name belongs to: of a histogram there are three.
    pub(crate) fn metric(&self, name: &str) -> Option<&'static str> {
        let base = ["_bucket", "_sum", "_count"].into_iter().find_map(|suffix| name.strip_suffix(suffix));
        let whole = self.0.get_key_value(name).filter(|(_, (kind, _))| *kind != Kind::Histogram);
        let part = || self.0.get_key_value(base?).filter(|(_, (kind, _))| *kind == Kind::Histogram);
        whole.or_else(part).map(|(name, _)| *name)
    }

    /// Whether series of this metric have this label.
    fn has_label(&self, name: &str, label: &str) -> bool {
        let series = self.metric(name).map(|metric| &self.0[metric].1);
        TARGET.contains(&label)
            || (label == "le" && name.ends_with("_bucket"))
            || series.is_some_and(|series| series.iter().any(|labels| labels.contains_key(label)))
    }

    /// What is wrong with a query.
    pub(crate) fn problems(&self, query: &Query) -> Vec<String> {
        let mut problems = Vec::new();
        for selector in query.selectors.iter().filter(|selector| !PROMETHEUS.contains(&selector.metric.as_str())) {
            match self.metric(&selector.metric) {
                Some(metric) => self.judge(metric, selector, &mut problems),
                None => problems.push(format!("there is no {}", selector.metric)),
            }
        }
        for label in query.grouping.iter().filter(|label| !self.is_label(query, label)) {
            problems.push(format!("nothing that is read has a label {label}"));
        }
        problems
    }

    /// Whether something that the query reads has this label.
    pub(crate) fn is_label(&self, query: &Query, label: &str) -> bool {
        query.selectors.iter().any(|selector| self.has_label(&selector.metric, label))
    }

    fn judge(&self, metric: &'static str, selector: &Selector, problems: &mut Vec<String>) {
        let (kind, series) = &self.0[metric];
        let goes_up = *kind != Kind::Gauge;
        match selector.over_time.as_deref() {
            Some(function) if goes_up && !OF_COUNTERS.contains(&function) => {
                problems.push(format!("{function}() of {metric}, which only goes up"));
            }
            Some(function) if !goes_up && !OF_GAUGES.contains(&function) => {
                problems.push(format!("{function}() of {metric}, which goes up and down"));
            }
            _ => {}
        }
        let mut left: Vec<_> = series.iter().collect();
        for matcher in &selector.matchers {
            let label = matcher.label.as_str();
            if !self.has_label(&selector.metric, label) {
                problems.push(format!("{metric} has no label {label}"));
            }
            if TARGET.contains(&label) || label == "le" || FACTS.contains(&(metric, label)) {
                continue;
            }
            let value = |labels: &&Labels| labels.get(label).cloned().unwrap_or_default();
            for alternative in matcher.alternatives() {
                if !series.iter().any(|labels| matcher.fits(alternative, &value(&labels))) {
                    problems.push(format!("{label} of {metric} is never {alternative:?}"));
                }
            }
            left.retain(|labels| matcher.takes(&value(labels)));
        }
        if left.is_empty() {
            problems.push(format!("no series of {metric} is like {:?}", selector.matchers));
        }
    }
}

/// A process that has something to say about everything.
fn process() -> Process {
    let queue = Queue { waiting: 0, limit: 1, dropped: 0 };
    Process {
        started: SystemTime::UNIX_EPOCH,
        engine: "epoll",
        engine_why: "configured".into(),
        operations: vec![("recv", 0)],
        connections_limit: 1,
        buffers_lent: 0,
        buffers_limit: 1,
        events: queue,
        spans: queue,
        spans_exported: 0,
        metric_exports: [0, 0],
        log_lines_dropped: 0,
        log_lines_suppressed: 0,
        usage: Some(Usage {
            cpu: Duration::ZERO,
            resident: 1,
            virtual_memory: 1,
            open_files: 1,
            most_files: Some(1),
            threads: 1,
        }),
    }
}
