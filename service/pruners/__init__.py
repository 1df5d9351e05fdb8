"""Optuna's pruners and W&B's: named in JSON, checked once, "auto" resources resolved once."""

from service.pruners.auto import has_auto, resolve_auto
from service.pruners.build import build_pruner
from service.pruners.kinds import is_users_pruner
from service.pruners.resolve import resolve_pruner

__all__ = ["build_pruner", "has_auto", "is_users_pruner", "resolve_auto", "resolve_pruner"]
