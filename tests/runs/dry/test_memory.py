"""What a dry run says of memory is what is held."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers as tf
from architectures import LLAMA, MODELS, made
from held import Held
from torch import nn

from unlearnkit.data.samples import DataSpec
from unlearnkit.models import resolve
from unlearnkit.models.packed import packed
from unlearnkit.past import past_of
from unlearnkit.runs import evaluate, unlearn
from unlearnkit.runs.dry import evaluating, unlearning
from unlearnkit.runs.dry.costs import size_of
from unlearnkit.runs.training import Schedule
from unlearnkit.runs.workplace import Workplace

EXPERTS = {"num_local_experts": 2, "num_experts_per_tok": 1}
LATENT = {
    "kv_lora_rank": 16, "q_lora_rank": 16, "qk_rope_head_dim": 8, "v_head_dim": 12, "qk_nope_head_dim": 12,
    "n_routed_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 8, "n_group": 1, "topk_group": 1,
}  # fmt: skip
SHAPES = {
    **{name: MODELS[name] for name in ("llama", "gemma2", "gpt2", "mpt", "mamba")},
    "qwen3": lambda: made(tf.Qwen3Config, **LLAMA, head_dim=48),
    "gemma3": lambda: made(tf.Gemma3TextConfig, **LLAMA, head_dim=48),
    "mixtral": lambda: made(tf.MixtralConfig, **LLAMA, **EXPERTS),
    "gpt_bigcode": lambda: made(tf.GPTBigCodeConfig),
    "falcon": lambda: made(tf.FalconConfig, multi_query=True),
    "deepseek": lambda: made(tf.DeepseekV3Config, **{**LLAMA, "num_key_value_heads": 2}, **LATENT),
}


def written(model: nn.Module, like: str, folder: Path) -> str:
    """A model's folder, with another's tokenizer."""
    tokenizer = tf.AutoTokenizer.from_pretrained(like)
    model.resize_token_embeddings(len(tokenizer))  # type: ignore[operator]
    model.save_pretrained(folder)  # type: ignore[operator]
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("name", SHAPES)
def test_a_token_is_counted_as_what_a_model_keeps_of_it(name: str, model: str, tmp_path: Path):
    real = SHAPES[name]()
    size = size_of(resolve(written(real, model, tmp_path / name)))
    with torch.no_grad():
        cache = past_of(real(torch.ones(1, 1, dtype=torch.int64), use_cache=True))
    layers = [layer for layer in getattr(cache, "layers", ()) if hasattr(layer, "keys")]  # a state has none
    assert size.kept == sum(layer.keys.numel() + layer.values.numel() for layer in layers)
    assert (size.kept == 0) == (name == "mamba")
    with packed(real):
        assert size.linear == sum(layer.weight.numel() for layer in real.modules() if "forward" in vars(layer))


def test_a_model_that_cannot_be_asked_is_taken_to_keep_all_heads(model: str, monkeypatch: pytest.MonkeyPatch):
    def stops(*_: Any, **__: Any) -> None:
        raise NotImplementedError

    monkeypatch.setattr(tf.LlamaForCausalLM, "forward", stops)
    size = size_of.__wrapped__(resolve(model))
    assert size.kept == size.layers * 2 * tf.AutoConfig.from_pretrained(model).hidden_size


@pytest.fixture
def keeping(model: str, tmp_path: Path) -> str:
    """A model that keeps much of what it has read, and is otherwise small."""
    heads = {"num_key_value_heads": 2, "head_dim": 256, "num_hidden_layers": 6, "max_position_embeddings": 512}
    return written(made(tf.LlamaConfig, **{**LLAMA, **heads}), model, tmp_path / "keeping")


ASKED = "splits: {{forget: {{metrics: [{metrics}], before: prefix, shots: 8}}, prefix: {{metrics: []}}}}"
"""A suite; where a metric wants that, eight samples stand before each."""


@pytest.mark.parametrize("metrics", ["rouge", "truth_ratio", "recall", "rouge, truth_ratio, recall"])
def test_an_evaluation_holds_what_its_plan_says(
    metrics: str, place: Workplace, keeping: str, forget: DataSpec, retain: DataSpec, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    Path("suite.yaml").write_text(ASKED.format(metrics=metrics))
    data = {"forget": forget, "prefix": retain}
    asked: dict[str, Any] = {"model": keeping, "data": data, "batch_size": 1, "suite_name": "suite.yaml"}
    if "rouge" in metrics:
        asked["max_new_tokens"] = 7
    with Workplace(place.settings, dry=True) as looking:
        plan = evaluating(looking, evaluate.prepared(looking, **asked)).memory
    with Held() as held:
        evaluate.evaluate(place, **asked)
    assert 0.75 * plan.total < held.most < plan.total


@pytest.mark.parametrize("more", [0, -1])
def test_layers_are_counted_as_packed_where_there_is_room_once_the_weights_are_there(
    more: int, place: Workplace, keeping: str, forget: DataSpec, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with Workplace(place.settings, dry=True) as looking:
        made = evaluate.prepared(looking, model=keeping, data={"forget": forget})
        parts = evaluating(looking, made).memory.parts
        free = parts["weights"] + 2 * parts["packed weights"] + more
        monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(total=10 * free, available=free))
        again = evaluating(looking, made).memory.parts
    assert again == {what: size for what, size in parts.items() if more == 0 or what != "packed weights"}


def test_training_holds_what_its_plan_says_while_it_evaluates(
    place: Workplace, keeping: str, forget: DataSpec, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    asked: dict[str, Any] = {
        "model": keeping, "forget": forget, "algorithm": "ga",
        "schedule": Schedule(max_steps=1, batch_size=1), "eval_every": 1, "max_new_tokens": 7,
    }  # fmt: skip
    with Workplace(place.settings, dry=True) as looking:
        plan = unlearning(looking, unlearn.prepared(looking, **asked)).memory
    with Held() as held:
        unlearn.unlearn(place, **asked)
    assert {"optimiser", "keys and values", "packed weights"} <= set(plan.parts)
    assert 0.75 * plan.total < held.most < plan.total
