"""What the small model is shown: as many texts of each value, and none that it is asked about."""

from collections import Counter

from benchmarks.few_shot import ANSWERED, DIVERSE, MORE, RANDOM, SHOWN, TYPICAL, ZERO, Task, shown
from curate.annotate.llm.examples import Example
from curate.annotate.protocol import Attribute

KIND = Attribute("kind", "What is it?", ("sea", "land"))
TASK = Task(KIND, [Example(f"text {place} of {place % 7}", {"kind": KIND.values[place % 2]}) for place in range(100)])


def test_examples_are_balanced_and_never_asked_about() -> None:
    answered, items = TASK.drawn(20, 1)
    assert (len(answered), len(items)) == (ANSWERED, 20)
    arms = shown(TASK, answered, 1)
    assert arms[ZERO] == []
    for arm, each in {RANDOM: SHOWN, DIVERSE: SHOWN, TYPICAL: SHOWN, MORE: 2 * SHOWN}.items():
        texts = {one.text for one in arms[arm]}
        assert Counter(one.answers["kind"] for one in arms[arm]) == dict.fromkeys(KIND.values, each)
        assert len(texts) == each * len(KIND.values)
        assert texts <= {one.text for one in answered}
        assert not texts & {one.text for one in items}
    assert arms[RANDOM] != shown(TASK, answered, 2)[RANDOM]
    assert TASK.drawn(20, 1) == (answered, items) != TASK.drawn(20, 2)
