"""The settings of the flywheel's gate."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictBool, StrictFloat, StrictInt, StringConstraints

from curate.settings.section import Section, Share, distinct

PEOPLE_PATTERN = r"^(oracle:.+)?$"


class GateSettings(Section):
    """How the wheel turns: audits decide which annotators are good enough, and people are asked about the rest.

    The claims of `annotators` (none = every [[annotator]]) about an attribute pass when the lower bound of their
    accuracy clears the `bar`; of all passes, at most `error_rate` are false. Audits come from the `reserve`, a share of
    all items that trains nothing. A round asks `answers` questions, `audit_share` of them audits after `pilot` audits
    an attribute (with a `budget` they are the last ones: people teach first); `recheck` of what arrives is audited
    where an attribute has passed; a share `double` of the questions is asked twice. People are taken to err in `noise`
    of their answers; `budget` bounds the answers (0 = any number).
    `people = "oracle:COLUMN"` simulates them: the column kept beside an item ({attribute} stands for the attribute's
    name) is the truth, which simulated people miss in `oracle_noise` of their answers.
    """

    enabled: StrictBool = False
    annotators: Annotated[tuple[str, ...], AfterValidator(distinct)] = ()
    bar: Annotated[StrictFloat, Field(gt=0, lt=1)] = 0.85
    error_rate: Annotated[StrictFloat, Field(gt=0, lt=1)] = 0.05
    reserve: Annotated[StrictFloat, Field(gt=0, lt=1)] = 0.1
    answers: Annotated[StrictInt, Field(ge=1)] = 60
    audit_share: Share = 0.6
    pilot: Annotated[StrictInt, Field(ge=1)] = 10
    recheck: Share = 0.2
    double: Share = 0.05
    noise: Annotated[StrictFloat, Field(ge=0, lt=0.5)] = 0.05
    budget: Annotated[StrictInt, Field(ge=0)] = 0
    people: Annotated[str, StringConstraints(pattern=PEOPLE_PATTERN)] = ""
    oracle_noise: Annotated[StrictFloat, Field(ge=0, lt=0.5)] = 0.05


class CalibrationSettings(Section):
    """How confidences are compared with people's answers, and what maps them to how often such claims are right.

    That takes at least the `fewest` answers about items that trained nothing. Below some hundreds of them `temperature`
    is the better `method`, for it has one number to fit; `isotonic` follows any rising shape.
    """

    method: Literal["temperature", "isotonic", "none"] = "temperature"
    fewest: Annotated[StrictInt, Field(ge=20)] = 50
