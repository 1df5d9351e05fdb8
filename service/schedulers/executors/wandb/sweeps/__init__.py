"""Sweeps of W&B that are made like ours."""
