"""The generator repeats itself and learns from no gold; a model of it can be trained, measured and recorded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import spacy
from spacy.tokens import DocBin

from services.evaluation.gold import GoldText
from services.evaluation.score import Answer, Mask
from services.kernel.paths import ROOT
from training import generate, package, train
from training.evaluate import Learned, answers, joined


def test_the_same_seed_makes_the_same_corpus_and_another_another() -> None:
    first, again, other = ([doc.text for doc in generate.documents(seed, 40)] for seed in (7, 7, 8))
    assert first == again
    assert first != other


def test_about_half_of_the_texts_disclose_and_marks_are_words() -> None:
    docs = list(generate.documents(7, 300))
    disclosing = [doc for doc in docs if any(token.tag_ == generate.DISCLOSES for token in doc)]
    assert 150 < len(disclosing) < 290
    assert all({token.tag_ for token in doc} <= {generate.DISCLOSES, generate.OTHER} for doc in docs)


def test_nothing_of_the_evaluation_corpus_is_in_it() -> None:
    files = (ROOT / "tests" / "gold").glob("*.jsonl")
    gold = [json.loads(line)["text"] for path in files for line in path.read_text("utf-8").splitlines()]
    rows = ["".join(piece for piece, _ in row.pieces) for held in generate.rows() for row in held]
    assert len(gold) > 600
    assert not {row.strip() for row in rows} & {text.strip() for text in gold}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("training")
    DocBin(docs=generate.documents(7, 400)).to_disk(folder / "corpus.spacy")
    train.train(folder / "corpus.spacy", folder / "model", 7)
    return folder / "model"


def test_a_model_finds_spans_within_the_text_and_the_same_ones_twice(model: Path) -> None:
    learned = Learned(spacy.load(model))
    text = "IP is a Polish national, speaks Polish only. The door was forced with a bar."
    found = learned.spans(text, 0.5)
    assert found == learned.spans(text, 0.5)
    assert all(0 <= start < end <= len(text) for start, end in found)
    assert learned.spans(text, 1.1) == []
    assert learned.spans("", 0.0) == []
    assert learned.spans(text, 0.0) == [(0, len(text))]


def test_the_model_adds_and_takes_nothing_away_and_is_asked_where_the_gate_opens(model: Path) -> None:
    held = Answer((Mask(0, 4, "NATIONALITY", "rule"),), 0.5)
    assert joined(held, [(2, 6), (8, 9)], 0.1).masks == (*held.masks, Mask(8, 9, "DISCLOSES", "model"))
    texts = [GoldText("a", "Polish man.", ()), GoldText("b", "A man.", ())]
    rules = [Answer((Mask(0, 6, "NATIONALITY", "rule"),), 0.0), Answer((), 0.0)]
    learned = Learned(spacy.load(model))
    gated, anywhere = (list(answers(texts, rules, learned, 0.0, gate)) for gate in (True, False))
    assert gated[1].masks == ()
    assert anywhere[1].masks == (Mask(0, 6, "DISCLOSES", "model"),)


def test_the_record_holds_the_hash_of_what_was_made(model: Path) -> None:
    made = package.record(model)
    (model / "meta.json").write_text((model / "meta.json").read_text() + " ")
    assert package.digest(model) != made["sha256"]
    assert made["training"]["texts"] == 400  # type: ignore[index]  # a record is an object
