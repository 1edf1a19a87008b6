"""What learners share that look at unlabelled features once, and keep what they made of them frozen."""

from abc import abstractmethod

from curate.errors import UsageError
from curate.learners.base import BaseLearner
from curate.learners.inputs import checked_features
from curate.learners.numerics import Features


class PlacedLearner(BaseLearner):
    """A learner that places keys on unlabelled features before it learns, and never moves them again.

    Subclasses say in `initialised` whether they are placed, and place them in `_place`.
    """

    def initialise(self, features: Features) -> None:
        """Place and freeze the keys, and all that stands before them, on unlabelled features of all that may come.

        An empty batch changes nothing.

        Raises:
            UsageError: the keys are placed already; other keys would make all that was learned meaningless.
            BadDataError: features that are not finite.
        """
        features = checked_features(features, self._dimension)
        if self.initialised:
            raise UsageError("the keys are placed and stay frozen", hint="begin a new learner", unchanged="the learner")
        if len(features):
            self._place(features)

    @abstractmethod
    def _place(self, features: Features) -> None:
        """Place the keys on at least one item."""
