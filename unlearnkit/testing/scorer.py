"""What a difficulty measure must keep to."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice
from typing import Any, ClassVar

import numpy as np
import torch

from unlearnkit.contracts import Bench, Draws, Scorer, Unit
from unlearnkit.testing import material
from unlearnkit.testing.contract import Contract


class ScorerContract(Contract):
    """Units are measured once each, in bits that no interruption changes; the weights stay as they were."""

    kind: ClassVar[str] = "scorer"
    plugin: ClassVar[type[Scorer]]

    def settled(self) -> Scorer:
        """A fresh instance with what it chooses by itself chosen."""
        scorer: Scorer = self.make()
        return replace(scorer, **self.chosen()) if scorer.unsettled else scorer  # type: ignore[type-var]

    def chosen(self) -> Mapping[str, Any]:
        """What it chooses for the bench, which is the same in all tests."""
        case = type(self)
        if case not in _CHOSEN:
            _CHOSEN[case] = self.make().settle(material.bench()).options
        return _CHOSEN[case]

    def measured(self, bench: Bench, todo: Sequence[Unit], stop: int | None = None) -> dict[Unit, np.ndarray]:
        """Units with their values; after `stop` of them the iterator is closed."""
        found: dict[Unit, np.ndarray] = {}
        with closing(self.settled().measure(bench, todo)) as units:  # type: ignore[type-var]
            for unit, values in islice(units, stop):
                assert unit not in found, f"{unit} came twice"
                found[unit] = values
        return found

    def units(self, bench: Bench) -> list[Unit]:
        """All units of the bench, asked for until the scorer has enough."""
        scorer = self.settled()
        draws: Draws = {}
        while missing := [u for u in scorer.units(len(bench.shards), draws) if (u.draw, u.sign) not in draws]:
            draws = {**draws, **_draws(self.measured(bench, missing))}
        return list(scorer.units(len(bench.shards), draws))

    def test_what_it_chooses_it_chooses_once_and_touches_no_weight(self) -> None:
        bench = material.bench()
        before = _weights(bench)
        scorer = self.make()
        if scorer.unsettled:
            chosen = scorer.settle(bench)
            assert json.loads(json.dumps(dict(chosen.options), allow_nan=False)) == chosen.options
            assert json.loads(json.dumps(dict(chosen.found), allow_nan=False)) == chosen.found
            assert chosen.options == self.chosen(), "another time it chose otherwise"
        after = _weights(bench)
        assert all(torch.equal(after[name], before[name]) for name in before), "settle left weights changed"

    def test_units_are_distinct_and_cover_every_shard(self) -> None:
        bench = material.bench()
        units = self.units(bench)
        assert len(set(units)) == len(units), "a unit is listed twice"
        shards = set(range(len(bench.shards)))
        for draw in {(unit.draw, unit.sign) for unit in units}:
            assert {unit.shard for unit in units if (unit.draw, unit.sign) == draw} == shards

    def test_every_unit_has_a_row_a_sample(self) -> None:
        bench = material.bench()
        todo = self.units(bench)
        found = self.measured(bench, todo)
        assert set(found) == set(todo)
        for unit, values in found.items():
            samples = sum(len(batch) for batch in bench.shards[unit.shard])
            assert values.dtype == np.float64
            assert values.ndim == 2
            assert len(values) == samples, f"{unit}: {len(values)} rows for {samples} samples"

    def test_weights_are_as_before_to_the_bit(self) -> None:
        for stop in (None, 0, 1, len(self.units(material.bench())) // 2):
            bench = material.bench()
            before = _weights(bench)
            self.measured(bench, self.units(bench), stop)
            after = _weights(bench)
            assert all(torch.equal(after[name], before[name]) for name in before), f"closed after {stop} units"

    def test_interrupted_and_resumed_gives_the_same_bits(self) -> None:
        whole = material.bench()
        undisturbed = self.measured(whole, self.units(whole))
        for stop in {1, len(undisturbed) // 2}:
            first = self.measured(material.bench(), list(undisturbed), stop)
            rest = self.measured(material.bench(), [unit for unit in undisturbed if unit not in first])
            for unit, values in {**first, **rest}.items():
                assert values.tobytes() == undisturbed[unit].tobytes(), f"{unit} differs after a restart"

    def test_one_score_a_sample(self) -> None:
        bench = material.bench()
        draws = _draws(self.measured(bench, self.units(bench)))
        scores = self.settled().reduce(draws)
        assert len(scores) == sum(len(batch) for shard in bench.shards for batch in shard)
        for score in scores:
            assert score.value is None or math.isfinite(score.value)
            assert score.value is not None or score.status != "ok", "a missing value needs a status that says why"
            assert score.stderr is None or score.stderr >= 0

    def test_agreement_is_a_correlation(self) -> None:
        bench = material.bench()
        agreement = self.settled().agreement(_draws(self.measured(bench, self.units(bench))))
        assert agreement is None or -1 <= agreement <= 1


def _weights(bench: Bench) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in bench.model.state_dict().items()}


def _draws(found: Mapping[Unit, np.ndarray]) -> dict[tuple[int, int], np.ndarray]:
    """Values by draw and sign, shards joined in their order."""
    parts: dict[tuple[int, int], list[np.ndarray]] = {}
    for unit in sorted(found, key=lambda unit: unit.shard):
        parts.setdefault((unit.draw, unit.sign), []).append(found[unit])
    return {key: np.concatenate(arrays) for key, arrays in parts.items()}


_CHOSEN: dict[type[ScorerContract], Mapping[str, Any]] = {}
