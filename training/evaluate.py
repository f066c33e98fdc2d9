"""What the model adds to the rules: `python -m training.evaluate MODEL GOLD`, on texts that no generator wrote.

For each register that the rules were never tuned on, and for the others: the rules alone, the rules with the model in
texts that disclose already, and with the model in any text, at several thresholds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import spacy
from spacy.language import Language

from services.cli.detectors import DETECTORS
from services.evaluation.gold import GoldText, read
from services.evaluation.score import Answer, Figures, Mask, score
from training.generate import DISCLOSES

HELD_OUT = ("mg11", "marac_minutes")
THRESHOLDS = (0.5, 0.95, 0.999)


class Learned:
    """The model over whole texts: spans of neighbouring tokens whose score reaches a threshold."""

    def __init__(self, nlp: Language) -> None:
        self._nlp = nlp
        tagger: Any = nlp.get_pipe("tagger")
        self._model = tagger.model
        self._place = tagger.labels.index(DISCLOSES)

    def spans(self, text: str, threshold: float) -> list[tuple[int, int]]:
        """(start, end) in characters."""
        with self._nlp.memory_zone():
            doc = self._nlp.make_doc(text)
            if not len(doc):
                return []
            raw = self._model.predict([doc])[0]
            odds = np.exp(raw - raw.max(axis=1, keepdims=True))
            scores = odds[:, self._place] / odds.sum(axis=1)
            found: list[tuple[int, int]] = []
            last = -2
            for token, share in zip(doc, scores, strict=True):
                if share >= threshold and not token.is_space:
                    start = found.pop()[0] if token.i == last + 1 and found else token.idx
                    found.append((start, token.idx + len(token)))
                    last = token.i
            return found


def joined(rules: Answer, spans: list[tuple[int, int]], seconds: float) -> Answer:
    """The rules' masks, and the model's spans beside them."""
    taken = [(mask.start, mask.end) for mask in rules.masks]
    more = tuple(
        Mask(start, end, DISCLOSES, "model") for start, end in spans if not any(s < end and start < e for s, e in taken)
    )
    return Answer((*rules.masks, *more), rules.seconds + seconds)


def answers(
    texts: list[GoldText], rules: list[Answer], learned: Learned, threshold: float, gated: bool
) -> Iterator[Answer]:
    """One answer a text; `gated`: the model is asked only where the rules found a disclosure."""
    for text, held in zip(texts, rules, strict=True):
        started = time.perf_counter()
        ask = not gated or any(not mask.identifying for mask in held.masks)
        spans = learned.spans(text.text, threshold) if ask else []
        yield joined(held, spans, time.perf_counter() - started)


def line(name: str, figures: Figures, rules: Figures | None) -> str:
    """One line of the table; what the model adds is counted against the rules alone."""
    recall = figures.recall["all classes"]
    masks = figures.precision
    more = ""
    if rules is not None:
        right = masks.hits - rules.precision.hits
        wrong = masks.of - rules.precision.of - right
        more = f"+{recall.hits - rules.recall['all classes'].hits} spans, +{right} right, +{wrong} false"
    hits = f"leaks {figures.leaks.hits:4}  neutral hit {figures.neutral_hit.hits:4}"
    return f"{name:44} {recall.hits:5} of {recall.of:5}  {hits}  {figures.words_per_second:9,.0f} words/s  {more}"


def main(model: Path, gold: Path) -> None:
    """Print the table for the registers held out, then for the others."""
    learned = Learned(spacy.load(model))
    detect: Callable[[str], Answer] = DETECTORS["engine"].build()
    files = sorted(gold.glob("*.jsonl"))
    for title, wanted in (("held out", True), ("tuned on", False)):
        texts = [text for file in files if (file.stem in HELD_OUT) == wanted for text in read(file)]
        rules = [detect(text.text) for text in texts]
        alone = score(texts, iter(rules))
        print(f"{title}: {len(texts)} texts")
        print(line("rules alone", alone, None))
        for gated in (True, False):
            for threshold in THRESHOLDS:
                figures = score(texts, answers(texts, rules, learned, threshold, gated))
                where = "texts that disclose" if gated else "any text"
                print(line(f"with the model in {where}, {threshold}", figures, alone))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("gold", type=Path)
    given = parser.parse_args()
    main(given.model, given.gold)
