"""The configurations of mirrors are valid by W&B's own `sweeps` package."""

from dataclasses import replace

import pytest

from service.schedulers.executors.wandb.sweeps.sweep_config import build_sweep_config
from tests.parity.conftest import AskSweeps
from tests.unit.test_wandb_sweep_config import WANTED

SPACE = {
    "lr": {"type": "float", "low": 1e-5, "high": 0.1, "log": True},
    "momentum": {"type": "float", "low": 0, "high": 1},
    "dropout": {"type": "float", "low": 0, "high": 0.5, "step": 0.1},
    "width": {"type": "float", "low": 1, "high": 64, "log": True, "quantum": 2},
    "layers": {"type": "int", "low": 1, "high": 4, "when": {"opt.kind": ["adam"]}},
    "units": {"type": "int", "low": 1, "high": 512, "log": True},
    "batch": {"type": "int", "low": 16, "high": 64, "step": 16},
    "seed": {"type": "int", "low": 3, "high": 3},
    "noise": {"type": "normal", "sigma": 0.1},
    "scale": {"type": "log_normal", "mu": -1, "quantum": 0.5},
    "share": {"type": "beta", "a": 2, "b": 3, "quantum": 0.1},
    "net": {"type": "categorical", "choices": [[64, 64], {"depth": 3}]},
    "lucky": {"type": "categorical", "choices": [1, 2], "probabilities": [0.25, 0.75]},
    "opt": {"kind": {"type": "categorical", "choices": ["adam", "sgd", None]}, "eps": 1e-8},
    "opt.deep.warmup": {"value": [1, 2]},
    "größe": {"type": "float", "low": 0, "high": 1},
}


@pytest.mark.timeout(300)
def test_wandb_finds_nothing_wrong(ask_sweeps: AskSweeps) -> None:
    mirrors = [
        replace(WANTED, space=SPACE),
        replace(WANTED, space=None),
        replace(WANTED, objectives=(("a", "maximize"), ("b", "minimize"))),
    ]
    configs = [build_sweep_config(mirror) for mirror in mirrors]
    assert ask_sweeps("violations", configs) == [[], [], []]
    # It does look.
    del configs[0]["method"]
    assert ask_sweeps("violations", configs[:1]) != [[]]
