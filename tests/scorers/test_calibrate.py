"""sigma=auto: the widest noise that is quadratic, on functions of a known law, and what is said where there is none."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from unlearnkit.contracts import Bench
from unlearnkit.scorers.calibrate import MARGIN, SAMPLES, START, TOLERANCE, Calibration, choose_sigma
from unlearnkit.scorers.mrd import MRD
from unlearnkit.testing import ScorerContract, material

CURVATURES = np.array([1.0, 4.0, 2.0])


class Law(Calibration):
    """A model whose MRD is c σ² (1 + bend · σ²), plus round-off that no width changes."""

    def __init__(self, bend: float = 0.0, noise: float = 0.0, curvatures: np.ndarray = CURVATURES) -> None:
        self.bend, self.noise, self.curvatures = bend, noise, curvatures
        self.asked: list[float] = []

    def pairs(self, sigma: float) -> np.ndarray:
        self.asked.append(sigma)
        value = self.curvatures * sigma**2 * (1 + self.bend * sigma**2)
        return np.stack([value + self.noise, value + self.noise])

    def floor(self) -> float:
        return self.noise


def test_what_is_quadratic_at_once_takes_the_widest_noise() -> None:
    found = choose_sigma(Law())
    assert (found["sigma"], found["check"]) == (START, "quadratic")
    assert found["ratio"] == pytest.approx(1)
    assert found["walked"] == [{"sigma": START, "curvature": pytest.approx(2), "ratio": pytest.approx(1)}]


@pytest.mark.parametrize("bend", [1e3, 1e5, 1e6])
def test_it_walks_down_until_halving_changes_the_curvature_by_a_tenth(bend: float) -> None:
    """C(σ)/C(σ/2) = (1 + b σ²) / (1 + b σ²/4) is 1.1 where b σ² = 0.1 / 0.725."""
    found = choose_sigma(Law(bend))
    widest = (0.1 / 0.725 / bend) ** 0.5
    assert widest / 2 < found["sigma"] <= widest
    assert found["check"] == "quadratic"
    b = bend * found["sigma"] ** 2
    assert found["ratio"] == pytest.approx((1 + b) / (1 + b / 4))
    assert [row["sigma"] for row in found["walked"]] == [START / 2**i for i in range(len(found["walked"]))]


def test_each_width_is_measured_once() -> None:
    law = Law(1e5)
    choose_sigma(law)
    assert len(set(law.asked)) == len(law.asked)


def test_one_sample_of_another_law_does_not_decide() -> None:
    wild = np.array([1.0, 2.0, 1e9, 3.0, np.nan])
    assert choose_sigma(Law(curvatures=wild[:4]))["sigma"] == START


def test_where_round_off_comes_first_the_nearest_clear_width_is_taken_and_named() -> None:
    found = choose_sigma(Law(bend=1e5, noise=1e-6))  # quadratic below 1.2e-3, where half of it gives 7e-7
    assert found["check"] == "not quadratic"
    assert 2 * (found["sigma"] / 2) ** 2 * (1 + 1e5 * (found["sigma"] / 2) ** 2) >= MARGIN * 1e-6
    assert abs(found["ratio"] - 1) > TOLERANCE
    assert found["signal_to_floor"] > MARGIN


def test_where_all_is_round_off_that_is_said() -> None:
    found = choose_sigma(Law(noise=1.0))
    assert (found["check"], found["sigma"]) == ("round-off", START)
    assert len(found["walked"]) == 1, "a narrower noise would only drown deeper"


@pytest.mark.parametrize("curvature", [0.0, np.nan])
def test_a_model_without_any_signal_ends_the_walk(curvature: float) -> None:
    found = choose_sigma(Law(curvatures=np.full(3, curvature)))
    assert found["check"] == "round-off"
    assert json.loads(json.dumps(found, allow_nan=False)) == found


# ------------------------------------------------------------------------------------------------------- a real bench


@pytest.fixture
def bench() -> Bench:
    return material.bench(n=11)


def weights(on: Bench) -> list[torch.Tensor]:
    return [p.detach().clone() for p in on.model.parameters()]


def test_samples_are_spread_over_the_lengths(bench: Bench) -> None:
    seen: list[int] = []
    scores = bench.scores

    def watch(batch: Any) -> Any:
        seen.append(int(batch.mask.sum(-1).item()))
        return scores(batch)

    bench.scores = watch  # type: ignore[method-assign]
    Calibration(bench, 1e-6).pairs(1e-2)
    lengths = [int(n) for shard in bench.shards for batch in shard for n in batch.mask.sum(-1)]
    assert len(seen) == SAMPLES * 5  # unperturbed, and two pairs
    assert {min(lengths), max(lengths)} <= set(seen)
    assert sorted(seen[:SAMPLES]) == seen[:SAMPLES] or sorted(seen[:SAMPLES], reverse=True) == seen[:SAMPLES]


def test_round_off_is_far_below_the_signal_and_stays_when_there_is_no_noise_to_speak_of(bench: Bench) -> None:
    calibration = Calibration(bench, 1e-6)
    floor = calibration.floor()
    assert 0 < floor < 1e-5
    assert float(np.median(calibration.signal(1e-2))) > 1000 * floor
    # At 1e-9 the curvature is 14 orders below that at 1e-2: what is there is round-off, or nothing moved at all.
    assert float(np.median(np.abs(calibration.pairs(1e-9)))) < 10 * floor


def test_auto_finds_a_width_at_which_the_score_grows_with_its_square(bench: Bench) -> None:
    before = weights(bench)
    settled = MRD(sigma="auto").settle(bench)
    assert all(torch.equal(a, b) for a, b in zip(before, weights(bench), strict=True))
    assert settled.found["check"] == "quadratic"
    assert json.loads(json.dumps(settled.found, allow_nan=False)) == settled.found
    sigma = settled.options["sigma"]
    calibration = Calibration(bench, 1e-6)
    ratios = calibration.signal(sigma) / calibration.signal(sigma / 2) / 4
    assert float(np.median(np.abs(ratios - 1))) <= TOLERANCE
    assert settled.found["signal_to_floor"] > MARGIN


def test_the_answer_is_the_same_every_time(bench: Bench) -> None:
    assert MRD(sigma="auto").settle(bench) == MRD(sigma="auto").settle(material.bench(n=11))


def test_what_is_given_is_not_settled() -> None:
    assert MRD().unsettled == ()
    assert MRD(sigma="auto").unsettled == ("sigma",)


class TestMRDThatFindsItsSigma(ScorerContract):
    plugin = MRD
    options = {"draws": 2, "sigma": "auto"}  # noqa: RUF012
