"""Device, precision, threads and workers of a run, in one object (`Placement`) that is passed to all code that creates tensors.

Training steps (points, network, integrands, residuals, optimiser state) compute on the device of the placement. Everything else
stays on the host: meshes, forms, finite elements, sparse factorisations, least-squares rows, random draws, statistics in float64,
errors and files. `Placement.put` moves data to the device, `host` and `wide` move it back; no other code moves data, and no other
module names a device.

Every tensor is created with an explicit device, never on torch's default device. Random numbers are drawn on the host, so that a
seed gives the same numbers on every device.
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
from vpinn.workers import ALONE, Group

HOST: Final = torch.device("cpu")
DEVICES: Final[Mapping[str, Callable[[], bool]]] = {
    "cpu": lambda: True,
    "cuda": torch.cuda.is_available,
    "mps": torch.backends.mps.is_available,
}
"""Name of a kind of device → function that returns whether torch can use one on this machine."""


@dataclass(frozen=True)
class Placement:
    """Device, precision, threads and workers of the training steps of a run.

    Attributes:
        device: Device that holds points, parameters and residuals.
        dtype: Precision of these, float64 or float32.
        threads: Number of threads on the host, ≥ 1.
        group: Workers that share the quadrature points; sums over points are added up over all of them.
    """

    device: torch.device = HOST
    dtype: torch.dtype = torch.float64
    threads: int = 1
    group: Group = ALONE

    @classmethod
    def of(cls, device: str | None, threads: int) -> Placement:
        """Return a placement in float64 on the named device; None stands for the host.

        Raises:
            InputError: The name is unknown, or this machine has no such device.
        """
        device = device or HOST.type
        if device not in DEVICES:
            raise InputError(f"a device is one of {', '.join(DEVICES)}, got {device!r}", "--device")
        if not DEVICES[device]():
            there = ", ".join(name for name, found in DEVICES.items() if found())
            raise InputError(f"torch finds no device {device!r} on this machine; it has {there}", "--device")
        return cls(torch.device(device), threads=threads)

    def precise(self, precision: str) -> Placement:
        """Return the same placement with precision "float64" or "float32".

        Raises:
            InputError: The device does not support the precision.
        """
        if self.device.type == "mps" and precision == "float64":
            raise InputError('device "mps" has no float64; set solver.precision = "float32", or use another device', "--device")
        return replace(self, dtype=getattr(torch, precision))

    @property
    def home(self) -> Placement:
        """Placement with the same number of threads and the same workers on the host in float64."""
        return Placement(HOST, torch.float64, self.threads, self.group)

    @property
    def alone(self) -> Placement:
        """The same placement of one worker that does all the work itself."""
        return replace(self, group=ALONE)

    @property
    def told(self) -> dict[str, Any]:
        """Threads, device and number of workers as recorded in run.json and metrics.json, since results depend on them."""
        return {"threads": self.threads, "device": self.device.type, "workers": self.group.size}

    def put(self, values: Tensor | NDArray[Any]) -> Tensor:
        """Return an array of the host as a tensor on the device; real numbers get the precision of the placement."""
        found = torch.from_numpy(values) if isinstance(values, np.ndarray) else values
        return found.to(self.device, self.dtype if found.is_floating_point() else None)


HERE: Final = Placement()
"""Default placement: the host with one thread, in float64."""


def host(values: Tensor) -> NDArray[Any]:
    """Return a tensor as a numpy array on the host, without gradients; a tensor that is on the host shares its memory."""
    found: NDArray[Any] = values.detach().to(HOST).numpy()
    return found


def wide(values: Tensor) -> Tensor:
    """Return a tensor on the host in float64, for sums and statistics; the tensor itself if it is there in float64 already."""
    return values.to(HOST, torch.float64)
