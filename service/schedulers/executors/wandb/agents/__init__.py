"""Runs of W&B that `wandb agent` starts, wherever people run it."""
