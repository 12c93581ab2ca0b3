"""draws=auto: enough and no more, the same whatever is stored, and only the passes that the estimator reads."""

from __future__ import annotations

import random
import warnings
from contextlib import closing
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from unlearnkit.contracts import Draws, Unit
from unlearnkit.progress import SILENT
from unlearnkit.scorers.looks import Looks
from unlearnkit.scorers.mrd import MRD
from unlearnkit.scorers.statistics import Halves, split_half_reliability
from unlearnkit.scoring import Ledger, here, measure
from unlearnkit.store import Store
from unlearnkit.testing import ScorerContract, material

BASE = np.array([[-5.0, 3, 0]] * 60)


def simulated(noise: float, draws: int = 200, samples: int = 60, seed: int = 0) -> dict[tuple[int, int], np.ndarray]:
    """Draws of samples whose true values spread with variance 1, both signs with first-order noise that cancels."""
    rng = np.random.default_rng(seed)
    truth = 20 + rng.normal(size=(samples, 1))
    found = {(-1, 0): BASE[:samples]}
    for k in range(draws):
        pair, odd = truth + noise * rng.normal(size=(samples, 1)), 5 * rng.normal(size=(samples, 1))
        found |= {(k, 1): pair + odd, (k, -1): pair - odd}
    return found


def prefix(draws: Draws, count: int) -> dict[tuple[int, int], np.ndarray]:
    return {key: values for key, values in draws.items() if key[0] < count}


def count(scorer: MRD, draws: Draws) -> int:
    return len({unit.draw for unit in scorer.units(1, draws) if unit.draw >= 0})


def grown(scorer: MRD, everything: Draws) -> int:
    """Draws at which a scorer that starts with none comes to rest."""
    have: Draws = {}
    while (wanted := count(scorer, have)) > len({k for k, _ in have if k >= 0}):
        have = prefix(everything, wanted)
    return wanted


SIZES = [4, 6, 8, 10, 12, 14, 16, 20, 24, 30, 36, 44, 54, 66, 82, 102, 126]
"""A quarter more each time, at least 2, rounded down to an even number more."""


@pytest.mark.parametrize(("target", "noise"), [(0.5, 1.0), (0.9, 1.0), (0.9, 2.0), (0.95, 2.0)])
def test_it_stops_where_the_target_is_reached_at_two_looks_in_a_row(target: float, noise: float) -> None:
    draws, scorer = simulated(noise), MRD(draws="auto", reliability=target)
    enough = grown(scorer, draws)
    pairs = np.stack([(draws[k, 1][:, 0] + draws[k, -1][:, 0]) / 2 for k in range(enough)])
    reached = [(split_half_reliability(pairs[:n]) or 0) >= target for n in SIZES if n <= enough]
    assert [all(two) for two in pairwise(reached)] == [False] * (len(reached) - 2) + [True]
    assert scorer.agreement(draws) == split_half_reliability(pairs)
    # True reliability is 1 / (1 + noise²/n): the number at which it reaches the target, within what chance makes of it.
    needed = noise**2 * target / (1 - target)
    assert max(6, needed / 2) <= enough <= max(8, 2 * needed)


def test_few_stop_below_their_target() -> None:
    """Against what is known of simulated samples: the mean correlation with rankings by as many fresh draws. A rule
    that is content with one look has 11 below here."""
    below = 0
    for seed in range(40):
        draws, scorer = simulated(1.5, samples=40, seed=seed), MRD(draws="auto", reliability=0.9)
        enough = grown(scorer, draws)
        mine = [score.value for score in MRD(draws=enough).reduce(draws)]
        rng = np.random.default_rng(seed)
        truth = 20 + rng.normal(size=40)
        fresh = truth + 1.5 / enough**0.5 * rng.normal(size=(20, 40))
        below += np.mean([spearmanr(mine, other).statistic for other in fresh]) < 0.9
    assert below <= 7


def test_looks_are_few_and_no_draw_is_made_far_in_vain() -> None:
    sizes, have = [], {}
    scorer, draws = MRD(draws="auto", reliability=0.999, max_draws=60), simulated(noise=30)
    while not sizes or count(scorer, have) > sizes[-1]:
        sizes.append(count(scorer, have))
        have = prefix(draws, sizes[-1])
    assert sizes[:3] == [4, 6, 8]
    assert sizes[-1] == 60
    assert len(sizes) < 16
    assert all(b - a <= max(2, a / 4) for a, b in pairwise(sizes))


def test_each_draw_is_taken_in_once_however_often_is_looked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With a real ledger, which asks anew after every piece that it stores."""
    taken, add = [], Halves.add
    monkeypatch.setattr(Halves, "add", lambda halves, draw: taken.append(draw) or add(halves, draw))
    scorer, on = MRD(draws="auto", reliability=0.999, max_draws=16), material.bench()
    with Store.open(tmp_path / "store.db") as store:
        ledger = Ledger(store, "series", scorer, len(on.shards))
        measure(ledger, here(scorer, on), SILENT)
        with pytest.warns(UserWarning, match="gave up"):
            assert ledger.outcome().draws == 16
    assert len(taken) == 16


def test_other_draws_are_seen_afresh() -> None:
    first, second = (
        [(values,) for (k, sign), values in simulated(1.0, draws=8, seed=seed).items() if sign == 1] for seed in (0, 1)
    )

    def fresh(base: np.ndarray, draws: list) -> float | None:
        return Looks(lambda draw: draw[0][:, 0]).reliability(base, draws)

    looks, other = Looks(lambda draw: draw[0][:, 0]), BASE.copy()
    mixed = [*first[:3], *second[3:]]
    for base, draws in ((BASE, first[:4]), (BASE, first), (BASE, mixed), (BASE, first[:6]), (other, first[:6])):
        assert looks.reliability(base, draws) == fresh(base, draws)


def test_stored_draws_beyond_those_it_needs_change_nothing() -> None:
    draws, scorer = simulated(noise=1.0), MRD(draws="auto", reliability=0.9)
    enough = grown(scorer, draws)
    assert count(scorer, draws) == enough < 200
    assert scorer.reduce(draws) == scorer.reduce(prefix(draws, enough))
    assert scorer.units(2, draws) == scorer.units(2, prefix(draws, enough))


def test_a_hole_in_what_is_stored_is_filled_before_anything_is_judged() -> None:
    draws, scorer = simulated(noise=1.0), MRD(draws="auto", reliability=0.9)
    del draws[2, -1]
    assert count(scorer, draws) == 4
    assert count(scorer, {}) == 4


def test_the_bound_holds_where_no_number_is_enough() -> None:
    hopeless = simulated(noise=100.0)
    assert count(MRD(draws="auto", max_draws=10), hopeless) == 10
    assert count(MRD(draws="auto", max_draws=3), hopeless) == 3


def test_at_the_bound_it_says_what_it_fell_short_of() -> None:
    scorer, hopeless = MRD(draws="auto", max_draws=10), simulated(noise=100.0)
    with pytest.warns(UserWarning, match=r"after 10 draws.*0\.95.*max_draws"):
        scorer.reduce(hopeless)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MRD(draws="auto", reliability=0.5).reduce(simulated(noise=0.5))


def test_a_target_that_is_reached_at_the_bound_alone_has_not_stayed() -> None:
    draws = simulated(noise=1.0)
    reached = [n for n in SIZES if MRD(draws=n).agreement(draws) >= 0.9]
    assert reached[1] > reached[0]
    scorer = MRD(draws="auto", reliability=0.9, max_draws=reached[0])
    with pytest.warns(UserWarning, match=r"did not stay at 0\.9 or above"):
        scorer.reduce(draws)


def test_what_cannot_be_ranked_is_not_drawn_for_ever() -> None:
    assert count(MRD(draws="auto"), simulated(noise=1.0, samples=2)) == 4


def test_samples_without_a_value_have_no_part_in_the_reliability() -> None:
    draws = simulated(noise=0.5)
    alone = MRD().agreement(draws)
    for key, values in draws.items():
        known = np.array([[0.0, 3, 3]]) if key == (-1, 0) else np.full((1, 1), 1e9 * (key[0] + 1))
        draws[key] = np.concatenate([values, known])
    assert MRD().agreement(draws) == alone


@pytest.mark.parametrize("estimator", ["plain", "mean-abs"])
def test_one_side_is_all_that_it_draws_for(estimator: str) -> None:
    scorer = MRD(draws=3, estimator=estimator)
    units = scorer.units(2, {})
    assert {unit.sign for unit in units if unit.draw >= 0} == {1}
    assert set(units) < set(MRD(draws=3).units(2, {}))
    draws = simulated(noise=1.0)
    one_side = {key: values for key, values in draws.items() if key[1] >= 0}
    assert scorer.reduce(one_side) == scorer.reduce(draws)
    assert scorer.agreement(one_side) == scorer.agreement(draws)


def stored(blocks: dict[Unit, np.ndarray], shards: int) -> Draws:
    keys = {(unit.draw, unit.sign) for unit in blocks}
    whole = [key for key in sorted(keys) if all(Unit(*key, s) in blocks for s in range(shards))]
    return {key: np.concatenate([blocks[Unit(*key, s)] for s in range(shards)]) for key in whole}


def until_enough(scorer: MRD, kill: random.Random | None = None) -> tuple[dict[Unit, np.ndarray], int]:
    """What is stored when the scorer has enough, where a process dies after any number of units, and how many did."""
    blocks: dict[Unit, np.ndarray] = {}
    lives = 0
    while True:
        on = material.bench()
        todo = [u for u in scorer.units(len(on.shards), stored(blocks, len(on.shards))) if u not in blocks]
        if not todo:
            return blocks, lives
        lives += 1
        with closing(scorer.measure(on, todo)) as units:
            blocks |= dict(islice(units, kill.randint(1, 6) if kill else None))


@pytest.mark.filterwarnings("ignore:draws=auto gave up")
def test_a_process_that_dies_again_and_again_comes_to_the_same_draws_and_scores() -> None:
    scorer = MRD(draws="auto", reliability=0.95, max_draws=8)
    whole, _ = until_enough(scorer)
    broken, lives = until_enough(scorer, random.Random(1))
    assert lives > 6
    assert {unit: values.tobytes() for unit, values in whole.items()} == {
        unit: values.tobytes() for unit, values in broken.items()
    }
    assert scorer.reduce(stored(whole, 2)) == scorer.reduce(stored(broken, 2))


@pytest.mark.parametrize("seed", range(3))
def test_units_give_the_same_bits_in_any_order(seed: int) -> None:
    scorer, on = MRD(draws=3), material.bench()
    todo = list(scorer.units(len(on.shards), {}))
    whole = dict(scorer.measure(on, todo))
    random.Random(seed).shuffle(todo)
    shuffled = dict(scorer.measure(material.bench(), todo))
    assert {unit: values.tobytes() for unit, values in whole.items()} == {
        unit: values.tobytes() for unit, values in shuffled.items()
    }


@pytest.mark.filterwarnings("ignore:draws=auto gave up")
class TestAdaptiveMRD(ScorerContract):
    plugin = MRD
    options = {"draws": "auto", "reliability": 0.8, "max_draws": 6}  # noqa: RUF012
