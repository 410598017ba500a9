// The field of a report: colours on triangles that can be zoomed, turned, probed and played, or curves over an interval.
// A pixel remembers the triangle that it shows, so that pointing at it finds the node whose values are told.
"use strict";
(() => {
  const MARGIN = 44;  // [CSS pixels]
  const part = (name) => document.getElementById("view-" + name);
  const data = JSON.parse(part("data").textContent), canvas = part("canvas"), context = canvas.getContext("2d");
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
  const x = new Float32Array(bytes(data.x)), lines = new Uint32Array(bytes(data.lines));
  const fields = data.fields.map((field) => (
    { ...field, values: new Float32Array(bytes(field.values)), tones: new Uint8Array(bytes(field.tones)) }
  ));
  const outside = new Uint32Array(bytes(data.cells)), within = new Uint32Array(bytes(data.within));
  const n = x.length / 3, curve = data.axes.length === 1, solid = data.axes.length === 3;
  const at = new Float32Array(3 * n);  // where the nodes are on the canvas [pixels], and their depth
  let cells = outside, shown = fields[0], frame = data.times.length - 1, probed = -1, bent = false, timer = null, queued = false, unit = [1, 1];
  let zoom, pan, turn, width, height, depth, owner;

  const value = (field, node) => field.values[frame * n + node];
  const number = (v, scale = 0) => String(Math.abs(v) <= 1e-12 * scale ? 0 : Number(v.toPrecision(6)));  // rounding is zero
  const reset = () => { zoom = 1; pan = [0, 0]; turn = solid || (bent && !data.moved) ? [-0.6, -1.0] : [0, 0]; };

  const low = [0, 1, 2].map((k) => x.reduce((least, v, i) => (i % 3 === k ? Math.min(least, v) : least), Infinity));
  const high = [0, 1, 2].map((k) => x.reduce((most, v, i) => (i % 3 === k ? Math.max(most, v) : most), -Infinity));

  const place = () => {  // computes `at`
    if (curve) [low[1], high[1]] = [shown.low, shown.high];
    const middle = low.map((v, k) => (v + high[k]) / 2), side = low.map((v, k) => high[k] - v || 1);
    const size = solid || turn[0] || turn[1] ? [Math.hypot(...side), Math.hypot(...side)] : side;
    unit = [0, 1].map((k) => ((k ? height : width) - 2 * MARGIN * ratio()) / size[k] * zoom);
    if (!curve) unit.fill(Math.min(...unit));
    const [c, s, d, e] = [Math.cos(turn[0]), Math.sin(turn[0]), Math.cos(turn[1]), Math.sin(turn[1])];
    const relief = bent && !data.moved ? 0.4 * Math.max(side[0], side[1]) / (shown.high - shown.low) : 0;
    for (let i = 0; i < n; i++) {
      const p = [x[3 * i], x[3 * i + 1], x[3 * i + 2]];
      if (curve) p[1] = value(shown, i);
      else if (relief) p[2] = (value(shown, i) - (shown.low + shown.high) / 2) * relief;
      else if (bent) data.moved.fields.forEach((field, k) => { p[k] += data.moved.scale * value(fields[field], i); });
      const a = p[0] - middle[0], b = p[1] - middle[1], h = p[2] - middle[2], u = c * a - s * b, v = s * a + c * b;
      at[3 * i] = width / 2 + pan[0] + unit[0] * u;
      at[3 * i + 1] = height / 2 + pan[1] - unit[1] * (d * v - e * h);
      at[3 * i + 2] = e * v + d * h;
    }
    return { middle, axis: [[c, d * s], [-s, d * c], [0, -e]] };
  };

  const paint = () => {  // fills pixels, triangle by triangle
    const image = context.createImageData(width, height), pixels = image.data, range = 255 / (shown.high - shown.low);
    depth.fill(-Infinity);
    owner.fill(-1);
    for (let t = 0; t < cells.length / 3; t++) {
      const [i, j, k] = [cells[3 * t], cells[3 * t + 1], cells[3 * t + 2]];
      const [ax, ay, az, bx, by, bz] = [at[3 * i], at[3 * i + 1], at[3 * i + 2], at[3 * j], at[3 * j + 1], at[3 * j + 2]];
      const [cx, cy, cz] = [at[3 * k], at[3 * k + 1], at[3 * k + 2]], area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay);
      const [va, vb, vc] = [value(shown, i), value(shown, j), value(shown, k)];
      if (!area || !isFinite(va + vb + vc)) continue;
      const slope = Math.hypot((bz - az) * (cy - ay) - (cz - az) * (by - ay), (bz - az) * (cx - ax) - (cz - az) * (bx - ax));
      const light = 0.4 + 0.6 / Math.hypot(1, slope * unit[0] / area);
      const right = Math.min(width - 1, Math.max(ax, bx, cx)), bottom = Math.min(height - 1, Math.max(ay, by, cy));
      for (let row = Math.max(0, Math.ceil(Math.min(ay, by, cy))); row <= bottom; row++) {
        for (let col = Math.max(0, Math.ceil(Math.min(ax, bx, cx))); col <= right; col++) {
          const wb = ((col - ax) * (cy - ay) - (cx - ax) * (row - ay)) / area;
          const wc = ((bx - ax) * (row - ay) - (col - ax) * (by - ay)) / area, wa = 1 - wb - wc;
          if (wa < -1e-6 || wb < -1e-6 || wc < -1e-6) continue;
          const pixel = row * width + col, z = wa * az + wb * bz + wc * cz;
          if (z <= depth[pixel]) continue;
          depth[pixel] = z;
          owner[pixel] = t;
          const tone = 3 * Math.round(Math.min(255, Math.max(0, (wa * va + wb * vb + wc * vc - shown.low) * range)));
          for (let k = 0; k < 3; k++) pixels[4 * pixel + k] = light * shown.tones[tone + k];
          pixels[4 * pixel + 3] = 255;
        }
      }
    }
    context.putImageData(image, 0, 0);
  };

  const stroke = (pairs) => {
    context.beginPath();
    for (let k = 0; k < pairs.length; k += 2) {
      context.moveTo(at[3 * pairs[k]], at[3 * pairs[k] + 1]);
      context.lineTo(at[3 * pairs[k + 1]], at[3 * pairs[k + 1] + 1]);
    }
    context.stroke();
  };

  const scales = ({ middle, axis }) => {  // ticks beside a plane or curve, a small cross of axes beside a solid
    if (turn[0] || turn[1]) {
      axis.forEach(([u, v], k) => {
        const from = [MARGIN * ratio(), height - MARGIN * ratio()], to = [from[0] + 30 * u * ratio(), from[1] - 30 * v * ratio()];
        context.beginPath();
        context.moveTo(...from);
        context.lineTo(...to);
        context.stroke();
        context.fillText(data.axes[k] ?? shown.name, to[0] + 3, to[1] - 3);
      });
      return;
    }
    for (const k of [0, 1]) {
      const length = k ? height : width, to = (v) => length / 2 + pan[k] + (k ? -1 : 1) * unit[k] * (v - middle[k]);
      const step = [1, 2, 5, 10].map((m) => m * 10 ** Math.floor(Math.log10(length / 6 / unit[k]))).find((s) => s * unit[k] >= length / 8);
      const span = length / unit[k] / 2, centre = middle[k] - (k ? -1 : 1) * pan[k] / unit[k];
      for (let q = Math.ceil((centre - span) / step); q * step <= centre + span; q++) {
        const [a, text] = [to(q * step), String(Number((q * step).toPrecision(6)))];
        context.fillText(text, k ? 2 : a - context.measureText(text).width / 2, k ? a + 4 * ratio() : height - 4);
      }
    }
  };

  const ratio = () => Math.min(2, window.devicePixelRatio || 1);
  const draw = () => {
    queued = false;
    width = canvas.width = Math.round(canvas.clientWidth * ratio());
    height = canvas.height = Math.round(canvas.clientHeight * ratio());
    if (depth?.length !== width * height) [depth, owner] = [new Float32Array(width * height), new Int32Array(width * height)];
    const placed = place(), style = getComputedStyle(canvas);
    if (!curve) paint();
    context.strokeStyle = context.fillStyle = style.color;
    context.font = `${12 * ratio()}px system-ui, sans-serif`;
    context.lineWidth = (curve ? 2 : 1) * ratio();
    stroke(lines);
    context.lineWidth = ratio();
    scales(placed);
    if (probed >= 0) {
      context.beginPath();
      context.arc(at[3 * probed], at[3 * probed + 1], 5 * ratio(), 0, 7);
      context.stroke();
      const where = data.axes.map((name, k) => `${name} = ${number(x[3 * probed + k], high[k] - low[k])}`);
      const told = fields.map((field) => `${field.name} = ${number(value(field, probed), Math.max(-field.low, field.high))}`);
      part("probe").textContent = [...where, ...told].join(",  ");
    }
    part("low").textContent = number(shown.low);
    part("high").textContent = number(shown.high);
    const stops = [...Array(16).keys()].map((k) => `rgb(${shown.tones.slice(51 * k, 51 * k + 3)})`);
    part("bar").style.background = `linear-gradient(to right, ${stops})`;
    if (data.times.length > 1) part("time").textContent = "t = " + number(data.times[frame]);
  };
  const redraw = () => { if (!queued) { queued = true; requestAnimationFrame(draw); } };

  const probe = (px, py) => {  // remembers the node nearest to a place of the canvas, of the triangle there
    const t = curve ? -1 : owner[Math.round(py) * width + Math.round(px)] ?? -1;
    const nodes = curve ? [...Array(n).keys()] : t < 0 ? [] : [...cells.slice(3 * t, 3 * t + 3)];
    const away = (i) => Math.hypot(at[3 * i] - px, curve ? 0 : at[3 * i + 1] - py);
    if (nodes.length) { probed = nodes.reduce((best, i) => (away(i) < away(best) ? i : best)); redraw(); }
  };
  const extreme = (sign) => {
    probed = -1;
    for (let i = 0; i < n; i++) {
      if (isFinite(value(shown, i)) && (probed < 0 || sign * value(shown, i) > sign * value(shown, probed))) probed = i;
    }
    redraw();
  };
  const scaled = (factor, px, py) => {
    pan = [factor * pan[0] + (1 - factor) * (px - width / 2), factor * pan[1] + (1 - factor) * (py - height / 2)];
    zoom *= factor;
    redraw();
  };

  const fingers = new Map();
  canvas.onpointerdown = (event) => { fingers.set(event.pointerId, event); canvas.setPointerCapture(event.pointerId); };
  canvas.onpointerup = canvas.onpointercancel = (event) => fingers.delete(event.pointerId);
  canvas.onpointermove = (event) => {
    const before = fingers.get(event.pointerId), [px, py] = [event.offsetX * ratio(), event.offsetY * ratio()];
    if (!before) return probe(px, py);
    const [right, down] = [event.clientX - before.clientX, event.clientY - before.clientY];
    const other = [...fingers.values()].find((finger) => finger.pointerId !== event.pointerId);
    const apart = (finger) => Math.hypot(finger.clientX - other.clientX, finger.clientY - other.clientY);
    if (other) scaled(apart(event) / (apart(before) || 1), px, py);
    else if ((turn[0] || turn[1]) && !event.shiftKey) turn = [turn[0] + right / 150, turn[1] + down / 150];
    else pan = [pan[0] + right * ratio(), pan[1] + down * ratio()];
    fingers.set(event.pointerId, event);
    redraw();
  };
  canvas.onclick = (event) => probe(event.offsetX * ratio(), event.offsetY * ratio());
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    scaled(Math.exp(-event.deltaY / 500), event.offsetX * ratio(), event.offsetY * ratio());
  }, { passive: false });

  fields.forEach((field, k) => part("name").add(new Option(field.name, k)));
  part("name").onchange = () => { shown = fields[part("name").value]; redraw(); };
  part("least").onclick = () => extreme(-1);
  part("most").onclick = () => extreme(1);
  part("closer").onclick = () => scaled(1.5, width / 2, height / 2);
  part("reset").onclick = () => { reset(); redraw(); };
  part("bent").onchange = () => { bent = part("bent").checked; reset(); redraw(); };
  part("within").onchange = () => { cells = part("within").checked ? within : outside; redraw(); };
  part("within").parentNode.hidden = !within.length;
  part("bent").parentNode.hidden = curve || (solid && !data.moved);
  part("bend").textContent = data.moved ? `deformed, ${data.moved.scale} times` : "relief";
  part("bar").parentNode.style.display = curve ? "none" : "";
  part("course").hidden = data.times.length < 2;
  const go = (to) => { frame = part("frame").value = to; redraw(); };
  const stop = () => { clearInterval(timer); timer = null; part("play").textContent = "Play"; };
  part("frame").max = part("frame").value = frame;
  part("frame").oninput = () => { stop(); go(+part("frame").value); };
  part("play").onclick = () => {
    if (timer) return stop();
    part("play").textContent = "Stop";
    timer = setInterval(() => go((frame + 1) % data.times.length), 100);
  };
  window.addEventListener("resize", redraw);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

  const wanted = /#at=([^&]+)/.exec(window.location.hash)?.[1].split(",").map(Number);  // as in report.html#at=0.5,0.5
  if (wanted) {
    const away = (i) => Math.hypot(...wanted.slice(0, 3).map((v, k) => v - x[3 * i + k]));
    probed = 0;
    for (let i = 1; i < n; i++) if (away(i) < away(probed)) probed = i;
    if (data.times.length > 1 && wanted.length > data.axes.length) {
      const gap = data.times.map((t) => Math.abs(t - wanted.at(-1)));
      go(gap.indexOf(Math.min(...gap)));
    }
  }
  reset();
  draw();
})();
