"""Frozen dataclasses to JSON and back, so that a report has typed fields in code and plain keys in
its file.

Keys are the fields' names, in their order. A field that holds its default is left out: a default
stands for «not measured». None without a default is written as null.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from functools import cache
from typing import Any, TypeVar

from agegender_core.errors import DatasetError

T = TypeVar("T")


def to_json(value: Any) -> Any:
    """``value`` as JSON can hold it: dataclasses as mappings, tuples as lists, at any depth."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: to_json(item)
            for field in dataclasses.fields(value)
            if (item := getattr(value, field.name)) != field.default
        }
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return value


def from_json(kind: type[T], value: Any) -> T:
    """The dataclass ``kind`` from what ``to_json`` made of it. Keys that are no field are ignored.

    Raises ``DatasetError`` where a key without a default is missing, or a mapping or a list is
    something else.
    """
    return _read(kind, value, kind.__name__)


def _read(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _record(kind, _checked(value, dict, where), where)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType) and types.NoneType in arguments:
        (inner,) = (item for item in arguments if item is not types.NoneType)
        return None if value is None else _read(inner, value, where)
    if origin is tuple:
        return tuple(_read(arguments[0], item, where) for item in _checked(value, list, where))
    if origin is dict:
        items = _checked(value, dict, where).items()
        return {key: _read(arguments[1], item, f"{where}.{key}") for key, item in items}
    return value


def _record(kind: Any, value: dict[str, Any], where: str) -> Any:
    hints = _hints(kind)
    missing = [
        field.name
        for field in dataclasses.fields(kind)
        if field.name not in value
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise DatasetError(f"{where} lacks {', '.join(missing)}: write the report again")
    return kind(
        **{
            field.name: _read(hints[field.name], value[field.name], f"{where}.{field.name}")
            for field in dataclasses.fields(kind)
            if field.name in value
        }
    )


def _checked(value: Any, kind: type[T], where: str) -> T:
    if not isinstance(value, kind):
        raise DatasetError(
            f"{where} is {value!r:.60}, not a {kind.__name__}: write the report again"
        )
    return value


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)
