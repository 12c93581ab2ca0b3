"""For a command of one's own, which an entry point of the group "unlearnkit.commands" adds."""

from __future__ import annotations

from unlearnkit.cli.common import follow_up, make_command
from unlearnkit.cli.eval_command import show_evaluation
from unlearnkit.cli.output import Output
from unlearnkit.cli.params import NAME, SEED, WHOLE, Number, Several

__all__ = ["NAME", "SEED", "WHOLE", "Number", "Output", "Several", "follow_up", "make_command", "show_evaluation"]
