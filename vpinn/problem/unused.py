"""Settings of a problem file that the method that solves it does not use, so that nobody wonders why they change nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from vpinn.problem.schema import Settings

_STEPS = {"solver": ("steps", "learning_rate", "warmup", "scaling", "schedule", "decay", "clip", "project")}
_POINTS = {"quadrature": ("rule", "degree", "refine"), "test_space": ("kind", "degree")}
UNUSED: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "least-squares": {**_STEPS, "network": ("layers", "places", "elements")},
    "elements": {
        "solver": (*_STEPS["solver"], "features"),
        "network": ("layers", "activation", "places", "elements"),
        **_POINTS,
    },
    "march": {**_STEPS, "network": ("layers", "activation", "places", "elements")},
}
"""Method → section → keys that it does not read; methods that train a network read them."""


def unused_settings(settings: Settings, method: str) -> list[str]:
    """Return the settings that a problem file gives and a method does not use, as ``section.key``."""
    found = []
    for section, keys in UNUSED.get(method, {}).items():
        given = getattr(settings, section).model_fields_set
        found += [f"{section}.{key}" for key in keys if key in given]
    return found
