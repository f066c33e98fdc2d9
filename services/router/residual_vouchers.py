"""The router's own small check of each reason for which the redactor kept a word.

Every check is narrow on purpose: what it does not confirm withholds the record, which can be put right;
what it confirms wrongly cannot be called back.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from services.kernel.mask import VoucherReason
from services.kernel.vocabulary import Tag
from services.router.residual_names import set_apart
from services.router.residual_words import Words

#: A voucher for more than a name and a word beside it is no voucher for a look-alike.
_LONGEST = 48
_WORD = re.compile(r"[^\W\d_][\w'’-]*")
_REACH = 90


class _Place:
    """The words around a voucher, in the order of the text; sentence ends cut."""

    __slots__ = ("after", "before", "near", "span", "touching")

    def __init__(self, text: str, start: int, end: int) -> None:
        self.span = text[start:end]
        self.touching = text[max(0, start - 1) : start] + text[end : end + 3]
        before = re.split(r"[.;:!?\n]\s", text[max(0, start - _REACH) : start])[-1]
        after = re.split(r"[.;:!?\n]", text[end : end + _REACH])[0]
        self.before = _WORD.findall(before)
        self.after = _WORD.findall(after)
        self.near = f"{before}{self.span}{after}".lower()

    @property
    def capital(self) -> bool:
        """Whether every word of the span begins with a capital."""
        return all(word[0].isupper() for word in _WORD.findall(self.span))

    def next(self, count: int) -> set[str]:
        """The next words, lower case, with their singulars."""
        found = [word.lower() for word in self.after[:count]]
        return {form for word in found for form in (word, word.removesuffix("s"), word.removesuffix("'s"))}

    def last(self, count: int = 1) -> list[str]:
        """The last words before the span, lower case."""
        return [word.lower() for word in self.before[-count:]]


class Confirmer:
    """Checks vouchers against the router's own word lists."""

    def __init__(self, words: Words) -> None:
        self.words = words
        self.digest = words.digest

    def confirm(self, text: str, start: int, end: int, reason: str, tag: Tag) -> bool:
        """Whether the reason given for the words at `start:end` of a leaf with `tag` holds by this file's check."""
        if not (0 <= start < end <= len(text)) or end - start > _LONGEST or not _whole_words(text, start, end):
            return False
        if reason == VoucherReason.NAME_FIELD:
            return tag is Tag.NAME and not set_apart(text, start, end)
        check = _CHECKS.get(reason)
        if check is None:
            return False
        place = _Place(text, start, end)
        return check(place, self.words) or _fixed(place, self.words)


def _whole_words(text: str, start: int, end: int) -> bool:
    inside = (start and text[start - 1].isalnum()) or (end < len(text) and text[end].isalnum())
    return not inside and any(letter.isalpha() for letter in text[start:end])


def _street_name(place: _Place, words: Words) -> bool:
    own = {word.lower() for word in _WORD.findall(place.span)}
    return place.capital and bool(place.next(2) & words.streets or own & words.streets)


def _surname(place: _Place, words: Words) -> bool:
    if not place.capital or not place.before:
        return False
    last = place.before[-1]
    titles = {word.rstrip(".") for word in place.last(3)} & words.titles
    given = last[0].isupper() and last.lower() not in words.not_given and len(last) > 1
    return bool(titles) or given or last.lower() in ("surname", "née", "nee")


def _given_name(place: _Place, words: Words) -> bool:
    first = _WORD.findall(place.span)[0].lower()
    named = bool(place.after) and place.after[0][0].isupper() and not place.next(1) & (words.things | words.not_given)
    return place.capital and first in words.given and (named or not set(place.last()) & words.from_words)


def _thing_modified(place: _Place, words: Words) -> bool:
    if place.span.lower() == "polish" and set(place.last()) & words.polishes:
        return True
    near = set(place.last(6))
    sent = bool(near & words.goods and set(place.last()) & words.from_words and not near & words.not_sent)
    return sent or bool(place.next(2) & words.things)


def _verb(place: _Place, words: Words) -> bool:
    if place.span.lower() not in words.verbs or place.capital or set(place.last()) & words.copulas:
        return False
    objects = {word.lower() for word in place.after[:1]} & words.objects
    return bool(objects or set(place.last()) & (words.verb_before | words.polishes))


def _brand(place: _Place, words: Words) -> bool:
    if place.touching.startswith("@") or re.match(r".?\.[a-z]{2}", place.touching):
        return True
    paid = place.span == "Visa" and bool(set(_WORD.findall(place.near)) & words.cards)
    return paid or bool(set(place.last()) & words.makes)


def _institution(place: _Place, words: Words) -> bool:
    nouns = words.institutions
    named = place.capital and bool(set(place.last()) & nouns)
    return named or bool(place.next(3) & nouns) or ("of" in place.last(2) and bool(set(place.last(4)) & nouns))


def _holiday(place: _Place, words: Words) -> bool:
    around = {word.lower() for word in (*place.before[-9:], *place.after[:7])}
    return (
        bool(set(place.last(7)) & words.holidays)
        and bool(set(place.last()) & words.holiday_in)
        and not around & words.not_holiday
    )


def _phrase(place: _Place, words: Words) -> bool:
    own, last = place.span.lower(), set(place.last())
    if own in words.common and not place.capital:
        return not last & (words.from_words | words.copulas)
    if own == "home office":
        return bool(place.next(2) & words.rooms)
    if own.startswith("overstay"):
        return bool(set(_WORD.findall(place.near)) & words.parking)
    if own in words.subjects and set(place.last(3)) & words.taught:
        return True
    if own == "english":
        return not last & words.copulas
    return False


def _uk_place(place: _Place, words: Words) -> bool:
    if set(place.last(2)) & words.born:
        return False
    if place.span.lower() in words.uk_places:
        return True
    compound = bool(place.next(1) & words.place_parts) or bool(set(place.last()) & words.place_first)
    return place.capital and compound


def _fixed(place: _Place, words: Words) -> bool:
    """Whether the span stands in a fixed phrase or brand, which is safe whatever reason was given."""
    return any(phrase in place.near for phrase in words.phrases | words.brands if _overlaps(phrase, place.span))


def _overlaps(phrase: str, span: str) -> bool:
    """Whether the phrase holds the words that were kept, so that it is about them."""
    return span.lower() in phrase or phrase in span.lower()


_CHECKS: dict[str, Callable[[_Place, Words], bool]] = {
    VoucherReason.STREET_NAME: _street_name,
    VoucherReason.SURNAME: _surname,
    VoucherReason.GIVEN_NAME: _given_name,
    VoucherReason.THING_MODIFIED: _thing_modified,
    VoucherReason.VERB: _verb,
    VoucherReason.BRAND: _brand,
    VoucherReason.INSTITUTION: _institution,
    VoucherReason.HOLIDAY: _holiday,
    VoucherReason.PHRASE: _phrase,
    VoucherReason.UK_PLACE: _uk_place,
}
