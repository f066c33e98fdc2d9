"""The closed lists with which a voucher is confirmed: `residual_words.yaml`, read once at the start."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import yaml

from services.kernel.errors import ConfigError

_FILE = Path(__file__).with_name("residual_words.yaml")


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What each list is for stands beside it in the file."""

    born: frozenset[str]
    brands: frozenset[str]
    cards: frozenset[str]
    code_names: frozenset[str]
    codes: frozenset[str]
    common: frozenset[str]
    copulas: frozenset[str]
    from_words: frozenset[str]
    given: frozenset[str]
    goods: frozenset[str]
    holiday_in: frozenset[str]
    holidays: frozenset[str]
    institutions: frozenset[str]
    makes: frozenset[str]
    not_given: frozenset[str]
    not_holiday: frozenset[str]
    not_sent: frozenset[str]
    objects: frozenset[str]
    parking: frozenset[str]
    phrases: frozenset[str]
    place_first: frozenset[str]
    place_parts: frozenset[str]
    polishes: frozenset[str]
    rooms: frozenset[str]
    run_names: frozenset[str]
    streets: frozenset[str]
    subjects: frozenset[str]
    taught: frozenset[str]
    things: frozenset[str]
    titles: frozenset[str]
    uk_places: frozenset[str]
    verbs: frozenset[str]
    verb_before: frozenset[str]

    @property
    def digest(self) -> str:
        """Names this version of the lists."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()[:16]


def load_words(path: Path = _FILE) -> Words:
    """Read the lists.

    Raises:
        ConfigError: a list that is missing, unknown, or holds anything but lower-case words.
    """
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
        lists = {name: value.split() if isinstance(value, str) else value for name, value in document.items()}
        words = msgspec.convert(lists, Words)
    except (OSError, AttributeError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise ConfigError(f"word lists `{path.name}`", [" ".join(str(error).split())]) from error
    faults = [
        f"`{name}`: `{word}` is not lower case"
        for name, value in lists.items()
        for word in value
        if word != word.lower()
    ]
    if faults:
        raise ConfigError(f"word lists `{path.name}`", faults)
    return words
