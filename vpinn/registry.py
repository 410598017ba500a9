"""Parts that others add: samplers, activations, methods and shapes of their own, found by name in problem files.

A part is registered by a decorator in the running program, or by an entry point of an installed package:

    @vpinn.register("samplers", "mine")          [project.entry-points."vpinn.samplers"]
    def mine(points, size, choice): …            mine = "my_package:mine"

| kind | what is registered |
|---|---|
| samplers | function (points, size, choice) → ``vpinn.sampling.Sampler`` |
| activations | object of a class derived from ``vpinn.trial.Activation`` |
| methods | function (settings) → ``vpinn.optimization.Method`` |
| shapes | function of the keys of [domain], such as ``cells`` → ``vpinn.domain.Mesh`` |

``vpinn.testing`` has the contracts that such parts have to hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, TypeVar

from vpinn.errors import InputError

Part = TypeVar("Part")
KINDS: Final = ("samplers", "activations", "methods", "shapes")
"""Kinds of parts; the group of their entry points is "vpinn." and the kind."""
_REGISTERED: Final[dict[str, dict[str, Any]]] = {kind: {} for kind in KINDS}


def register(kind: str, name: str) -> Callable[[Part], Part]:
    """Return a decorator that registers a part.

    Args:
        kind: one of `KINDS`.
        name: its name in problem files; a part that was registered before under this name is replaced.

    Raises:
        InputError: there is no such kind.
    """
    if kind not in KINDS:
        raise InputError(f"parts are of one kind of {', '.join(KINDS)}, got {kind!r}")

    def decorate(part: Part) -> Part:
        _REGISTERED[kind][name] = part
        return part

    return decorate


def names(kind: str) -> tuple[str, ...]:
    """Return the names of the parts of a kind that others added."""
    return tuple(dict.fromkeys([*_REGISTERED[kind], *(entry.name for entry in _entries(kind))]))


class Extended(Mapping[str, Part]):
    """The parts of a kind by name: those of this package, and those that others added.

    Iteration goes through those of this package alone, which its tests and reports try one after the other.

    Args:
        kind: one of `KINDS`.
        built_in: those of this package.
    """

    def __init__(self, kind: str, built_in: Mapping[str, Part]) -> None:
        self._kind, self._built_in = kind, built_in

    def __getitem__(self, name: str) -> Part:
        """Return a part; that of an entry point is loaded.

        Raises:
            KeyError: there is none.
            InputError: a package cannot load its part.
        """
        if name in self._built_in:
            return self._built_in[name]
        if name not in _REGISTERED[self._kind]:
            entry = next((entry for entry in _entries(self._kind) if entry.name == name), None)
            if entry is None:
                raise KeyError(name)
            try:
                register(self._kind, name)(entry.load())
            except Exception as error:
                raise InputError(f"{name!r} of {entry.value} cannot be loaded: {type(error).__name__}: {error}") from error
        part: Part = _REGISTERED[self._kind][name]
        return part

    def __contains__(self, name: object) -> bool:
        return name in self._built_in or name in names(self._kind)

    def __iter__(self) -> Iterator[str]:
        return iter(self._built_in)

    def __len__(self) -> int:
        return len(self._built_in)


def _entries(kind: str) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=f"vpinn.{kind}"))
