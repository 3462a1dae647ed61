// Bend k takes u to u + d exp(−|u − c|² / 2s²). Its Jacobian is I − d mᵀ with m = (u − c) exp(…) / s², its determinant
// 1 − d·m. `place` is [first, second coordinate, J₁₁, J₁₂, J₂₁, J₂₂, det], with J that of f, from noise to data.
function bends(centres, drags, width) {
  const square = width * width, K = centres.length;
  function forth(z1, z2, place) {
    let x = z1, y = z2, a = 1, b = 0, c = 0, d = 1, det = 1;
    for (let k = 0; k < K; k++) {
      const [d1, d2] = drags[k], u = x - centres[k][0], v = y - centres[k][1], t = Math.exp(-(u * u + v * v) / (2 * square));
      const m1 = (u * t) / square, m2 = (v * t) / square, first = m1 * a + m2 * c, second = m1 * b + m2 * d;
      [a, b, c, d] = [a - d1 * first, b - d1 * second, c - d2 * first, d - d2 * second];
      det *= 1 - d1 * m1 - d2 * m2;
      x += d1 * t;
      y += d2 * t;
    }
    place[0] = x; place[1] = y; place[2] = a; place[3] = b; place[4] = c; place[5] = d; place[6] = det;
    return place;
  }
  // What a bend takes to x is x − t d, where t = exp(−|x − t d − c|² / 2s²) is between 0 and 1. t minus the right side
  // grows with t, at the rate of the determinant: Newton's method, halving where it would leave the bracket.
  function back(x, y, place) {
    let a = 1, b = 0, c = 0, d = 1, det = 1;
    for (let k = K - 1; k >= 0; k--) {
      const [d1, d2] = drags[k], long = d1 * d1 + d2 * d2, u = x - centres[k][0], v = y - centres[k][1];
      if (long === 0) continue;
      const far = u * u + v * v, along = u * d1 + v * d2;
      let low = 0, high = 1, t = Math.exp(-far / (2 * square));
      for (let n = 0; n < 60; n++) {
        const right = Math.exp(-(far - t * (2 * along - t * long)) / (2 * square)), step = (t - right) / (1 - (right * (along - t * long)) / square);
        if (Math.abs(step) < 3e-16) break;
        if (step > 0) high = t;
        else low = t;
        t = t - step > low && t - step < high ? t - step : (low + high) / 2;
      }
      x -= t * d1;
      y -= t * d2;
      const m1 = ((x - centres[k][0]) * t) / square, m2 = ((y - centres[k][1]) * t) / square;
      const first = a * d1 + b * d2, second = c * d1 + d * d2;
      [a, b, c, d] = [a - first * m1, b - first * m2, c - second * m1, d - second * m2];
      det *= 1 - d1 * m1 - d2 * m2;
    }
    place[0] = x; place[1] = y; place[2] = a; place[3] = b; place[4] = c; place[5] = d; place[6] = det;
    return place;
  }
  return { forth, back };
}

function render({ model, el }) {
  const EDGE = 4, CELLS = 128, WIDE = (2 * EDGE) / CELLS, SQUARE = 0.5, TOP = 1 / (2 * Math.PI); // TOP: the highest density of the noise
  const centres = model.get("handles"), width = model.get("width"), limit = model.get("limit"), task = model.get("task"), K = centres.length;
  const bytes = Uint8Array.from(atob(model.get("noise")), (letter) => letter.charCodeAt(0)), view = new DataView(bytes.buffer);
  const noise = Array.from({ length: bytes.length / 8 }, (_, i) => [view.getFloat32(8 * i, true), view.getFloat32(8 * i + 4, true)]);
  const gauss = (z1, z2) => TOP * Math.exp(-(z1 * z1 + z2 * z2) / 2), scratch = new Float64Array(7);
  const pair = ([a, b]) => `(${number(a, 2)}, ${number(b, 2)})`;
  const power = (n) => [...String(n)].map((letter) => (letter === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[letter])).join("");
  const three = (value) => { // three digits
    if (value === 0 || (value >= 0.001 && value < 1000)) return value.toPrecision(3);
    const [head, tail] = value.toExponential(1).split("e");
    return `${head}·10${power(Number(tail))}`;
  };
  const times = (ratio) => `${ratio < 9.95 ? ratio.toFixed(1) : ratio.toFixed(0)} times`;

  // A drag no longer than the limit: beyond √e widths a determinant would be negative, and the plane would fold.
  const within = ([d1, d2]) => {
    const long = Math.hypot(d1, d2);
    return long > limit ? [(d1 / long) * limit, (d2 / long) * limit] : [d1, d2];
  };
  const drags = () => centres.map((_, k) => within(model.get("drags")[k] ?? [0, 0]));
  const full = ([d1, d2]) => Math.hypot(d1, d2) > limit * (1 - 1e-9);
  let plane, looked, active, shown = { grid: true, density: true, samples: true };

  // Of one state of the handles, all that does not depend on the pointer.
  function survey() {
    const now = drags(), key = JSON.stringify(now);
    if (plane?.key === key) return plane;
    const { forth, back } = bends(centres, now, width);
    // p_X in the cells of the picture: at the middle, or where J squeezes much the mean of four parts.
    const cell = (x, y, wide, deep) => {
      const [z1, z2, a, b, c, d, det] = back(x, y, scratch), all = a * a + b * b + c * c + d * d, far = z1 * z1 + z2 * z2;
      const squeeze = Math.sqrt(Math.max(all - Math.sqrt(Math.max(all * all - 4 * det * det, 0)), 0) / 2);
      if (wide <= 0.12 * squeeze || !deep || far > 36) return gauss(z1, z2) / det;
      const q = wide / 4, h = wide / 2;
      return (cell(x - q, y - q, h, deep - 1) + cell(x + q, y - q, h, deep - 1) + cell(x - q, y + q, h, deep - 1) + cell(x + q, y + q, h, deep - 1)) / 4;
    };
    const density = Float64Array.from({ length: CELLS * CELLS }, (_, i) =>
      cell(((i % CELLS) + 0.5) * WIDE - EDGE, EDGE - (Math.floor(i / CELLS) + 0.5) * WIDE, WIDE, 8));
    // Over the noise plane, where no place is squeezed: the mass that leaves the picture, and the hills of p_X.
    const side = 176, at = (n) => (n + 0.5 - side / 2) * WIDE, heights = new Float64Array(side * side);
    const height = (z1, z2) => gauss(z1, z2) / forth(z1, z2, scratch)[6];
    let outside = 0;
    heights.forEach((_, i) => {
      const z1 = at(i % side), z2 = at(Math.floor(i / side));
      heights[i] = height(z1, z2);
      if (Math.max(Math.abs(scratch[0]), Math.abs(scratch[1])) > EDGE) outside += gauss(z1, z2) * WIDE * WIDE;
    });
    const hills = [], least = Math.min(TOP / 10, heights.reduce((one, other) => Math.max(one, other)));
    const around = [-side - 1, -side, -side + 1, -1, 1, side - 1, side, side + 1];
    for (let i = side + 1; i < side * (side - 1) - 1; i++) {
      if (heights[i] < least || around.some((n) => heights[i + n] > heights[i])) continue;
      let z = [at(i % side), at(Math.floor(i / side))], best = heights[i];
      for (let step = WIDE / 2; step > 1e-8;) {
        const tries = [[1, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [-1, -1], [1, -1], [-1, 1]].map(([u, v]) => [z[0] + u * step, z[1] + v * step]);
        const found = tries.map((to) => height(...to)), most = Math.max(...found);
        if (most > best) [z, best] = [tries[found.indexOf(most)], most];
        else step /= 2;
      }
      if (hills.every((hill) => Math.hypot(hill.z[0] - z[0], hill.z[1] - z[1]) > 0.01)) hills.push({ z, x: [...forth(...z, scratch).slice(0, 2)], p: best });
    }
    hills.sort((one, other) => other.p - one.p);
    plane = { key, drags: now, forth, back, density, outside, hills, mass: sum([...density]) * WIDE * WIDE };
    return plane;
  }

  const canvases = [0, 1].map(() => html("canvas", { width: CELLS, height: CELLS, "aria-hidden": "true", style: "position: absolute; top: 0; aspect-ratio: 1" }));
  const still = Float64Array.from({ length: CELLS * CELLS }, (_, i) => gauss(((i % CELLS) + 0.5) * WIDE - EDGE, EDGE - (Math.floor(i / CELLS) + 0.5) * WIDE));
  const shade = (p) => Math.sqrt(clamp(p / (5 * TOP), 0, 1));
  function paint(canvas, density, dark) {
    if (canvas.painted === density && canvas.dark === dark) return;
    const context = canvas.getContext("2d"), image = context.createImageData(CELLS, CELLS);
    const colour = dark ? [0x56, 0xb4, 0xe9] : [0x00, 0x72, 0xb2]; // --sky, --blue
    density.forEach((p, i) => image.data.set([...colour, Math.round(255 * shade(p))], 4 * i));
    context.putImageData(image, 0, 0);
    [canvas.painted, canvas.dark] = [density, dark];
  }

  function start(ui) {
    ui.initial = { drags: model.get("initial"), point: [-0.5, 0.25] };
    ui.onReset = () => {
      [looked, active, shown] = [undefined, undefined, { grid: true, density: true, samples: true }];
    };
    if (task) ui.root.insertBefore(html("p", { class: "dgm-task" }, html("b", {}, "Task: "), task), ui.stage);
    ui.stage.style.position = ui.picture.style.position = "relative";
    ui.stage.prepend(...canvases);
    ui.group("show", () => Object.keys(shown).forEach((name) => {
      const node = ui.button(name, () => {
        shown[name] = !shown[name];
        ui.redraw();
      });
      ui.onDraw(() => node.setAttribute("aria-pressed", String(shown[name])));
    }));
    ui.group("handles", () => ui.button("no bend", () => ui.set({ drags: centres.map(() => [0, 0]) })));

    const spot = (event, n) => { // the place in plane n
      const frame = ui.picture.getBoundingClientRect(), scale = ui.picture.viewBox.baseVal.width / frame.width, [left, top, side] = ui.panels[n];
      return [((event.clientX - frame.left) * scale - left) / side - 0.5, 0.5 - ((event.clientY - frame.top) * scale - top) / side].map((part) => part * 2 * EDGE);
    };
    const MOVES = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1], Home: [0, 0] };
    // Calls go with one step of the arrow keys, or with no step for Home.
    const keys = (node, go) => node.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in MOVES)) return;
      event.preventDefault();
      event.stopPropagation(); // notebooks and slides have their own use for these keys
      go(event.key === "Home" ? undefined : MOVES[event.key].map((part) => part * (event.shiftKey ? 0.01 : 0.1)));
    });

    const looks = (node, at) => {
      node.addEventListener("pointermove", (event) => {
        if (event.pointerType !== "mouse" || event.buttons) return;
        looked = at(event);
        ui.redraw();
      });
      node.addEventListener("pointerleave", () => {
        looked = undefined;
        ui.redraw();
      });
    };

    // Both planes answer to mouse, finger and arrow keys; a mouse only looks, a click chooses.
    ui.sheets = ["noise", "data"].map((name, n) => {
      const area = box(0, 0, 0, 0, "dgm-area"), ring = box(0, 0, 0, 0, "dgm-ring");
      const sheet = svg("g", { class: "dgm-slider dgm-sheet", role: "application", tabindex: 0, "aria-label": `${name} plane: arrow keys move the square, Home takes it to the middle` }, area, ring);
      const noise_of = (place) => (n ? [...survey().back(...place, scratch).slice(0, 2)] : place);
      const inside = (place) => place.map((part) => clamp(part, -EDGE, EDGE));
      const at = (event) => noise_of(inside(spot(event, n)));
      const choose = (z) => {
        looked = undefined;
        ui.set({ point: z });
        ui.redraw(); // also where the place is the same
      };
      looks(sheet, at);
      sheet.addEventListener("click", (event) => choose(at(event)));
      keys(sheet, (step) => {
        const here = n ? survey().forth(...model.get("point"), scratch) : model.get("point");
        choose(noise_of(step ? inside([tidy(here[0] + step[0]), tidy(here[1] + step[1])]) : [0, 0]));
      });
      ui.handles.append(sheet);
      return { at, area, ring };
    });

    ui.knobs = centres.map((centre, k) => {
      const grip = svg("g", { class: "dgm-grip" }, svg("circle", { r: 20, class: "dgm-touch" }), svg("circle", { r: 16, class: "dgm-ring" }), svg("circle", { r: 11, class: "dgm-knob" }), text(0, 5, String(k + 1), "middle", "dgm-onknob"));
      const node = svg("g", { role: "application", tabindex: 0 }, grip);
      const pull = (to) => ui.set({ drags: drags().map((drag, j) => (j === k ? within(to).map(tidy) : drag)) });
      let offset;
      const held = (event) => {
        const [a, b] = spot(event, 1);
        return [a - centre[0], b - centre[1]];
      };
      node.addEventListener("pointerdown", (event) => {
        if (event.button !== 0) return;
        const at = held(event), drag = drags()[k];
        looked = undefined;
        offset = [drag[0] - at[0], drag[1] - at[1]];
        node.setPointerCapture(event.pointerId);
        node.focus({ preventScroll: true });
        event.preventDefault();
      });
      node.addEventListener("pointermove", (event) => {
        if (!offset) return;
        const at = held(event);
        pull([at[0] + offset[0], at[1] + offset[1]]);
      });
      looks(node, ui.sheets[1].at);
      for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) node.addEventListener(end, () => { offset = undefined; });
      keys(node, (step) => {
        const drag = drags()[k];
        pull(step ? [drag[0] + step[0], drag[1] + step[1]] : [0, 0]);
      });
      for (const [name, on] of [["focus", true], ["pointerenter", true], ["blur", false], ["pointerleave", false]]) {
        node.addEventListener(name, () => {
          const was = active;
          active = on || document.activeElement === node ? k : active === k ? undefined : active;
          if (active !== was) ui.redraw();
        });
      }
      ui.handles.append(node);
      return { node, grip };
    });
  }

  function draw(ui, room) {
    const now = survey(), { forth } = now, layer = ui.layer, narrow = room < 560, slide = ui.root.closest(".reveal");
    const dark = Number(getComputedStyle(ui.root).color.match(/[\d.]+/)) > 127; // light ink
    const z = looked ?? model.get("point"), place = [...forth(...z, scratch)], x = place.slice(0, 2), J = place.slice(2, 6), det = place[6];
    const p_z = gauss(...z), p_x = p_z / det, area = SQUARE * SQUARE;

    // Two planes. On a phone the noise is small, and J beside it.
    const big = Math.floor(narrow ? room - 4 : Math.min((room - 28) / 2, slide ? 288 : 400)), small = narrow ? Math.floor(0.46 * room) : big;
    const left = narrow ? 2 : room - big - 2, top = narrow ? small + 84 : 28;
    ui.panels = [[2, 28, small], [left, top, big]];
    layer.push(text(0, 16, "noise z", "start", "dgm-head"), text(left - 2, top - 12, "data x", "start", "dgm-head"));
    if (shown.density) { // what the shades mean
      const end = left + big - 94;
      layer.push(text(end - 4, top - 12, "p: 0", "end", "dgm-small"), text(end + 94, top - 12, "≥ 0.8", "end", "dgm-small"));
      for (let k = 0; k < 4; k++) layer.push(box(end + 12 * k, top - 22, 12, 12, "dgm-tile"), box(end + 12 * k, top - 22, 12, 12, `dgm-heat dgm-${dark ? "sky" : "blue"}`, { "fill-opacity": k / 3 }));
    }
    ui.panels.forEach(([x0, y0, side], n) => {
      Object.assign(canvases[n].style, { left: `${(100 * x0) / room}%`, width: `${(100 * side) / room}%`, marginTop: `${(100 * y0) / room}%`, display: shown.density ? "" : "none" });
      paint(canvases[n], n ? now.density : still, dark);
      Object.entries({ x: x0, y: y0, width: side, height: side }).forEach(([name, value]) => ui.sheets[n].area.setAttribute(name, value));
      Object.entries({ x: x0 - 3, y: y0 - 3, width: side + 6, height: side + 6 }).forEach(([name, value]) => ui.sheets[n].ring.setAttribute(name, value));
      const unit = side / (2 * EDGE), spot = ([a, b]) => `${((a + EDGE) * unit).toFixed(2)} ${((EDGE - b) * unit).toFixed(2)}`;
      const to = n ? (u, v) => forth(u, v, scratch).slice(0, 2) : (u, v) => [u, v];
      const plot = svg("svg", { x: x0, y: y0, width: side, height: side, overflow: "hidden" });

      const key = `${now.key} ${side} ${shown.grid} ${shown.samples}`;
      ui.woven ??= [];
      if (ui.woven[n]?.key !== key) {
        const group = svg("g"), steps = n ? 100 : 1;
        if (shown.grid) {
          let weave = "";
          for (let u = -5; u <= 5; u += SQUARE) {
            for (const line of [(v) => to(u, v), (v) => to(v, u)]) {
              weave += `M${Array.from({ length: steps + 1 }, (_, m) => spot(line((10 * m) / steps - 5))).join("L")}`;
            }
          }
          group.append(path(weave, "dgm-weave"));
        }
        if (shown.samples) {
          const dots = noise.map(([u, v]) => `M${spot(to(u, v))}h0`).join("");
          group.append(...(side < 250 ? [] : [path(dots, "dgm-seed-edge")]), svg("path", { d: dots, class: "dgm-seed-dot", style: side < 250 ? "stroke-width: 1.8" : undefined }));
        }
        ui.woven[n] = { key, group };
      }
      plot.append(ui.woven[n].group);

      // The square, the parallelogram that J makes of it, and (dotted) what g makes of it.
      const middle = n ? x : z, [a, b, c, d] = n ? J : [1, 0, 0, 1];
      const by = (u, v) => [middle[0] + SQUARE * (a * u + b * v), middle[1] + SQUARE * (c * u + d * v)];
      plot.append(path(`M${[by(-0.5, -0.5), by(0.5, -0.5), by(0.5, 0.5), by(-0.5, 0.5)].map(spot).join("L")}z`, "dgm-patch"));
      if (n) {
        const sides = [[-1, -1, 1, 0], [1, -1, 0, 1], [1, 1, -1, 0], [-1, 1, 0, -1]], eighth = (m) => (SQUARE * m) / 8;
        const rim = sides.flatMap(([u, v, du, dv]) => [...Array(8).keys()].map((m) => [z[0] + eighth(4 * u + du * m), z[1] + eighth(4 * v + dv * m)]));
        plot.append(path(`M${rim.map(([u, v]) => spot(to(u, v))).join("L")}z`, "dgm-outline"));
      }
      const [from, ...ends] = [by(-0.5, -0.5), by(0.5, -0.5), by(-0.5, 0.5)].map((spot) => [(spot[0] + EDGE) * unit, (EDGE - spot[1]) * unit]);
      plot.append(...ends.flatMap((end, i) => arrow(from, end, i)));
      layer.push(plot, box(x0, y0, side, side, "dgm-frame"));
      for (const value of [-EDGE, 0, EDGE]) layer.push(text(x0 + (value + EDGE) * unit, y0 + side + 16, number(value, 0), value < 0 ? "start" : value ? "end" : "middle", "dgm-small"));
    });

    // Handles: where they are, where they come from, and how far they may go.
    const unit = big / (2 * EDGE), spot = ([a, b]) => [left + (a + EDGE) * unit, top + (EDGE - b) * unit];
    centres.forEach((centre, k) => {
      const drag = now.drags[k], long = Math.hypot(...drag), [cx, cy] = spot(centre), [hx, hy] = spot([centre[0] + drag[0], centre[1] + drag[1]]);
      const { node, grip } = ui.knobs[k], stuck = full(drag);
      if (k === active || stuck) layer.push(svg("circle", { cx, cy, r: limit * unit, class: stuck ? "dgm-edge dgm-red dgm-dash" : "dgm-guide" }));
      layer.push(line(cx, cy, hx, hy, "dgm-pull"), svg("circle", { cx, cy, r: 3.5, class: "dgm-mark" }));
      if (stuck) layer.push(text(clamp(hx, left + 30, left + big - 30), hy + (hy > top + 40 ? -18 : 30), "limit", "middle", "dgm-strong dgm-halo"));
      grip.setAttribute("transform", `translate(${hx} ${hy})`);
      node.setAttribute("class", `dgm-slider ${stuck ? "dgm-full" : ""}`);
      node.setAttribute("aria-label", `handle ${k + 1}, dragged by ${pair(drag)}, ${Math.round((100 * long) / limit)} % of the limit: arrow keys drag it, Home lets it go back`);
    });

    // J, and the unit square with its image, magnified.
    const foot = top + big + 46, table = narrow ? 0 : Math.min(330, room - 290), jx = narrow ? small + 26 : table + 28, jy = narrow ? 46 : foot + 24;
    layer.push(text(jx - 8, jy - 24, "J = ∂x/∂z", "start", "dgm-head"));
    J.forEach((value, i) => layer.push(text(jx + 50 + 62 * (i % 2), jy + 4 + 24 * Math.floor(i / 2), number(value, 2), "end", "")));
    [0, 1].forEach((i) => layer.push(line(jx + 10 + 62 * i, jy + 36, jx + 50 + 62 * i, jy + 36, `dgm-arrow dgm-${["green", "red"][i]}`)));
    layer.push(path(`M${jx} ${jy - 14}h-6v48h6M${jx + 116} ${jy - 14}h6v48h-6`, "dgm-axis"));
    const corners = [[0, 0], [1, 0], [1, 1], [0, 1]], [a, b, c, d] = J, image = corners.map(([u, v]) => [a * u + b * v, c * u + d * v]);
    const lens = narrow ? Math.min(room - small - 30, small - 46, 92) : 92, lx = narrow ? small + 22 : jx + 146, ly = narrow ? jy + 52 : foot - 8;
    const all = [...corners, ...image], low = [0, 1].map((i) => Math.min(...all.map((at) => at[i]))), wide = Math.max(...[0, 1].map((i) => Math.max(...all.map((at) => at[i])) - low[i]));
    const lift = ([u, v]) => [lx + ((u - low[0]) / wide) * lens, ly + lens - ((v - low[1]) / wide) * lens], trace = (points) => `M${points.map((at) => lift(at).join(" ")).join("L")}z`;
    layer.push(path(trace(image), "dgm-patch"), path(trace(corners), "dgm-expected"), ...[[a, c], [b, d]].flatMap((end, i) => arrow(lift([0, 0]), lift(end), i)));

    if (!narrow && room - lx - lens > 130) ["the unit square", "and its image by J"].forEach((words, i) => layer.push(text(lx + lens + 16, foot + 30 + 18 * i, words, "start", "dgm-small")));

    // The same mass on both sides.
    const c1 = table ? 210 : Math.min(0.6 * room, 210), c2 = table ? table : Math.min(room - 2, 330);
    [["at", `z = ${pair(z)}`, `x = ${pair(x)}`, "dgm-small"], ["density", three(p_z), three(p_x), ""], ["× area", three(area), three(area * det), ""], ["= mass", three(p_z * area), three(p_x * area * det), "dgm-strong"]]
      .forEach(([name, noise, data, cls], i) => layer.push(text(0, foot + 22 * i, name, "start", cls), text(c1, foot + 22 * i, noise, "end", cls), text(c2, foot + 22 * i, data, "end", cls)));
    layer.push(line(0, foot + 51, c2, foot + 51, "dgm-axis"));
    ui.size(room, foot + 92);

    const peak = now.hills[0], hills = now.hills.length, stuck = now.drags.flatMap((drag, k) => (full(drag) ? [k + 1] : []));
    ui.read([
      ["det J", three(det), `log ${number(Math.log(det))} nats`, "dgm-orange"],
      ["highest p_X", three(peak.p), `${times(peak.p / TOP)} the noise's, log ${number(Math.log(peak.p), 2)}`, "dgm-blue"],
      ["hills", String(hills), "of p_X"],
      ["mass on this picture", number(now.mass, 2), `and ${number(now.outside, 4)} outside`, "dgm-green"],
    ]);
    const change = Math.abs(Math.log(det)) < 0.005 ? "keeps its area, and the density stays"
      : `${det < 1 ? "shrinks" : "grows"} to ${three(det)} of its area, and the density goes ${det < 1 ? "up" : "down"} from`;
    ui.say(`Around z = ${pair(z)} the square ${change} ${three(p_z)}${change.endsWith("from") ? ` to ${three(p_x)}` : ""}: density times area stays.`
      + (stuck.length ? ` ${stuck.length > 1 ? `Handles ${stuck.join(" and ")} are at their limits` : `Handle ${stuck[0]} is at its limit`}: not much farther, the plane would fold over itself.` : ""));
    ui.expose({
      drags: now.drags, z, x, J, det, log_det: Math.log(det), p_z, p_x, area, area_x: area * det, mass: now.mass, outside: now.outside,
      peak: peak.p, hills: now.hills, limit, stuck, looking: looked !== undefined, ...shown,
    });
  }

  function arrow(from, end, i) {
    const [dx, dy] = [end[0] - from[0], end[1] - from[1]], long = Math.hypot(dx, dy) || 1, tip = Math.min(7, long * 0.45), [u, v] = [dx / long, dy / long];
    const wing = (s) => `${end[0] - tip * (u - s * v)} ${end[1] - tip * (v + s * u)}`;
    const d = `M${from.join(" ")}L${end.join(" ")}M${wing(0.6)}L${end.join(" ")}L${wing(-0.6)}`;
    return [path(d, "dgm-arrow-edge"), path(d, `dgm-arrow dgm-${["green", "red"][i]}`)];
  }

  const done = frame({ model, el, title: "A plane to bend", traits: ["drags", "point"], start, draw });
  return done;
}
