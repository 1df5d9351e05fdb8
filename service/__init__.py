"""Asktell: Optuna studies on Postgres behind ask, report, prune and tell."""

__version__ = "0.1.0"
