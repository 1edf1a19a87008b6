"""Drift detectors find what river's find, at the same place."""

import json

import numpy as np
import pytest

from curate.errors import BadDataError, UnknownNameError
from curate.select.stream.drift import DETECTORS, Adwin, Ddm, PageHinkley, detector_named


def errors(seed: int) -> list[float]:
    """Error rates that jump, creep and fall."""
    chance = np.random.default_rng(seed)
    rates = np.r_[np.full(700, 0.1), np.full(600, 0.45), np.linspace(0.2, 0.6, 900), np.full(700, 0.05)]
    return [float(value) for value in (chance.random(len(rates)) < rates).astype(float)]


def rivers(name: str) -> object:
    drift = pytest.importorskip("river.drift")
    from river.drift.binary import DDM

    return {"adwin": drift.ADWIN, "page-hinkley": drift.PageHinkley, "ddm": DDM}[name]()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", DETECTORS)
def test_drifts_are_found_where_river_finds_them(name: str, seed: int) -> None:
    peer, own, found, expected = rivers(name), detector_named(name), [], []
    for place, error in enumerate(errors(seed)):
        peer.update(error)  # type: ignore[attr-defined]
        expected += [(place, "drift")] if peer.drift_detected else []  # type: ignore[attr-defined]
        warned = name == "ddm" and peer.warning_detected  # type: ignore[attr-defined]
        expected += [(place, "warning")] if warned and not peer.drift_detected else []  # type: ignore[attr-defined]
        verdict = own.update(error)
        found += [(place, verdict)] if verdict else []
    assert found == expected
    assert any(verdict == "drift" for _, verdict in found) or name == "page-hinkley"


def test_page_hinkley_finds_a_jump_where_river_does() -> None:
    drift = pytest.importorskip("river.drift")
    peer, own = drift.PageHinkley(threshold=10.0), PageHinkley(threshold=10.0)
    found, expected = [], []
    for place, error in enumerate(errors(9)):
        peer.update(error)
        found += [place] if own.update(error) else []
        expected += [place] if peer.drift_detected else []
    assert found == expected
    assert found


def test_a_window_grows_where_nothing_changes() -> None:
    chance = np.random.default_rng(1)
    adwin, ddm = Adwin(), Ddm()
    values = (chance.random(2_000) < 0.2).astype(float)
    assert not any(adwin.update(float(value)) for value in values)
    assert adwin.width == 2_000
    assert adwin.mean == pytest.approx(values.mean())
    assert sum(len(row) for row in adwin._rows) < 60
    assert not any(ddm.update(0.0) == "drift" for _ in range(100))


def test_an_unknown_detector_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="adwin"):
        detector_named("adwine")


@pytest.mark.parametrize("name", DETECTORS)
def test_a_restart_at_any_place_changes_nothing(name: str) -> None:
    whole, expected = detector_named(name), []
    cut, found = detector_named(name), []
    for place, error in enumerate(errors(2)):
        expected += [(place, verdict, whole.rose)] if (verdict := whole.update(error)) else []
        found += [(place, verdict, cut.rose)] if (verdict := cut.update(error)) else []
        if place % 37 == 0:
            kept = json.loads(json.dumps(cut.state()))
            cut = detector_named(name)
            cut.load(kept)
    assert found == expected
    assert cut.state() == whole.state()


def test_a_state_of_another_detector_is_refused() -> None:
    with pytest.raises(BadDataError, match="another"):
        Adwin().load(Ddm().state())
    with pytest.raises(BadDataError, match="another"):
        PageHinkley().load(PageHinkley(threshold=10.0).state())


@pytest.mark.parametrize("detector", [Adwin(), PageHinkley(threshold=10.0)])
def test_it_is_told_whether_errors_rose_or_fell(detector: Adwin | PageHinkley) -> None:
    values = np.repeat([0.0, 1.0, 0.0], 200)
    found = [(place // 200, detector.rose) for place, one in enumerate(values) if detector.update(one) == "drift"]
    assert found[0] == (1, True)
    assert found[-1] == (2, False)
