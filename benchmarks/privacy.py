"""Personal data and secrets: what the filter finds, rightly or not, and how quickly, beside its peers.

Planted texts come from five seeds whose sentences and values no rule was made with. A planted value is found if a
finding of its kind overlaps it, and a finding is right if it overlaps a planted value of its kind; intervals are a
bootstrap over texts. Presidio is compared on the kinds and countries that it knows, by its recognizers by pattern and
what they score at 0.4 or more (what lies below needs words around to be a finding); detect-secrets on lines, for it
tells no places, and some of the planted forms are newer than it. Real texts are pieces of code, headers, JSON and prose
found in this Python installation: whatever is found there is counted by kind, right or wrong.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from benchmarks.harness.bars import Bar
from benchmarks.harness.command import Options, Result, main
from benchmarks.harness.corpora import corpus
from benchmarks.harness.paired import Timings, take_turns
from benchmarks.harness.planted_privacy import NATIONAL_REGIONS, Labelled, Planter
from benchmarks.harness.privacy_peers import Found, detect_secrets, presidio
from curate.select.filtering import FilterRule
from curate.select.privacy.credentials import Secrets
from curate.select.privacy.personal_data import PersonalData
from curate.statistics import Interval, bootstrap_interval

PACKAGES = ("curate", "detect-secrets", "faker", "phonenumbers", "presidio-analyzer", "python-stdnum")
_ANY = "secret"
Search = Callable[[Sequence[str]], list[Found]]


def run(options: Options) -> Result:
    """Plant, search and compare; then search real texts; then time."""
    seeds = range(1_000 + options.seed, 1_000 + options.seed + (2 if options.quick else 5))
    count = 60 if options.quick else 200
    personal = [text for seed in seeds for text in Planter(seed, "test", "personal").texts(count)]
    secret = [text for seed in seeds for text in Planter(seed, "test", "secrets").texts(count)]
    real = corpus(300 if options.quick else 2_000, 0, options.seed).texts
    options.note(f"{len(personal):,} and {len(secret):,} planted texts of {len(seeds)} seeds, {len(real):,} real ones")
    personals: dict[str, Search] = {
        "curate, regions": _ours(PersonalData(regions=NATIONAL_REGIONS)),
        "curate, default": _ours(PersonalData()),
        "presidio": presidio(0.4),
    }
    secrets: dict[str, Search] = {"curate": _ours(Secrets()), "detect-secrets": detect_secrets}
    found = {name: search([one.text for one in personal]) for name, search in personals.items()}
    found_secrets = {name: search([one.text for one in secret]) for name, search in secrets.items()}
    options.note("searching real texts")
    in_real = {name: _per_thousand(searches[name](real)) for searches in (personals, secrets) for name in searches}
    sample = real[: 100 if options.quick else 200]
    timings = [
        take_turns({name: _timed(search, sample) for name, search in group.items()}) for group in (personals, secrets)
    ]
    rows = [_row("personal data", name, personal, hits, timings[0], sample, in_real) for name, hits in found.items()]
    rows += [_row("secrets", name, secret, hits, timings[1], sample, in_real) for name, hits in found_secrets.items()]
    bars = [*_personal_bars(personal, found, options.seed), *_secret_bars(secret, found_secrets, options.seed)]
    bars += [*_real_bars(in_real), *_speed_bars(timings, options.seed)]
    details = {
        "recall by kind": {name: _by_kind(personal, hits) for name, hits in found.items()},
        "secrets by kind": _by_kind(secret, found_secrets["curate"]),
        "findings in 1,000 real texts": in_real,
    }
    return Result(bars, rows, details, PACKAGES)


def _ours(rule: FilterRule) -> Search:
    return lambda texts: [[(one.start, one.end, one.kind) for one in found] for found in rule.findings(texts)]


def _timed(search: Search, texts: Sequence[str]) -> Callable[[], object]:
    return lambda: search(texts)


def _counts(
    texts: Sequence[Labelled], found: Sequence[Found], *, shared: bool = False, lines: bool = False
) -> np.ndarray:
    """Return for each text: how many planted, how many of them found, how many findings, how many of them right."""
    return np.array([_count(text, hits, shared, lines) for text, hits in zip(texts, found, strict=True)], np.float64)


def _count(text: Labelled, hits: Found, shared: bool, lines: bool) -> tuple[int, int, int, int]:
    planted = [(one.start, one.end, one.kind) for one in text.planted if one.shared or not shared]
    others = [(one.start, one.end, one.kind) for one in text.planted if shared and not one.shared]
    if lines:
        planted, hits = [(*one[:2], _ANY) for one in planted], _whole_lines(text.text, hits)
    hits = [hit for hit in hits if not any(hit[0] < one[1] and one[0] < hit[1] for one in others)]
    caught = sum(any(_meets(one, hit) for hit in hits) for one in planted)
    right = sum(any(_meets(one, hit) for one in planted) for hit in hits)
    return len(planted), caught, len(hits), right


def _meets(one: tuple[int, int, str], other: tuple[int, int, str]) -> bool:
    return one[0] < other[1] and other[0] < one[1] and one[2] == other[2]


def _whole_lines(text: str, hits: Found) -> Found:
    """Widen findings to their lines, as detect-secrets tells them, each line once."""
    widened = {
        (text.rfind("\n", 0, start) + 1, (text + "\n").find("\n", max(start, end - 1)) + 1, _ANY)
        for start, end, _ in hits
    }
    return sorted(widened)


def _recall(counts: np.ndarray) -> float:
    return float(counts[:, 1].sum() / max(counts[:, 0].sum(), 1))


def _precision(counts: np.ndarray) -> float:
    return float(counts[:, 3].sum() / max(counts[:, 2].sum(), 1))


def _interval(counts: np.ndarray, statistic: Callable[[np.ndarray], float], seed: int) -> Interval:
    return bootstrap_interval(counts, statistic, resamples=500, seed=seed)


def _personal_bars(texts: Sequence[Labelled], found: Mapping[str, Sequence[Found]], seed: int) -> list[Bar]:
    ours = _counts(texts, found["curate, regions"])
    recall, precision = _interval(ours, _recall, seed), _interval(ours, _precision, seed)
    bars = [
        Bar("recall, personal data", recall.value, 0.95, interval=recall),
        Bar("precision, personal data", precision.value, 0.97, interval=precision),
    ]
    own = _counts(texts, found["curate, regions"], shared=True)
    both = np.hstack([own, _counts(texts, found["presidio"], shared=True)])
    return [*bars, *_differences("presidio, what both know", both, seed)]


def _secret_bars(texts: Sequence[Labelled], found: Mapping[str, Sequence[Found]], seed: int) -> list[Bar]:
    ours = _counts(texts, found["curate"])
    recall, precision = _interval(ours, _recall, seed), _interval(ours, _precision, seed)
    both = np.hstack([_counts(texts, found[name], lines=True) for name in ("curate", "detect-secrets")])
    return [
        Bar("recall, secrets", recall.value, 0.95, interval=recall),
        Bar("precision, secrets", precision.value, 0.97, interval=precision),
        *_differences("detect-secrets, by lines", both, seed),
    ]


def _differences(peer: str, both: np.ndarray, seed: int) -> list[Bar]:
    recall = _interval(both, lambda rows: _recall(rows[:, :4]) - _recall(rows[:, 4:]), seed)
    precision = _interval(both, lambda rows: _precision(rows[:, :4]) - _precision(rows[:, 4:]), seed)
    return [
        Bar(f"recall minus {peer}", recall.value, 0, interval=recall),
        Bar(f"precision minus {peer}", precision.value, 0, interval=precision),
    ]


def _real_bars(in_real: Mapping[str, Mapping[str, float]]) -> list[Bar]:
    rare = sum(value for kind, value in in_real["curate, default"].items() if kind != "email address")
    return [
        Bar("findings in 1,000 real texts, but email addresses", rare, 3, "<="),
        Bar("secrets found in 1,000 real texts", sum(in_real["curate"].values()), 3, "<="),
    ]


def _speed_bars(timings: Sequence[Timings], seed: int) -> list[Bar]:
    personal = timings[0].times_faster("curate, default", "presidio", seed)
    secret = timings[1].times_faster("curate", "detect-secrets", seed)
    return [
        Bar("items/s over presidio", personal.value, 2, interval=personal),
        Bar("items/s over detect-secrets", secret.value, 2, interval=secret),
    ]


def _per_thousand(found: Sequence[Found]) -> dict[str, float]:
    counts = Counter(kind for hits in found for _, _, kind in hits)
    return {kind: round(1_000 * count / len(found), 3) for kind, count in sorted(counts.items())}


def _by_kind(texts: Sequence[Labelled], found: Sequence[Found]) -> dict[str, dict[str, float]]:
    kinds = sorted({one.kind for text in texts for one in text.planted})
    return {kind: _of_kind(kind, texts, found) for kind in kinds}


def _of_kind(kind: str, texts: Sequence[Labelled], found: Sequence[Found]) -> dict[str, float]:
    only = [Labelled(text.text, tuple(one for one in text.planted if one.kind == kind)) for text in texts]
    counts = _counts(only, [[hit for hit in hits if hit[2] == kind] for hits in found])
    return {
        "recall": round(_recall(counts), 4),
        "precision": round(_precision(counts), 4),
        "planted": int(counts[:, 0].sum()),
    }


def _row(
    rule: str,
    name: str,
    texts: Sequence[Labelled],
    found: Sequence[Found],
    timings: Timings,
    sample: Sequence[str],
    in_real: Mapping[str, Mapping[str, float]],
) -> dict[str, float | str]:
    counts = _counts(texts, found, shared=True, lines=rule == "secrets")
    return {
        "rule": rule,
        "method": name,
        "recall": _recall(counts),
        "precision": _precision(counts),
        "per 1,000 real texts": sum(in_real[name].values()),
        "items/s": len(sample) / timings.median(name),
    }


if __name__ == "__main__":
    sys.exit(main("privacy", run))
