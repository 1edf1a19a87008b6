"""A fit that is interrupted ends as one that is not, and one that goes wrong keeps what was good."""

import errno
import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from curate.errors import BadDataError, ConfigurationError, StoreError
from curate.learners.adapters.checkpoints import CheckpointFolder
from curate.learners.adapters.examples import Batch
from curate.learners.adapters.labelled import LabelledTexts
from curate.learners.adapters.packing import apart, pack
from curate.learners.adapters.parameters import FitParameters
from curate.learners.adapters.schedule import Schedule
from curate.learners.adapters.texts import TextExamples
from curate.learners.adapters.trainer import AdapterTrainer, NotFiniteError, Reading, mean_loss
from curate.learners.encoders.weights import hash_of_state

BASIS = {"passes": 20, "steps": 12, "batch_size": 2, "accumulation": 2, "checkpoint_every": 3, "seed": 5}


class Interrupted(Exception):
    """Stands in for whatever ends the process."""


class Broken(TextExamples):
    """Texts of which one gives a loss that is not a number."""

    def __init__(self, packing: Any, broken: int) -> None:
        super().__init__(packing)
        self._broken = broken

    def loss(self, model: Any, batch: Batch) -> torch.Tensor:
        found = super().loss(model, batch)
        return found * torch.nan if self._broken in batch.documents else found


def stop_after(step: int) -> Callable[[Reading], None]:
    def progress(reading: Reading) -> None:
        if reading.step == step:
            raise Interrupted

    return progress


def trainer(network: Any, documents: list[list[int]], method: str = "lora", **more: Any) -> AdapterTrainer:
    options = more.pop("options", None)
    return AdapterTrainer(
        network, method, TextExamples(apart(documents, 32)), FitParameters(**BASIS | more), options=options
    )


@pytest.mark.parametrize(
    ("method", "options"),
    [("lora", {"lora_dropout": 0.3}), ("adalora", None), ("vera", None), ("ln-tuning", None), ("p-tuning", None)],
)
@pytest.mark.parametrize("stopped", [1, 7])
def test_a_resumed_fit_ends_as_an_undisturbed_one(
    method: str, options: Any, stopped: int, make_gpt2: Callable[..., Any], documents: list[list[int]], tmp_path: Path
) -> None:
    """GPT-2 drops out, so the generators matter; Adam's averages do, and AdaLoRA's."""
    undisturbed = trainer(make_gpt2(), documents, method, options=options).fit(tmp_path / "undisturbed")
    torch.manual_seed(99)
    with pytest.raises(Interrupted):
        trainer(make_gpt2(), documents, method, options=options).fit(tmp_path / "stopped", stop_after(stopped))
    resumed = trainer(make_gpt2(), documents, method, options=options).fit(tmp_path / "stopped")
    assert hash_of_state(resumed.model.state_dict()) == hash_of_state(undisturbed.model.state_dict())
    assert resumed.readings == undisturbed.readings
    assert resumed.checkpoint.read_bytes() == undisturbed.checkpoint.read_bytes()
    assert [reading.step for reading in resumed.readings] == list(range(12))


def test_a_fit_that_is_done_is_only_read(
    make_language_model: Callable[..., Any], documents: list[list[int]], tmp_path: Path
) -> None:
    first = trainer(make_language_model(), documents).fit(tmp_path)
    again = trainer(make_language_model(), documents).fit(tmp_path, stop_after(0))
    assert hash_of_state(again.model.state_dict()) == hash_of_state(first.model.state_dict())


def test_the_seed_alone_decides(
    make_language_model: Callable[..., Any], documents: list[list[int]], tmp_path: Path
) -> None:
    torch.manual_seed(1)
    one = trainer(make_language_model(), documents).fit(tmp_path / "one")
    torch.manual_seed(2)
    before = torch.get_rng_state()
    two = trainer(make_language_model(), documents).fit(tmp_path / "two")
    assert torch.equal(torch.get_rng_state(), before)
    other = trainer(make_language_model(), documents, seed=6).fit(tmp_path / "other")
    hashes = [hash_of_state(each.model.state_dict()) for each in (one, two, other)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_accumulated_passes_learn_what_one_pass_does(
    make_language_model: Callable[..., Any], documents: list[list[int]], tmp_path: Path
) -> None:
    """Each predicted token weighs the same, though the passes have different numbers of them."""
    fits = [
        trainer(make_language_model(), documents, batch_size=size, accumulation=8 // size).fit(tmp_path / str(size))
        for size in (8, 2, 1)
    ]
    for other in fits[1:]:
        assert [reading.answers for reading in other.readings] == [reading.answers for reading in fits[0].readings]
        assert np.allclose([r.loss for r in other.readings], [r.loss for r in fits[0].readings], rtol=1e-4)


def test_a_loss_that_is_not_a_number_stops_and_keeps_the_last_good_checkpoint(
    make_language_model: Callable[..., Any], documents: list[list[int]], tmp_path: Path
) -> None:
    packing = apart(documents, 32)
    parameters = FitParameters(**BASIS)
    order = np.concatenate([np.concatenate(Schedule(40, parameters, 1.0).batches(step)) for step in range(10)])
    broken = int(order[4 * 4 + 3])  # in the fifth step's second pass
    fit = AdapterTrainer(make_language_model(), "lora", Broken(packing, broken), parameters)
    with pytest.raises(NotFiniteError, match=f"the loss is not finite at step 4, with the texts .*{broken}") as caught:
        fit.fit(tmp_path)
    assert caught.value.step == 4
    assert broken in caught.value.documents
    assert len(caught.value.documents) == 2
    assert (
        caught.value.checkpoint == CheckpointFolder(tmp_path, kept=2).newest == tmp_path / "step-00000003.safetensors"
    )
    assert str(caught.value.checkpoint) in caught.value.unchanged
    assert all(bool(torch.isfinite(tensor).all()) for tensor in fit.adapted.tensors.values())
    good = trainer(make_language_model(), documents, steps=12).fit(tmp_path)
    undisturbed = trainer(make_language_model(), documents, steps=12).fit(tmp_path / "undisturbed")
    assert hash_of_state(good.model.state_dict()) == hash_of_state(undisturbed.model.state_dict())


def test_weights_that_run_away_stop_the_fit(
    make_language_model: Callable[..., Any], documents: list[list[int]], tmp_path: Path
) -> None:
    with pytest.raises(NotFiniteError, match="is not finite at step"):
        trainer(make_language_model(), documents, learning_rate=1e30, largest_norm=0.0).fit(tmp_path)
    assert CheckpointFolder(tmp_path, kept=2).newest


def test_a_full_disk_leaves_the_last_checkpoint(
    make_language_model: Callable[..., Any],
    documents: list[list[int]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = 0

    def fsync(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StoreError, match=r"step 6 cannot be written.*No space left") as caught:
        trainer(make_language_model(), documents).fit(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "step-00000000.safetensors",
        "step-00000003.safetensors",
    ]
    assert "step-00000003" in caught.value.unchanged
    resumed = trainer(make_language_model(), documents).fit(tmp_path)
    assert len(resumed.readings) == 12


def test_only_the_last_checkpoints_are_kept(
    make_language_model: Callable[..., Any], documents: list[list[int]], tmp_path: Path
) -> None:
    trainer(make_language_model(), documents, kept=2).fit(tmp_path)
    assert CheckpointFolder(tmp_path, kept=2).steps() == [9, 12]


@pytest.mark.parametrize(
    ("change", "what"),
    [({"seed": 6}, "parameters"), ({"method": "dora"}, "method"), ({"options": {"r": 4}}, "options")],
)
def test_a_checkpoint_of_another_fit_is_refused(
    change: Any, what: str, make_language_model: Callable[..., Any], documents: list[list[int]], tmp_path: Path
) -> None:
    trainer(make_language_model(), documents, steps=1).fit(tmp_path)
    with pytest.raises(ConfigurationError, match=f"another fit: .*{what} is"):
        trainer(make_language_model(), documents, **{"steps": 1} | change).fit(tmp_path)


def test_a_checkpoint_of_another_network_or_of_other_texts_is_refused(
    make_language_model: Callable[..., Any], documents: list[list[int]], tmp_path: Path
) -> None:
    trainer(make_language_model(), documents, steps=1).fit(tmp_path)
    with pytest.raises(ConfigurationError, match="base is"):
        trainer(make_language_model(1), documents, steps=1).fit(tmp_path)
    with pytest.raises(ConfigurationError, match="data is"):
        trainer(make_language_model(), documents[::-1], steps=1).fit(tmp_path)
    assert trainer(make_language_model(), documents, steps=1, checkpoint_every=9, kept=1).fit(tmp_path)


@pytest.mark.parametrize("change", [lambda state: state[:-1], lambda state: b"\x80\x04pickle", lambda state: b""])
def test_what_is_no_checkpoint_is_refused(
    change: Callable[[bytes], bytes],
    make_language_model: Callable[..., Any],
    documents: list[list[int]],
    tmp_path: Path,
) -> None:
    """A pickle among them: nothing but safetensors is read."""
    checkpoint = trainer(make_language_model(), documents, steps=1).fit(tmp_path).checkpoint
    checkpoint.write_bytes(change(checkpoint.read_bytes()))
    with pytest.raises(StoreError, match="state"):
        trainer(make_language_model(), documents, steps=1).fit(tmp_path)


def test_what_is_held_out_is_looked_at_and_not_learned_from(
    make_language_model: Callable[..., Any], documents: list[list[int]], tmp_path: Path
) -> None:
    examples, held_out = TextExamples(pack(documents[:30], 32)), TextExamples(pack(documents[30:], 32))
    parameters = FitParameters(**BASIS | {"evaluate_every": 5})
    fit = AdapterTrainer(make_language_model(), "lora", examples, parameters, held_out=held_out)
    found = fit.fit(tmp_path / "with")
    without = AdapterTrainer(make_language_model(), "lora", examples, parameters).fit(tmp_path / "without")
    assert hash_of_state(found.model.state_dict()) == hash_of_state(without.model.state_dict())
    assert [reading.step for reading in found.readings if reading.held_out is not None] == [4, 9, 11]
    assert found.readings[-1].held_out == fit.held_out_loss() == mean_loss(found.model, held_out, batch_size=2)
    assert [reading.held_out for reading in without.readings] == [None] * 12


def test_a_classifier_learns_and_is_what_it_was_when_switched_off(
    make_classifier: Callable[..., Any], tmp_path: Path
) -> None:
    generator = np.random.default_rng(0)
    classes = [int(each) for each in generator.integers(0, 3, 60)]
    texts = [[int(each) for each in generator.integers(1 + 15 * kind, 16 + 15 * kind, 9)] for kind in classes]
    network, examples = make_classifier(), LabelledTexts(texts, classes)
    tokens = torch.tensor(texts[:4])
    before = network(input_ids=tokens).logits
    parameters = FitParameters(passes=9, batch_size=6, learning_rate=3e-3)
    found = AdapterTrainer(network, "lora", examples, parameters).fit(tmp_path)
    assert mean_loss(found.model, examples) < 0.3 < 1 < found.readings[0].loss
    with torch.no_grad(), found.model.disable_adapter():
        assert torch.equal(found.model(input_ids=tokens).logits, before)


def test_a_network_in_bfloat16_is_resumed_too(
    make_language_model: Callable[..., Any], documents: list[list[int]], tmp_path: Path
) -> None:
    for method in ("lora", "ln-tuning"):
        undisturbed = trainer(make_language_model().bfloat16(), documents, method).fit(tmp_path / method)
        with pytest.raises(Interrupted):
            trainer(make_language_model().bfloat16(), documents, method).fit(tmp_path / f"{method} 2", stop_after(4))
        resumed = trainer(make_language_model().bfloat16(), documents, method).fit(tmp_path / f"{method} 2")
        assert hash_of_state(resumed.model.state_dict()) == hash_of_state(undisturbed.model.state_dict())


def test_nothing_to_fit_to_is_refused(make_language_model: Callable[..., Any]) -> None:
    with pytest.raises(BadDataError, match="nothing to fit"):
        AdapterTrainer(make_language_model(0), "lora", TextExamples(pack([[1], []], 8)))


@pytest.mark.parametrize("change", [{"passes": 0}, {"warm_up": 1.5}, {"batch_size": 0}, {"mixed": 2}])
def test_parameters_out_of_range_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        FitParameters(**change)


def test_a_schedule_goes_through_all_examples_in_each_pass() -> None:
    schedule = Schedule(11, FitParameters(passes=3, batch_size=2, accumulation=2, warm_up=0.3), 1.0)
    assert (schedule.steps_a_pass, schedule.steps) == (3, 9)
    passes = [
        [int(row) for step in range(first, first + 3) for rows in schedule.batches(step) for row in rows]
        for first in (0, 3, 6)
    ]
    assert [sorted(each) for each in passes] == [list(range(11))] * 3
    assert passes[0] != passes[1] != passes[2]
    rates = [schedule.rate(step) for step in range(9)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert all(after < before for before, after in pairwise(rates[3:]))
    assert rates[-1] > 0
