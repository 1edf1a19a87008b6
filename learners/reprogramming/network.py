"""The frozen network: which convolutions get kernels behind them, and how a task's tensors take their places in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from curate.errors import ConfigurationError
from curate.learners.encoders.weights import hash_of_state

Tensors = Mapping[str, torch.Tensor]
_AFFINE, _STATISTICS = ("weight", "bias"), ("running_mean", "running_var")


class ReprogrammedConvolution(nn.Module):
    """A convolution with a 3 by 3 kernel behind each of its channels; an identity until the kernels are taught."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution
        self.kernel = nn.Parameter(torch.zeros(convolution.out_channels, 1, 3, 3))
        with torch.no_grad():
            self.kernel[:, 0, 1, 1] = 1.0

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """Return what the convolution makes of its input, each channel through its kernel."""
        made = self.convolution(given)
        return nn.functional.conv2d(made, self.kernel, padding=1, groups=self.convolution.out_channels)


def spatial_convolutions(module: nn.Module) -> tuple[str, ...]:
    """Name the convolutions that the paper reprograms by default: all but those of 1 by 1."""
    return tuple(name for name in all_convolutions(module) if _convolution(module, name).kernel_size != (1, 1))


def all_convolutions(module: nn.Module) -> tuple[str, ...]:
    """Name every convolution: the paper's CLR-Full."""
    return tuple(name for name, part in module.named_modules() if isinstance(part, nn.Conv2d))


class FrozenNetwork:
    """Any network that turns images into features (items, width), with room for kernels behind chosen convolutions.

    `module` is copied and never changed. A task's tensors are handed to each call, and are all that differs between
    tasks: kernels, the affine part and the statistics of every normalisation that follows a chosen convolution's place.
    No call can meet the kernels of one task and the statistics of another: calls from several threads take turns, for
    the tensors stand inside the module while it is at work.

    `shape` is that of one image: channels, height, width. `mean` and `deviation` are what its pixels are scaled by, one
    for all channels or one for each.
    `normalisations` are those that are each task's own: all of them, unless named.

    Raises:
        ConfigurationError: a name that is no convolution, or no normalisation, of the network.
    """

    def __init__(
        self,
        module: nn.Module,
        shape: tuple[int, int, int],
        *,
        convolutions: Sequence[str] | None = None,
        normalisations: Sequence[str] | None = None,
        mean: float | Sequence[float] = 0.5,
        deviation: float | Sequence[float] = 0.25,
    ) -> None:
        self.shape = shape
        self._mean, self._deviation = _by_channel(mean), _by_channel(deviation)
        self._turn = Lock()
        self.module = deepcopy(module).eval().requires_grad_(False)
        self.backbone_parameters = sum(part.numel() for part in module.parameters())
        self.identity = f"{hash_of_state(module.state_dict())} {shape} {mean} {deviation}"
        chosen = spatial_convolutions(module) if convolutions is None else tuple(convolutions)
        for name in chosen:
            self.module.set_submodule(name, ReprogrammedConvolution(_convolution(module, name)))
        self.module = self.module.eval().requires_grad_(False)
        known = [name for name, part in self.module.named_modules() if isinstance(part, nn.BatchNorm2d)]
        own = known if normalisations is None else list(normalisations)
        if unknown := sorted(set(own) - set(known)):
            raise ConfigurationError(f"the network has no batch normalisation {unknown[0]!r}")
        self.identity += f" {chosen} {tuple(own)}"
        self.kernel_names = tuple(f"{name}.kernel" for name in chosen)
        self.affine_names = tuple(f"{name}.{part}" for name in own for part in _AFFINE)
        self.statistics_names = tuple(f"{name}.{part}" for name in own for part in _STATISTICS)

    @property
    def dimension(self) -> int:
        """How many numbers an image is given as: its pixels, channel by channel, row by row."""
        channels, height, width = self.shape
        return channels * height * width

    @cached_property
    def width(self) -> int:
        """How many features come out."""
        with torch.inference_mode():
            return int(self.module(torch.zeros(1, *self.shape)).shape[1])

    def at_start(self) -> dict[str, torch.Tensor]:
        """Return copies of the tensors with which a task begins: with them the network is what it was."""
        state = self.module.state_dict()
        names = (*self.kernel_names, *self.affine_names, *self.statistics_names)
        return {name: state[name].detach().clone() for name in names}

    def images(self, pixels: Any) -> torch.Tensor:
        """Return pixels in [0, 1], of shape (items, dimension), as the images that the network takes."""
        given = torch.as_tensor(pixels, dtype=torch.float32).reshape(-1, *self.shape)
        return ((given - self._mean) / self._deviation).contiguous(memory_format=torch.channels_last)

    def features(self, tensors: Tensors, images: torch.Tensor, module: nn.Module | None = None) -> torch.Tensor:
        """Return the features of images under a task's tensors; a `module` of one's own has to wait for nobody."""
        if module is not None:
            return _called(module, tensors, images)
        with self._turn:
            return _called(self.module, tensors, images)

    def for_teaching(self) -> tuple[nn.Module, Callable[[bool], None]]:
        """Return a copy for teaching, and what lets its own normalisations use their batch's statistics, or not.

        Dropout and all else stay as they are when the network is asked.
        """
        module = deepcopy(self.module)
        own = [module.get_submodule(name.rpartition(".")[0]) for name in self.statistics_names[::2]]

        def follow_batch(follow: bool) -> None:
            for part in own:
                part.train(follow)

        return module, follow_batch


@dataclass(frozen=True, slots=True)
class Cost:
    """What a task adds, in numbers of four bytes each, beside the network's own parameters without a head.

    The paper's "less than 0.6 % a task" counts kernels, affine parts and statistics, and leaves the head out.
    """

    kernels: int
    affine: int
    statistics: int
    head: int
    backbone: int

    def ways(self) -> dict[str, int]:
        """Return the four ways of counting."""
        normalised = self.kernels + self.affine
        return {
            "kernels": self.kernels,
            "kernels, affine": normalised,
            "kernels, affine, statistics": normalised + self.statistics,
            "with the head": normalised + self.statistics + self.head,
        }

    def shares(self) -> dict[str, float]:
        """Return the same as shares of the network."""
        return {way: count / self.backbone for way, count in self.ways().items()}

    def bytes(self) -> dict[str, int]:
        """Return the same in bytes."""
        return {way: 4 * count for way, count in self.ways().items()}


def cost_of(network: FrozenNetwork, classes: int) -> Cost:
    """Count what a task with this many classes adds to a network."""
    start = network.at_start()

    def count(names: Sequence[str]) -> int:
        return sum(start[name].numel() for name in names)

    return Cost(
        count(network.kernel_names),
        count(network.affine_names),
        count(network.statistics_names),
        classes * (network.width + 1),
        network.backbone_parameters,
    )


def _called(module: nn.Module, tensors: Tensors, images: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = functional_call(module, dict(tensors), (images,))
    return found


def _by_channel(value: float | Sequence[float]) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float32).reshape(-1, 1, 1)


def _convolution(module: nn.Module, name: str) -> nn.Conv2d:
    try:
        part = module.get_submodule(name)
    except AttributeError:
        part = None
    if not isinstance(part, nn.Conv2d):
        raise ConfigurationError(f"the network has no convolution {name!r}", hint="all_convolutions(module) names them")
    return part
