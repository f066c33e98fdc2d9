"""`safe-reporting evaluate` as its users call it, on a tiny set of made-up texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from services.cli import evaluate
from services.cli.evaluate_report import document
from services.evaluation.gold import read
from services.evaluation.score import Answer, Mask, score
from services.kernel.errors import Exit
from tests.cli.test_command import run


def line(key: str, text: str, *spans: tuple[str, str, bool]) -> dict[str, Any]:
    """A gold line whose spans are given by their words."""
    marked = [
        {"s": text.index(part), "e": text.index(part) + len(part), "type": kind, "req": req, "subject": "protected"}
        for part, kind, req in spans
    ]
    return {"id": key, "text": text, "spans": marked}


LINES = [
    line("G-1", "IP is Polish and rang\nat noon.", ("Polish", "NATIONALITY", True)),
    line("G-2", "The door was polished."),
    line("G-3", "Nothing that is known hides zorblaxian.", ("zorblaxian", "LANGUAGE", True)),
]


@pytest.fixture
def gold(tmp_path: Path) -> Path:
    file = tmp_path / "gold.jsonl"
    file.write_text("\n".join(map(json.dumps, LINES)), "utf-8")
    return file


def test_json_of_two_detectors_with_misses(gold: Path) -> None:
    done = run("evaluate", str(gold), "--json", "--misses", "--compare", "presidio")
    assert done.returncode == Exit.DONE, done.stderr
    [found] = json.loads(done.stdout)
    assert (found["gold"], found["texts"], found["neutral_texts"], found["words"]) == (str(gold), 3, 1, 17)
    ours, stock = found["detectors"]["engine"], found["detectors"]["presidio"]
    few = {"share": None, "low": None, "high": None}
    assert ours["required_span_recall"]["NATIONALITY"] == {"hits": 1, "of": 1} | few
    assert ours["required_span_recall"]["all_classes"] == {"hits": 1, "of": 2} | few
    assert ours["records_with_a_leak"] == {"hits": 1, "of": 2} | few
    assert ours["precision"] == {"hits": 1, "of": 1} | few
    assert ours["false_masks_in_neutral_texts"] == 0
    assert ours["words_per_second"] > 0
    assert stock["required_span_recall"]["all_classes"] == {"hits": 0, "of": 2} | few
    [miss] = ours["misses"]
    assert (miss["what"], miss["id"], miss["class"], miss["hidden"]) == ("missed", "G-3", "LANGUAGE", 0.0)
    assert miss["context"].endswith("that is known hides »zorblaxian«.")
    assert [miss["id"] for miss in stock["misses"] if miss["what"] == "missed"] == ["G-1", "G-3"]


def test_table_and_list_of_misses(gold: Path) -> None:
    done = run("evaluate", str(gold), "--misses", "--compare", "presidio")
    shown = done.stdout.decode()
    assert done.returncode == Exit.DONE, done.stderr
    assert f"{gold}: 3 texts, 1 of them neutral, 17 words" in shown
    assert "\x1b" not in shown, "no colours where there is no terminal"
    rows = [row.split() for row in shown.splitlines()]
    assert ["recall", "NATIONALITY", "not", "shown", "of", "1", "not", "shown", "of", "1"] in rows
    assert "presidio: stock Presidio" in shown
    assert "missed  LANGUAGE              G-3  0% hidden: Nothing that is known hides »zorblaxian«." in shown
    assert "own corpus" not in shown


def test_shares_are_shown_from_thirty_on(gold: Path) -> None:
    texts = read(gold)[:1] * 30
    figures = score(texts, [Answer((Mask(6, 12, "NATIONALITY", "made_up"),), 0.001)] * 30)
    [found] = document("made up", texts, {"engine": figures}, misses=False)["detectors"].values()
    recall = found["required_span_recall"]["NATIONALITY"]
    assert (recall["hits"], recall["of"], recall["share"], recall["high"]) == (30, 30, 1.0, 1.0)
    assert recall["low"] == pytest.approx(0.88649, abs=1e-5)
    assert found["words_per_second"] == 7000


def test_the_own_corpus_alone_is_said(gold: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(evaluate, "OWN", gold.parent)
    evaluate.evaluate([gold])
    shown = capsys.readouterr().out
    assert "(the project's own corpus): 3 texts" in shown
    assert "corpus alone: no outside texts were given (`make evaluate GOLD=DIR` adds them)" in shown


@pytest.mark.parametrize(
    ("content", "arguments", "says"),
    [
        (b"{", [], "gold.jsonl line 1: not a JSON object in UTF-8"),
        (b"\n", [], "there is no text in it"),
        (json.dumps(LINES[1]).encode(), ["--compare", "nothing"], "there are engine, presidio, presidio-sm"),
    ],
)
def test_mistakes_are_said_with_what_to_do(tmp_path: Path, content: bytes, arguments: list[str], says: str) -> None:
    file = tmp_path / "gold.jsonl"
    file.write_bytes(content)
    done = run("evaluate", str(file), *arguments)
    assert done.returncode == Exit.USAGE
    assert says in done.stderr.decode()
    assert b"Traceback" not in done.stderr


def test_an_untrained_pipeline_of_the_usual_size_runs_without_a_download(gold: Path) -> None:
    done = run("evaluate", str(gold), "--json", "--compare", "presidio-sm")
    assert done.returncode == Exit.DONE, done.stderr
    assert json.loads(done.stdout)[0]["detectors"]["presidio-sm"]["words_per_second"] > 0
