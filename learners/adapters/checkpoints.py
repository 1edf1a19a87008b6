"""A folder of checkpoints: each whole or not there, the last few kept."""

from __future__ import annotations

import os
from pathlib import Path

from curate.errors import StoreError

_NAME = "step-{:08d}.safetensors"


class CheckpointFolder:
    """Checkpoints of one fit by their steps. Nothing in them is a pickle; `curate.learners.state_file` reads them."""

    def __init__(self, folder: Path, *, kept: int) -> None:
        self.folder = folder
        self._kept = kept

    def steps(self) -> list[int]:
        """Return the steps that have a checkpoint, in order."""
        return sorted(int(path.stem.removeprefix("step-")) for path in self.folder.glob("step-*.safetensors"))

    def path(self, step: int) -> Path:
        """Return where a step's checkpoint is, or would be."""
        return self.folder / _NAME.format(step)

    @property
    def newest(self) -> Path | None:
        """The last checkpoint, if there is one."""
        steps = self.steps()
        return self.path(steps[-1]) if steps else None

    def write(self, step: int, state: bytes) -> Path:
        """Write a checkpoint, and remove those that are not kept; a full disk leaves the older ones as they were.

        Raises:
            StoreError: the checkpoint cannot be written.
        """
        target = self.path(step)
        half = target.with_suffix(".half")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _write_down(half, state)
            half.replace(target)
        except OSError as error:
            half.unlink(missing_ok=True)
            newest = self.newest
            raise StoreError(
                f"the checkpoint of step {step} cannot be written: {error}",
                hint="make room and run it again: it goes on from the last checkpoint",
                unchanged=f"the checkpoint {newest}" if newest else "",
            ) from error
        for older in self.steps()[: -self._kept]:
            self.path(older).unlink()
        return target


def _write_down(path: Path, content: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
