"""Where arrays live and how precise they are: one object, handed down from the run to whatever makes tensors.

Two places are told apart. Steps of training (points, network, integrands, residuals, the state of a method) work where the
placement says. What is made once and handed on stays on the host: meshes, forms and finite elements, factorisations of sparse
matrices, rows of least squares, random draws, statistics in float64, errors, files. ``Placement.put`` is the way there, ``host``
and ``wide`` are the ways back; no other line moves data, and no other file names a device.

Every tensor is made with its device, never on torch's default one. Random numbers are drawn on the host, so that a seed means the
same on every device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vpinn.errors import InputError

HOST: Final = torch.device("cpu")
DEVICES: Final[Mapping[str, Callable[[], bool]]] = {
    "cpu": lambda: True,
    "cuda": torch.cuda.is_available,
    "mps": torch.backends.mps.is_available,
}
"""Names of devices → whether this machine has one that torch can use."""


@dataclass(frozen=True)
class Placement:
    """Where the steps of a run work.

    Attributes:
        device: that holds points, parameters and residuals.
        dtype: their precision, float64 or float32.
        threads: of the host that share the work, ≥ 1.
    """

    device: torch.device = HOST
    dtype: torch.dtype = torch.float64
    threads: int = 1

    @classmethod
    def of(cls, device: str | None, threads: int) -> Placement:
        """Return the placement on a device of a name, None for the host, in float64.

        Raises:
            InputError: there is no such device.
        """
        device = device or HOST.type
        if device not in DEVICES:
            raise InputError(f"a device is one of {', '.join(DEVICES)}, got {device!r}", "--device")
        if not DEVICES[device]():
            there = ", ".join(name for name, found in DEVICES.items() if found())
            raise InputError(f"torch finds no device {device!r} on this machine; it has {there}", "--device")
        return cls(torch.device(device), threads=threads)

    def precise(self, precision: str) -> Placement:
        """Return the same place in "float64" or "float32".

        Raises:
            InputError: the device lacks the precision.
        """
        if self.device.type == "mps" and precision == "float64":
            raise InputError('device "mps" has no float64; set solver.precision = "float32", or take another', "--device")
        return replace(self, dtype=getattr(torch, precision))

    @property
    def home(self) -> Placement:
        """The same threads on the host in float64."""
        return Placement(HOST, torch.float64, self.threads)

    @property
    def told(self) -> dict[str, Any]:
        """What run.json and metrics.json say of it, and results depend on."""
        return {"threads": self.threads, "device": self.device.type}

    def put(self, values: Tensor | NDArray[Any]) -> Tensor:
        """Return numbers of the host where steps work, whole ones as they are and others in the precision of training."""
        found = torch.from_numpy(values) if isinstance(values, np.ndarray) else values
        return found.to(self.device, self.dtype if found.is_floating_point() else None)


HERE: Final = Placement()
"""One thread of the host, float64."""


def host(values: Tensor) -> NDArray[Any]:
    """Return the numbers of a tensor for numpy and scipy; on the host they share its memory."""
    found: NDArray[Any] = values.detach().to(HOST).numpy()
    return found


def wide(values: Tensor) -> Tensor:
    """Return a tensor on the host in float64, itself if it is that; what statistics are made of."""
    return values.to(HOST, torch.float64)
