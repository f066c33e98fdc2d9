"""`safe-reporting samples`: made-up records of every feed, each sent by its own agency's account."""

from __future__ import annotations

import itertools
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from services.kernel import web
from services.kernel.errors import ConfigError
from services.kernel.kafka.reader import Sender
from services.kernel.kafka.service import Stop
from services.kernel.kafka.topology import load_topology
from services.kernel.paths import ROOT
from services.kernel.progress import Progress
from services.kernel.samples import Numberer, load_samples
from services.kernel.settings import Settings, load_settings


def samples(
    accounts: Annotated[Path, typer.Argument(help="The folder `clients` of `broker secrets`: a folder by account.")],
    pause: Annotated[float, typer.Option("--pause", min=0, help="Seconds between rounds of one record a feed.")] = 1.0,
    rounds: Annotated[int, typer.Option("--rounds", min=0, help="How many rounds; 0: until stopped.")] = 0,
) -> None:
    """Send the records of `samples/` as their agencies would, again and again, each with a record id of its own."""
    settings = load_settings()
    topology = load_topology(settings.topology_file)
    progress = Progress("producer")
    web.serve(settings.metrics_port, web.standard(progress), progress)
    held = load_samples(ROOT / "samples")
    feeds = {topic: [one for one in held if one.topic == topic] for topic in dict.fromkeys(one.topic for one in held)}
    configs = {topic: _as_agency(settings, accounts, topic.split(".")[1]) for topic in feeds}
    stop = Stop()
    partitions = {topic.name: topic.partitions for topic in topology.topics}
    numbered = Numberer(settings.schemas_dir)
    first, sent = int(time.time()), 0
    progress.loaded = True
    with ExitStack() as opened:
        senders = {topic: opened.enter_context(Sender(config)) for topic, config in configs.items()}
        for number in itertools.count() if not rounds else range(rounds):
            if stop():
                return
            for topic, sender in senders.items():
                some = feeds[topic]
                sender.send(numbered(some[number % len(some)], first + number), number % partitions[topic])
            for sender in senders.values():
                sender.flush()
            sent += len(senders)
            progress.joined = True
            progress.moved()
            if number % 60 == 0:
                print(f"{sent} records sent to {len(feeds)} agency topics", flush=True)
            time.sleep(pause)


def _as_agency(settings: Settings, accounts: Path, agency: str) -> dict[str, str]:
    """The agency's own connection.

    Raises:
        ConfigError: a file of its account is not there.
    """
    folder = accounts / f"producer-{agency}"
    lacks = [name for name in ("password", "certificate.pem", "key.pem") if not (folder / name).is_file()]
    if lacks:
        raise ConfigError("samples", [f"`{folder / name}` is not there" for name in lacks])
    own = {
        "kafka_username": folder.name,
        "kafka_password": "",
        "kafka_password_file": folder / "password",
        "kafka_certificate_file": folder / "certificate.pem",
        "kafka_key_file": folder / "key.pem",
    }
    return settings.model_copy(update=own).kafka_config()
