"""An inventory is what its formula says and what `peft` computes; each way of adapting trains what it says."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from curate.errors import ConfigurationError, UnknownNameError, UsageError
from curate.learners.multitask.inventory import Inventory
from curate.learners.multitask.parameters import RoutingParameters
from curate.learners.multitask.routed import RoutedNetwork, Trained

INPUTS, OUTPUTS, TASKS = 12, 18, 3
TASK_OF_ROW = torch.tensor([2, 0, 1, 2, 0])
LAYERS = ("0", "2")


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def inventory(splits: int, *, skills: int = 4, rank: int = 2, noise: int = 0) -> Inventory:
    """Return one as after a fit: neither its second factors nor its logits are what they began with."""
    found = Inventory(INPUTS, OUTPUTS, RoutingParameters(skills=skills, rank=rank, splits=splits, noise=noise))
    with torch.no_grad():
        found.up.copy_(drawn(1, *found.up.shape))
        for task in range(TASKS):
            found.add_task().copy_(2 * drawn(2 + task, splits, skills))
    return found


def network() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(INPUTS, OUTPUTS), nn.ReLU(), nn.Linear(OUTPUTS, 6))


def routed(splits: int = 3, tasks: int = TASKS, **more: int) -> RoutedNetwork:
    return RoutedNetwork(network(), LAYERS, tasks, RoutingParameters(splits=splits, rank=2, skills=4, **more))


def taught(model: RoutedNetwork, parameters: list[nn.Parameter], tasks: int | torch.Tensor = TASK_OF_ROW) -> None:
    optimiser = torch.optim.Adam(parameters, 0.05)
    for step in range(20):
        optimiser.zero_grad()
        (model(drawn(step, 5, INPUTS), tasks) - drawn(100 + step, 5, 6)).square().mean().backward()
        optimiser.step()


@pytest.mark.parametrize("splits", [1, 3])
def test_rows_of_several_tasks_follow_the_formula(splits: int) -> None:
    found, inputs = inventory(splits), drawn(9, 5, 7, INPUTS)
    width, room = INPUTS // splits, OUTPUTS // splits
    for row, task in enumerate(TASK_OF_ROW.tolist()):
        gates = torch.sigmoid(found.logits[task])
        shares = gates / gates.sum(dim=1, keepdim=True)
        hidden = torch.zeros(7, 2)
        for block in range(splits):
            down = sum(shares[block, skill] * found.down[block, skill] for skill in range(4))
            hidden += inputs[row, :, block * width : (block + 1) * width] @ down
        for block in range(splits):
            up = sum(shares[block, skill] * found.up[block, skill] for skill in range(4))
            said = found(inputs, TASK_OF_ROW)[row, :, block * room : (block + 1) * room]
            assert torch.allclose(said, hidden @ up / 2, atol=1e-5)


@pytest.mark.parametrize("splits", [1, 3])
def test_a_task_alone_is_the_same_as_among_others(splits: int) -> None:
    found, inputs = inventory(splits), drawn(9, 5, INPUTS)
    together = found(inputs, TASK_OF_ROW)
    for row, task in enumerate(TASK_OF_ROW.tolist()):
        assert torch.allclose(found(inputs[row : row + 1], task)[0], together[row], atol=1e-5)


@pytest.mark.parametrize("splits", [1, 2, 6])
@pytest.mark.parametrize("noise", [0, 1])
def test_it_is_what_peft_computes(splits: int, noise: int) -> None:
    from peft import PolyConfig, get_peft_model

    found = inventory(splits, noise=noise).train(bool(noise))
    shape = {"r": 2, "n_tasks": TASKS, "n_skills": 4, "n_splits": splits}
    plain = nn.Sequential(nn.Linear(INPUTS, OUTPUTS, bias=False))
    theirs = get_peft_model(plain, PolyConfig(target_modules=["0"], **shape)).base_model.model[0].train(bool(noise))
    with torch.no_grad():
        theirs.base_layer.weight.zero_()
        theirs.poly_lora_A["default"].copy_(found.down)
        theirs.poly_lora_B["default"].copy_(found.up)
        logits = torch.stack([task.flatten() for task in found.logits])
        theirs.poly_router["default"].module_logits.copy_(logits)
        inputs = drawn(9, 5, 7, INPUTS)
        torch.manual_seed(3)
        expected = theirs(inputs, task_ids=TASK_OF_ROW)
        torch.manual_seed(3)
        assert torch.allclose(found(inputs, TASK_OF_ROW), expected, atol=1e-5)


def test_it_changes_nothing_at_the_beginning_nor_when_it_is_off() -> None:
    plain, model, inputs = network(), routed(), drawn(9, 5, INPUTS)
    assert torch.equal(model(inputs, TASK_OF_ROW), plain(inputs))
    taught(model, model.train_only(Trained.ALL))
    assert not torch.allclose(model(inputs, 0), plain(inputs))
    assert torch.equal(model(inputs), plain(inputs))


def test_only_the_new_task_s_routing_is_trained_in_mhr_z() -> None:
    model = routed()
    taught(model, model.train_only(Trained.ALL))
    task = model.add_task()
    before = deepcopy(model.state_dict())
    trained = model.train_only(Trained.ROUTING, task)
    assert model.size == sum(one.numel() for one in trained) == 2 * 3 * 4
    taught(model, trained, task)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {f"network.{layer}.inventory.logits.{task}" for layer in LAYERS}


def test_the_average_is_what_equal_shares_say_and_becomes_one_adapter() -> None:
    model, inputs = routed(), drawn(9, 5, INPUTS)
    taught(model, model.train_only(Trained.ALL))
    task = model.add_task()
    with torch.no_grad():
        for one in model.inventories.values():
            one.logits[task].zero_()
    expected, plain = model(inputs, task), model(inputs)
    model.average()
    assert torch.allclose(model(inputs, 0), expected, atol=1e-5)
    assert model.size == 2 * (INPUTS + OUTPUTS) + 2 * (OUTPUTS + 6)
    taught(model, [one for one in model.parameters() if one.requires_grad], 0)
    assert torch.equal(model(inputs), plain)
    assert not torch.allclose(model(inputs, 0), expected)


def test_one_skill_is_one_lora_that_all_tasks_share() -> None:
    model = RoutedNetwork(network(), LAYERS, TASKS, RoutingParameters(splits=1, skills=1, rank=2))
    taught(model, model.train_only(Trained.ALL))
    inputs = drawn(9, 5, INPUTS)
    assert torch.equal(model(inputs, 0), model(inputs, 2))
    assert model.size == 2 * (INPUTS + OUTPUTS) + 2 * (OUTPUTS + 6)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="5 blocks"):
        inventory(5)
    with pytest.raises(ConfigurationError, match="rank"):
        RoutingParameters(rank=0)
    with pytest.raises(UnknownNameError, match="linear layer '1'"):
        RoutedNetwork(network(), ["1"], 1, RoutingParameters())
    with pytest.raises(UsageError, match="no task 3"):
        routed().train_only(Trained.ROUTING, 3)
