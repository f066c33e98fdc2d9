"""How far a disclosure reaches: the words around a hit that belong to it, `her visa has lapsed`, `Irish passport`."""

from __future__ import annotations

import re

from services.kernel.vocabulary import EntityClass
from services.redactor.text.context import Scan
from services.redactor.text.model import Span

_E = EntityClass
_WHEN = (
    r"(?:(?:\s(?:in|on|until|till|til|since|by|for|from|about|around|over|a|the|of|early|late|mid|end|last|next|this)){0,3}"
    r"\s(?:two|three|four|five|six|few|\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}|\d{1,4}|jan\w*|feb\w*|mar(?:ch)?|apr\w*|may|june?|july?|aug\w*|sept?\w*|oct\w*|"
    r"nov\w*|dec\w*|spring|summer|autumn|winter|covid|lockdown|days?|weeks?|months?|mths?|years?|yrs?|ago|now|yet)"
    r"(?![\w'])){0,3}"
)
_OUTCOME = (
    r"(?:exp|expir\w+|laps\w+|curtail\w*|cancel\w*|revok\w+|refus\w+|reject\w+|granted|approved|extended|renewed|"
    r"declined|withdrawn|invalid\w*|r[au]n(?:s|ning)? out|finish\w*|ended|ends|ending|pending|outstanding|"
    r"(?:turned|knocked) down|in process|being processed|unclear|insecure|uncertain|dismissed|"
    r"overturned|sorted|stopped|pulled|made|lodged|submitted|registered|up)"
)
_STATE = (
    r"(?:\s?[,:(-]?\s?(?:which|that|is|was|has|had|been|be|being|will|would|due|to|about|just|now|still|only|never|"
    r"not|already|since|also|got|gets|get|because|if|his|it|'s))*\s" + _OUTCOME + r"(?![\w'])" + _WHEN
)
_RIGHT: dict[EntityClass, re.Pattern[str]] = {
    _E.LANGUAGE: re.compile(
        r"(?:[\s\-]+(?:speaking|speakers?|interpreters?|translators?|dialect|language|line))+(?!\w)"
    ),
    _E.NATIONALITY: re.compile(
        r"(?:[\s\-]+(?:nationals?(?!\s(?:police|army|formulary|insurance|guard|grid|express))|citizens?|citizenship|nationality|passports?|ids?|identity|residence|residency|"
        r"travel|driving|driver'?s|licen[cs]es?|cards?|permits?|documents?|embassy|consulate|plates?|plated|"
        r"(?:(?:mobile|phone|telephone|whatsapp)\s)?(?:numbers?(?:\splates?)?|sim)|holders?|descent|origins?|heritage|"
        r"extraction|background|by\sbirth|born|accent|by\snationality|speaking|speakers?))+(?![\w'])"
    ),
    _E.IMMIGRATION_STATUS: re.compile(
        r"(?:[\s\-]+(?:visas?|status|claims?|applications?|appeals?|interview|seekers?|routes?|holders?|scheme|"
        r"permit|orders?|decision|renewal|sponsorship|leave|to\sremain|papers|back|home|(?:in|from|to)\sthe\suk|"
        r"(?:depends?|relies|hangs|is\s(?:tied|linked|dependent))\s(?:on|to|upon)\s(?:(?:her|his|the|my|their)\s\w+|him|her|me|them)|"
        r"duty|team|worker|panel|assessment|(?:thru|through|via|tied\sto|linked\sto|dependent\son)\s(?:her|his|my|the|an?|their)\s\w+|"
        r"as\san?\s\w+|at\spresent|under\s\w+|away|next\syear)(?![\w']))*(?:" + _STATE + r")?" + _WHEN
    ),
    _E.IMMIGRATION_CONTACT: re.compile(
        r"(?:\s(?:officers?|team|enforcement|hotline|solicitors?|checks?|raids?|letters?|ref|reference|informed|"
        r"contacted|notified|(?:will|would|to|might|may|can)\s(?:come|take|find|get|be)|(?:came|attended|visited)))+(?![\w'])"
    ),
    _E.IMMIGRATION_DOCUMENT: re.compile(
        r"(?:\s(?:number|no\.?|cards?|permits?|letters?|account)(?!\w))*(?:" + _STATE + r")?" + _WHEN
    ),
    _E.COUNTRY_OF_ORIGIN: re.compile(
        r"(?:[\s\-]+(?:nationality|nationals?|passports?|citizens?|citizenship|origins?|born|heritage|id\scards?|numbers?|"
        r"licen[cs]es?|plates?))+(?![\w'])"
    ),
    _E.PROXY: re.compile(
        r"(?:\s(?:house|hotel|team|worker|accommodation|accom|support|officer|number|mobile|address|staff|card))+(?!\w)"
    ),
}
_LEFT: dict[EntityClass, re.Pattern[str]] = {
    _E.IMMIGRATION_STATUS: re.compile(
        r"\b(?:(?:get|gets|getting|got|have|having|had|be|been|being|renew\w*|extend\w*|cancel\w*|"
        r"cut|los[et]\w*|withdr\w+|revok\w+|stop\w*|refus\w+|end|affect\w*|claim\w*|appl(?:y|ied|ying)(?:\sfor)?|"
        r"await\w*|dismiss\w*|appeal\w*|abscond\w*(?:\sfrom)?|grant\w*|given|holds?|issued|receiv\w*|settled\sunder|resettled\s(?:through|under|via)|"
        r"lock\s(?:her|him|me)\sup\sfor|awaiting\s\w+\son|hop\w+\sfor)\s)?"
        r"(?:(?:detained|held|released|bailed)\s(?:at|in|from)\s)?"
        r"(?:(?:pending|outstanding|refused|late|joint|initial|previous|failed|first|second|on)\s)?"
        r"(?:(?:her|him|me|them|us|you|his|my|their|our|your|any|no|valid|current|new)\s){0,2}\Z"
    ),
    _E.COUNTRY_OF_ORIGIN: re.compile(
        r"\b(?:back\s(?:home\s)?(?:to|in)\s|returns?(?:ed|ing)?\s(?:home\s)?to\s|(?:flights?|flew|flown|journey)\s(?:out\s|in\s|over\s)?from\s|sen[dt]\sback\sto\s)(?:the\s)?\Z"
    ),
    _E.IMMIGRATION_CONTACT: re.compile(
        r"\b(?:(?:letters?|emails?|calls?|visits?|texts?)\s(?:from|to)\s|(?:contacted|visited|raided|arrested|detained|held)\sby\s|"
        r"(?:(?:pass|passed|passing|share|shared|sharing|give|gave|report|reported|go|goes|going|went|get|gets|work|works|working|linked|sent|send)\s(?:\w+\s){0,2}(?:to|with|on\sto)\s)|"
        r"appeal\w*\sto\s|(?:been|get|gets|got|getting)\s(?:on\s(?:to\s)?)?|"
        r"(?:solicitor|lawyer|adviser|advice|help)\s(?:for|with|about|re)\s(?:her|his|their|my)\s|(?:ring|rang|call|phone|tell|told|contact|inform|email|text)(?:s|ed|ing)?\s)(?:the\s)?\Z"
    ),
    _E.NATIONALITY: re.compile(
        r"\b(?:false|fake|forged|counterfeit|nationality\snot|not|half|part|dual|ethnic|native\sof|naturalised)\s\Z"
    ),
    _E.PROXY: re.compile(
        r"\b(?:notice\sfrom|solicitor\sat|(?:£\d[\d.]*\s(?:a|per|p)\s?/?(?:week|wk|w)\s)?on(?:\san?)?|via)\s\Z"
    ),
}


def phrase(span: Span, scan: Scan) -> Span:
    """`span` with the words that belong to it, within its sentence."""
    start, end = span.start, span.end
    right, left = _RIGHT.get(span.entity), _LEFT.get(span.entity)
    if right is not None and (after := right.match(scan.right(end))):
        end += after.end()
    if left is not None and (before := left.search(scan.left(start))):
        start -= len(before.group())
    return Span(start, end, span.entity, span.rule, span.score)
