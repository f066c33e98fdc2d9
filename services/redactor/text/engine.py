"""The text engine: detect what discloses, redact it, and say what stayed and why."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from presidio_analyzer import AnalyzerEngine

from services.kernel.errors import ConfigError
from services.kernel.mask import TOKEN
from services.kernel.vocabulary import EntityClass
from services.redactor.text import encoded, names, readable, risk
from services.redactor.text import rules as rule_files
from services.redactor.text import words as lexicon
from services.redactor.text.addresses import Addresses
from services.redactor.text.context import Groups, Scan
from services.redactor.text.masking import Cover, Masker
from services.redactor.text.model import Kept, Kind, Mask, Redaction, Span, Voucher
from services.redactor.text.normalise import normalise, plain
from services.redactor.text.numbers import Numbers
from services.redactor.text.readings import Reader
from services.redactor.text.recognizers import (
    CLASSES,
    Artifacts,
    LexiconRecognizer,
    Linguistics,
    NoEnhancer,
    NumberRecognizer,
    Registry,
    RuleRecognizer,
)
from services.redactor.text.rules import Rule
from services.redactor.text.words import Entry, Finder, Hit

__all__ = ["Kind", "Mask", "Redaction", "Span", "TextEngine", "Voucher"]

#: Classes that stay where every person of the record is unprotected.
_UNPROTECTED = frozenset({EntityClass.NATIONALITY, EntityClass.COUNTRY_OF_ORIGIN})
_ROUNDS = 3
#: Presidio compares every result with every other; pieces of this many characters keep that short.
_PIECE = 4000
#: What rules of format and identifying numbers need.
_NUMERIC = re.compile(r"[\d@]")
_FLAG = re.compile("[\U0001f1e6-\U0001f1ff\U0001f3f4][\U0001f1e6-\U0001f1ff\U000e0020-\U000e007f]*")
_SELF_TEST = (
    ("She is Polish.", EntityClass.NATIONALITY),
    ("He was born in Lagos.", EntityClass.COUNTRY_OF_ORIGIN),
    ("She is NRPF.", EntityClass.IMMIGRATION_STATUS),
    ("Ring 07700 900123 at night.", EntityClass.IDENTIFYING),
    ("Она говорит", EntityClass.UNREADABLE),
)


class TextEngine:
    """Built once, then pure: the same text gives the same answer."""

    def __init__(self, *, finder: Finder, groups: Groups, rules: list[Rule], version: str) -> None:
        self.version = version
        self._finder = finder
        self._groups = groups
        registry = Registry(
            recognizers=[
                LexiconRecognizer(Reader(groups)),
                RuleRecognizer([rule for rule in rules if not rule.context]),
                NumberRecognizer(Numbers()),
            ],
            supported_languages=["en"],
        )
        self._analyzer = AnalyzerEngine(
            registry=registry, nlp_engine=Linguistics(), supported_languages=["en"],
            context_aware_enhancer=NoEnhancer(), log_decision_process=False,
        )  # fmt: skip
        self._codes = groups.name_codes | {entry.word for entry in finder.entries if entry.kinds == {"code"}}
        self._addresses = Addresses(finder, groups)
        self._in_context = RuleRecognizer([rule for rule in rules if rule.context])
        self._masker = Masker()

    @classmethod
    def build(cls) -> TextEngine:
        """Load lexicon and rules and prove every rule on its own example; raises ConfigError."""
        risk.prove()
        rules = rule_files.read()
        groups = Groups.read()
        entries = lexicon.read()
        slips = lexicon.misspelt(entries, groups.not_misspelt | groups.english_words | groups.given)
        entries += [*lexicon.broken(entries, groups.not_misspelt), *slips]
        known = {entry.word for entry in entries}
        triggers = {trigger for rule in rules for trigger in rule.triggers} - known
        entries += [Entry(word, frozenset({"trigger"}), frozenset()) for word in sorted(triggers)]
        engine = cls(finder=Finder(entries), groups=groups, rules=rules, version=_version())
        engine._prove(rules)
        return engine

    def detect(self, text: str, kind: Kind = Kind.NARRATIVE) -> list[Span]:
        """Every disclosure in `text`, in characters of `text`, in order of place."""
        return self._scan(text, kind)[0]

    def redact(self, text: str, kind: Kind = Kind.NARRATIVE, protected: bool = True) -> Redaction:
        """Hide every disclosure behind the one token.

        1. Lift the risk, before anything is hidden.
        2. Detect; a text that cannot be read is held: the token alone.
        3. Mask, grown to what discloses by itself; carry look-alikes over as vouchers.
        4. Detect again; what is still found is masked too, at most three times, then the whole text.
        """
        if not text or text == TOKEN:
            return Redaction(text)
        codes = risk.lift(text.lower()) if kind is Kind.NARRATIVE else frozenset()
        masks: dict[tuple[int, int], Mask | None] = dict.fromkeys(_tokens(text))  # None: it stood in the input
        current = text
        for _ in range(_ROUNDS):
            spans, kept = self._scan(current, kind)
            if any(span.entity is EntityClass.UNREADABLE for span in spans):
                return self._whole(spans[0], codes, held=True)
            if not protected:
                spans = [span for span in spans if span.entity not in _UNPROTECTED]
            if not spans:
                vouchers = tuple(Voucher(item.start, item.end, item.reason) for item in kept)
                return Redaction(current, _made(masks), vouchers, risk=codes)
            if any((span.start, span.end) == (0, len(current)) and span.rule == "encoded" for span in spans):
                return self._whole(spans[0], codes)
            done = self._masker.mask(current, spans, kept)
            masks = _carry(masks, done.masks, done.text)
            current = done.text
        spans = [span for span in self._scan(current, kind)[0] if protected or span.entity not in _UNPROTECTED]
        if spans:
            return self._whole(spans[0], codes)
        kept = self._scan(current, kind)[1]
        return Redaction(current, _made(masks), tuple(Voucher(k.start, k.end, k.reason) for k in kept), risk=codes)

    def _whole(self, span: Span, codes: frozenset[str], *, held: bool = False) -> Redaction:
        return Redaction(TOKEN, (Mask(0, len(TOKEN), span.entity, span.rule),), (), held, codes)

    def _scan(self, text: str, kind: Kind, *, inner: bool = False) -> tuple[list[Span], list[Kept]]:
        """Spans and look-alikes in characters of `text`; an `inner` text has been decoded through all its layers."""
        if not text or text == TOKEN:
            return [], []
        whole = (0, len(text))
        shown = plain(text)
        if readable.other_script(text) or readable.other_script(shown):
            return [Span(*whole, EntityClass.UNREADABLE, "other_script", 1.0)], []
        if kind is Kind.NARRATIVE and readable.foreign(shown, self._groups.english_words):
            return [Span(*whole, EntityClass.UNREADABLE, "other_language", 1.0)], []
        for layer in () if inner else encoded.decoded(text):
            if hidden := self._scan(layer, kind, inner=True)[0]:
                return [Span(*whole, hidden[0].entity, "encoded", 1.0)], []
        opaque = encoded.opaque(text, self._groups.english_words)
        spans = [Span(*place, EntityClass.IDENTIFYING, "opaque", 1.0) for place in opaque]
        kept: list[Kept] = []
        scans = [(offset, self._scan_piece(piece, kind, offset, spans, kept)) for offset, piece in _pieces(text)]
        spans += _flags(text)
        if any(span.entity is not EntityClass.IDENTIFYING for span in spans):
            spans += [_placed(span, scan, offset) for offset, scan in scans for span in self._in_context.find(scan)]
        spans += self._addresses.find(text) if kind is Kind.CONTACT else ()
        spans.sort(key=lambda span: (span.start, span.end))
        cover = Cover(spans)
        return spans, [item for item in kept if not cover.touches(item.start, item.end)]

    def _scan_piece(self, text: str, kind: Kind, offset: int, spans: list[Span], kept: list[Kept]) -> Scan:
        scan = self._prepare(text, kind)
        if kind is Kind.NAME:
            for place in names.codes(scan.normal.text, self._codes, self._groups.code_names):
                start, end = scan.normal.source(*place)
                spans.append(Span(start + offset, end + offset, EntityClass.NATIONALITY, "name_code"))
        if not scan.words and not _NUMERIC.search(scan.normal.text):
            return scan  # no word of the lexicon and no trigger, digit or address: no recognizer can find anything
        artifacts = Artifacts(scan)
        results = self._analyzer.analyze(
            scan.normal.text, "en", entities=CLASSES, score_threshold=0.0, nlp_artifacts=artifacts
        )
        for item in results:
            start, end = scan.normal.source(item.start, item.end)
            rule = item.recognition_metadata["recognizer_name"]
            spans.append(Span(start + offset, end + offset, EntityClass(item.entity_type), rule, item.score))
        for found in artifacts.kept:
            start, end = scan.normal.source(found.start, found.end)
            kept.append(Kept(start + offset, end + offset, found.reason))
        return scan

    def _prepare(self, text: str, kind: Kind) -> Scan:
        normal = normalise(text, self._finder.knows)
        hits = [hit for hit in self._finder.find(normal.low) if not normal.low.startswith(TOKEN, hit.start - 1)]
        words = frozenset(hit.entry.word for hit in hits)
        return Scan(normal, kind, _longest(hits), words)

    def _sees(self, rule: Rule, text: str) -> bool:
        scan = self._prepare(text, Kind.NARRATIVE)
        return (rule.always or bool(scan.words & rule.triggers)) and bool(rule.find(scan))

    def _prove(self, rules: list[Rule]) -> None:
        """Every rule finds its example and none of its near misses; every layer finds its own."""
        faults = []
        for rule in rules:
            if not self._sees(rule, rule.example):
                faults.append(f"rule `{rule.name}` does not find its own example")
            faults += [
                f"rule `{rule.name}` finds its near miss `{miss}`" for miss in rule.misses if self._sees(rule, miss)
            ]
        for sample, entity in _SELF_TEST:
            if entity not in {span.entity for span in self.detect(sample)}:
                faults.append(f"the engine does not find {entity} in its own example")
        if faults:
            raise ConfigError("the text engine does not prove itself", faults)


def _placed(span: Span, scan: Scan, offset: int) -> Span:
    """A span of a scan in characters of the whole text."""
    start, end = scan.normal.source(span.start, span.end)
    return Span(start + offset, end + offset, span.entity, span.rule, span.score)


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """The text in pieces of bounded length, cut after a sentence where there is one, else after a word."""
    at = 0
    while len(text) - at > _PIECE:
        window = text[at : at + _PIECE]
        cut = max(window.rfind("\n"), window.rfind(". ")) + 1
        if cut <= _PIECE // 2:
            cut = window.rfind(" ") + 1 or _PIECE
        yield at, text[at : at + cut]
        at += cut
    yield at, text[at:]


def _longest(hits: list[Hit]) -> tuple[Hit, ...]:
    """Lexicon hits without those inside a longer one; triggers are left out."""
    real = [hit for hit in hits if "trigger" not in hit.entry.kinds]
    real.sort(key=lambda hit: (hit.start, -hit.end))
    kept: list[Hit] = []
    reach = -1
    for hit in real:
        if hit.end > reach:
            kept.append(hit)
            reach = hit.end
    return tuple(kept)


def _flags(text: str) -> list[Span]:
    """Flags of countries as emoji: pairs of regional indicators, and the tag sequences of parts of the UK."""
    if text.isascii():
        return []
    return [Span(*match.span(), EntityClass.NATIONALITY, "flag_emoji") for match in _FLAG.finditer(text)]


def _carry(
    before: dict[tuple[int, int], Mask | None], after: tuple[Mask, ...], text: str
) -> dict[tuple[int, int], Mask | None]:
    """Masks of earlier rounds, and tokens of the input, found again in `text`, in order, with those just made."""
    places = {(mask.start, mask.end): mask for mask in after}
    old = list(before.values())
    found: dict[tuple[int, int], Mask | None] = {}
    for place in _tokens(text):
        if place in places:
            found[place] = places[place]
        elif old:
            earlier = old.pop(0)
            found[place] = Mask(*place, earlier.entity, earlier.rule) if earlier else None
    return found


def _tokens(text: str) -> Iterator[tuple[int, int]]:
    """Places of the token."""
    at = text.find(TOKEN)
    while at >= 0:
        yield at, at + len(TOKEN)
        at = text.find(TOKEN, at + len(TOKEN))


def _made(masks: dict[tuple[int, int], Mask | None]) -> tuple[Mask, ...]:
    """Those that this redaction made."""
    return tuple(mask for mask in masks.values() if mask is not None)


def _version() -> str:
    """Hash over lexicon, rules and code: the detector's version."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for path in sorted([*here.glob("*.py"), *here.glob("lexicon/*"), *here.glob("rules/*")]):
        if path.is_file():
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
