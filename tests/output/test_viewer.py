"""Test the field of a report: its page holds the values of the solution, and tells them where one points."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vpinn
from vpinn.output import write_report
from vpinn.output.viewer import BYTES, FRAMES, GRID, viewer

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DOM = """
const any = () => new Proxy(() => {}, { get: (t, k) => k === Symbol.toPrimitive ? () => 0 : t[k] ??= any(), apply: any });
const made = {}, script = require("fs").readFileSync(0, "utf-8"), [data, code] = JSON.parse(script);
const painted = (w, h) => ({ data: new Uint8ClampedArray(4 * w * h) });
const pen = new Proxy({}, { get: (t, k) => k === "createImageData" ? painted : k in t ? t[k] : any() });
const element = (id) => ({ textContent: id.endsWith("data") ? data : "", clientWidth: 300, clientHeight: 200, style: {},
  parentNode: { style: {} }, getContext: () => pen, add() {}, addEventListener() {} });
global.document = { getElementById: (id) => made[id] ??= element(id) };
global.window = { location: { hash: "#at=0.5,0.5,0.5" }, addEventListener() {}, matchMedia: () => element("") };
global.Option = class {};
global.getComputedStyle = () => ({ color: "black" });
global.requestAnimationFrame = (draw) => draw();
eval(code);
const told = () => made["view-probe"].textContent, seen = [told()];
made["view-most"].onclick(); seen.push(told());
const middle = { pointerId: 1, offsetX: 150, offsetY: 100, clientX: 150, clientY: 100, deltaY: -100, preventDefault() {} };
made["view-closer"].onclick(); made["view-canvas"].onclick(middle); seen.push(told());
for (const name of ["bent", "within"]) { made["view-" + name].checked = true; made["view-" + name].onchange(); }
made["view-canvas"].onclick(middle); seen.push(told());
console.log(JSON.stringify(seen));
"""


def solved(domain: dict[str, Any], method: str = "auto", **more: Any) -> vpinn.Solution:
    timed = "time" in domain
    weak = "dt(u)*v*dx + inner(grad(u), grad(v))*dx" if timed else "inner(grad(u), grad(v))*dx - v*dx"
    start = [{"on": "initial", "value": "cos(pi*x)"}] if timed else [{"on": "all", "value": 0}]
    problem = vpinn.make_problem(
        domain,
        unknowns={"u": "scalar"},
        weak=weak,
        boundary=start,
        solver={"method": method, "tolerance": 1e-2, "steps": 2},
        **more,
    )
    return vpinn.solve(problem, threads=1)


@pytest.fixture(scope="module")
def square() -> vpinn.Solution:
    return solved({"shape": "rectangle", "cells": 2}, output={"fields": {"flux": "-grad(u)"}})


def data_of(page: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(re.findall(r'id="view-data">(.*?)</script>', page)[0])
    for name, kind in (("x", "<f4"), ("cells", "<u4"), ("within", "<u4"), ("lines", "<u4")):
        found[name] = np.frombuffer(base64.b64decode(found[name]), kind)
    for field in found["fields"]:
        field["values"] = np.frombuffer(base64.b64decode(field["values"]), "<f4").reshape(len(found["times"]), -1)
    return found


def test_a_page_holds_the_values_at_its_nodes(square: vpinn.Solution) -> None:
    data = data_of(viewer(square))
    x = data["x"].reshape(-1, 3)
    assert [field["name"] for field in data["fields"]] == ["u", "flux0", "flux1"]
    expected = square.evaluate(x[:, :2])
    np.testing.assert_allclose(data["fields"][0]["values"][0], expected["u"], atol=1e-6)
    np.testing.assert_allclose(data["fields"][2]["values"][0], expected["flux"][:, 1], atol=1e-5)
    corners = x[data["cells"].reshape(-1, 3)][..., :2]
    areas = 0.5 * np.abs(np.linalg.det(corners[:, 1:] - corners[:, :1]))
    assert areas.sum() == pytest.approx(1.0, abs=1e-5)
    lengths = np.linalg.norm(np.diff(x[data["lines"].reshape(-1, 2)], axis=1), axis=-1)
    assert lengths.sum() == pytest.approx(4.0, abs=1e-5)


def test_a_field_in_time_has_every_instant() -> None:
    data = data_of(viewer(solved({"shape": "interval", "cells": 4, "time": [0, 0.1]})))
    assert len(data["times"]) == FRAMES
    assert data["times"][-1] == pytest.approx(0.1)
    x = data["x"].reshape(-1, 3)[:, 0]
    np.testing.assert_allclose(data["fields"][0]["values"][-1], np.exp(-(np.pi**2) * 0.1) * np.cos(np.pi * x), atol=2e-2)
    assert (np.diff(x[data["lines"].reshape(-1, 2)], axis=1) > 0.0).all()


def test_a_solid_has_its_surface_and_planes_inside() -> None:
    data = data_of(viewer(solved({"shape": "box", "cells": 2}, "adam", network={"layers": [4]})))
    corners = data["x"].reshape(-1, 3)[data["cells"].reshape(-1, 3)]
    sides = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert 0.5 * np.linalg.norm(sides, axis=1).sum() == pytest.approx(6.0, abs=1e-5)
    assert len(data["within"]) == 3 * 3 * 2 * (GRID - 1) ** 2
    assert np.ptp(data["x"].reshape(-1, 3)[data["within"]], axis=0).min() == pytest.approx(1.0)


def test_large_meshes_become_grids_that_fit(square: vpinn.Solution, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vpinn.output.viewer.BYTES", BYTES // 100)
    data = data_of(viewer(square))
    assert 300 < len(data["x"]) / 3 < BYTES / 100 / 40
    assert len(data["lines"]) == 0


def test_ranges_of_stresses_end_before_few_large_values() -> None:
    """A corner takes a small part of the domain, though many nodes lie there."""
    values, shares = np.concatenate([np.linspace(1.0, 2.0, 50), np.full(50, 900.0)]), np.repeat([1.0, 1e-6], 50)
    assert vpinn.output.style.colours(values)[1].vmax == 900.0
    assert vpinn.output.style.colours(values, shares)[1].vmax == pytest.approx(3.0, abs=0.1)


def points_told(text: str) -> dict[str, float]:
    return {name: float(value) for name, value in (part.split(" = ") for part in text.split(",  "))}


def agrees(told: dict[str, float], solution: vpinn.Solution) -> None:
    here = [told[name] for name in ("x", "y")]
    assert told["u"] == pytest.approx(solution.evaluate([here])["u"][0], rel=1e-5, abs=1e-9)


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no JavaScript here")
def test_the_page_tells_values_where_one_points(square: vpinn.Solution) -> None:
    page = viewer(square)
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL)
    done = subprocess.run(["node", "-e", DOM], input=json.dumps(scripts), capture_output=True, text=True, check=True, timeout=60)
    asked, most, pointed, _ = map(points_told, json.loads(done.stdout))
    for told in (asked, most, pointed):
        agrees(told, square)
        assert (told["x"], told["y"]) == pytest.approx((0.5, 0.5), abs=0.02)
    assert most["u"] == pytest.approx(data_of(page)["fields"][0]["values"].max(), rel=1e-5)


@pytest.mark.skipif(BROWSER is None, reason="there is no browser here")
def test_a_browser_shows_the_page_without_errors(square: vpinn.Solution, tmp_path: Path) -> None:
    page = write_report(square, tmp_path)
    assert "http" not in re.sub(r"<svg|xmlns=\S+", "", page.read_text())
    assert page.stat().st_size < 5e6
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--enable-logging=stderr",
        "--virtual-time-budget=2000",
        "--dump-dom",
    ]
    done = subprocess.run(
        [str(BROWSER), *options, f"file://{page}#at=0.25,0.5"], capture_output=True, text=True, check=True, timeout=60
    )
    assert "CONSOLE" not in done.stderr
    told = points_told(re.findall(r'id="view-probe">(.*?)</output>', done.stdout)[0].replace("&nbsp;", " "))
    assert told["x"] == pytest.approx(0.25, abs=0.02)
    agrees(told, square)
