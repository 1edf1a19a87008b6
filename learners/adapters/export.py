"""Export in the layout of `peft`, which loads it with nothing of ours."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from curate.errors import ConfigurationError, StoreError, UsageError
from curate.learners.adapters.base_models import BaseModel
from curate.learners.adapters.trainer import FittedAdapter


def export_adapter(fitted: FittedAdapter | Any, folder: Path) -> Path:
    """Write `adapter_config.json` and `adapter_model.safetensors` into a new folder: all of it, or none.

    `peft.PeftModel.from_pretrained(network, folder)` loads it.

    Raises:
        UsageError: the folder is there already and is not empty.
        StoreError: it cannot be written.
    """
    model = fitted.model if isinstance(fitted, FittedAdapter) else fitted

    def save(half: Path) -> None:
        model.save_pretrained(half, safe_serialization=True)

    return _whole(folder, save)


def merge_adapter(model: Any, folder: Path, base: BaseModel) -> Path:
    """Work an adapter into the weights of its network, and write that as transformers keeps it: all of it, or none.

    The network is changed by it. What lies beside the base model and is no weight (tokenizer, preprocessor) goes along.

    Raises:
        UsageError: the folder is there already and is not empty.
        ConfigurationError: the adapter cannot be merged.
        StoreError: it cannot be written.
    """
    method = model.peft_config[model.active_adapter].peft_type.value
    if not hasattr(model, "merge_and_unload"):
        raise ConfigurationError(
            f"an adapter of the kind {method} is no part of the weights, so it cannot be merged",
            hint="curate models export, and load it with peft",
        )

    def save(half: Path) -> None:
        model.merge_and_unload(safe_merge=True).save_pretrained(half, safe_serialization=True)
        if base.place.is_file():  # a GGUF file holds its tokenizer
            base.tokenizer().save_pretrained(half)
        for path in base.beside:
            if not (half / path.name).exists():
                shutil.copyfile(path, half / path.name)

    try:
        return _whole(folder, save)
    except (NotImplementedError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"an adapter of the kind {method} cannot be merged: {error}",
            hint="curate models export, and load it with peft",
        ) from error


def _whole(folder: Path, save: Callable[[Path], None]) -> Path:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already and is not empty", hint="name a new folder", unchanged=str(folder))
    half = folder.with_name(f".{folder.name}.half")
    shutil.rmtree(half, ignore_errors=True)
    try:
        save(half)
        half.replace(folder)
    except OSError as error:
        raise StoreError(f"the adapter cannot be written to {folder}: {error}", unchanged="the checkpoint") from error
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return folder
