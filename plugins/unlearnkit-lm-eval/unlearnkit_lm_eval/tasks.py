"""lm-eval's side: tasks by name, and what it finds for each of their documents."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from unlearnkit.errors import BadInput, NotFound, UnlearnkitError

if TYPE_CHECKING:
    from lm_eval.tasks import TaskManager
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


@dataclass(frozen=True)
class Asked:
    """What lm-eval is asked for. `shots` None is as the task says; `limit` takes the first documents alone."""

    tasks: Sequence[str]
    folder: str | None = None
    """Where further tasks are."""
    shots: int | None = None
    limit: int | None = None
    chat: bool = False
    """Whether questions are put into the model's chat template."""


@dataclass(frozen=True)
class Document:
    """A document as a sample: the first text that the model was given, the right answer, and numbers by name."""

    prompt: str
    answer: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class Task:
    """A task. `digest` is a hash of its configuration and documents; `higher` says of its metrics whether high values
    are good."""

    name: str
    digest: str
    higher: Mapping[str, bool] = field(default_factory=dict)


class Harness:
    """The tasks that were asked for, read.

    Raises:
        NotFound: code "task". UnlearnkitError: code "lm-eval", where one cannot be read.
    """

    def __init__(self, asked: Asked) -> None:
        from lm_eval.tasks import get_task_dict

        self.asked = asked
        self._manager = _manager(asked)
        with _telling():
            found = dict(_flat(get_task_dict(list(asked.tasks), self._manager)))
            self.tasks = {
                name: Task(name, _digest(task, asked.shots), task.higher_is_better()) for name, task in found.items()
            }

    @property
    def version(self) -> str:
        return version("lm_eval")

    def run(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, batch_size: int
    ) -> dict[str, list[Document]]:
        """What the model makes of each task's documents, in the task's order."""
        from lm_eval import simple_evaluate
        from lm_eval.models.huggingface import HFLM

        asked = self.asked
        with _telling():
            found = simple_evaluate(
                model=HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch_size, device=str(model.device)),
                tasks=list(asked.tasks),
                task_manager=self._manager,
                num_fewshot=asked.shots,
                limit=asked.limit,
                apply_chat_template=asked.chat,
                bootstrap_iters=0,
                log_samples=True,
            )
            assert found is not None, "one process alone asks"
            return {name: _documents(rows) for name, rows in found["samples"].items()}


def _manager(asked: Asked) -> TaskManager:
    """Who knows the tasks. lm-eval's own fourteen thousand take it long to look through: only where they are needed."""
    from lm_eval.tasks import TaskManager

    if asked.folder is not None:
        own = TaskManager(include_path=asked.folder, include_defaults=False)
        if set(asked.tasks) <= set(own.all_tasks):
            return own
    found = TaskManager(include_path=asked.folder)
    for name in asked.tasks:
        if name not in found.all_tasks:
            close = get_close_matches(name, found.all_tasks, n=1)
            hint = f'did you mean "{close[0]}"?' if close else "lm-eval ls tasks"
            raise NotFound(f'lm-eval has no task "{name}"', hint=hint, code="task")
    return found


@contextmanager
def _telling() -> Iterator[None]:
    """What goes wrong inside of lm-eval is one line."""
    try:
        yield
    except UnlearnkitError:
        raise
    except Exception as error:
        said = " ".join(str(error).split())[:300]
        raise UnlearnkitError(f"lm-eval: {type(error).__name__}: {said}", code="lm-eval") from error


def _flat(tasks: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    """Tasks, and those of groups of them."""
    for key, value in tasks.items():
        if isinstance(value, Mapping):
            yield from _flat(value)
        else:
            yield str(key), value


def _digest(task: Any, shots: int | None) -> str:
    """A hash of all that a task's numbers depend on besides the model: what it says, its documents, and where examples
    are shown those that they are drawn from."""
    config = {key: value for key, value in task.dump_config().items() if key not in ("metadata", "dataset_kwargs")}
    examples = list(task.fewshot_docs() or ()) if shots or (shots is None and task.config.num_fewshot) else []
    text = json.dumps([config, list(task.eval_docs), examples], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _documents(rows: Sequence[Mapping[str, Any]]) -> list[Document]:
    """Documents from a log's rows, of which there is one for each document and filter."""
    found: dict[int, Document] = {}
    for row in sorted(rows, key=lambda row: row["doc_id"]):
        behind = "" if row["filter"] == "none" else f"-{plain(row['filter'])}"
        values = {plain(name) + behind: row[name] for name in row["metrics"]}
        numbers = {name: float(value) for name, value in values.items() if isinstance(value, (bool, int, float))}
        known = found.get(row["doc_id"])
        prompt, answer = (known.prompt, known.answer) if known else _texts(row)
        found[row["doc_id"]] = Document(prompt, answer, {**(known.values if known else {}), **numbers})
    return list(found.values())


def _texts(row: Mapping[str, Any]) -> tuple[str, str]:
    """What was asked and what is right: of options the text of the right one."""
    arguments, target = row["arguments"], row["target"]
    context = str(arguments[0][0])
    several = len({str(request[0]) for request in arguments}) == 1 and len(arguments) > 1
    if several and isinstance(target, int) and 0 <= target < len(arguments):
        return context, str(arguments[target][1]).strip()
    return context, str(target)


def plain(name: str) -> str:
    """A name that a split or a metric may have."""
    found = re.sub(r"[^a-z0-9_-]+", "_", name.lower()).strip("_-")
    if not found:
        raise BadInput(f'"{name}" cannot be the name of a split or a metric', code="task")
    return found
