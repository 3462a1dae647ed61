// IEEE half precision to a number.
function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : exponent === 31 ? (fraction ? NaN : Infinity) : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

// Number t + 1 of the generator mulberry32, started at seed · 0x9e3779b1, in [0, 1).
function uniform(seed, t) {
  let a = (Math.imul(seed, 0x9e3779b1) + Math.imul(t + 1, 0x6d2b79f5)) | 0;
  a = Math.imul(a ^ (a >>> 15), a | 1);
  a ^= a + Math.imul(a ^ (a >>> 7), a | 61);
  return ((a ^ (a >>> 14)) >>> 0) / 4294967296;
}

const unpacked = (encoded) => new DataView(Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0)).buffer);

// The decoder of dgmlite.models.vae: z → the log-probabilities of all L levels of each of D pixels, in one row.
function decoder(encoded, widths, D, L) {
  const view = unpacked(encoded);
  let at = 0;
  const take = (count) => Float64Array.from({ length: count }, () => { at += 2; return half(view.getUint16(at - 2, true)); });
  const layers = widths.slice(1).map((outputs, k) => ({ weight: take(outputs * widths[k]), bias: take(outputs) }));
  return (z) => {
    let h = z;
    layers.forEach(({ weight, bias }, k) => {
      const n = h.length, last = k === layers.length - 1;
      h = bias.map((value, o) => {
        for (let i = 0; i < n; i++) value += weight[o * n + i] * h[i];
        return last ? value : value / (1 + Math.exp(-value)); // SiLU
      });
    });
    const log_p = new Float64Array(D * L), scale = 1 / Math.sqrt(L);
    for (let i = 0; i < D; i++) { // the step to level 0 is left out: it adds the same to all
      let most = 0, total = 0;
      for (let l = 1; l < L; l++) most = Math.max(most, (log_p[i * L + l] = log_p[i * L + l - 1] + scale * h[i * (L - 1) + l - 1]));
      for (let l = 0; l < L; l++) total += Math.exp(log_p[i * L + l] - most);
      for (let l = 0; l < L; l++) log_p[i * L + l] -= most + Math.log(total);
    }
    return log_p;
  };
}

function render({ model, el }) {
  const [H, W] = model.get("shape"), D = H * W, L = model.get("levels"), names = model.get("names"), task = model.get("task"), labels = model.get("labels");
  const bytes = unpacked(model.get("images")), told = bytes.byteLength > 0, image = (n) => Array.from({ length: D }, (_, i) => bytes.getUint8(n * D + i));
  const CELLS = 80, TILES = 12, HOLE = Math.log(20), LOG_2PI = Math.log(2 * Math.PI), tint = (value, most) => 0.7 * clamp(value / most, 0, 1), SHADES = ["q(z)", "holes", "decoder"];
  const classes = [...new Set(labels)].sort();
  let shade = SHADES[0], only, walks = 0, wide = false; // only: the class that is not dimmed; walks: draws from the prior; wide: all codes in view

  // Of each model: its decoder, the codes (m₁, m₂, s₁, s₂), and how far a plane must reach to show nearly all of them.
  const worlds = names.map((name, k) => {
    const view = unpacked(model.get("codes")[k]), N = view.byteLength / 16;
    const codes = Array.from({ length: N }, (_, n) => [0, 1, 2, 3].map((i) => view.getFloat32(16 * n + 4 * i, true)));
    const far = codes.map(([a, b]) => Math.max(Math.abs(a), Math.abs(b))).sort((a, b) => a - b), most = far[Math.floor(0.98 * (N - 1))];
    const reach = [4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128].find((e) => e >= most) ?? Math.ceil(most);
    const kl = sum(codes.map(([a, b, s, t]) => (a * a + b * b + s * s + t * t) / 2 - 1 - Math.log(s * t))) / N;
    return { name, decode: decoder(model.get("weights")[k], model.get("widths")[k], D, L), codes, far, reach, kl };
  });
  const N = worlds[0].codes.length, world = () => worlds[Math.max(names.indexOf(model.get("chosen")), 0)];
  const reach = () => (wide ? world().reach : 4), place = () => [0, 1].map((i) => clamp(model.get("z")[i] ?? 0, -reach(), reach()));
  const prior = ([a, b]) => -(a * a + b * b) / 2 - LOG_2PI;
  const posteriors = ([a, b], { codes }) => codes.map(([m, n, s, t]) => -(((a - m) / s) ** 2 + ((b - n) / t) ** 2) / 2 - Math.log(s * t) - LOG_2PI);
  const log_mean = (values) => {
    const most = Math.max(...values);
    return most + Math.log(sum(values.map((v) => Math.exp(v - most))) / N);
  };

  // q(z) in the middles of cells of side `step` up to ±edge, row by row from the top. A posterior narrower than a cell
  // would fall between them: for shading, each is widened by `blur`.
  function aggregate({ codes }, edge, step, blur) {
    const side = Math.round((2 * edge) / step), q = new Float64Array(side * side), at = (i) => (i + 0.5) * step - edge;
    const bell = (m, s) => Float64Array.from({ length: side }, (_, i) => Math.exp(-(((at(i) - m) / s) ** 2) / 2) / (s * Math.sqrt(2 * Math.PI)));
    for (const [m, n, s, t] of codes) {
      const x = bell(m, Math.hypot(s, blur)), y = bell(-n, Math.hypot(t, blur));
      for (let r = 0; r < side; r++) if (y[r] > 1e-300) for (let c = 0; c < side; c++) q[r * side + c] += (x[c] * y[r]) / N;
    }
    return { q, at, side };
  }
  // The share of the prior where p > 20 q.
  function in_holes(here) {
    if (here.holes === undefined) {
      const { q, at, side } = aggregate(here, 4, 0.1, 0);
      let all = 0, empty = 0;
      q.forEach((value, i) => {
        const p = Math.exp(prior([at(i % side), at(Math.floor(i / side))]));
        all += p;
        if (p > 20 * value) empty += p;
      });
      here.holes = empty / all;
    }
    return here.holes;
  }
  function deepest(here) {
    let best, least = Infinity;
    for (let r = -19.5; r < 20; r++) {
      for (let c = -19.5; c < 20; c++) {
        const z = [c / 10, -r / 10];
        if (Math.hypot(...z) > 2) continue;
        const depth = log_mean(posteriors(z, here)) - prior(z);
        if (depth < least) [least, best] = [depth, z];
      }
    }
    return best;
  }
  const means = (log_p) => Array.from({ length: D }, (_, i) => {
    let mean = 0;
    for (let l = 1; l < L; l++) mean += l * Math.exp(log_p[i * L + l]);
    return mean;
  });
  const draw_of = (log_p, seed) => Array.from({ length: D }, (_, i) => { // the level in whose part of [0, 1) the number falls
    let rest = uniform(seed, i), l = 0;
    while (l < L - 1 && (rest -= Math.exp(log_p[i * L + l])) >= 0) l++;
    return l;
  });

  // One pixel a cell; or, with a gap between them, the decoded pictures at the middles of 12 × 12 cells.
  const canvas = html("canvas", { "aria-hidden": "true", style: "position: absolute; top: 0; aspect-ratio: 1" });
  function paint(edge, dark) {
    const here = world(), key = `${here.name} ${shade} ${edge} ${dark}`;
    if (canvas.key === key) return;
    const tiles = shade === "decoder", [columns, rows] = tiles ? [TILES * (W + 1), TILES * (H + 1)] : [CELLS, CELLS], step = (2 * edge) / (tiles ? TILES : CELLS);
    Object.assign(canvas, { key, width: columns, height: rows });
    canvas.style.imageRendering = tiles ? "pixelated" : "";
    const context = canvas.getContext("2d"), drawing = context.createImageData(columns, rows), at = (i) => (i + 0.5) * step - edge;
    const dye = (i, colour, alpha) => drawing.data.set([...colour, Math.round(255 * alpha)], 4 * i);
    if (tiles) {
      for (let k = 0; k < TILES * TILES; k++) {
        const c = k % TILES, r = Math.floor(k / TILES), first = r * (H + 1) * columns + c * (W + 1);
        means(here.decode([at(c), -at(r)])).forEach((v, i) => dye(first + Math.floor(i / W) * columns + (i % W), Array(3).fill(255 * (1 - v / (L - 1))), 1));
      }
    } else {
      const blue = dark ? [0x56, 0xb4, 0xe9] : [0x00, 0x72, 0xb2], orange = [0xe6, 0x9f, 0x00]; // --sky, --blue, --orange
      aggregate(here, edge, step, 0.4 * step).q.forEach((value, i) => {
        const z = [at(i % CELLS), at(Math.floor(i / CELLS))], log_q = Math.log(value), ratio = log_q - prior(z), fade = clamp(4 - Math.hypot(...z), 0, 1);
        if (shade === "q(z)") dye(i, blue, tint(log_q + 8, 8));
        else dye(i, ratio > 0 ? blue : orange, tint(Math.abs(ratio), ratio > 0 ? 4 : 6) * fade);
      });
    }
    context.putImageData(drawing, 0, 0);
  }

  const dots = (shades, x, y, side, cls = "dgm-print") => {
    const group = svg("g", { "shape-rendering": "crispEdges" });
    shades.forEach((v, t) => { if (v > 0.002) group.append(box(x + (t % W) * side, y + Math.floor(t / W) * side, side, side, cls, { "fill-opacity": v })); });
    return group;
  };

  function start(ui) {
    ui.initial = { z: model.get("initial"), chosen: names[0], seed: 1, bits: false };
    ui.onReset = () => { [shade, only, walks, wide] = [SHADES[0], undefined, 0, false]; };
    if (task) ui.root.insertBefore(html("p", { class: "dgm-task" }, html("b", {}, "Task: "), task), ui.stage);
    ui.stage.style.position = ui.picture.style.position = "relative";
    ui.stage.prepend(canvas);
    ui.plot = svg("svg", { class: "dgm-scene dgm-codes", "aria-hidden": "true", overflow: "hidden" }); // stays while z moves
    ui.picture.prepend(ui.plot);
    ui.root.classList.add("dgm-plane");
    const go = (z) => ui.set({ z: z.map((v) => clamp(tidy(v), -reach(), reach())) });
    const choice = (name, pressed, action, extra) => {
      const node = ui.button(name, action, extra);
      ui.onDraw(() => node.setAttribute("aria-pressed", String(pressed())));
      return node;
    };
    if (names.length > 1) ui.group("model", () => names.forEach((name) => choice(name, () => world().name === name, () => ui.set({ chosen: name }))));
    ui.group("go to", () => {
      ui.row.append(html("span", { class: "dgm-label" }, "go to"));
      ui.button("prior draw", () => {
        walks += 1;
        const far = Math.sqrt(-2 * Math.log(1 - uniform(walks, D))), turn = 2 * Math.PI * uniform(walks, D + 1);
        go([far * Math.cos(turn), far * Math.sin(turn)]);
      }, { title: "a draw of z from the prior" });
      ui.button("deepest hole", () => go(deepest(world())), { title: "within 2 σ" });
    });
    ui.group("draw", () => ui.button("draw x again", () => ui.set({ seed: model.get("seed") + 1 })));
    ui.group("shading", () => {
      ui.row.append(html("span", { class: "dgm-label" }, "shade"));
      SHADES.forEach((name) => choice(name, () => shade === name, () => { shade = name; ui.redraw(); }));
    });
    if (worlds.some((one) => one.reach > 4)) ui.group("view", () => choice("all codes", () => wide, () => { wide = !wide; ui.redraw(); }));
    ui.units();
    if (classes.length > 1) { // on a slide they stand where other widgets show code
      ui.row = html("div", { class: "dgm-classes", role: "group", "aria-label": "show one class" }, html("span", { class: "dgm-label" }, "only"));
      classes.forEach((name) => choice(name, () => only === name, () => { only = only === name ? undefined : name; ui.redraw(); }, { class: `dgm-class dgm-class-${name}`, "aria-label": `only class ${name}` }));
      ui.stage.after(ui.row);
      ui.row = undefined;
    }

    const sheet = box(0, 0, 0, 0, "dgm-area"), ring = box(0, 0, 0, 0, "dgm-ring");
    const grip = svg("g", { class: "dgm-grip" }, svg("circle", { r: 22, class: "dgm-touch" }), svg("circle", { r: 12.5, class: "dgm-ring" }), svg("circle", { r: 9, class: "dgm-knob" }), svg("circle", { r: 2.5, class: "dgm-mark-z" }));
    const plane = svg("g", { class: "dgm-slider dgm-sheet", role: "application", tabindex: 0 }, sheet, ring, grip);
    const at = (event) => {
      const area = sheet.getBoundingClientRect(), part = (v, low, size) => ((v - low) / size - 0.5) * 2 * reach();
      return [part(event.clientX, area.left, area.width), -part(event.clientY, area.top, area.height)];
    };
    const near = (z) => z.map((v) => Math.round(v * 1000) / 1000);
    let offset, tapped = false;
    plane.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      const held = grip.contains(event.target);
      tapped = event.pointerType === "touch" && !held; // a finger on the plane may want to scroll: wait for its click
      if (tapped) return;
      const from = at(event);
      offset = held ? place().map((v, i) => v - from[i]) : [0, 0];
      plane.setPointerCapture(event.pointerId);
      plane.focus({ preventScroll: true });
      event.preventDefault();
      if (!held) go(near(from));
    });
    plane.addEventListener("click", (event) => {
      if (tapped) go(near(at(event)));
      tapped = false;
    });
    plane.addEventListener("pointermove", (event) => { if (offset) go(near(at(event).map((v, i) => v + offset[i]))); });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) plane.addEventListener(end, () => { offset = undefined; });
    const MOVES = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1], Home: [0, 0] };
    plane.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in MOVES)) return;
      event.preventDefault();
      event.stopPropagation(); // notebooks and slides have their own use for these keys
      const step = (reach() / 40) * (event.shiftKey ? 0.1 : 1);
      go(event.key === "Home" ? [0, 0] : place().map((v, i) => v + step * MOVES[event.key][i]));
    });
    ui.handles.append(plane);
    Object.assign(ui, { sheet, ring, grip, plane });
  }

  // What stays while z moves: ellipses, digits, and the circles of the prior, named where few codes are.
  function backdrop(here, edge, side) {
    const scale = side / (2 * edge), X = (v) => ((v + edge) * scale).toFixed(2), Y = (v) => ((edge - v) * scale).toFixed(2), tiles = shade === "decoder";
    const lit = (n) => only !== undefined && labels[n] === only, veil = 0.12 * Math.min(1, 12 / sum(here.codes.map(([, , s, t]) => s * t))) ** 1.6; // of many that overlap, each is paler
    const order = here.codes.map((_, n) => n).filter((n) => !tiles || lit(n)).sort((a, b) => lit(a) - lit(b)), names = scale > 22 ? [1, 2, 3] : [3];
    const angles = [...Array(24).keys()].map((k) => ((k - 6) * Math.PI) / 12);
    return [
      ...order.map((n) => {
        const [a, b, s, t] = here.codes[n], [cx, cy] = [X(a), Y(b)];
        return svg("g", { class: `${labels ? `dgm-class-${labels[n]}` : ""} ${lit(n) ? "dgm-lit" : only ? "dgm-dim" : ""}` },
          ...(Math.max(s, t) * scale > 2 ? [svg("ellipse", { cx, cy, rx: (s * scale).toFixed(2), ry: (t * scale).toFixed(2), "fill-opacity": veil.toFixed(5) })] : []),
          labels ? text(cx, (Number(cy) + 4.2).toFixed(2), labels[n], "middle", "dgm-glyph") : svg("circle", { cx, cy, r: 1.8 }));
      }),
      ...["dgm-sigma-edge", "dgm-sigma"].flatMap((cls) => [1, 2, 3].map((r) => svg("circle", { cx: X(0), cy: Y(0), r: r * scale, class: cls }))),
      ...names.map((r) => {
        const spots = angles.map((turn) => [r * Math.cos(turn), r * Math.sin(turn)]), q = spots.map((z) => Math.max(...posteriors(z, here)));
        const [a, b] = spots[q.indexOf(Math.min(...q))];
        return text(X(a), (Number(Y(b)) + 5).toFixed(2), `${r}σ`, "middle", "dgm-small dgm-halo");
      }),
    ];
  }

  function draw(ui, width) {
    const here = world(), { codes } = here, edge = reach(), z = place(), layer = ui.layer, unit = ui.unit(), narrow = width < 620, slide = ui.root.closest(".reveal");
    const dark = Number(getComputedStyle(ui.root).color.match(/[\d.]+/)) > 127, sea = dark ? "sky" : "blue"; // light ink
    const log_p = prior(z), each = posteriors(z, here), log_q = log_mean(each), depth = log_q - log_p, radius = Math.hypot(...z), rest = Math.exp(-radius * radius / 2);
    const nearest = each.indexOf(Math.max(...each)), share = Math.exp(each[nearest] - log_q) / N, code = codes[nearest], outside = here.far.filter((r) => r > edge).length;
    const levels = here.decode(z), mean = means(levels), seed = model.get("seed"), drawn = draw_of(levels, seed);
    const each_open = Array.from({ length: D }, (_, i) => -sum(Array.from(levels.subarray(i * L, (i + 1) * L), (l) => (l > -700 ? l * Math.exp(l) : 0)))), open = sum(each_open);
    const price = (x) => -sum(x.map((v, i) => levels[i * L + v])), cost = told ? price(image(nearest)) : null;
    const big = (nats) => number(ui.shown(nats), Math.abs(nats) < 1000 ? 1 : 0), per_cent = (p) => (p > 0 && p < 0.005 ? "< 1 %" : `${Math.round(100 * p)} %`);
    const costs = (nats) => (narrow ? big(nats) : `costs ${big(nats)} ${unit}`);
    const a_class = labels ? `${labels[nearest] === "8" ? "an" : "a"} ${labels[nearest]}` : `image ${nearest + 1}`;

    // The plane.
    const side = Math.floor(narrow ? width - 4 : Math.min(0.55 * width, slide ? 292 : 470)), x0 = 2, y0 = 26, scale = side / (2 * edge);
    const X = (v) => x0 + (v + edge) * scale, Y = (v) => y0 + (edge - v) * scale, set = (node, changes) => Object.entries(changes).forEach(([name, value]) => node.setAttribute(name, value));
    layer.push(text(x0, 16, `${N} codes${names.length > 1 ? `, ${here.name}` : ""}`, "start", "dgm-head"));
    Object.assign(canvas.style, { left: `${(100 * x0) / width}%`, width: `${(100 * side) / width}%`, marginTop: `${(100 * y0) / width}%` });
    paint(edge, dark);
    const key = `${here.name} ${side} ${edge} ${shade} ${only}`;
    if (ui.plot.key !== key) {
      ui.plot.key = key;
      set(ui.plot, { x: x0, y: y0, width: side, height: side });
      ui.plot.replaceChildren(...backdrop(here, edge, side));
    }
    const own = svg("svg", { x: x0, y: y0, width: side, height: side, viewBox: `${x0} ${y0} ${side} ${side}`, overflow: "hidden" });
    const [mx, my] = [X(code[0]), Y(code[1])];
    for (const cls of ["dgm-own-edge", "dgm-own"]) own.append(line(X(z[0]), Y(z[1]), mx, my, cls), svg("ellipse", { cx: mx, cy: my, rx: Math.max(code[2] * scale, 3), ry: Math.max(code[3] * scale, 3), class: cls }));
    layer.push(own, box(x0, y0, side, side, "dgm-frame"));
    for (const v of [-edge, 0, edge]) layer.push(text(X(v), y0 + side + 17, number(v, 0), v < 0 ? "start" : v ? "end" : "middle", "dgm-small"));
    layer.push(text(x0 + side * 0.75, y0 + side + 17, "z₁", "middle", "dgm-small"), text(x0 + 6, y0 + 18, "z₂", "start", "dgm-small dgm-halo"));
    [[ui.sheet, 0], [ui.ring, 3]].forEach(([node, more]) => set(node, { x: x0 - more, y: y0 - more, width: side + 2 * more, height: side + 2 * more }));
    set(ui.grip, { transform: `translate(${X(z[0])} ${Y(z[1])})` });
    set(ui.plane, { "aria-label": `plane of codes, z = (${number(z[0], 2)}, ${number(z[1], 2)}), log q − log p ${big(depth)} ${unit}: arrow keys move, with Shift by a tenth, Home goes to the middle` });
    const foot = y0 + side + 42;
    if (outside) layer.push(text(x0 + side, foot, `${outside} outside`, "end", "dgm-small"));
    const swatches = (x, parts) => parts.forEach(([colour, from, to], part) => Array.from({ length: 5 }, (_, k) => {
      const cell = [x + 11 * (part * 5 + k), foot - 11, 11, 12];
      layer.push(box(...cell, "dgm-tile"), box(...cell, `dgm-heat dgm-${colour}`, { "fill-opacity": from + ((to - from) * k) / 4 }));
    }));
    if (shade === "q(z)") {
      layer.push(text(x0, foot, `log q(z): ${number(ui.shown(-8), 0)}`, "start", "dgm-small"), text(x0 + 156, foot, `0 ${unit}`, "start", "dgm-small"));
      swatches(x0 + 94, [[sea, 0, 0.7]]);
    } else if (shade === "holes") {
      layer.push(text(x0, foot, "p > q", "start", "dgm-small"), text(x0 + 160, foot, "q > p", "start", "dgm-small"));
      swatches(x0 + 44, [["orange", 0.7, 0], [sea, 0, 0.7]]);
    } else layer.push(text(x0, foot, "means of p(x|z), 12 × 12", "start", "dgm-small"));

    // What is decoded here, and the image that lives nearest: four pictures, in one row on a phone.
    const lx = narrow ? x0 : x0 + side + 34, room = width - lx - 4, gap = narrow ? 9 : 24, columns = narrow ? 4 : 2, small = narrow ? "dgm-small" : "dgm-head";
    const dot = Math.floor(Math.min((room - (columns - 1) * gap) / columns / W, (slide ? 86 : 164) / Math.max(H, W)) * 8) / 8, ink = (x) => x.map((v) => v / (L - 1));
    const pictures = [ // name, shades, colour, and what stands below
      [narrow ? "mean" : "mean of x", ink(mean), "dgm-blue"],
      [narrow ? "nearest" : "nearest image", told ? ink(image(nearest)) : [], `${labels ? `dgm-class-${labels[nearest]}` : "dgm-orange"} dgm-dash`, narrow ? a_class.replace("image", "no.") : `${a_class}, ${per_cent(share)}${labels ? " of q(z)" : ""}`, told ? costs(cost) : ""],
      [narrow ? "draw" : `draw ${seed} of x`, ink(drawn), "dgm-sky", costs(price(drawn))],
      ["entropy", each_open.map((h) => h / Math.log(L)), "dgm-purple", narrow ? big(open) : `${big(open)} ${unit} open`],
    ];
    let top = narrow ? foot + 30 : 16;
    pictures.forEach(([name, shades, cls, ...below], k) => {
      const x = lx + (k % columns) * (narrow ? (room + gap) / 4 : Math.max(W * dot + gap, Math.min(124, room / 2)));
      if (!narrow && k === 2) top += H * dot + 70;
      const y = top + (narrow ? 8 : 10), frame = [x, y, W * dot, H * dot];
      layer.push(text(x, top, name, "start", small), box(...frame, "dgm-page"), dots(shades, x, y, dot, k === 3 ? "dgm-heat dgm-purple" : "dgm-print"), box(...frame, `dgm-edge ${cls}`));
      if (k === 1 && !told) layer.push(text(x + (W * dot) / 2, y + (H * dot) / 2 + 12, labels ? labels[nearest] : "?", "middle", "dgm-huge"));
      below.forEach((words, i) => layer.push(text(x, y + H * dot + 18 + 17 * i, words, "start", "dgm-small")));
    });

    // The hole meter.
    const m0 = top + H * dot + (narrow ? 70 : 58), LOW = -12, HIGH = 6, cell = room / (HIGH - LOW), M = (v) => lx + (clamp(v, LOW, HIGH) - LOW) * cell;
    layer.push(text(lx, m0, "log q(z) − log p(z)", "start", "dgm-head"), text(lx + room, m0, `${depth > 0 ? "+" : ""}${big(depth)} ${unit}`, "end", "dgm-strong"));
    for (let v = LOW; v < HIGH; v++) layer.push(box(M(v), m0 + 16, cell + 0.3, 16, `dgm-heat dgm-${v < 0 ? "orange" : sea}`, { "fill-opacity": v < 0 ? tint(-v, 6) : tint(v + 1, 4) }));
    layer.push(box(lx, m0 + 16, room, 16, "dgm-frame"), ...[-HOLE, 0].map((v) => line(M(v), m0 + 16, M(v), m0 + 32, "dgm-axis")), path(`M${M(depth)} ${m0 + 20}l6 -11h-12z`, "dgm-mark"), line(M(depth), m0 + 16, M(depth), m0 + 36, "dgm-own"));
    layer.push(text(M(-HOLE), m0 + 50, "hole: p > 20 q", "end", "dgm-small"), text(M(0), m0 + 50, "0", "middle", "dgm-small"), text(lx + room, m0 + 50, "crowded", "end", "dgm-small"));
    ui.size(width, Math.max(foot, m0 + 50) + 8);

    const holes = in_holes(here);
    ui.read([
      ["z", `${number(z[0], 2)}, ${number(z[1], 2)}`, `${per_cent(rest)} of p beyond`],
      ["log p(z)", big(log_p), unit],
      ["log q(z)", big(log_q), unit, `dgm-${sea}`],
      ["mean KL(q(z|x) ‖ p)", number(ui.shown(here.kl), 2), unit],
      ["prior in holes", per_cent(holes), "", "dgm-orange"],
    ]);
    const ratio = Math.exp(Math.abs(depth)), times = ratio > 1e6 ? "more than a million times" : `${ratio < 9.95 ? ratio.toFixed(1) : Number(ratio.toPrecision(2))} times`;
    const often = `draws from the prior come here ${times} as often as codes of these ${N} images`;
    ui.say((here.kl < 0.05 ? `Collapsed: each posterior is nearly the prior, mean KL ${number(ui.shown(here.kl), 3)} ${unit}, so z tells the decoder next to nothing about x.`
      : depth < -HOLE ? `A hole, ${number(radius, 1)} σ from the middle: ${often}, so they hardly say what to draw.`
        : depth < -1 ? `Thin: ${often}.`
          : depth > 1 ? `Crowded: codes of these ${N} images come here ${times} as often as draws from the prior.`
            : `Prior and codes nearly agree: log q(z) − log p(z) = ${big(depth)} ${unit}.`)
      + ` Nearest is ${a_class}, with ${per_cent(share)} of q(z).`);
    ui.expose({
      z, chosen: here.name, edge, log_p, log_q, difference: depth, entropy: open, mean, drawn, probabilities: Array.from(levels, Math.exp),
      open: each_open, nearest, share, cost, kl: here.kl, holes, seed, walks, shade, only: only ?? null, outside,
    });
  }

  return frame({ model, el, title: "A walk over the plane of codes", traits: ["z", "chosen", "seed", "bits"], start, draw });
}
