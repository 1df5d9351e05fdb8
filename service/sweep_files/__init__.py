"""Sweep files: those of Weights & Biases and our own, as the body of `POST /sweeps`."""

from service.sweep_files.read import read_sweep_file
from service.sweep_files.sweep_file import Defaults, Dialect, Place, SweepFile
from service.sweep_files.wandb_parameters import convert_parameter

__all__ = [
    "Defaults",
    "Dialect",
    "Place",
    "SweepFile",
    "convert_parameter",
    "read_sweep_file",
]
