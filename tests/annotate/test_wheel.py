import numpy as np
import pytest

from curate.annotate.turning import Features, Positions, Predict, SimulatedPeople, Turning
from curate.annotate.wheel import WheelSettings, attributes_of, turn_wheel

ITEMS = 600


def nearest_mean(features: Features, values: Positions, count: int) -> Predict:
    """An annotator: probabilities fall with the squared distance from the mean of each value's items."""
    means = np.stack(
        [
            features[values == value].mean(axis=0) if (values == value).any() else np.full(2, 9.0)
            for value in range(count)
        ]
    )

    def predict(asked: Features) -> np.ndarray:  # type: ignore[type-arg]
        weights = np.exp(-2 * ((asked[:, None] - means) ** 2).sum(axis=2)) + 1e-9
        return weights / weights.sum(axis=1, keepdims=True)

    return predict


def world(noise: float) -> tuple[Features, Positions, SimulatedPeople]:
    """Attribute 0 is easy, attribute 1 hidden from the features."""
    generator = np.random.default_rng(7)
    features = generator.normal(size=(ITEMS, 2)).astype(np.float32)
    features[:, 0] += np.where(features[:, 0] > 0, 1, -1)
    truth = np.stack([features[:, 0] > 0, generator.random(ITEMS) < 0.5], axis=1).astype(np.int64)
    return features, truth, SimulatedPeople(truth, 2, noise, np.random.default_rng(8))


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_the_wheel_passes_what_is_learnt_within_its_budget_and_trains_on_no_audit(noise: float) -> None:
    features, truth, people = world(noise)
    reserve = np.arange(ITEMS // 2)
    settings = WheelSettings(noise=noise)
    generator = np.random.default_rng(9)
    attributes = attributes_of(features, reserve, [2, 2], settings, nearest_mean, people, generator)
    turned = turn_wheel(attributes, 400, settings, generator)
    assert [verdict.passed for verdict in turned.verdicts] == [True, False]
    assert turned.answers == people.asked <= 400 + 10
    easy = attributes[0]
    right = easy.proposal[reserve].argmax(axis=1) == truth[reserve, 0]
    assert not turned.accuracies[0].interval().excludes(float(right.mean()))
    assert not (easy.open & np.isin(np.arange(ITEMS), reserve)).any()
    assert easy.trained + easy.audited <= int(easy.answers.sum())


def test_what_people_answered_about_audits_changes_no_proposal() -> None:
    features, truth, people = world(0.0)
    reserve = np.arange(ITEMS // 2)
    proposals = []
    for corrupted in (False, True):
        answers = truth.copy()
        answers[reserve] = 1 - answers[reserve] if corrupted else answers[reserve]
        people = SimulatedPeople(answers, 2, 0.0, np.random.default_rng(8))
        turning = Turning(0, features, reserve, 2, 0.0, nearest_mean, people)
        turning.ask(np.arange(ITEMS // 2, ITEMS // 2 + 20))
        turning.audit(50)
        turning.retrain()
        turning.ask_best(20)
        turning.retrain()
        proposals.append(turning.proposal)
    assert np.array_equal(*proposals)


def test_people_err_and_settled_audits_hardly_do() -> None:
    features, truth, people = world(0.05)
    reserve = np.arange(ITEMS // 2)
    turning = Turning(0, features, reserve, 2, 0.05, nearest_mean, people)
    turning.proposal = np.eye(2)[truth[:, 0]]
    assert turning.audit(300) == 300
    once = turning.accuracy().right
    repeats = turning.settle()
    assert once < 294
    assert turning.accuracy().right >= 298
    assert 0 < repeats <= 60
