"""The animation of a field in time, as a part of the report that needs no other file: frames to play, stop and scrub.

A field over an interval is a curve; one over the plane, or over the middle plane of a solid, is a picture. Frames are made here,
and the page only shows one after another. Start from `film`.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from html import escape
from itertools import chain

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vpinn.domain import located_points
from vpinn.output.formats import component_names
from vpinn.output.style import ACCENT, colours
from vpinn.solution_in_time import SolutionInTime

Array = NDArray[np.float64]
FRAMES = 31
"""Number of instants, from start to end."""
ALONG, PIXELS = 201, 160
"""Points of a curve; pixels along the longer side of a picture."""
SHOWN = 480
"""Width of a picture on the page [CSS pixels]."""
MOST = 4
"""Largest number of components."""
WIDTH, HEIGHT, MARGIN = 600, 260, 10
"""Size of the drawing of a curve, and the white margin above and below it, in its own units."""
OUTSIDE = 255
"""Number of the transparent colour of pixels outside the domain."""
_SHOWN = """<h2>Animation</h2>
<div class="film">
{parts}
<p><button type="button" id="film-play">Play</button>
<input type="range" id="film-at" min="0" max="{last}" value="{last}" aria-label="instant" style="width: 60%">
<output id="film-time"></output></p>
</div>
<script>
(() => {{
  const film = {data};
  const at = document.getElementById("film-at"), play = document.getElementById("film-play");
  let timer = null;
  const show = () => {{
    film.parts.forEach((part, k) => document.getElementById("film-" + k).setAttribute(part.attribute, part.frames[at.value]));
    document.getElementById("film-time").textContent = "t = " + film.times[at.value];
  }};
  const stop = () => {{ clearInterval(timer); timer = null; play.textContent = "Play"; }};
  play.onclick = () => {{
    if (timer) return stop();
    play.textContent = "Stop";
    timer = setInterval(() => {{ at.value = at.value === at.max ? 0 : +at.value + 1; show(); }}, 100);
  }};
  at.oninput = () => {{ stop(); show(); }};
  show();
}})();
</script>"""


def film(solution: SolutionInTime) -> str:
    """Return the animation as HTML; "" where a domain has more than three dimensions.

    Args:
        solution: The solution, whose unknowns' first ``MOST`` components are shown.
    """
    domain = solution.posed.domain
    if domain.dimension > 3:
        return ""
    lower, upper = domain.bounds
    counts = [ALONG] if domain.dimension == 1 else _pixels(upper - lower)
    axes = [low + (high - low) * _centres(n) for low, high, n in zip(lower, upper, counts, strict=False)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
    rest = (lower + upper)[len(axes) :] / 2.0  # the middle of a solid
    points, inside = located_points(domain, np.column_stack([grid, np.tile(rest, (len(grid), 1))]))
    rows = np.flatnonzero(inside)
    field, times = solution.over_time(points.rows(rows)), np.linspace(solution.times[0], solution.times[-1], FRAMES)
    names = list(chain.from_iterable(component_names(u.name, u.shape) for u in solution.posed.unknowns))[:MOST]
    values = np.full((len(names), FRAMES, len(grid)), np.nan)
    for k, t in enumerate(times):
        values[:, k, rows] = field(float(t))[: len(names)]
    draw = _curves if domain.dimension == 1 else _pictures
    parts = enumerate(zip(names, values, strict=True))
    drawn = [draw(number, name, part.reshape(FRAMES, *counts)) for number, (name, part) in parts]
    data = {"times": [f"{t:.4g}" for t in times], "parts": [{"attribute": a, "frames": frames} for _, a, frames in drawn]}
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return _SHOWN.format(parts="\n".join(html for html, _, _ in drawn), last=FRAMES - 1, data=text)


def _centres(count: int) -> Array:
    """Return places of pixels, or of points of a curve, along an axis from 0 to 1."""
    ends: Array = np.linspace(0.0, 1.0, count) if count == ALONG else (np.arange(count) + 0.5) / count
    return ends


def _pixels(sides: Array) -> list[int]:
    """Return numbers of pixels along the first two axes, in the proportions of the domain."""
    return [max(2, round(PIXELS * float(side / sides[:2].max()))) for side in sides[:2]]


def _curves(number: int, name: str, values: Array) -> tuple[str, str, list[str]]:
    """Return the drawing of a component along an interval, the attribute that changes, and its value in every frame."""
    low, high = _range(values)
    x = np.linspace(0.0, WIDTH, values.shape[1])
    y = MARGIN + (HEIGHT - 2 * MARGIN) * (high - values) / (high - low)
    frames = [" ".join(f"{a:.5g},{b:.4g}" for a, b in zip(x, row, strict=True) if np.isfinite(b)) for row in y]
    line = f'<polyline id="film-{number}" fill="none" stroke="{ACCENT}" stroke-width="2"/>'
    drawing = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" style="max-width: 100%; border: 1px solid #d9dee3">{line}</svg>'
    return f"<figure>{drawing}{_caption(name, low, high)}</figure>", "points", frames


def _pictures(number: int, name: str, values: Array) -> tuple[str, str, list[str]]:
    """Return the picture of a component over a plane, the attribute that changes, and its value in every frame."""
    tones, norm = colours(values)
    shades = (255.0 * mpl.colormaps[tones](np.linspace(0.0, 1.0, OUTSIDE))[:, :3]).round().astype(np.uint8)
    palette = [*shades.ravel().tolist(), 255, 255, 255]
    frames = []
    for picture in values:
        share = np.clip(np.asarray(norm(picture)), 0.0, 1.0) * (OUTSIDE - 1)
        tone = np.where(np.isfinite(picture), np.nan_to_num(share), OUTSIDE).round().astype(np.uint8)
        image = Image.fromarray(np.ascontiguousarray(tone.T[::-1]), mode="P")
        image.putpalette(palette)
        buffer = io.BytesIO()
        image.save(buffer, format="PNG", transparency=OUTSIDE)
        frames.append("data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode())
    low, high = float(norm.vmin or 0.0), float(norm.vmax or 0.0)
    bar = ", ".join(f"rgb({r},{g},{b})" for r, g, b in shades[:: OUTSIDE // 8].tolist())
    scale = f'<div style="height: .6rem; width: {SHOWN // 2}px; background: linear-gradient(to right, {bar})"></div>'
    shown = f'<img id="film-{number}" alt="{escape(name)} in time" style="width: {SHOWN}px">'
    return f"<figure>{shown}{scale}{_caption(name, low, high)}</figure>", "src", frames


def _range(values: Array) -> tuple[float, float]:
    """Return the least and the largest value, a little apart where they are equal."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    half = 0.5 * (abs(high) or 1.0) if high - low <= 1e-12 * max(abs(low), abs(high)) else 0.0
    return low - half, high + half


def _caption(name: str, low: float, high: float) -> str:
    """Return the line below a drawing: what it shows, and between which values."""
    return f"<figcaption>{escape(name)}, from {low:.4g} to {high:.4g}</figcaption>"


__all__: Sequence[str] = ["FRAMES", "film"]
