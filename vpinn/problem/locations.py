"""Files and folders named in a problem file; they must lie inside its own folder, so that a file from others can do no harm."""

from __future__ import annotations

import stat
from pathlib import Path

from vpinn.domain import Domain as AnyDomain
from vpinn.domain import make_shape, read_mesh
from vpinn.errors import InputError
from vpinn.problem.schema import Domain
from vpinn.problem.wording import printable


def load_domain(section: Domain, folder: Path, mesh_root: Path | None = None) -> AnyDomain:
    """Return the domain of a [domain] section.

    Args:
        section: the section, with a mesh file relative to ``folder`` or a shape.
        folder: folder of the problem file.
        mesh_root: where a mesh lies that is not below ``folder``; None for nowhere.

    Raises:
        InputError: the mesh cannot be read or is invalid, or the shape's parameters do not fit.
    """
    if section.mesh is not None:
        return read_mesh(mesh_file(section.mesh, folder, mesh_root))
    settings = {key: getattr(section, key) for key in section.model_fields_set - {"shape", "mesh", "tags", "time", "layers"}}
    settings = {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items() if value is not None}
    return make_shape(str(section.shape), **settings)


def mesh_file(name: str, folder: Path, mesh_root: Path | None = None) -> Path:
    """Return the path of a mesh file below the folder of the problem file, or else below another one.

    Raises:
        InputError: as for `file_inside`.
    """
    if mesh_root is not None and not (folder / name).exists():
        return file_inside(mesh_root, name, "the folder of --mesh-root")
    return file_inside(folder, name)


def file_inside(folder: Path, name: str, where: str = "the problem file's folder") -> Path:
    """Return the path of a regular file inside ``folder``, which messages call ``where``.

    Raises:
        InputError: the file lies outside the folder after following links, is missing, or is no regular file.
    """
    path = _resolve(folder / name)
    if not path.is_relative_to(_resolve(folder)):
        raise InputError(f"{printable(name)!r} lies outside {where}; move it there, or give that of a mesh as --mesh-root DIR")
    if Path(name).is_absolute() or ".." in Path(name).parts:  # run folders keep a copy under the same name
        raise InputError(f"{printable(name)!r} is not a path below {where}; write it without .. or a leading /")
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        raise InputError(f"no such file: {printable(name)!r}, looked for in {where}") from None
    if not stat.S_ISREG(mode):
        raise InputError(f"{printable(name)!r} is not a regular file")
    return path


def output_directory(folder: Path, name: str, anywhere: bool) -> Path:
    """Return the run folder, relative to the working directory.

    Args:
        folder: folder of the problem file.
        name: directory as the user wrote it.
        anywhere: whether it may lie anywhere, because it was given on the command line.

    Raises:
        InputError: it lies outside both the working directory and ``folder``, is hidden, or is not a path.
    """
    path = _resolve(Path(name))
    if not anywhere:
        root = next((root for root in (Path.cwd(), _resolve(folder)) if path.is_relative_to(root)), None)
        if root is None:
            raise InputError(f"{printable(name)!r} lies outside the working directory; choose another or give it as -o DIR")
        if any(part.startswith(".") for part in path.relative_to(root).parts):
            raise InputError(f"{printable(name)!r} is a hidden folder; choose another or give it as -o DIR")
    return Path(name)


def _resolve(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, ValueError, RuntimeError):
        raise InputError(f"{printable(str(path))!r} is not a path") from None
