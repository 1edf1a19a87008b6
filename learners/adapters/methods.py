"""The methods of parameter-efficient fine-tuning by name: what each adds to a frozen network, and its own defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from curate.errors import UnknownNameError


class Family(StrEnum):
    """The taxonomy of Han et al., 2024 (arXiv 2403.14608)."""

    ADDITIVE = "additive"
    SELECTIVE = "selective"
    REPARAMETERISED = "reparameterised"


class Targets(StrEnum):
    """Which layers of the network a method changes."""

    LINEAR = "linear"
    """Every linear layer but the last, which turns states into words or classes."""
    NORMS = "norms"
    """Every normalisation."""
    KNOWN = "known"
    """What `peft` knows of the network's architecture."""
    NONE = "none"
    """None: virtual tokens stand before the text."""


@dataclass(frozen=True, slots=True)
class Method:
    """A method as `peft` knows it, with a learning rate of its own.

    One rate for all makes any ranking meaningless: what suits LoRA leaves IA3 and VeRA where they were. `options` are
    fields of the configuration class `kind` in `peft`.
    """

    name: str
    kind: str
    family: Family
    learning_rate: float
    options: Mapping[str, Any] = field(default_factory=dict)
    targets: Targets = Targets.LINEAR

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", MappingProxyType(dict(self.options)))

    @property
    def virtual(self) -> bool:
        """Whether the method puts virtual tokens before a text, and so needs a text of its own in each row."""
        return self.targets is Targets.NONE


def method_named(name: str) -> Method:
    """Return the method of this name.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in METHODS:
        raise UnknownNameError("method of fine-tuning", name, METHODS)
    return METHODS[name]


def _reparameterised(name: str, kind: str, learning_rate: float, **options: Any) -> Method:
    return Method(name, kind, Family.REPARAMETERISED, learning_rate, options)


def _virtual(name: str, kind: str, learning_rate: float, **options: Any) -> Method:
    options = {"num_virtual_tokens": 16, **options}
    return Method(name, kind, Family.ADDITIVE, learning_rate, options, Targets.NONE)


_ALL = (
    _reparameterised("lora", "LoraConfig", 1e-3, r=16, lora_alpha=32),
    _reparameterised("rslora", "LoraConfig", 1e-3, r=64, lora_alpha=16, use_rslora=True),
    _reparameterised("dora", "LoraConfig", 1e-3, r=16, lora_alpha=32, use_dora=True),
    _reparameterised("adalora", "AdaLoraConfig", 3e-3, init_r=24, target_r=16, lora_alpha=32),
    _reparameterised("vera", "VeraConfig", 1e-2, r=256),
    _reparameterised("randlora", "RandLoraConfig", 3e-3, r=32),
    _reparameterised("hira", "HiraConfig", 3e-3, r=32),
    _reparameterised("delora", "DeloraConfig", 3e-3, r=16),
    _reparameterised("lily", "LilyConfig", 1e-3, r=32),
    _reparameterised("loha", "LoHaConfig", 3e-3, r=16, alpha=16),
    _reparameterised("lokr", "LoKrConfig", 3e-3, r=16, alpha=16),
    _reparameterised("miss", "MissConfig", 1e-3, r=16),
    _reparameterised("oft", "OFTConfig", 1e-3, oft_block_size=32),
    _reparameterised("boft", "BOFTConfig", 3e-3, boft_block_size=4),
    _reparameterised("hra", "HRAConfig", 1e-3, r=8),
    Method("ia3", "IA3Config", Family.ADDITIVE, 1e-2, targets=Targets.KNOWN),
    Method("shira", "ShiraConfig", Family.SELECTIVE, 1e-3, {"r": 16}),
    Method("ln-tuning", "LNTuningConfig", Family.SELECTIVE, 1e-3, targets=Targets.NORMS),
    _virtual("prompt", "PromptTuningConfig", 1e-2, prompt_tuning_init="SAMPLE_VOCAB"),
    _virtual("prefix", "PrefixTuningConfig", 1e-2, init_weights="zero"),
    _virtual("p-tuning", "PromptEncoderConfig", 1e-3, encoder_hidden_size=256),
)
METHODS: Mapping[str, Method] = MappingProxyType({method.name: method for method in _ALL})
