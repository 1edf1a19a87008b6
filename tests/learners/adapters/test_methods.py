"""Every method learns with its own defaults, can be switched off to the bit, and is read back by plain `peft`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from curate.errors import ConfigurationError, UnknownNameError, UsageError
from curate.learners.adapters.adapted import Adapted
from curate.learners.adapters.configurations import configuration
from curate.learners.adapters.export import export_adapter
from curate.learners.adapters.methods import METHODS, Method, method_named
from curate.learners.adapters.parameters import FitParameters
from curate.learners.adapters.tasks import Task
from curate.learners.adapters.texts import TextExamples, blocks_for
from curate.learners.adapters.trainer import AdapterTrainer, FittedAdapter, mean_loss
from curate.learners.encoders.weights import hash_of_state

USUAL = {"lora", "adalora", "oft", "ia3", "prompt"}  # one of each kind; the others are slow
TOKENS = torch.arange(2, 22).reshape(2, 10)
# What is left of the loss after 40 steps with a method's own rate; measured values lie at least 0.03 below.
LEFT = {"ia3": 0.98, "ln-tuning": 0.99, "adalora": 0.98}


def said(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=TOKENS, attention_mask=torch.ones_like(TOKENS), use_cache=False).logits
    return found


def fitted(network: Any, name: str, documents: list[list[int]], folder: Path, **more: Any) -> FittedAdapter:
    examples = TextExamples(blocks_for(network, METHODS[name], documents, 32))
    parameters = FitParameters(**({"passes": 40, "steps": 40, "batch_size": 8} | more))
    return AdapterTrainer(network, name, examples, parameters).fit(folder)


@pytest.mark.parametrize(
    "name", [name if name in USUAL else pytest.param(name, marks=pytest.mark.slow) for name in METHODS]
)
def test_a_method_learns_is_switched_off_and_is_read_back(
    name: str, make_language_model: Callable[..., Any], documents: list[list[int]], tmp_path: Path
) -> None:
    from peft import PeftModel

    network = make_language_model()
    examples = TextExamples(blocks_for(network, METHODS[name], documents, 32))
    before, weights, start = said(network), hash_of_state(network.state_dict()), mean_loss(network, examples)
    found = fitted(network, name, documents, tmp_path / "fit")
    assert mean_loss(found.model, examples) < LEFT.get(name, 0.95) * start
    with found.model.disable_adapter():
        assert torch.equal(said(found.model), before)
    folder = export_adapter(found, tmp_path / "adapter")
    plain = make_language_model()
    assert hash_of_state(plain.state_dict()) == weights == found.base
    again = said(PeftModel.from_pretrained(plain, str(folder)).eval())
    if name == "adalora":  # it is read back without the ranks that were taken away, and sums round otherwise
        assert torch.allclose(again, said(found.model), atol=1e-5)
    else:
        assert torch.equal(again, said(found.model))
    assert not torch.equal(again[:, -TOKENS.shape[1] :], before)
    assert {path.suffix for path in folder.iterdir()} == {".json", ".safetensors", ".md"}


def test_methods_are_named_once_and_have_rates_of_their_own() -> None:
    assert len(METHODS) == 21
    assert METHODS["ia3"].learning_rate >= 3 * METHODS["lora"].learning_rate
    assert METHODS["vera"].learning_rate >= 3 * METHODS["lora"].learning_rate
    with pytest.raises(UnknownNameError, match="unknown method of fine-tuning 'dorra'"):
        method_named("dorra")


def test_the_rates_matter(make_language_model: Callable[..., Any], documents: list[list[int]], tmp_path: Path) -> None:
    """At LoRA's rate VeRA learns nothing to speak of: one rate for all is no comparison."""
    examples = TextExamples(blocks_for(make_language_model(), METHODS["vera"], documents, 32))
    own, shared = (
        mean_loss(
            fitted(make_language_model(), "vera", documents, tmp_path / str(rate), learning_rate=rate).model, examples
        )
        for rate in (0.0, METHODS["lora"].learning_rate)
    )
    assert own < shared - 0.5


def test_norms_are_found_in_any_network(make_gpt2: Callable[..., Any]) -> None:
    network = make_gpt2()
    adapted = Adapted(network, METHODS["ln-tuning"], Task.CAUSAL, steps=1)
    assert adapted.size == 5 * 2 * 32


def test_a_network_that_a_method_cannot_change_is_refused(make_gpt2: Callable[..., Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"'oft' does not fit this network.*Conv1D"):
        Adapted(make_gpt2(), METHODS["oft"], Task.CAUSAL, steps=1)


def test_options_are_those_of_the_method(make_language_model: Callable[..., Any]) -> None:
    network, lora = make_language_model(0), METHODS["lora"]
    assert configuration(lora, network, Task.CAUSAL, steps=1, options={"r": 2}).r == 2
    assert configuration(lora, network, Task.CAUSAL, steps=1).r == lora.options["r"]
    with pytest.raises(UnknownNameError, match="'rank'"):
        configuration(lora, network, Task.CAUSAL, steps=1, options={"rank": 2})
    with pytest.raises(ConfigurationError, match="'adalora' do not fit"):
        configuration(METHODS["adalora"], network, Task.CAUSAL, steps=0)


@pytest.mark.parametrize(
    "method", [method for method in METHODS.values() if method.virtual], ids=lambda each: each.name
)
def test_virtual_tokens_are_not_for_classifiers(method: Method, make_classifier: Callable[..., Any]) -> None:
    with pytest.raises(ConfigurationError, match="cannot be fitted to a classifier"):
        configuration(method, make_classifier(), Task.CLASSIFY, steps=1)


def test_an_export_replaces_nothing(
    make_language_model: Callable[..., Any], documents: list[list[int]], tmp_path: Path
) -> None:
    found = fitted(make_language_model(0), "lora", documents, tmp_path / "fit", steps=1)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        export_adapter(found, tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
