const EDGE = 5, LIMIT = 4, STEP = 0.05, FAR = 10, SIDE = Math.round((2 * EDGE) / STEP), LOW = -12; // LOW: of log p that is shown
const MAPS = ["p(y|x)", "p(x)", "p(x, y)", "decision"];
const RULES = ["always decide", "abstain if unsure of y", "abstain if x is strange", "least expected cost"];
const logAdd = (a, b) => Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b)));
const sigmoid = (v) => (v > 0 ? 1 / (1 + Math.exp(-v)) : Math.exp(v) / (1 + Math.exp(v)));

// Which rules abstain, a bit for each. gap: |log p(x, 1) − log p(x, 0)|; stranger and wrong: probabilities.
const abstaining = (gap, stranger, wrong, { cost, bound }) =>
  (gap < bound ? 2 : 0) | (stranger > cost ? 4 : 0) | (wrong > cost ? 8 : 0);

// What is fixed until a cloud or a slider moves. 1 − max p(y|x) > c exactly where the gap is below `bound`.
function world(get) {
  const [centres, spreads, prior, strangers, cost] = ["centres", "spreads", "prior", "strangers", "cost"].map(get);
  const log_weights = [1 - prior, prior].map((p, y) => Math.log(p / (2 * Math.PI * spreads[y] ** 2)));
  return { centres, spreads, prior, strangers, cost, log_weights, density: strangers / (2 * EDGE) ** 2, bound: Math.log((1 - cost) / cost) };
}

// All that is told of one place.
function told(here, x) {
  const log_joint = here.centres.map((m, y) =>
    here.log_weights[y] - ((x[0] - m[0]) ** 2 + (x[1] - m[1]) ** 2) / (2 * here.spreads[y] ** 2));
  const odds = log_joint[1] - log_joint[0], log_p = logAdd(...log_joint), known = Math.log(1 - here.strangers);
  const log_r = logAdd(known + log_p, Math.log(here.density)), y = odds > 0 ? 1 : 0;
  const posterior = [sigmoid(-odds), sigmoid(odds)], stranger = Math.exp(Math.log(here.density) - log_r);
  const wrong = stranger + Math.exp(known + log_joint[1 - y] - log_r), mask = abstaining(Math.abs(odds), stranger, wrong, here);
  const rules = RULES.map((_, k) => ((mask >> k) & 1 ? "abstain" : String(y)));
  return {
    log_joint, log_p, log_r, posterior, stranger, familiar: Math.exp(known + log_p - log_r), wrong, y, rules,
    costs_here: rules.map((what) => (what === "abstain" ? here.cost : wrong)),
  };
}

// The expected cost of each rule in three parts, added up over cells, and what the maps show of those in the square.
function survey(here) {
  const n = Math.round((2 * FAR) / STEP), first = (n - SIDE) / 2, at = (i) => (i + 0.5) * STEP - FAR, area = STEP * STEP;
  const axis = (y, k) => Float64Array.from({ length: n }, (_, i) => -((at(i) - here.centres[y][k]) ** 2) / (2 * here.spreads[y] ** 2));
  const logs = [0, 1].map((y) => [axis(y, 0).map((v) => v + here.log_weights[y]), axis(y, 1)]);
  const [[a0, b0], [a1, b1]] = logs, [[A0, B0], [A1, B1]] = logs.map((pair) => pair.map((axis) => axis.map(Math.exp)));
  // How much the odds change along the sides of a cell. On the border of Chow's rule the cost of strangers jumps: of
  // those in a cell there, it counts the share that is beyond. The cost of data does not jump.
  const steep = [0, 1].map((k) => Float64Array.from({ length: n }, (_, i) => {
    const slope = ([m0, m1], [s0, s1]) => (at(i) - m0[k]) / s0 ** 2 - (at(i) - m1[k]) / s1 ** 2;
    return STEP * Math.abs(slope(here.centres, here.spreads));
  }));
  const parts = RULES.map(() => [0, 0, 0]), log_p = new Float64Array(SIDE * SIDE), odds = new Float64Array(SIDE * SIDE), masks = new Uint8Array(SIDE * SIDE);
  for (let row = 0; row < n; row++) {
    const high = row >= first && row < first + SIDE;
    for (let i = 0; i < n; i++) {
      const one = A0[i] * B0[row], two = A1[i] * B1[row], inside = high && i >= first && i < first + SIDE;
      const strange = inside ? here.density : 0, familiar = (1 - here.strangers) * (one + two), r = familiar + strange;
      if (!inside && r < 1e-12) continue; // most of what is beyond the square
      const gap = a1[i] + b1[row] - a0[i] - b0[row], confused = (1 - here.strangers) * Math.min(one, two);
      const mask = abstaining(Math.abs(gap), strange / r, (strange + confused) / r, here);
      const ramp = Math.max(steep[0][i], steep[1][row], 1e-9), below = (v) => clamp(0.5 + (v - gap) / ramp, 0, 1);
      for (let k = 0; k < 4; k++) {
        const does = (mask >> k) & 1, share = k === 1 ? below(here.bound) - below(-here.bound) : does;
        parts[k][0] += (1 - share) * strange * area;
        parts[k][1] += (1 - does) * confused * area;
        parts[k][2] += here.cost * (share * strange + does * familiar) * area;
      }
      if (inside) { // maps begin in the upper left corner
        const cell = (first + SIDE - 1 - row) * SIDE + i - first;
        log_p[cell] = logAdd(a0[i] + b0[row], a1[i] + b1[row]);
        odds[cell] = gap;
        masks[cell] = mask;
      }
    }
  }
  return { parts, costs: parts.map(sum), log_p, odds, masks };
}

const shade = (log_p) => 0.8 * clamp(1 - log_p / LOW, 0, 1);

function render({ model, el }) {
  const get = (name) => model.get(name), task = get("task"), initial = get("initial"), sliders = {};
  const bytes = Uint8Array.from(atob(get("points")), (letter) => letter.charCodeAt(0)), numbers = Array.from(new Float32Array(bytes.buffer));
  const n = numbers.length / 4, offsets = [0, 1].map((y) => Array.from({ length: n }, (_, i) => numbers.slice(2 * (n * y + i), 2 * (n * y + i) + 2)));
  const place = (x) => `(${number(x[0], 2)}, ${number(x[1], 2)})`;
  const power = (_, ten) => ` · 10⁻${[...ten].map((digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]).join("")}`;
  const small = (v) => (v > 0 && v < 9.95e-4 ? v.toExponential(0).replace(/e-(\d+)/, power) : number(v));
  const probability = (p, rest) => (rest > 0 && rest < 9.95e-4 ? `1 − ${small(rest)}` : small(p)); // also near 1
  const map = () => Math.max(MAPS.indexOf(get("map")), 0), rule = () => Math.max(RULES.indexOf(get("rule")), 0);
  const canvas = html("canvas", { width: SIDE, height: SIDE, "aria-hidden": "true", style: "position: absolute; top: 0; aspect-ratio: 1" });
  let past = {};

  function paint(dark) {
    const key = `${past.key} ${map()} ${map() === 3 ? rule() : ""} ${dark}`;
    if (canvas.key === key) return;
    canvas.key = key;
    const context = canvas.getContext("2d"), image = context.createImageData(SIDE, SIDE), { log_p, odds, masks } = past;
    const [blue, orange, green, grey] = [dark ? [0x56, 0xb4, 0xe9] : [0x00, 0x72, 0xb2], [0xe6, 0x9f, 0x00], [0x00, 0x9e, 0x73], [0x80, 0x80, 0x80]]; // --sky, --blue …
    const dye = [
      (v) => [v > 0 ? orange : blue, 0.8 * Math.tanh(Math.abs(v) / 2)], // |p(1|x) − p(0|x)|
      (_, e) => [green, shade(log_p[e])],
      (v, e) => [blue.map((c, i) => c + sigmoid(v) * (orange[i] - c)), shade(log_p[e])],
      (v, e) => ((masks[e] >> rule()) & 1 ? [grey, ((e % SIDE) + Math.floor(e / SIDE)) % 8 < 2 ? 0.9 : 0.12] : [v > 0 ? orange : blue, 0.6]),
    ][map()];
    odds.forEach((v, e) => {
      const [colour, alpha] = dye(v, e);
      for (let i = 0; i < 3; i++) image.data[4 * e + i] = colour[i];
      image.data[4 * e + 3] = Math.round(255 * alpha);
    });
    context.putImageData(image, 0, 0);
  }

  // A place in the plane, moved by mouse, finger or keys; with an area, also by a click there.
  function mover(ui, { name, home, limit, at, go, cls, area = [] }) {
    const grip = svg("g", { class: "dgm-grip" }, svg("circle", { r: 22, class: "dgm-touch" }), svg("circle", { r: 16, class: "dgm-ring" }), svg("circle", { r: 11, class: "dgm-knob" }), text(0, 5, name, "middle", "dgm-onknob"));
    const node = svg("g", { class: `dgm-slider ${cls}`, role: "application", tabindex: 0 }, ...area, grip);
    const move = (to) => go(to.map((v) => clamp(tidy(v), -limit, limit))), near = (to) => to.map((v) => Math.round(v * 100) / 100);
    const spot = (event) => {
      const frame = ui.sheet.getBoundingClientRect();
      return [((event.clientX - frame.left) / frame.width - 0.5) * 2 * EDGE, (0.5 - (event.clientY - frame.top) / frame.height) * 2 * EDGE];
    };
    let offset, tapped = false;
    node.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      const held = grip.contains(event.target), from = spot(event);
      tapped = event.pointerType === "touch" && !held; // a finger on the plane may want to scroll: wait for its click
      if (tapped) return;
      offset = held ? at().map((v, i) => v - from[i]) : [0, 0];
      node.setPointerCapture(event.pointerId);
      node.focus({ preventScroll: true });
      event.preventDefault();
      if (!held) move(near(from));
    });
    node.addEventListener("click", (event) => {
      if (tapped) move(near(spot(event)));
      tapped = false;
    });
    node.addEventListener("pointermove", (event) => { if (offset) move(near(spot(event).map((v, i) => v + offset[i]))); });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) node.addEventListener(end, () => { offset = undefined; });
    const MOVES = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1], Home: [0, 0] };
    node.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in MOVES)) return;
      event.preventDefault();
      event.stopPropagation(); // notebooks and slides have their own use for these keys
      move(event.key === "Home" ? home : at().map((v, i) => v + MOVES[event.key][i] * (event.shiftKey ? 0.01 : 0.1)));
    });
    ui.handles.append(node);
    return { node, grip };
  }

  const either = (name, y, to) => get(name).map((old, k) => (k === y ? to : old));
  const SLIDERS = [["spread 0", "spread of class 0", 0.3, 1.2, 0.05], ["spread 1", "spread of class 1", 0.3, 1.2, 0.05], ["prior", "p(y = 1)", 0.05, 0.95, 0.05],
    ["strangers", "strangers π", 0, 0.5, 0.01], ["cost", "cost c of abstaining", 0.01, 0.5, 0.01]];

  function start(ui) {
    ui.initial = initial;
    if (task) ui.root.insertBefore(html("p", { class: "dgm-task" }, html("b", {}, "Task: "), task), ui.stage);
    ui.stage.style.position = ui.picture.style.position = "relative";
    ui.stage.prepend(canvas);
    ui.root.classList.add("dgm-clouds");
    ui.group("examples", () => {
      ui.button("overlapping", () => ui.set({ centres: [[-0.6, -0.3], [0.6, 0.3]], spreads: [0.7, 0.7] }));
      ui.button("far apart", () => ui.set({ centres: [[-2, -1], [2, 1]], spreads: [0.7, 0.7] }));
      ui.button("class 0 wider", () => ui.set({ centres: [[-1.2, -0.6], [1.2, 0.6]], spreads: [1.2, 0.5] }));
      ui.button("no strangers", () => ui.set({ strangers: 0 }));
    });
    for (const [name, list] of [["map", MAPS], ["rule", RULES]]) ui.group(name, () => {
      ui.row.append(html("span", { class: "dgm-label" }, name));
      for (const value of list) {
        const node = ui.button(value, () => ui.set({ [name]: value }));
        ui.onDraw(() => node.setAttribute("aria-pressed", String(get(name) === value)));
      }
    });
    ui.sheet = box(0, 0, 0, 0, "dgm-area");
    ui.ring = box(0, 0, 0, 0, "dgm-ring");
    ui.probe = mover(ui, { name: "x", home: initial.probe, limit: EDGE, at: () => get("probe"), go: (probe) => ui.set({ probe }), cls: "dgm-sheet", area: [ui.sheet, ui.ring] });
    ui.kinds = ["blue", "orange"].map((colour, y) => mover(ui, {
      name: String(y), home: initial.centres[y], limit: LIMIT, at: () => get("centres")[y], go: (to) => ui.set({ centres: either("centres", y, to) }), cls: `dgm-kind dgm-${colour}`,
    }));
    for (const [name, label, min, max, step] of SLIDERS) {
      const y = name.startsWith("spread") ? Number(name.slice(-1)) : undefined, value = () => (y === undefined ? get(name) : get("spreads")[y]);
      const knob = ui.slider({
        label, min, max, step, get: value, set: (to) => ui.set(y === undefined ? { [name]: to } : { spreads: either("spreads", y, to) }),
        value: ({ x }) => min + ((x - ui.left) / ui.across) * (max - min), text: () => `${number(value(), 2)}; ${ui.told}`,
      });
      sliders[name] = { knob, value };
    }
  }

  // Slanted lines in a box: what abstaining looks like, without colour.
  function hatched(x, y, width, height) {
    const part = svg("svg", { x, y, width: Math.max(width, 0), height, overflow: "hidden" }), lines = Math.ceil((width + height) / 6);
    part.append(path(Array.from({ length: Math.max(lines, 0) }, (_, k) => `M${6 * k} 0l${-height} ${height}`).join(""), "dgm-slanted"));
    return part;
  }

  function draw(ui, width) {
    const layer = ui.layer, here = world(get), x = get("probe"), narrow = width < 640, slide = ui.root.closest(".reveal");
    const dark = Number(getComputedStyle(ui.root).color.match(/[\d.]+/)) > 127, sea = dark ? "sky" : "blue"; // light ink
    const key = JSON.stringify(here), now = told(here, x), chosen = rule();
    if (past.key !== key) past = { key, ...survey(here) };
    const { costs, parts } = past, least = Math.min(...costs), best = costs.map((cost) => cost < least + 1e-9);

    // The plane.
    const side = Math.floor(narrow ? width - 4 : Math.min(0.53 * width, slide ? 290 : 460)), x0 = 2, y0 = 26, scale = side / (2 * EDGE);
    const X = (v) => x0 + (v + EDGE) * scale, Y = (v) => y0 + (EDGE - v) * scale, spot = ([a, b]) => `${X(a).toFixed(1)} ${Y(b).toFixed(1)}`;
    const set = (node, changes) => Object.entries(changes).forEach(([name, value]) => node.setAttribute(name, value));
    Object.assign(canvas.style, { left: `${(100 * x0) / width}%`, width: `${(100 * side) / width}%`, marginTop: `${(100 * y0) / width}%` });
    paint(dark);
    const view = svg("svg", { x: x0, y: y0, width: side, height: side, viewBox: `${x0} ${y0} ${side} ${side}`, overflow: "hidden" });
    const SIGNS = [["M0 0h0", "dgm-sign dgm-round dgm-blue"], ["M-3 -3l6 6m0 -6l-6 6", "dgm-sign dgm-orange"]];
    const seen = offsets.map((some, y) => some.map((e) => e.map((v, i) => here.centres[y][i] + here.spreads[y] * v)));
    seen.forEach((some, y) => {
      const d = some.map((p) => `M${spot(p)}${SIGNS[y][0].replace(/^M0 0/, "").replace(/^M/, "m")}`).join("");
      view.append(svg("path", { d, class: "dgm-halo-stroke", style: y ? undefined : "stroke-width: 8.5" }), path(d, SIGNS[y][1]));
    });
    layer.push(view, box(x0, y0, side, side, "dgm-frame"));
    [[`class 0: ${n} seen`, 0], ["class 1", 132]].forEach(([words, dx], y) => layer.push(
      svg("g", { transform: `translate(${x0 + dx + 6} 11)` }, path(...SIGNS[y])), text(x0 + dx + 18, 16, words, "start", "dgm-small")));
    for (const v of [-EDGE, 0, EDGE]) layer.push(text(X(v), y0 + side + 16, number(v, 0), v < 0 ? "start" : v ? "end" : "middle", "dgm-small"));
    [[ui.sheet, 0], [ui.ring, 3]].forEach(([node, more]) => set(node, { x: x0 - more, y: y0 - more, width: side + 2 * more, height: side + 2 * more }));
    set(ui.probe.grip, { transform: `translate(${X(x[0])} ${Y(x[1])})` });
    here.centres.forEach((m, y) => {
      set(ui.kinds[y].grip, { transform: `translate(${X(m[0])} ${Y(m[1])})` });
      set(ui.kinds[y].node, { "aria-label": `centre of class ${y}, at ${place(m)}: arrow keys move it, with Shift by a tenth, Home takes it back` });
    });

    // What the map means.
    let foot = y0 + side + 30;
    const swatches = (from, cells) => cells.forEach(([colour, alpha], k) => layer.push(box(from + 11 * k, foot, 11, 12, "dgm-tile"), box(from + 11 * k, foot, 11, 12, `dgm-heat dgm-${colour}`, { "fill-opacity": alpha })));
    const words = (at, what, anchor = "start") => layer.push(text(at, foot + 11, what, anchor, "dgm-small"));
    const ramp = (colour, steps = 6) => Array.from({ length: steps }, (_, k) => [colour, (0.8 * k) / (steps - 1)]);
    if (map() === 0) {
      words(x0, "p(y = 1|x): 0");
      swatches(x0 + 96, [...ramp(sea, 5).reverse(), ...ramp("orange", 5).slice(1)]);
      words(x0 + 201, "1");
    } else if (map() === 3) {
      [[sea, "0"], ["orange", "1"]].forEach(([colour, y], k) => {
        layer.push(box(x0 + 88 * k, foot, 18, 12, "dgm-tile"), box(x0 + 88 * k, foot, 18, 12, `dgm-heat dgm-${colour}`, { "fill-opacity": 0.6 }));
        words(x0 + 88 * k + 24, `decide ${y}`);
      });
      layer.push(hatched(x0 + 176, foot, 18, 12), box(x0 + 176, foot, 18, 12, "dgm-frame"));
      words(x0 + 200, "abstain");
    } else {
      words(x0, `log p(x): ${number(LOW, 0)}`);
      swatches(x0 + 98, ramp(map() === 1 ? "green" : sea));
      if (map() === 2) swatches(x0 + 168, ramp("orange"));
      words(x0 + (map() === 2 ? 240 : 170), "0 nats");
    }
    foot += 12;

    // Sliders.
    const left = narrow ? x0 : x0 + side + 30, room = width - left - 2, pitch = slide ? 29 : 38;
    let y = narrow ? foot + 26 : 16;
    [ui.left, ui.across] = [left + 152, room - 152 - 48];
    SLIDERS.forEach(([name, label, min, max]) => {
      const { knob, value } = sliders[name], part = (value() - min) / (max - min);
      layer.push(text(left, y + 5, label), line(ui.left, y, ui.left + ui.across, y, "dgm-axis"), text(left + room, y + 5, number(value(), 2), "end", "dgm-strong"));
      knob.place(ui.left + part * ui.across, y, `M${ui.left - 9} ${y - pitch / 2}h${ui.across + 18}v${pitch}h${-ui.across - 18}z`);
      y += pitch;
    });

    // What each rule costs, and why.
    y += slide ? 8 : 14;
    layer.push(text(left, y, "expected cost of each rule", "start", "dgm-head"));
    const most = Math.max(...costs, 0.02), high = slide ? 10 : 14;
    RULES.forEach((name, k) => {
      y += slide ? 18 : 25;
      if (k === chosen) layer.push(box(left - 5, y - 15, room + 10, slide ? 33 : 40, "dgm-veil", { rx: 4, style: "fill: var(--ink); fill-opacity: .08" }));
      layer.push(text(left, y, name, "start", k === chosen ? "dgm-strong" : ""), text(left + room, y, `${best[k] ? "least " : ""}${number(costs[k])}`, "end", best[k] ? "dgm-strong" : ""));
      y += slide ? 4 : 6;
      let from = left;
      parts[k].forEach((part, i) => {
        const long = (part / most) * room;
        layer.push(i < 2 ? box(from, y, long, high, `dgm-fill dgm-${["red", "purple"][i]}`, { style: "stroke-width: .5" }) : hatched(from, y, long, high));
        from += long;
      });
      layer.push(box(left, y, from - left, high, "dgm-frame"));
      y += high;
    });
    y += slide ? 10 : 14;
    [["strangers", "red"], ["wrong y", "purple"], ["abstaining"]].forEach(([words, colour], i) => {
      const at = left + [0, 94, 176][i];
      layer.push(colour ? box(at, y, 14, 11, `dgm-fill dgm-${colour}`, { style: "stroke-width: .5" }) : hatched(at, y, 14, 11), box(at, y, 14, 11, "dgm-frame"), text(at + 20, y + 11, words, "start", "dgm-small"));
    });
    ui.size(width, Math.max(foot, y + 11) + 6);

    const { posterior, log_joint, log_p, stranger, familiar, wrong, rules, costs_here } = now, k = now.y, does = rules[chosen] === "abstain" ? "abstains" : `decides ${rules[chosen]}`;
    const sure = probability(posterior[k], posterior[1 - k]).replaceAll(" ", "\u00a0"); // on one line
    ui.read([
      ["p(y = 1|x)", probability(posterior[1], posterior[0])],
      ["surprise −log p(x)", number(-log_p, 1), "nats"],
      ["log p(x, y = 0)", number(log_joint[0], 1), "nats", "dgm-blue"],
      ["log p(x, y = 1)", number(log_joint[1], 1), "nats", "dgm-orange"],
      ["x is a stranger with", probability(stranger, familiar), "", "dgm-red"],
      ["the rule, at x", does, `cost ${small(costs_here[chosen])}`],
    ]);
    const rare = log_p + Math.log((2 * EDGE) ** 2), times = Math.exp(-rare), unsure = posterior[1 - k] > here.cost; // against data spread evenly
    const often = times > 1e5 ? "more than 100 000 times" : `${times < 9.95 ? times.toFixed(1) : Number(times.toPrecision(2))} times`;
    ui.told = `p(y = ${k}|x) ${sure}, surprise ${number(-log_p, 1)} nats, ${does}, expected cost ${number(costs[chosen])}`;
    ui.say((rare < 0 ? `Data are ${often} rarer here than if spread evenly; ${unsure ? "p(y|x) is unsure too" : `p(y|x) is sure of class ${k} all the same, ${sure}`}.`
      : unsure ? "Both classes come here, and p(y|x) is unsure." : `Data come here more often than if spread evenly, and p(y|x) is sure of class ${k}, ${sure}.`)
      + ` “${RULES[chosen]}” ${does} and expects to pay ${small(costs_here[chosen])}; the least possible is ${small(Math.min(...costs_here))}.`);
    set(ui.probe.node, { "aria-label": `probe x at ${place(x)}, ${ui.told}: arrow keys move it, with Shift by a tenth, Home takes it back` });
    const { centres, spreads, prior, strangers, cost } = here;
    ui.expose({ centres, spreads, prior, strangers, cost, probe: x, map: MAPS[map()], rule: RULES[chosen], ...now, costs, parts, best, seen });
  }

  return frame({ model, el, title: "Two clouds and strangers", traits: ["centres", "spreads", "prior", "strangers", "cost", "probe", "map", "rule"], start, draw });
}
