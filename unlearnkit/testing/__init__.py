"""For authors of plugins: what a plugin of each kind must keep to, as classes to subclass in pytest.

    from unlearnkit.testing import AlgorithmContract
    from my_package import MyMethod

    class TestMyMethod(AlgorithmContract):
        plugin = MyMethod

The kit's own plugins run the same classes. `material` has the tiny model, batches, probes and columns that
they use, for tests of one's own. Classes are imported when they are used: a package can be checked (`package`) from a
process that has no model library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unlearnkit.testing.adapter import AdapterContract
    from unlearnkit.testing.aggregate import AggregateContract
    from unlearnkit.testing.algorithm import AlgorithmContract
    from unlearnkit.testing.attack import AttackContract
    from unlearnkit.testing.metric import MetricContract
    from unlearnkit.testing.sampler import SamplerContract
    from unlearnkit.testing.scorer import ScorerContract
    from unlearnkit.testing.suite import SuiteContract
    from unlearnkit.testing.tracker import TrackerContract
    from unlearnkit.testing.wrapper import WrapperContract

__all__ = [
    "AdapterContract",
    "AggregateContract",
    "AlgorithmContract",
    "AttackContract",
    "MetricContract",
    "SamplerContract",
    "ScorerContract",
    "SuiteContract",
    "TrackerContract",
    "WrapperContract",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(f"{__name__}.{name.removesuffix('Contract').lower()}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
