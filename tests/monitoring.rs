//! `config/grafana-dashboard.json` and `config/prometheus-alerts.yml`, held to the metrics that there are: a panel or a rule
//! about a name that nobody counts is empty or silent, and nobody notices.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use ringside::ring::engine::{Choice, Engine};
use ringside::ring::select::select;
use serde_json::Value;

use promql::Query;
use series::Table;

#[path = "support/promql.rs"]
mod promql;
#[path = "support/series.rs"]
mod series;

/// Metrics that are on no panel, and why.
const NOT_SHOWN: &[(&str, &str)] =
    &[("process_virtual_memory_bytes", "address space says nothing about memory in use")];

/// Rules that read a counter as it is, and why.
const READ_AS_IT_IS: &[(&str, &str)] = &[("RingsideDrainTooLong", "one end by a drain is enough, however long ago")];

const SEVERITIES: [&str; 3] = ["critical", "warning", "info"];

fn config(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn dashboard() -> Value {
    serde_json::from_str(&config("grafana-dashboard.json")).expect("JSON")
}

/// The panels, rows too, in their order. Those of a row that is folded stand inside it.
fn panels(dashboard: &Value) -> Vec<&Value> {
    let top = dashboard["panels"].as_array().expect("panels");
    top.iter()
        .flat_map(|panel| std::iter::once(panel).chain(panel["panels"].as_array().into_iter().flatten()))
        .collect()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key}: {value}"))
}

/// Everything that stands under `key`, wherever.
fn everything<'v>(value: &'v Value, key: &str, found: &mut Vec<&'v Value>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get(key));
            fields.values().for_each(|field| everything(field, key, found));
        }
        Value::Array(values) => values.iter().for_each(|value| everything(value, key, found)),
        _ => {}
    }
}

/// What stands between these marks, each time: `{{name}}` is how Grafana writes the name of a label.
fn between<'t>(text: &'t str, open: &str, close: &str) -> Vec<&'t str> {
    text.split(open).skip(1).filter_map(|rest| rest.split(close).next()).map(str::trim).collect()
}

/// An alert rule.
#[derive(Debug, Default)]
struct Alert {
    name: String,
    fields: Vec<(String, String)>,
}

impl Alert {
    fn field(&self, name: &str) -> &str {
        let field = self.fields.iter().find(|(known, _)| known == name);
        field.map_or_else(|| panic!("{} has no {name}", self.name), |(_, value)| value.as_str())
    }
}

/// As much of YAML as that file needs: `key: value`, and blocks below a key that are indented deeper than it.
fn alerts(text: &str) -> Vec<Alert> {
    let mut alerts: Vec<Alert> = Vec::new();
    let mut block = usize::MAX;
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let indent = line.len() - line.trim_start().len();
        let line = line.trim();
        if let Some(name) = line.strip_prefix("- alert: ") {
            alerts.push(Alert { name: name.to_owned(), fields: Vec::new() });
            block = usize::MAX;
            continue;
        }
        let Some(fields) = alerts.last_mut().map(|alert| &mut alert.fields) else { continue };
        if let Some((_, value)) = fields.last_mut().filter(|_| indent > block) {
            value.push_str(line);
            value.push(' ');
        } else if let Some((key, value)) = line.split_once(':') {
            let is_block = [" |", " >-"].contains(&value);
            block = if is_block { indent } else { usize::MAX };
            let value = if is_block { "" } else { value.trim().trim_matches('"') };
            fields.push((key.to_owned(), value.to_owned()));
        }
    }
    alerts
}

#[track_caller]
fn none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

/// The names that a query reads as they are though they only go up.
fn counters_as_they_are(query: &Query) -> impl Iterator<Item = &str> {
    let selectors = query.selectors.iter().filter(|selector| selector.over_time.is_none());
    let names = selectors.map(|selector| selector.metric.as_str());
    names.filter(|name| ["_total", "_bucket", "_sum", "_count"].iter().any(|suffix| name.ends_with(suffix)))
}

#[test]
fn the_dashboard_asks_for_what_there_is() {
    let (table, dashboard) = (Table::new(), dashboard());
    let mut expressions = Vec::new();
    everything(&dashboard, "expr", &mut expressions);
    let mut problems = Vec::new();
    for expression in expressions.iter().map(|expression| expression.as_str().expect("a text")) {
        let query = Query::read(expression).expect("PromQL");
        problems.extend(table.problems(&query).into_iter().map(|problem| format!("{problem}: {expression}")));
        problems.extend(counters_as_they_are(&query).map(|name| format!("{name} without a rate: {expression}")));
        for selector in &query.selectors {
            let of_target: Vec<_> = selector.matchers.iter().map(|matcher| matcher.value.as_str()).take(2).collect();
            if of_target != ["$job", "$instance"] {
                problems.push(format!("{} of all targets: {expression}", selector.metric));
            }
        }
    }
    assert!(expressions.len() > 40, "{}", expressions.len());
    none(&problems);
}

#[test]
fn its_variables_and_legends_are_known() {
    let (table, dashboard) = (Table::new(), dashboard());
    let variables = dashboard["templating"]["list"].as_array().expect("variables");
    let names: Vec<_> = variables.iter().map(|variable| text(variable, "name")).collect();
    assert_eq!(names, ["datasource", "job", "instance"]);
    for variable in &variables[1..] {
        let query = text(&variable["query"], "query");
        let inside = query.strip_prefix("label_values(").and_then(|query| query.strip_suffix(')'));
        let (metric, label) = inside.and_then(|inside| inside.rsplit_once(", ")).expect("label_values(METRIC, LABEL)");
        let query = Query::read(metric).expect("PromQL");
        assert!(table.is_label(&query, label), "{label}");
        none(&table.problems(&query));
    }
    let mut problems = Vec::new();
    for target in panels(&dashboard).iter().filter_map(|panel| panel["targets"].as_array()).flatten() {
        let (expression, legend) = (text(target, "expr"), target["legendFormat"].as_str().unwrap_or_default());
        let query = Query::read(expression).expect("PromQL");
        let is_grouped = expression.contains("by (");
        for label in between(legend, "{{", "}}") {
            let is_there =
                if is_grouped { query.grouping.iter().any(|by| by == label) } else { table.is_label(&query, label) };
            if !is_there {
                problems.push(format!("{label} of the legend is not in {expression}"));
            }
        }
    }
    none(&problems);
}

#[test]
fn every_metric_is_on_the_dashboard() {
    let (table, dashboard) = (Table::new(), dashboard());
    let mut expressions = Vec::new();
    everything(&dashboard["panels"], "expr", &mut expressions);
    let shown: BTreeSet<_> = expressions
        .iter()
        .flat_map(|expression| Query::read(expression.as_str().expect("a text")).expect("PromQL").selectors)
        .filter_map(|selector| table.metric(&selector.metric))
        .collect();
    let left_out: BTreeSet<_> = NOT_SHOWN.iter().map(|(name, _)| *name).collect();
    let neither: Vec<_> = table.names().filter(|name| shown.contains(name) == left_out.contains(name)).collect();
    assert!(neither.is_empty(), "on the dashboard or left out with a reason, one of both: {neither:?}");
    assert!(left_out.iter().all(|name| table.names().any(|known| known == *name)), "{left_out:?}");
}

#[test]
fn panels_are_told_apart_and_do_not_overlap() {
    let dashboard = dashboard();
    let (mut ids, mut titles, mut cells) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for panel in panels(&dashboard) {
        let title = text(panel, "title");
        assert!(ids.insert(panel["id"].as_u64().expect("a number")), "{title}: its id stands twice");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().expect("a number"));
        assert!(w > 0 && h > 0 && x + w <= 24, "{title} is not on the grid of 24 columns");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(cells.insert(cell), "{title} lies on another panel");
        }
        if text(panel, "type") == "row" {
            continue;
        }
        assert!(titles.insert(title), "{title} stands twice");
        assert!(text(panel, "description").ends_with('.'), "{title}: what does it say, and what is to be done?");
        assert_eq!(text(&panel["datasource"], "uid"), "${datasource}", "{title}");
        let targets: Vec<_> =
            panel["targets"].as_array().expect("targets").iter().map(|it| text(it, "refId")).collect();
        let in_order: Vec<_> = ["A", "B", "C", "D"].into_iter().take(targets.len()).collect();
        assert!(!targets.is_empty() && targets == in_order, "{title}: {targets:?}");
    }
    let rows = panels(&dashboard).into_iter().filter(|panel| panel["type"] == "row").map(|panel| text(panel, "title"));
    let expected = ["Overview", "Handshakes", "Traffic", "Latency", "Pressure", "Evidence", "Process"];
    assert_eq!(rows.collect::<Vec<_>>(), expected);
}

#[test]
fn alerts_ask_for_what_there_is() {
    let table = Table::new();
    let mut problems = Vec::new();
    for alert in alerts(&config("prometheus-alerts.yml")) {
        let query = Query::read(alert.field("expr")).expect("PromQL");
        problems.extend(table.problems(&query).into_iter().map(|problem| format!("{}: {problem}", alert.name)));
        let may = READ_AS_IT_IS.iter().any(|(name, _)| *name == alert.name);
        if may != counters_as_they_are(&query).next().is_some() {
            problems.push(format!("{}: a counter without a rate, or an exception for none", alert.name));
        }
        let said = [alert.field("summary"), alert.field("description")].concat();
        for name in between(&said, "$labels.", " ").into_iter().filter(|label| !table.is_label(&query, label)) {
            problems.push(format!("{}: {name} is no label of what it reads", alert.name));
        }
    }
    none(&problems);
}

#[test]
fn alerts_say_how_bad_it_is_and_what_to_do() {
    let (alerts, dashboard) = (alerts(&config("prometheus-alerts.yml")), dashboard());
    let titles: Vec<_> = panels(&dashboard).iter().map(|panel| text(panel, "title")).collect();
    let mut names = BTreeSet::new();
    for alert in &alerts {
        let name = alert.name.as_str();
        assert!(name.starts_with("Ringside") && names.insert(name), "{name}");
        let severity = between(alert.field("labels"), "{ severity: ", " }");
        assert!(SEVERITIES.iter().any(|known| severity == [*known]), "{name}: {severity:?}");
        assert!(alert.field("for").ends_with('m'), "{name}");
        assert!(alert.field("summary").contains("$labels.instance"), "{name}: of which instance?");
        let description = alert.field("description").trim_end();
        assert!(description.ends_with('.') && description.len() > 80, "{name}: what is to be done?");
        for panel in between(description, "panel \"", "\"") {
            assert!(titles.contains(&panel), "{name}: there is no panel {panel:?}");
        }
        for other in description.split(|mark: char| !mark.is_alphanumeric()).filter(|word| word.starts_with("Ringside"))
        {
            assert!(other == "Ringside" || alerts.iter().any(|alert| alert.name == other), "{name}: {other}");
        }
    }
    assert!(READ_AS_IT_IS.iter().all(|(name, _)| names.contains(name)), "an exception for a rule that is gone");
}

/// The rule about epoll leaves out those who asked for it, by the words of `ring::select`.
#[test]
fn epoll_by_configuration_is_no_alert() {
    let configured = select(Choice::Epoll).expect("epoll is always there");
    assert_eq!(configured.engine, Engine::Epoll);
    let alerts = alerts(&config("prometheus-alerts.yml"));
    let alert = alerts.iter().find(|alert| alert.name == "RingsideOnEpoll").expect("the rule");
    let query = Query::read(alert.field("expr")).expect("PromQL");
    let why = query.selectors[0].matchers.iter().find(|matcher| matcher.label == "why").expect("a matcher");
    assert!(!why.takes(&configured.why.to_string()) && why.takes("io_uring refused: EPERM"), "{why:?}");
}

/// The checks above can fail.
#[test]
fn what_there_is_not_is_found() {
    let table = Table::new();
    for (query, problem) in [
        ("ringside_connections_opened", "there is no ringside_connections_opened"),
        ("rate(ringside_message_size_bytes[5m])", "there is no ringside_message_size_bytes"),
        ("rate(ringside_connections_open_count[5m])", "there is no ringside_connections_open_count"),
        ("rate(ringside_connections_open[5m])", "rate() of ringside_connections_open, which goes up and down"),
        ("changes(ringside_throttled_total[5m])", "changes() of ringside_throttled_total, which only goes up"),
        (r#"ringside_connections_open{user="ann"}"#, "ringside_connections_open has no label user"),
        (r#"ringside_queued_bytes{to="nobody"}"#, r#"to of ringside_queued_bytes is never "nobody""#),
        (r#"ringside_queued_bytes{to=~"app|apps"}"#, r#"to of ringside_queued_bytes is never "apps""#),
        (r#"ringside_queued_bytes{to!~"app|x.+"}"#, r#"to of ringside_queued_bytes is never "x.+""#),
        ("sum by (le) (ringside_queued_bytes)", "nothing that is read has a label le"),
        ("sum(ringside_queued_bytes) without (from)", "nothing that is read has a label from"),
    ] {
        let found = table.problems(&Query::read(query).expect("PromQL"));
        assert_eq!(found.first().map(String::as_str), Some(problem), "{query}");
    }
    let never = r#"ringside_connections_ended_total{by="ringside",why="reset"}"#;
    let [problem] = table.problems(&Query::read(never).expect("PromQL")).try_into().expect("one problem");
    assert!(problem.starts_with("no series of ringside_connections_ended_total is like"), "{problem}");
}

#[test]
fn queries_are_understood() {
    let text = r#"sum without (a, b) (rate(x_total{c="1",d!~"e|f.*"}[5m])) / on (g) group_left (h) y offset 2m > 0.5 and up == 0"#;
    let query = Query::read(text).expect("PromQL");
    assert_eq!(query.grouping, ["a", "b", "g", "h"]);
    let names: Vec<_> = query.selectors.iter().map(|it| (it.metric.as_str(), it.over_time.as_deref())).collect();
    assert_eq!(names, [("x_total", Some("rate")), ("y", None), ("up", None)]);
    let [c, d] = query.selectors[0].matchers.as_slice() else { panic!("{query:?}") };
    assert!(c.takes("1") && !c.takes("2") && !c.takes(""));
    assert!(d.takes("d") && d.takes("") && !d.takes("e") && !d.takes("f") && !d.takes("fg") && d.takes("gf"));
    for broken in ["rate(x[5m]", "x)", r#"x{a="b"#, "5 > 4"] {
        assert!(Query::read(broken).is_err(), "{broken}");
    }
}

#[test]
fn rules_are_read_whole() {
    let [one, other] = alerts(
        "groups:\n  - name: g\n    rules:\n      # c: d\n      - alert: One\n        expr: |\n          a\n            > 1\n        \
         for: 0m\n        annotations:\n          summary: \"s: t\"\n          description: >-\n            u\n            v: w\n\n      - \
         alert: Other\n        expr: b > 2\n",
    )
    .try_into()
    .expect("two");
    assert_eq!((one.name.as_str(), one.field("expr").trim_end(), one.field("for")), ("One", "a > 1", "0m"));
    assert_eq!((one.field("summary"), one.field("description").trim_end()), ("s: t", "u v: w"));
    assert_eq!((other.name.as_str(), other.field("expr")), ("Other", "b > 2"));
}
