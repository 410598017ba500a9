"""Test the animation of a report: its frames are the field at every instant, and its page plays, stops and scrubs them."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
from typing import Any

import numpy as np
import pytest
from PIL import Image

import vpinn
from vpinn.output.film import ALONG, FRAMES, HEIGHT, MARGIN, OUTSIDE, film
from vpinn.solution_in_time import SolutionInTime

START = {"on": "initial", "value": "cos(pi*x)"}
DOM = """
const made = {};
const element = () => ({value: "0", max: "%d", attributes: {}, setAttribute(name, v) { this.attributes[name] = v; }});
global.document = {getElementById: (id) => made[id] ??= element()};
made["film-at"] = element(); made["film-at"].value = made["film-at"].max;
let ticks = [];
global.setInterval = (f) => { ticks.push(f); return ticks.length; };
global.clearInterval = () => { ticks = []; };
%s
const at = made["film-at"], shown = (id) => made[id].textContent ?? "";
const state = () => [String(at.value), shown("film-play"), ticks.length, shown("film-time")];
const seen = [state()];
made["film-play"].onclick(); ticks[0](); seen.push(state());
made["film-play"].onclick(); seen.push(state());
at.value = "3"; at.oninput(); seen.push(state());
console.log(JSON.stringify([seen, made["film-0"].attributes]));
"""


def solved(domain: dict[str, Any]) -> SolutionInTime:
    problem = vpinn.make_problem(
        {**domain, "time": [0, 0.1]},
        unknowns={"u": "scalar"},
        weak="dt(u)*v*dx + inner(grad(u), grad(v))*dx",
        boundary=[START],
        solver={"tolerance": 1e-2},
    )
    found = vpinn.solve(problem, threads=1)
    assert isinstance(found, SolutionInTime)
    return found


@pytest.fixture(scope="module")
def rod() -> SolutionInTime:
    return solved({"shape": "interval", "cells": 4})


def frames_of(page: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(re.findall(r"const film = (.*);", page)[0])
    return found


def test_curves_are_the_field_at_every_instant(rod: SolutionInTime) -> None:
    data = frames_of(film(rod))
    (part,) = data["parts"]
    assert len(part["frames"]) == len(data["times"]) == FRAMES
    x, last = np.linspace(0, 1, ALONG), np.array([pair.split(",") for pair in part["frames"][-1].split()], float)
    height = HEIGHT - 2 * MARGIN  # of the values from -1 to 1
    expected = MARGIN + height * (1.0 - np.exp(-(np.pi**2) * 0.1) * np.cos(np.pi * x)) / 2.0
    np.testing.assert_allclose(last[:, 1], expected, atol=1.0)


def test_pictures_are_transparent_outside_and_need_no_other_file() -> None:
    page = film(solved({"shape": "disk", "cells": 2}))
    (part,) = frames_of(page)["parts"]
    assert "http" not in page
    kind, data = part["frames"][0].split(",")
    assert kind == "data:image/png;base64"
    tones = np.array(Image.open(io.BytesIO(base64.b64decode(data))))
    assert tones[0, 0] == OUTSIDE
    middle = tones[len(tones) // 2]
    assert (np.diff(middle[middle < OUTSIDE].astype(int)) != 0).any()
    assert (tones == OUTSIDE).mean() == pytest.approx(1.0 - np.pi / 4, abs=0.02)


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no JavaScript here")
def test_the_page_plays_stops_and_scrubs(rod: SolutionInTime) -> None:
    page = film(rod)
    script = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)[0]
    done = subprocess.run(["node", "-e", DOM % (FRAMES - 1, script)], capture_output=True, text=True, check=True, timeout=60)
    seen, shown = json.loads(done.stdout)
    data = frames_of(page)
    assert seen == [
        [str(FRAMES - 1), "", 0, "t = 0.1"],
        ["0", "Stop", 1, "t = 0"],
        ["0", "Play", 0, "t = 0"],
        ["3", "Play", 0, f"t = {data['times'][3]}"],
    ]
    assert shown == {"points": data["parts"][0]["frames"][3]}
