"""Client of the Asktell service: ask, report, prune and tell from training jobs."""

from importlib.metadata import version as _version

from asktell._async_client import AsyncClient
from asktell._async_study import AsyncStudy
from asktell._async_sweep import AsyncSweep
from asktell._async_trial import AsyncTrial
from asktell._client import Client
from asktell._current import current_trial
from asktell._errors import (
    ApiConnectionError,
    ApiError,
    AsktellError,
    AuthenticationError,
    ConfigurationError,
    ConflictError,
    FieldProblem,
    InvalidError,
    LeaseLostError,
    NoBestTrialError,
    NotFoundError,
    StudyPausedError,
    TooManyRequestsError,
    TrialPruned,
    UnavailableError,
)
from asktell._optuna import StudyDirection, TrialState
from asktell._records import BestTrial, FrozenTrial, Objective, StudySummary, TrialCounts
from asktell._study import Study
from asktell._sweep import Sweep
from asktell._sweep_records import Attempt, AttemptLog, Mirror, SweepSummary, Worker
from asktell._trial import Trial

__version__ = _version("asktell")

__all__ = [
    "ApiConnectionError",
    "ApiError",
    "AsktellError",
    "AsyncClient",
    "AsyncStudy",
    "AsyncSweep",
    "AsyncTrial",
    "Attempt",
    "AttemptLog",
    "AuthenticationError",
    "BestTrial",
    "Client",
    "ConfigurationError",
    "ConflictError",
    "FieldProblem",
    "FrozenTrial",
    "InvalidError",
    "LeaseLostError",
    "Mirror",
    "NoBestTrialError",
    "NotFoundError",
    "Objective",
    "Study",
    "StudyDirection",
    "StudyPausedError",
    "StudySummary",
    "Sweep",
    "SweepSummary",
    "TooManyRequestsError",
    "Trial",
    "TrialCounts",
    "TrialPruned",
    "TrialState",
    "UnavailableError",
    "Worker",
    "__version__",
    "current_trial",
]
