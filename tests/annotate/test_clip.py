"""Zero-shot claims about images: a toy space of colours for the logic, and open_clip's own way for the figures."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from curate.annotate.checks import check_annotator
from curate.annotate.clip import TEMPLATES, ClipAnnotator, Towers, value_prompts
from curate.annotate.protocol import Attribute, Protocol
from curate.errors import BadDataError, ConfigurationError, UnknownNameError
from curate.types import Modality

COLOUR = Attribute("colour", "Which colour is it?", ("red", "dark_green", "blue"), {"blue": "As the sky is."})
WARM = Attribute("warm", "Is it a warm colour?", ("red", "blue"))
PROTOCOL = Protocol("demo", "1", (COLOUR, WARM))
WORDS = {"red": (1.0, 0.0, 0.0), "green": (0.0, 1.0, 0.0), "blue": (0.0, 0.0, 1.0), "sky": (0.0, 0.6, 0.8)}


class FakePictureTower:
    """Says the mean colour of a picture, which is bytes of three; no bytes do not decode."""

    version = "fake-pictures/1"
    modalities: tuple[Modality, ...] = ("image",)
    costly = True
    dimension = 3

    def encode(self, items: pa.Table) -> np.ndarray[Any, np.dtype[np.float32]]:
        for item_id, image in zip(items["item_id"].to_pylist(), items["image"].to_pylist(), strict=True):
            if not image:
                raise BadDataError(f"the image of item {item_id} does not decode")
        colours = np.array([list(image) for image in items["image"].to_pylist()], np.float32).reshape(-1, 3)
        return colours / np.linalg.norm(colours, axis=1, keepdims=True)


class FakeTextTower(FakePictureTower):
    """Says which colours a text names, and notes what it read."""

    version = "fake-texts/1"
    modalities: tuple[Modality, ...] = ("text",)

    def __init__(self) -> None:
        self.read: list[str] = []

    def encode(self, items: pa.Table) -> np.ndarray[Any, np.dtype[np.float32]]:
        texts = items["text"].to_pylist()
        self.read += texts
        found = np.array([sum(np.array(at) for word, at in WORDS.items() if word in text) for text in texts])
        return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def pictures(*colours: Sequence[int] | None) -> pa.Table:
    images = pa.array([None if colour is None else bytes(colour) for colour in colours], pa.binary())
    return pa.table({"item_id": [f"i{place}" for place in range(len(colours))], "image": images})


ITEMS = pictures((250, 10, 10), None, (10, 200, 30), (), (10, 20, 200))


def annotator(**options: Any) -> ClipAnnotator:
    return ClipAnnotator("eye", PROTOCOL, Towers(FakePictureTower(), FakeTextTower(), lambda: 20.0), **options)


def test_it_keeps_the_promises_of_annotators_and_is_right() -> None:
    said = check_annotator(annotator(), ITEMS, PROTOCOL)
    assert [(claim.item_id, claim.attribute, claim.value) for claim in said.claims] == [
        ("i0", "colour", "red"), ("i0", "warm", "red"),
        ("i2", "colour", "dark_green"), ("i2", "warm", said.claims[3].value),
        ("i4", "colour", "blue"), ("i4", "warm", "blue"),
    ]  # fmt: skip
    assert [(failure.item_id, "does not decode" in failure.reason) for failure in said.failures] == [("i3", True)]


def test_the_confidence_is_the_softmax_of_scaled_cosines() -> None:
    picture = np.array([3.0, 4.0, 0.0]) / 5
    plain = {"colour": {value: [value] for value in COLOUR.values}}
    asked = annotator(attributes=["colour"], prompts=plain)
    weights = np.exp(20 * np.array([picture[0], picture[1], picture[2]]))
    [claim] = asked.annotate(pictures((30, 40, 0))).claims
    assert claim.value == "dark_green"
    assert claim.confidence == pytest.approx(weights[1] / weights.sum(), rel=1e-6)


def test_a_value_lies_amid_its_prompts() -> None:
    """Two prompts for "blue", a blue and a sky-blue one: its direction is the mean of both, at length 1."""
    own = {"colour": {"red": ["red"], "dark_green": ["green"], "blue": ["blue", "sky"]}}
    asked = annotator(attributes=["colour"], prompts=own)
    middle = np.array([0.0, 0.3, 0.9])
    middle /= np.linalg.norm(middle)
    picture = np.array([[1.0, 2.0, 2.0]], np.float32) / 3
    weights = np.exp(20 * np.array([picture[0, 0], picture[0, 1], picture[0] @ middle]))
    assert asked.probabilities(picture)["colour"][0] == pytest.approx(weights / weights.sum(), rel=1e-5)


def test_prompts_come_from_templates_values_and_descriptions() -> None:
    red, green, blue = value_prompts(COLOUR, TEMPLATES, {"red": ["scarlet", "red"]})
    assert red == ["scarlet", "red"]
    assert green[:2] == ["dark green", "a photo of dark green."]
    assert "blue: As the sky is" in blue
    assert len(blue) == len(TEMPLATES) == len(green) + 2
    odd = Attribute("odd", "?", ("{description}", "b"), {"{description}": "{value}"})
    assert value_prompts(odd, ["{value} is {description}", "{value}"], {})[0] == [
        "{description} is {value}", "{description}"
    ]  # fmt: skip
    with pytest.raises(ConfigurationError, match="no template fits the value 'red'"):
        annotator(templates=["{value}: {description}"])


def test_prompts_are_read_once_and_not_before_a_picture_is_there() -> None:
    texts = FakeTextTower()
    asked = ClipAnnotator("eye", PROTOCOL, Towers(FakePictureTower(), texts, lambda: 20.0), templates=["a {value}"])
    asked.annotate(pictures(None))
    assert texts.read == []
    for _ in range(2):
        asked.annotate(ITEMS)
    assert texts.read == ["a red", "a dark green", "a blue", "a red", "a blue"]


def test_below_the_threshold_it_abstains() -> None:
    grey = pictures((100, 100, 100), (250, 10, 10))
    assert len(annotator().annotate(grey).claims) == 4
    assert {claim.item_id for claim in annotator(least=0.9).annotate(grey).claims} == {"i1"}


def test_items_without_a_picture_column_are_abstained_on() -> None:
    said = annotator().annotate(pa.table({"item_id": ["a"], "text": ["red"]}))
    assert (said.claims, said.failures) == ((), ())


def test_the_version_changes_with_all_that_changes_answers() -> None:
    class OtherPictures(FakePictureTower):
        version = "fake-pictures/2"

    class OtherTexts(FakeTextTower):
        version = "fake-texts/2"

    described = Protocol("demo", "1", (Attribute("colour", "Which?", COLOUR.values, {"blue": "As the sea is."}), WARM))
    towers = Towers(FakePictureTower(), FakeTextTower(), lambda: 20.0)
    others = [
        annotator(),
        annotator(least=0.5),
        annotator(attributes=["colour"]),
        annotator(templates=["a {value}"]),
        annotator(prompts={"colour": {"red": ["scarlet"]}}),
        ClipAnnotator("eye", described, towers),
        ClipAnnotator("eye", PROTOCOL, Towers(OtherPictures(), FakeTextTower(), lambda: 20.0)),
        ClipAnnotator("eye", PROTOCOL, Towers(FakePictureTower(), OtherTexts(), lambda: 20.0)),
    ]
    assert len({one.version for one in others}) == len(others)
    assert annotator().version == annotator().version


def test_what_the_protocol_does_not_have_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="attribute 'color'"):
        annotator(attributes=["color"])
    with pytest.raises(UnknownNameError, match="value 'pink'"):
        annotator(prompts={"colour": {"pink": ["pink"]}})


def test_probabilities_are_those_of_open_clip(random_clip: Callable[..., Path]) -> None:
    """Against open_clip's own zero-shot classifier; the weights are random, and what they say means nothing."""
    import open_clip
    import torch

    from curate.learners.encoders.clip import ClipImageEncoder, ClipSource, ClipTextEncoder, similarity_scale

    folder = random_clip(3)
    generator = np.random.default_rng(0)
    shown = [generator.integers(0, 256, (40, 50, 3), np.uint8) for _ in range(7)]
    model, transform = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    templates = ["{value}", "a photo of {value}."]
    with torch.inference_mode():
        classifier = open_clip.build_zero_shot_classifier(
            model, open_clip.get_tokenizer(f"local-dir:{folder}"), ["red", "dark green", "blue"],
            [lambda name: name, lambda name: f"a photo of {name}."],
        )  # fmt: skip
        pixels = torch.stack([transform(Image.fromarray(one)) for one in shown])
        cosines = model.encode_image(pixels, normalize=True) @ classifier
        expected = (model.logit_scale.exp() * cosines).softmax(dim=1).numpy()
    source = ClipSource.parse(str(folder), Path())
    towers = Towers(ClipImageEncoder(source), ClipTextEncoder(source), lambda: similarity_scale(source))
    asked = ClipAnnotator("eye", PROTOCOL, towers, attributes=["colour"], templates=templates)
    images = pa.array([_encoded(one) for one in shown], pa.binary())
    said = asked.annotate(pa.table({"item_id": [str(place) for place in range(7)], "image": images}))
    assert [claim.value for claim in said.claims] == [COLOUR.values[place] for place in expected.argmax(axis=1)]
    assert [claim.confidence for claim in said.claims] == pytest.approx(expected.max(axis=1).tolist(), abs=1e-5)


def _encoded(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
