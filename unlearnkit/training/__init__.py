"""The one training loop, for unlearning and for fine-tuning.

`plan` says which samples a step sees, `step` what a method sees of them, `gradients` what the optimiser does, and
`loop` does the steps.
"""

VERSION = 2
"""Of what the loop makes of a plan: part of a run's identity."""
