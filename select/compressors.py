"""Compressors as measuring instruments: how many bytes a text shrinks to, and how far back each can look.

Alignment needs sizes only. A compressor is named as in `curate.toml`: `lz4-block`, `lz4-frame`, `gzip:6`, `zstd:3`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import shake_128
from importlib.util import find_spec
from typing import Any

from curate.errors import ConfigurationError, UnknownNameError

DEFAULT = "lz4-block"


@dataclass(frozen=True, slots=True)
class Compressor:
    """A size function with what is needed to repeat and to trust its numbers.

    `size` maps bytes to the length in bytes of their compressed form; it may be called from several threads at once.
    `window` is how many bytes back it finds repetitions. `version` names compressor, level and library version.

    Raises:
        ConfigurationError: the sizes do not shrink when a text is repeated within the window, so that no score built on
            them could see the target.
    """

    name: str
    version: str
    window: int
    size: Callable[[bytes], int]

    def __post_init__(self) -> None:
        """Refuse what cannot see the target."""
        once, twice = self.size(_PROBE), self.size(_PROBE + _PROBE)
        if twice - once > len(_PROBE) // 2:
            raise ConfigurationError(
                f"compressor {self.name!r} is refused: it stores and does not compress, or it sees too little of what "
                "came before, so the score would be the text's length and nothing of the target",
                hint=f"use {DEFAULT!r}, or gzip with a level from 1 to 9",
            )


_PROBE = shake_128(b"curate").digest(512)
"""Bytes without repetitions: only a compressor that looks back makes the second copy shorter than the first."""


@dataclass(frozen=True, slots=True)
class _Family:
    """The compressors of one algorithm; `build` takes a level and returns library version, window and size function.

    `default` and `levels` are None where the algorithm has no levels.
    """

    build: Callable[[int], tuple[str, int, Callable[[bytes], int]]]
    default: int | None = None
    levels: range | None = None
    package: str | None = None


def _lz4_block(_: int) -> tuple[str, int, Callable[[bytes], int]]:
    import lz4
    import lz4.block

    compress: Callable[..., bytes] = lz4.block.compress
    return f"lz4-{lz4.library_version_string()}", 65_535, lambda data: len(compress(data, store_size=False))


def _lz4_frame(level: int) -> tuple[str, int, Callable[[bytes], int]]:
    import lz4
    import lz4.frame

    compress: Callable[..., bytes] = lz4.frame.compress
    return f"lz4-{lz4.library_version_string()}", 65_535, lambda data: len(compress(data, compression_level=level))


def _gzip(level: int) -> tuple[str, int, Callable[[bytes], int]]:
    # 31 asks zlib for gzip's own header and trailer: the sizes of gzip.compress without its Python wrapper.
    return f"zlib-{zlib.ZLIB_RUNTIME_VERSION}", 32_768, lambda data: len(zlib.compress(data, level, 31))


def _zstd(level: int) -> tuple[str, int, Callable[[bytes], int]]:
    import zstandard

    def size(data: bytes) -> int:
        # A ZstdCompressor may not be shared between threads, and a fresh one costs little beside its work.
        return len(zstandard.ZstdCompressor(level=level).compress(data))

    parameters: Any = zstandard.ZstdCompressionParameters.from_level(level)
    return f"zstd-{'.'.join(map(str, zstandard.ZSTD_VERSION))}", 1 << parameters.window_log, size


_FAMILIES: Mapping[str, _Family] = {
    "lz4-block": _Family(_lz4_block),
    "lz4-frame": _Family(_lz4_frame, default=0, levels=range(0, 13)),
    "gzip": _Family(_gzip, default=6, levels=range(0, 10)),
    "zstd": _Family(_zstd, default=3, levels=range(1, 23), package="zstandard"),
}


def known_names() -> list[str]:
    """Return the forms of name that `compressor` takes on this machine.

    >>> known_names()[:3]
    ['lz4-block', 'lz4-frame[:0-12]', 'gzip[:1-9]']
    """
    return [_form(name, family) for name, family in _available().items()]


@cache
def compressor(name: str) -> Compressor:
    """Return the compressor of a name such as `lz4-block`, `lz4-frame:9`, `gzip:6` or `zstd:3`.

    A missing level means the library's default, and the returned name spells it out.

    Raises:
        UnknownNameError: no compressor has this name here; the message lists the known forms.
        ConfigurationError: the level does not exist, or the compressor cannot see the target (gzip level 0).

    >>> compressor("gzip").name
    'gzip:6'
    """
    base, colon, written = name.strip().partition(":")
    family = _available().get(base)
    if family is None:
        raise UnknownNameError("compressor", name, known_names())
    level = _level(name, base, family, written if colon else None)
    library, window, size = family.build(level)
    full_name = base if family.levels is None else f"{base}:{level}"
    return Compressor(full_name, f"{full_name} {library}", window, size)


def _available() -> dict[str, _Family]:
    return {name: family for name, family in _FAMILIES.items() if not family.package or find_spec(family.package)}


def _form(name: str, family: _Family) -> str:
    levels = family.levels
    return name if levels is None else f"{name}[:{max(levels[0], 1) if name == 'gzip' else levels[0]}-{levels[-1]}]"


def _level(name: str, base: str, family: _Family, written: str | None) -> int:
    if written is None:
        return family.default or 0
    if family.levels is None:
        raise ConfigurationError(f"compressor {base!r} takes no level, but {name!r} gives one", hint=f"write {base!r}")
    if not (written.isascii() and written.isdigit() and len(written) < 4 and int(written) in family.levels):
        raise ConfigurationError(
            f"compressor {base!r} has no level {written!r}", hint=f"known forms: {', '.join(known_names())}"
        )
    return int(written)
