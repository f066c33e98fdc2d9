"""Risk lifted from a text before it is masked: closed codes that do not depend on nationality.

Words and patterns are data, `lexicon/risk.yaml`; the language of the patterns is explained in `symbols.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from services.kernel.errors import ConfigError
from services.kernel.schema.words import THREATS, RiskMark
from services.redactor.text.symbols import END, Grammar, Symbols

PATH = Path(__file__).parent / "lexicon" / "risk.yaml"
#: The values of `risk.threats` and the names of the two flags.
CODES = THREATS | {RiskMark.COERCIVE_CONTROL.value, RiskMark.CONTROLLED.value}
_KEYS = {"words", "phrases", "frequent", "common", "denied", "codes"}
_CODE_KEYS = {"patterns", "examples", "misses"}
#: How many words before a match can deny it.
_REACH = 12


class Rule(NamedTuple):
    """One pattern of one code, and sets of symbols of each of which its sentence must have one."""

    code: str
    find: re.Pattern[str]
    needs: tuple[frozenset[str], ...]


@dataclass(frozen=True, slots=True)
class Lifter:
    """Finds the codes of a text; built once, then pure. `rules` has the rules that need a symbol, by symbol."""

    symbols: Symbols
    rules: dict[str, tuple[Rule, ...]]
    denied: re.Pattern[str]

    def lift(self, low: str) -> frozenset[str]:
        """The codes that the lower-case text shows; the time taken grows with its length."""
        anchors = self.rules.keys()
        codes: set[str] = set()
        for sentence in self.symbols.line(low).split(END):
            seen = set(sentence)
            for symbol in anchors & seen:
                for code, find, needs in self.rules[symbol]:
                    for need in needs:
                        if need.isdisjoint(seen):
                            break
                    else:
                        if code not in codes and self._shows(find, sentence):
                            codes.add(code)
        return frozenset(codes)

    def _shows(self, find: re.Pattern[str], line: str) -> bool:
        """Whether there is a match that the words before it do not deny."""
        found = find.search(line)
        while found:
            start = found.start()
            if not self.denied.search(line, max(0, start - _REACH), start):
                return True
            found = find.search(line, start + 1)
        return False


def lift(low: str) -> frozenset[str]:
    """The risk codes that the lower-case text shows."""
    return _lifter().lift(low)


def prove() -> None:
    """Read the file and try it on its own examples; raises ConfigError naming every fault."""
    raw = _read()
    lifter = _lifter()
    faults = []
    for code, item in raw["codes"].items():
        faults += [
            f"`{code}` misses its example `{text}`"
            for text in item["examples"]
            if code not in lifter.lift(text.lower())
        ]
        faults += [f"`{code}` finds `{text}`" for text in item["misses"] if code in lifter.lift(text.lower())]
    if faults:
        raise ConfigError("the risk patterns do not do what they say", faults)


@cache
def _lifter() -> Lifter:
    return build(_read())


def build(raw: dict[str, Any]) -> Lifter:
    """Compile what the file says; raises ConfigError naming every pattern that cannot be read."""
    patterns = [(code, text) for code, item in raw["codes"].items() for text in item["patterns"]]
    faults: list[str] = []
    try:
        grammar = Grammar(
            words=raw["words"], phrases=raw["phrases"], frequent=raw["frequent"], common=raw["common"],
            patterns=[*(text for _, text in patterns), raw["denied"]],
        )  # fmt: skip
        denied = re.compile(grammar.compile(raw["denied"]).find.pattern + r"\Z")
    except (KeyError, ValueError) as error:
        raise ConfigError("the risk patterns cannot be read", [str(error)]) from error
    rules: dict[str, list[Rule]] = {}
    for code, text in patterns:
        try:
            pattern = grammar.compile(text)
        except (KeyError, ValueError) as error:
            faults.append(f"`{code}`, pattern `{text}`: {error}")
            continue
        rule = Rule(code, pattern.find, pattern.needs[1:])
        for anchor in pattern.needs[0]:
            rules.setdefault(anchor, []).append(rule)
    if faults:
        raise ConfigError("the risk patterns cannot be read", faults)
    return Lifter(grammar.symbols, {symbol: tuple(found) for symbol, found in rules.items()}, denied)


def _read() -> dict[str, Any]:
    raw: dict[str, Any] = yaml.load(PATH.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    faults = [f"want the keys {sorted(_KEYS)}"] if set(raw) != _KEYS else []
    if not faults and set(raw["codes"]) != CODES:
        faults.append(f"want the codes {sorted(CODES)}")
    faults += [
        f"`{code}` wants {sorted(_CODE_KEYS)}" for code, i in raw.get("codes", {}).items() if set(i) != _CODE_KEYS
    ]
    if faults:
        raise ConfigError("the risk patterns cannot be read", faults)
    return raw
