//! The dashboard and the alerts that are shipped: that they ask for what there is, and ask it rightly.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{agent, stop, textfile};
use crate::support::{Inbox, Sandbox, needs, programs};

const DASHBOARD: &str = "packaging/grafana/dwindle.json";
const RULES: &str = "packaging/prometheus/dwindle.rules.yml";
const RULE_TESTS: &str = "packaging/prometheus/dwindle.rules.test.yml";
const DOCUMENTATION: &str = "docs/operations.md";

fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

fn read(file: &str) -> String {
    fs::read_to_string(path(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Every word in the text that begins like a metric of ours.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_'));
    words
        .filter(|word| word.starts_with("dwindle_"))
        .map(str::to_owned)
        .collect()
}

/// The names of the series that the program has, the parts of histograms included, and those of the metrics.
fn exposed() -> (BTreeSet<String>, BTreeSet<String>) {
    let inbox = Inbox::new();
    let mut running = agent(&inbox, &[("inbox", "")]).start();
    running.wait_for("the file", || textfile(&inbox).contains("dwindle_watch_lost{"));
    let text = textfile(&inbox);
    stop(running);
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let series = samples
        .filter_map(|line| line.split(['{', ' ']).next())
        .map(str::to_owned);
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let metrics = types.filter_map(|line| line.split(' ').next()).map(str::to_owned);
    (series.collect(), metrics.collect())
}

fn dashboard() -> Value {
    serde_json::from_str(&read(DASHBOARD)).expect("JSON")
}

/// Of all panels, those in rows included: the title, and what is asked for it.
fn queries() -> Vec<(String, String)> {
    let dashboard = dashboard();
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        let title = panel["title"].as_str().expect("a title").to_owned();
        for target in panel["targets"].as_array().into_iter().flatten() {
            queries.push((title.clone(), target["expr"].as_str().expect("a query").to_owned()));
        }
    }
    queries
}

#[test]
fn dashboard_and_alerts_ask_only_for_what_there_is_and_the_documentation_tells_all_of_it() {
    let (series, metrics) = exposed();
    let asked: String = queries().into_iter().map(|(_, query)| query + "\n").collect();
    let variables = dashboard()["templating"].to_string();
    for (what, text) in [("dashboard", asked), ("variables", variables), ("alerts", read(RULES))] {
        let used = metrics_in(&text);
        assert!(!used.is_empty(), "{what}");
        let unknown: Vec<_> = used.difference(&series).collect();
        assert!(unknown.is_empty(), "{what}: {unknown:?}");
    }
    let told = metrics_in(&read(DOCUMENTATION));
    let untold: Vec<_> = metrics.difference(&told).collect();
    assert!(untold.is_empty(), "not in {DOCUMENTATION}: {untold:?}");
    let known: BTreeSet<String> = series.union(&metrics).cloned().collect();
    let invented: Vec<_> = told.difference(&known).collect();
    assert!(invented.is_empty(), "in {DOCUMENTATION}: {invented:?}");
}

#[test]
fn the_alerts_come_when_they_are_meant_to() {
    needs!(tool "promtool");
    for arguments in [["check", "rules", RULES], ["test", "rules", RULE_TESTS]] {
        let mut promtool = Command::new("promtool");
        promtool.args(&arguments[..2]).arg(path(arguments[2]));
        let output = programs::output(&mut promtool).expect("promtool starts");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(
            output.status.success() && said.contains("SUCCESS"),
            "{arguments:?}: {said}"
        );
    }
    let names = |text: &str, key: &str| -> BTreeSet<String> {
        let after = |line: &str| Some(line.split_once(key)?.1.split([',', '}']).next()?.trim().to_owned());
        text.lines().filter_map(after).collect()
    };
    let (alerts, tested) = (names(&read(RULES), "- alert:"), names(&read(RULE_TESTS), "alertname:"));
    assert_eq!(alerts, tested, "every alert has a test");
}

/// As rules, which are queries with a name, since promtool reads those.
#[test]
fn every_query_of_the_dashboard_is_one() {
    needs!(tool "promtool");
    let mut rules = "groups:\n- name: dashboard\n  rules:\n".to_owned();
    let queries = queries();
    assert!(!queries.is_empty());
    for (index, (_, query)) in queries.iter().enumerate() {
        let query = query
            .replace("$__rate_interval", "5m")
            .replace("$__range", "1h")
            .replace("$instance", ".*")
            .replace("$watch", ".*");
        assert!(!query.contains('$'), "{query}");
        writeln!(rules, "  - record: query_{index}\n    expr: {}", Value::from(query))
            .expect("strings take everything");
    }
    let sandbox = Sandbox::new();
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "rules"]).arg(sandbox.file("rules.yml", rules));
    let output = programs::output(&mut promtool).expect("promtool starts");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}");
}

/// What Grafana needs to import it anywhere: the data source is asked for, and nothing is of another installation.
#[test]
fn the_dashboard_can_be_imported_anywhere() {
    let dashboard = dashboard();
    assert!(dashboard["id"].is_null(), "an id is its server's");
    assert!(dashboard["uid"].is_string() && dashboard["title"].is_string());
    let variables = dashboard["templating"]["list"].as_array().expect("variables");
    assert!(variables.iter().any(|variable| variable["type"] == "datasource"));
    let mut ids = BTreeSet::new();
    let mut places = Vec::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        let title = &panel["title"];
        assert!(
            ids.insert(panel["id"].as_u64().expect("an id")),
            "{title}: the id of another"
        );
        if panel["type"] != "row" {
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
            assert!(
                panel["description"].as_str().is_some_and(|text| !text.is_empty()),
                "{title} is not explained"
            );
            assert!(
                panel["fieldConfig"]["defaults"]["unit"].is_string(),
                "{title} has no unit"
            );
        }
        let place = &panel["gridPos"];
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| place[key].as_u64().expect("a place"));
        assert!(x + w <= 24, "{title} is too wide");
        let overlaps = |(left, top, width, height): &(u64, u64, u64, u64)| {
            x < left + width && *left < x + w && y < top + height && *top < y + h
        };
        assert!(!places.iter().any(overlaps), "{title} lies on another");
        places.push((x, y, w, h));
    }
}
