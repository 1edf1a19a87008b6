"""Examples for a language model out of what people have confirmed."""

from __future__ import annotations

from dataclasses import dataclass

from curate.annotate.llm.choosing import MOST_CANDIDATES, candidates_of, choose_examples
from curate.annotate.llm.examples import Example
from curate.annotate.protocol import Protocol
from curate.flows.project import Project
from curate.settings import LLMAnnotatorSettings
from curate.store.confirmed import confirmed_texts
from curate.store.gating import GateScope


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Examples that people confirmed, the items that they are, and a line about them ("" where none are wanted)."""

    examples: tuple[Example, ...] = ()
    items: frozenset[str] = frozenset()
    told: str = ""


def confirmed_examples(project: Project, protocol: Protocol, settings: LLMAnnotatorSettings) -> Confirmed:
    """Choose the examples that an annotator is to be shown; none before there are as many as it wants.

    A text counts once people have answered every attribute about it that the annotator is asked for and that all items
    are. Items of the gate's reserve never do: what audits judge by is shown to nobody.
    """
    wanted = settings.examples_from_people
    if not wanted:
        return Confirmed()
    asked = protocol.chosen(settings.attributes)
    gate = project.settings.gate
    scope = GateScope(protocol.name, protocol.version, ("text",), gate.reserve if gate.enabled else 0.0)
    names, needed = [one.name for one in asked], [one.name for one in asked if not one.when]
    with project.reader() as reader:
        found = confirmed_texts(reader, scope, names, needed or names, max(wanted, MOST_CANDIDATES))
    found = [one for one in found if all(value in protocol.attribute(name) for name, value in one.answers.items())]
    considered = found[: candidates_of(wanted, len(found))]
    if not considered:
        return Confirmed(told=f"no examples yet, for people have answered {len(found)} of {wanted}")
    candidates = [Example(one.text, one.answers) for one in considered]
    places = choose_examples(candidates, wanted, settings.examples_choice, settings.excerpt_characters)
    return Confirmed(
        tuple(candidates[place] for place in places),
        frozenset(considered[place].item_id for place in places),
        f"shown {len(places)} {settings.examples_choice} examples of {len(considered)} that people answered",
    )
