"""Presidio recognizers over the project's lexicon, rules and numbers, and its linguistic engine."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

import spacy
from presidio_analyzer import EntityRecognizer, LemmaContextAwareEnhancer, RecognizerRegistry, RecognizerResult
from presidio_analyzer.nlp_engine import NlpArtifacts, NlpEngine
from spacy.tokens import Doc
from spacy.vocab import Vocab

from services.kernel.vocabulary import EntityClass
from services.redactor.text.context import Scan
from services.redactor.text.model import Kept, Kind, Span
from services.redactor.text.numbers import Numbers
from services.redactor.text.readings import Reader
from services.redactor.text.rules import Rule

_DIGITS = re.compile(r"\d{5}|\d{3,4}[-/ ]\d{3,4}")
#: The scan reads its own tokens; Presidio asks for a document, and this one is empty.
_NO_TOKENS = Doc(Vocab())
CLASSES = [entity.value for entity in EntityClass]


class Artifacts(NlpArtifacts):
    """Presidio's artifacts with the scan of this text; recognizers add what they kept."""

    def __init__(self, scan: Scan) -> None:
        super().__init__(entities=[], tokens=_NO_TOKENS, tokens_indices=[], lemmas=[], nlp_engine=None, language="en")
        self.scan = scan
        self.kept: list[Kept] = []


class Linguistics(NlpEngine):
    """A blank English spaCy pipeline: tokens only, lemma is the word in lower case, nothing is downloaded."""

    def __init__(self) -> None:
        self.nlp = spacy.blank("en")

    def load(self) -> None:
        """Nothing to load: the pipeline is built in the constructor."""

    def is_loaded(self) -> bool:
        """Always."""
        return True

    def process_text(self, text: str, language: str) -> NlpArtifacts:
        """Tokens and lower-case lemmas of `text`."""
        doc = self.nlp.make_doc(text)
        return NlpArtifacts([], doc, [token.idx for token in doc], [token.lower_ for token in doc], None, language)

    def process_batch(
        self, texts: Iterable[str], language: str, batch_size: int = 1, n_process: int = 1, **kwargs: Any
    ) -> Iterator[tuple[str, NlpArtifacts]]:
        """One after the other."""
        del batch_size, n_process, kwargs
        for text in texts:
            yield text, self.process_text(text, language)

    def is_stopword(self, word: str, language: str) -> bool:
        """Whether spaCy counts `word` among the English stop words."""
        del language
        return bool(self.nlp.vocab[word].is_stop)

    def is_punct(self, word: str, language: str) -> bool:
        """Whether `word` is punctuation."""
        del language
        return bool(self.nlp.vocab[word].is_punct)

    def get_supported_entities(self) -> list[str]:
        """None: entities come from the recognizers."""
        return []

    def get_supported_languages(self) -> list[str]:
        """English."""
        return ["en"]


class NoEnhancer(LemmaContextAwareEnhancer):
    """Context is read by the recognizers themselves."""

    def enhance_using_context(
        self, text: str, raw_results: list[RecognizerResult], *_: Any, **__: Any
    ) -> list[RecognizerResult]:
        """Return the results as they are."""
        del text
        return raw_results


class Registry(RecognizerRegistry):
    """The recognizers given, all of them at every call: asking each for its entities costs as much as running it."""

    def get_recognizers(self, *_: Any, **__: Any) -> list[EntityRecognizer]:
        """All recognizers."""
        return list(self.recognizers)


class _Own(EntityRecognizer):
    def __init__(self, name: str) -> None:
        super().__init__(supported_entities=CLASSES, name=name, supported_language="en")

    def load(self) -> None:
        """Everything was built in the constructor."""

    def enhance_using_context(
        self, text: str, raw_recognizer_results: list[RecognizerResult], *_: Any, **__: Any
    ) -> list[RecognizerResult]:
        """Return the results as they are."""
        del text
        return raw_recognizer_results

    def results(self, spans: Iterable[Span]) -> list[RecognizerResult]:
        """Presidio results that carry the rule."""
        return [
            RecognizerResult(
                span.entity.value, span.start, span.end, span.score,
                recognition_metadata={
                    RecognizerResult.RECOGNIZER_NAME_KEY: span.rule,
                    RecognizerResult.RECOGNIZER_IDENTIFIER_KEY: self.id,
                },
            )
            for span in spans
        ]  # fmt: skip


class LexiconRecognizer(_Own):
    """Lexicon hits, each read in its context; look-alikes go to the artifacts' `kept`."""

    def __init__(self, reader: Reader) -> None:
        super().__init__("lexicon")
        self._reader = reader

    def analyze(self, text: str, entities: list[str], nlp_artifacts: NlpArtifacts) -> list[RecognizerResult]:
        """Spans of all hits that disclose."""
        del text, entities
        artifacts = cast(Artifacts, nlp_artifacts)
        scan = artifacts.scan
        spans = []
        for hit in scan.hits:
            reading = self._reader.read(hit, scan)
            if isinstance(reading, Span):
                spans.append(reading)
            elif isinstance(reading, Kept):
                artifacts.kept.append(reading)
        return self.results(spans)


class RuleRecognizer(_Own):
    """Rules of grammar and format whose trigger stands in the text."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        super().__init__("rules")
        self._always = [rule for rule in rules if rule.always]
        self._triggered: dict[str, list[Rule]] = {}
        for rule in rules:
            for trigger in rule.triggers:
                self._triggered.setdefault(trigger, []).append(rule)

    def analyze(self, text: str, entities: list[str], nlp_artifacts: NlpArtifacts) -> list[RecognizerResult]:
        """Spans of all rules that match."""
        del text, entities
        return self.results(self.find(cast(Artifacts, nlp_artifacts).scan))

    def find(self, scan: Scan) -> Iterator[Span]:
        """Spans of all rules that match."""
        rules = {rule.name: rule for word in scan.words & self._triggered.keys() for rule in self._triggered[word]}
        chosen = [*(self._always if _DIGITS.search(scan.normal.low) else ()), *rules.values()]
        if scan.kind is Kind.CONTACT:
            chosen = [rule for rule in chosen if rule.entity is not EntityClass.PROXY]
        return (span for rule in chosen for span in rule.find(scan))


class NumberRecognizer(_Own):
    """Identifying numbers; in contact fields they are what the field is for."""

    def __init__(self, numbers: Numbers) -> None:
        super().__init__("numbers")
        self._numbers = numbers

    def analyze(self, text: str, entities: list[str], nlp_artifacts: NlpArtifacts) -> list[RecognizerResult]:
        """Spans of identifying numbers."""
        del text, entities
        scan = cast(Artifacts, nlp_artifacts).scan
        return [] if scan.kind is Kind.CONTACT else self.results(self._numbers.find(scan.normal.text))
