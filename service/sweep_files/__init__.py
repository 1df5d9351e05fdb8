"""Sweep files: those of Weights & Biases and our own, as the body of `POST /sweeps`."""

from service.sweep_files.launches import list_owners
from service.sweep_files.python_sources import ArtifactFile, ArtifactText, SourceUnavailable
from service.sweep_files.read import draft_sweep_file, read_sweep_file
from service.sweep_files.sweep_file import Defaults, Dialect, Place, SweepFile
from service.sweep_files.wandb_parameters import convert_parameter

__all__ = [
    "ArtifactFile",
    "ArtifactText",
    "Defaults",
    "Dialect",
    "Place",
    "SourceUnavailable",
    "SweepFile",
    "convert_parameter",
    "draft_sweep_file",
    "list_owners",
    "read_sweep_file",
]
