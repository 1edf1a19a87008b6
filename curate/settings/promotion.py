"""The settings of the promotion gate of one learner."""

from typing import Annotated

from pydantic import Field, StrictBool, StrictFloat

from curate.settings.section import Count, Section, Share


class PromotionSettings(Section):
    """When a new checkpoint takes the place of the served one, judged on the test items of its snapshot.

    On all items together, and with `classes` on each class by itself, it must be no worse by more than `margin` at a
    one-sided `confidence`; a slice of fewer than `fewest` items must have no fewer right answers. At most a share of
    `negative_flips` of all items may be right before and wrong after. With `enabled` false each checkpoint is promoted.
    """

    enabled: StrictBool = True
    classes: StrictBool = False
    margin: Share = 0.02
    negative_flips: Share = 0.05
    confidence: Annotated[StrictFloat, Field(gt=0.5, lt=1)] = 0.95
    fewest: Count = 20
