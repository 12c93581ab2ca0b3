"""What a metric must keep to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import ClassVar, get_args

import numpy as np

from unlearnkit.contracts import Direction, Metric, Probe, Undefined
from unlearnkit.testing import material
from unlearnkit.testing.contract import Contract


class MetricContract(Contract):
    """One finite value a sample, or the reason why there is none, from the sample's own declared needs."""

    kind: ClassVar[str] = "metric"
    plugin: ClassVar[type[Metric]]

    def probe(self) -> Probe:
        """What is measured; override where made-up samples do not suit the metric."""
        return material.probe(self.make().needs)

    def measure(self, probe: Probe) -> list[float | Undefined]:
        """One checked value a sample."""
        values = list(self.make().measure(probe))
        assert len(values) == len(probe.samples), f"{len(values)} values for {len(probe.samples)} samples"
        for value in values:
            assert isinstance(value, Undefined) or math.isfinite(value), (
                f"{value}: what cannot be computed is Undefined with a reason"
            )
        return values

    def test_one_value_a_sample(self) -> None:
        values = self.measure(self.probe())
        elsewhere = not self.make().needs  # another program finds its values, and no probe has them
        undefined = all(isinstance(value, Undefined) for value in values)
        assert elsewhere or not undefined, f"nothing is defined: {values[0]}"

    def test_nothing_measured_nothing_said(self) -> None:
        assert self.measure(_picked(self.probe(), [])) == []

    def test_a_value_is_its_samples_own(self) -> None:
        probe = self.probe()
        together = self.measure(probe)
        for row, value in enumerate(together):
            assert self.measure(_picked(probe, [row])) == [value], f"sample {row} depends on its neighbours"
        backwards = list(reversed(range(len(together))))
        assert self.measure(_picked(probe, backwards)) == [together[row] for row in backwards]

    def test_summary_keeps_to_its_samples(self) -> None:
        values = np.array([v for v in self.measure(self.probe()) if not isinstance(v, Undefined)])
        for split in ("forget", "retain"):
            terms = self.make().summarise(values.copy(), split)
            assert terms.shape == values.shape, "summarise gives one term a value"
            assert np.isfinite(terms).all()

    def test_direction_is_known(self) -> None:
        assert self.plugin.direction in get_args(Direction)


def _picked(probe: Probe, rows: Sequence[int]) -> Probe:
    """The probe of some of its samples."""
    lists = {field.name: getattr(probe, field.name) for field in fields(probe)}
    return replace(probe, **{name: [kept[row] for row in rows] for name, kept in lists.items() if kept is not None})
