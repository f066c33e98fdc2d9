"""Risk lifted from a text before it is masked: closed codes that do not depend on nationality."""

from __future__ import annotations

import re

_T = (
    r"(?:threat\w*|said he(?:'d| would| will)|said she(?:'d| would| will)|says he(?:'ll| will)|"
    r"will|would|going to|'ll|'d|warned|told (?:her|him|me))"
)
_WHO = r"(?:her|him|me|us|them|you|my \w+|the \w+)"
_RULES: dict[str, re.Pattern[str]] = {
    "kill_or_harm": re.compile(
        rf"\b(?:threats? to (?:kill|life|harm)|{_T}\b[^.\n]{{0,40}}\b(?:kill|murder|stab|burn|hurt|"
        rf"beat|batter|strangle|shoot|slash|"
        rf"break {_WHO}|smash {_WHO}|finish {_WHO}|harm)|strangl\w+|chok(?:ed|ing)|knife|machete|acid)\b"
    ),
    "children": re.compile(
        rf"\b(?:{_T}\b[^.\n]{{0,50}}\b(?:take|keep|have|get|steal|hurt|lose|"
        rf"snatch)\b[^.\n]{{0,20}}\b(?:kids?|child(?:ren)?|baby|son|daughter|"
        rf"custody)|(?:take|taking|took|keep|kept) (?:the|her|his|my|our) (?:kids|children|baby|son|"
        rf"daughter)|without (?:the|her|my) (?:baby|kids|children)|"
        r"(?:lose|losing) (?:the|her|my) (?:kids|children|baby)|abduct\w*)\b"
    ),
    "home": re.compile(
        rf"\b(?:(?:kick|throw|chuck|put) {_WHO} out\b(?! of (?:the )?(?:uk|country))|evict\w*|(?:make|"
        rf"made|leave|left) {_WHO} homeless|on the street|"
        r"lock(?:ed)? (?:her|him|me|them) (?:out|in)|change the locks)\b"
    ),
    "money": re.compile(
        r"\b(?:(?:takes?|took|taking|keeps?|kept|controls?|withh\w+) (?:all )?(?:her|his|my|"
        r"their) (?:money|wages?|salary|benefits?|bank card|pay)|"
        r"not paid|unpaid|wages (?:stopped|nil|kept|withheld)|owes? (?:him|them|her|a debt|£\s?\d)|"
        r"debt bond\w*|£\d+ an? (?:week|month)|"
        r"demand\w* (?:money|£)|financial(?:ly)? (?:abuse|control)\w*|no money)\b"
    ),
    "image": re.compile(
        r"\b(?:(?:intimate|naked|nude|explicit|sexual|private) (?:pictures?|photos?|images?|videos?|"
        r"films?|pics)|"
        r"(?:send|post|share|hand|show|publish)\w* (?:the |her |his |my )?(?:pictures?|photos?|"
        r"images?|videos?|film)\b|revenge porn)\b"
    ),
    "exposure": re.compile(
        r"\b(?:(?:tell|telling|send\w*|show) (?:them |it )?(?:to )?(?:her|his|my|the|their) (?:family|"
        r"father|mother|parents|community|mosque|church|husband|employer|"
        r"boss|work|school|college|university)|out(?:ing|ed)? (?:her|him|me)|honou?r based|hba|shame)\b"
    ),
    "report_to_an_authority": re.compile(
        rf"\b(?:(?:ring|rang|call|calling|tell|report|reporting|inform|contact|email|phone|write to|"
        rf"written to|grass|shop)\b[^.\n]{{0,30}}\b"
        rf"(?:police|immigration|home office|ukvi|social services|benefits?|dwp|council|authorit\w+|"
        rf"the ho|hotline|border force|hmrc)|"
        rf"(?:get|have|getting|having|had|got) {_WHO} (?:deported|removed from the|arrested|sent back|"
        rf"sectioned|locked up)|"
        rf"(?:be|being|get) (?:deported|sent back|reported)|on (?:a|the) (?:next )?(?:plane|flight)\b)"
    ),
    "coercive_control": re.compile(
        r"\b(?:coercive|controlling|not allowed (?:out|a phone|to leave|to see|to go|friends)|"
        r"not been (?:let|allowed) out|locked in|isolat\w+|monitors?|tracker|"
        r"checks (?:her|his|my) phone|follows (?:her|me)|(?:takes?|took|taken|hides?) (?:her|my|"
        r"his) phone|controls (?:her|his|my))\b"
    ),
    "documents_or_money_controlled": re.compile(
        r"\b(?:(?:has|have|holds?|kept|keeps?|took|taken|takes|taking|hid\w*|hides|burn\w*|destroy\w*|"
        r"tore|got|withh\w+|confiscat\w+) (?:all |up |away )?"
        r"(?:the |her |his |my |their |both |children's )*(?:passports?|papers|documents?|docs|"
        r"id(?: card)?|brp|visa|bank cards?|certificates?|wages|card)|"
        r"passports? (?:is |was |were |are )?(?:kept|held|taken|locked|hidden)|holds all documents)\b"
    ),
}
#: A code is looked for only where one of its stems stands in the text.
_STEMS: dict[str, tuple[str, ...]] = {
    "kill_or_harm": (
        "kill",
        "murder",
        "stab",
        "burn",
        "hurt",
        "beat",
        "batter",
        "strang",
        "shoot",
        "slash",
        "break",
        "smash",
        "finish",
        "harm",
        "chok",
        "knife",
        "machete",
        "acid",
        "threat",
    ),
    "children": ("kid", "child", "baby", "son", "daughter", "custody", "abduct"),
    "home": ("out", "evict", "homeless", "street", "lock"),
    "money": ("money", "wage", "salary", "benefit", "bank", "pay", "paid", "owe", "debt", "£", "financ"),
    "image": ("pic", "photo", "image", "video", "film", "porn"),
    "exposure": ("tell", "send", "show", "out", "honour", "honor", "hba", "shame"),
    "report_to_an_authority": (
        "police",
        "immigration",
        "home office",
        "ukvi",
        "social",
        "benefit",
        "dwp",
        "council",
        "authorit",
        "ho",
        "deport",
        "report",
        "plane",
        "flight",
        "sent back",
        "border",
        "hmrc",
    ),
    "coercive_control": ("coerc", "control", "allowed", "let", "lock", "isolat", "monitor", "track", "phone", "follow"),
    "documents_or_money_controlled": (
        "passport",
        "paper",
        "document",
        "docs",
        "id",
        "brp",
        "visa",
        "card",
        "certificate",
        "wage",
    ),
}
CODES = frozenset(_RULES)


def lift(low: str) -> frozenset[str]:
    """The risk codes that the lower-case text shows."""
    return frozenset(
        code for code, pattern in _RULES.items() if any(stem in low for stem in _STEMS[code]) and pattern.search(low)
    )
