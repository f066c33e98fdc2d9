"""Made-up texts about foreign and British victims, for an attacker who tries to tell them apart.

Both groups suffer the same incidents, told in the same words and at the same length. Both have identifying numbers
in their texts, and other people's nationality, equally often. Nearly every word that is left beside a mask also
stands in sentences that both have, as it would in real records. What differs is what is said of the victim besides: a
share of the foreign victims' texts discloses, up to three times; of the British ones at most 5 % say British.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

BRITISH_STATED = 0.05
#: Shares of all texts, of either group, that hold an identifying number, or another person's nationality.
NUMBERS = 0.40
OTHERS = 0.15

INCIDENTS = (
    "{V}{x} was followed from the tram stop and pushed into a shop doorway.",
    "{V}{x} was punched twice in the face outside the takeaway.",
    "{V}{x} came to the front desk at 0910 with a cut above the left eye.",
    "{V}{x} reports that her ex-partner kicked the front door until the lock broke.",
    "{V}{x} states the damage to the car was done overnight.",
    "{V}{x} was sold a phone that turned out to be an empty box.",
    "{V}{x} says three lads threw bottles at the window of the flat.",
    "{V}{x} was made to hand over wages every Friday to the man who drives the van.",
    "{V}{x} has been getting silent calls at night since the summer.",
    "{V}{x} was spat at on the 192 bus near the infirmary.",
    "{V}{x} woke to find two males in the kitchen going through the drawers.",
    "{V}{x} had a bag taken from the table at the library.",
    "{V}{x} was threatened with a screwdriver over a parking space.",
    "{V}{x} was grabbed by the throat in the stairwell and could not breathe.",
    "{V}{x} found the shed open and both bikes gone.",
    "{V}{x} has paid £300 a month to a landlord who changed the locks.",
)
FILLERS = (
    "No CCTV at this address.",
    "Photographs taken of the bruising.",
    "Neighbour at number 12 heard shouting and a door slam.",
    "Children asleep upstairs, seen and well.",
    "He told her he would take the children if she rang again.",
    "Ambulance attended and cleared at scene.",
    "Suspect left on foot towards the canal.",
    "DASH completed, medium risk.",
    "Safety plan discussed, side gate to be kept locked.",
    "Works at a care home and does nights.",
    "Very upset but wants to support a prosecution.",
    "Does not want to make a statement today.",
    "The black Golf was parked across the drive.",
    "Area searched, no trace.",
    "Previous calls to this address in March and June.",
    "Friend is staying with her tonight.",
    "He has been told to stay away and has agreed.",
    "Clothing seized for forensics.",
    "The shop will send the footage on Monday.",
    "She has two children at the primary school.",
    "He keeps her bank card and counts the change.",
    "Wants a call back after six.",
    "Officer to revisit with a domestic abuse worker.",
    "Door to door done on both sides of the road.",
    "He said nobody would believe her.",
    "The dog has been taken in by her sister.",
    "Housing have been asked to fit a new lock.",
    "Injuries consistent with the account given.",
    "Suspect is her husband of nine years.",
    "She is afraid of what will happen when he is out.",
    "It has been going on for about two years.",
    "Payslips and a notebook were found in the van.",
    "She is a teaching assistant.",
    "She is exhausted and not sleeping.",
    "He is a regular in the pub on the corner.",
    "She is on the sofa with a blanket and has not moved.",
    "Victim is a delivery rider.",
    "IP is a pensioner who lives alone.",
    "He is not allowed within a hundred metres of the house.",
    "He is on bail until June.",
    "She has a tenancy until 2027.",
    "She has to be at work every morning at five.",
    "She has no money of her own.",
    "Her baby was born in March.",
    "He was born with one kidney and the kick has frightened him.",
    "He came here from work, still in his uniform.",
    "They met three years ago at a gym.",
    "They came by taxi.",
    "The sofa was brought over in a van and never paid for.",
    "Spoken to alone in the kitchen.",
    "Spoken to through the letterbox.",
    "Her speech is slow since the stroke.",
    "She is scared of going back to the flat.",
    "She lives above a launderette.",
    "She lives with her aunt in Sale.",
    "Her family are still in the house.",
    "He told her he would burn the car.",
    "He says he will post the pictures.",
    "He keeps her keys and her phone.",
    "He is a drinker and is afraid of the police.",
    "Driving licence seen.",
    "Reference on file.",
    "A broken mug on the table.",
    "A friend from church is helping her.",
    "He wanted a signature on the form under the letterhead.",
    "The flat was let to two brothers originally.",
    "A man from the market, who is known to us, was with him.",
    "Passport and jewellery taken from the drawer.",
    "Interview on Tuesday.",
    "Needed stitches.",
    "Limited memory of what happened first.",
    "The claim to the insurer was refused.",
    "She arrived in a terrible state.",
    "He gets angry at the sight of a letter.",
)
NUMBER = (
    "Neighbour can be reached on 07700 900{n}.",
    "Her mother's number is 0161 496 0{n}.",
    "E-mail of the shop manager: manager{n}@corner.example.",
    "He texted from 07700 900{n}.",
    "National Insurance number on the payslip JG 12 13 16 A.",
    "Ring sister on 07700 900{n}, not the victim's own phone.",
)
OTHER = (
    "Offender described as a {d} male in a grey tracksuit.",
    "The man who rents the flat is {d}.",
    "A {d} neighbour came out and stopped it.",
    "One of the lads was speaking {l} on the phone.",
)
BRITISH = (
    "She is British.",
    "Victim is a British citizen.",
    "Nationality: British.",
    "IP is White British.",
    "He is a UK national.",
    "She speaks English.",
    "She showed us her British passport.",
)
INSERTS = (", a {d} national,", ", {d},", " ({d})", ", who is {d},", ", from {c} originally,")
FOREIGN = (
    "She is {d}.",
    "Nationality: {d}.",
    "Victim is a {d} national.",
    "She was born in {c}.",
    "He came here from {c} three years ago.",
    "Speaks {l} only.",
    "Interpreter needed for {l}.",
    "Spoken to through a {l} interpreter.",
    "Languageline used, {l}.",
    "Her English is limited, first language {l}.",
    "She is on a spousal visa.",
    "He has a student visa until June.",
    "She has leave to remain until 2027.",
    "IP is an asylum seeker.",
    "The tribunal has turned her asylum appeal down.",
    "She has no recourse to public funds.",
    "NRPF.",
    "He told her he would have her deported.",
    "He says he will ring the Home Office and get her sent back to {c}.",
    "He keeps her passport and her BRP.",
    "{d} passport seen, number 533401{n}.",
    "Home Office reference on file.",
    "Letter from UKVI on the table.",
    "She arrived in the UK in 2021.",
    "They came by small boat.",
    "He was brought over in a lorry.",
    "She lives in asylum accommodation.",
    "He is not allowed to work.",
    "Her family are still in {c}.",
    "She is scared of going back to {c}.",
    "He is an overstayer and is afraid of the police.",
    "She has refugee status.",
    "She has settled status under the EU scheme.",
    "Immigration solicitor is helping her.",
    "She has to sign at the reporting centre every month.",
)
PEOPLE = (
    ("Polish", "Poland", "Polish"), ("Romanian", "Romania", "Romanian"), ("Eritrean", "Eritrea", "Tigrinya"),
    ("Nigerian", "Nigeria", "Yoruba"), ("Pakistani", "Pakistan", "Urdu"), ("Vietnamese", "Vietnam", "Vietnamese"),
    ("Iranian", "Iran", "Farsi"), ("Albanian", "Albania", "Albanian"), ("Indian", "India", "Punjabi"),
    ("Brazilian", "Brazil", "Portuguese"), ("Sudanese", "Sudan", "Arabic"), ("Afghan", "Afghanistan", "Dari"),
    ("Chinese", "China", "Mandarin"), ("Ukrainian", "Ukraine", "Ukrainian"), ("Somali", "Somalia", "Somali"),
)  # fmt: skip
VICTIMS = ("IP", "The victim", "Victim", "Caller", "Female", "V1", "She")


@dataclass(frozen=True, slots=True)
class Case:
    """One text, and whether its victim is foreign: what the attacker wants to know."""

    text: str
    foreign: bool


def cases(count: int, *, disclosing: float, seed: int = 1) -> list[Case]:
    """`count` texts, half of them about foreign victims, of whose texts the share `disclosing` discloses."""
    draw = random.Random(seed)
    return [_case(draw, foreign=number % 2 == 0, disclosing=disclosing) for number in range(count)]


def _case(draw: random.Random, *, foreign: bool, disclosing: float) -> Case:
    said: list[str] = []
    insert = ""
    if foreign and draw.random() < disclosing:
        said = draw.sample(FOREIGN, draw.randint(1, 3))
        if draw.random() < 0.3:
            insert = draw.choice(INSERTS)
            said.pop()
    elif not foreign and draw.random() < BRITISH_STATED:
        said = [draw.choice(BRITISH)]
    victim = draw.choice(PEOPLE)
    said = [_fill(draw, sentence, victim) for sentence in said]
    if draw.random() < NUMBERS:
        said.append(_fill(draw, draw.choice(NUMBER), victim))
    if draw.random() < OTHERS:
        said.append(_fill(draw, draw.choice(OTHER), draw.choice(PEOPLE)))
    said += draw.sample(FILLERS, draw.randint(3, 7))
    draw.shuffle(said)
    opening = draw.choice(INCIDENTS).format(V=draw.choice(VICTIMS), x=_fill(draw, insert, victim))
    return Case(" ".join([opening, *said]), foreign)


def _fill(draw: random.Random, sentence: str, person: tuple[str, str, str]) -> str:
    demonym, country, language = person
    made = sentence.format(d=demonym, c=country, l=language, n=draw.randint(100, 999))
    return made.replace(" a A", " an A").replace(" a E", " an E").replace(" a I", " an I").replace(" a U", " an U")
