"""The settings of online active learning."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictBool, StrictFloat, StrictInt, StringConstraints

from curate.settings.gate import PEOPLE_PATTERN
from curate.settings.section import Filled, Name, Section, Share, distinct

Utility = Literal["least-confidence", "entropy", "margin", "expected-model-change"]
Arm = Literal[Utility, "chance"]
Manager = Literal[
    "paced", "periodic", "uniform", "estimated-uniform", "fixed", "variable", "randomised-variable", "split",
    "counted-variable", "selective", "sampled", "quantile",
]  # fmt: skip
Drift = Literal["", "adwin", "page-hinkley", "ddm"]
Count = Annotated[StrictInt, Field(ge=0)]


class AcquireSettings(Section):
    """A policy that watches the stream of items and asks people about those that teach its learner most.

    Each item is decided on once, in the order in which items came. The `learner`, of a kind as in [[learner]] with
    its `parameters`, sees the features of the `encoder`; the `utility` says what the item would teach it, and the
    budget `manager` spends the `rate`, a share of the items, under an exact account: the first `warm_up` items are
    asked about at once and paid back, a `random_share` of the questions is left to chance ("paced" and "split"),
    and no more than `budget` questions are asked in all (0 = any number). Where the `horizon` tells how many items
    will come (0 = unknown), "paced" saves some questions while the learner is sure, and has spent them by then.
    Answers are learned when they come, between batches of `batch` items.

    With `utility = "bandit"` a bandit draws one of the `arms` for each item, and learns from answers which of them
    finds what the learner gets wrong; "chance" is an arm too.

    Where a `drift` detector is named, it is told whether the learner was right about each answer that comes. Where
    errors rise, the learner begins anew with the newest `drift_window` answers.

    `people = "oracle:COLUMN"` simulates people as in [gate]: they miss the truth in `oracle_noise` of their answers,
    which come once `delay` more items have passed.
    """

    name: Name
    attribute: Filled
    encoder: str = "hashed-ngrams:512"
    learner: str = "sequential-linear"
    parameters: dict[str, StrictBool | StrictInt | StrictFloat | str] = {}
    utility: Literal[Utility, "bandit"] = "least-confidence"
    arms: Annotated[tuple[Arm, ...], AfterValidator(distinct)] = ()
    manager: Manager = "paced"
    rate: Annotated[StrictFloat, Field(gt=0, le=1)] = 0.05
    warm_up: Count = 10
    random_share: Share = 0.1
    budget: Count = 0
    horizon: Count = 0
    drift: Drift = ""
    drift_window: Annotated[StrictInt, Field(ge=1)] = 50
    batch: Annotated[StrictInt, Field(ge=1)] = 2000
    seed: Count = 0
    people: Annotated[str, StringConstraints(pattern=PEOPLE_PATTERN)] = ""
    oracle_noise: Annotated[StrictFloat, Field(ge=0, lt=0.5)] = 0.05
    delay: Count = 0
