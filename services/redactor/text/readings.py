"""Decides what a lexicon hit is: a disclosure, or a look-alike that may stay with a reason.

When neither reading is clear the hit is a disclosure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.kernel.mask import VoucherReason
from services.kernel.vocabulary import EntityClass
from services.redactor.text.context import Groups, Scan
from services.redactor.text.model import Kind, Kept, Span
from services.redactor.text.words import Hit

Reading = Span | Kept | None

_LOWER_AMBIGUOUS = frozenset(
    "polish turkey china jersey guinea chad pole poles finn dane danes swede swedes turk brazil panama japan cuba mali "
    "niger jordan georgia scotch nis lima swat surat goma hama kandy patois hue jos aden split catalan creole pidgin "
    "malta cyprus madeira cologne roma traveller travellers karen shan edo bini avar mende luo ewe oran arad fes porto "
    "goa varna sofia suva dili peja vinh touba keren ranya natal chin mon slav copt fur karens".split()
)
_ORIGIN = re.compile(
    r"\b(?:from|born(?: and raised)?(?: in)?|back(?: home)?(?: to| in)|return(?:ed|ing)? to|home (?:in|to)|left|leave|fled|"
    r"flee(?:ing)?|escaped|raised in|grew up in|family (?:are |is |all )*in|parents (?:\w+ )*in|sister in|brother in|"
    r"mother in|father in|via|sent (?:back )?to|deported to|removed to|taken to|take \w+ to|taking \w+ to|country(?: is)?|"
    r"birth|pob|cob|nationality|nat|citizen of|national of|village (?:in|near|outside)|lives? in|over from|b\.)"
    r"\s*[:\-=]?\s*(?:the |a |rural |northern |southern )*\Z"
)
_STRONG_ORIGIN = re.compile(
    r"\b(?:born(?: and (?:raised|bred))?(?: in)?|originally from|orig(?:inally)? |(?:comes?|came|is|am|i'm|he's|she's|are) from|"
    r"raised in|grew up in|place of birth|pob|nationality|nat|citizen of|national of|native of|back to)\s*[:\-=]?\s*(?:the )?\Z"
)
_HOLIDAY = re.compile(
    r"\b(?:holiday(?:s|ing|ed)?|vacation|honeymoon|cruise|fortnight|weekend|stag(?: do)?|hen(?: do)?|city break|mini break|"
    r"(?:a|the|one|two|2|school|business|day) (?:week|weeks|trip|tour|break)|trip|excursion)\b[^.;:]{0,30}?"
    r"\b(?:in|to|at|from|of|around)\s*(?:the )?\Z"
)
_GOODS = re.compile(r"\b(?:parcel|package|order(?:ed)?|goods|delivery|import(?:ed)?|shipped|made|manufactured|bought|posted|"
                    r"shipment)\b[^.;:]{0,20}?\b(?:from|in|to|of)\s*\Z")  # fmt: skip
_FOREIGN_FROM = re.compile(r"\b(?:in|to|from)\s*\Z")
_INSTITUTION = re.compile(r"\b(?:bank|university|church|museum|embassy|republic|nhs|bar|cafe|pizzeria|restaurant|taste|"
                          r"flavours|little|hotel|club|inn|pub)(?: of| d[aei])?\s*\Z")  # fmt: skip
_POLISH_VERB = re.compile(r"\b(?:to|nail|shoe|furniture|floor|boot|with|metal|silver|spit|car|some|(?:tin|bottle|can|pot) of)\s*\Z")
_POLISH_OBJECT = frozenset("the your my his her off up it was".split())
_PET_OR_NAME = re.compile(r"\b(?:dog|puppy|cat|horse|pony|twins?|named|sister|daughter|son|brother|friend|nephew|niece)\s*\Z")
_SUBJECTS = re.compile(r"\b(?:teach\w*|taught|stud(?:y|ies|ying|ied)|learn\w*|loves?|likes|enjoys)\s(?:\w+,?\s(?:and\s)?){1,3}\Z")
_NAME_LIKE_NOUNS = frozenset("finn dane scot roman roma germaine norman".split())
_PERSON_BEFORE = re.compile(
    r"\b(?:is|are|was|were|am|be|being|i'm|he's|she's|they're|both|all|as|an?|the|ip|iv|v|vic|victim|wit|witness|susp|"
    r"suspect|ap|male|female|client|pt|dirty|fucking|nationality|nat|of|other|another|young|old|white|black|dual|half|part|"
    r"described as|believed|possibly|looks|appears)\s*(?:to be |also |originally |an? |probably |possibly |all |both |of )*\W{0,2}\Z"
)
_ENGLISH_LANGUAGE = re.compile(
    r"\b(?:in|speaks?|spoke|speaking|spoken|no|little|some|any|broken|limited|good|fluent|poor|basic|better|perfect|into|to|of|"
    r"written|read|reads|write|understands?|understand|learn(?:ing)?|teach(?:es)?|much|and|or|than|her|his|their)\s*\Z"
)
_CARD = re.compile(r"(?:[£$]|\b(?:card|cards|debit|credit|gold|platinum|pin|cloned|refund\w*|pension|bank|wallet|purse|cash|"
                   r"fare|payment|contactless|reader|prepaid|transactions?)\b)")  # fmt: skip
_VISA_STATUS = re.compile(
    r"\b(?:expir\w+|application|applied|status|sponsor\w*|refus\w+|granted|overstay\w*|student|spous\w*|work|visit\w*|no|valid|"
    r"tourist|family|home office|immigration|cut|lapsed|deport\w*|extend\w*|extension|renew\w*)\b"
)
_HOME_OFFICE_ROOM = re.compile(
    r"\A\W{0,2}(?:at the|at rear|upstairs|downstairs|based|desk|chair|room|in (?:the|his|her) (?:house|garden|loft|garage|attic)|"
    r"set ?up|window|door|with (?:a |his |her )?laptop|furniture|equipment|computer|and (?:bedroom|kitchen|lounge))"
)
_HOME_OFFICE_BODY = re.compile(
    r"\A\W{0,2}(?:pathologist|forensic|registered|approved|statistics|circular|guidance|counting|minister|study|research|funding|"
    r"funded|review|homicide|large major|policy|licen[cs]e)"
)
_AUTHORITY = re.compile(r"\b(?:letters?|rang|ring|tell|told|report\w*|contact\w*|inform\w*|the|by|from|with|to|call\w*|email\w*)\s*\Z")
_OVERSTAY_OTHER = re.compile(r"\A\W{0,2}(?:\w+ ){0,2}?(?:his|her|their|the|its)? ?(?:welcome|by (?:hours|\d+ ?(?:min|hour)|an hour|minutes)|"
                             r"at the (?:contact|party|pub)|(?:the )?(?:parking|ticket|bay))")  # fmt: skip
_PARKING = re.compile(r"\b(?:parked|parking|bay|permit holders|car park|contact centre|his welcome)\b")
_SPEECH_LEFT = re.compile(r"\b(?:speaks?|spoke|speaking|spoken|spks?|interpret\w*|int|translat\w*|lang\w*|fluent|statement in|"
                          r"connected for|line)\b[^.;]{0,30}\Z")  # fmt: skip
_SPEECH_RIGHT = re.compile(r"\A[\s\-]{0,2}(?:speak\w*|interpret\w*|int\b|language|translat\w*|dialect|line\b|to be spoken)")


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads hits in their context."""

    groups: Groups

    def read(self, hit: Hit, scan: Scan) -> Reading:
        """The span to mask, the look-alike to keep, or nothing for a hit that is neither."""
        kinds, flags = hit.entry.kinds, hit.entry.flags
        if "never" in flags:
            return _span(hit, EntityClass(_term_class(hit)), "never")
        if any(kind in EntityClass.__members__ for kind in kinds):
            return self._term(hit, scan)
        if kinds == {"code"}:
            return self._code(hit, scan)
        if scan.kind is Kind.NAME:
            return self._name(hit, scan)
        return self._word(hit, scan)

    # -- nationality, country, city, people, language ------------------------------------------------

    def _word(self, hit: Hit, scan: Scan) -> Reading:
        groups, kinds, flags = self.groups, hit.entry.kinds, hit.entry.flags
        word = hit.entry.word
        form = scan.normal.text[hit.start : hit.end]
        left, right = scan.left(hit.start), scan.right(hit.end)
        after = scan.after(hit.end, 2)
        following = after[0] if after else ""
        if following == "'s" and len(after) > 1 and after[1] in groups.streets:
            following = after[1]
        token = scan.token_after(hit.end)
        adjective = bool(kinds & {"demonym", "people", "language"})
        place = bool(kinds & {"country", "city"})
        if scan.normal.low[hit.start - 1 : hit.start] == "@" or re.match(r"\.[a-z]{2,3}\b", right):
            return _kept(hit, VoucherReason.BRAND) if place else _span(hit, self._class(hit, left, right), "lexicon")
        if following in groups.streets and (scan.capitals or token[:1].isupper()) and following not in groups.people:
            if not (adjective and following in {"court", "place", "house"} and not scan.capitals and not form[:1].isupper()):
                return _kept(hit, VoucherReason.STREET_NAME)
        if scan.kind is Kind.ADDRESS and (place or adjective) and following in groups.streets:
            return _kept(hit, VoucherReason.STREET_NAME)
        if following.isdigit() and len(after) > 1:
            following = after[1]
        if (scan.capitals or form.islower()) and word in _LOWER_AMBIGUOUS:
            return self._lower(hit, left, right, following)
        before = scan.before(hit.start, 3)
        previous = before[-1].rstrip(".") if before else ""
        if previous == "." and len(before) > 1:
            previous = before[-2]
        if previous in groups.titles and form[:1].isupper() and following not in {"national", "male", "female", "man", "woman"}:
            return _kept(hit, VoucherReason.SURNAME)
        if _looks_like_surname(hit, scan, groups):
            return _kept(hit, VoucherReason.SURNAME)
        if word in groups.given and not _ORIGIN.search(left) and self._is_name(scan, hit, token, place):
            return _kept(hit, VoucherReason.GIVEN_NAME)
        if not scan.capitals and word in _NAME_LIKE_NOUNS and form[:1].isupper() and previous not in {"a", "an", "the", "is", "was", "as", "are"}:
            if following not in groups.people and not form.isupper() and word != "roma":
                return _kept(hit, VoucherReason.GIVEN_NAME)
        if place and not scan.capitals and _PET_OR_NAME.search(left):
            return _kept(hit, VoucherReason.GIVEN_NAME)
        if "uk" in flags:
            return self._uk(hit, left, right, following, place)
        if following in groups.people and following not in {"pig", "pigs", "id"} and adjective:
            if following == "community" and len(after) > 1 and after[1] in groups.institutions:
                return _kept(hit, VoucherReason.INSTITUTION)
            return _span(hit, self._class(hit, left, right), "lexicon")
        if following in groups.things or following.rstrip("s") in groups.things:
            return _kept(hit, VoucherReason.THING_MODIFIED)
        if following in groups.institutions:
            return _kept(hit, VoucherReason.INSTITUTION)
        if adjective and _SUBJECTS.search(left) and ("lang" in flags or "language" in kinds):
            return _kept(hit, VoucherReason.PHRASE)
        if adjective and previous in groups.education and "lang" in flags | ({"lang"} if "language" in kinds else set()):
            return _kept(hit, VoucherReason.PHRASE)
        if adjective and len(after) > 1 and following in {"and", "&", ",", "/"} and after[1] in groups.education:
            return _kept(hit, VoucherReason.PHRASE)
        if place:
            return self._place(hit, left, scan)
        if "ambiguous" in flags and kinds <= {"language", "people"} and not (_SPEECH_LEFT.search(left) or _SPEECH_RIGHT.match(right)):
            return None
        if word in {"traveller", "travellers"} and form.islower():
            return None
        return _span(hit, self._class(hit, left, right), "lexicon")

    def _is_name(self, scan: Scan, hit: Hit, token: str, place: bool) -> bool:
        """Whether a word that is also a given name stands where a name does."""
        if scan.capitals:
            return place
        if token[:1].isupper() and token.isalpha() and not token.isupper() and len(token) > 1:
            return True
        return place

    def _lower(self, hit: Hit, left: str, right: str, following: str) -> Reading:
        """A word in lower case that is a common noun or verb too."""
        if hit.entry.kinds & {"demonym", "people", "language"}:
            if hit.entry.word == "polish" and (_POLISH_VERB.search(left) or following in _POLISH_OBJECT):
                return _kept(hit, VoucherReason.VERB)
            if following in self.groups.people or _SPEECH_LEFT.search(left) or _SPEECH_RIGHT.match(right):
                return _span(hit, self._class(hit, left, right), "lexicon")
            if following in self.groups.things:
                return _kept(hit, VoucherReason.THING_MODIFIED)
            if hit.entry.word in {"polish", "turk", "roma"} and _PERSON_BEFORE.search(left):
                return _span(hit, EntityClass.NATIONALITY, "lexicon")
            return _kept(hit, VoucherReason.PHRASE)
        if _ORIGIN.search(left) and following not in self.groups.things:
            return _span(hit, EntityClass.COUNTRY_OF_ORIGIN, "lexicon")
        return _kept(hit, VoucherReason.PHRASE)

    def _uk(self, hit: Hit, left: str, right: str, following: str, place: bool) -> Reading:
        """England, British and their like: everywhere in ordinary prose, but nationality all the same."""
        if place:
            if _STRONG_ORIGIN.search(left):
                return _span(hit, EntityClass.COUNTRY_OF_ORIGIN, "origin")
            return _kept(hit, VoucherReason.UK_PLACE)
        if following in self.groups.people and following != "heritage":
            return _span(hit, EntityClass.NATIONALITY, "lexicon")
        if following in self.groups.uk_things or following in self.groups.things or following in self.groups.institutions:
            return _kept(hit, VoucherReason.THING_MODIFIED)
        if hit.entry.word == "english" and (_ENGLISH_LANGUAGE.search(left) or not _PERSON_BEFORE.search(left)):
            return _kept(hit, VoucherReason.PHRASE)
        return _span(hit, EntityClass.NATIONALITY, "lexicon")

    def _place(self, hit: Hit, left: str, scan: Scan) -> Reading:
        """A foreign country, region or city."""
        if _HOLIDAY.search(left):
            return _kept(hit, VoucherReason.HOLIDAY)
        if _GOODS.search(left):
            return _kept(hit, VoucherReason.THING_MODIFIED)
        if _INSTITUTION.search(left):
            return _kept(hit, VoucherReason.INSTITUTION)
        if hit.entry.kinds == {"city"} and hit.entry.word in self.groups.given and not _ORIGIN.search(left):
            return _kept(hit, VoucherReason.GIVEN_NAME)
        if scan.token_before(hit.start).lower() in {"seat", "hyundai", "ford", "porsche", "bombay"}:
            return _kept(hit, VoucherReason.BRAND)
        return _span(hit, EntityClass.COUNTRY_OF_ORIGIN, "lexicon")

    def _class(self, hit: Hit, left: str, right: str) -> EntityClass:
        """The class of a demonym, people or language word: by the words about speaking around it."""
        kinds = hit.entry.kinds
        if kinds & {"country", "city"} and not kinds & {"demonym", "people"}:
            return EntityClass.COUNTRY_OF_ORIGIN
        if kinds == {"language"} or _SPEECH_LEFT.search(left) or _SPEECH_RIGHT.match(right):
            return EntityClass.LANGUAGE
        return EntityClass.NATIONALITY

    def _name(self, hit: Hit, scan: Scan) -> Reading:
        """A word in a name field: places and name-like words stay, descriptions do not."""
        following = scan.after(hit.end, 1)
        bracket = scan.normal.low[hit.start - 1 : hit.start] in ("(", "[") or scan.normal.low[hit.end : hit.end + 1] in (")", "]")
        described = following[:1] and (following[0] in self.groups.people and following[0] not in {"sister", "brother", "father"})
        nameable = hit.entry.word in self.groups.given | self.groups.surnames
        if bracket or described:
            return _span(hit, self._class(hit, "", ""), "name_description")
        if nameable or hit.entry.kinds <= {"city"}:
            return _kept(hit, VoucherReason.NAME_FIELD)
        return _span(hit, self._class(hit, "", ""), "name_description")

    # -- codes and terms -----------------------------------------------------------------------------

    def _code(self, hit: Hit, scan: Scan) -> Reading:
        """A three-letter code: only in capitals and only where a code can stand."""
        form = scan.normal.text[hit.start : hit.end]
        if not form.isupper() or not form.isalpha():
            return None
        left, right = scan.left(hit.start), scan.right(hit.end)
        labelled = re.search(r"\b(?:nat|natl|nationality|pob|cob|country|passport|ppt|citizenship)\b\s*[:=\-]?\s*\Z", left)
        if labelled or (re.search(r"[(/]\s*\Z", left) and re.match(r"\A\s*[)/]", right)):
            return _span(hit, EntityClass.NATIONALITY, "code")
        if scan.capitals and len(scan.normal.text) > 40:
            return None
        if re.search(r"(?:\b\d+\s?x?|\ball|\bboth|\bis an?|\bis)\s*\Z", left) and hit.entry.word not in {"are", "and", "can", "per", "mar"}:
            return _span(hit, EntityClass.NATIONALITY, "code")
        return None

    def _term(self, hit: Hit, scan: Scan) -> Reading:
        """An immigration term that has look-alikes."""
        word = hit.entry.word
        form = scan.normal.text[hit.start : hit.end]
        left, right = scan.left(hit.start), scan.right(hit.end)
        if word in {"visa", "visas"}:
            after = scan.after(hit.end, 1)
            if after and after[0] in self.groups.cards:
                return _kept(hit, VoucherReason.BRAND)
            if (form == "Visa" or scan.capitals) and _CARD.search(left[-40:] + " " + right[:50]) and not _VISA_STATUS.search(
                left[-25:] + " | " + right[:25]
            ):
                return _kept(hit, VoucherReason.BRAND)
            if scan.capitals and not _VISA_STATUS.search(left[-25:] + " | " + right[:25]) and _CARD.search(right):
                return _kept(hit, VoucherReason.BRAND)
        elif word in {"home office", "homeoffice", "h office"}:
            if _HOME_OFFICE_BODY.match(right):
                return _kept(hit, VoucherReason.INSTITUTION)
            if not scan.capitals and form.islower() and (re.search(r"\b(?:a|his|her|their|my|at|works? (?:in|from)|in the|the|of)\s*\Z", left)
                                                         and not re.search(r"\b(?:letters?|rang|ring|tell|told|report\w*|contact\w*|inform\w*|call\w*|from|by|with)\s(?:to\s)?(?:the\s)?\Z", left)):  # fmt: skip
                return _kept(hit, VoucherReason.PHRASE)
            if _HOME_OFFICE_ROOM.match(right):
                return _kept(hit, VoucherReason.PHRASE)
        elif word in {"overstayed", "over stayed", "overstay", "overstaying"}:
            if _OVERSTAY_OTHER.match(right) or _PARKING.search(left + right):
                return _kept(hit, VoucherReason.PHRASE)
        elif word in {"naturalised", "naturalized"}:
            if re.match(r"\A\s(?:into|in) (?:the|a|this) (?:group|team|area|class)", right):
                return _kept(hit, VoucherReason.PHRASE)
        elif word == "sponsorship":
            if re.search(r"\b(?:shirt|football|event|charity|corporate|team|club)\s*\Z", left):
                return _kept(hit, VoucherReason.PHRASE)
        elif word == "entry clearance":
            if re.match(r"\A\s(?:given|granted by gold|by)", right):
                return _kept(hit, VoucherReason.PHRASE)
        elif word in {"citizenship", "british citizenship"}:
            if re.search(r"\b(?:digital|global|good|school|senior)\s*\Z", left) or re.match(r"\A\s(?:lesson|class|award)", right):
                return _kept(hit, VoucherReason.PHRASE)
        elif word in {"embassy", "consulate", "high commission"}:
            if re.match(r"\A\s(?:house|hotel|club|suite|court|road|street)", right):
                return _kept(hit, VoucherReason.STREET_NAME)
        elif word == "serco" and re.search(r"\b(?:leisure|prison|escort|custody|transport)\b", left + right):
            return _kept(hit, VoucherReason.INSTITUTION)
        return _span(hit, EntityClass(_term_class(hit)), "term")


def _looks_like_surname(hit: Hit, scan: Scan, groups: Groups) -> bool:
    """`Frank Welsh`: a name-like word in capital after another capitalised word that is no role and no hit."""
    form = scan.normal.text[hit.start : hit.end]
    if hit.entry.word not in groups.surnames or scan.capitals or not form[:1].isupper() or form.isupper():
        return False
    previous = scan.token_before(hit.start)
    low = previous.lower()
    if not (previous[:1].isupper() and previous.isalpha() and len(previous) > 1) or previous.isupper():
        return False
    if scan.normal.text[hit.start - 1 : hit.start] != " ":
        return False
    if low in groups.roles or low in groups.english_words or low in groups.speech or low in groups.nationality_labels:
        return False
    following = scan.after(hit.end, 1)
    if following and following[0] in groups.people:
        return False
    return not any(other.end == hit.start - 1 and other.entry.kinds & {"demonym", "country", "people"} for other in scan.hits) \
        or low in groups.given


def _term_class(hit: Hit) -> str:
    return next(kind for kind in sorted(hit.entry.kinds) if kind in EntityClass.__members__)


def _span(hit: Hit, entity: EntityClass, rule: str) -> Span:
    return Span(hit.start, hit.end, entity, rule)


def _kept(hit: Hit, reason: VoucherReason) -> Kept:
    return Kept(hit.start, hit.end, reason)
