"""Scales of a network's outputs, so that weights and step sizes mean the same in any units."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scales:
    """Factors that make the network's outputs dimensionless: a component is lift + distance·(shift + size·output).

    Attributes:
        shifts: shift of every component [outputs], in units of the component divided by units of the distance.
        sizes: size of every component [outputs], > 0, in the same units.
        extras: size of every coefficient of the enrich functions [network.extra], > 0, in units of the coefficient.
    """

    shifts: tuple[float, ...]
    sizes: tuple[float, ...]
    extras: tuple[float, ...] = ()
