"""Launches attempts as runs of Weights & Biases."""
