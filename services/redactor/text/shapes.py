"""What stands before and after a hit, as patterns over lower-case text of its sentence.

Patterns that end in `\\Z` are for the text before, those that start with `\\A` for the text after.
"""

from __future__ import annotations

import re

#: Where a relative is.
_FAMILY_IN = (
    r"(?:mum|dad|mother|father|sister|brother|parents|wife|husband|kids?|children|son|daughter|"
    r"aunt(?:ie|y)?|uncle|cousins?|gran|nan|relatives|family) (?:\w+ ){0,3}in"
)
#: A stretch of text in which no person stands and nobody goes anywhere.
_NO_PERSON = (
    r"(?:(?!\b(?:her|him|me|them|us|you|she|he|they|who|i|we|his|their|my|family|mother|father|mum|dad|sister|brother|"
    r"wife|husband|kids?|child|children|girls?|boys?|wom[ae]n|m[ae]n|people|person|victim|witness|driver|rider|worker|"
    r"back|home|go|work|live|marry|threats?|tickets?|flights?)\b)[^.;:])"
)
ORIGIN = re.compile(
    r"\b(?:from|born(?: and raised)?(?: in)?|back(?: home)?(?: to| in)|return(?:ed|ing)? to|"
    r"home (?:in|to)|left|leave|fled|"
    r"flee(?:ing)?|escaped|raised in|grew up in|via|"
    r"sent (?:back )?to|deported to|removed to|taken to|take \w+ to|"
    r"taking \w+ to|country(?: is)?|"
    r"birth|pob|cob|nationality|nat|citizen of|national of|village (?:in|near|outside)|lives? in|" + _FAMILY_IN + r"|"
    r"over from|b\.|"
    r"people in|native of|habitual(?:ly)? resident?(?:ce)?(?: in| is)?|hometown(?: of)?|home town(?: is| of)?|"
    r"(?:removals?|removed|deport\w*|directions|flights?|fly|flew|flown|extradit\w+)\b[^.;:]{0,25}?\s(?:back )?to)"
    r"\s*[:\-=]?\s*(?:the |a |rural |northern |southern )*\Z"
)
STRONG_ORIGIN = re.compile(
    r"\b(?:born(?: and (?:raised|bred))?(?: in)?|originally from|orig(?:inally)? |(?:comes?|came|"
    r"is|am|i'm|he's|she's|are) from|"
    r"raised in|grew up in|place of birth|pob|nationality|nat|citizen of|national of|native of|"
    r"back to)\s*[:\-=]?\s*(?:the )?\Z"
)
HOLIDAY = re.compile(
    r"\b(?:holiday(?:s|ing|ed)?|vacation|honeymoon|cruise|fortnight|weekend|stag(?: do)?|"
    r"hen(?: do)?|city break|mini break|annual leave|"
    r"(?:a|the|one|two|2|school|business|day) (?:week|weeks|trip|tour|break)|trip|excursion)\b"
    r"(?:(?!\b(?:he|she|they|who|i|we|was|were|is|has|had)\b)[^.;:]){0,30}?"
    r"\b(?:in|to|at|of|a?round)\s*(?:the )?\Z"
)
#: A thing that came or goes, or what is done to things only; not where a person stands in between or is what is sent.
GOODS = re.compile(
    r"\b(?:(?:parcel|package|speakers?|parts|clothes|shoes|toys?|vapes?|cigarettes|tobacco|tiles|fabric|furniture|"
    r"goods|delivery|deliveries|imports?|shipment)\b" + _NO_PERSON + r"{0,20}?\b(?:from|in|to|of)|"
    r"(?<!court )(?<!protection )(?<!mail )(?<!mail-)orders?\b" + _NO_PERSON + r"{0,20}?\bfrom|"
    r"(?<!\bwas )(?<!\bwere )(?<!\bbeen )(?<!\bbeing )(?<!\bgot )(?:ordered|imported|shipped|bought|posted)\b"
    + _NO_PERSON
    + r"{0,20}?\b(?:from|in)|"
    r"(?:made|manufactured|assembled|printed)(?: by hand)? in|(?:website|seller|supplier|wholesaler)s? in)\s*\Z"
)
#: Persons who are what was ordered or shipped.
SENT = re.compile(
    r"\b(?:girls|boys|women|men|people|kids|children|victims|workers) (?:ordered|imported|shipped|bought|posted)\b"
    r"[^.;:]*\Z"
)
#: Said to be home, whatever else the sentence is about.
HOME = re.compile(
    r"\b(?:born(?: and raised)?(?: in)?|back(?: home)?(?: to| in)|return(?:ed|ing)? to|home (?:in|to)|fled|"
    r"flee(?:ing)?|escaped|raised in|grew up in|sent (?:back )?to|deported to|removed to|citizen of|national of|"
    r"native of|arrived from|(?:came|come|comes|is|are|am|was|were|over|originally) from|"
    + _FAMILY_IN
    + r")\s*(?:the )?\Z"
)
SERVICE = re.compile(
    r"\b(?:tours?(?: of duty)?|active service|operational service|(?:on|an) operations?|deployed|collision)\s"
    r"(?:in|to|of)\s(?:the\s|southern\s|northern\s)?\Z"
)
INSTITUTION = re.compile(
    r"\b(?:bank|university|church|museum|embassy|republic|nhs|bar|cafe|pizzeria|restaurant|taste|"
    r"flavours|little|hotel|club|inn|pub)(?: of| d[aei])?\s*\Z"
)
POLISH_VERB = re.compile(
    r"\b(?:to|nail|shoe|furniture|floor|boot|with|metal|silver|spit|car|some|(?:tin|bottle|can|pot) of)\s*\Z"
)
SURNAME_SAID = re.compile(
    r"\b(?:surname|last name|family name|maiden name|nee|name is|name was|name:)\s*(?:is|was|of|given as|:|-)?\s*\Z"
)
PET_OR_NAME = re.compile(
    r"\b(?:dog|puppy|cat|horse|pony|twins?|named|sister|daughter|son|brother|friend|nephew|niece|"
    r"(?:lad|man|male|girl|woman|dealer|one|two|who is|is|was|as) (?:called|known as)|"
    r"street ?name|nick ?named?|goes by|"
    r"one as)\s*\Z"
)
SUBJECTS = re.compile(
    r"\b(?:teach\w*|taught|stud(?:y|ies|ying|ied)|learn\w*|loves?|likes|enjoys)\s(?:\w+,?\s(?:and\s)?){1,3}\Z|"
    r"\b(?:(?:predicted|graded?|set|got)(?: an?)? \w in|"
    r"skip(?:ping|ped|s)|bunk(?:ing|ed) off|year \d+|yr \d+|homework in|"
    r"(?:gcse|a[- ]level|mock)s?(?: in)?|(?:degree|diploma|masters) in|school ha(?:s|ve) (?:her|him|them) in|"
    r"taught (?:(?!by\b|at\b)[a-z]{1,14} ){1,5})\s*\Z"
)
#: A side in a fixture, a breed of the animal just named.
FIXTURE = re.compile(r"(?:\bvs?|\bversus)\.? \Z")
FIXTURE_AFTER = re.compile(r" (?:vs?|versus)\.? [A-Z]")
BREED = re.compile(r"\b(?:cat|dog|kitten|puppy|horse|pony|parrot|tortoise)s?\s?\(\Z|\bcross with a bit of \Z")
#: What a journey is feared for: no holiday.
HARM = re.compile(r"\b(?:fgm|fmpo?|hba|forced marriage|cutting|circumcis\w+|cut)\b")
#: Who served another state: `ex-Polish army`.
SERVED = re.compile(r"\b(?:ex|former|served in (?:the|his)|conscripted into the|deserted (?:from )?the)[- ]\Z")
#: Where a tram leaves from is a stop.
TRAM = re.compile(r"\b(?:tram|metrolink)s? (?:\w+ )?from \Z")
#: `pardon my French`
IDIOM = re.compile(r"\b(?:pardon|excuse) (?:my|the|her|his) \Z")
#: Whose statement it is: `call from India Shaw`.
TAKEN_FROM = re.compile(
    r"\b(?:statement|account|call|complaint|disclosure|report|referral|text|message|letter|e-?mail|voicemail)s? "
    r"(?:(?:was |were )?(?:taken|obtained|received) )?from \Z"
)
PERSON_BEFORE = re.compile(
    r"\b(?:is|are|was|were|am|be|being|i'm|he's|she's|they're|both|all|as|an?|the|ip|iv|v|vic|"
    r"victim|wit|witness|susp|"
    r"suspect|ap|male|female|client|pt|dirty|fucking|nationality|nat|of|other|another|young|old|"
    r"white|black|dual|half|part|mum|dad|mother|father|husband|wife|partner|parents|brother|sister|"
    r"not|not even|not really|never|isn't|ain't|aren't|wasn't|you're|"
    r"we're|uncle|aunt|nan|gran|boyfriend|girlfriend|ex|son|daughter|"
    r"described as|believed|possibly|looks|appears)\s*(?:to be |also |originally |an? |probably |"
    r"possibly |all |both |of )*\W{0,2}\Z"
)
#: A label or a verb that says what a person is, where capitals leave nothing else to go by.
PERSON_SAID = re.compile(
    r"\b(?:ip|iv|ap|vic|victim|wit|witness|complainant|susp|suspect|male|female|nationality|nat|is|was|i'm|he's|she's)"
    r"\s*[:\-,]?\s*\Z"
)
#: `she is a `, of a noun that is a thing too: not `it was a `, `there are `.
PERSON_IS = re.compile(
    r"(?<!\bit )(?<!\bthere )(?<!\bthis )(?<!\bthat )(?<!\bwhich )(?<!\bthese )(?<!\bthose )"
    r"\b(?:is|are|was|were|i'm|he's|she's|they're|i am)\s(?:both |all |also )?(?:an? )?\Z"
)
#: What only a person or their papers are, after a place: `a Jordan national`, `her India passport`, `Jordan-born`.
PERSON_OF = re.compile(
    r"\A(?: nationals?\b(?! (?:police|army|guard|assembly|bank|airline|team|park|day|flag|anthem|dress|grid|trust))|"
    r" citizens?\b| citizenship\b| nationality\b| passports?\b(?! (?:control|office|service|stamp))|"
    r" (?:id|identity) cards?\b|-born\b|"
    r" born (?:male|female|m[ae]n|wom[ae]n|victim|witness|person|girl|boy|driver)\b)"
)
ENGLISH_LANGUAGE = re.compile(
    r"\b(?:in|speaks?|spoke|speaking|spoken|no|little|some|any|broken|limited|good|fluent|poor|"
    r"basic|better|perfect|into|to|of|"
    r"written|read|reads|write|understands?|understand|learn(?:ing)?|teach(?:es)?|much|and|or|"
    r"than|her|his|their)\s*\Z"
)
CARD = re.compile(
    r"(?:[£$]|\b(?:card|cards|debit|credit|gold|platinum|pin|cloned|refund\w*|pension|bank|wallet|"
    r"purse|cash|"
    r"fare|payment|contactless|reader|prepaid|transactions?)\b)"
)
VISA_STATUS = re.compile(
    r"\b(?:expir\w+|application|applied|status|sponsor\w*|refus\w+|granted|overstay\w*|student|"
    r"spous\w*|work|visit\w*|no|valid|"
    r"tourist|family|home office|immigration|cut|lapsed|deport\w*|extend\w*|extension|renew\w*)\b"
)
HOME_OFFICE_ROOM = re.compile(
    r"\A\W{0,2}(?:at the|at rear|upstairs|downstairs|based|desk|chair|room|in (?:the|his|"
    r"her) (?:house|garden|loft|garage|attic)|"
    r"set ?up|window|door|with (?:a |his |her )?laptop|furniture|equipment|computer|"
    r"and (?:bedroom|kitchen|lounge))"
)
HOME_OFFICE_BODY = re.compile(
    r"\A\W{0,2}(?:pathologist|forensic|registered|approved|statistics|circular|guidance|counting|"
    r"minister|study|research|funding|"
    r"funded|review|homicide|large major|policy|licen[cs]e)"
)
OVERSTAY_OTHER = re.compile(
    r"\A\W{0,2}(?:\w+ ){0,2}?(?:his|her|their|the|its)? ?"
    r"(?:welcome|(?:term|lease|tenancy|booking|slot|let)\b|by (?:hours|(?:\w+ )?weeks?\b|\d+ ?(?:min|hour)|"
    r"an hour|minutes)|"
    r"at the (?:contact|party|pub)|(?:the )?(?:parking|ticket|bay))"
)
PARKING = re.compile(r"\b(?:parked|parking|bay|permit holders|car park|contact centre|his welcome)\b")
SPEECH_LEFT = re.compile(
    r"\b(?:speaks?|spoke|speaking|spoken|spks?|interpret\w*|int|translat\w*|lang\w*|fluent|"
    r"statement in|(?:shout|scream|swear|argu|cry|whisper|pray|sing|text|messag|writ)\w* in|"
    r"connected for|line)\b[^.;]{0,30}\Z"
)
SPEECH_RIGHT = re.compile(
    r"\A[\s\-]{0,2}(?:speak\w*|interpret\w*|int\b|language|translat\w*|dialect|line\b|to be spoken)"
)


HOME_OFFICE_OWNED = re.compile(r"\b(?:an?|his|her|their|my|at|works? (?:in|from)|the|of)\s*\Z")
HOME_OFFICE_TOLD = re.compile(
    r"\b(?:letters?|rang|ring|tell|told|report\w*|contact\w*|inform\w*|call\w*|from|by|with)\s(?:to\s)?(?:the\s)?\Z"
)
CODE_LABEL = re.compile(
    r"\b(?:nat|natl|nationality|nationalities|pob|cob|country|passport|ppt|citizenship|birth|origin)\b"
    r"(?:[\"'\s]{0,3}\(?(?:code|iso|id|value)\b\)?){0,2}[\s\"'\])}>|:=\-\[({]{0,8}(?:[a-z]{3}[\"'\s]{0,3}[,/][\"'\s]{0,3}){0,4}\Z"
)
CODE_COUNTED = re.compile(r"(?:\b\d+\s?x?|\ball|\bboth|\bis an?|\bis)\s*\Z")
HOLIDAY_AFTER = re.compile(
    r"\A (?:with (?:them|her|him|us|family) )?(?:on \w+day )?(?:on|for) "
    r"(?:an? |his |her |their |our |my |the )?(?:family )?"
    r"(?:holidays?|honeymoon|cruise|teeth|veneers|hair transplant)\b"
)
#: What names a thing after the adjective or the place: `Dutch-style`, `Iceland £12`, `the Italian named one`.
COMPOUND = re.compile(
    r"\A(?:-(?:style|chef|made|inspired|themed|type|and)\b| (?:new year|named one|by name|or some such)\b)"
)
PLACE_NAMED = re.compile(r"\A (?:star\b|spring water\b|£)")
TOPIC = re.compile(
    r"\b(?:(?:rivers|maps?|flags?|capital|history) of|(?:collect\w*|fundrais\w+|donat\w+|appeal) for|"
    r"posting (?:it|them|one) to) (?:the )?\Z"
)
INITIAL = re.compile(r"\b(?:mr|mrs|ms|miss|dr|pc|dc|ds)\.? [a-z]\.? \Z")
