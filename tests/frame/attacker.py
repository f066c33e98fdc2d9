"""An attacker: logistic regression over the words of a text, its masks and its length, cross-validated."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from services.kernel.mask import TOKEN

_WORD = re.compile(r"[a-z']+")
_FOLDS = 5
_MIN_TEXTS = 3  # a word in fewer texts teaches nothing
_RIDGE = 1.0
_STEPS = 400  # of gradient descent
_END = re.compile(r"[.!?](?:\s|$)")
MASKS = "(number of masks)"
COUNTS = (MASKS, "(number of words)", "(number of sentences)")

Array = np.ndarray[Any, np.dtype[np.float64]]


class Attacker:
    """Learns from four fifths of the texts whom they are about and guesses the rest; every text is guessed once.

    `counts`: whether it sees the numbers of masks, words and sentences too, or only which words were left. Texts of
    the two groups must alternate, so that every fold has both.
    """

    def __init__(self, texts: Sequence[str], foreign: Sequence[bool], *, counts: bool = True) -> None:
        self._words = [Counter(_WORD.findall(text.replace(TOKEN, " ").lower())) for text in texts]
        seen = Counter(word for words in self._words for word in words)
        self._names = sorted(word for word, texts_with in seen.items() if texts_with >= _MIN_TEXTS)
        places = {word: index for index, word in enumerate(self._names)}
        self._x = np.zeros((len(texts), len(places) + len(COUNTS) * counts))
        for row, words in enumerate(self._words):
            for word in words:
                if word in places:
                    self._x[row, places[word]] = 1.0
            if counts:
                text = texts[row]
                self._x[row, -len(COUNTS) :] = (text.count(TOKEN), len(_WORD.findall(text)), len(_END.findall(text)))
        self._names += list(COUNTS) * counts
        self._y = np.array(foreign, dtype=float)

    def auc(self) -> float:
        """Chance that a foreign victim's text gets a higher score than a British one's, out of fold."""
        scores = np.zeros(len(self._y))
        folds = np.arange(len(self._y)) // 2 % _FOLDS  # texts of both groups in every fold
        for fold in range(_FOLDS):
            known = folds != fold
            weights, middle, scale = self._fit(self._x[known], self._y[known])
            scores[~known] = ((self._x[~known] - middle) / scale) @ weights
        return rank_auc(scores, self._y)

    def words(self, count: int = 12) -> list[tuple[str, float]]:
        """The features that tell most, with their weight a standard deviation; above zero: foreign."""
        weights, _, _ = self._fit(self._x, self._y)
        order = np.argsort(-np.abs(weights))[:count]
        return [(self._names[index], round(float(weights[index]), 2)) for index in order]

    def _fit(self, x: Array, y: Array) -> tuple[Array, Array, Array]:
        """Weights over standardised features, by accelerated gradient descent; both groups are of one size."""
        middle, scale = x.mean(axis=0), x.std(axis=0)
        scale[scale == 0] = 1.0
        z = (x - middle) / scale
        rate = 1.0 / (0.25 * np.linalg.norm(z, 2) ** 2 + _RIDGE * len(y) ** 0.5)
        weights = ahead = np.zeros(z.shape[1])
        for step in range(1, _STEPS + 1):
            guess = 1.0 / (1.0 + np.exp(-(z @ ahead)))
            nearer = ahead - rate * (z.T @ (guess - y) + _RIDGE * len(y) ** 0.5 * ahead)
            ahead = nearer + (step - 1) / (step + 2) * (nearer - weights)
            weights = nearer
        return weights, middle, scale


def rank_auc(scores: Array, y: Array) -> float:
    """Mann and Whitney's statistic over all pairs; a tie counts half."""
    difference = scores[y == 1][:, None] - scores[y == 0][None, :]
    return float(np.mean((difference > 0) + 0.5 * (difference == 0)))
