"""A fused cross-entropy says what logits would, is used where that is so, and its logits are made where they are asked
for and nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import CohereConfig, CohereForCausalLM, Gemma2Config, Gemma2ForCausalLM

from unlearnkit.contracts import Batch
from unlearnkit.errors import UnlearnkitError
from unlearnkit.losses import label_logits, label_scores
from unlearnkit.testing.material import batch, encoded, padded, tiny_model
from unlearnkit.training import loop, words
from unlearnkit.training.finetune import FineTuning
from unlearnkit.training.fused import Fused, Kernel, plain_head, tried
from unlearnkit.training.loop import Trainer
from unlearnkit.training.plan import TrainingPlan
from unlearnkit.training.step import MirroredPasses, Passes, StartingPasses

V = 64
SHAPE = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2,
    "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 1,
    "eos_token_id": 2,
}  # fmt: skip


def by_tokens(states: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
    """One token after the other: no more than one row of logits at a time."""
    rows = zip(states, targets, strict=True)
    return torch.stack([F.linear(state, weight, bias).log_softmax(-1)[target] for state, target in rows])


def a_tenth_off(*args: Any) -> Tensor:
    return by_tokens(*args) + 0.1


class _Evenly(torch.autograd.Function):
    """A gradient that is right where all tokens have the same one from above, as those worked out on the way there
    are."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        with torch.enable_grad():
            leaves = [states.detach().requires_grad_(), weight.detach().requires_grad_()]
            found = by_tokens(*leaves, None, targets)
            ctx.save_for_backward(*torch.autograd.grad(found.sum(), leaves))
        return found.detach()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        return *(upstream.mean() * gradient for gradient in ctx.saved_tensors), None


def evenly(states: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
    assert bias is None
    return _Evenly.apply(states, weight, targets)  # type: ignore[no-any-return]


def with_bias() -> nn.Module:
    model = tiny_model()
    model.lm_head = nn.Linear(32, V)
    nn.init.normal_(model.lm_head.bias)
    return model


def gemma(cap: float | None) -> nn.Module:
    """Logits near 0, where a cap at 30 changes less than float32 rounds: no value shows it."""
    return Gemma2ForCausalLM(Gemma2Config(**SHAPE, final_logit_softcapping=cap, initializer_range=1e-3))


def hooked() -> nn.Module:
    model = tiny_model()
    model.lm_head.register_forward_hook(lambda *_: None)
    return model


class Wrapped(nn.Linear):
    """What stands in the place of a layer that something is added to; at first it adds nothing."""


def added_to() -> nn.Module:
    model = tiny_model()
    head = Wrapped(32, V, bias=False)
    head.weight = model.lm_head.weight
    model.lm_head = head
    return model


class Headless(nn.Module):
    def forward(self, input_ids: Tensor) -> Tensor:
        raise AssertionError("it need not run")


# ---------------------------------------------------------------------------------------------------- where it is used


@pytest.mark.parametrize("model", [tiny_model, with_bias, lambda: gemma(None)], ids=["plain", "bias", "uncapped"])
def test_a_right_one_is_used_where_logits_are_the_heads_output(model: Callable[[], nn.Module]):
    made = model().train()
    before = {name: p.detach().clone() for name, p in made.named_parameters()}
    assert tried(made, by_tokens, batch(2)) == Fused(by_tokens)
    assert made.training and all(p.grad is None and torch.equal(p, before[name]) for name, p in made.named_parameters())


@pytest.mark.parametrize("kernel", [a_tenth_off, evenly])
def test_a_wrong_one_is_not(kernel: Kernel):
    assert tried(tiny_model(), kernel, batch(2)) is None


def test_a_float64_model_is_not_given_to_less():
    assert tried(tiny_model().double(), by_tokens, batch(2)) == Fused(by_tokens)
    assert tried(tiny_model().double(), lambda *args: by_tokens(*args).float(), batch(2)) is None


@pytest.mark.parametrize(
    "model",
    [lambda: gemma(30.0), lambda: CohereForCausalLM(CohereConfig(**SHAPE)), hooked, added_to, Headless],
    ids=["capped", "scaled", "hooked", "added-to", "headless"],
)
def test_a_model_that_does_more_is_not_given_to_it(model: Callable[[], nn.Module]):
    made = model()
    assert tried(made, by_tokens, batch(2)) is None


def test_a_cap_is_found_that_no_value_shows():
    """What the test of capped models rests on."""
    model, at = gemma(30.0), batch(2)
    head = plain_head(model)
    assert head is not None
    with torch.no_grad():
        states = model.model(input_ids=at.ids, attention_mask=at.mask).last_hidden_state[:, :-1]
        mine = by_tokens(states[at.labels[:, 1:] != -100], head.weight, None, label_logits(model, at).targets)
        own = label_scores(model, at)
    torch.testing.assert_close(mine, own.logprobs[own.mask], rtol=1e-5, atol=1e-5)


def test_one_that_does_not_run_is_told_of():
    def broken(*_: Any) -> Tensor:
        raise RuntimeError("no compiler")

    with pytest.raises(UnlearnkitError, match="does not run here: RuntimeError: no compiler") as caught:
        tried(tiny_model(), broken, batch(2))
    assert caught.value.code == "fused" and "UNLEARNKIT_FUSED" in str(caught.value.hint)


# ------------------------------------------------------------------------------------------------------ what it changes


class Widths(TorchDispatchMode):
    """The largest number of rows of vocabulary width that any operation gave, views of a weight aside."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if isinstance(found, torch.Tensor) and found.shape[-1:] == (V,) and not func.is_view:
            self.rows = max(self.rows, found.numel() // V)
        return found


@pytest.mark.parametrize(("look", "rows"), [({}, None), ({"look": Fused(by_tokens)}, 1)], ids=["plain", "fused"])
def test_scores_alone_make_no_logits(look: dict[str, Any], rows: int | None):
    at = batch(6)
    n = int((at.labels[:, 1:] != -100).sum())
    with Widths() as widths:
        Passes(gemma(None), [at], cuts=False, **look).scores(at).nll.square().sum().backward()
    assert widths.rows == (rows or n)


def batches() -> list[Batch]:
    return [padded(batch(4, seed=1), 5), batch(3, seed=2)]


def loss(passes: Passes, of: list[Batch], what: str) -> Tensor:
    """Each token with a gradient of its own, from scores, logits or both."""
    parts = []
    for i, one in enumerate(of):
        if what != "logits":
            parts.append((i + 1) * passes.scores(one).nll.square().sum())
        if what != "scores":
            parts.append((i - 2) * passes.logits(one).values.square().mean())
    return torch.stack(parts).sum()


@pytest.mark.parametrize("what", ["scores", "logits", "both"])
@pytest.mark.parametrize("model", [tiny_model, with_bias])
def test_values_and_gradients_are_those_of_logits(what: str, model: Callable[[], nn.Module]):
    torch.manual_seed(0)
    made, of, found = model().double(), batches(), []
    for look in ({}, {"look": Fused(by_tokens)}):
        made.zero_grad()
        value = loss(Passes(made, of, **look), of, what)
        value.backward()
        found.append([value.detach(), *(p.grad.clone() for p in made.parameters() if p.grad is not None)])
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


def test_the_starting_model_is_read_with_its_own_head():
    model, start = tiny_model(), {n: p.detach() for n, p in tiny_model(seed=1).named_parameters()}
    plain, fused = (StartingPasses(model, start, **look) for look in ({}, {"look": Fused(by_tokens)}))
    for one in batches():
        scores, logits = fused.scores(one).logprobs, fused.logits(one).values
        torch.testing.assert_close(scores, plain.scores(one).logprobs, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(logits, plain.logits(one).values, rtol=1e-5, atol=1e-5)
        assert not scores.requires_grad and not logits.requires_grad


def test_the_mirrored_model_hands_its_gradient_on():
    start = {n: p.detach() for n, p in tiny_model(seed=1).double().named_parameters()}
    found = []
    for look in ({}, {"look": Fused(by_tokens)}):
        model, of = tiny_model().double(), batches()
        loss(MirroredPasses(model, start, 2.0, **look), of, "both").backward()
        found.append([p.grad for p in model.parameters()])
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


def test_a_second_derivative_is_refused():
    model, at = tiny_model(), batch(3)
    nll = Passes(model, [at], look=Fused(by_tokens)).scores(at).nll.sum()
    with pytest.raises(UnlearnkitError, match="no second derivative"):
        torch.autograd.grad(nll, list(model.parameters()), create_graph=True)


# --------------------------------------------------------------------------------------------------- whether it is used


def installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    def version(name: str) -> str:
        if name not in names:
            raise metadata.PackageNotFoundError(name)
        return "1.2"

    monkeypatch.setattr(metadata, "version", version)


def test_it_needs_its_packages_a_gpu_and_consent(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    installed(monkeypatch, "liger-kernel", "triton")
    assert words.fusing(True, cuda=True) == "liger-kernel 1.2, triton 1.2"
    assert words.fusing(False, cuda=True) is None
    assert words.fusing(True, cuda=False) is None
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert words.fusing(True, cuda=False) == "liger-kernel 1.2, triton 1.2"
    installed(monkeypatch, "triton")
    assert words.fusing(True, cuda=True) is None


def trainer(*, fused: bool = True, precision: str = "fp32", device: str = "cpu") -> Trainer:
    plan = TrainingPlan(
        n=4, epochs=2, max_steps=None, batch_size=4, grad_accum=1, lr=1e-3, schedule="constant", warmup=0.0,
        weight_decay=0.0, max_grad_norm=1.0, seed=0, precision=precision,
    )  # fmt: skip
    return Trainer(
        model=tiny_model().to(device),
        algorithm=FineTuning(),
        name="finetune",
        plan=plan,
        sets={"forget": encoded(4, seed=1)},
        draw=lambda _: range(4),
        pad=0,
        fused=fused,
    )


def assert_trains_alike(fused: Trainer, plain: Trainer, rel: float = 1e-4) -> None:
    assert fused.fuses and not plain.fuses
    for mine, theirs in zip(fused.steps(), plain.steps(), strict=True):
        assert mine == pytest.approx(theirs, rel=rel)


def test_a_trainer_takes_the_one_that_is_offered(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    installed(monkeypatch, "liger-kernel", "triton")
    monkeypatch.setattr(loop, "liger", lambda: by_tokens)
    assert_trains_alike(trainer(), trainer(fused=False))
    monkeypatch.setattr(loop, "liger", lambda: a_tenth_off)
    assert not trainer().fuses and trainer().offered is not None


# -------------------------------------------------------------------------------------------------- liger-kernel's own


@pytest.mark.skipif(
    words.fused_packages() is None, reason="liger-kernel is not installed: pip install unlearnkit[fused]"
)
def test_ligers_own():
    """In a process of its own: whether Triton interprets is settled when it is imported, which transformers does."""
    interpreting = {} if torch.cuda.is_available() else {"TRITON_INTERPRET": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", Path(__file__).with_name("liger.py")],
        env={**os.environ, **interpreting},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
