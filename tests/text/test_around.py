"""What stands around a name of a place or a people: what no longer spares it, and what still does."""

from __future__ import annotations

import pytest

from services.kernel.vocabulary import EntityClass
from services.redactor.text.engine import TextEngine

#: A disclosure, and the word of it that must go.
DISCLOSED = {
    # what is done to a person, where a thing would be sent or made
    "India": "He made her go back to India",
    "Pakistan": "He ordered her back to Pakistan",
    "Iraq": "He made threats to family in Iraq",
    "Nigeria": "He posted her to Nigeria to marry",
    "Ghana": "He shipped her to Ghana",
    "Albania": "He bought her a ticket to Albania",
    "Vietnam": "She was bought from Vietnam",
    "Moldova": "Victim was made to work in Moldova",
    "Thailand": "girls ordered from Thailand",
    "Latvia": "The delivery driver is from Latvia",
    "Egypt": "A protection order in Egypt did not stop him",
    "Sudan": "After a long trip from Sudan she slept",
    "Syria": "Last weekend her family arrived from Syria",
    "Poland": "Every weekend she rings her mother in Poland",
    "Libya": "Treated for injuries she sustained in Libya",
    # a fact of its own on each line
    "Nigerian": "The victim is Nigerian\nWindow smashed at rear",
    "Iraqi": "Witness is Iraqi\nCourt date 3 May",
    "Syrian": "Victim Syrian\nSchool informed",
    "Romanian": "Nationality Romanian\r\nGas board called",
    "Albanian": "Male, Albanian\n2 doors kicked in",
    "Lithuanian": "Ethnicity: White Lithuanian\nBuilding: flat",
    "Kurdish": "Interpreter: Kurdish\nBook by Monday",
    "polish": "She came with a polish\nman of about 40",
    # capitals throughout
    "LITHUANIAN": "IP IS LITHUANIAN CLOSE TO TEARS",
    "SOMALI": "IP IS SOMALI HOUSE WAS DARK",
    "POLISH": "VIC: POLISH DOOR FORCED",
    "TURKEY": "VICTIM IS A TURKEY NATIONAL",
    "POLE": "VICTIM IS A POLE",
    # a place that only a person or a paper follows
    "Jordan": "She is a Jordan national",
    "Kenya": "He is a Kenya citizen",
    "Georgia": "Holds a Georgia passport",
    "Chad": "Chad nationality is on the form",
    "Malta": "A Malta-born victim came in",
    "china": "vic is a china national",
    "cyprus": "she has a cyprus passport",
    # people that are things too
    "pole": "she is a pole and lives alone",
    "swede": "my neighbour is a swede",
    "dane": "his wife is a dane",
    "poles": "both poles said they ran",
    # signs beside the word
    "Polish😭": "I am Polish😭",
    "NRPF": "„NRPF” is on her file",
    "Eritrean": "IP «Eritrean», alone",
    "Ghanaian": "●Witness▪Ghanaian│female",
    "Hungarian": "said he was \ufffdHungarian\ufffd",
    "Bulgarian": "said she is â€œBulgarianâ€\x9d",
    "Sudanese": "SudaneseÂ\xa0national",
    "Somalian": "Somalian\u2028speaks little",
    # slips in short names
    "Polsih": "She is Polsih",
    "Polsh": "The tenant is Polsh",
    "Somlai": "a Somlai man ran",
    "Indain": "an Indain national",
}
STAYS = [
    "The delivery from Poland arrived",
    "clothes made in China",
    "A parcel from Turkey was opened",
    "She ordered shoes from Italy",
    "A car that he bought in Germany",
    "an order from China",
    "polish the floor",
    "hit with a pole",
    "it was a pole",
    "there are poles by the gate",
    "USED A METAL POLE",
    "SEEN NEAR THE POLISH SHOP",
    "a week in Spain with friends",
    "He was on a city break to Spain",
    "lives on Poland Street",
    "the Polish shop on the corner",
    "India Smith was seen",
    "the turkish baths",
    "deployed to Iraq in 2006",
]


@pytest.mark.parametrize(("word", "text"), DISCLOSED.items())
def test_a_look_alike_shape_spares_no_disclosure(engine: TextEngine, word: str, text: str) -> None:
    place = text.index(word.rstrip("😭"))
    assert any(span.start <= place < span.end for span in engine.detect(text)), engine.detect(text)


@pytest.mark.parametrize("text", STAYS)
def test_what_says_nothing_of_a_person_stays(engine: TextEngine, text: str) -> None:
    found = [span for span in engine.detect(text) if span.entity is not EntityClass.IDENTIFYING]
    assert found == [], [text[span.start : span.end] for span in found]
