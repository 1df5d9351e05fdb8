"""Trials as executions of Flyte."""
