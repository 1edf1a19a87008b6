"""Finds real text of five kinds on this machine: Python, C, JSON, reStructuredText and English prose.

Everything comes from the Python installation and from installed packages. Folders are walked in sorted order and each
kind is capped by an even spread, so the same installation gives the same corpus.
"""

from __future__ import annotations

import ast
import json
import re
import sysconfig
from collections.abc import Iterable, Iterator
from email.parser import HeaderParser
from functools import cache
from pathlib import Path
from typing import Any

from curate.demo.pieces import LONGEST, Piece, chunked, evenly, fitting, read

KINDS = ("python", "c", "json", "rst", "english")
CAPS = {"python": 1300, "c": 1000, "json": 900, "rst": 1000, "english": 1100}
# The target comes from these modules, and the pool draws from none of them.
WITHHELD = ("bisect", "fnmatch", "glob", "heapq", "linecache", "posixpath", "shlex", "shutil", "statistics", "textwrap")
TARGETS = 20
_PER_FOLDER = 60
_LONGEST_TARGET = 1500
_NOT_PROSE = frozenset({"site-packages", "dist-packages", "test", "tests"})
_NOT_LIBRARY = _NOT_PROSE | {"idlelib", "lib2to3", "ensurepip", "pydoc_data"}
_SUFFIXES = frozenset({".h", ".c", ".json", ".rst", ".md", ".txt", ".py"})
_LICENCES = ("LICENSE", "LICENCE", "COPYING", "NOTICE")
_RST = re.compile(r"::\s*$|``|^\s*[-=~]{4,}\s*$|:\w+:`|^\.\. ", re.MULTILINE)
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@cache
def library() -> Path:
    """The folder of the standard library."""
    return Path(sysconfig.get_path("stdlib"))


@cache
def packages() -> Path:
    """The folder of the installed packages."""
    return Path(sysconfig.get_path("purelib"))


def target() -> list[Piece]:
    """Some twenty documented functions of modules that the pool never draws from: no target is a candidate."""
    found: list[Piece] = []
    for name in WITHHELD:
        documented = [
            Piece("python", f"{name}.py:{node.name}", text)
            for node, text in _definitions(read(library() / f"{name}.py"))
            if _is_documented(node) and len(text) <= _LONGEST_TARGET
        ]
        found += evenly(list(fitting(documented)), 2)
    return evenly(found, TARGETS)


def _is_documented(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and bool(ast.get_docstring(node))


def pool(kind: str) -> list[Piece]:
    """Every piece of one kind, at most its cap, none of which is a target or holds one."""
    forbidden = [piece.text for piece in target()] if kind == "python" else []
    candidates = [piece for piece in _FINDERS[kind]() if not any(text in piece.text for text in forbidden)]
    return evenly(candidates, CAPS[kind])


def _python() -> Iterator[Piece]:
    found = {file.relative_to(library()): file for file in sorted(library().rglob("*.py"))}
    usable = [where for where in found if not _NOT_LIBRARY & set(where.parts) and where.stem not in WITHHELD]
    for where in evenly(usable, 4 * _PER_FOLDER):
        definitions = _definitions(read(found[where]))
        yield from fitting(Piece("python", f"{where.as_posix()}:{node.name}", text) for node, text in definitions)


def _definitions(source: str) -> Iterator[tuple[_Definition, str]]:
    lines = source.split("\n")
    for node in _parsed(source).body:
        if not isinstance(node, _Definition):
            continue
        text = _lines(lines, node)
        if len(text) > LONGEST:
            yield from ((part, _lines(lines, part)) for part in node.body if isinstance(part, _Definition))
        else:
            yield node, text


def _parsed(source: str) -> ast.Module:
    import warnings

    try:
        with warnings.catch_warnings(action="ignore"):
            return ast.parse(source)
    except (SyntaxError, ValueError):
        return ast.Module(body=[], type_ignores=[])


def _lines(lines: list[str], node: _Definition) -> str:
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    indent = node.col_offset
    chosen = lines[first - 1 : node.end_lineno]
    return "\n".join(line if line[:indent].strip() else line[indent:] for line in chosen)


def _c() -> Iterator[Piece]:
    for root in (Path(sysconfig.get_path("include")), packages()):
        for file in _files(root, (".h", ".c")):
            text = read(file)
            if "namespace " not in text and "template" not in text:
                yield from chunked("c", file.relative_to(root).as_posix(), text)


def _json() -> Iterator[Piece]:
    for file in _files(packages(), (".json",)):
        try:
            value = json.loads(read(file))
        except (ValueError, RecursionError):
            continue
        where = file.relative_to(packages()).as_posix()
        found = fitting(Piece("json", f"{where}#{path}", text) for path, text in _values(value, ""))
        yield from evenly(list(found), _PER_FOLDER)


def _values(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Each outermost part of a value whose text is of the right length; compact JSON is quick to measure first."""
    if len(json.dumps(value)) <= LONGEST and len(text := json.dumps(value, indent=2, ensure_ascii=False)) <= LONGEST:
        yield path, text
    elif isinstance(value, dict | list):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in parts:
            yield from _values(part, f"{path}/{key}")


def _rst() -> Iterator[Piece]:
    from pydoc_data.topics import topics

    for name in sorted(topics):
        yield from chunked("rst", f"pydoc_data/topics.py:{name}", topics[name])
    for file in _files(packages(), (".rst",)):
        yield from chunked("rst", file.relative_to(packages()).as_posix(), read(file))
    yield from _descriptions("rst")
    for package in ("numpy", "scipy", "sklearn"):
        for file in evenly(list(_files(packages() / package, (".py",))), _PER_FOLDER):
            yield from _docstrings(file)


def _docstrings(file: Path) -> Iterator[Piece]:
    where = file.relative_to(packages()).as_posix()
    for node in ast.walk(_parsed(read(file))):
        if isinstance(node, _Definition) and (text := ast.get_docstring(node)) and _RST.search(text):
            yield from fitting([Piece("rst", f"{where}:{node.name}", text)])


def _english() -> Iterator[Piece]:
    for root in (library(), packages()):
        for file in _files(root, (".md", ".txt")):
            if ".dist-info" not in file.as_posix():
                yield from _prose(file.relative_to(root).as_posix(), read(file))
    yield from _descriptions("english")
    yield from evenly(list(_licences()), CAPS["english"] // 2)


def _licences() -> Iterator[Piece]:
    """Licences as they were installed: the same few texts again and again, and so real duplicates."""
    for file in sorted(packages().glob("*.dist-info/**/*")):
        if file.stem.upper() in _LICENCES and file.is_file():
            yield from _prose(file.relative_to(packages()).as_posix(), read(file))


def _prose(path: str, text: str) -> Iterator[Piece]:
    return (piece for piece in chunked("english", path, text) if _is_prose(piece.text))


def _is_prose(text: str) -> bool:
    """Whether a text is mostly letters and its lines mostly hold several words: no tables, no listings."""
    lines = [line for line in text.splitlines() if line.strip()]
    letters = sum(character.isalpha() or character == " " for character in text)
    return letters >= 0.85 * len(text) and sum(line.count(" ") >= 4 for line in lines) >= 0.6 * len(lines)


def _descriptions(kind: str) -> Iterator[Piece]:
    for file in sorted(packages().glob("*.dist-info/METADATA")):
        message = HeaderParser().parsestr(read(file))
        is_rst = (message.get("Description-Content-Type") or "").startswith("text/x-rst")
        cut = _prose if kind == "english" else lambda path, text: chunked("rst", path, text)
        if is_rst == (kind == "rst"):
            yield from cut(file.relative_to(packages()).as_posix(), str(message.get_payload()))


def _files(root: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """The files with these suffixes in sorted order, at most 60 from each top folder, so that none outweighs all."""
    for folder, files in _by_folder(root).items():
        wanted = [file for file in files if file.suffix in suffixes and folder not in _NOT_PROSE]
        yield from evenly(wanted, _PER_FOLDER)


@cache
def _by_folder(root: Path) -> dict[str, list[Path]]:
    folders: dict[str, list[Path]] = {}
    for file in _walk(root):
        parts = file.relative_to(root).parts
        folders.setdefault(parts[0] if len(parts) > 1 else "", []).append(file)
    return folders


def _walk(root: Path) -> Iterable[Path]:
    return sorted(file for file in root.rglob("*.*") if file.suffix in _SUFFIXES)


_FINDERS = {"python": _python, "c": _c, "json": _json, "rst": _rst, "english": _english}
