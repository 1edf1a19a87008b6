"""Export in the layout of `peft`, which loads it with nothing of ours."""

from __future__ import annotations

import shutil
from pathlib import Path

from curate.errors import StoreError, UsageError
from curate.learners.adapters.trainer import FittedAdapter


def export_adapter(fitted: FittedAdapter, folder: Path) -> Path:
    """Write `adapter_config.json` and `adapter_model.safetensors` into a new folder: all of it, or none.

    `peft.PeftModel.from_pretrained(network, folder)` loads it.

    Raises:
        UsageError: the folder is there already and is not empty.
        StoreError: it cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already and is not empty", hint="name a new folder", unchanged=str(folder))
    half = folder.with_name(f".{folder.name}.half")
    try:
        shutil.rmtree(half, ignore_errors=True)
        fitted.model.save_pretrained(half, safe_serialization=True)
        half.replace(folder)
    except OSError as error:
        shutil.rmtree(half, ignore_errors=True)
        raise StoreError(f"the adapter cannot be written to {folder}: {error}", unchanged="the checkpoint") from error
    return folder
