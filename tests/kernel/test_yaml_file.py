"""Files of a deployment that are broken in any way: each loader refuses them with what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from services.kernel.approvers import load_approvers
from services.kernel.errors import ConfigError
from services.kernel.kafka.topology import load_topology
from services.kernel.paths import ROOT
from services.kernel.schema import load_feeds, load_tags
from services.kernel.schema.evolution import faults

LOADERS: list[Callable[[Path], object]] = [load_approvers, load_topology, load_tags]


@pytest.mark.parametrize("load", LOADERS)
@pytest.mark.parametrize(
    "content",
    [
        b"version: 1\n404: x\n",
        b"~: x\n",
        b"true: x\n",
        b"[" * 5000,
        b"version: " + b"9" * 5000,
        b"version: 2026-99-99\n",
        b"? [a]\n: x\n",
        b"\xff\xfe",
        b"version: 1\nversion: 1\n",
        b"tags: [x]\n",
        b"a: &a [*a]\n",
        b"",
    ],
)
def test_a_broken_file_is_refused_with_its_faults(
    load: Callable[[Path], object], content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert all(caught.value.faults)
    assert caught.value.faults


@pytest.mark.parametrize("load", LOADERS)
def test_a_file_that_is_not_there_is_named(load: Callable[[Path], object], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml`: No such file"):
        load(tmp_path / "gone.yaml")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("  NATIONALITY:", "  NATIONALITY: {}\n  NATIONALITY:"), "key `NATIONALITY` is given twice"),
        (("group: direct", "group: [direct]"), "group is not one of"),
    ],
)
def test_a_tag_says_once_and_in_words_what_is_dropped(change: tuple[str, str], says: str, tmp_path: Path) -> None:
    text = (ROOT / "schemas" / "tags.yaml").read_text()
    assert change[0] in text
    (tmp_path / "tags.yaml").write_text(text.replace(*change, 1))
    with pytest.raises(ConfigError, match=says):
        load_tags(tmp_path / "tags.yaml")


@pytest.mark.parametrize("broken", [b"{", b"[1]", b"[" * 5000, b"\xff"])
def test_a_schema_to_compare_with_that_is_none_is_named(broken: bytes, tmp_path: Path) -> None:
    for name, content in (("before", b"{}"), ("after", broken)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "one.json").write_bytes(content)
    for before, after in (("before", "after"), ("after", "before")):
        with pytest.raises(ConfigError, match=r"one\.json` is no"):
            faults(tmp_path / before, tmp_path / after)


def test_a_schema_that_cannot_be_read_is_a_fault_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "feeds" / "made-up.json").mkdir(parents=True)
    (tmp_path / "tags.yaml").write_bytes((ROOT / "schemas" / "tags.yaml").read_bytes())
    with pytest.raises(ConfigError, match=r"made-up\.json: cannot be read: Is a directory"):
        load_feeds(tmp_path)
