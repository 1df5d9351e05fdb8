"""Fields of dataclasses as Flyte's types describe them: by the JSON schema that flytekit stores."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

_CLASSES: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "boolean": bool,
    "null": type(None),
    "array": list,
    "object": dict,
}
_ROOT = "#/"


class UnfitField(Exception):
    """A value that a field does not take; the message names the field, for people."""


def fit_fields(value: Mapping[str, Any], schema: Mapping[str, Any]) -> Any:
    """The value with numbers as the fields want them; what is left out has its default.

    A type that the schema does not tell, or not in a way that is known here, takes anything.

    Raises:
        UnfitField: A field is missing or unknown, or does not take its value.
    """
    return _Fitting(schema).fit(value, schema, "")


@dataclass(frozen=True, slots=True)
class _Fitting:
    root: Mapping[str, Any]

    def fit(self, value: Any, schema: Mapping[str, Any], path: str) -> Any:
        schema = self._resolve(schema)
        if "anyOf" in schema:
            return self._fit_any(value, schema, path)
        if "enum" in schema:
            return value if value in schema["enum"] else _refuse(value, schema, path)
        return self._fit_type(value, schema, path)

    def _fit_type(self, value: Any, schema: Mapping[str, Any], path: str) -> Any:
        match schema.get("type"):
            case "number" if _is_number(value):
                return float(value)
            case "integer" if _is_number(value) and float(value).is_integer():
                return int(value)
            case "array" if isinstance(value, list):
                return self._fit_items(value, schema, path)
            case "object" if isinstance(value, dict):
                return dict(self._fit_properties(value, schema, path))
            case str(name) if name in _CLASSES and isinstance(value, _CLASSES[name]):
                return value
            case str():
                return _refuse(value, schema, path)
            case _:
                return value

    def _resolve(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """What is defined once for all of its uses."""
        reference = schema.get("$ref", "")
        if not reference.startswith(_ROOT):
            return schema
        found = self.root
        for name in reference.removeprefix(_ROOT).split("/"):
            found = found[name]
        return found

    def _fit_any(self, value: Any, schema: Mapping[str, Any], path: str) -> Any:
        fitted = []
        for each in schema["anyOf"]:
            with suppress(UnfitField):
                fitted.append(self.fit(value, each, path))
        if not fitted:
            _refuse(value, schema, path)
        return next((each for each in fitted if type(each) is type(value)), fitted[0])

    def _fit_items(self, value: list[Any], schema: Mapping[str, Any], path: str) -> list[Any]:
        of_each = schema.get("prefixItems") or [schema.get("items", {})] * len(value)
        if len(of_each) != len(value):
            wanted = f"Its field {path!r} has {len(of_each)} values"
            raise UnfitField(f"{wanted}; {value!r} has not.")
        pairs = enumerate(zip(value, of_each, strict=True))
        return [self.fit(each, wanted, f"{path}[{index}]") for index, (each, wanted) in pairs]

    def _fit_properties(
        self, value: Mapping[str, Any], schema: Mapping[str, Any], path: str
    ) -> Iterator[tuple[str, Any]]:
        known, others = schema.get("properties", {}), schema.get("additionalProperties", {})
        for name in schema.get("required", ()):
            if name not in value:
                raise UnfitField(f"Its field {_join(path, name)!r} is missing.")
        for name, each in value.items():
            inner, wanted = _join(path, name), known.get(name, others)
            if wanted is False:
                raise UnfitField(f"It has no field {inner!r}.")
            yield name, self.fit(each, {} if wanted is True else wanted, inner)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _refuse(value: Any, schema: Mapping[str, Any], path: str) -> Any:
    raise UnfitField(f"Its field {path!r} is of type {_describe(schema)}; {value!r} is not.")


def _describe(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(map(repr, schema["enum"]))
    if "anyOf" in schema:
        variants: Sequence[Mapping[str, Any]] = schema["anyOf"]
        return " | ".join(map(_describe, variants))
    return str(schema.get("type", "any"))
