"""Print what the attacker gets, for several shares of foreign victims' texts that disclose."""

from __future__ import annotations

from services.redactor.text.engine import TextEngine
from services.router.text_view import shorten
from tests.frame.attacker import Attacker
from tests.frame.corpus import cases

if __name__ == "__main__":
    engine = TextEngine.build()
    print("AUC, and the words that told most (above zero: foreign)")
    for share in (1.0, 0.5, 0.25):
        made = cases(2000, disclosing=share)
        foreign = [case.foreign for case in made]
        redacted = [engine.redact(case.text).text for case in made]
        attackers = {
            "not redacted": Attacker([case.text for case in made], foreign),
            "redacted, words and counts": Attacker(redacted, foreign),
            "redacted, words alone": Attacker(redacted, foreign, counts=False),
            "as partners see it": Attacker([shorten(text).text for text in redacted], foreign),
        }
        for name, attacker in attackers.items():
            words = ", ".join(f"{word} {weight:+.2f}" for word, weight in attacker.words(8))
            print(f"{share:4.0%} disclose  {name:36} {attacker.auc():.3f}  {words}")
