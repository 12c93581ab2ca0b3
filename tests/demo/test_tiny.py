from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from unlearnkit.demo.people import people
from unlearnkit.demo.tiny import build

TEXTS = [text for row in people(8) for text in (row["question"], row["answer"], row["paraphrased_answer"])]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build(tmp_path_factory.mktemp("tiny"), TEXTS)


@pytest.fixture(scope="module")
def tokenizer(folder):
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def model(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.mark.slow
def test_another_process_builds_the_same_bytes(folder, tmp_path):
    code = (
        "import sys, pathlib; from unlearnkit.demo.people import people; from unlearnkit.demo.tiny import build\n"
        "keys = ('question', 'answer', 'paraphrased_answer')\n"
        "build(pathlib.Path(sys.argv[1]), [row[key] for row in people(8) for key in keys])"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True, capture_output=True)
    assert digests(tmp_path) == digests(folder)
    assert "model.safetensors" in digests(folder)


def test_the_seed_is_the_models_alone(folder, tmp_path):
    before = torch.get_rng_state()
    other = build(tmp_path, TEXTS, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    changed = {name for name, digest in digests(other).items() if digest != digests(folder)[name]}
    assert changed == {"model.safetensors"}


def test_it_is_small_and_whole(model, tokenizer):
    assert 300_000 < model.num_parameters() < 1_000_000
    assert model.get_input_embeddings().num_embeddings == len(tokenizer) <= 1024


@pytest.mark.parametrize("text", ["Nerwyn Korivane", "日本 🎉", "tab\tand\nline", "<|end"])
def test_any_text_survives_the_tokenizer(tokenizer, text):
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_a_question_is_the_beginning_of_its_answer_turn(tokenizer):
    question = [{"role": "user", "content": "Who?"}]
    answer = [{"role": "assistant", "content": "She."}]
    asked = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_dict=True)["input_ids"]
    told = tokenizer.apply_chat_template(question + answer, return_dict=True)["input_ids"]
    assert told[: len(asked)] == asked
    assert tokenizer.decode(told[len(asked) :]) == "She.<|end|>"
    assert told[-1] == tokenizer.eos_token_id


def test_the_end_of_a_turn_is_not_padding(tokenizer, model):
    special = {
        tokenizer.pad_token_id,
        tokenizer.eos_token_id,
        *tokenizer.convert_tokens_to_ids(["<|user|>", "<|assistant|>"]),
    }
    assert len(special) == 4
    for config in (model.config, model.generation_config):
        assert config.eos_token_id == tokenizer.eos_token_id
        assert config.pad_token_id == tokenizer.pad_token_id


def test_it_can_learn(folder, tokenizer):
    """Ten steps on one sentence: the loss of an untrained model is that of a guess, and falls."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    batch = tokenizer(TEXTS[1], return_tensors="pt")
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(10):
        loss = model(**batch, labels=batch["input_ids"]).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    guess = torch.log(torch.tensor(float(len(tokenizer)))).item()
    assert losses[0] == pytest.approx(guess, rel=0.05)
    assert losses[-1] < guess / 2
