"""`unlearnkit lm-eval`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from unlearnkit.extend.commands import WHOLE, Number, Several, follow_up, make_command, show_evaluation

if TYPE_CHECKING:
    from unlearnkit.extend.commands import Output
    from unlearnkit.extend.evaluations import Workplace


@make_command(
    "lm-eval",
    examples="""
unlearnkit lm-eval my-model --tasks wmdp,mmlu --allow-download
unlearnkit lm-eval @last --tasks my-exam --include tasks --shots 0
""",
)
@click.argument("model", metavar="MODEL|RUN")
@click.option("--tasks", type=Several(), required=True, help="Tasks or groups of lm-eval, separated by commas.")
@click.option("--include", "folder", metavar="FOLDER", help="Further tasks. Functions that their files name are run.")
@click.option("--shots", type=Number(int, ge=0, le=1000), help="Examples before each question (default: the task's).")
@click.option("--limit", type=WHOLE, help="Only the first documents of each task.")
@click.option("--chat", is_flag=True, help="Put questions into the model's chat template.")
@click.option("--batch-size", type=WHOLE, default=8, show_default=True, help="Texts in a forward pass.")
@click.option("--allow-download", is_flag=True, help="Hubs may be asked for models and data.")
@click.option("--store-text", is_flag=True, help="Keep prompts and answers in the store.")
def command(
    place: Workplace, screen: Output, model: str, tasks: list[str], batch_size: int, **arguments: Any
) -> None:  # fmt: skip
    """Evaluate a model by tasks of the Language Model Evaluation Harness, stored sample by sample.

    MODEL is a folder, a hub name, gguf:FILE, or the id of a run that wrote a model.
    """
    from unlearnkit_lm_eval.tasks import Asked
    from unlearnkit_lm_eval.use import lm_eval

    found = lm_eval(place, model=model, asked=Asked(tasks, **arguments), batch_size=batch_size)
    show_evaluation(screen, found)
    screen.next(follow_up("report", found.run))
