from __future__ import annotations

from datetime import date
from pathlib import Path

import orjson
import pytest

from services.kernel.errors import ConfigError
from services.kernel.paths import ROOT
from services.router.areas import json_schema, load_areas

FILE = ROOT / "policies" / "areas.yaml"


def changed(tmp_path: Path, old: str, new: str) -> Path:
    text = FILE.read_text("utf-8")
    assert old in text
    path = tmp_path / "areas.yaml"
    path.write_text(text.replace(old, new), "utf-8")
    return path


def test_the_schema_file_is_what_the_loader_checks() -> None:
    assert orjson.loads((ROOT / "policies" / "areas.schema.json").read_bytes()) == json_schema()


def test_a_borough_is_in_the_pilot_from_its_first_day() -> None:
    areas = load_areas(FILE)
    assert "E08000010" not in areas.started(date(2026, 10, 31))
    assert "E08000010" in areas.started(date(2026, 11, 1))
    assert areas.started(date(2026, 9, 30)) == frozenset()
    assert len(areas.names) == 10


def test_a_borough_without_a_day_is_outside(tmp_path: Path) -> None:
    path = changed(tmp_path, "name: Wigan, from: 2026-11-01", "name: Wigan")
    assert "E08000010" not in load_areas(path).started(date(2030, 1, 1))


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("E08000010", "E08000009", "is given twice"),
        ("E08000010", "E09000001", "E09000001"),
        ("from: 2026-11-01}\n  - {code: E08000010", "from: 2026-13-01}\n  - {code: E08000010", "2026-13-01"),
        ("  - {code: E08000010, name: Wigan, from: 2026-11-01}\n", "", "/areas"),
    ],
)
def test_faults_stop_the_start(tmp_path: Path, old: str, new: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_areas(changed(tmp_path, old, new))
    assert fault in " ".join(caught.value.faults)
