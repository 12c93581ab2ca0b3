"""For authors of plugins: what a plugin of each kind must keep to, as classes to subclass in pytest.

    from unlearnkit.testing import AlgorithmContract
    from my_package import MyMethod

    class TestMyMethod(AlgorithmContract):
        plugin = MyMethod

The kit's own plugins run the same classes. `material` has the tiny model, batches, probes and columns that
they use, for tests of one's own.
"""

from __future__ import annotations

from unlearnkit.testing.adapter import AdapterContract
from unlearnkit.testing.aggregate import AggregateContract
from unlearnkit.testing.algorithm import AlgorithmContract
from unlearnkit.testing.attack import AttackContract
from unlearnkit.testing.metric import MetricContract
from unlearnkit.testing.sampler import SamplerContract
from unlearnkit.testing.scorer import ScorerContract
from unlearnkit.testing.wrapper import WrapperContract

__all__ = [
    "AdapterContract",
    "AggregateContract",
    "AlgorithmContract",
    "AttackContract",
    "MetricContract",
    "SamplerContract",
    "ScorerContract",
    "WrapperContract",
]
