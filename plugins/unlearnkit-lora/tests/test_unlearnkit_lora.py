"""LoRA against matrices multiplied by hand, and in the training loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel
from unlearnkit_lora.adapter import LoRA

from unlearnkit.algorithms.graddiff import GradDiff
from unlearnkit.algorithms.npo import NPO
from unlearnkit.algorithms.rmu import RMU
from unlearnkit.contracts import Algorithm, Step, Term
from unlearnkit.errors import BadInput
from unlearnkit.losses import label_scores
from unlearnkit.models import weights_fingerprint
from unlearnkit.runs.adapters import measurable
from unlearnkit.testing import AdapterContract, material
from unlearnkit.training.loop import Trainer
from unlearnkit.training.plan import TrainingPlan, by_epoch

N = 6
PLAN = TrainingPlan(
    n=N, epochs=2, max_steps=None, batch_size=2, grad_accum=1, lr=1e-2, schedule="linear", warmup=0.2,
    weight_decay=0.1, max_grad_norm=1.0, seed=5,
)  # fmt: skip
BLOCKS = range(2)
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
ALL = {f"model.layers.{i}.self_attn.{name}" for i in BLOCKS for name in ATTENTION} | {
    f"model.layers.{i}.mlp.{name}" for i in BLOCKS for name in ("gate_proj", "up_proj", "down_proj")
}


class TestLoRA(AdapterContract):
    plugin = LoRA


class TestLoRAOfSomeLayers(AdapterContract):
    plugin = LoRA
    options: ClassVar[Mapping[str, object]] = {
        "rank": 3, "alpha": 7.5, "dropout": 0.25, "targets": ("q_proj", "mlp.down_proj"), "merge": False,
    }  # fmt: skip


# ----------------------------------------------------------------------------------------------- against plain matrices


def wrapped(model: nn.Module, adapter: LoRA) -> nn.Module:
    """A model with the adapter in it, whose additions are not zero."""
    adapter.wrap(model, [name for name, _ in model.named_parameters()], seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for _, b in matrices(model).values():
            b.copy_(torch.randn(b.shape, generator=generator) / 10)
    return model


def matrices(model: nn.Module) -> dict[str, tuple[Tensor, Tensor]]:
    """A and B by the name of their layer."""
    found = dict(model.named_parameters())
    names = [name.removesuffix(".lora_A.default.weight") for name in found if name.endswith(".lora_A.default.weight")]
    return {name: (found[f"{name}.lora_A.default.weight"], found[f"{name}.lora_B.default.weight"]) for name in names}


def gpt2() -> GPT2LMHeadModel:
    """A model whose matrices stand the other way round."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        return GPT2LMHeadModel(GPT2Config(vocab_size=64, n_positions=32, n_embd=16, n_layer=1, n_head=2)).eval()


@pytest.mark.parametrize(("make", "transposed"), [(material.tiny_model, False), (gpt2, True)])
def test_merged_weights_are_the_sum_by_hand(make: Any, transposed: bool):
    adapter = LoRA(rank=3, alpha=12)
    before = {name: p.detach().clone() for name, p in make().named_parameters()}
    model = wrapped(make(), adapter)
    added = matrices(model)
    with adapter.folded(model):
        after = {name: p.detach() for name, p in model.named_parameters()}
    assert after.keys() == before.keys()
    for name, weight in before.items():
        if (layer := name.removesuffix(".weight")) in added and name != layer:
            a, b = (matrix.detach().double() for matrix in added.pop(layer))
            sum_ = 12 / 3 * (b @ a)
            weight = (weight.double() + (sum_.T if transposed else sum_)).float()  # noqa: PLW2901
        assert torch.equal(after[name], weight), name
    assert not added


def test_its_gradient_is_the_full_one_projected():
    adapter = LoRA(rank=4, alpha=6)
    model = wrapped(material.tiny_model().double(), adapter)
    full = material.tiny_model().double()
    with torch.no_grad():
        for name, (a, b) in matrices(model).items():
            full.get_parameter(f"{name}.weight").add_(6 / 4 * b @ a)
    for each in (model, full):
        label_scores(each, material.batch()).nll.sum().backward()
    for name, (a, b) in matrices(model).items():
        gradient = full.get_parameter(f"{name}.weight").grad
        torch.testing.assert_close(a.grad, 6 / 4 * b.detach().T @ gradient, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(b.grad, 6 / 4 * gradient @ a.detach().T, rtol=1e-9, atol=1e-12)


def test_a_score_on_the_way_is_that_of_the_merged_weights():
    adapter = LoRA(rank=4, alpha=6)
    model = wrapped(material.tiny_model(), adapter)
    plain = material.tiny_model()
    with torch.no_grad():
        for name, (a, b) in matrices(model).items():
            weight = plain.get_parameter(f"{name}.weight")
            weight.copy_(weight.double() + 6 / 4 * b.double() @ a.double())
    with measurable(model, adapter):
        assert weights_fingerprint(model) == weights_fingerprint(plain)
        assert all(parameter.requires_grad for parameter in model.parameters())
    assert {name for name, p in model.named_parameters() if p.requires_grad} == {
        f"{name}.lora_{part}.default.weight" for name in ALL for part in "AB"
    }


# ------------------------------------------------------------------------------------------------------------- options


def test_every_linear_layer_of_a_block_is_added_to_and_nothing_else():
    assert matrices(wrapped(material.tiny_model(), LoRA())).keys() == ALL


@pytest.mark.parametrize(
    ("targets", "message", "hint"),
    [
        (("q_proj", "v_prj"), 'no linear layer "v_prj"', 'did you mean "v_proj"?'),
        (("lm_head",), 'no linear layer "lm_head"', "there are: q_proj"),
        (("proj",), 'no linear layer "proj"', ""),
    ],
)
def test_a_target_that_the_model_lacks_is_refused(targets: tuple[str, ...], message: str, hint: str):
    model = material.tiny_model()
    with pytest.raises(BadInput, match=message) as caught:
        LoRA(targets=targets).wrap(model, [name for name, _ in model.named_parameters()], 0)
    assert hint in caught.value.hint


def test_rmu_has_additions_to_the_matrices_that_it_steers_by():
    plain = material.tiny_model()
    steered = {name.removesuffix(".weight") for name, _ in plain.named_parameters() if RMU().trains(name, plain)}
    model = trainer(RMU()).model
    assert matrices(model).keys() == steered
    assert len(steered) < len(ALL)
    with pytest.raises(BadInput, match="trains no linear layer among q_proj"):
        trainer(RMU(), LoRA(targets=("q_proj",)))


# --------------------------------------------------------------------------------------------------------- in training


def trainer(algorithm: Algorithm, adapter: LoRA | None = LoRA(), plan: TrainingPlan = PLAN) -> Trainer:  # noqa: B008
    return Trainer(
        model=material.tiny_model(),
        algorithm=algorithm,
        name="method",
        plan=plan,
        sets={"forget": material.encoded(N, seed=1), "retain": material.encoded(N, seed=2)},
        draw=by_epoch(plan, lambda epoch: [(i + epoch) % N for i in range(N)]),
        pad=0,
        anchors={"forget": torch.linspace(10, 30, N)},
        adapter=adapter,
    )


def trained(work: Trainer) -> Trainer:
    for _ in work.steps():
        pass
    return work


def test_the_models_own_weights_stay_as_they_were():
    work = trained(trainer(NPO()))
    assert work.moved
    before = dict(material.tiny_model().named_parameters())
    own = {name.replace(".base_layer", ""): p for name, p in work.model.named_parameters() if "lora_" not in name}
    assert own.keys() == before.keys()
    assert all(torch.equal(own[name], before[name]) for name in before)


def test_a_checkpoint_holds_the_addition_alone():
    def size(work: Trainer) -> int:
        return sum(t.numel() for name, t in trained(work).state().items() if not name.startswith("buffer."))

    per_layer = {"self_attn": 2 * 32, "gate_proj": 32 + 64, "up_proj": 32 + 64, "down_proj": 64 + 32}
    values = 2 * sum(next(n for key, n in per_layer.items() if key in name) for name in ALL)  # of rank 2
    tensors = 2 * len(ALL)
    assert size(trainer(NPO(), LoRA(rank=2))) == 3 * values + tensors + 1  # Adam's moments and steps; the retain loss
    assert 5 * size(trainer(NPO(), LoRA(rank=2))) < size(trainer(NPO(), None))


def test_a_run_that_was_killed_ends_in_the_same_bits():
    def fresh() -> Trainer:
        return trainer(GradDiff(retain="kl"), LoRA(dropout=0.5))

    whole = trained(fresh()).state()
    killed = fresh()
    for _ in zip(range(4), killed.steps(), strict=False):
        pass
    kept = {name: tensor.clone() for name, tensor in killed.state().items()}
    resumed = fresh()
    resumed.load_state(kept, killed.done)
    found = trained(resumed).state()
    assert found.keys() == whole.keys()
    assert all(torch.equal(found[name], whole[name]) for name in whole)
    other = trained(trainer(GradDiff(retain="kl"), LoRA(dropout=0.5), replace(PLAN, seed=6))).state()
    assert not all(torch.equal(other[name], whole[name]) for name in whole)


def test_gradient_checkpointing_trains_and_to_the_same_weights():
    plain, again = trained(trainer(NPO())), trained(trainer(NPO(), plan=replace(PLAN, recompute=True)))
    assert again.model.is_gradient_checkpointing
    assert again.moved
    for one, other in zip(plain.model.parameters(), again.model.parameters(), strict=True):
        torch.testing.assert_close(other, one)


@dataclass
class Peeking(Algorithm):
    """Notes what the starting model says."""

    reads_reference = True
    seen: list[tuple[Any, Tensor, Tensor]] = field(default_factory=list)

    def losses(self, step: Step) -> Mapping[str, Term]:
        self.seen.append((step.forget, step.reference.logits(step.forget).values, step.logits(step.forget).values))
        return {"forget": Term(-step.scores(step.forget).nll)}


def test_the_starting_model_is_the_base():
    peeking = Peeking()
    trained(trainer(peeking))
    base = material.tiny_model().train()
    for batch, reference, _ in peeking.seen:
        said = base(input_ids=batch.ids, attention_mask=batch.mask).logits[:, :-1][batch.labels[:, 1:] != -100]
        torch.testing.assert_close(reference, said)
    assert not torch.allclose(peeking.seen[-1][2], peeking.seen[-1][1], rtol=0.1)
