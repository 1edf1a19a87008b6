"""The guides for contributors name commands and files that exist, and `make help` knows every target."""

import re
import subprocess
from pathlib import Path

import pytest

GUIDES = ("AGENTS.md", "CONTRIBUTING.md")


@pytest.fixture(scope="module")
def targets(repository: Path) -> set[str]:
    """The targets that the Makefile declares."""
    (line,) = re.findall(r"^\.PHONY: (.+)$", (repository / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    return set(line.split())


def test_help_describes_every_target(repository: Path, targets: set[str]) -> None:
    shown = subprocess.run(["make", "help"], cwd=repository, capture_output=True, text=True, check=True).stdout
    described = re.findall(r"^  make ([a-z0-9-]+) +\S", shown, re.MULTILINE)
    assert sorted(described) == sorted(targets)


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_names_make_targets_that_exist(guide: str, repository: Path, targets: set[str]) -> None:
    named = set(re.findall(r"\bmake ([a-z0-9-]+)", "\n".join(code(repository / guide))))
    assert named
    assert named <= targets


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_names_files_that_exist(guide: str, repository: Path) -> None:
    words = {word for piece in code(repository / guide) for word in piece.split() if "NAME" not in word}
    paths = {word for word in words if re.fullmatch(r"[a-z.][\w.-]*/([\w./-]*(/|\.py|/run))?", word)}
    assert paths
    assert not {path for path in paths if not (repository / path).exists()}


def test_a_guide_starts_with_how_to_run_the_tests(repository: Path) -> None:
    first = re.search(r"^## (.+)$", (repository / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert first is not None
    assert first[1] == "Run the tests"


def code(guide: Path) -> list[str]:
    """The code spans and blocks of a guide."""
    text = guide.read_text(encoding="utf-8")
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL) + re.findall(r"`([^`\n]+)`", text)
