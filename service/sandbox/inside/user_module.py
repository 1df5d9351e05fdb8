"""A user file as a module: loading it, finding its functions, saying where it went wrong."""

import inspect
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import optuna

_MODULE = "user_file"
_TEXT_LENGTH = 2000
_BYTE_ORDER_MARK = "\ufeff"


class WrongFile(Exception):
    """The file lacks something or gives the wrong thing; the message is a sentence about it."""


def load_module(file: Mapping[str, Any]) -> ModuleType:
    """Execute the text of a file; raises whatever it raises.

    `optuna` is there as in W&B's launch scheduler, whose published files never import it.
    """
    module = ModuleType(_MODULE)
    module.__dict__["optuna"] = optuna
    sys.modules[_MODULE] = module
    source = file["source"].removeprefix(_BYTE_ORDER_MARK)
    exec(compile(source, file["name"], "exec"), module.__dict__)  # noqa: S102
    return module


def find_function(module: ModuleType, name: str, *args: str) -> Callable[..., Any] | None:
    """Return the function `name`, or None if the file has none.

    Args:
        args: What it is called with, as its signature is shown in a problem.

    Raises:
        WrongFile: It is no function, or cannot be called like that.
    """
    found = module.__dict__.get(name)
    if found is None or isinstance(found, ModuleType):
        return None
    signature = f"{name}({', '.join(args)})"
    if not callable(found):
        raise WrongFile(f"{name} is a {type(found).__name__}; write a function: def {signature}.")
    if kind := _find_odd_kind(found):
        raise WrongFile(f"{name} is {kind}; write a plain function: def {signature}.")
    if not _takes(found, args):
        raise WrongFile(f"{name} cannot be called as {signature}.")
    function: Callable[..., Any] = found
    return function


def get_function(module: ModuleType, name: str, *args: str) -> Callable[..., Any]:
    """Return the function `name` as `find_function`.

    Raises:
        WrongFile: Also if there is none.
    """
    found = find_function(module, name, *args)
    if found is None:
        raise WrongFile(f"It has no function {name}({', '.join(args)}).")
    return found


def explain(error: BaseException, file_name: str) -> dict[str, Any]:
    """Return the message to the server that says how the file failed."""
    if isinstance(error, WrongFile):
        return _failed(None, str(error), None)
    line = _find_line(error, file_name)
    if isinstance(error, optuna.TrialPruned):
        message = "A search space has nothing to prune; raise TrialPruned in the program instead."
        return _failed("TrialPruned", message, line)
    return _failed(type(error).__name__, _describe(error), line)


def _takes(function: Callable[..., Any], args: tuple[str, ...]) -> bool:
    try:
        inspect.signature(function).bind(*args)
    except TypeError:
        return False
    except ValueError:
        return True  # Something of C that does not tell.
    return True


def _find_odd_kind(function: Callable[..., Any]) -> str | None:
    """Return what a function is whose body would not run when it is called, else None."""
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return "an async function"
    return "a generator, as it has a yield" if inspect.isgeneratorfunction(function) else None


def _failed(kind: str | None, message: str, line: int | None) -> dict[str, Any]:
    return {"op": "failed", "type": kind, "message": message[:_TEXT_LENGTH], "line": line}


def _describe(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return error.msg
    try:
        return str(error)
    except Exception as unreadable:
        return f"its message cannot be read: {type(unreadable).__name__}"


def _find_line(error: BaseException, file_name: str) -> int | None:
    if isinstance(error, SyntaxError) and error.filename == file_name:
        return error.lineno
    line, traceback = None, error.__traceback__
    while traceback:
        if traceback.tb_frame.f_code.co_filename == file_name:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line
