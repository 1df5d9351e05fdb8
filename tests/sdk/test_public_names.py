"""What the package promises to its users."""

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asktell

DOCUMENTED_NAMES = {
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
        "print(*sorted({'numpy','optuna','pydantic','service','httpx','tqdm'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.split() == ["httpx"], result.stderr


def test_modules_import_nothing_but_httpx_and_the_standard_library() -> None:
    allowed = {"asktell", "httpx", *sys.stdlib_module_names}
    # Imported by whoever asks for a copy of a study, or for a progress bar.
    wanted = {"_to_optuna.py": {"optuna"}, "_progress.py": {"tqdm"}}
    found = {}
    for path in Path(asktell.__file__).parent.glob("*.py"):
        imported = set(_find_imports(ast.parse(path.read_text())))
        if foreign := imported - allowed - wanted.get(path.name, set()):
            found[path.name] = foreign
    assert found == {}


def test_a_users_strict_script_type_checks(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT)
    assert (Path(asktell.__file__).parent / "py.typed").is_file()
    config = tmp_path / "mypy.ini"
    # Most users have no optuna, and reading it takes a minute.
    config.write_text("[mypy]\nstrict = True\n[mypy-optuna.*]\nfollow_imports = skip\n")
    command = [sys.executable, "-m", "mypy", "--config-file", str(config)]
    result = subprocess.run(
        [*command, "--cache-dir", str(tmp_path), str(script)], capture_output=True, text=True
    )
    assert result.stdout.splitlines()[:-1] == [
        f"{script}:{_WRONG_LINE}: error: Incompatible types in assignment (expression has type "
        '"float", variable has type "str")  [assignment]'
    ], result.stdout + result.stderr


_SCRIPT = """
import asktell


def objective(trial: asktell.Trial) -> float:
    lr = trial.suggest_float("lr", 1e-5, 1.0, log=True)
    kind = trial.suggest_categorical("kind", ["adam", "sgd"])
    trial.report(lr, len(kind))
    if trial.should_prune():
        raise asktell.TrialPruned
    return lr


def stop_early(study: asktell.Study, trial: asktell.FrozenTrial) -> None:
    if trial.state is asktell.TrialState.COMPLETE:
        study.stop()


with asktell.Client("http://127.0.0.1:8700", "token") as client:
    study = client.create_study("typed", direction=asktell.StudyDirection.MAXIMIZE)
    study.optimize(objective, n_trials=3, callbacks=[stop_early], show_progress_bar=True)
    with study.ask() as one:
        one.tell(objective(one))
    numbers = [trial.number for trial in study.ask(2)]
    values: list[float] | None = study.best_trial.values
    wrong: str = study.best_value
"""
_WRONG_LINE = _SCRIPT.splitlines().index("    wrong: str = study.best_value") + 1


def _find_imports(module: ast.Module) -> Iterator[str]:
    """Top-level packages of what runs; types alone are imported by a checker only."""
    for node in _walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0]


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for child in ast.iter_child_nodes(node):
        is_for_types = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        if not is_for_types:
            yield from _walk(child)
