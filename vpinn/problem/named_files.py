"""The files that a problem file names: what a run folder keeps copies of."""

from __future__ import annotations

from pathlib import Path

from vpinn.problem.case import Case
from vpinn.problem.constants import files_of_constants
from vpinn.problem.locations import mesh_file


def named_files(problem: Case) -> list[tuple[str, Path]]:
    """Return name and path of each: mesh, reference, measurements, fields and lists of constants."""
    settings, folder = problem.settings, problem.source.base
    names = [settings.reference.file, *(one.file for one in settings.data), *(one.file for one in settings.fields.values())]
    names += files_of_constants(settings)
    found = [(name, folder / name) for name in dict.fromkeys(names) if name is not None]
    if settings.domain is not None and (mesh := settings.domain.mesh) is not None:
        found.insert(0, (mesh, mesh_file(mesh, folder, problem.source.mesh_root)))
    return found
