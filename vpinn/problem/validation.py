"""Validation of a parsed problem file → `Settings`; an error is one line that says where, what was found and what to do.

`unused_settings` lists those that the method does not use.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Container, Mapping
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from vpinn.errors import InputError
from vpinn.problem.schema import Settings
from vpinn.problem.source import Source
from vpinn.problem.wording import closest, shown

Key = tuple[str | int, ...]

_KINDS = {
    "int_type": "an integer",
    "float_type": "a number",
    "string_type": "a string",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "tuple_type": "a list",
    "finite_number": "a finite number",
}
_BOUNDS = {
    "greater_than": (">", "gt"),
    "greater_than_equal": ("≥", "ge"),
    "less_than": ("<", "lt"),
    "less_than_equal": ("≤", "le"),
}
UNAVAILABLE: Final = {
    "domain.time_cells": "a march chooses its steps itself; leave it out, or make time a coordinate of a rectangle or box",
    # python tests/benchmarks/batch_normalisation.py
    "network.normalisation": "a batch's own statistics would bias the gradient; leave it out: coordinates and first weights are "
    "scaled as they are",
}
"""``section.key`` that a user may expect but that does not exist → what to use instead."""
_STEPS = {"solver": ("steps", "learning_rate", "warmup", "scaling", "schedule", "decay", "clip", "project")}
_POINTS = {"quadrature": ("rule", "degree", "refine"), "test_space": ("kind", "degree")}
_LENGTHS = {"solver": ("learning_rate", "warmup", "schedule", "decay", "clip")}
UNUSED: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "least-squares": {**_STEPS, "network": ("layers", "places", "elements")},
    "elements": {
        "solver": (*_STEPS["solver"], "features"),
        "network": ("layers", "activation", "places", "elements"),
        **_POINTS,
    },
    "march": {**_STEPS, "network": ("layers", "activation", "places", "elements")},
    "lbfgs": _LENGTHS,
    "broyden": _LENGTHS,
    "gauss-newton": _LENGTHS,
}
"""Method → section → keys that it does not read."""
UNUSED_ON_ALL: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {"langevin": _LENGTHS}
"""The same for methods that read the keys on mini-batches, but not where every step uses all points."""


def validate(source: Source) -> Settings:
    """Return the validated settings of a source.

    Raises:
        InputError: values are wrong; describes the first one in the order of the file, and has the others.
    """
    for section, content in source.data.items():
        for key in content if isinstance(content, dict) else ():
            if hint := UNAVAILABLE.get(f"{section}.{key}"):
                raise InputError(f"{section}.{key} is not available in this version; {hint}", source.place(section, key))
    try:
        return Settings.model_validate(source.data)
    except ValidationError as error:
        problems: dict[Key, list[ErrorDetails]] = {}
        for detail in error.errors(include_url=False):
            problems.setdefault(_path(detail, source.data), []).append(detail)
        problems = {
            key: found for key, found in problems.items() if not any(len(k) > len(key) and k[: len(key)] == key for k in problems)
        }
        ordered = sorted(problems.items(), key=lambda item: (source.lines.get(item[0], 0), len(item[0]) == 0))
        first, *others = (InputError(_describe(key, found, source.data), source.place(*key)) for key, found in ordered)
        raise InputError(first.message, first.where, others) from None


def unused_settings(settings: Settings, method: str) -> list[str]:
    """Return the settings that a problem file gives and a method does not use, as ``section.key``."""
    found = []
    on_all = UNUSED_ON_ALL.get(method, {}) if settings.batch.size == "full" else {}
    for section, keys in {**UNUSED.get(method, {}), **on_all}.items():
        given = getattr(settings, section).model_fields_set
        found += [f"{section}.{key}" for key in keys if key in given]
    return found


def _keys(data: Any) -> Container[Any]:
    """Return the keys of a table, or the positions of a list; nothing for other values."""
    if isinstance(data, list):
        return range(len(data))
    return data if isinstance(data, dict) else ()


def _path(detail: ErrorDetails, data: Any) -> Key:
    """Return the key path in a location of pydantic, without the names of the branches of unions."""
    path: list[str | int] = []
    for part in detail["loc"]:
        keys = _keys(data)
        if part in keys:
            data = data[part]
            path.append(part)
        elif detail["type"] == "missing" and part == detail["loc"][-1]:
            path.append(part)
    return tuple(path)


FLUXES = ("flux", "neumann", "robin", "traction", "load", "gradient", "derivative", "natural")
"""Keys with which users state what is a term of the form."""
_FLUX = "; a flux or traction g is a term of the form, as in - g*v*ds('left'), and so is k*u*v*ds('left') of a spring"


def _describe(key: Key, found: list[ErrorDetails], data: Any) -> str:
    name = ".".join(str(part)[:60] for part in key)
    kinds = {detail["type"]: detail for detail in found}
    if "extra_forbidden" in kinds:
        section = ".".join(map(str, key[:-1]))
        known = _known_keys(key[:-1])
        hint = _FLUX if str(key[-1]) in FLUXES and key[0] == "boundary" else closest(str(key[-1]), known)
        return f"unknown key {str(key[-1])[:60]!r}{f' in [{section}]' if section else ''}{hint}"
    if "missing" in kinds:
        return f"{name} is missing; it is required"
    if "value_error" in kinds:
        return f"{name or 'problem'}: {kinds['value_error']['msg'].removeprefix('Value error, ')}"
    added = [name for detail in found if detail["type"] == "added" for name in detail["ctx"]["names"]]
    found = [detail for detail in found if detail["type"] != "added"] or found
    wanted = list(dict.fromkeys(", ".join([_wanted(detail), *map(repr, added)]) for detail in found))
    got = found[0]["input"]
    comma = isinstance(got, str) and re.fullmatch(r"\s*[+-]?\d+,\d+([eE][+-]?\d+)?\s*", got)
    hint = f"; decimals have a point, as in {got.strip().replace(',', '.')}, without quotes" if comma else ""
    for detail in found:
        if detail["type"] == "literal_error" and isinstance(got, str):
            choices = [choice.strip().strip("'") for choice in detail["ctx"]["expected"].replace(" or ", ", ").split(",")] + added
            near = difflib.get_close_matches(got, choices, n=1, cutoff=0.6)
            hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{name} must be {' or '.join(wanted)}, got {shown(got)}{hint}"


def _wanted(detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in _KINDS:
        return _KINDS[kind]
    if kind == "literal_error":
        return f"one of {context['expected'].replace(' or ', ', ')}" if "," in context["expected"] else context["expected"]
    if kind in _BOUNDS:
        sign, bound = _BOUNDS[kind]
        return f"{sign} {context[bound]:g}"
    if kind in ("too_short", "string_too_short"):
        return (
            f"a list or table of at least {context.get('min_length', 1)}" if kind == "too_short" else "a string that is not empty"
        )
    if kind in ("too_long", "string_too_long"):
        return f"of at most {context['max_length']} {'entries' if kind == 'too_long' else 'characters'}"
    return detail["msg"].removeprefix("Input should be ").lower()


def _known_keys(path: Key) -> list[str]:
    """Return the keys that the section at a key path can have."""
    model: Any = Settings
    for part in path:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        candidates = _models(field.annotation) if field else []
        if not candidates:
            return []
        model = candidates[0]
        if part == "unknowns":
            break
    return list(model.model_fields)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models(part)]
