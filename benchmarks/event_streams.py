"""Streams of events that change: learners that keep no event, beside what knows which increment an event is of.

Regimes: three Hawkes processes of three types arrive in turn, 96 sequences of about 80 events each. At the end all
three are tested on other draws, the first 40 events of each sequence given. Commits: events of public repositories by
calendar year, 2018 to 2020 as the first increment, as the years before 2020 have 16 sequences; 30 % of each year's
sequences are held out, and tested with 10 events given. After each year from 2021 on all years so far and the next one
are tested. Each seed draws regimes or the split, and the networks' start.

All learners but PromptTPP's attentive one are the same recurrent network of width 32, and are taught the first
increment alike. "Told" is the retrieving learner that is told the increment of what it is tested on, and for the next
year the newest. Joint learns all regimes at once. Pulled is elastic weight consolidation. The type is predicted given
the event's time; gaps are foreseen by thinning, on a dozen sequences of the last increment.

Rates, passes and the retrieval's sharpness were chosen on other draws of the regimes and one other split of the
commits; that split shares sequences with those here, so the commits' figures may flatter it a little. The size of a
batch and the passes were cut afterwards without a trial, to what two cores can do. "Pretrained" is
the online learner after the first increment.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from typing import Any

from benchmarks.harness.bars import Bar
from benchmarks.harness.command import Options, Result, main
from benchmarks.harness.event_increments import Increment, commit_increments, regime_increments
from benchmarks.harness.event_walks import View, Walk, gap_error, trivial_walk, walk
from curate.learners.events.fine_tuning import FineTunedEvents, FineTuningParameters
from curate.learners.events.learner import EventLearner
from curate.learners.events.prompt_tpp import PromptTPP, PromptTPPParameters
from curate.learners.events.retrieving import RetrievingEvents, RetrievingParameters
from curate.learners.events.sequences import EventSequences
from curate.statistics import bootstrap_interval, paired_difference

PACKAGES = ("curate", "numpy", "torch")
TOLD, RETRIEVED, JOINT, ONLINE = "told", "retrieved", "joint", "online"
PRETRAINED, PULLED, PROMPTS, TRIVIAL = "pretrained", "pulled", "prompt-tpp", "most popular, mean gap"
SEEDS, QUICK_SEEDS = 5, 2
SEQUENCES, QUICK_SEQUENCES = 96, 24
REGIMES, COMMITS = "regimes", "commits"
LIKELIHOODS, ERRORS = "likelihoods", "errors"
Found = Mapping[str, Sequence[Walk]]
_SAYS = {LIKELIHOODS: "nats", ERRORS: "points of type error"}
_NEAR_ZERO = 0.02

_PASSES: Mapping[str, Mapping[str, Any]] = {
    REGIMES: {"passes": 20, "first_passes": 20, "learning_rate": 0.02},
    COMMITS: {"passes": 6, "first_passes": 30, "learning_rate": 0.015},
}
_QUICK_PASSES = {"passes": 2, "first_passes": 4}
_TAUGHT = {"batch_size": 48, "nodes": 4, "falling": 1}
_MODULATION: Mapping[str, Mapping[str, Any]] = {
    REGIMES: {"modulation_passes": 20, "modulation_rate": 0.06},
    COMMITS: {"modulation_passes": 10, "modulation_rate": 0.03},
}


def run(options: Options) -> Result:
    """Measure likelihood, type error and forgetting on changing streams of events, over the seeds."""
    seeds = range(options.seed, options.seed + (QUICK_SEEDS if options.quick else SEEDS))
    jobs = [(kind, seed, options.quick) for kind in (COMMITS, REGIMES) for seed in seeds]
    found: dict[str, dict[str, list[Walk]]] = {COMMITS: {}, REGIMES: {}}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(seeds), mp_context=context) as pool:
        for (kind, seed, _), walks in zip(jobs, pool.map(_seed, *zip(*jobs, strict=True)), strict=True):
            for name, one in walks.items():
                found[kind].setdefault(name, []).append(one)
            options.note(f"{kind}, seed {seed}: retrieved {_average(kind, walks[RETRIEVED], 'likelihoods'):.3f}")
    return Result(
        bars=[*_regime_bars(found[REGIMES]), *_commit_bars(found[COMMITS])],
        rows=[_row(kind, name, walks) for kind in (REGIMES, COMMITS) for name, walks in found[kind].items()],
        details={"seeds": list(seeds), "walks": _record(found), "says": _says(found[COMMITS])},
        packages=PACKAGES,
    )


def _seed(kind: str, seed: int, quick: bool) -> dict[str, Walk]:
    """Walk every contender through one seed's increments, in a process of its own."""
    import torch

    torch.set_num_threads(1)
    sequences = QUICK_SEQUENCES if quick else SEQUENCES
    increments = regime_increments(seed, sequences) if kind == REGIMES else commit_increments(seed)
    if quick and kind == COMMITS:
        increments = increments[:3]
    ahead = kind == COMMITS
    passes = {**_TAUGHT, **_PASSES[kind], **(_QUICK_PASSES if quick else {}), "seed": seed}
    found = {TRIVIAL: trivial_walk(increments, ahead=ahead)}
    for name, learner in _learners(kind, increments[0].learned.type_count, passes).items():
        stream = [_joined(increments)] if name == JOINT else increments
        found |= _walks(name, learner, stream, ahead)
        found[name].gaps = gap_error(learner.process, increments[-1].held_out, seed)
    return found


def _learners(kind: str, types: int, passes: Mapping[str, Any]) -> dict[str, EventLearner[Any]]:
    found: dict[str, EventLearner[Any]] = {
        ONLINE: FineTunedEvents(types, FineTuningParameters(**passes)),
        PULLED: FineTunedEvents(types, FineTuningParameters(**passes, pull=1.0)),
        PROMPTS: PromptTPP(types, PromptTPPParameters(**passes)),
        RETRIEVED: RetrievingEvents(types, RetrievingParameters(**passes, **_MODULATION[kind])),
    }
    return {JOINT: FineTunedEvents(types, FineTuningParameters(**passes)), **found} if kind == REGIMES else found


def _walks(name: str, learner: EventLearner[Any], increments: Sequence[Increment], ahead: bool) -> dict[str, Walk]:
    views: dict[str, View] = {name: lambda _: nullcontext()}
    if isinstance(learner, RetrievingEvents):
        views[TOLD] = lambda number: learner.process.told(number)
    found = walk(learner, increments, ahead=ahead, views=views, first=PRETRAINED if name == ONLINE else "")
    if isinstance(learner, RetrievingEvents):
        found[name].logged = learner.found
    if isinstance(learner, PromptTPP):
        found[name].logged = learner.evenness
    return found


def _joined(increments: Sequence[Increment]) -> Increment:
    """All increments at once; their regimes weigh the same, as they have as many sequences each."""
    parts = ([one.learned for one in increments], [one.held_out for one in increments])
    return Increment(*(EventSequences.joined(part) for part in parts))


def _average(kind: str, one: Walk, figure: str) -> float:
    """At the end for the regimes; over all years from 2021 on, earlier years and the next, for the commits."""
    return one.average(figure, -1 if kind == REGIMES else 1)


def _averages(kind: str, found: Found, name: str, figure: str) -> list[float]:
    return [_average(kind, one, figure) for one in found[name]]


def _forgetting(found: Found, name: str, figure: str) -> list[float]:
    return [one.forgetting(figure) for one in found[name]]


def _better(kind: str, found: Found, figure: str, names: tuple[str, str], bar: float, comparison: Any) -> Bar:
    """How much lower the second contender's figure is than the first's."""
    worse, better = names
    gain = paired_difference(_averages(kind, found, worse, figure), _averages(kind, found, better, figure))
    return Bar(f"{kind}: {_SAYS[figure]}, {worse} over {better}", gain.value, bar, comparison, gain)


def _regime_bars(found: Found) -> list[Bar]:
    lost = bootstrap_interval(_forgetting(found, RETRIEVED, LIKELIHOODS))
    return [
        _better(REGIMES, found, LIKELIHOODS, (RETRIEVED, TOLD), 0.0, ">"),
        _better(REGIMES, found, LIKELIHOODS, (JOINT, RETRIEVED), 0.0, ">"),
        _better(REGIMES, found, LIKELIHOODS, (ONLINE, JOINT), 0.0, ">="),
        _better(REGIMES, found, ERRORS, (ONLINE, RETRIEVED), 5.0, ">="),
        Bar(f"{REGIMES}: forgetting of retrieved, nats", lost.value, _NEAR_ZERO, "<=", lost),
    ]


def _commit_bars(found: Found) -> list[Bar]:
    figures = (LIKELIHOODS, ERRORS)
    others = (PRETRAINED, ONLINE, PULLED)
    gains = [_better(COMMITS, found, figure, (name, RETRIEVED), 0.0, ">") for figure in figures for name in others]
    return [*gains, *(_kept(found, figure) for figure in figures if _forgets(found, figure))]


def _forgets(found: Found, figure: str) -> bool:
    return bootstrap_interval(_forgetting(found, ONLINE, figure)).low > 0


def _kept(found: Found, figure: str) -> Bar:
    online, ours = (_forgetting(found, name, figure) for name in (ONLINE, RETRIEVED))
    over = paired_difference(ours, [lost / 3 for lost in online])
    return Bar(f"{COMMITS}: forgetting, {_SAYS[figure]}, retrieved over a third of online", over.value, 0, "<=", over)


def _says(found: Found) -> list[str]:
    """Say where online fine-tuning does not forget, so that there is nothing to be compared with."""
    return [
        f"{COMMITS}: online fine-tuning's forgetting in {_SAYS[figure]} is not surely above 0"
        for figure in (LIKELIHOODS, ERRORS)
        if not _forgets(found, figure)
    ]


def _row(kind: str, name: str, walks: Sequence[Walk]) -> dict[str, object]:
    found = {name: walks}
    whole = [str(bootstrap_interval(_averages(kind, found, name, figure))) for figure in (LIKELIHOODS, ERRORS)]
    lost = [f"{bootstrap_interval(_forgetting(found, name, figure)).value:.3g}" for figure in (LIKELIHOODS, ERRORS)]
    gaps = [one.gaps for one in walks]
    logged = [sum(one.logged) / len(one.logged) for one in walks if one.logged]
    return {
        "stream": kind,
        "learner": name,
        "nats an event": whole[0],
        "type error %": whole[1],
        "forgetting, nats": "" if name == JOINT else lost[0],
        "forgetting, points": "" if name == JOINT else lost[1],
        "gap error": "" if name == TOLD else f"{sum(gaps) / len(gaps):.3g}",
        "retrieval logged": f"{sum(logged) / len(logged):.2f}" if logged else "",
    }


def _record(found: Mapping[str, Found]) -> dict[str, Any]:
    figures = (LIKELIHOODS, ERRORS, "logged")
    return {
        kind: {
            name: [{figure: getattr(one, figure) for figure in figures} for one in all_of_it]
            for name, all_of_it in walks.items()
        }
        for kind, walks in found.items()
    }


if __name__ == "__main__":
    raise SystemExit(main("event_streams", run))
