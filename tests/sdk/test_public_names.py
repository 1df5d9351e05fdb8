"""What the package promises to its users."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import asktell

DOCUMENTED_NAMES = {
    "ApiConnectionError",
    "ApiError",
    "AsktellError",
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
}


def test_all_is_the_documented_names() -> None:
    assert set(asktell.__all__) == DOCUMENTED_NAMES


def test_nothing_public_is_missing_from_all() -> None:
    public = {
        name
        for name, value in vars(asktell).items()
        if not name.startswith("_") and (inspect.isclass(value) or inspect.isfunction(value))
    }
    assert public <= set(asktell.__all__)


def test_every_public_name_and_method_is_documented() -> None:
    undocumented = []
    for name in sorted(DOCUMENTED_NAMES - {"__version__"}):
        cls = getattr(asktell, name)
        # A class inherits what its base says, which is not about itself.
        documented = vars(cls).get("__doc__") if inspect.isclass(cls) else cls.__doc__
        undocumented += [] if documented else [name]
        undocumented += [
            f"{name}.{member}"
            for member, value in inspect.getmembers(cls)
            if not member.startswith("_")
            and (inspect.isfunction(value) or isinstance(value, property))
            and not inspect.getdoc(value)
        ]
    assert undocumented == []


def test_every_public_name_is_in_the_readme() -> None:
    readme = (Path(__file__).parents[2] / "sdk" / "README.md").read_text()
    assert [name for name in sorted(DOCUMENTED_NAMES) if f"`{name}" not in readme] == []


def test_importing_it_imports_httpx_and_no_heavy_package() -> None:
    code = (
        "import sys, asktell; "
        "print(*sorted({'numpy','optuna','pydantic','service','httpx'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.split() == ["httpx"], result.stderr


def test_modules_import_nothing_but_httpx_and_the_standard_library() -> None:
    allowed = {"asktell", "httpx", *sys.stdlib_module_names}
    found = set()
    for path in Path(asktell.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add((node.module or "").split(".")[0])
    assert found <= allowed
