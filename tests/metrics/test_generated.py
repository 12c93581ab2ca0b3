"""Metrics of what was generated: counted by hand, and by further models against a naive computation."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unlearnkit.contracts import Metric, Probe, Undefined
from unlearnkit.errors import NotFound, UnlearnkitError
from unlearnkit.metrics.entailment import Entailment
from unlearnkit.metrics.repetition import Repetition
from unlearnkit.metrics.similarity import Similarity
from unlearnkit.metrics.token_entropy import TokenEntropy

from .probes import samples

ANSWER = "She was born in Berne."
words = st.lists(st.sampled_from(["ab", "cd", "ef"]), min_size=2, max_size=12)


def of(metric: Metric, said: str, answer: str = ANSWER) -> float | Undefined:
    return metric.measure(Probe(samples(answer), generation=[said]))[0]


@given(words)
def test_entropy_is_that_of_the_words_shares(said: list[str]):
    shares = [n / len(said) for n in Counter(said).values()]
    expected = -sum(p * math.log2(p) for p in shares) / math.log2(len(said))
    assert of(TokenEntropy(), " ".join(said)) == pytest.approx(expected, abs=1e-12)


@given(words, st.integers(1, 4))
def test_repetition_counts_runs_that_were_there_before(said: list[str], n: int):
    runs = [said[i : i + n] for i in range(len(said) - n + 1)]
    before = sum(run in runs[:i] for i, run in enumerate(runs))
    expected = before / len(runs) if runs else Undefined("too_short")
    assert of(Repetition(n=n), " ".join(said)) == (pytest.approx(expected) if runs else expected)


def test_ends_of_the_scales():
    assert of(TokenEntropy(), "one two three four") == pytest.approx(1)
    assert of(TokenEntropy(), "no No, NO") == 0
    assert of(Repetition(), "a b c d") == 0
    assert of(Repetition(n=1), "a a a a") == pytest.approx(3 / 4)
    for metric in (TokenEntropy(), Repetition()):
        assert of(metric, " …") == Undefined("no_words")
        assert of(metric, "Berne") == Undefined("too_short")
        assert metric.better("forget") == metric.better("retain") == metric.direction


# --------------------------------------------------------------------------------------------- by a further model


@pytest.fixture(scope="module")
def judges(tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path) -> dict[str, Path]:
    """Folders of a small random encoder and a classifier, with the small model's tokenizer."""
    import transformers as tf

    sizes = {"vocab_size": 400, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
             "intermediate_size": 64, "max_position_embeddings": 64, "initializer_range": 0.3}  # fmt: skip
    labels = {"id2label": {0: "CONTRADICTION", 1: "ENTAILMENT", 2: "NEUTRAL"}}
    torch.manual_seed(0)
    made = {
        "encoder": tf.BertModel(tf.BertConfig(**sizes), add_pooling_layer=False),
        "classifier": tf.BertForSequenceClassification(tf.BertConfig(**sizes, **labels)),
        "unlabelled": tf.BertForSequenceClassification(tf.BertConfig(**sizes)),
    }
    tokenizer = tf.AutoTokenizer.from_pretrained(tiny_model_dir)
    folders = {name: tmp_path_factory.mktemp("judges") / name for name in made}
    for name, model in made.items():
        model.save_pretrained(folders[name])
        tokenizer.save_pretrained(folders[name])
    return folders


def ids(folder: Path, text: str) -> list[int]:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)(text, add_special_tokens=False).input_ids  # type: ignore[no-any-return]


def loaded(kind: str, folder: Path) -> Any:
    import transformers

    return getattr(transformers, kind).from_pretrained(folder).double().eval()


SAID = "In Berne, I think."


@torch.no_grad()
def test_similarity_is_the_cosine_of_mean_states(judges: dict[str, Path]):
    model, vectors = loaded("BertModel", judges["encoder"]), []
    for text in (SAID, ANSWER):
        states = model(torch.tensor([ids(judges["encoder"], text)])).last_hidden_state[0]
        vectors.append([sum(column) / len(states) for column in states.T.tolist()])
    dot = sum(a * b for a, b in zip(*vectors, strict=True))
    expected = dot / math.prod(math.sqrt(sum(a * a for a in vector)) for vector in vectors)
    assert of(Similarity(str(judges["encoder"])), SAID) == pytest.approx(expected, abs=1e-5)
    assert of(Similarity(str(judges["encoder"])), ANSWER) == pytest.approx(1, abs=1e-6)


@torch.no_grad()
def test_entailment_is_the_label_s_probability(judges: dict[str, Path]):
    folder = judges["classifier"]
    pair = ids(folder, SAID) + ids(folder, ANSWER)
    logits = loaded("BertForSequenceClassification", folder)(torch.tensor([pair])).logits[0].tolist()
    expected = math.exp(logits[1]) / sum(map(math.exp, logits))
    assert len(pair) < 64
    assert of(Entailment(str(folder)), SAID) == pytest.approx(expected, abs=1e-5)


def test_a_long_text_is_cut_and_an_empty_one_has_no_value(judges: dict[str, Path]):
    similarity, entailment = Similarity(str(judges["encoder"])), Entailment(str(judges["classifier"]))
    assert math.isfinite(of(similarity, "word " * 99)) and math.isfinite(of(entailment, "word " * 99))
    for metric in (similarity, entailment):
        assert of(metric, " ") == of(metric, SAID, "") == Undefined("no_words")


def test_values_are_known_by_the_model_s_content(judges: dict[str, Path], tmp_path: Path):
    import shutil

    shutil.copytree(judges["encoder"], tmp_path / "copy")
    one, copy = Similarity(str(judges["encoder"])), Similarity(str(tmp_path / "copy"))
    assert one.reads == copy.reads != Similarity(str(judges["classifier"])).reads


def test_what_is_wrong_with_a_folder_is_said(judges: dict[str, Path], tmp_path: Path):
    with pytest.raises(NotFound):
        _ = Similarity(str(tmp_path / "gone")).reads
    with pytest.raises(UnlearnkitError, match="no label entailment: it has label_0") as caught:
        of(Entailment(str(judges["unlabelled"])), SAID)
    assert caught.value.code == "architecture"
    with pytest.raises(UnlearnkitError, match=r"missing weights: classifier\.bias") as caught:
        of(Entailment(str(judges["encoder"])), SAID)
    assert caught.value.code == "weights"


def test_no_code_and_no_pickle_is_loaded(judges: dict[str, Path], tmp_path: Path):
    import shutil

    for name in ("code", "pickle"):
        shutil.copytree(judges["encoder"], tmp_path / name)
    config = tmp_path / "code" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "auto_map": {"AutoModel": "mine.Model"}}))
    weights = tmp_path / "pickle" / "model.safetensors"
    weights.rename(weights.with_name("pytorch_model.bin"))
    for name, code in (("code", "remote-code"), ("pickle", "pickle")):
        with pytest.raises(UnlearnkitError) as caught:
            of(Similarity(str(tmp_path / name)), SAID)
        assert caught.value.code == code
