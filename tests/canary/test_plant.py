"""Canaries: the same for the same id, never forged, and nothing of them shows behind redactor and router."""

from __future__ import annotations

import base64
import errno
import os
from pathlib import Path

import msgspec
import orjson
import pytest
import yaml

from services.canary import main
from services.canary.main import planter_of, short
from services.canary.plant import Planter, _places, load_words, look, planted_at
from services.kernel import canary, keys
from services.kernel.attestation import HEADER, verify
from services.kernel.errors import ConfigError
from services.kernel.gate import Gate, check
from services.kernel.kafka.topology import load_topology
from services.kernel.kafka.topology_file import Topology, parse_topology
from services.kernel.paths import ROOT
from services.kernel.record import Batch, Inbound, Message, Outcome
from services.kernel.samples import load_samples
from services.kernel.schema import load_feeds
from services.kernel.sensitive import Sensitive
from services.kernel.settings import Settings
from services.kernel.vocabulary import OutcomeKind, Reason, Tag
from services.redactor.build import build_step as build_redactor
from services.redactor.step import RedactorStep
from services.redactor.text import readable
from services.redactor.text.engine import TextEngine
from services.router.build import build_step as build_router
from services.router.step import RouterStep

NOW = 1_795_600_000_000
#: The agency of each feed in the project's own topology.
OWN = {feed: agency for agency, feed in load_topology().producers}
FEEDS = sorted(plan.feed for plan in load_feeds(ROOT / "schemas").plans.values())


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("keys")
    keys.init_dev(folder, load_topology().partners)
    return Settings(keys_dir=folder)


@pytest.fixture(scope="module")
def planter(settings: Settings) -> Planter:
    return planter_of(settings)


@pytest.fixture(scope="module")
def redactor(settings: Settings) -> RedactorStep:
    return build_redactor(settings)


@pytest.fixture(scope="module")
def router(settings: Settings) -> RouterStep:
    return build_router(settings)


def arrived(message: Message, *, offset: int = 0, topic: str | None = None) -> Inbound:
    """The message as a consumer sees it."""
    return Inbound(
        topic=topic or message.topic,
        partition=0,
        offset=offset,
        timestamp=NOW,
        key=Sensitive(message.key) if message.key is not None else None,
        value=Sensitive(message.value) if message.value is not None else None,
        headers=tuple((name, Sensitive(value)) for name, value in message.headers),
    )


def through(step: RedactorStep, router: RouterStep, record: Inbound) -> tuple[Outcome, Outcome]:
    batch = Batch(now=NOW)
    redacted = step(record, batch)
    (one,) = [m for m in redacted.messages if m.topic == "redacted"]
    return redacted, router(arrived(one), batch)


def test_the_same_id_gives_the_same_record_and_another_another(planter: Planter) -> None:
    first = planter.new_id(OWN["marac"], "marac", now=NOW)
    assert planted_at(first) == NOW
    made, again = planter.make(first), planter.make(first)
    assert made is not None
    assert again is not None
    assert made.message == again.message
    assert made.must == again.must
    bodies = {planter.make(planter.new_id(OWN["marac"], "marac", now=NOW + n)).message.value for n in range(50)}  # type: ignore[union-attr]
    assert len(bodies) == 50
    assert planter.make("marac-1-0") is None
    assert planter.make("nobody-1795600000000-00000000") is None


def test_an_id_of_the_version_before_still_makes_the_record_that_it_made(planter: Planter) -> None:
    made = planter.make(f"marac-{NOW}-0000000a")
    assert made is not None
    assert (made.message.topic, planted_at(made.id)) == (f"agency.{OWN['marac']}.marac", NOW)
    assert look(made, arrived(made.message)).terms == len(made.must)


def test_a_leak_of_an_agency_with_a_long_name_closes_the_gate_too(planter: Planter) -> None:
    """What names the canary there is a reference of 64 characters at most, or the closing would be refused."""
    id_ = planter.new_id("a" * 60, "partnership-intel", now=NOW)
    check("gate close", Gate("closed", "2026-11-26T00:00:00.000Z", "canary", "guarantee_failed", short(id_)))
    assert short(id_).startswith("partnership-intel-")


def test_every_feed_of_every_agency_of_the_topology_is_planted_in(
    settings: Settings, redactor: RedactorStep, router: RouterStep
) -> None:
    topology = topology_with({"new-council": ["marac", "council-asb"], "gmp": ["marac"]})
    planter = planter_of(settings, topology)
    assert planter.producers == (("new-council", "marac"), ("new-council", "council-asb"), ("gmp", "marac"))
    assert planter.feeds == ("marac", "council-asb")
    for agency, feed in planter.producers:
        planted = planter.plant(agency, feed, now=NOW)
        again = planter.make(planted.id)
        assert again is not None
        assert again.message == planted.message
        assert planted.message.topic == f"agency.{agency}.{feed}"
        redacted, routed = through(redactor, router, arrived(planted.message))
        assert (redacted.agency, redacted.feed, redacted.canary, routed.canary) == (agency, feed, True, True)
        assert {message.topic for message in routed.messages} == {canary.TOPIC}


def test_what_the_topology_names_and_nobody_can_plant_in_is_all_listed_at_the_start(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = [sample for sample in load_samples(ROOT / "samples") if not sample.topic.endswith(".nrm")]
    monkeypatch.setattr(main, "load_samples", lambda _: without)
    topology = topology_with({"new-council": ["parking", "nrm", "marac"]})
    missing = tuple(topic for topic in topology.topics if topic.name != "agency.new-council.marac")
    with pytest.raises(ConfigError) as refused:
        planter_of(settings, msgspec.structs.replace(topology, topics=missing))
    assert [fault.split(":")[0] for fault in refused.value.faults] == [
        "agency `new-council` sends feed `parking`, which has no schema",
        "agency `new-council` sends feed `nrm`, which has no sample",
        "the topology has no topic `agency.new-council.marac`",
    ]


def topology_with(agencies: dict[str, list[str]]) -> Topology:
    """The project's own topology with other agencies."""
    content = yaml.safe_load((ROOT / "deploy" / "topology.yaml").read_text())
    return parse_topology({**content, "agencies": agencies})


def test_nobody_else_can_make_one_or_use_one(settings: Settings, planter: Planter, tmp_path: Path) -> None:
    keys.init_dev(tmp_path, [])
    mine = planter.make(planter.new_id(OWN["nrm"], "nrm", now=NOW))
    stranger = planter_of(settings.model_copy(update={"keys_dir": tmp_path})).make(
        planter.new_id(OWN["nrm"], "nrm", now=NOW)
    )
    assert mine is not None
    assert stranger is not None
    key = keys.load(settings.keys_dir, ["canary-pub"])["canary-pub"]
    known = {key.id: keys.public_key(key)}
    mark = dict(mine.message.headers)[canary.HEADER]
    assert mine.message.value is not None
    assert canary.verify(mark, mine.message.topic, mine.message.value, known) == mine.id
    assert canary.verify(mark, mine.message.topic, mine.message.value + b" ", known) is None
    assert canary.verify(mark, "agency.gmp.police-crime", mine.message.value, known) is None
    assert canary.verify(mark.replace(b"nrm-", b"nrn-", 1), mine.message.topic, mine.message.value, known) is None
    for bad in (b"", b"..", b"a.b.c", b"\xff.x.dev", mark[:-1], dict(stranger.message.headers)[canary.HEADER]):
        assert canary.verify(bad, mine.message.topic, mine.message.value, known) is None


@pytest.mark.parametrize("feed", FEEDS)
def test_nothing_that_was_planted_shows_and_no_partner_gets_it(
    planter: Planter, redactor: RedactorStep, router: RouterStep, feed: str
) -> None:
    copies = 0
    for number in range(25):
        planted = planter.make(planter.new_id(OWN[feed], feed, now=NOW + number))
        assert planted is not None
        assert len(planted.must) >= 2
        redacted, routed = through(redactor, router, arrived(planted.message, offset=number))
        assert redacted.canary
        assert routed.canary
        assert {m.topic for m in redacted.messages} <= {"redacted", "quarantine"}
        assert {m.topic for m in routed.messages} == {canary.TOPIC}
        assert not [decision for decision in routed.decisions if decision.key]
        for message in routed.messages:
            copy = arrived(message)
            assert copy.header(canary.HEADER) == planted.id.encode()
            assert look(planted, copy).terms == 0
            copies += bool(message.value)
        plain = look(planted, arrived(planted.message))
        assert plain.terms == len(planted.must)
        assert plain.probe == planted.probe[0]
    assert copies >= 25, "the sample of this feed reaches no partner: a leak could not be seen"


def test_every_word_in_every_sentence_is_hidden() -> None:
    """Otherwise a canary would close the gate by its own fault."""
    engine, words = TextEngine.build(), load_words()
    shown = []
    for number, form in enumerate(words.must):
        most = max(len(words.nationalities), len(words.countries), len(words.statuses))
        for at in range(most):
            chosen = {
                "nationality": words.nationalities[at % len(words.nationalities)],
                "country": words.countries[at % len(words.countries)],
                "status": words.statuses[at % len(words.statuses)],
            }
            name = f"{words.first[at % len(words.first)]} {words.last[(at + number) % len(words.last)]}"
            text = engine.redact(form.format(name=name, **chosen), "prose", True).text  # type: ignore[arg-type]
            shown += [(form, word) for slot, word in chosen.items() if f"{{{slot}}}" in form and word in text]
    assert shown == []


def test_a_header_that_is_no_canarys_sets_the_record_aside(planter: Planter, redactor: RedactorStep) -> None:
    planted = planter.make(planter.new_id(OWN["marac"], "marac", now=NOW))
    assert planted is not None
    sent = planted.message
    forged = (*sent.headers[:-1], (canary.HEADER, b"x.y.dev"))
    twice = (*sent.headers, sent.headers[-1])
    for headers in (forged, twice):
        record = arrived(Message(sent.topic, None, sent.value, headers))
        for outcome in (redactor(record, Batch(now=NOW)), redactor.quarantine(record, Reason.CANARY_INVALID)):
            assert (outcome.kind, outcome.reason) == (OutcomeKind.QUARANTINED, Reason.CANARY_INVALID)
            assert not outcome.canary
            assert [message.topic for message in outcome.messages] == ["quarantine", "ops.safety"]


def test_one_that_is_set_aside_asks_nobody_to_look_at_a_source(planter: Planter, redactor: RedactorStep) -> None:
    planted = planter.make(planter.new_id(OWN["marac"], "marac", now=NOW))
    assert planted is not None
    sent = planted.message
    headers = tuple(pair for pair in sent.headers if pair[0] != "ce_time")
    outcomes = [redactor.quarantine(arrived(sent), reason) for reason in (Reason.CRASHED, Reason.TIMEOUT)]
    outcomes += [redactor(arrived(Message(sent.topic, None, sent.value, headers)), Batch(now=NOW))]
    assert [one.reason for one in outcomes] == [Reason.CRASHED, Reason.TIMEOUT, Reason.MISSING_HEADER]
    for outcome in outcomes:
        assert (outcome.kind, outcome.canary) == (OutcomeKind.QUARANTINED, True)
        assert [message.topic for message in outcome.messages] == ["quarantine"]  # no receipt: it is late
    elsewhere = redactor.quarantine(arrived(sent, topic="agency.gmp.police-crime"), Reason.CRASHED)
    changed = redactor.quarantine(arrived(Message(sent.topic, None, b"{}", sent.headers)), Reason.CRASHED)
    for outcome in (elsewhere, changed):
        assert (outcome.canary, len(outcome.messages)) == (False, 2)


def test_what_was_planted_is_in_no_tally(planter: Planter, redactor: RedactorStep) -> None:
    planted = planter.make(planter.new_id(OWN["nrm"], "nrm", now=NOW))
    assert planted is not None
    for number in range(60):
        outcome = redactor(arrived(planted.message, offset=number), Batch(now=NOW + number * 2000))
        assert outcome.kind is OutcomeKind.REDACTED
        assert "ops.tally" not in {message.topic for message in outcome.messages}


def test_a_redactor_that_cannot_unpack_its_language_model_does_not_start(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by a canary: loaded with the first foreign text, a full disk set records aside one by one."""

    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    readable._identifier.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr("tempfile.TemporaryFile", full)
        with pytest.raises(ConfigError, match=r"cannot be unpacked in .*No space left on device"):
            build_redactor(settings)
    build_redactor(settings)


def test_without_the_public_key_none_is_believed(settings: Settings, planter: Planter, tmp_path: Path) -> None:
    for path in settings.keys_dir.iterdir():
        if path.is_file() and not path.name.startswith("canary"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
            (tmp_path / path.name).chmod(0o600)
    step = build_redactor(settings.model_copy(update={"keys_dir": tmp_path}))
    planted = planter.make(planter.new_id(OWN["marac"], "marac", now=NOW))
    assert planted is not None
    assert step(arrived(planted.message), Batch(now=NOW)).reason is Reason.CANARY_INVALID


def test_a_record_without_the_mark_has_the_claims_that_it_always_had(
    settings: Settings, planter: Planter, redactor: RedactorStep
) -> None:
    planted = planter.make(planter.new_id(OWN["marac"], "marac", now=NOW))
    assert planted is not None
    plain = Message(planted.message.topic, None, planted.message.value, planted.message.headers[:-1])
    (redacted,) = [m for m in redactor(arrived(plain), Batch(now=NOW)).messages if m.topic == "redacted"]
    key = keys.load(settings.keys_dir, ["attest-pub"])["attest-pub"]
    assert redacted.value is not None
    claims = verify(dict(redacted.headers)[HEADER], redacted.value, {key.id: keys.public_key(key)})
    assert claims.canary is None
    payload = dict(redacted.headers)[HEADER].split(b".")[0]
    assert "canary" not in orjson.loads(base64.urlsafe_b64decode(payload + b"=="))


@pytest.mark.parametrize("feed", FEEDS)
def test_every_text_of_a_sample_is_planted_in_and_arrives_masked(
    planter: Planter, redactor: RedactorStep, router: RouterStep, feed: str
) -> None:
    """A scan that is lost on one text alone is seen, too."""
    sample = next(sample for sample in load_samples(ROOT / "samples") if sample.topic.endswith(f".{feed}"))
    plan = next(plan for plan in load_feeds(ROOT / "schemas").plans.values() if plan.feed == feed)
    texts = [place.value for place in _places(sample.value, plan) if place.tag is Tag.FREE_TEXT]
    assert len(texts) >= 1
    planted_in = set()
    for number in range(60):
        made = planter.make(f"{OWN[feed]}_{feed}-{NOW}-{number:08x}")
        assert made is not None
        sent = orjson.loads(made.message.value or b"")
        now = [place.value for place in _places(sent, plan) if place.tag is Tag.FREE_TEXT]
        (text,) = [text for text, before in zip(now, texts, strict=True) if text != before]
        if text not in planted_in:
            _, routed = through(redactor, router, arrived(made.message, offset=number))
            copies = [message for message in routed.messages if message.topic == canary.TOPIC]
            assert {look(made, arrived(copy)).terms for copy in copies} == {0}
        planted_in.add(next(before for before in texts if text.startswith(before)))
    assert planted_in == set(texts)
