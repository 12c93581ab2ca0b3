"""`import`: what other programs logged, sample by sample, as evaluations of one's own store.

A log says what each sample scored, never how the model was: so its run has no model to load, and its aggregates are
computed here, from its rows. A form is known by what a file holds, not by its name.
"""

from unlearnkit.runs.imported.use import Imported, import_logs

__all__ = ["Imported", "import_logs"]
