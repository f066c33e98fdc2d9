"""Make a canary out of its id: the same id and secret give the same record, so that a watcher remembers nothing."""

from __future__ import annotations

import copy
import hmac
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import orjson
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.kernel import canary
from services.kernel.errors import ConfigError
from services.kernel.record import Inbound, Message
from services.kernel.samples import Sample
from services.kernel.schema.plan import Plan
from services.kernel.schema.words import RecordMark
from services.kernel.vocabulary import Tag

_NAME = r"[a-z0-9]+(?:-[a-z0-9]+)*"
#: Without an agency it is its sample's own; such ids were made before, and copies of them may be on the way.
_ID = re.compile(rf"(?:(?P<agency>{_NAME})_)?(?P<feed>{_NAME})-(?P<planted>\d{{13}})-[0-9a-f]{{8}}")
_SOURCE = "urn:safe-reporting:agency:"
_CODED = frozenset({Tag.NATIONALITY, Tag.COUNTRY_OF_ORIGIN, Tag.IMMIGRATION_STATUS})


class Probe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sentence that is known to be hard, and why."""

    kind: str
    text: str


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`words.yaml`."""

    version: int
    nationalities: tuple[str, ...]
    countries: tuple[str, ...]
    statuses: tuple[str, ...]
    must: tuple[str, ...]
    probe: tuple[Probe, ...]
    first: tuple[str, ...]
    last: tuple[str, ...]


@dataclass(frozen=True, slots=True, repr=False)
class Planted:
    """One canary.

    `must` are texts that no reader may see; `probe` is the hard one, with its kind.
    """

    id: str
    feed: str
    message: Message
    must: tuple[str, ...]
    probe: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a partner's copy shows: how many of the terms, and the kind of the probe where it shows."""

    terms: int
    probe: str | None


def load_words() -> Words:
    """The words of this package.

    Raises:
        ConfigError: the file is not as it must be.
    """
    try:
        return msgspec.convert(yaml.safe_load((Path(__file__).parent / "words.yaml").read_text()), Words)
    except (OSError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise ConfigError("canary", [f"`words.yaml`: {error}"]) from error


class Planter:
    """Makes canaries, and tells what a copy of one shows.

    Args:
        samples: records of each feed, whichever agency sends it. The first is planted in, and the others where they
            have texts that it has not.
        plans: by feed; they say where text and codes are.
        key: signs; its secret half also decides what is planted, so that nobody else can tell.
        producers: agency and feed of all that is planted in.
    """

    def __init__(
        self, samples: Mapping[str, Sequence[Sample]], plans: Mapping[str, Plan], key: Ed25519PrivateKey, *,
        key_id: str, producers: Sequence[tuple[str, str]] = (),
    ) -> None:  # fmt: skip
        self._samples = samples
        self._places = {
            feed: [list(_places(sample.value, plans[feed])) for sample in held] for feed, held in samples.items()
        }
        self._plans = plans
        self._key = key
        self._key_id = key_id
        self._producers = tuple(producers)
        self._words = load_words()

    @property
    def producers(self) -> tuple[tuple[str, str], ...]:
        """Agency and feed of all that it plants in."""
        return self._producers

    @property
    def feeds(self) -> tuple[str, ...]:
        """Feeds of those, each once."""
        return tuple(dict.fromkeys(feed for _, feed in self.producers))

    def new_id(self, agency: str, feed: str, *, now: int) -> str:
        """An id that was never used. `now` is milliseconds since the epoch."""
        return f"{agency}_{feed}-{now:013d}-{random.SystemRandom().getrandbits(32):08x}"

    def plant(self, agency: str, feed: str, *, now: int) -> Planted:
        """A canary that was never made before. `now` is milliseconds since the epoch."""
        return self._make(self.new_id(agency, feed, now=now), agency, feed)

    def make(self, id_: str) -> Planted | None:
        """The canary with this id; None for an id that is none."""
        found = _ID.fullmatch(id_)
        if found is None or found["feed"] not in self._samples:
            return None
        return self._make(id_, found["agency"], found["feed"])

    def _make(self, id_: str, agency: str | None, feed: str) -> Planted:
        """The canary with this id.

        1. Choose name and terms by the id.
        2. Choose one of the feed's texts, and a sample that has a place for it. Write them there, beside the sample's
           own codes of nationality and status.
        3. Plant a term in the key and in a header as well, and sign.
        """
        words = self._words
        chosen = random.Random(hmac.digest(self._key.private_bytes_raw(), id_.encode(), "sha256"))  # noqa: S311
        nationality, country, status = (
            chosen.choice(held) for held in (words.nationalities, words.countries, words.statuses)
        )  # 1
        name = f"{chosen.choice(words.first)} {chosen.choice(words.last)}"
        probe, at = chosen.choice(words.probe), chosen.randrange(1, len(nationality) - 2)
        misspelled = nationality[:at] + nationality[at + 1] + nationality[at] + nationality[at + 2 :]
        form = chosen.choice(words.must)
        more = {"name": name, "nationality": nationality, "country": country, "status": status}
        hard = probe.text.format(**more, misspelled=misspelled)
        held = self._places[feed]
        number, at = self._place(feed, (nationality, country, status), chosen)  # 2
        first, sample = self._samples[feed][0], self._samples[feed][number]
        sample = _sent_by(agency or first.topic.split(".")[1], sample)
        value = copy.deepcopy(sample.value)
        places = list(_places(value, self._plans[feed]))
        places[at].put(f"{places[at].value} {form.format(**more)} {hard}".lstrip())
        for place in places:
            if place.is_id:
                place.put(f"{place.value}-{id_[-8:]}")
        body = orjson.dumps(value)
        headers = tuple((header, text.encode()) for header, text in sample.headers.items() if header != "ce_id")
        mark = canary.sign(id_, sample.topic, body, self._key, key_id=self._key_id)  # 3
        headers = (*headers, ("ce_id", id_.encode()), ("x-about", nationality.encode()), (canary.HEADER, mark))
        codes = [place.value for place in places if place.tag in _CODED and len(place.value) > 2]
        must = [nationality, status, *([country] if "{country}" in form else []), *codes]
        own = _words(held[number], but=None if number else Tag.FREE_TEXT) + _words(held[0], but=Tag.FREE_TEXT)
        return Planted(
            id_,
            feed,
            Message(sample.topic, f"{id_} {nationality}".encode(), body, headers),
            tuple(term for term in dict.fromkeys(must) if not _shows(own, term)),
            (probe.kind, misspelled if "{misspelled}" in probe.text else hard.removeprefix(f"{name} ").rstrip(".")),
        )

    def _place(self, feed: str, terms: Sequence[str], chosen: random.Random) -> tuple[int, int]:
        """Number of a sample, and of a place in it.

        Half of all canaries are in a text that the feed's first sample has: those reach partners, where a leak is seen
        soonest. The others are in any of the feed's texts, each as likely; many of them are in no partner's view.

        Another sample than the first must not have a word of its own that is one of the terms: "a Polish bowl" stays,
        rightly, and would count as a leak. Nor may the first, which copies that are on the way may have been made of.
        """
        held = self._places[feed]
        first = _words(held[0], but=Tag.FREE_TEXT)
        own = ["", *(first + _words(places) for places in held[1:])]
        fit = [number for number, text in enumerate(own) if not any(_shows(text, term) for term in terms)]
        texts = [
            (place.pattern, number, at)
            for number in fit for at, place in enumerate(held[number]) if place.tag is Tag.FREE_TEXT
        ]  # fmt: skip
        if chosen.random() < 0.5:
            return chosen.choice([(number, at) for _, number, at in texts if number == 0 and held[0][at].value])
        text = chosen.choice(sorted({pattern for pattern, _, _ in texts}))
        return chosen.choice([(number, at) for pattern, number, at in texts if pattern == text])


def _sent_by(agency: str, sample: Sample) -> Sample:
    """The sample as `agency` would send it."""
    _, own, feed = sample.topic.split(".")
    headers = {name: _SOURCE + agency if text == _SOURCE + own else text for name, text in sample.headers.items()}
    return msgspec.structs.replace(sample, topic=f"agency.{agency}.{feed}", headers=headers)


def _words(places: Sequence[_Place], but: Tag | None = None) -> str:
    """All that a sample says, without its coded fields and what is tagged `but`."""
    return "\n".join(place.value for place in places if place.tag not in _CODED and place.tag is not but) + "\n"


def planted_at(id_: str) -> int:
    """When a canary was made, milliseconds since the epoch; its id is one that `Planter.make` knew."""
    return int(id_.rsplit("-", 2)[1])


def look(planted: Planted, copy_: Inbound) -> Seen:
    """What one copy shows anywhere: value, key and headers."""
    parts = [copy_.value.reveal() if copy_.value else b"", copy_.key.reveal() if copy_.key else b""]
    parts += [held.reveal() for name, held in copy_.headers if held is not None and name != canary.HEADER]
    text = b"\n".join(parts).decode("utf-8", "replace")
    kind, hard = planted.probe
    return Seen(sum(_shows(text, term) for term in planted.must), kind if _shows(text, hard) else None)


def _shows(text: str, term: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(term)}(?!\w)", text, re.IGNORECASE) is not None


@dataclass(slots=True)
class _Place:
    """A string of a record, and where it stands or, a text that the record has not, could stand."""

    holder: Any
    at: Any
    pattern: str
    tag: Tag
    is_id: bool

    @property
    def value(self) -> str:
        missing = isinstance(self.holder, dict) and self.at not in self.holder
        return "" if missing else str(self.holder[self.at])

    def put(self, text: str) -> None:
        self.holder[self.at] = text


def _places(value: Any, plan: Plan, pattern: str = "") -> Iterator[_Place]:
    """Every string of a record that the plan knows, and every text that one of its objects has not."""
    if isinstance(value, dict):
        for text in plan.leaves.values():
            holder, _, name = text.pattern.rpartition("/")
            if text.tag is Tag.FREE_TEXT and holder == pattern and name != "*" and name not in value:
                yield _Place(value, name, text.pattern, text.tag, is_id=False)
        parts = [(key, f"{pattern}/{key}") for key in value]
    elif isinstance(value, list):
        parts = [(index, f"{pattern}/*") for index in range(len(value))]
    else:
        return
    for at, place in parts:
        if isinstance(value[at], str) and (leaf := plan.leaves.get(place)) is not None:
            yield _Place(value, at, place, leaf.tag, leaf.record is RecordMark.ID)
        else:
            yield from _places(value[at], plan, place)
