"""GGUF files are dequantised once; on the real model, to the numbers that another implementation gave."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from unlearnkit.errors import NotFound, UnlearnkitError
from unlearnkit.models import load_model, load_tokenizer, resolve
from unlearnkit.models.gguf import fetched, float32_folder, real_gguf_path


@pytest.fixture(scope="session")
def real() -> str:
    path = fetched()
    if path is None:
        pytest.skip("the real model was not fetched: `make real`")
    return f"gguf:{path}"


@pytest.fixture
def tiny(made: Callable[..., Path], tmp_path: Path) -> Path:
    """The untied model's tensors in a GGUF file, written by gguf's own writer: matrices in F16."""
    import gguf
    from safetensors.numpy import load_file

    path = tmp_path / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(32)
    writer.add_embedding_length(16)
    writer.add_block_count(2)
    writer.add_feed_forward_length(24)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(64)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["<s>", "</s>", "<unk>", "ab", *(chr(ord("A") + i) for i in range(60))])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 2)
    for name, stored in load_file(made(tie_word_embeddings=False) / "model.safetensors").items():
        value = stored.astype("f2" if stored.ndim > 1 else "f4")
        if ".q_proj." in name or ".k_proj." in name:  # llama.cpp keeps each head's rotary pairs side by side
            value = value.reshape(-1, 2, 4, 16).swapaxes(1, 2).reshape(value.shape)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_dequantised_weights_are_the_files(tiny: Path, made: Callable[..., Path]) -> None:
    source = resolve(f"gguf:{tiny}")
    assert (source.label, source.folder) == (f"gguf:{tiny}", float32_folder(tiny))
    live = load_model(source).state_dict()
    original = load_model(resolve(str(made(tie_word_embeddings=False)))).state_dict()
    assert live.keys() == original.keys()
    for name, value in original.items():
        assert live[name].allclose(value.half().float() if value.ndim > 1 else value, rtol=0, atol=0), name
    assert "quantization_config" not in json.loads((source.folder / "config.json").read_text())
    tokenizer = load_tokenizer(source)
    assert len(tokenizer) == 64
    assert tokenizer.convert_tokens_to_ids(["<s>", "</s>", "ab"]) == [0, 1, 3]
    assert tokenizer("ABab")["input_ids"] == [4, 5, 3]


def test_the_second_time_nothing_is_converted(tiny: Path) -> None:
    first = resolve(str(tiny))
    program = (
        "import sys; from unlearnkit.models import resolve\n"
        f"print(resolve({str(tiny)!r}).fingerprint, 'gguf' in sys.modules, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [first.fingerprint, "False", "False"]


def test_a_changed_file_is_converted_again(tiny: Path) -> None:
    before = resolve(str(tiny)).fingerprint
    content = bytearray(tiny.read_bytes())
    content[-1] ^= 1
    tiny.write_bytes(content)
    assert resolve(str(tiny)).fingerprint != before


def test_a_folder_of_somebody_else_is_left_alone(tiny: Path) -> None:
    float32_folder(tiny).mkdir()
    (float32_folder(tiny) / "mine").write_text("precious")
    with pytest.raises(UnlearnkitError, match="in the way"):
        resolve(str(tiny))
    assert (float32_folder(tiny) / "mine").read_text() == "precious"


def test_what_is_no_gguf_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        resolve(f"gguf:{tmp_path / 'none.gguf'}")
    for content in (b"", b"PK\3\4", b"GGUF", b"GGUF" + b"\xff" * 100):
        (tmp_path / "bad.gguf").write_bytes(content)
        with pytest.raises(UnlearnkitError) as caught:
            resolve(f"gguf:{tmp_path / 'bad.gguf'}")
        assert caught.value.code == "gguf"
        assert "\n" not in caught.value.message


def test_nothing_is_fetched_by_asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNLEARNKIT_CACHE_DIR", str(tmp_path / "cache"))
    assert fetched() is None
    assert not (tmp_path / "cache").exists()
    (tmp_path / "cache").mkdir()
    shutil.copy(__file__, real_gguf_path())
    assert fetched() == real_gguf_path()


def float32_mean_nll(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative log-likelihood, nats, as PyTorch computes it in float32 on the reference's CPU: the 49,152
    exponentials are summed in 16 lanes (AVX-512). With another number of lanes the same logits give other last
    digits (8: 2.7e-6 less), so this machine's own float32 loss would not do.

    `logits` is [N, V] and `labels` [N].
    """
    shifted = logits - logits.max(-1, keepdims=True)
    lanes = np.exp(shifted).reshape(len(shifted), -1, 16)
    total = np.cumsum(lanes, axis=1)[:, -1].sum(-1)
    return float((np.log(total) - shifted[np.arange(len(labels)), labels]).mean(dtype=np.float64))


@pytest.mark.real
def test_the_real_model_gives_the_reference_loss(real: str, shared: Path) -> None:
    """All labels of a batch, against the loss that OpenUnlearning's trainer reports for it."""
    import torch

    reference = json.loads((shared / "reference" / "openunlearning" / "GradAscent.json").read_text())
    ids, mask, labels = (torch.tensor(reference["forget"][k]) for k in ("input_ids", "attention_mask", "labels"))
    source = resolve(real)
    with torch.no_grad():
        logits = load_model(source)(input_ids=ids, attention_mask=mask).logits
    labelled = labels[:, 1:] != -100
    nll = float32_mean_nll(logits[:, :-1][labelled].numpy(), labels[:, 1:][labelled].numpy())
    assert nll == pytest.approx(-reference["loss"], rel=1e-6)
    assert (source.parameters, source.vocab, source.context) == (134_515_008, 49152, 8192)


@pytest.mark.real
def test_the_real_tokenizer_keeps_its_template(real: str) -> None:
    tokenizer = load_tokenizer(resolve(real))
    asked = [{"role": "system", "content": "S"}, {"role": "user", "content": "Hi"}]
    rendered = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    assert rendered == "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer(rendered)["input_ids"][:3] == [1, 9690, 198]


def test_without_leave_to_write_nothing_is_dequantised(tmp_path: Path):
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF and more")
    with pytest.raises(UnlearnkitError, match="dry run writes nothing") as caught:
        resolve(f"gguf:{path}", write=False)
    assert caught.value.code == "dry-run" and list(tmp_path.iterdir()) == [path]
