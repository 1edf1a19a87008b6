"""Writes the demo's project: a commented `curate.toml`, the target, and an inbox that uses every reader.

Whatever lies there already is left alone, and every file or folder appears whole or not at all, so a demo that was
interrupted goes on where it stopped. A few inputs are broken on purpose, as real ones are.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from curate.demo import corpus
from curate.demo.language_model import LanguageModel
from curate.demo.pieces import Piece
from curate.errors import UsageError
from curate.types import Progress

PROJECT_FILE = "curate.toml"
_TEMPLATE = Path(__file__).with_name("project.toml")
_BROKEN_LINES = ('{"kind": "python", "text": "def unfinished(', '{"kind": "python", "path": "a line without a text"}')
_BINARY = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR, an image with the wrong name\xff"


def write_project(folder: Path, language_model: LanguageModel) -> bool:
    """Write the project's settings unless they are there; return whether they were written.

    Raises:
        UsageError: the folder holds another project.
    """
    file = folder / PROJECT_FILE
    template = _TEMPLATE.read_text(encoding="utf-8")
    if file.exists():
        if file.read_text(encoding="utf-8", errors="replace").splitlines()[:1] != template.splitlines()[:1]:
            raise UsageError(
                f"{folder} holds a project that the demo did not write",
                unchanged="nothing in it was touched",
                hint="curate demo --folder ANOTHER-FOLDER",
            )
        return False
    folder.mkdir(parents=True, exist_ok=True)
    return _appears(
        file, lambda partial: _write(partial, template.replace("# @LANGUAGE_MODEL@\n", language_model.section))
    )


def deliver_texts(folder: Path, progress: Progress) -> bool:
    """Gather the texts and write target and inbox unless they are there; return whether anything was written.

    Cost: 10 to 20 s for five thousand texts, most of it walking and parsing the installation.
    """
    kinds: dict[Path, tuple[tuple[str, ...], Callable[[Path, list[Piece]], None]]] = {
        folder / "target.jsonl": ((), lambda file, _: _write_lines(file, corpus.target())),
        folder / "inbox" / "code.jsonl": (("python", "c"), partial(_write_lines, broken=_BROKEN_LINES)),
        folder / "inbox" / "documents.parquet": (("json", "rst"), _write_parquet),
        folder / "inbox" / "prose": (("english",), _write_files),
    }
    missing = {path: kind for path, kind in kinds.items() if not path.exists()}
    if not missing:
        return False
    progress.start("gather texts", sum(len(names) for names, _ in missing.values()))
    for path, (names, write) in missing.items():
        found = []
        for name in names:
            found += corpus.pool(name)
            progress.advance()
        _appears(path, lambda partial, write=write, found=found: write(partial, found))  # type: ignore[misc]
    progress.finish("gather texts")
    return True


def _appears(path: Path, write: Callable[[Path], None]) -> bool:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.parent / f".{path.name}.partial"
    if partial.is_dir():
        shutil.rmtree(partial)
    write(partial)
    partial.rename(path)
    return True


def _write(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8", newline="\n")


def _write_lines(file: Path, pieces: Iterable[Piece], broken: tuple[str, ...] = ()) -> None:
    rows = [{"kind": piece.kind, "path": piece.path, "text": piece.text} for piece in pieces]
    _write(file, "".join(f"{line}\n" for line in (*(json.dumps(row, ensure_ascii=False) for row in rows), *broken)))


def _write_parquet(file: Path, pieces: list[Piece]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: [getattr(piece, name) for piece in pieces] for name in ("kind", "path", "text")}
    pq.write_table(pa.table(columns), file)


def _write_files(folder: Path, pieces: list[Piece]) -> None:
    (folder / "english").mkdir(parents=True)
    for place, piece in enumerate(pieces):
        _write(folder / "english" / f"{place:04}.txt", piece.text)
    (folder / "english" / "picture.txt").write_bytes(_BINARY)
