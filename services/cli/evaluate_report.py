"""Figures of `evaluate` as a table, as a list of misses, and as JSON."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from services.cli.detectors import Detector
from services.evaluation.gold import GoldText
from services.evaluation.score import SHOWN_FROM, WORDS_FROM, Figures, Share, Slip

_AROUND = 45  # characters of context on either side


def document(gold: str, texts: Sequence[GoldText], figures: dict[str, Figures], misses: bool) -> dict[str, Any]:
    """Everything of one set of texts. Counts are always there; a share is null where the count is too small."""
    return {
        "gold": gold,
        "texts": len(texts),
        "neutral_texts": sum(not text.spans for text in texts),
        "words": sum(text.words for text in texts),
        "detectors": {name: _detector(found, misses) for name, found in figures.items()},
    }


def _detector(figures: Figures, misses: bool) -> dict[str, Any]:
    rate = figures.false_per_1000
    found: dict[str, Any] = {
        "required_span_recall": {name.replace(" ", "_"): _share(share) for name, share in figures.recall.items()},
        "records_with_a_leak": _share(figures.leaks),
        "precision": _share(figures.precision),
        "false_masks_in_neutral_texts": figures.false_masks,
        "neutral_words": figures.neutral_words,
        "false_masks_per_1000_neutral_words": None if rate is None else round(rate, 4),
        "neutral_texts_hit": _share(figures.neutral_hit),
        "identifying_numbers_masked": figures.identifying,
        "words_per_second": round(figures.words_per_second),
    }
    if misses:
        found["misses"] = [_slip(slip) for slip in figures.slips]
    return found


def _share(share: Share) -> dict[str, Any]:
    low, high = share.interval if share.shown else (None, None)
    return {"hits": share.hits, "of": share.of, "share": share.value if share.shown else None, "low": low, "high": high}


def _slip(slip: Slip) -> dict[str, Any]:
    return {
        "what": "missed" if slip.missed else "false",
        "id": slip.text.id,
        "start": slip.start,
        "end": slip.end,
        "class": slip.entity,
        "hidden": round(slip.hidden, 2) if slip.missed else None,
        "rule": slip.rule or None,
        "context": _context(slip),
    }


def show(title: str, texts: Sequence[GoldText], results: Sequence[tuple[Detector, Figures]], misses: bool) -> None:
    """The table of one set of texts, detectors side by side; then the list of misses of the first, if asked for."""
    console = _console()
    words = sum(text.words for text in texts)
    neutral = sum(not text.spans for text in texts)
    table = Table(
        title=f"{title}: {len(texts):,} texts, {neutral:,} of them neutral, {words:,} words",
        title_justify="left",
        box=box.SIMPLE_HEAD if console.is_terminal else None,
        pad_edge=False,
        caption=f"intervals: 95 %, Wilson; not shown: fewer than {SHOWN_FROM} (or {WORDS_FROM:,} neutral words)",
        caption_justify="left",
    )
    table.add_column("figure", no_wrap=True)
    for detector, _ in results:
        table.add_column(detector.name, justify="right", no_wrap=True)
        table.add_column("95 %", justify="right", no_wrap=True)
        table.add_column("count", justify="right", no_wrap=True)
    columns = [_rows(figures) for _, figures in results]
    for name in columns[0]:
        table.add_row(name, *(cell for column in columns for cell in column[name]))
    console.print(table)
    for detector, _ in results[1:]:
        say(f"{detector.name}: {detector.about}")
    if misses:
        _list(console, *results[0])


def say(text: str) -> None:
    """One line of plain text."""
    _console().print(text)


def _console() -> Console:
    console = Console(highlight=False, markup=False, soft_wrap=True)
    return console if console.is_terminal else Console(highlight=False, markup=False, soft_wrap=True, width=160)


def _rows(figures: Figures) -> dict[str, tuple[str, str, str]]:
    """Name of the figure to value, interval and count."""
    rows = {f"recall {name}": _cells(share) for name, share in figures.recall.items()}
    rows["records with a required span left"] = _cells(figures.leaks)
    rows["precision of masks"] = _cells(figures.precision)
    rate = figures.false_per_1000
    of = f"{figures.false_masks:,} in {figures.neutral_words:,}"
    rows["false masks per 1,000 neutral words"] = ("not shown" if rate is None else f"{rate:.2f}", "", of)
    rows["neutral texts with a mask"] = _cells(figures.neutral_hit)
    rows["identifying numbers, by design"] = ("", "", f"{figures.identifying:,}")
    rows["words/s"] = (f"{figures.words_per_second:,.0f}", "", f"{figures.seconds:.1f} s")
    return rows


def _cells(share: Share) -> tuple[str, str, str]:
    if not share.shown:
        return "not shown", "", f"of {share.of:,}"
    low, high = share.interval
    return f"{share.value:.1%}", f"{low:.1%} to {high:.1%}", f"{share.hits:,} of {share.of:,}"


def _list(console: Console, detector: Detector, figures: Figures) -> None:
    console.print(f"\n{detector.name}: what was missed, then false masks; the words in question between » and «")
    for slip in sorted(figures.slips, key=lambda slip: (not slip.missed, slip.entity)):
        how = f"{slip.hidden:.0%} hidden" if slip.missed else f"rule {slip.rule or '?'}"
        kind = "missed" if slip.missed else "false"
        console.print(f"{kind:6}  {slip.entity:20}  {_flat(slip.text.id)}  {how}: {_context(slip)}")


def _context(slip: Slip) -> str:
    """The words in question and what stands around them, on one line, without control characters."""
    text = slip.text.text
    before, after = max(0, slip.start - _AROUND), slip.end + _AROUND
    shown = f"{text[before : slip.start]}»{text[slip.start : slip.end]}«{text[slip.end : after]}"
    return f"{'…' if before else ''}{_flat(shown)}{'…' if after < len(text) else ''}"


def _flat(text: str) -> str:
    return "".join(" " if unicodedata.category(char) in ("Cc", "Zl", "Zp") else char for char in text)
