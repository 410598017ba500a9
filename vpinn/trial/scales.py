"""What a network's outputs are multiples of, so that weights and step sizes mean the same in any units."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scales:
    """Sizes that make the network's outputs dimensionless: a component is lift + distance·(shift + size·output).

    Attributes:
        shifts: per component, in its units over the distance's [outputs].
        sizes: per component, > 0, in the same units [outputs].
        extras: per coefficient of the enrich functions, > 0, in its units [network.extra].
    """

    shifts: tuple[float, ...]
    sizes: tuple[float, ...]
    extras: tuple[float, ...] = ()
