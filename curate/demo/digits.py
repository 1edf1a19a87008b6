"""scikit-learn's handwritten digits as images that arrive class by class."""

from __future__ import annotations

import shutil
from pathlib import Path

from curate.errors import MissingExtraError

INCREMENTS: tuple[tuple[int, ...], ...] = ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9))
_BRIGHTEST = 16


def arrived(inbox: Path, classes: tuple[int, ...]) -> bool:
    """Whether these classes lie in the inbox already."""
    return all((inbox / "digits" / str(digit)).is_dir() for digit in classes)


def deliver(inbox: Path, classes: tuple[int, ...]) -> int:
    """Write the images of these classes as 8 x 8 grey PNG files, a whole class at a time; return how many.

    Raises:
        MissingExtraError: scikit-learn or Pillow is not installed.
    """
    try:
        from PIL import Image
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtraError("the demo", "demo") from error

    bunch = load_digits()
    pixels = (bunch.images * (255 / _BRIGHTEST)).round().astype("uint8")
    written = 0
    for digit in classes:
        partial = inbox.parent / ".incoming" / str(digit)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for place in (bunch.target == digit).nonzero()[0].tolist():
            Image.fromarray(pixels[place]).save(partial / f"{place:04}.png")
            written += 1
        if digit == 0:
            _break_a_copy(partial)
        _move(partial, inbox / "digits" / str(digit))
    return written


def _break_a_copy(folder: Path) -> None:
    """Leave half of an image, as a broken download would."""
    whole = sorted(folder.glob("*.png"))[0].read_bytes()
    (folder / "half.png").write_bytes(whole[: len(whole) // 2])


def _move(partial: Path, final: Path) -> None:
    final.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(final, ignore_errors=True)
    partial.rename(final)
