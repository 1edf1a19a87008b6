"""The demo's texts: real, sorted into kinds, of reasonable length, the same every time, and never a target."""

import ast
import json
import re
from pathlib import Path

import pytest

from curate.demo import corpus
from curate.demo.pieces import LONGEST, SHORTEST, Piece, chunked, evenly, paragraphs


@pytest.fixture(scope="module")
def pools() -> dict[str, list[Piece]]:
    return {kind: corpus.pool(kind) for kind in corpus.KINDS}


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def test_there_are_thousands_of_texts_of_every_kind(pools: dict[str, list[Piece]]) -> None:
    assert sum(map(len, pools.values())) >= 3000
    assert all(len(pool) >= 200 for pool in pools.values())
    assert all(len(pools[kind]) <= corpus.CAPS[kind] for kind in pools)


def test_texts_fit_and_can_be_written(pools: dict[str, list[Piece]]) -> None:
    for piece in (piece for pool in pools.values() for piece in pool):
        assert SHORTEST <= len(piece.text) <= LONGEST
        piece.text.encode("utf-8")


def test_the_target_is_documented_python() -> None:
    target = corpus.target()
    assert 10 <= len(target) <= corpus.TARGETS
    for piece in target:
        [node] = ast.parse(piece.text).body
        assert isinstance(node, ast.FunctionDef)
        assert ast.get_docstring(node)


def test_no_target_is_in_the_pool_not_even_inside_a_text(pools: dict[str, list[Piece]]) -> None:
    everything = [_squeezed(piece.text) for pool in pools.values() for piece in pool]
    for piece in corpus.target():
        needle = _squeezed(piece.text)
        assert not [text for text in everything if needle in text]


def test_no_python_comes_from_a_module_that_gave_targets(pools: dict[str, list[Piece]]) -> None:
    modules = {piece.path.split(":")[0] for piece in corpus.target()}
    assert modules
    assert not modules & {piece.path.split(":")[0] for piece in pools["python"]}


def test_kinds_are_what_they_say(pools: dict[str, list[Piece]]) -> None:
    for piece in pools["python"]:
        ast.parse(piece.text)
    for piece in pools["json"]:
        json.loads(piece.text)


def test_the_same_installation_gives_the_same_texts(pools: dict[str, list[Piece]]) -> None:
    assert corpus.pool("c") == pools["c"]


def test_a_method_is_cut_out_with_its_decorators_and_without_its_indent(tmp_path: Path) -> None:
    body = "\n".join(f"        # line {number} of a long method" for number in range(150))
    source = f"class Long:\n    @property\n    def first(self):\n{body}\n        return 1\n"
    (tmp_path / "long.py").write_text(source)
    [(_, text)] = corpus._definitions(source)
    assert text.startswith("@property\ndef first(self):\n    # line 0")
    ast.parse(text)


def test_broken_sources_give_nothing() -> None:
    assert list(corpus._definitions("def broken(:\n")) == []
    assert list(corpus._definitions("nul \x00")) == []


def test_large_json_is_split_where_it_fits() -> None:
    value = {"entries": [{"text": "x" * 300} for _ in range(30)], "small": 1}
    found = dict(corpus._values(value, ""))
    assert [path for path in found if path.startswith("/entries/")] == [f"/entries/{place}" for place in range(30)]
    assert all(json.loads(text) == {"text": "x" * 300} for path, text in found.items() if path != "/small")


def test_evenly_spreads_and_keeps_the_order() -> None:
    assert evenly(range(10), 5) == [0, 2, 4, 6, 8]
    assert evenly([1, 2], 5) == [1, 2]


def test_paragraphs_lose_no_text() -> None:
    text = "\n\n".join(f"paragraph {number} " * 20 for number in range(30))
    assert _squeezed("".join(paragraphs(text))) == _squeezed(text)


def test_chunks_name_their_place() -> None:
    pieces = list(chunked("english", "a.txt", "\n\n".join(["word " * 150] * 6)))
    assert [piece.path for piece in pieces] == ["a.txt#0", "a.txt#1", "a.txt#2"]
