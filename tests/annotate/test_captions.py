"""Captions as claims, over a fake captioner that says how many bytes an image has."""

from collections.abc import Sequence

import pyarrow as pa
import pytest

from curate.annotate.captions import CaptionAnnotator
from curate.errors import BadDataError
from curate.types import Annotator, Claim


class FakeCaptioner:
    """Counts bytes, is as sure as there are tenths, says nothing about one byte, and does not decode none."""

    version = "fake-captions/1"

    def __init__(self) -> None:
        self.asked: list[int] = []

    def captions(self, items: pa.Table) -> Sequence[tuple[str, float]]:
        self.asked.append(len(items))
        for item_id, image in zip(items["item_id"].to_pylist(), items["image"].to_pylist(), strict=True):
            if not image:
                raise BadDataError(f"the image of item {item_id} does not decode")
        sizes = [len(image) for image in items["image"].to_pylist()]
        return [(f"{size} bytes" if size > 1 else "", size / 10) for size in sizes]


def pictures(*images: bytes | None) -> pa.Table:
    return pa.table({"item_id": [f"i{place}" for place in range(len(images))], "image": pa.array(images, pa.binary())})


def test_captions_are_claims_in_item_order() -> None:
    annotator = CaptionAnnotator("teller", FakeCaptioner(), attribute="told")
    assert isinstance(annotator, Annotator)
    said = annotator.annotate(pictures(b"1234", None, b"1", b"12"))
    assert said.claims == [Claim("i0", "told", "4 bytes", 0.4), Claim("i3", "told", "2 bytes", 0.2)]
    assert said.failures == []


def test_an_image_that_does_not_decode_costs_no_other() -> None:
    captioner = FakeCaptioner()
    said = CaptionAnnotator("teller", captioner).annotate(pictures(b"1234", b"", b"12"))
    assert [claim.item_id for claim in said.claims] == ["i0", "i2"]
    assert [(failure.item_id, failure.reason) for failure in said.failures] == [
        ("i1", "the image of item i1 does not decode")
    ]
    assert captioner.asked == [3, 1, 1, 1]


def test_what_is_not_sure_enough_is_not_claimed() -> None:
    said = CaptionAnnotator("teller", FakeCaptioner(), least=0.3).annotate(pictures(b"1234", b"12"))
    assert [claim.item_id for claim in said.claims] == ["i0"]


@pytest.mark.parametrize("items", [pictures(), pictures(None), pa.table({"item_id": ["a"], "text": ["b"]})])
def test_without_images_nobody_is_asked(items: pa.Table) -> None:
    captioner = FakeCaptioner()
    assert CaptionAnnotator("teller", captioner).annotate(items).claims == []
    assert captioner.asked == []


def test_the_version_changes_with_captioner_and_threshold() -> None:
    class Other(FakeCaptioner):
        version = "fake-captions/2"

    versions = {
        CaptionAnnotator("teller", FakeCaptioner()).version,
        CaptionAnnotator("teller", Other()).version,
        CaptionAnnotator("teller", FakeCaptioner(), least=0.3).version,
    }
    assert len(versions) == 3
