"""Runs of W&B that agents of W&B Launch start."""
