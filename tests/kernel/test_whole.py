"""A file is the old one or the new one, and what cannot be written is said before the work."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.kernel.errors import ConfigError
from services.kernel.whole import demand_writable, whole_folder, write_whole


def test_the_new_content_takes_the_place_of_the_old(tmp_path: Path) -> None:
    file = tmp_path / "f.json"
    demand_writable(file)
    assert list(tmp_path.iterdir()) == []
    for content in (b"one", b"two"):
        write_whole(file, content)
        demand_writable(file)
        assert file.read_bytes() == content
    assert list(tmp_path.iterdir()) == [file]


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "f.json"
    write_whole(file, b"signed by the first person")
    real = Path.write_bytes

    def full(self: Path, content: bytes) -> int:
        real(self, content[:5])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ConfigError, match="cannot be written: No space left on device"):
        write_whole(file, b"signed by both")
    with pytest.raises(ConfigError, match="No space left on device"):
        demand_writable(file)
    assert file.read_bytes() == b"signed by the first person"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("name", ["none/f.json", "file/f.json", "folder"])
def test_a_place_that_takes_no_file_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match=f"{name}` cannot be written"):
        write_whole(tmp_path / name, b"x")
    if name != "folder":
        with pytest.raises(ConfigError, match=f"{name}` cannot be written"):
            demand_writable(tmp_path / name)


def test_a_folder_that_was_not_filled_is_empty_again(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "pack"

    def fill() -> None:
        (folder / "ledger").mkdir()
        (folder / "ledger" / "entries.jsonl").write_text("{")
        (folder / "timeline.json").write_text("{")
        raise OSError(28, "No space left on device")

    with pytest.raises(ConfigError, match="cannot be written: No space left on device"), whole_folder(folder):
        fill()
    with whole_folder(folder):
        (folder / "timeline.json").write_text("{}")
    with pytest.raises(ConfigError, match="is not empty"), whole_folder(folder):
        pytest.fail("filled")
    assert [path.name for path in folder.iterdir()] == ["timeline.json"]
    with pytest.raises(ConfigError, match="cannot be written"), whole_folder(folder / "timeline.json"):
        pytest.fail("filled")
