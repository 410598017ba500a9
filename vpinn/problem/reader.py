"""The two ways to make a `Case`, a problem with its settings: from a file (`read_problem`) and in Python (`make_problem`)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vpinn.domain import Mesh, Meshless
from vpinn.errors import InputError
from vpinn.problem.build import PythonForm, build_problem
from vpinn.problem.case import Case
from vpinn.problem.source import Source, read_source
from vpinn.problem.validation import validate


def read_problem(
    path: str | os.PathLike[str], overrides: Sequence[str] = (), mesh_root: str | os.PathLike[str] | None = None
) -> Case:
    """Read, validate and translate a problem file.

    Args:
        path: TOML file of at most 256 kB; paths inside it are relative to its folder and stay there.
        overrides: ``section.key=value`` each, applied before validation.
        mesh_root: folder in which the mesh may lie if it is not below that of the file; run folders keep a copy.

    Returns:
        The problem with its settings.

    Raises:
        InputError: the file is wrong; one line says where (``file:line``), what was found and what to do.
    """
    source = replace(read_source(path, overrides), mesh_root=None if mesh_root is None else Path(mesh_root))
    return build_problem(source, validate(source), Path(path).parent)


def make_problem(
    domain: Mesh | Meshless | Mapping[str, Any],
    *,
    unknowns: Mapping[str, Any],
    energy: str | PythonForm | None = None,
    weak: str | PythonForm | None = None,
    strong: str | Sequence[str] | PythonForm | None = None,
    boundary: Sequence[Mapping[str, Any]] = (),
    folder: str | os.PathLike[str] = ".",
    **sections: Any,
) -> Case:
    """State a problem in Python, with the sections of a problem file as arguments.

    A form is text as in a problem file, or a function of the problem's names that returns UFL: ``names.u``, ``names.v``,
    constants and expressions by name, ``names.x`` (the point, shape [d], as in UFL), ``names.n``, ``names.h``, and the
    measures ``names.dx``, ``names.ds``, ``names.ds("outlet")``.

    Args:
        domain: a mesh or hypercube, or the keys of a [domain] section.
        unknowns: name → "scalar", "vector", a number of components, or a dictionary of shape and test.
        energy: energy to minimise; exactly one of energy, weak and strong is given.
        weak: weak form.
        strong: equations that vanish in the domain; in Python, one UFL expression or a list of them.
        boundary: one dictionary per [[boundary]] section.
        folder: folder in which relative paths start; they must stay below it.
        **sections: title, constants, expressions, reference, network, test_space, quadrature, batch, solver, output.

    Returns:
        The problem with its settings.

    Raises:
        InputError: a section is wrong, as for ``read_problem``, but without file and line.

    Example:
        >>> from vpinn.domain import rectangle
        >>> problem = make_problem(
        ...     rectangle(cells=4), unknowns={"u": "scalar"}, energy="0.5*inner(grad(u), grad(u))*dx - u*dx",
        ...     boundary=[{"on": "all", "value": 0}],
        ... )
        >>> problem.unknowns[0].test_name
        'v'
    """
    forms = {key: form for key, form in {"energy": energy, "weak": weak, "strong": strong}.items() if form is not None}
    functions = [form for form in forms.values() if callable(form)]
    texts = {key: f"<{getattr(form, '__qualname__', 'function')}>" if callable(form) else form for key, form in forms.items()}
    data = {**_plain(sections), "unknowns": _plain(unknowns), "form": _plain(texts), "boundary": _plain(boundary)}
    if isinstance(domain, Mapping):
        data["domain"] = _plain(domain)
    given = None if isinstance(domain, Mapping) else domain
    source = Source(None, None, data, base=Path(folder), domain=given, form=functions[0] if functions else None)
    settings = validate(source)
    if given is not None and not isinstance(given, Mesh | Meshless):
        kinds = "a Mesh, a Hypercube, a Ball, a Space or the keys of a [domain] section"
        raise InputError(f"domain is {kinds}, got {type(given).__name__}")
    return build_problem(source, settings, source.base, source.domain, source.form)


def replaced(case: Case, sections: Mapping[str, Any]) -> Case:
    """Return a case with other entries in some sections; see ``Case.replace``."""
    source = case.source
    data = dict(source.data)
    for name, entries in _plain(sections).items():
        before = data.get(name)
        data[name] = {**before, **entries} if isinstance(before, dict) and isinstance(entries, dict) else entries
    changed = replace(source, data=data, lines={}, overrides=frozenset())
    return build_problem(changed, validate(changed), source.base, source.domain, source.form)


def _plain(value: Any) -> Any:
    """Return mappings as dictionaries and sequences as lists, the types that a parsed file has."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value
