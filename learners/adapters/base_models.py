"""Base models of this machine: a folder as transformers keeps it, or a GGUF file; tensors only, no foreign code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.errors import ConfigurationError
from curate.learners.adapters.extra import needing_peft
from curate.learners.adapters.tasks import Task
from curate.learners.encoders.weights import device, hash_of_files

GGUF = ".gguf"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_BESIDE = ("*.json", "*.model", "*.txt", "*.jinja")
_KINDS = {
    Task.CAUSAL: "AutoModelForCausalLM",
    Task.CLASSIFY: "AutoModelForSequenceClassification",
    Task.IMAGES: "AutoModelForImageClassification",
}


@dataclass(frozen=True, slots=True)
class BaseModel:
    """Where a base model lies, and a hash of all its files that can change what it says."""

    place: Path
    version: str

    @classmethod
    def at(cls, place: Path) -> BaseModel:
        """Look at a folder or a GGUF file without loading it.

        Raises:
            ConfigurationError: there is no base model, or one whose weights are pickles, which run code when loaded.
        """
        if place.is_file() and place.suffix == GGUF:
            return cls(place, hash_of_files(place))
        if not (place / "config.json").is_file():
            raise ConfigurationError(
                f"there is no base model at {place}",
                hint="name a folder with config.json and model.safetensors, or a .gguf file",
            )
        weights = sorted(place.glob("*.safetensors"))
        if not weights:
            raise _without_weights(place)
        return cls(place, hash_of_files(*_beside(place), *weights))

    def network(self, task: Task, classes: Sequence[str] = (), seed: int = 0) -> Any:
        """Load the network in float32, on the GPU if there is one; a head for other `classes` is drawn with the seed.

        Raises:
            MissingExtraError: the packages of the extra `peft` are not installed.
            ConfigurationError: transformers cannot load it for this task.
        """
        with needing_peft("loading a base model"):
            import torch
            import transformers
        more: dict[str, Any] = {"use_safetensors": True} if self.place.is_dir() else {}
        if task is not Task.CAUSAL:
            names = dict(enumerate(classes))
            more |= {"id2label": names, "label2id": {name: row for row, name in names.items()}}
            more |= {"num_labels": len(classes), "ignore_mismatched_sizes": True}
        kind = getattr(transformers, _KINDS[task])
        with self._loading(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = kind.from_pretrained(**self._source(), dtype=torch.float32, **more)
        if self.place.is_file():
            _call_dequantized(network)
        return network.eval().to(device())

    def tokenizer(self) -> Any:
        """Load the tokenizer.

        Raises:
            MissingExtraError: the packages of the extra `peft` are not installed.
            ConfigurationError: there is none.
        """
        with needing_peft("loading a tokenizer"):
            from transformers import AutoTokenizer
        with self._loading():
            return AutoTokenizer.from_pretrained(**self._source())

    @property
    def beside(self) -> list[Path]:
        """The files beside a folder's weights, such as tokenizer and preprocessor; none beside a GGUF file."""
        return _beside(self.place) if self.place.is_dir() else []

    def known_classes(self) -> tuple[str, ...]:
        """Return the classes that the base model tells apart already, in its order; none for other models."""
        with needing_peft("loading a base model"):
            from transformers import AutoConfig
        with self._loading():
            found = AutoConfig.from_pretrained(**self._source())
        classifies = any("ForSequenceClassification" in each or "ForImageClassification" in each
                         for each in found.architectures or ())  # fmt: skip
        return tuple(found.id2label[row] for row in sorted(found.id2label)) if classifies else ()

    def _source(self) -> dict[str, Any]:
        # Without a word on foreign code transformers would ask on the terminal whether to run it.
        always = {"local_files_only": True, "trust_remote_code": False}
        if self.place.is_dir():
            return {"pretrained_model_name_or_path": str(self.place), **always}
        return {"pretrained_model_name_or_path": str(self.place.parent), "gguf_file": self.place.name, **always}

    @contextmanager
    def _loading(self) -> Iterator[None]:
        """Keep transformers quiet, and say in our words what it objects to."""
        from safetensors import SafetensorError
        from transformers.utils import logging

        verbosity = logging.get_verbosity()
        logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            yield
        except ImportError as error:
            missing = f"loading {self.place} needs more: {_first_line(error)}"
            raise ConfigurationError(missing, hint="pip install 'curate[peft]'") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
            raise ConfigurationError(
                f"the base model {self.place} cannot be loaded: {_first_line(error)}",
                hint="try it with transformers itself; code of its own is never run",
            ) from error
        finally:
            logging.set_verbosity(verbosity)
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _beside(place: Path) -> list[Path]:
    return sorted({path for pattern in _BESIDE for path in place.glob(pattern)})


def _call_dequantized(network: Any) -> None:
    """Let transformers save a network that it has read from a GGUF file: its weights are plain numbers by now."""
    network.hf_quantizer = None
    if hasattr(network.config, "quantization_config"):
        del network.config.quantization_config


def _without_weights(place: Path) -> ConfigurationError:
    pickles = sorted(path.name for pattern in _PICKLES for path in place.glob(pattern))
    if not pickles:
        return ConfigurationError(f"the base model {place} has no weights", hint="put its model.safetensors there")
    return ConfigurationError(
        f"the weights of the base model {place} are pickles ({', '.join(pickles)}), and loading a pickle runs code",
        unchanged="nothing of it was loaded",
        hint="take its safetensors, or convert it where you trust it: save_pretrained(…) of transformers",
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
