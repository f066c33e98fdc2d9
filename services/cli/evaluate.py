"""`safe-reporting evaluate`: measure a detector on marked-up texts."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from services.cli import evaluate_report as report
from services.cli.detectors import DETECTORS, Detect, Detector, named
from services.evaluation.gold import GoldText, read
from services.evaluation.score import Answer, Figures, score
from services.kernel.paths import ROOT

OWN = ROOT / "tests" / "gold"
#: Texts answered once before the clock counts: what is loaded at first use is no part of the speed.
_WARM = 20
_EVERY = 10.0  # seconds between two lines of progress where there is no terminal
_OTHERS = "; ".join(f"`{other.name}` ({other.about})" for other in DETECTORS.values() if other.name != "engine")


def evaluate(
    gold: Annotated[list[Path], typer.Argument(help="Marked-up .jsonl files, or directories of them; one table each.")],
    compare: Annotated[str | None, typer.Option("--compare", help=f"A second detector beside ours: {_OTHERS}.")] = None,
    misses: Annotated[bool, typer.Option("--misses", help="List what was missed and every false mask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of tables.")] = False,
) -> None:
    """Measure on GOLD what the detector hides and what it hides beside it; a table with 95 % intervals.

    A line of GOLD is {"id", "text", "spans": [{"s", "e", "type", "req"}]}, offsets in characters. A required span
    counts as hidden when at least 60 % of its letters and digits are; a mask is right when it touches any marked span.
    """
    detectors = [DETECTORS["engine"], *([named(compare)] if compare else [])]
    sets = [(path, read(path)) for path in gold]
    built = [(detector, detector.build()) for detector in detectors]
    results = [(path, texts, [_measure(path, texts, *pair) for pair in built]) for path, texts in sets]
    if as_json:
        names = [detector.name for detector in detectors]
        document = [
            report.document(str(path), texts, dict(zip(names, figures, strict=True)), misses)
            for path, texts, figures in results
        ]
        print(json.dumps(document, indent=2, ensure_ascii=False))
        return
    for path, texts, figures in results:
        own = " (the project's own corpus)" if _is_own(path) else ""
        report.show(f"{path}{own}", texts, list(zip(detectors, figures, strict=True)), misses)
    if all(_is_own(path) for path, _ in sets):
        report.say("the project's own corpus alone: no outside texts were given (`make evaluate GOLD=DIR` adds them)")


def _is_own(path: Path) -> bool:
    return path.resolve().is_relative_to(OWN.resolve())


def _measure(path: Path, texts: Sequence[GoldText], detector: Detector, detect: Detect) -> Figures:
    for text in texts[:_WARM]:
        detect(text.text)
    return score(texts, _answers(f"{path.name}, {detector.name}", texts, detect))


def _answers(task: str, texts: Sequence[GoldText], detect: Detect) -> Iterator[Answer]:
    """Answers one by one, with a bar on a terminal and a line now and then elsewhere; on standard error."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True) as progress:
            for text in progress.track(texts, description=task):
                yield detect(text.text)
        return
    said = time.monotonic()
    for number, text in enumerate(texts):
        if time.monotonic() - said > _EVERY:
            said = time.monotonic()
            console.print(f"{task}: {number} of {len(texts)} texts", markup=False)
        yield detect(text.text)
