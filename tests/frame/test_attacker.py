"""An attacker must not tell foreign from British victims by the text that partners see.

`python -m tests.frame` prints more.
"""

from __future__ import annotations

import random
from statistics import mean

import pytest

from services.redactor.text.engine import TextEngine
from services.router.text_view import shorten
from tests.frame.attacker import MASKS, Attacker
from tests.frame.corpus import BRITISH_STATED, Case, cases

#: What is asked: no better than this.
AIM = 0.60
#: The same if every foreign victim's text disclosed, which is not the case; it shall not slide.
ALL_DISCLOSING = 0.75
#: Assumed share of foreign victims' texts that disclose: agencies hold nationality in a coded field as well.
DISCLOSING = 0.5
TEXTS = 2000


@pytest.fixture(scope="module")
def made() -> list[Case]:
    return cases(TEXTS, disclosing=DISCLOSING)


@pytest.fixture(scope="module")
def engine() -> TextEngine:
    return TextEngine.build()


def seen(engine: TextEngine, made: list[Case]) -> list[str]:
    """The texts as partners get them."""
    return [shorten(engine.redact(case.text).text).text for case in made]


def told(attacker: Attacker) -> float:
    """The attacker's AUC, printed with the words that it used."""
    auc = attacker.auc()
    print(f"AUC {auc:.3f} by", ", ".join(f"{word} {weight:+.2f}" for word, weight in attacker.words()))
    return auc


def test_british_is_hardly_ever_stated(made: list[Case]) -> None:
    stated = [case for case in made if not case.foreign and ("British" in case.text or "UK national" in case.text)]
    assert BRITISH_STATED <= 0.05
    assert 0 < len(stated) / (TEXTS / 2) <= 0.08, "drawn at 5 %"


def test_the_attacker_tells_texts_that_are_not_redacted() -> None:
    everybody = cases(TEXTS, disclosing=1.0)
    assert told(Attacker([case.text for case in everybody], [case.foreign for case in everybody])) > 0.9


def test_the_attacker_learns_nothing_where_there_is_nothing(made: list[Case]) -> None:
    texts, labels = [case.text for case in made], [case.foreign for case in made]
    shuffled = [random.Random(seed).sample(labels, len(labels)) for seed in range(4)]
    assert 0.46 < mean(told(Attacker(texts, foreign)) for foreign in shuffled) < 0.54


def test_one_word_or_one_mask_more_is_enough_for_it() -> None:
    texts = ["calm here", "calm there"] * 50
    assert Attacker(texts, [True, False] * 50).auc() == 1.0
    masks = ["calm [removed]", "calm"] * 50
    assert Attacker(masks, [True, False] * 50).words(1)[0][0] == MASKS
    assert Attacker(masks, [True, False] * 50, counts=False).auc() == 0.5


def test_the_attacker_cannot_use_what_partners_see(engine: TextEngine, made: list[Case]) -> None:
    assert told(Attacker(seen(engine, made), [case.foreign for case in made])) <= AIM


def test_nor_much_if_every_foreign_text_disclosed(engine: TextEngine) -> None:
    everybody = cases(TEXTS, disclosing=1.0)
    assert told(Attacker(seen(engine, everybody), [case.foreign for case in everybody])) <= ALL_DISCLOSING


def test_masks_that_show_would_tell(engine: TextEngine, made: list[Case]) -> None:
    """Why they are taken out."""
    redacted = [engine.redact(case.text).text for case in made]
    assert told(Attacker(redacted, [case.foreign for case in made])) > AIM
