"""Images shown to a chat model, against the fake server: it sees no image, and answers by what it was sent."""

from __future__ import annotations

import io
from base64 import b64decode
from hashlib import sha256
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from curate.annotate.checks import check_annotator
from curate.annotate.llm.annotator import Calls, LanguageModelAnnotator, Prompt
from curate.annotate.llm.examples import Example
from curate.annotate.llm.pictures import IMAGE_TOKENS, sized
from curate.annotate.llm.service import Service
from curate.annotate.llm.spending import Spending
from curate.annotate.protocol import Protocol
from curate.errors import ConfigurationError

UNUSED = "http://127.0.0.1:9/v1"


def encoded(width: int, height: int, kind: str = "PNG", mode: str = "RGB", **more: Any) -> bytes:
    channels = {"RGB": 3, "RGBA": 4}[mode]
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, channels), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels, mode).save(buffer, kind, **more)
    return buffer.getvalue()


SMALL, LARGE = encoded(30, 20), encoded(200, 100, "JPEG")


def shown(*content: str | bytes | None) -> pa.Table:
    texts = [one if isinstance(one, str) else None for one in content]
    images = [one if isinstance(one, bytes) else None for one in content]
    ids = [f"i{place}" for place in range(len(content))]
    return pa.table({"item_id": ids, "text": pa.array(texts, pa.string()), "image": pa.array(images, pa.binary())})


ITEMS = shown(SMALL, "a text", None, LARGE)


def annotator(protocol: Protocol, address: str, cache: Any, **changes: Any) -> LanguageModelAnnotator:
    service = Service(address, "tiny", timeout=5.0, attempts=2, first_wait=0.0, concurrency=2)
    calls = Calls(service, cache, changes.pop("spending", None))
    return LanguageModelAnnotator("model", protocol, calls, Prompt(**{"modalities": ("image",), **changes}))


def sent(payload: dict[str, Any]) -> tuple[str, bytes]:
    [part] = payload["messages"][-1]["content"]
    kind, _, content = part["image_url"]["url"].removeprefix("data:").partition(";base64,")
    return kind, b64decode(content)


def test_it_keeps_the_promises_of_annotators(fake_module: ModuleType, cache: Any, protocol: Protocol) -> None:
    with fake_module.FakeLanguageModelServer() as server:
        one = annotator(protocol, server.address, cache, modalities=("text", "image"))
        said = check_annotator(one, ITEMS, protocol)
    assert {claim.item_id for claim in said.claims} == {"i0", "i1", "i3"}
    assert not said.failures
    assert len(server.payloads) == len(cache.kept) == 3


def test_a_model_sees_images_and_the_cache_holds_none(fake_module: ModuleType, cache: Any, protocol: Protocol) -> None:
    with fake_module.FakeLanguageModelServer() as server:
        said = annotator(protocol, server.address, cache, image_side=64).annotate(ITEMS)
    assert {claim.item_id for claim in said.claims} == {"i0", "i3"}
    kinds = dict(sent(payload) for payload in server.payloads)
    assert kinds["image/png"] == SMALL  # small enough: as it is
    with Image.open(io.BytesIO(kinds["image/jpeg"])) as image:
        assert image.size == (64, 32)
    kept = [request.payload["messages"][-1]["content"] for request in cache.requests]
    assert sorted(part["image_url"]["url"] for [part] in kept) == sorted(
        f"sha256:{sha256(image).hexdigest()}@64" for image in (SMALL, LARGE)
    )
    assert annotator(protocol, UNUSED, cache, image_side=64).annotate(ITEMS) == said


def test_an_image_that_does_not_decode_costs_nothing_but_itself(
    fake_module: ModuleType, cache: Any, protocol: Protocol
) -> None:
    with fake_module.FakeLanguageModelServer() as server:
        said = annotator(protocol, server.address, cache).annotate(shown(b"broken", SMALL, SMALL[:200], b""))
    assert {claim.item_id for claim in said.claims} == {"i1"}
    assert [failure.item_id for failure in said.failures] == ["i0", "i2", "i3"]
    assert all("does not decode" in failure.reason for failure in said.failures)
    assert len(server.payloads) == 1


def test_images_are_counted_in_plan_and_ceiling(fake_module: ModuleType, cache: Any, protocol: Protocol) -> None:
    one = annotator(protocol, UNUSED, cache)
    words = annotator(protocol, UNUSED, cache, modalities=("text",)).plan(shown("a")).prompt_tokens
    assert IMAGE_TOKENS < one.plan(shown(SMALL)).prompt_tokens < IMAGE_TOKENS + 2 * words
    assert one.plan(ITEMS).items == 2
    assert one.estimate(10).prompt_tokens >= 10 * IMAGE_TOKENS
    half = annotator(protocol, UNUSED, cache, image_side=384).plan(shown(SMALL)).prompt_tokens
    assert half < one.plan(shown(SMALL)).prompt_tokens - IMAGE_TOKENS // 2
    poor = Spending(1.0, 0.0, left=IMAGE_TOKENS / 1e6)
    with fake_module.FakeLanguageModelServer() as server:
        said = annotator(protocol, server.address, cache, spending=poor).annotate(shown(SMALL))
    assert (list(said.left), server.payloads) == (["i0"], [])


def test_versions_change_with_what_is_shown_and_not_for_texts(cache: Any, protocol: Protocol) -> None:
    def version(**changes: Any) -> str:
        return annotator(protocol, UNUSED, cache, **changes).version

    plain = LanguageModelAnnotator("model", protocol, Calls(Service(UNUSED, "tiny"), cache)).version
    assert version(modalities=("text",)) == version(modalities=("text",), image_side=64) == plain
    others = [version(), version(image_side=64), version(modalities=("text", "image")), plain]
    assert len(set(others)) == len(others)
    assert version(modalities=("image", "text")) == others[2]


def test_only_chat_models_are_shown_images(cache: Any, protocol: Protocol) -> None:
    examples = [Example("import os", {"kind": "python"})]
    with pytest.raises(ConfigurationError, match="only chat models"):
        annotator(protocol, UNUSED, cache, mode="completion", examples=examples)


@pytest.mark.parametrize(
    ("image", "kind", "size"),
    [
        (encoded(30, 20, "WEBP"), "image/webp", (30, 20)),
        (encoded(30, 20, "BMP"), "image/jpeg", (30, 20)),
        (encoded(30, 20, mode="RGBA"), "image/png", (30, 20)),
        (encoded(100, 300), "image/jpeg", (33, 100)),
        (encoded(200, 50, mode="RGBA"), "image/jpeg", (100, 25)),
    ],
)
def test_images_are_sent_small_and_in_a_known_format(image: bytes, kind: str, size: tuple[int, int]) -> None:
    found, content = sized(image, 100)
    assert found == kind
    assert (content == image) == (found != "image/jpeg")
    with Image.open(io.BytesIO(content)) as opened:
        assert opened.size == size


def test_an_orientation_tag_is_applied_and_transparency_laid_over_white() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    _, content = sized(encoded(40, 20, "JPEG", exif=exif), 100)
    with Image.open(io.BytesIO(content)) as opened:
        assert opened.size == (20, 40)
    buffer = io.BytesIO()
    Image.new("RGBA", (200, 200), (0, 0, 0, 0)).save(buffer, "PNG")
    _, content = sized(buffer.getvalue(), 100)
    with Image.open(io.BytesIO(content)) as opened:
        assert opened.getpixel((50, 50)) == (255, 255, 255)
