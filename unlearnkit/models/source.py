"""What `--model` may be: a folder, a GGUF file or a name on the hub. Each ends as a checked local folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from unlearnkit.errors import BadInput, NotFound, UnlearnkitError
from unlearnkit.models.check import NEEDED, check_folder
from unlearnkit.models.fingerprint import folder_fingerprint

_HUB_NAME = re.compile(r"(?P<repo>[A-Za-z0-9][\w.-]*/[\w.-]+)(?:@(?P<revision>[\w./-]+))?", re.ASCII)
_HUB_FILES = ["*.json", "*.safetensors", "*.jinja", "*.model", "vocab.txt", "merges.txt"]


@dataclass(frozen=True)
class ModelSource:
    """A model that has been found and checked; nothing is loaded.

    `label` is what was typed, `folder` holds it in transformers' format with safetensors. `parameters` counts
    stored floating-point numbers (a tied one once), `context` is in tokens, `vocab` is the number of
    embeddings and `width` the size of a hidden state.
    """

    label: str
    folder: Path
    fingerprint: str
    architecture: str
    parameters: int
    context: int | None
    vocab: int
    width: int


def resolve(
    source: str, *, allow_download: bool = False, cache_dir: Path | None = None, write: bool = True
) -> ModelSource:
    """Find a model and check all that its files can tell, without loading it.

    `source` is `gguf:PATH` or a path that ends in .gguf (dequantised once into a folder beside it), a local
    folder, or `org/name[@revision]` on the hub: from the local cache, unless `allow_download`. Without `write` a
    GGUF file must have been dequantised before.

    :raises NotFound: `model` where there is none, `offline` where it would have to be downloaded.
    :raises BadInput: where `source` is empty or cannot be a path.
    :raises UnlearnkitError: for everything that `check_folder` finds, a GGUF file that does not load (`gguf`), or one
        that would have to be dequantised and may not be (`dry-run`).
    """
    if not source.strip() or "\0" in source:
        raise BadInput(f"a model's name or folder is needed, got {source!r}")
    folder = _folder(source, allow_download, cache_dir, write)
    checked = check_folder(folder)
    return ModelSource(
        label=source,
        folder=folder,
        fingerprint=folder_fingerprint(folder, checked.config, checked.tensors),
        architecture=checked.architecture,
        parameters=checked.parameters,
        context=checked.context,
        vocab=checked.vocab,
        width=checked.width,
    )


def _folder(source: str, allow_download: bool, cache_dir: Path | None, write: bool) -> Path:
    path = Path(source.removeprefix("gguf:")).expanduser()
    if source.startswith("gguf:") or (path.suffix == ".gguf" and path.is_file()):
        from unlearnkit.models.gguf import dequantise

        return dequantise(path, write=write)
    hub_name = _HUB_NAME.fullmatch(source)
    if path.exists() or not hub_name:
        return path
    return _from_hub(hub_name["repo"], hub_name["revision"], allow_download, cache_dir)


def _from_hub(repo: str, revision: str | None, allow_download: bool, cache_dir: Path | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    name = f"{repo}@{revision}" if revision else repo
    try:
        return Path(
            snapshot_download(
                repo,
                revision=revision,
                cache_dir=cache_dir,
                allow_patterns=_HUB_FILES,
                local_files_only=not allow_download,
            )
        )
    except LocalEntryNotFoundError as error:
        if allow_download:
            raise UnlearnkitError(f"{name} could not be downloaded", hint=str(error), code="download") from error
        raise NotFound(
            f"no folder {name}, and as a model on the hub it is not in the local cache; downloads are off",
            hint=f"--allow-download fetches it; {NEEDED}",
            code="offline",
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise NotFound(f"no folder {name} and no such model on the hub", hint=NEEDED, code="model") from error
    except (HfHubHTTPError, OSError) as error:
        raise UnlearnkitError(f"{name} could not be downloaded", hint=str(error), code="download") from error
