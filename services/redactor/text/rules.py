"""Rules of grammar and format: data files of patterns, run only where a trigger stands in the text.

Patterns run on PCRE2, compiled to machine code: several times as fast as `re`, and its match limit bounds the
time that any pattern can take on any text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pcre2
import yaml

from services.kernel.errors import ConfigError
from services.kernel.vocabulary import EntityClass
from services.redactor.text.context import Scan
from services.redactor.text.model import Span
from services.redactor.text.phrases import compile_phrases

FOLDER = Path(__file__).parent / "rules"
_KEYS = {"name", "entity", "triggers", "pattern", "phrases", "case", "always", "context", "example", "misses"}


#: What makes the place before it the name of a street: "arrived at Dover Street".
_STREET = re.compile(r"\s(?:street|road|rd|avenue|lane|crescent|drive|close|grove|terrace)\b")
_PLACES = frozenset({EntityClass.ENTRY_ROUTE, EntityClass.COUNTRY_OF_ORIGIN})


@dataclass(frozen=True, slots=True)
class Rule:
    """One pattern. Groups `x`, `y`, `z` name the disclosure; without them it is the whole match.

    `context`: the words have an ordinary meaning too, and are read as a disclosure only in a text that discloses
    by something else.
    """

    name: str
    entity: EntityClass
    triggers: frozenset[str]
    pattern: Any  # pcre2.Pattern, which has no types
    case: bool
    always: bool
    context: bool
    example: str
    misses: tuple[str, ...]

    def find(self, scan: Scan) -> list[Span]:
        """Every disclosure that the rule sees in the scanned text; all of it where the pattern gives up."""
        try:
            return self._matches(scan)
        except pcre2.LibraryError:
            return [Span(0, len(scan.normal.low), self.entity, self.name)]

    def _matches(self, scan: Scan) -> list[Span]:
        found = []
        for match in self.pattern.finditer(scan.normal.text if self.case else scan.normal.low):
            group = match.lastgroup if match.lastgroup else 0
            start, end = match.span(group)
            low = scan.normal.low
            while end < len(low) and low[end].isalnum() and low[end - 1].isalnum():
                end += 1
            while end > start and low[end - 1] in " ,;:-\n":
                end -= 1
            if _STREET.match(low, end) and self.entity in _PLACES:
                continue
            if end > start and "[removed" not in low[start:end]:
                found.append(Span(start, end, self.entity, self.name))
        return found


def read(folder: Path = FOLDER) -> list[Rule]:
    """Read the rules of every file; raises ConfigError listing every faulty one."""
    rules: list[Rule] = []
    faults: list[str] = []
    for path in sorted(folder.glob("*.yaml")):
        name, raw = path.stem, yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        for item in raw["rules"]:
            fault = _spell_out(item, raw.get("words", {})) or _fault(item)
            if fault:
                faults.append(f"rule `{item.get('name')}` in `{name}.yaml`: {fault}")
                continue
            rules.append(
                Rule(
                    name=item["name"],
                    entity=EntityClass(item["entity"]),
                    triggers=frozenset(item.get("triggers", ())),
                    pattern=pcre2.compile(item["pattern"].strip(), jit=True),
                    case=bool(item.get("case")),
                    always=bool(item.get("always")),
                    context=bool(item.get("context")),
                    example=item["example"],
                    misses=tuple(item.get("misses", ())),
                )
            )
    doubled = {rule.name for rule in rules if sum(other.name == rule.name for other in rules) > 1}
    faults += [f"rule `{name}` is defined twice" for name in sorted(doubled)]
    if faults:
        raise ConfigError("the rules cannot be read", faults)
    return rules


def _spell_out(item: dict[str, Any], classes: dict[str, str]) -> str | None:
    """Put the pattern and triggers of a rule that is written as phrases in their place."""
    if "phrases" not in item:
        return None
    if "pattern" in item or "triggers" in item:
        return "`phrases` stand for both pattern and triggers"
    try:
        item["pattern"], item["triggers"] = compile_phrases(item["phrases"], classes)
    except (ValueError, KeyError) as error:
        return f"the phrases cannot be read: {error}"
    return None


def _fault(item: dict[str, Any]) -> str | None:
    if unknown := set(item) - _KEYS:
        return f"unknown keys {sorted(unknown)}"
    if missing := {"name", "entity", "pattern", "example"} - set(item):
        return f"missing keys {sorted(missing)}"
    if item["entity"] not in EntityClass.__members__:
        return f"unknown class `{item['entity']}`"
    if bool(item.get("triggers")) == bool(item.get("always")):
        return "wants either triggers or `always: true`"
    try:
        pcre2.compile(item["pattern"].strip())
    except pcre2.PatternError as error:
        return f"the pattern does not compile: {error}"
    return None
