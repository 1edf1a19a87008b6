"""Packed texts do not see each other, and give the same losses as alone."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from curate.errors import BadDataError, ConfigurationError
from curate.learners.adapters.labelled import LabelledTexts
from curate.learners.adapters.methods import METHODS
from curate.learners.adapters.packing import apart, pack
from curate.learners.adapters.texts import TextExamples, blocks_for, keeps_apart
from curate.learners.adapters.trainer import mean_loss

CPU = torch.device("cpu")
LORA, PROMPT = METHODS["lora"], METHODS["prompt"]


class Blind(nn.Module):
    """A network that is told positions and does not keep to them."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: torch.Tensor, use_cache: bool, position_ids: torch.Tensor | None = None) -> Any:
        return self.network(input_ids=input_ids, use_cache=use_cache)


class Unpositioned(Blind):
    """A network that takes no positions."""

    def forward(self, input_ids: torch.Tensor, use_cache: bool) -> Any:  # type: ignore[override]
        return self.network(input_ids=input_ids, use_cache=use_cache)


@pytest.mark.parametrize("make", ["make_language_model", "make_gpt2"])
def test_packed_texts_cost_what_they_cost_alone(
    make: str, request: pytest.FixtureRequest, documents: list[list[int]]
) -> None:
    network = request.getfixturevalue(make)()
    assert keeps_apart(network)
    packed, alone = TextExamples(pack(documents, 60)), TextExamples(apart(documents, 60))
    assert packed.packed
    assert len(packed) < len(alone) / 2
    assert mean_loss(network, packed) == pytest.approx(mean_loss(network, alone), rel=1e-5)


def test_a_text_is_the_same_whatever_stands_before_it(make_language_model: Callable[..., Any]) -> None:
    network = make_language_model()
    said = []
    for first in ([5, 6, 7], [9, 9, 9]):
        batch = TextExamples(pack([first, [1, 2]], 5)).batch(np.array([0]), CPU)
        with torch.no_grad():
            said.append(network(**batch.inputs).logits[:, 3:])
    assert torch.equal(*said)


def test_networks_that_cannot_keep_texts_apart_are_found_out(make_language_model: Callable[..., Any]) -> None:
    network = make_language_model(0)
    network.train()
    assert keeps_apart(network)
    assert network.training
    assert not keeps_apart(Blind(network))
    assert not keeps_apart(Unpositioned(network))


def test_blocks_suit_network_and_method(make_language_model: Callable[..., Any], documents: list[list[int]]) -> None:
    network = make_language_model(0)
    assert TextExamples(blocks_for(network, LORA, documents, 60)).packed
    assert not TextExamples(blocks_for(network, PROMPT, documents, 60)).packed
    assert not TextExamples(blocks_for(Blind(network), LORA, documents, 60)).packed
    with pytest.raises(ConfigurationError, match="'prompt' cannot keep the texts"):
        TextExamples(pack(documents, 40)).check(network, PROMPT, 16)


def test_a_batch_says_what_is_predicted_and_from_which_texts() -> None:
    examples = TextExamples(pack([[7], [1, 2, 3], [4, 5]], 5))
    batch = examples.batch(np.array([0]), CPU)
    assert batch.inputs["input_ids"].tolist() == [[1, 2, 3, 4, 5]]
    assert batch.inputs["position_ids"].tolist() == [[0, 1, 2, 0, 1]]
    assert batch.targets.tolist() == [[-100, 2, 3, -100, 5]]
    assert (batch.count, batch.documents) == (3, (1, 2))


def test_texts_that_do_not_fit_the_network_are_refused(make_language_model: Callable[..., Any]) -> None:
    network = make_language_model(0)
    with pytest.raises(ConfigurationError, match="60 tokens, with 16 virtual ones, is longer") as caught:
        TextExamples(apart([[1] * 60], 60)).check(network, PROMPT, 16)
    assert caught.value.hint == "take blocks of at most 48 tokens"
    with pytest.raises(BadDataError, match="a token 48, and the network knows 48"):
        TextExamples(apart([[1, 48]], 60)).check(network, LORA, 0)


def test_labelled_texts_that_do_not_fit_are_refused(make_classifier: Callable[..., Any]) -> None:
    network = make_classifier()
    with pytest.raises(BadDataError, match="classes"):
        LabelledTexts([[1], [2]], [0])
    with pytest.raises(BadDataError, match="text 1 has no tokens"):
        LabelledTexts([[1], []], [0, 1])
    with pytest.raises(BadDataError, match="from 0 to 2"):
        LabelledTexts([[1], [2]], [0, 3]).check(network, LORA, 0)
    with pytest.raises(ConfigurationError, match="65 tokens"):
        LabelledTexts([[1] * 65], [0]).check(network, LORA, 0)
    network.config.pad_token_id = None
    with pytest.raises(ConfigurationError, match="pad token"):
        LabelledTexts([[1]], [0]).check(network, LORA, 0)


def test_a_labelled_text_is_judged_alike_beside_a_longer_one(make_classifier: Callable[..., Any]) -> None:
    network, examples = make_classifier(), LabelledTexts([[3, 4], [5, 6, 7, 8, 9]], [0, 2])
    examples.check(network, LORA, 0)
    with torch.no_grad():
        both = examples.loss(network, examples.batch(np.array([0, 1]), CPU))
        each = [examples.loss(network, examples.batch(np.array([row]), CPU)) for row in (0, 1)]
    assert float(both) == pytest.approx(float(sum(each)), rel=1e-5)
