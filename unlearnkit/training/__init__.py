"""The one training loop, for unlearning and for fine-tuning: `plan` says what a step sees, `loop` does the steps."""
