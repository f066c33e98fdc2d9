"""Train the token classifier: `python -m training.train CORPUS OUT --seed S`. One core, minutes; loads nothing."""

from __future__ import annotations

import argparse
import json
import random
import time
from importlib.metadata import version
from pathlib import Path

import spacy
from spacy.tokens import DocBin
from spacy.training import Example
from spacy.util import minibatch
from thinc.api import fix_random_seed

MODEL = {
    "@architectures": "spacy.Tagger.v2",
    "tok2vec": {
        "@architectures": "spacy.HashEmbedCNN.v2",
        "width": 64,
        "depth": 2,
        "embed_size": 2000,
        "window_size": 1,
        "maxout_pieces": 3,
        "subword_features": True,
        "pretrained_vectors": None,
    },
}
EPOCHS = 4


def train(corpus: Path, out: Path, seed: int) -> None:
    """Write the trained pipeline to `out`, with how it came about in its meta."""
    fix_random_seed(seed)
    dice = random.Random(seed)  # noqa: S311 - order of training, not a key
    nlp = spacy.blank("en")
    nlp.add_pipe("tagger", config={"model": MODEL})
    examples = [Example(nlp.make_doc(doc.text), doc) for doc in DocBin().from_disk(corpus).get_docs(nlp.vocab)]
    optimizer = nlp.initialize(lambda: examples[:2000])
    losses: list[float] = []
    started = time.monotonic()
    for epoch in range(EPOCHS):
        dice.shuffle(examples)
        held: dict[str, float] = {}
        for batch in minibatch(examples, size=64):  # type: ignore[no-untyped-call]  # spaCy gives it no types
            nlp.update(batch, sgd=optimizer, drop=0.2, losses=held)
        losses.append(round(held["tagger"], 1))
        print(f"epoch {epoch + 1}: loss {losses[-1]}, {time.monotonic() - started:.0f} s", flush=True)
    nlp.meta["training"] = {
        "seed": seed, "epochs": EPOCHS, "texts": len(examples), "losses": losses, "spacy": version("spacy"),
    }  # fmt: skip
    nlp.to_disk(out)
    print(json.dumps(nlp.meta["training"]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    train(given.corpus, given.out, given.seed)
