"""A small open_clip model that is trained on the spot: CIFAR-10's pictures with captions of several templates.

It stands in for pretrained weights, which cannot be had without a network. It knows ten words and their templates, so
what it scores says how the annotator uses a model, and nothing of what a pretrained one would score.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.cifar import found_images
from curate.errors import BadDataError

CAPTIONS = (
    "a photo of a {value}.",
    "a blurry photo of a {value}.",
    "a small picture of the {value}.",
    "there is a {value} in the picture.",
    "{value}",
)
"""The templates of the captions that it is trained with."""
CONFIGURATION: Mapping[str, Any] = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "head_width": 64},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "heads": 2, "width": 64, "layers": 1},
}
_MEAN, _DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_BATCH = 64


@dataclass(frozen=True, slots=True)
class Pictures:
    """Encoded images with the name of what each shows."""

    images: Sequence[bytes]
    names: Sequence[str]

    def first(self, count: int) -> Pictures:
        """Return the first of them."""
        return Pictures(self.images[:count], self.names[:count])


def pictures(name: Path) -> Pictures:
    """Return the images of a file beside the checkout.

    Raises:
        BadDataError: it is not there.
    """
    import pyarrow.parquet as parquet

    file = found_images(name)
    if not file.is_file():
        raise BadDataError(f"the images are missing: there is no {file.name} in ../shared/data, beside the checkout")
    table = parquet.read_table(file, columns=["image", "class_name"])
    return Pictures([image["bytes"] for image in table["image"].to_pylist()], table["class_name"].to_pylist())


def trained_clip(folder: Path, shown: Pictures, passes: int, seed: int, note: Callable[[str], None]) -> Path:
    """Train a model on pictures with a random template's caption each, and save it as a local checkpoint.

    The loss is CLIP's, but pictures and captions of one name match each other all over the batch: among ten names the
    others of a batch are no negatives (as in UniCL, Yang et al. 2022).
    """
    import open_clip
    import open_clip.model
    import torch

    torch.manual_seed(seed)
    model: Any = open_clip.model.CLIP(**CONFIGURATION)
    model.token_embedding.weight.requires_grad_(False)  # numbers of chance serve as well, and cost no step
    tokenizer = open_clip.SimpleTokenizer(context_length=16)
    pixels, chance = _pixels(shown.images), random.Random(seed)
    steps = passes * (len(pixels) // _BATCH)
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for number in range(passes):
        order = torch.randperm(len(pixels))
        for start in range(0, len(pixels) - _BATCH + 1, _BATCH):
            places = order[start : start + _BATCH]
            names = [shown.names[place] for place in places.tolist()]
            captions = [chance.choice(CAPTIONS).replace("{value}", name) for name in names]
            loss = _loss(model, _turned(pixels[places]), tokenizer(captions), names)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        note(f"model {seed}: pass {number + 1} of {passes}, loss {loss.item():.3f}")
    return _saved(model, folder)


def _loss(model: Any, pixels: Any, tokens: Any, names: Sequence[str]) -> Any:
    import torch

    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    kinds = torch.tensor([places[name] for name in names])
    match = (kinds[:, None] == kinds[None, :]).float()
    match = match / match.sum(dim=1, keepdim=True)
    images, texts = model.encode_image(pixels, normalize=True), model.encode_text(tokens, normalize=True)
    logits = model.logit_scale.exp().clamp(max=100) * images @ texts.T
    both = (logits, logits.T)
    return sum(torch.nn.functional.cross_entropy(one, match) for one in both) / 2


def _turned(pixels: Any) -> Any:
    """Mirror half of the pictures, and move each batch by up to four pixels."""
    import torch

    mirrored = torch.where(torch.rand(len(pixels), 1, 1, 1) < 0.5, pixels.flip(3), pixels)
    down, right = (int(move) for move in torch.randint(0, 9, (2,)))
    padded = torch.nn.functional.pad(mirrored, (4, 4, 4, 4), mode="reflect")
    return padded[:, :, down : down + 32, right : right + 32]


def _pixels(images: Sequence[bytes]) -> Any:
    import torch
    from PIL import Image

    decoded: NDArray[np.float32] = np.stack(
        [np.asarray(Image.open(BytesIO(image)).convert("RGB"), np.float32) / 255 for image in images]
    )
    scaled = (decoded - np.array(_MEAN, np.float32)) / np.array(_DEVIATION, np.float32)
    return torch.from_numpy(scaled.transpose(0, 3, 1, 2).copy())


def _saved(model: Any, folder: Path) -> Path:
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    told = {"model_cfg": dict(CONFIGURATION), "preprocess_cfg": {"mean": _MEAN, "std": _DEVIATION}}
    (folder / "open_clip_config.json").write_text(json.dumps(told), encoding="utf-8")
    return folder
