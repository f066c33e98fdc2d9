"""Laws of the layout: who may import whom, and what no tracked file may say."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SERVICES = ROOT / "services"
MODULES = sorted(SERVICES.rglob("*.py"))


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("file", MODULES, ids=lambda f: str(f.relative_to(SERVICES)))
def test_services_import_the_kernel_and_never_each_other(file: Path) -> None:
    own = file.relative_to(SERVICES).parts[0]
    if own == "cli":
        return
    others = {name.split(".")[1] for name in imports(file) if name.startswith("services.")}
    assert others <= {own, "kernel"}


@pytest.mark.parametrize("file", MODULES, ids=lambda f: str(f.relative_to(SERVICES)))
def test_only_the_kafka_folder_imports_the_client(file: Path) -> None:
    if file.parent == SERVICES / "kernel" / "kafka":
        return
    assert not [name for name in imports(file) if name.split(".")[0] in {"confluent_kafka", "aiokafka"}]


@pytest.mark.parametrize("file", MODULES, ids=lambda f: str(f.relative_to(SERVICES)))
def test_modules_stay_short(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 400


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.splitlines() if (ROOT / name).is_file()]


def test_no_tracked_file_names_a_registry_or_holds_a_key() -> None:
    # The words are put together here, so that this file does not hold them itself.
    hosts = "|".join(["pypi" + r"\.org", "python" + "hosted", "registry" + r"\.npmjs", r"repo1?\." + "maven"])
    secret = re.compile(rf"{hosts}|AGE-SECRET-" + r"KEY-1[0-9A-Z]{20}|-----BEGIN [A-Z ]*PRIVATE" + " KEY")
    found = [file.name for file in tracked() if secret.search(file.read_text("utf-8", "replace"))]
    assert found == []


def test_links_between_documents_lead_somewhere() -> None:
    documents = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    targets = [(file, t) for file in documents for t in re.findall(r"\]\(([^)#]+)[^)]*\)", file.read_text())]
    assert [t for file, t in targets if "://" not in t and not (file.parent / t).exists()] == []
