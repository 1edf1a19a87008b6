"""scikit-learn's handwritten digits as images: some of all classes arrive first and unlabelled, the others by class."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from curate.errors import MissingExtraError

INCREMENTS: tuple[tuple[int, ...], ...] = ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9))
UNLABELLED = "unlabelled-digits"
_ONE_IN = 4  # every fourth image, spread over all classes, arrives without its label and never with it
_BRIGHTEST = 16


def arrived(inbox: Path, classes: tuple[int, ...]) -> bool:
    """Whether these classes lie in the inbox already."""
    return all((inbox / "digits" / str(digit)).is_dir() for digit in classes)


def deliver(inbox: Path, classes: tuple[int, ...]) -> int:
    """Write the labelled images of these classes as 8 x 8 grey PNG files, a whole class at a time; return how many.

    Raises:
        MissingExtraError: scikit-learn or Pillow is not installed.
    """
    targets = _digits().target
    written = 0
    for digit in classes:
        places = [place for place in (targets == digit).nonzero()[0].tolist() if place % _ONE_IN]
        with _appearing(inbox / "digits" / str(digit)) as folder:
            _write(folder, places)
            if digit == 0:
                _break_a_copy(folder)
        written += len(places)
    return written


def deliver_unlabelled(inbox: Path) -> int:
    """Write the images that come without a label, unless they are there; return how many were written."""
    final = inbox / UNLABELLED
    if final.is_dir():
        return 0
    places = list(range(0, len(_digits().target), _ONE_IN))
    with _appearing(final) as folder:
        _write(folder, places)
    return len(places)


@cache
def _digits() -> Any:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtraError("the demo", "demo") from error
    return load_digits()


def _write(folder: Path, places: Iterable[int]) -> None:
    from PIL import Image

    for place in places:
        pixels = (_digits().images[place] * (255 / _BRIGHTEST)).round().astype("uint8")
        Image.fromarray(pixels).save(folder / f"{place:04}.png")


def _break_a_copy(folder: Path) -> None:
    """Leave half of an image, as a broken download would."""
    whole = sorted(folder.glob("*.png"))[0].read_bytes()
    (folder / "half.png").write_bytes(whole[: len(whole) // 2])


@contextmanager
def _appearing(final: Path) -> Iterator[Path]:
    """A folder to write into, which takes its place only when everything is in it."""
    partial = final.parents[1] / ".incoming" / final.name
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    yield partial
    final.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(final, ignore_errors=True)
    partial.rename(final)
