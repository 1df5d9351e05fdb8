"""User files: Python text that defines a search space, a sampler, a pruner or a study.

    with Sandbox() as sandbox:
        file = UserFile("def objective(trial):\\n    trial.suggest_float('x', 0, 1)")
        sandbox.describe(file).functions                          # ("objective",)
        sandbox.run_objective(file, 0, lambda name, document: 0.5).params  # {"x": 0.5}

Nothing that a file says is trusted: it runs in a process of its own, without environment, files or
network as far as the kernel allows, and answers in JSON that is checked here.
"""

from service.sandbox.answers import check_json, read_failure
from service.sandbox.errors import (
    FileFailed,
    ProcessKilled,
    SandboxError,
    SandboxUnavailable,
    SuggestRefused,
)
from service.sandbox.files import (
    CustomPart,
    Description,
    SearchSpaceRun,
    StudyFacts,
    SweepFacts,
    UserFile,
)
from service.sandbox.limits import SandboxLimits
from service.sandbox.sandbox import Sandbox, Suggest
from service.sandbox.session import Session

__all__ = [
    "CustomPart",
    "Description",
    "FileFailed",
    "ProcessKilled",
    "Sandbox",
    "SandboxError",
    "SandboxLimits",
    "SandboxUnavailable",
    "SearchSpaceRun",
    "Session",
    "StudyFacts",
    "Suggest",
    "SuggestRefused",
    "SweepFacts",
    "UserFile",
    "check_json",
    "read_failure",
]
