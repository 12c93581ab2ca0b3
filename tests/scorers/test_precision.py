"""Half precision: refused with what would be lost, or forced on a copy; the bench's own model is never touched."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unlearnkit.contracts import Bench, Unit
from unlearnkit.errors import UnlearnkitError
from unlearnkit.scorers.mrd import MRD
from unlearnkit.scorers.precision import arriving, in_precision
from unlearnkit.testing import material


@pytest.fixture
def bench() -> Bench:
    return material.bench()


def copies(on: Bench) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in on.model.state_dict().items()}


def untouched(on: Bench, before: dict[str, torch.Tensor]) -> bool:
    now = on.model.state_dict()
    return all(now[name].dtype == t.dtype and torch.equal(now[name], t) for name, t in before.items())


def by_hand(on: Bench, dtype: torch.dtype, sigma: float) -> float:
    """The share of weights that change when noise of that width is added and rounded, by other random numbers."""
    generator = torch.Generator().manual_seed(11)
    flat = torch.cat([p.detach().flatten() for p in on.model.parameters()]).to(dtype)
    noise = torch.empty(len(flat)).normal_(generator=generator) * sigma
    return float(((flat.float() + noise).to(dtype) != flat).float().mean())


@pytest.mark.parametrize(("precision", "sigma"), [("bfloat16", 1e-4), ("float16", 1e-5), ("bfloat16", 1e-3)])
def test_the_share_of_weights_that_noise_changes_is_measured(bench: Bench, precision: str, sigma: float) -> None:
    changed = arriving(in_precision(bench, precision), sigma)
    assert changed == pytest.approx(by_hand(bench, getattr(torch, precision), sigma), abs=0.02)
    assert 0.001 < changed < 0.99


@pytest.mark.filterwarnings("ignore:sigma=auto found no width")
@pytest.mark.parametrize("sigma", [1e-4, "auto"])
def test_it_is_refused_with_the_figure_before_anything_is_drawn(bench: Bench, sigma: float | str) -> None:
    before = copies(bench)
    scorer = MRD(precision="bfloat16", sigma=sigma)
    assert "precision" in scorer.unsettled
    with pytest.raises(UnlearnkitError, match=r"bfloat16 is too coarse.* [0-9.]+% of the weights") as caught:
        scorer.settle(bench)
    assert caught.value.code == "precision"
    assert "force=true" in caught.value.hint
    assert untouched(bench, before)


def test_forced_it_says_what_the_noise_comes_to_and_how_much_is_round_off(bench: Bench) -> None:
    with pytest.warns(UserWarning, match="bfloat16: the noise changes"):
        settled = MRD(precision="bfloat16", sigma=1e-3, force=True).settle(bench)
    found = settled.found
    assert settled.options == {"sigma": 1e-3}
    assert found["changed"] == arriving(in_precision(bench, "bfloat16"), 1e-3)
    assert found["signal_to_floor"] == pytest.approx(found["signal"] / found["floor"])
    assert found["signal_to_floor"] < 10, "in bfloat16 a second-order difference drowns"


def measured(scorer: MRD, on: Bench) -> dict[Unit, np.ndarray]:
    return dict(scorer.measure(on, scorer.units(len(on.shards), {})))


def test_forced_it_measures_the_model_in_that_precision_and_touches_no_weight(bench: Bench) -> None:
    before = copies(bench)
    forced = measured(MRD(draws=2, precision="bfloat16", force=True), bench)
    assert untouched(bench, before)
    low = material.tiny_model()
    for parameter in low.parameters():
        parameter.data = parameter.data.bfloat16()
    alike = measured(MRD(draws=2), material.bench(low))
    assert {unit: values.tobytes() for unit, values in forced.items()} == {
        unit: values.tobytes() for unit, values in alike.items()
    }
    full = measured(MRD(draws=2), bench)
    assert any(not np.array_equal(values, full[unit]) for unit, values in forced.items())


def test_a_bfloat16_checkpoint_is_scored_in_float32_and_still_fits_its_own_dtype(bench: Bench) -> None:
    for parameter in bench.model.parameters():
        parameter.data = parameter.data.bfloat16().float()
    before = copies(bench)
    on = material.bench(bench.model)  # type: ignore[arg-type]
    found = measured(MRD(draws=2), on)
    assert untouched(on, before)
    assert all(torch.equal(p, p.bfloat16().float()) for p in on.model.parameters())
    assert all(np.isfinite(values).all() for values in found.values())


def test_float32_is_the_bench_itself(bench: Bench) -> None:
    assert in_precision(bench, "float32") is bench
    assert MRD().unsettled == ()
