"""The detectors that `evaluate` can measure: ours, and stock Presidio as the measure of what is had for nothing."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.evaluation.align import hidden
from services.evaluation.score import Answer, Mask
from services.kernel.errors import ConfigError
from services.kernel.mask import TOKEN
from services.kernel.vocabulary import EntityClass

if TYPE_CHECKING:
    from spacy.language import Language

Detect = Callable[[str], Answer]

#: Stock entity types that compete with our eight classes; all others are identifying numbers and addresses.
_PRESIDIO_COUNTED = frozenset({"NRP", "LOCATION", "DATE_TIME"})
_PRESIDIO_LABELS = ("PERSON", "NORP", "GPE", "LOC", "DATE")


@dataclass(frozen=True, slots=True)
class Detector:
    """A name on the command line, what stands behind it, and how to build it."""

    name: str
    about: str
    build: Callable[[], Detect]


def named(name: str) -> Detector:
    """The detector of that name.

    Raises:
        ConfigError: there is none; the message lists all.
    """
    if name not in DETECTORS:
        raise ConfigError(f"detector `{name}`", [f"there is none of this name; there are {', '.join(DETECTORS)}"])
    return DETECTORS[name]


def _engine() -> Detect:
    from services.redactor.text.engine import TextEngine

    engine = TextEngine.build()

    def detect(text: str) -> Answer:
        started = time.perf_counter()
        redaction = engine.redact(text)
        seconds = time.perf_counter() - started
        found = [(span.start, span.end) for span in engine.detect(text)]
        rules = {mask.start: mask for mask in redaction.masks}
        masks, at = [], 0
        for start, end in hidden(text, redaction.text, found):
            at = redaction.text.index(TOKEN, at)
            if text[start:end] != TOKEN:  # else it was there before
                entity, rule = (rules[at].entity, rules[at].rule) if at in rules else ("", "")
                masks.append(Mask(start, end, entity, rule, entity == EntityClass.IDENTIFYING))
            at += len(TOKEN)
        return Answer(tuple(masks), seconds)

    return detect


def _presidio(pipeline: Callable[[], Language]) -> Detect:
    """Presidio's own analyzer, recognizers, scores and anonymizer; the pipeline's names of things are not used."""
    import tldextract.tldextract as domains
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine
    from presidio_anonymizer import AnonymizerEngine

    domains.TLD_EXTRACTOR = domains.TLDExtract(suffix_list_urls=())  # the list in the package: nothing is downloaded
    logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)
    linguistics = SpacyNlpEngine(ner_model_configuration=NerModelConfiguration(labels_to_ignore=[*_PRESIDIO_LABELS]))
    linguistics.nlp = {"en": pipeline()}  # type: ignore[assignment]  # Presidio gives it no type but None
    registry = RecognizerRegistry()
    registry.load_predefined_recognizers(nlp_engine=linguistics)
    analyzer = AnalyzerEngine(registry=registry, nlp_engine=linguistics)
    anonymizer = AnonymizerEngine()  # type: ignore[no-untyped-call]

    def detect(text: str) -> Answer:
        started = time.perf_counter()
        results = analyzer.analyze(text, "en")
        anonymizer.anonymize(text, results)  # type: ignore[arg-type]  # the analyzer has a result type of its own
        seconds = time.perf_counter() - started
        masks = (
            Mask(r.start, r.end, r.entity_type, "presidio", r.entity_type not in _PRESIDIO_COUNTED) for r in results
        )
        return Answer(tuple(masks), seconds)

    return detect


def _blank() -> Language:
    import spacy

    return spacy.blank("en")


def _untrained() -> Language:
    """Tagger, parser and entity recognizer of the sizes of en_core_web_sm, with random weights."""
    import spacy
    from spacy.training import Example

    tok2vec = {
        "@architectures": "spacy.HashEmbedCNN.v2", "pretrained_vectors": None, "width": 96, "depth": 4,
        "embed_size": 2000, "window_size": 1, "maxout_pieces": 3, "subword_features": True,
    }  # fmt: skip
    shared = {"@architectures": "spacy.Tok2VecListener.v1", "width": 96, "upstream": "tok2vec"}
    moves = {
        "@architectures": "spacy.TransitionBasedParser.v2", "extra_state_tokens": False, "hidden_width": 64,
        "maxout_pieces": 2, "use_upper": True,
    }  # fmt: skip
    nlp = spacy.blank("en")
    nlp.add_pipe("tok2vec", config={"model": tok2vec})
    nlp.add_pipe("tagger", config={"model": {"@architectures": "spacy.Tagger.v2", "tok2vec": shared}})
    nlp.add_pipe("parser", config={"model": {**moves, "state_type": "parser", "tok2vec": shared}})
    nlp.add_pipe("ner", config={"model": {**moves, "state_type": "ner", "tok2vec": tok2vec}})
    labels = {
        "tagger": [f"T{n}" for n in range(50)],
        "parser": [f"D{n}" for n in range(45)],
        "ner": list(_PRESIDIO_LABELS),
    }
    for pipe, own in labels.items():
        for label in own:
            nlp.get_pipe(pipe).add_label(label)  # type: ignore[attr-defined]
    sample = {
        "tags": ["T0", "T1", "T2"], "heads": [1, 1, 1], "deps": ["D0", "ROOT", "D1"],
        "entities": ["U-PERSON", "O", "O"],
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nlp.initialize(lambda: [Example.from_dict(nlp.make_doc("Dana left ."), sample)])
    return nlp


DETECTORS = {
    detector.name: detector
    for detector in (
        Detector("engine", "this project's text engine, as the redactor runs it", _engine),
        Detector(
            "presidio",
            "stock Presidio, default recognizers, blank spaCy pipeline: patterns alone, for nothing is downloaded",
            lambda: _presidio(_blank),
        ),
        Detector(
            "presidio-sm",
            "the same on an untrained spaCy pipeline of the size of en_core_web_sm: for its speed, finds no names",
            lambda: _presidio(_untrained),
        ),
    )
}
