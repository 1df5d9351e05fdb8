"""Runs of W&B that a worker starts on its own machine."""
