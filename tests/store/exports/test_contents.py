"""Content on its way into shards: what is taken out is what was put in, wherever it was kept."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from curate.store.exports.contents import HeldContents, StoredContents

PIECES: dict[str, list[pa.Array]] = {
    "texts": [pa.array(["a", "", "é"]), pa.array(["no", "bcd", "ef", "no"]).slice(1, 2), pa.array([], pa.string())],
    "bytes": [pa.array([b"\0", b"ab"]), pa.array([b"c", b"", b"defg"])],
    "lists": [pa.array([[1], []]), pa.array([[2, 3], None, [4]])],
    "an absent one": [pa.array(["a", None]), pa.array(["b", "c", "d"])],
}


@pytest.mark.parametrize("room", [0, 4, 100])
@pytest.mark.parametrize("kind", PIECES)
def test_held_content_is_found_by_its_rank(kind: str, room: int) -> None:
    assert _taken(HeldContents(np.array([0, 2, 5]), room), PIECES[kind]) == _expected(PIECES[kind])


@pytest.mark.parametrize("most", [0, 100])
@pytest.mark.parametrize("kind", PIECES)
def test_stored_content_is_found_by_its_rank(kind: str, most: int, tmp_path: Path) -> None:
    assert _taken(StoredContents(np.array([0, 2, 5]), tmp_path, most), PIECES[kind]) == _expected(PIECES[kind])


def _expected(pieces: list[pa.Array]) -> list[Any]:
    return pa.concat_arrays(pieces).to_pylist()[::-1]


def _taken(contents: HeldContents | StoredContents, pieces: list[pa.Array]) -> list[Any]:
    """Put pieces in backwards, the first row last, and take both parts out."""
    rank = 5
    for piece in pieces:
        rank -= len(piece)
        contents.add(np.arange(rank, rank + len(piece))[::-1].copy(), piece)
    contents.finish()
    taken = []
    for part in range(2):
        places, content = contents.take(part)
        taken += content.take(pa.array(places)).to_pylist()
    return taken
