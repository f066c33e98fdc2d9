"""Figures of a detector: what it hid of the gold, and what it hid beside it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from services.evaluation.gold import CLASSES, DIRECT, PROXIES, GoldSpan, GoldText
from services.kernel.vocabulary import EntityClass

#: Below this count a share says too little to be shown.
SHOWN_FROM = 30
#: Below this number of neutral words a rate per 1,000 says too little.
WORDS_FROM = 1000
#: A span is hidden when this share of its letters and digits is.
_ENOUGH = (60, 100)
_Z = 1.959964  # 95 %, two-sided


@dataclass(frozen=True, slots=True)
class Mask:
    """Characters of the input that a detector hid, and why. `identifying`: a number that identifies, by design."""

    start: int
    end: int
    entity: str
    rule: str
    identifying: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a detector made of one text, and the seconds that it took."""

    masks: tuple[Mask, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many."""

    hits: int
    of: int

    @property
    def shown(self) -> bool:
        """Whether the count is large enough for a share to mean something."""
        return self.of >= SHOWN_FROM

    @property
    def value(self) -> float:
        """0 to 1. `of` must not be 0."""
        return self.hits / self.of

    @property
    def interval(self) -> tuple[float, float]:
        """95 % score interval (Wilson 1927, Journal of the American Statistical Association 22, 209-212)."""
        middle = self.value + _Z * _Z / (2 * self.of)
        reach = _Z * math.sqrt(self.value * (1 - self.value) / self.of + _Z * _Z / (4 * self.of * self.of))
        scale = 1 + _Z * _Z / self.of
        return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)


@dataclass(frozen=True, slots=True)
class Slip:
    """A required span that stayed (`missed`, with the share of it that was hidden) or a false mask."""

    missed: bool
    text: GoldText
    start: int
    end: int
    entity: str
    rule: str = ""
    hidden: float = 0.0


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures of one detector on one set of texts."""

    recall: dict[str, Share]
    """Required spans hidden of all required spans: for each class, `direct classes`, `proxies`, `all classes`."""
    leaks: Share
    """Records with a required span left, of those that have any."""
    precision: Share
    """Masks that touch a marked span, required or not, of all masks but those of identifying numbers."""
    false_masks: int
    """Masks in neutral texts."""
    neutral_words: int
    neutral_hit: Share
    """Neutral texts with a mask."""
    identifying: int
    """Masks of identifying numbers that touch no marked span: by design, counted nowhere else."""
    words: int
    seconds: float
    slips: tuple[Slip, ...] = field(repr=False)

    @property
    def false_per_1000(self) -> float | None:
        """False masks per 1,000 neutral words; None where there are too few words."""
        return 1000 * self.false_masks / self.neutral_words if self.neutral_words >= WORDS_FROM else None

    @property
    def words_per_second(self) -> float:
        """Whole text path of one process."""
        return self.words / self.seconds if self.seconds else 0.0


def score(texts: Sequence[GoldText], answers: Iterable[Answer]) -> Figures:
    """Figures over `texts` and the detector's answers to them, in the same order."""
    counts: Counter[str] = Counter()
    slips: list[Slip] = []
    seconds = 0.0
    for text, answer in zip(texts, answers, strict=True):
        seconds += answer.seconds
        missed = list(_missed(text, answer.masks))
        judged = [mask for mask in answer.masks if not mask.identifying or _touches(mask, text.spans)]
        false = [mask for mask in judged if not _touches(mask, text.spans)]
        slips += missed
        slips += [Slip(False, text, mask.start, mask.end, mask.entity, mask.rule) for mask in false]
        required = [span.entity.value for span in text.spans if span.required]
        counts.update(f"required {entity}" for entity in required)
        counts.update(f"missed {slip.entity}" for slip in missed)
        counts["disclosing"] += bool(required)
        counts["leaking"] += bool(missed)
        counts["identifying"] += len(answer.masks) - len(judged)
        counts["masks"] += len(judged)
        counts["false"] += len(false)
        if not text.spans:
            counts["neutral"] += 1
            counts["neutral words"] += text.words
            counts["neutral false"] += len(false)
            counts["neutral hit"] += bool(false)
    return Figures(
        recall=_recall(counts),
        leaks=Share(counts["leaking"], counts["disclosing"]),
        precision=Share(counts["masks"] - counts["false"], counts["masks"]),
        false_masks=counts["neutral false"],
        neutral_words=counts["neutral words"],
        neutral_hit=Share(counts["neutral hit"], counts["neutral"]),
        identifying=counts["identifying"],
        words=sum(text.words for text in texts),
        seconds=seconds,
        slips=tuple(slips),
    )


def _recall(counts: Counter[str]) -> dict[str, Share]:
    groups: dict[str, tuple[EntityClass, ...]] = {entity.value: (entity,) for entity in CLASSES}
    groups |= {"direct classes": DIRECT, "proxies": PROXIES, "all classes": CLASSES}
    shares = {}
    for name, members in groups.items():
        required = sum(counts[f"required {entity.value}"] for entity in members)
        missed = sum(counts[f"missed {entity.value}"] for entity in members)
        shares[name] = Share(required - missed, required)
    return shares


def _missed(text: GoldText, masks: Sequence[Mask]) -> Iterator[Slip]:
    gone = bytearray(len(text.text))
    for mask in masks:
        gone[mask.start : mask.end] = b"\x01" * (mask.end - mask.start)
    for span in text.spans:
        hits, of = _hidden(text.text, span, gone)
        if span.required and hits * _ENOUGH[1] < of * _ENOUGH[0]:
            yield Slip(True, text, span.start, span.end, span.entity.value, hidden=hits / of)


def _hidden(text: str, span: GoldSpan, gone: bytearray) -> tuple[int, int]:
    """Hidden letters and digits of the span, and all of them; of a span without any (a flag), all characters."""
    places = range(span.start, span.end)
    marks = [index for index in places if text[index].isalnum()] or list(places)
    return sum(gone[index] for index in marks), len(marks)


def _touches(mask: Mask, spans: Sequence[GoldSpan]) -> bool:
    return any(span.start < mask.end and mask.start < span.end for span in spans)
