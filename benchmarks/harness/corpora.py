"""Real texts that every Python installation has: functions, C headers, JSON and English prose, cut to pieces.

What is found depends on the installation, so a benchmark compares contenders on the same texts in one run and never
figures of two machines.
"""

from __future__ import annotations

import ast
import random
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from zlib import crc32

SHORTEST, LONGEST = 200, 1_200
"""Characters of a piece."""
PIECES_PER_FILE = 20


@dataclass(frozen=True, slots=True)
class Corpus:
    """Texts with the kind of each (`python`, `c`, `json`, `prose`), and target functions from other files."""

    texts: list[str]
    kinds: list[str]
    targets: list[str]


@lru_cache(maxsize=4)
def corpus(texts: int, targets: int, seed: int = 0) -> Corpus:
    """Draw texts, as evenly from the four kinds as they last, and Python functions with docstrings as targets.

    The last four draws are kept for whoever asks again: leave them unchanged. Targets resemble HumanEval's
    problems: one function with its docstring. They come from other files than the texts.
    """
    generator = random.Random(seed)
    found = {kind: list(islice(find(), 4 * texts)) for kind, find in _KINDS.items()}
    functions = list(_functions(for_targets=True))
    for pieces in (*found.values(), functions):
        generator.shuffle(pieces)
    drawn = _evenly(found, texts)
    generator.shuffle(drawn)
    return Corpus([text for text, _ in drawn], [kind for _, kind in drawn], functions[:targets])


def _evenly(found: Mapping[str, list[str]], count: int) -> list[tuple[str, str]]:
    """Take one piece of each kind in turn, until there are enough or none are left."""
    longest = max(map(len, found.values()))
    rows = ((pieces[row], kind) for row in range(longest) for kind, pieces in found.items() if row < len(pieces))
    return list(islice(rows, count))


def _functions(*, for_targets: bool) -> Iterator[str]:
    """Yield functions of the standard library; a file serves either targets (a fifth of them) or texts."""
    for file in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        if (crc32(file.name.encode()) % 5 == 0) == for_targets:
            yield from (source for source, documented in _functions_of(file) if documented or not for_targets)


def _functions_of(file: Path) -> Iterator[tuple[str, bool]]:
    text = _read(file)
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return
    lines = text.splitlines(keepends=True)
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            source = "".join(line[node.col_offset :] or "\n" for line in lines[node.lineno - 1 : node.end_lineno])
            if SHORTEST <= len(source) <= LONGEST:
                yield source, ast.get_docstring(node) is not None


def _prose() -> Iterator[str]:
    """Yield the language reference that `help()` shows, then the descriptions and licences of installed packages."""
    from pydoc_data.topics import topics

    for _, text in sorted(topics.items()):
        yield from _pieces(text)
    for pattern in ("*.dist-info/METADATA", "*.dist-info/**/LICENSE*"):
        yield from _from_files(pattern)


def _from_files(pattern: str) -> Iterator[str]:
    """Yield pieces of the files below this Python's folders, a few of each file, the packages well mixed."""
    roots = {Path(sysconfig.get_path(name)) for name in ("include", "purelib", "stdlib")}
    files = {file for root in roots for file in root.glob(pattern) if file.is_file()}
    for file in sorted(files, key=lambda file: (crc32(file.name.encode()), file)):
        yield from islice(_pieces(_read(file)), PIECES_PER_FILE)


def _pieces(text: str) -> Iterator[str]:
    """Join whole lines to pieces of about 600 characters; what is left over at the end is too short to keep."""
    piece = ""
    for line in text.splitlines(keepends=True):
        piece += line
        if len(piece) >= 600:
            yield piece[:LONGEST]
            piece = ""
    if len(piece) >= SHORTEST:
        yield piece


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


_KINDS: Mapping[str, Callable[[], Iterator[str]]] = {
    "python": lambda: _functions(for_targets=False),
    "c": lambda: _from_files("**/*.h"),
    "json": lambda: _from_files("**/*.json"),
    "prose": _prose,
}
