"""Rules, dashboards and runbooks agree with each other and with what services export; every alert fires in a test."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.kernel.paths import ROOT
from services.monitor.alerts import Event
from tests.operations.exported import samples
from tests.operations.runbooks import TEXT, runbooks

RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
TESTS = Path(__file__).with_name("rules_test.yml")
DASHBOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
ALERTS: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
]
NAMES = [rule["alert"] for rule in ALERTS]
#: Labels that Prometheus adds to what it scrapes, or an expression makes.
_SCRAPED = {"job", "instance", "le"}
_SELECTOR = re.compile(r"\b(safe_reporting_\w+|process_\w+|up)\b(?:\{([^}]*)\})?")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!=|!~|=)")


def faults(expression: str) -> list[str]:
    """Metrics and labels of an expression that no service exports."""
    exported = samples()
    found = []
    for name, matchers in _SELECTOR.findall(expression):
        if name not in exported:
            found.append(name)
            continue
        found += [f"{name}{{{label}}}" for label in _LABEL.findall(matchers) if label not in exported[name] | _SCRAPED]
    everything = set().union(*exported.values()) | _SCRAPED
    for labels in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", expression):
        found += [label for label in re.findall(r"\w+", labels) if label not in everything]
    return found


def promtool(*arguments: str) -> None:
    """Run promtool; the lane is left out where it is not installed."""
    program = shutil.which("promtool")
    if program is None:
        if os.environ.get("ALL_LANES"):
            pytest.fail("promtool is not installed, and no lane may be left out")
        pytest.skip("lane left out: promtool is not installed (Debian: prometheus)")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_rules_are_what_prometheus_reads() -> None:
    promtool("check", "rules", str(RULES))


def test_every_alert_fires_for_its_cause_and_none_on_a_normal_day() -> None:
    promtool("test", "rules", str(TESTS))


def test_every_alert_has_a_test_in_which_it_fires_and_one_moment_in_which_it_does_not() -> None:
    tests = yaml.safe_load(TESTS.read_text())["tests"]
    fires, silent = set(), set()
    for test in tests[:-1]:
        for one in test["promql_expr_test"]:
            assert f'alertname="{test["name"]}"' in one["expr"]
            (fires if one["exp_samples"] else silent).add(test["name"])
    assert fires == set(NAMES)
    assert silent == set(NAMES) - {"Watchdog"}
    day = tests[-1]
    assert day["name"] == "normal day"
    assert "Watchdog" in str(day["promql_expr_test"])
    given = {re.match(r"\w+", series["series"])[0] for series in day["input_series"]}  # type: ignore[index]
    named = {name for rule in ALERTS for name, _ in _SELECTOR.findall(rule["expr"])}
    assert named <= given


@pytest.mark.parametrize("rule", ALERTS, ids=NAMES)
def test_a_rule_names_what_exists_and_says_what_to_do(rule: dict[str, Any]) -> None:
    assert faults(rule["expr"]) == []
    severity = rule.get("labels", {}).get("severity")
    assert severity in {"critical", "warning", "info"} or "severity" in rule["expr"]
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert len(NAMES) == len(set(NAMES))
    assert sorted(runbooks()) == sorted(NAMES)


def test_every_error_in_a_log_is_explained() -> None:
    said = "".join((ROOT / "docs" / name).read_text() for name in ("operators.md", "operations.md"))
    events = {
        event
        for file in (ROOT / "services").rglob("*.py")
        for event in re.findall(r'(?:log\.error|_tell)\(\s*"(\w+)"', file.read_text())
    }
    assert {"canary_unknown", "consent_unreadable"} <= events
    assert [event for event in sorted(events) if event not in said] == []


def test_every_condition_of_the_monitor_is_an_alert() -> None:
    kinds = r'(?:event|drift_alarm\{kind)="(\w+)"'  # drift has an alarm for each kind
    told = {event for rule in ALERTS for event in re.findall(kinds, rule["expr"])}
    assert told == set(Event) - {Event.CHAIN_GAP, Event.CHAIN_DOUBLE}  # those are findings: they have counters


def test_what_nothing_on_the_alert_topic_stands_for_is_listed() -> None:
    told = re.compile(r'monitor_conditions|drift_alarm|chain_(gaps|doubles)|canaries_late|what="leaked"|safety_open')
    listed = re.search(r"Nothing on `ops\.alert` stands for these: ([^.]*)\.", TEXT)
    assert listed is not None
    names = re.findall(r"`(\w+)`", listed[1])
    assert names == [rule["alert"] for rule in ALERTS if not told.search(rule["expr"])]


def test_what_is_no_metric_is_found() -> None:
    assert faults('sum by (feed) (safe_reporting_records_total{feed="x"})') == []
    assert faults('rate(safe_reporting_record_total{feed="x"}[5m])') == ["safe_reporting_record_total"]
    assert faults('safe_reporting_ready{partner="x"} > 0') == ["safe_reporting_ready{partner}"]
    assert faults("sum by (town) (safe_reporting_ready)") == ["town"]


@pytest.mark.parametrize("name", [name for name in samples() if name.startswith("safe_reporting_")])
def test_names_follow_the_conventions(name: str) -> None:
    assert re.fullmatch(r"safe_reporting_[a-z]+(_[a-z]+)*", name)
    assert "milli" not in name
    assert not name.endswith(("_ms", "_minutes", "_kb", "_percent"))


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_a_dashboard_can_be_provisioned_and_asks_for_what_exists(file: Path) -> None:
    board = json.loads(file.read_text())
    assert {"uid", "title", "panels", "schemaVersion", "templating"} <= board.keys()
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        if panel["type"] == "row":
            continue
        assert panel["targets"], panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        for target in panel["targets"]:
            assert faults(target["expr"]) == [], panel["title"]


def test_what_a_second_monitor_says_too_is_shown_once() -> None:
    sums = [
        target["expr"]
        for file in DASHBOARDS
        for panel in json.loads(file.read_text())["panels"]
        for target in panel.get("targets", [])
        if re.search(r"safe_reporting_(group_lag_records|monitor_conditions)", target["expr"])
    ]
    assert len(sums) == 2
    assert any("monitor_look_age_seconds" in expression for expression in sums)  # nothing holds, or nobody looks
    assert all(re.search(r"max by \([a-z, ]+\) \(safe_reporting", expression) for expression in sums)


def test_canaries_drift_and_comparisons_can_be_looked_at() -> None:
    drawn = "".join(file.read_text() for file in DASHBOARDS)
    about = re.compile("safe_reporting_(canar|drift|masked|topology|reconciled)")
    assert [name for name in sorted(samples()) if about.match(name) and name not in drawn] == []


def test_there_is_a_dashboard() -> None:
    assert DASHBOARDS
