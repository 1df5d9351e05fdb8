"""W&B's `parameters` as a search space of ours."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from service.domain.errors import InvalidSpace
from service.search_space import SearchSpace, describe, parse_space
from service.sweep_files.documents import Document, Path
from service.sweep_files.draft import Draft, suggest
from service.sweep_files.problems import Problems
from service.sweep_files.wandb_distributions import (
    DISTRIBUTIONS,
    GRID_DISTRIBUTIONS,
    NATIVE_KEYS,
    Form,
    find_problems,
)

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*", re.ASCII)
_SPACE: Path = ("space",)
_PARAMETERS: Path = ("parameters",)


def read_parameters(draft: Draft, parameters: Any, *, is_grid: bool) -> SearchSpace | None:
    """Translates all parameters, and returns the search space that they make, if they do."""
    draft.link(_SPACE, _PARAMETERS)
    if not isinstance(parameters, dict) or not parameters:
        draft.refuse(
            _PARAMETERS, "Give the parameters by name, such as `lr: {min: 0.001, max: 0.1}`."
        )
        return None
    draft.put(_SPACE, {}, _PARAMETERS)
    distributions = {**DISTRIBUTIONS, **(GRID_DISTRIBUTIONS if is_grid else {})}
    _Translation(draft, distributions).read_group(parameters, _PARAMETERS, _SPACE)
    return _find_space(draft)


def convert_parameter(parameter: Mapping[str, Any]) -> Any:
    """Returns one of W&B's parameters as an entry of a search space.

    Raises:
        InvalidSweepFile: It is not valid, or not supported.
    """
    document = Document({"parameters": {"it": parameter}}, {(): 1})
    draft = Draft(document, Problems())
    read_parameters(draft, document.content["parameters"], is_grid=False)
    draft.problems.check()
    return draft.content["space"]["it"]


class _Translation:
    def __init__(self, draft: Draft, distributions: Mapping[str, Form]) -> None:
        self._draft = draft
        self._distributions = distributions

    def read_group(self, parameters: Mapping[str, Any], source: Path, target: Path) -> None:
        for name, parameter in parameters.items():
            self._read_named(name, parameter, (*source, name), (*target, name))

    def _read_named(self, name: str, parameter: Any, source: Path, target: Path) -> None:
        if problem := _find_problem(name, parameter):
            self._draft.refuse(source, problem)
            return
        if "parameters" in parameter:
            self._read_nested(parameter, source, target)
        else:
            self._read_parameter(parameter, source, target)

    def _read_nested(self, parameter: Mapping[str, Any], source: Path, target: Path) -> None:
        self._draft.refuse_unknown(source, parameter, ("parameters",))
        inner = parameter["parameters"]
        if not isinstance(inner, dict) or not inner:
            self._draft.refuse((*source, "parameters"), "Give the parameters in it by name.")
            return
        self._draft.link(target, source)
        self.read_group(inner, (*source, "parameters"), target)

    def _read_parameter(self, parameter: Mapping[str, Any], source: Path, target: Path) -> None:
        kind = parameter.get("distribution", _infer(parameter))
        form = self._find_form(kind, parameter, source)
        if form is None:
            return
        known = ("distribution", *form.required, *form.optional)
        problems = [*form.find_missing(parameter), *find_problems(form, parameter)]
        for key, problem in problems:
            self._draft.refuse((*source, *key), problem)
        self._refuse_others(kind, parameter, known, source)
        if problems or form.build is None:
            return
        self._draft.put(target, form.build(parameter), source)
        self._link(parameter, source, target)
        if note := form.find_note(parameter):
            self._draft.note(source, note)

    def _refuse_others(
        self, kind: str, parameter: Mapping[str, Any], known: Collection[str], source: Path
    ) -> None:
        forms = self._distributions.values()
        of_others = {key for form in forms for key in (*form.required, *form.optional)}
        # These are no slips of the pen: what is spelt like them is not meant.
        for key in [key for key in parameter if key in of_others and key not in known]:
            message = f"The distribution {kind} has no `{key}`. Known are {', '.join(known)}."
            self._draft.refuse((*source, key), message)
        self._draft.refuse_unknown(source, parameter, (*known, *of_others))

    def _find_form(self, kind: Any, parameter: Mapping[str, Any], source: Path) -> Form | None:
        if kind is None:
            self._draft.refuse(
                source,
                "Give `value`, `values`, `min` and `max`, a `distribution`, or `parameters`.",
            )
            return None
        path = (*source, "distribution") if "distribution" in parameter else source
        if not isinstance(kind, str) or kind not in self._distributions:
            nearest = suggest(str(kind), tuple(self._distributions))
            self._draft.refuse(path, f"There is no distribution {_show(kind)}.{nearest}")
            return None
        form = self._distributions[kind]
        if form.refusal is not None:
            self._draft.refuse(path, form.refusal)
            return None
        return form

    def _link(self, parameter: Mapping[str, Any], source: Path, target: Path) -> None:
        for key in parameter:
            if key in NATIVE_KEYS:
                self._draft.link((*target, NATIVE_KEYS[key]), (*source, key))
        for key in ("values", "probabilities"):
            for index in range(len(parameter.get(key, ()))):
                self._draft.link((*target, NATIVE_KEYS[key], index), (*source, key, index))


def _find_problem(name: str, parameter: Any) -> str | None:
    if not _NAME.fullmatch(name):
        return (
            "A parameter's name begins with a letter or _; the rest may be letters, digits, "
            "_, . and -."
        )
    if not isinstance(parameter, dict):
        return (
            f"A parameter is a mapping; for the constant write {{value: {_show(parameter)}}}, "
            "for a choice {values: […]}."
        )
    return None


def _infer(parameter: Mapping[str, Any]) -> str | None:
    if "values" in parameter:
        return "categorical_w_probabilities" if "probabilities" in parameter else "categorical"
    if "value" in parameter:
        return "constant"
    if "min" in parameter or "max" in parameter:
        bounds = [parameter.get("min"), parameter.get("max")]
        is_integer = all(isinstance(each, int) and not isinstance(each, bool) for each in bounds)
        return "int_uniform" if is_integer else "uniform"
    return None


def _find_space(draft: Draft) -> SearchSpace | None:
    """Finds what makes no search space, too, such as a choice given twice."""
    try:
        return parse_space(draft.content["space"])
    except InvalidSpace as error:
        for each in error.errors:
            draft.refuse_part(f"space.{each.field}", each.message)
        return None


def _show(value: Any) -> str:
    return "…" if isinstance(value, list | dict) else describe(value)
