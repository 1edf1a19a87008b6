"""Captions by CoCa with weights of chance: what is written is what a pass over the whole caption finds likeliest."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from curate.errors import BadDataError, ConfigurationError
from curate.learners.encoders.captions import CocaCaptioner, _writing
from curate.learners.encoders.clip import ClipSource
from curate.types import Captioner

_GENERATOR = np.random.default_rng(0)
SHOWN = [_GENERATOR.integers(0, 256, (40, 50, 3), np.uint8) for _ in range(20)]
END = 49407


def table(*images: bytes | None) -> pa.Table:
    return pa.table({"item_id": [f"i{row}" for row in range(len(images))], "image": pa.array(images, pa.binary())})


def encoded(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


PICTURES = table(*(encoded(one) for one in SHOWN))


def captioner(folder: Path, tokens: int = 10) -> CocaCaptioner:
    return CocaCaptioner(ClipSource.parse(str(folder), Path()), tokens)


def written(one: CocaCaptioner) -> list[list[int]]:
    """The tokens themselves."""
    writing = _writing(one._source, one.most_tokens)
    batches = [writing.forward(pixels) for _, pixels in one._prepared(PICTURES, one.network())]
    tokens: list[list[int]] = np.concatenate(batches)[:, :, 0].astype(int).tolist()
    return tokens


def test_each_token_is_the_likeliest_after_those_before_it(random_coca: Callable[..., Path]) -> None:
    """Against one pass of open_clip over each whole caption, as it is trained: no decoding of our own in that."""
    import open_clip
    import torch

    folder = random_coca()
    one = captioner(folder)
    tokens = written(one)
    model, transform = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    given = torch.tensor([[tokenizer.sot_token_id, *row] for row in tokens])
    with torch.inference_mode():
        pixels = torch.stack([transform(Image.fromarray(shown)) for shown in SHOWN])
        logs = model(pixels, given)["logits"].log_softmax(dim=2)
    assert logs.argmax(dim=2).tolist() == tokens
    told = one.captions(PICTURES)
    assert [confidence for _, confidence in told] == pytest.approx(
        logs.max(dim=2).values.mean(dim=1).exp().tolist(), rel=1e-4
    )
    assert [text for text, _ in told] == [" ".join(tokenizer.decode(row).split()) for row in tokens]
    assert len({text for text, _ in told}) > 1


def test_a_caption_ends_where_the_model_ends_it(random_coca: Callable[..., Path]) -> None:
    """The end is made a little likelier than a token that some captions hold: there, and only there, they stop."""
    before = written(captioner(random_coca()))
    stop = before[0][3]
    ending = captioner(random_coca(ends=stop))
    expected = [row[: row.index(stop)] if stop in row else row for row in before]
    assert len({len(row) for row in expected}) > 1
    after = written(ending)
    assert [row[: row.index(END)] if END in row else row for row in after] == expected
    assert all(set(row[len(own) :]) <= {END} for row, own in zip(after, expected, strict=True))


def test_nothing_to_say_is_an_empty_caption(random_coca: Callable[..., Path]) -> None:
    first = written(captioner(random_coca()))[0][0]
    told = captioner(random_coca(ends=first)).captions(PICTURES)
    assert told[0][0] == ""
    assert 0 < told[0][1] <= 1


def test_it_writes_no_more_than_the_model_can_read(random_coca: Callable[..., Path]) -> None:
    one = captioner(random_coca(), 500)
    assert isinstance(one, Captioner)
    assert {len(row) for row in written(one)} == {15}
    assert one.captions(table()) == []


def test_the_version_is_that_of_the_weights_and_the_length(random_coca: Callable[..., Path]) -> None:
    versions = [captioner(random_coca(seed), tokens).version for seed, tokens in ((0, 5), (0, 5), (1, 5), (0, 6))]
    assert versions[0] == versions[1]
    assert len(set(versions)) == 3


def test_a_model_that_does_not_caption_is_told(random_clip: Callable[..., Path]) -> None:
    with pytest.raises(ConfigurationError, match=r"does not caption"):
        captioner(random_clip()).captions(PICTURES)


def test_a_picture_that_does_not_decode_is_named(random_coca: Callable[..., Path]) -> None:
    broken: Any = table(encoded(SHOWN[0]), b"broken")
    with pytest.raises(BadDataError, match="item i1"):
        captioner(random_coca()).captions(broken)
