"""Networks to reprogram: EfficientNet-Lite0 with ImageNet weights, and a residual net that is taught on the spot."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import numpy as np
import torch
from torch import nn

from curate.learners.encoders.timm_models import lite0_with_head
from curate.learners.encoders.weights import needing_encoders
from curate.learners.numerics import Features, shuffled_batches
from curate.learners.reprogramming.network import FrozenNetwork

_BATCH = 64
_DECAY = 5e-4


def efficientnet_lite0(pixels: int = 224) -> FrozenNetwork:
    """Return EfficientNet-Lite0 with kernels behind what ends each block, and the normalisations there as a task's own.

    After the paper's rule, behind every convolution but those of 1 by 1, a task would add 4.8 % to it, for most of its
    parameters are per channel already; so placed, it is 0.7 % of its 3.4 million parameters without the head.

    Raises:
        MissingExtraError: the packages of the extra `encoders` are not installed.
    """
    module = lite0_with_head()
    module.reset_classifier(0)
    last = [name for name, part in module.named_modules() if name.endswith("conv_pwl") and isinstance(part, nn.Conv2d)]
    chosen = ["conv_stem", "blocks.0.0.conv_pw", *last]
    own = ["bn1", "blocks.0.0.bn2", *(name.replace("conv_pwl", "bn3") for name in last)]
    shape = (3, pixels, pixels)
    return FrozenNetwork(module, shape, convolutions=chosen, normalisations=own, mean=0.5, deviation=0.5)


def residual_network(classes: int) -> nn.Module:
    """Return an untaught residual network for small images: ten layers with weights, 4.9 million parameters.

    Source: He et al., CVPR 2016; the first convolution is 3 by 3 without a stride, as is usual for 32 by 32 pixels.

    Raises:
        MissingExtraError: the packages of the extra `encoders` are not installed.
    """
    with needing_encoders("residual network"):
        from timm.models.resnet import BasicBlock, ResNet
    module: nn.Module = ResNet(BasicBlock, (1, 1, 1, 1), num_classes=classes)  # type: ignore[arg-type]
    module.set_submodule("conv1", nn.Conv2d(3, 64, 3, padding=1, bias=False))
    return module


def taught_residual_network(
    pixels: Features, labels: Sequence[str], *, side: int, passes: int = 15, rate: float = 0.05, seed: int = 0
) -> nn.Module:
    """Teach a residual network images of `side` by `side` pixels; `frozen_residual_network` freezes it then.

    `pixels` are in [0, 1], three colours: (items, 3 * side * side). Half of the images are mirrored in each pass, and
    all are moved by up to two pixels. Descent with momentum, the rate going down with a cosine. Costs a forward and a
    backward pass of each item and pass.

    Raises:
        MissingExtraError: the packages of the extra `encoders` are not installed.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = residual_network(len(set(labels)))
    generator = np.random.default_rng(seed)
    images = FrozenNetwork(module, (3, side, side)).images(pixels)
    targets = torch.from_numpy(np.unique(np.array(labels), return_inverse=True)[1])
    optimiser = torch.optim.SGD(module.parameters(), rate, momentum=0.9, weight_decay=_DECAY, nesterov=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, passes * -(-len(images) // _BATCH))
    module.train()
    for _ in range(passes):
        for batch in shuffled_batches(len(images), _BATCH, generator):
            optimiser.zero_grad()
            shown = _varied(images[torch.from_numpy(batch)], generator)
            loss = nn.functional.cross_entropy(module(shown), targets[torch.from_numpy(batch)])
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    return module.eval()


def frozen_residual_network(module: nn.Module, side: int) -> FrozenNetwork:
    """Freeze a copy of a residual network, without its head."""
    module = deepcopy(module)
    module.reset_classifier(0)  # type: ignore[operator]
    return FrozenNetwork(module, (3, side, side))


def _varied(images: torch.Tensor, generator: np.random.Generator) -> torch.Tensor:
    mirrored = torch.from_numpy(generator.random(len(images)) < 0.5)
    images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    down, right = (int(step) for step in generator.integers(0, 5, 2))
    side = images.shape[2]
    padded = nn.functional.pad(images, (2, 2, 2, 2), mode="reflect")
    return padded[:, :, down : down + side, right : right + side]
