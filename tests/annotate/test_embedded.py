"""The embedded language model: its file, and the real server with the real model."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from curate.annotate import embedded
from curate.annotate.checks import check_annotator
from curate.annotate.embedded import EmbeddedServer, model_file
from curate.annotate.llm.annotator import Calls, LanguageModelAnnotator, Prompt
from curate.annotate.llm.examples import Example
from curate.annotate.protocol import Attribute, Protocol
from curate.errors import BadDataError, MissingExtraError

needs_model = pytest.mark.skipif(
    not embedded.is_available(), reason="the embedded language model is not installed: pip install 'curate[llm]'"
)
PROTOCOL = Protocol("demo", "1", (Attribute("kind", "What is it?", ("code", "prose")),))
EXAMPLES = (
    Example("import os\n\nfor name in os.listdir('.'):\n    print(name)", {"kind": "code"}),
    Example("The ship came home in spring, and everybody went down to the harbour.", {"kind": "prose"}),
)
TEXTS = (
    "def area(radius):\n    return 3.14159 * radius**2\n",
    "It was a bright cold day in April, and the clocks were striking thirteen.",
    "class Stack:\n    def __init__(self):\n        self.items = []\n",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def items(*texts: str | None) -> pa.Table:
    return pa.table({"item_id": [str(place) for place in range(len(texts))], "text": pa.array(texts, pa.string())})


def annotator(server: EmbeddedServer, cache: Any) -> LanguageModelAnnotator:
    prompt = Prompt(mode="completion", examples=EXAMPLES)
    return LanguageModelAnnotator("gemma", PROTOCOL, Calls(server.service(), cache), prompt)


@needs_model
def test_the_real_model_keeps_the_promises_of_annotators(folder: Path, cache: Any) -> None:
    with EmbeddedServer(folder, repeatable=True, threads=1) as server:
        said = check_annotator(annotator(server, cache), items(*TEXTS, None), PROTOCOL)
    assert [claim.item_id for claim in said.claims] == ["0", "1", "2"]
    assert not said.failures
    assert all(response.prompt_tokens > 0 for response in cache.kept.values())


@needs_model
def test_a_real_server_constrains_chat_answers_lists_among_them_and_tells_how_sure_it_is(
    folder: Path, cache: Any
) -> None:
    colours = Attribute("colours", "Which colours are named?", ("red", "green", "blue"), multiple=True)
    protocol = Protocol("demo", "1", (colours, Attribute("kind", "What is it?", ("flag", "animal"))))
    with EmbeddedServer(folder, threads=1) as server:
        chat = LanguageModelAnnotator("gemma", protocol, Calls(server.service(), cache), Prompt(mode="chat"))
        said = chat.annotate(items("a red and blue flag"))
    assert [(claim.attribute, claim.value in protocol.attribute(claim.attribute)) for claim in said.claims] == [
        ("colours", True),
        ("kind", True),
    ]
    assert all(0 < claim.confidence < 1 for claim in said.claims)


@pytest.mark.slow
@needs_model
def test_a_second_run_does_not_even_start_the_server(folder: Path, cache: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedServer(folder, threads=1) as server:
        said = annotator(server, cache).annotate(items(*TEXTS))
        assert server._server is not None
    kept = len(cache.kept)
    with EmbeddedServer(folder, threads=1) as server:
        assert annotator(server, cache).annotate(items(*TEXTS)) == said
        assert server._server is None
    assert len(cache.kept) == kept == len(TEXTS) + 3


@pytest.mark.slow
@needs_model
def test_a_repeatable_server_repeats_itself(folder: Path, cache: Any) -> None:
    said = []
    for order in (TEXTS[:2], TEXTS[1::-1]):
        cache.kept.clear()
        with EmbeddedServer(folder, repeatable=True, threads=1) as server:
            claims = annotator(server, cache).annotate(items(*order)).claims
            said.append(sorted((order[int(claim.item_id)], claim.value, claim.confidence) for claim in claims))
    assert said[0] == said[1]


@pytest.fixture
def fake_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Three small files in place of the packages' parts, with the hash of what they join to."""
    folder = tmp_path / "packages"
    folder.mkdir()
    parts = [folder / f"part{place}" for place in range(3)]
    for part, content in zip(parts, (b"one", b"two", b"three"), strict=True):
        part.write_bytes(content)
    monkeypatch.setattr(embedded, "require_packages", lambda: None)
    monkeypatch.setattr(embedded, "import_module", lambda _: SimpleNamespace(chunk_paths=lambda: parts))
    monkeypatch.setattr(embedded, "MODEL_HASH", "4592092e1061c7ea85af2aed194621cc17a2762bae33a79bf8ce33fd0168b801")
    return folder


def test_the_file_is_joined_once_and_whole(fake_packages: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "models"
    file = model_file(folder)
    assert file.read_bytes() == b"onetwothree"
    written = file.stat().st_ino
    assert model_file(folder).stat().st_ino == written
    assert [entry.name for entry in folder.iterdir()] == [embedded.MODEL_FILE]


def test_half_a_file_is_joined_again(fake_packages: Path, tmp_path: Path) -> None:
    (tmp_path / embedded.MODEL_FILE).write_bytes(b"onet")
    assert model_file(tmp_path).read_bytes() == b"onetwothree"


def test_damaged_packages_leave_no_file(fake_packages: Path, tmp_path: Path) -> None:
    (fake_packages / "part1").write_bytes(b"2")
    folder = tmp_path / "models"
    with pytest.raises(BadDataError, match="do not hold the model") as caught:
        model_file(folder)
    assert "pip install --force-reinstall" in caught.value.hint
    assert list(folder.iterdir()) == []


def test_missing_packages_are_named_by_their_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "find_spec", lambda name: None if name == "xllamacpp" else name)
    with pytest.raises(MissingExtraError) as caught:
        EmbeddedServer(tmp_path)
    assert caught.value.hint == "pip install 'curate[llm]'"


def test_it_says_that_it_is_small() -> None:
    assert "expect many wrong labels" in EmbeddedServer.description
