"""Decides what a lexicon hit is: a disclosure, or a look-alike that may stay with a reason.

When neither reading is clear the hit is a disclosure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.kernel.mask import VoucherReason
from services.kernel.vocabulary import EntityClass
from services.redactor.text import extent, names, shapes, terms
from services.redactor.text.context import Around, Groups, Scan
from services.redactor.text.model import Kept, Kind, Span
from services.redactor.text.words import Hit

Reading = Span | Kept | None
#: `a pole and two lithuanians`: what counts persons before a word that is common otherwise.
_COUNTED = frozenset(
    ("a", "an", "the", "one", "two", "three", "four", "both", "some", "other", "another", "and", "2", "3")
)
#: Titles that are family too.
_KIN = frozenset({"father", "sister"})
#: Words of `lower_ambiguous` that name no thing which one is beside or has.
_SAID = frozenset({"polish", "turk", "roma", "catalan", "malay", "slav", "copt", "tiv", "peul"})
_TOLD = frozenset({"said", "say", "told", "stated", "want", "wanted", "work", "worked", "live", "lived"})
_COLOURS = frozenset({"red", "green", "blue", "white", "black", "yellow", "brown"})
_FORCES = frozenset({"army", "navy", "military", "police", "forces", "soldier"})
_PLACED = frozenset(("in", "to", "via", "through", "into", "near"))
_DOMAIN = re.compile(r"\.[a-z]{2,3}\b")


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads hits in their context."""

    groups: Groups

    def read(self, hit: Hit, scan: Scan) -> Reading:
        """The span to mask, the look-alike to keep, or nothing for a hit that is neither."""
        reading = self._read(hit, scan)
        return extent.phrase(reading, scan) if isinstance(reading, Span) and scan.kind is not Kind.NAME else reading

    def _read(self, hit: Hit, scan: Scan) -> Reading:
        """What the hit itself is.

        1. The never list: nothing spares it.
        2. Immigration terms and country codes ask their own context.
        3. A name field keeps names; elsewhere a place, a name, a thing modified keep a word.
        """
        entry = hit.entry
        classes = sorted(kind for kind in entry.kinds if kind in EntityClass.__members__)
        if "never" in entry.flags:
            return Span(hit.start, hit.end, EntityClass(classes[0]), "never")
        at = Around(hit, scan, self.groups)
        if classes:
            spared = terms.lookalike(at)
            return _kept(at, spared) if spared else Span(hit.start, hit.end, EntityClass(classes[0]), "term")
        if entry.kinds == {"code"}:
            return _span(at, EntityClass.NATIONALITY, "code") if terms.discloses_country(at) else None
        if scan.kind is Kind.NAME:
            return self._name_field(at)
        if "weak" in at.flags and not self._origin(at):
            return None
        if at.place and shapes.PERSON_OF.match(at.right):
            return _span(at, EntityClass.NATIONALITY)
        if at.scan.capitals and at.adjective and shapes.PERSON_SAID.search(at.left):
            return _span(at, _class(at))
        reason = self._street(at) or self._handle(at)
        if reason:
            return _kept(at, reason)
        if (scan.capitals or at.form.islower()) and at.word in self.groups.lower_ambiguous:
            return self._common_word(at)
        if reason := self._name(at):
            return _kept(at, reason)
        if "uk" in at.flags:
            return self._uk(at)
        return self._foreign(at)

    def _origin(self, at: Around) -> bool:
        """Whether a name of people, things and British places is said to be an origin."""
        common = "word" in at.flags and (at.scan.capitals or at.form.islower())
        if common or at.following in self.groups.things or not at.place:
            said = at.form.istitle() and shapes.PERSON_BEFORE.search(at.left) is not None
            return not at.place and (said or at.following in self.groups.people)
        return shapes.ORIGIN.search(at.left) is not None or at.scan.kind is Kind.ADDRESS

    def _street(self, at: Around) -> VoucherReason | None:
        """`Poland Street`, and any building or road named so in an address."""
        if at.following not in self.groups.streets:
            return None
        if at.scan.kind is Kind.ADDRESS:
            return VoucherReason.STREET_NAME
        named = at.scan.capitals or (at.next_form[:1].isupper() and at.form[:1].isupper())
        named = named or (at.following != at.next_form.lower() and at.form[:1].isupper())
        return VoucherReason.STREET_NAME if named and at.following not in self.groups.people else None

    def _handle(self, at: Around) -> VoucherReason | None:
        """A place inside a mail or web address."""
        low, start, end = at.scan.normal.low, at.hit.start, at.hit.end
        joined = low[start - 1 : start] == "_" and low[start - 2 : start - 1].isalnum()
        joined = joined or (low[end : end + 1] == "_" and low[end + 1 : end + 2].isalnum())
        inside = joined or low[start - 1 : start] == "@" or _DOMAIN.match(at.right)
        return VoucherReason.BRAND if inside and at.place else None

    def _common_word(self, at: Around) -> Reading:
        """A word in lower case, or in a text of capitals, that is a common noun or verb too."""
        if not at.adjective:
            origin = shapes.ORIGIN.search(at.left) and at.following not in self.groups.things
            return _span(at, EntityClass.COUNTRY_OF_ORIGIN) if origin else _kept(at, VoucherReason.PHRASE)
        if at.word == "polish" and (shapes.POLISH_VERB.search(at.left) or at.following in self.groups.polish_objects):
            return _kept(at, VoucherReason.VERB)
        if at.following in self.groups.people or _spoken(at):
            return _span(at, _class(at))
        if at.following in self.groups.things:
            return _kept(at, VoucherReason.THING_MODIFIED)
        if at.previous in _COUNTED and any(
            hit.start - at.hit.end < 25 and at.hit.start - hit.end < 25 and hit.entry.kinds & {"demonym", "people"}
            for hit in at.scan.hits
            if hit.entry.word not in self.groups.lower_ambiguous
        ):
            return _span(at, EntityClass.NATIONALITY)
        said = shapes.PERSON_BEFORE if at.word in _SAID else shapes.PERSON_IS
        if said.search(at.left) or (at.previous == "both" and at.following in _TOLD):
            return _span(at, EntityClass.NATIONALITY)
        return _kept(at, VoucherReason.PHRASE)

    def _name(self, at: Around) -> VoucherReason | None:
        """`Mr England`, `Frank Welsh`, `Jordan Welsh`, `the dog Mali`."""
        groups, capital = self.groups, at.form[:1].isupper()
        kin = at.previous in _KIN and not at.place  # "father Irish", not "Father England"
        if (
            at.previous in groups.titles
            and capital
            and not kin
            and at.following not in {"national", "male", "female", "man", "woman"}
        ):
            return VoucherReason.SURNAME
        if capital and at.word in groups.surnames and shapes.INITIAL.search(at.left):
            return VoucherReason.SURNAME
        if _surname(at) or (capital and at.word in groups.surnames and shapes.SURNAME_SAID.search(at.left)):
            return VoucherReason.SURNAME
        if (
            at.word in groups.given
            and at.previous not in _PLACED
            and (at.place or _capital_word(at))
            and (not shapes.ORIGIN.search(at.left) or (_capital_word(at) and shapes.TAKEN_FROM.search(at.left)))
        ):
            return VoucherReason.GIVEN_NAME
        if at.scan.capitals:
            return None
        article = at.previous in {"a", "an", "the", "is", "was", "as", "are"}
        if at.word in groups.name_like and capital and not (article or at.following in groups.people or _spoken(at)):
            return VoucherReason.GIVEN_NAME
        return VoucherReason.GIVEN_NAME if at.place and shapes.PET_OR_NAME.search(at.left) else None

    def _uk(self, at: Around) -> Reading:
        """England, British and their like: everywhere in ordinary prose, but nationality all the same."""
        groups = self.groups
        if at.place:
            strong = shapes.STRONG_ORIGIN.search(at.left)
            return _span(at, EntityClass.COUNTRY_OF_ORIGIN, "origin") if strong else _kept(at, VoucherReason.UK_PLACE)
        if at.following in groups.people and at.following != "heritage":
            return _span(at, EntityClass.NATIONALITY)
        if at.following in groups.uk_things | groups.things | groups.institutions:
            return _kept(at, VoucherReason.THING_MODIFIED)
        spoken = shapes.ENGLISH_LANGUAGE.search(at.left) or not shapes.PERSON_BEFORE.search(at.left)
        if at.word == "english" and spoken:
            return _kept(at, VoucherReason.PHRASE)
        return _span(at, EntityClass.NATIONALITY)

    def _foreign(self, at: Around) -> Reading:
        """A foreign nationality, people, language, country or city."""
        groups = self.groups
        if at.word == "polish" and not at.left.strip() and at.following in groups.polish_objects - {"was"}:
            return _kept(at, VoucherReason.VERB)
        if at.adjective and at.following in _FORCES and shapes.SERVED.search(at.left):
            return _span(at, _class(at))
        if shapes.COMPOUND.match(at.right):
            return _kept(at, VoucherReason.THING_MODIFIED)
        if at.following in {"exchange", "shop"} and at.after[-1] in {"student", "students", "asst", "assistant"}:
            return _span(at, _class(at))
        if at.following == "national" and at.after[-1] in {"police", "army", "guard", "assembly", "bank", "airline"}:
            return _kept(at, VoucherReason.INSTITUTION)
        if at.adjective and at.following in groups.people:
            if at.following == "community" and at.after[-1] in groups.institutions:
                return _kept(at, VoucherReason.INSTITUTION)
            return _span(at, _class(at))
        if at.following in groups.things or at.following.rstrip("s") in groups.things:
            return _kept(at, VoucherReason.THING_MODIFIED)
        if at.following in _COLOURS and at.after[-1] in groups.things:
            return _kept(at, VoucherReason.THING_MODIFIED)
        if at.following in groups.institutions:
            return _kept(at, VoucherReason.INSTITUTION)
        if at.adjective and (self._subject(at) or shapes.BREED.search(at.left) or shapes.IDIOM.search(at.left)):
            return _kept(at, VoucherReason.PHRASE)
        if at.place:
            reason = self._place(at)
            return _kept(at, reason) if reason else _span(at, EntityClass.COUNTRY_OF_ORIGIN)
        if "ambiguous" in at.flags and at.kinds <= {"language", "people"} and not _spoken(at):
            return None
        if at.word in {"traveller", "travellers"} and at.form.islower():
            return None
        return _span(at, _class(at))

    def _subject(self, at: Around) -> bool:
        """A language as a subject at school."""
        if "lang" not in at.flags and "language" not in at.kinds:
            return False
        return at.previous in self.groups.education or shapes.SUBJECTS.search(at.left) is not None

    def _place(self, at: Around) -> VoucherReason | None:
        """Why a foreign place says nothing of a person's origin."""
        if shapes.HOME.search(at.left):
            return None
        if not shapes.HARM.search(at.left) and (shapes.HOLIDAY.search(at.left) or shapes.HOLIDAY_AFTER.match(at.right)):
            return VoucherReason.HOLIDAY
        if any(shape.search(at.left) for shape in (shapes.SERVICE, shapes.FIXTURE, shapes.TOPIC, shapes.TRAM)):
            return VoucherReason.PHRASE
        fixture = not at.scan.capitals and shapes.FIXTURE_AFTER.match(at.scan.normal.text, at.hit.end)
        if fixture and not shapes.ORIGIN.search(at.left):
            return VoucherReason.PHRASE
        if shapes.PLACE_NAMED.match(at.right):
            return VoucherReason.BRAND
        if shapes.GOODS.search(at.left) and not shapes.SENT.search(at.left):
            return VoucherReason.THING_MODIFIED
        if shapes.INSTITUTION.search(at.left):
            return VoucherReason.INSTITUTION
        return (
            VoucherReason.BRAND
            if at.previous in {"seat", "hyundai", "ford", "porsche", "bombay", "real", "atletico", "inter", "bayern"}
            else None
        )

    def _name_field(self, at: Around) -> Reading:
        """A word in a name field: cities and name-like words stay, descriptions do not."""
        apart = names.set_apart(at.scan.normal.text, at.hit.start, at.hit.end)
        described = at.following in self.groups.people - {"sister", "brother", "father"}
        nameable = at.word in self.groups.given | self.groups.surnames or at.kinds <= {"city"}
        if nameable and not apart and not described:
            return _kept(at, VoucherReason.NAME_FIELD)
        return _span(at, _class(at), "name_description")


def _surname(at: Around) -> bool:
    """A name-like word in capital after another capitalised word that is no role and no hit itself."""
    groups, scan, hit = at.groups, at.scan, at.hit
    if at.word not in groups.surnames or scan.capitals or not at.form.istitle():
        return False
    previous = scan.token_before(hit.start)
    low = previous.lower()
    if not (previous.istitle() and previous.isalpha() and len(previous) > 1):
        return False
    if scan.normal.text[hit.start - 1 : hit.start] != " " or at.following in groups.people:
        return False
    if low in groups.roles | groups.english_words | groups.speech | groups.nationality_labels:
        return False
    beside = {"demonym", "country", "people"}
    return low in groups.given or not any(o.end == hit.start - 1 and o.entry.kinds & beside for o in scan.hits)


def _capital_word(at: Around) -> bool:
    return at.next_form.istitle() and at.next_form.isalpha() and len(at.next_form) > 1


def _spoken(at: Around) -> bool:
    return shapes.SPEECH_LEFT.search(at.left) is not None or shapes.SPEECH_RIGHT.match(at.right) is not None


def _class(at: Around) -> EntityClass:
    """The class of a word by its kinds and by the words about speaking around it."""
    if at.kinds & {"country", "city"} and not at.kinds & {"demonym", "people"}:
        return EntityClass.COUNTRY_OF_ORIGIN
    return EntityClass.LANGUAGE if at.kinds == {"language"} or _spoken(at) else EntityClass.NATIONALITY


def _span(at: Around, entity: EntityClass, rule: str = "lexicon") -> Span:
    return Span(at.hit.start, at.hit.end, entity, rule)


def _kept(at: Around, reason: VoucherReason) -> Kept:
    return Kept(at.hit.start, at.hit.end, reason)
