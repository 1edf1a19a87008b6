"""A method's configuration in `peft` for one network, one task and one length of fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from torch import nn

from curate.errors import ConfigurationError, UnknownNameError
from curate.learners.adapters.extra import needing_peft
from curate.learners.adapters.methods import Method, Targets
from curate.learners.adapters.tasks import Task

_ALONE = 0.1
_SETTLED = 0.3


_HEADS = ("classifier", "score", "head", "fc")


def configuration(
    method: Method,
    network: nn.Module,
    task: Task,
    *,
    steps: int,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
) -> Any:
    """Return the `peft` configuration of a method; `options` go before the method's own.

    Raises:
        MissingExtraError: the packages of the extra `peft` are not installed.
        UnknownNameError: an option that the method does not have.
        ConfigurationError: options that do not fit together, or virtual tokens before a text to be classified.
    """
    with needing_peft(f"the method {method.name!r}"):
        import peft
    if method.virtual and task is not Task.CAUSAL:
        raise ConfigurationError(
            f"the method {method.name!r} cannot be fitted to a classifier",
            hint="peft 0.21 cannot switch virtual tokens off there; take another method, such as lora",
        )
    kind = getattr(peft, method.kind)
    known = {field.name for field in fields(kind)}
    for name in options or {}:
        if name not in known:
            raise UnknownNameError(f"option of the method {method.name!r}", name, known)
    own = {**_targets(method, network), **_drawn(known, seed), **_budget(method, steps), **method.options}
    own |= _for_images(method, network) if task is Task.IMAGES else {"task_type": task.value}
    try:
        return kind(**{**own, **(options or {})})
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"the options of the method {method.name!r} do not fit: {error}") from error


def _targets(method: Method, network: nn.Module) -> dict[str, Any]:
    if method.targets is Targets.LINEAR:
        return {"target_modules": "all-linear"}
    if method.targets is Targets.NORMS:
        return {"target_modules": [name for name, part in network.named_modules() if _is_norm(part)]}
    return {}


def _for_images(method: Method, network: nn.Module) -> dict[str, Any]:
    """What `peft` does by itself for classifiers of text: the head is trained whole, and gets no adapter."""
    heads = [name for name in _HEADS if hasattr(network, name)]
    if not heads:
        raise ConfigurationError(f"the network has no head by one of the names {', '.join(_HEADS)}")
    if method.targets is not Targets.LINEAR:
        return {"modules_to_save": heads}
    layers = [name for name, part in network.named_modules() if isinstance(part, nn.Linear)]
    inner = [name for name in layers if name.partition(".")[0] not in heads]
    return {"modules_to_save": heads, "target_modules": inner}


def _is_norm(part: nn.Module) -> bool:
    return "norm" in type(part).__name__.lower() and not list(part.children())


def _drawn(known: set[str], seed: int) -> dict[str, int]:
    """Seeds of their own that some methods keep beside torch's."""
    return {name: seed for name in ("projection_prng_key", "random_seed") if name in known}


def _budget(method: Method, steps: int) -> dict[str, int]:
    """AdaLoRA's steps: it takes ranks away after the first tenth, and leaves them alone in the last three tenths."""
    if method.kind != "AdaLoraConfig":
        return {}
    return {"total_step": steps, "tinit": int(_ALONE * steps), "tfinal": int(_SETTLED * steps)}
