"""A model that asks: any classifier of river or scikit-learn that learns step by step, under an exact account.

It is told of items one by one, says which it wants labelled, and learns labels whenever they come.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from curate.errors import ConfigurationError
from curate.select.stream.budgets import REASONS
from curate.select.stream.utilities import UTILITIES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from curate.select.stream.account import Account


@dataclass(frozen=True, slots=True)
class Look:
    """What a model takes an item for, and why it wants its label ("": it does not), with the propensity."""

    predicted: Any
    reason: str
    propensity: float

    @property
    def asks(self) -> bool:
        """Whether the label is wanted."""
        return bool(self.reason)


class ActiveModel:
    """Wraps a model with `predict_proba_one` and `learn_one` (river), or `predict_proba` and `partial_fit` (sklearn).

    Args:
        model: it is changed in place; what it predicts is its own.
        classes: all that labels can be.
        account: spends the budget; see `curate.select.stream.account`.
        utility: a name of `curate.select.stream.utilities.UTILITIES`.
        weighted: labels weigh one over their propensity (importance-weighted active learning), so that what is learned
            is not biased by the choice; models that take no weights refuse.

    Raises:
        ConfigurationError: the model is of neither kind, or there are fewer than two classes.

    >>> from sklearn.linear_model import SGDClassifier
    >>> from curate.select.stream.account import account_named
    >>> model = ActiveModel(SGDClassifier(loss="log_loss"), ["a", "b"], account_named("paced", 0.1))
    >>> look = model.look([0.5, 1.0])
    >>> look.asks, look.reason
    (True, 'warm-up')
    >>> model.learn([0.5, 1.0], "a", look)
    """

    def __init__(
        self,
        model: Any,
        classes: Sequence[Any],
        account: Account,
        utility: str = "least-confidence",
        *,
        weighted: bool = False,
    ) -> None:
        self._one_by_one = hasattr(model, "learn_one") and hasattr(model, "predict_proba_one")
        if not self._one_by_one and not (hasattr(model, "partial_fit") and hasattr(model, "predict_proba")):
            raise ConfigurationError(
                f"{type(model).__name__} does not learn step by step, or gives no probabilities",
                hint="a classifier of river, or one of scikit-learn with partial_fit and predict_proba",
            )
        if len(classes) < 2:
            raise ConfigurationError("a model that asks needs two classes or more")
        self.model, self.classes, self.account = model, list(classes), account
        self._utility, self._weighted, self._learned = UTILITIES[utility], weighted, False

    def look(self, item: Mapping[str, float] | Sequence[float]) -> Look:
        """Predict an item and decide whether to ask about it; a mapping for river, numbers for scikit-learn."""
        import numpy as np

        probabilities = self._probabilities(item)
        features = np.array([list(item.values()) if isinstance(item, Mapping) else list(item)], np.float64)
        utilities = self._utility(probabilities, features) if self._learned else np.ones(1)
        reasons, chances = self.account.decide(utilities)
        return Look(self.classes[int(probabilities[0].argmax())], REASONS[int(reasons[0])], float(chances[0]))

    def learn(self, item: Mapping[str, float] | Sequence[float], label: Any, look: Look) -> None:
        """Learn the label of an item; `look` is what was said of it when it came."""
        weight = 1 / look.propensity if self._weighted else None
        if self._one_by_one:
            self.model.learn_one(item, label, **({} if weight is None else {"w": weight}))
        else:
            more = {} if weight is None else {"sample_weight": [weight]}
            self.model.partial_fit([item], [label], classes=self.classes, **more)
        self._learned = True

    def _probabilities(self, item: Any) -> NDArray[np.float64]:
        """Of all classes; equal ones before anything was learned, and of what the model knows nothing of."""
        import numpy as np

        count = len(self.classes)
        if not self._learned:
            return np.full((1, count), 1 / count)
        if self._one_by_one:
            said = self.model.predict_proba_one(item)
            found = np.array([[float(said.get(label, 0.0)) for label in self.classes]])
        else:
            order = [list(self.model.classes_).index(label) for label in self.classes]
            found = np.asarray(self.model.predict_proba([item]), np.float64)[:, order]
        total = found.sum()
        return found / total if total > 0 else np.full((1, count), 1 / count)
