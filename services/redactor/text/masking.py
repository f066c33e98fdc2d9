"""From spans to masks: merge, grow to what discloses by itself, tidy, and put the token in."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from presidio_anonymizer import AnonymizerEngine
from presidio_anonymizer.entities import ConflictResolutionStrategy, OperatorConfig, RecognizerResult
from presidio_anonymizer.operators import Operator, OperatorType

from services.kernel.mask import TOKEN
from services.kernel.vocabulary import EntityClass
from services.redactor.text.model import Kept, Mask, Span, Voucher

_E = EntityClass
#: Presidio compares every result with every other; a batch keeps that short.
_BATCH = 64
_POSSESSIVE = r"(?:(?:her|his|their|my|our|your|no|any|an?|the|valid|current|new|old|expired|own)\s+)*"
_LEFT: dict[EntityClass, re.Pattern[str]] = {
    _E.LANGUAGE: re.compile(
        r"\b(?:(?:only |also |mainly |mostly |and |fluently )*(?:speaks?|spoke|speaking|spoken|spks?|"
        r"understands?|prefers)\s+(?:only |some |fluent |a little |good |a |an |to |with |on )*"
        r"|(?:through|via|with|using|by)\s+(?:an?\s|the\s)?(?:\w+\s)?|(?:interpreter|interpreted|int|"
        r"translated|translation|translator|translate|connected|statement|line|account)\s+(?:for|in|"
        r"into|from|to)\s+"
        r"|(?:first|main|preferred|home|native|second)\s+lang(?:uage)?\s*(?:is|was|[:=\-])?\s*|"
        r"language\s?line\s+(?:used|connected)?\s*(?:for|in|-|:)?\s*|mother tongue\s*(?:is)?\s*|"
        r"(?:an?|some)\s+)\Z"
    ),
    _E.IMMIGRATION_STATUS: re.compile(
        r"\b(?:(?:(?:here|is|was|came|currently|still)\s+)?(?:on|under|with|as|for|of)\s+" + _POSSESSIVE + r"|"
        r"(?:(?:her|his|their|my|our|your|no|any|valid|current|new|expired|own)\s+)+)\Z"
        r"|\b(?:get|gets|getting|got|have|having|had|be|being|been)\s+(?:(?:her|him|me|them|us|you|"
        r"my\s\w+)\s+)?\Z"
        r"|\b(?:has|have|had|got|holds?|granted|given|applied|applying|claimed|claiming|seeking|"
        r"refused)\s+(?:for\s+)?" + _POSSESSIVE + r"\Z"
    ),
    _E.IMMIGRATION_CONTACT: re.compile(
        r"\b(?:(?:ring|rings|ringing|rang|call|calls|called|calling|tell|tells|told|email|emails|"
        r"emailed|phone|phoned|contact|contacted|inform|informed|report|notify|notified|text)\s+"
        r"(?:(?:her|him|me|us|them|you)\s+(?:to\s+)?)?|(?:report|reported|reporting|grass\w*|shop\w*|"
        r"hand\w*|refer|referred)\s+(?:(?:her|him|me|us|them|you|all)\s+)*(?:up\s+|over\s+)?to\s+"
        r"|(?:letters?|call|email|visit)\s+(?:from|to)\s+|(?:written|wrote|write|"
        r"writing)\s+to\s+)?(?:the\s+|her\s+|his\s+|an?\s+)?\Z"
    ),
    _E.IMMIGRATION_DOCUMENT: re.compile(r"\b(?:(?:her|his|their|my|our|your|own|valid|current|new|old|expired)\s+)+\Z"),
    _E.NATIONALITY: re.compile(r"\b(?:(?:citizens?|nationals?|natives?)\s+of\s+(?:the\s+)?|dual\s+|part\s+|half\s+)\Z"),
    _E.COUNTRY_OF_ORIGIN: re.compile(
        r"\b(?:(?:(?:go|goes|going|went|get|come|sent|send)\s+)?back\s+(?:home\s+)?(?:to|in)\s+|"
        r"(?:originally|orig\.?)\s+(?:from\s+)?|(?:fled|fleeing|flee)\s+(?:from\s+)?|over\s+from\s+|via\s+"
        r"|(?:citizens?|nationals?)\s+of\s+(?:the\s+)?|return(?:ed|ing)?\s+to\s+)\Z"
    ),
    _E.PROXY: re.compile(
        r"\b(?:gets|receives|with|has|in|on|from|placed|lives|living|at)\s+(?:the\s+|an?\s+|her\s+|his\s+)?\Z"
    ),
}
_RIGHT: dict[EntityClass, re.Pattern[str]] = {
    _E.LANGUAGE: re.compile(
        r"[\s\-]+(?:speak(?:er|ers|ing)|interpreters?|int|translator|dialect|language|line|only|"
        r"spoken)\b(?:\s+(?:used|needed|required|requested|present|booked|on way|on the line|"
        r"via \w+))?"
    ),
    _E.IMMIGRATION_STATUS: re.compile(
        r"(?:[\s\-]+(?:visas?|status|claims?|applications?|appeals?|interview|seekers?|refused|"
        r"refusal|rejected|expire[sd]|expiring|expiry|has expired|had expired|is due to expire|"
        r"will be cancelled|was cancelled|cancelled|revoked|curtailed|has been curtailed|"
        r"ran out|runs out|lapsed|pending|granted|"
        r"is unclear|unclear|is insecure|was in process|is in process|routes?|holders?|scheme|permit|"
        r"order|orders|decision|renewal|sponsorship|leave|to remain|in the uk|until \w+ \d{2,4}|"
        r"exp \w+))+\b"
    ),
    _E.NATIONALITY: re.compile(
        r"(?:[\s\-]+(?:nationals?|citizens?|citizenship|nationality|passports?|born|descent|origin|"
        r"heritage|extraction|background|plated|id cards?|identity cards?|"
        r"driving licen[cs]e|licen[cs]e|embassy|consulate|speak(?:er|ers|ing)))+\b"
    ),
    _E.PROXY: re.compile(
        r"(?:\s+(?:house|hotel|team|worker|accommodation|accom|support|officer|number|mobile|address|"
        r"staff))+\b"
    ),
    _E.COUNTRY_OF_ORIGIN: re.compile(r"\s+(?:originally|by birth)\b"),
    _E.IMMIGRATION_DOCUMENT: re.compile(r"(?:\s+(?:number|no\.?|card|cards|permit)(?!\w))+"),
    _E.IMMIGRATION_CONTACT: re.compile(
        r"(?:\s+(?:officers?|team|enforcement|hotline|"
        r"solicitor|checks?|raids?|will come|letter))+\b"
    ),
}
_BETWEEN = re.compile(r"[\s,;/&+\-–()'\"]{0,4}(?:\b(?:and|or|of|from|in|a|an|the|&)\b[\s]*){0,2}\Z")
_ARTICLE = re.compile(r"\b([Aa])[nN]\s+\Z")


class Neutral(Operator):
    """Presidio operator: every class becomes the one token, after `a` where the span took an `an` along."""

    def operate(self, text: str, params: dict[str, object] | None = None) -> str:
        """Return the token, with the article tidied."""
        del params
        match = re.match(r"([Aa])[nN]\s+", text)
        return f"{match.group(1)} {TOKEN}" if match else TOKEN

    def validate(self, params: dict[str, object] | None = None) -> None:
        """Nothing to set."""

    def operator_name(self) -> str:
        """Name in the anonymizer's registry."""
        return "neutral"

    def operator_type(self) -> OperatorType:
        """It replaces."""
        return OperatorType.Anonymize


@dataclass(frozen=True, slots=True)
class Masked:
    """A masked text, its masks and the vouchers that still stand, all in characters of `text`."""

    text: str
    masks: tuple[Mask, ...]
    vouchers: tuple[Voucher, ...]


class Masker:
    """Puts the token in by Presidio's AnonymizerEngine."""

    def __init__(self) -> None:
        self._engine = AnonymizerEngine()  # type: ignore[no-untyped-call]
        self._engine.add_anonymizer(Neutral)
        self._operators = {"DEFAULT": OperatorConfig("neutral", {})}

    def mask(self, text: str, spans: Sequence[Span], kept: Sequence[Kept]) -> Masked:
        """Mask `spans` (characters of `text`), grown, merged and tidied; carry `kept` over as vouchers."""
        final = _article(text, _merge(text, [_grow(text, span) for span in spans]))
        pieces: list[str] = []
        masks: list[Mask] = []
        ends, shifts = [0], [0]
        at = length = 0
        for first in range(0, len(final), _BATCH):
            batch = final[first : first + _BATCH]
            cut = batch[-1].end
            for span, (start, end, piece) in zip(batch, self._put(text[at:cut], batch, at), strict=True):
                pieces.append(piece[:start])
                length += len(pieces[-1]) + end - start
                pieces.append(piece[start:end])
                masks.append(Mask(length - len(TOKEN), length, span.entity, span.rule))
                ends.append(span.end)
                shifts.append(length - span.end)
            at = cut
        pieces.append(text[at:])
        cover = Cover(final)
        vouchers = tuple(
            Voucher(item.start + by, item.end + by, item.reason)
            for item in kept
            if not cover.touches(item.start, item.end)
            for by in [shifts[bisect_right(ends, item.start) - 1]]
        )
        return Masked("".join(pieces), tuple(masks), vouchers)

    def _put(self, text: str, spans: Sequence[Span], offset: int) -> Iterator[tuple[int, int, str]]:
        """For each span the text up to and with its token, as (start of the replaced part, end, text)."""
        result = self._engine.anonymize(
            text=text,
            analyzer_results=[
                RecognizerResult(span.entity.value, span.start - offset, span.end - offset, 1.0) for span in spans
            ],
            operators=self._operators,
            conflict_resolution=ConflictResolutionStrategy.REMOVE_INTERSECTIONS,
            merge_entities_with_spaces=False,
        )
        at = 0
        for item in sorted(result.items, key=lambda item: item.start):
            yield item.start - at, item.end - at, result.text[at : item.end]
            at = item.end


class Cover:
    """Answers quickly whether a place touches any of many spans."""

    def __init__(self, spans: Iterable[Span]) -> None:
        ordered = sorted((span.start, span.end) for span in spans)
        self._starts = [start for start, _ in ordered]
        self._reach = list(accumulate((end for _, end in ordered), max))

    def touches(self, start: int, end: int) -> bool:
        """Whether `start:end` shares a character with a span."""
        index = bisect_left(self._starts, end)
        return index > 0 and self._reach[index - 1] > start


def _merge(text: str, spans: Sequence[Span]) -> list[Span]:
    """Overlapping spans and spans with only separators between them become one; the longer names it."""
    merged: list[Span] = []
    for span in sorted(spans, key=lambda item: (item.start, -item.end)):
        if merged:
            last = merged[-1]
            gap = text[last.end : span.start]
            if span.start <= last.end or (
                len(gap) <= 12 and _BETWEEN.fullmatch(gap) and gap.count("(") == gap.count(")")
            ):
                head = last if last.end - last.start >= span.end - span.start else span
                merged[-1] = Span(
                    last.start, max(last.end, span.end), head.entity, head.rule, max(last.score, span.score)
                )
                continue
        merged.append(span)
    return merged


def _grow(text: str, span: Span) -> Span:
    """Take in the words around that disclose by themselves, within the sentence."""
    start, end = span.start, span.end
    left, right = _LEFT.get(span.entity), _RIGHT.get(span.entity)
    if right is not None and (after := right.match(text[end : end + 60].lower())):
        end += after.end()
    if text[end : end + 1] == ")" and "(" in text[start:end]:
        end += 1
    if left is not None:
        piece = text[max(0, start - 60) : start]
        if len(lowered := piece.lower()) == len(piece) and (before := left.search(lowered)):
            start -= len(piece) - before.start()
    return Span(start, end, span.entity, span.rule, span.score)


def _article(text: str, spans: Sequence[Span]) -> list[Span]:
    """Take a preceding `an` into the span, and join what stands beside a token already there."""
    tidy: list[Span] = []
    for span in spans:
        start, end = span.start, span.end
        while text.startswith(TOKEN, end + 1) and text[end : end + 1] in " ,/":
            end += 1 + len(TOKEN)
        while start > len(TOKEN) and text[start - 1] in " ,/" and text.endswith(TOKEN, 0, start - 1):
            start -= 1 + len(TOKEN)
        if match := _ARTICLE.search(text[max(0, start - 6) : start]):
            start -= len(match.group())
        tidy.append(Span(start, end, span.entity, span.rule, span.score))
    return _merge(text, tidy)
