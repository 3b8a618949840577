"""Dataclasses of TOML tables, checked field by field: recipes and the manifest of the weights."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union

from agegender_core.errors import ConfigError

Made = TypeVar("Made")


def read_table(kind: type[Made], table: Any, where: str) -> Made:
    """The dataclass ``kind`` of a table; its fields may be dataclasses themselves. Lists become
    tuples, and whole numbers are numbers too.

    Raises ``ConfigError`` that starts with ``where``: for an unknown or missing key, or a value
    that is not of its field's type.
    """
    if not isinstance(table, dict):
        raise ConfigError(f"{where}: expected a table, got {_short(table)}")
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(typing.cast(Any, kind))}
    if unknown := sorted(set(table) - set(fields)):
        raise ConfigError(f"{where}: unknown key {', '.join(unknown)}; known: {', '.join(fields)}")
    required = {
        name
        for name, field in fields.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    if missing := sorted(required - set(table)):
        raise ConfigError(f"{where}: missing key {', '.join(missing)}")
    return kind(
        **{key: _value(hints[key], value, f"{where}: {key}") for key, value in table.items()}
    )


def _value(hint: Any, value: Any, where: str) -> Any:
    """``value`` as a field of type ``hint`` holds it."""
    if dataclasses.is_dataclass(hint):
        return read_table(typing.cast(type, hint), value, where)
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return _one_of(inner, value, where)
    if origin is Literal:
        if value not in inner:
            known = ", ".join(map(repr, inner))
            raise ConfigError(f"{where}: {_short(value)} is not one of {known}")
        return value
    if origin is tuple:
        return _tuple(inner, value, where)
    if origin in (dict, Mapping):
        if not isinstance(value, dict):
            raise ConfigError(f"{where}: expected a table, got {_short(value)}")
        return {key: _value(inner[1], item, f"{where}: {key}") for key, item in value.items()}
    return _plain(hint, value, where)


def _one_of(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    """``value`` as the first of ``kinds`` that takes it; the last one's error where none does."""
    *others, last = (kind for kind in kinds if kind is not types.NoneType)
    if value is None and types.NoneType in kinds:
        return None
    for kind in others:
        try:
            return _value(kind, value, where)
        except ConfigError:
            continue
    return _value(last, value, where)


def _tuple(inner: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{where}: expected a list, got {_short(value)}")
    kinds = [inner[0]] * len(value) if inner[-1] is Ellipsis else list(inner)
    if len(kinds) != len(value):
        raise ConfigError(f"{where}: expected {len(kinds)} values, got {len(value)}")
    return tuple(_value(kind, item, where) for kind, item in zip(kinds, value, strict=True))


def _plain(hint: Any, value: Any, where: str) -> Any:
    """A number, text or truth value; anything for ``Any``, with lists as tuples."""
    if hint is Any:
        return (
            tuple(_plain(Any, item, where) for item in value) if isinstance(value, list) else value
        )
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is not bool and isinstance(value, bool)):
        raise ConfigError(f"{where}: expected {hint.__name__}, got {_short(value)}")
    return value


def _short(value: Any) -> str:
    return f"{value!r:.60}"
