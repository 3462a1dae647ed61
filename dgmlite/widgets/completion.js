// IEEE half precision to a number.
function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : exponent === 31 ? (fraction ? NaN : Infinity) : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

// A uniform number for pixel t: number t + 1 of the generator mulberry32, started at seed · 0x9e3779b1. It depends on the
// place alone, so a changed pixel changes the others through the probabilities only.
function uniform(seed, t) {
  let a = (Math.imul(seed, 0x9e3779b1) + Math.imul(t + 1, 0x6d2b79f5)) | 0;
  a = Math.imul(a ^ (a >>> 15), a | 1);
  a ^= a + Math.imul(a ^ (a >>> 7), a | 61);
  return ((a ^ (a >>> 14)) >>> 0) / 4294967296;
}

// The level in whose part of [0, 1) the uniform number u falls.
function pick(log_p, u) {
  let rest = u;
  for (let v = 0; v < log_p.length - 1; v++) {
    rest -= Math.exp(log_p[v]);
    if (rest < 0) return v;
  }
  return log_p.length - 1;
}

// The causal convolution of dgmlite.causal, one pixel at a time. `begin()` gives an empty cache; `step(cache, t, level)`
// takes the level of pixel t − 1 (undefined for t = 0) and returns the log-probabilities of pixel t. The cache keeps all
// places instead of a ring, so that it can go back to a pixel that has changed and be copied for another continuation.
function network({ encoded, D, L, C, K, dilations }) {
  const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0)), view = new DataView(bytes.buffer);
  let at = 0;
  const take = (count) => Float64Array.from({ length: count }, () => { at += 2; return half(view.getUint16(at - 2, true)); });
  // Weights (outputs, inputs, taps) of one tap, turned so that the loop over outputs runs along memory.
  const turned = (weights, outputs, taps = 1, k = 0) => Float64Array.from({ length: outputs * C }, (_, i) => weights[((i % outputs) * C + Math.floor(i / outputs)) * taps + k]);
  const embed = take(C * L), embedBias = take(C), position = take(D * C);
  const blocks = dilations.map((dilation) => {
    const gain = take(C), shift = take(C), conv = take(2 * C * C * K), convBias = take(2 * C);
    const taps = Array.from({ length: K }, (_, k) => turned(conv, 2 * C, K, k));
    return { dilation, gain, shift, taps, convBias, out: turned(take(C * C), C), outBias: take(C) };
  });
  const gain = take(C), shift = take(C), head = turned(take(L * C), L), bias = take(D * L);

  // What level v adds: the bias and the weights of all thresholds that it reaches.
  const entry = Array.from({ length: L }, (_, v) => Float64Array.from({ length: C }, (_, c) => {
    let total = embedBias[c];
    for (let l = 0; l <= v; l++) total += embed[c * L + l];
    return total;
  }));
  const add = (result, weights, x) => {
    const outputs = result.length;
    for (let c = 0; c < C; c++) for (let o = 0; o < outputs; o++) result[o] += weights[c * outputs + o] * x[c];
    return result;
  };
  const normalise = (h, gain, shift) => {
    let mean = 0, square = 0;
    for (const value of h) mean += value / C;
    for (const value of h) square += (value - mean) ** 2 / C;
    const scale = 1 / Math.sqrt(square + 1e-5);
    return h.map((value, c) => (value - mean) * scale * gain[c] + shift[c]);
  };
  return {
    begin: () => blocks.map(() => []),
    step(cache, t, level) {
      let h = position.slice(t * C, (t + 1) * C);
      if (t) h.forEach((value, c) => { h[c] = value + entry[level][c]; });
      blocks.forEach((block, b) => {
        const past = cache[b], both = block.convBias.slice();
        past[t] = normalise(h, block.gain, block.shift);
        for (let k = 0, from = t - (K - 1) * block.dilation; k < K; k++, from += block.dilation) {
          if (from >= 0) add(both, block.taps[k], past[from]);
        }
        const gated = block.outBias.map((_, c) => Math.tanh(both[c]) / (1 + Math.exp(-both[C + c])));
        h = add(h.map((value, c) => value + block.outBias[c]), block.out, gated);
      });
      const steps = add(bias.slice(t * L, (t + 1) * L), head, normalise(h, gain, shift));
      let logit = 0;
      const logits = Array.from(steps, (step) => (logit += step / Math.sqrt(L)));
      const most = Math.max(...logits), total = Math.log(sum(logits.map((value) => Math.exp(value - most)))) + most;
      return logits.map((value) => value - total);
    },
  };
}

function render({ model, el }) {
  const [rows, columns] = model.get("shape"), D = rows * columns, L = model.get("levels"), examples = model.get("examples");
  const net = network({ encoded: model.get("weights"), D, L, C: model.get("channels"), K: model.get("kernel"), dilations: model.get("dilations") });
  const WAYS = 6, HOT = 6; // continuations in the row; nats at which the surprise map is darkest
  let brush = L - 1, map = false, choice = 0; // choice: which of the six ways the model's pixels are
  let cursor, under, painting = false, finishing, busy = false, knob; // under: the pixel below a mouse that only looks

  // `image` is all that the learner has drawn, or an example; its first `kept` pixels count, and of the model's
  // continuation the pixels before `filled` are seen.
  const kept = () => clamp(model.get("kept"), 0, D), filled = () => clamp(model.get("filled"), kept(), D);
  const drawn = () => Array.from({ length: D }, (_, t) => clamp(model.get("image")[t] ?? 0, 0, L - 1));
  const shown = () => [...drawn().slice(0, kept()), ...ways()[choice].x.slice(kept(), filled()), ...Array(D - filled()).fill(0)];
  const place = (t) => `row ${Math.floor(t / columns) + 1}, column ${(t % columns) + 1}`;
  const stop = () => { clearInterval(finishing); finishing = undefined; };

  // Log-probabilities of the first n pixels, computed again only from where the picture has changed.
  const chain = { cache: net.begin(), x: [], log_p: [] };
  function predictions(x, n) {
    let t = 0;
    while (t < Math.min(n, chain.log_p.length) && (!t || chain.x[t - 1] === x[t - 1])) t++;
    if (t < n) chain.log_p.length = t;
    for (; t < n; t++) {
      chain.log_p[t] = net.step(chain.cache, t, x[t - 1]);
      if (t) chain.x[t - 1] = x[t - 1];
    }
    return chain.log_p.slice(0, n);
  }
  const known = {};
  function ways() {
    const first = drawn().slice(0, kept()), seed = model.get("seed"), key = `${first} ${seed}`;
    if (known.key === key) return known.ways;
    const next = first.length < D ? predictions(first, first.length + 1).pop() : undefined;
    known.key = key;
    known.ways = Array.from({ length: WAYS }, (_, k) => {
      const cache = chain.cache.map((past) => past.slice()), x = first.slice();
      let log_p = next, cost = 0;
      while (x.length < D) {
        const level = pick(log_p, uniform(seed + k, x.length));
        cost -= log_p[level];
        x.push(level);
        if (x.length < D) log_p = net.step(cache, x.length, level);
      }
      return { x, cost };
    });
    return known.ways;
  }

  let ui;
  function change(changes) { // several traits at once, drawn once
    busy = true;
    ui.set(changes);
    busy = false;
    ui.redraw();
  }
  function look(t) {
    cursor = clamp(t, 0, D - 1);
    under = undefined;
  }
  function begin(changes, at) { // whatever the model has added is gone
    const to = changes.kept ?? kept();
    stop();
    choice = 0;
    look(at ?? to);
    change({ ...changes, kept: to, filled: to });
  }
  function paint(t, level) { // all pixels before it are the learner's too, as they are seen
    const image = drawn(), seen = shown(), to = Math.max(kept(), t + 1);
    seen[t] = clamp(level, 0, L - 1);
    begin({ image: [...seen.slice(0, to), ...image.slice(to)], kept: to }, t);
  }
  const others = () => begin({ seed: (model.get("seed") + WAYS) % 10000 });
  function next(count = 1) {
    const to = Math.min(filled() + count, D);
    if (to === D) stop();
    look(to - 1);
    change({ filled: to });
  }
  function one() {
    stop();
    if (filled() >= D) others();
    if (filled() < D) next();
  }

  const icon = (levels, width) => svg("svg", { class: "dgm-icon", viewBox: `-.1 -.1 ${width + 0.2} ${levels.length / width + 0.2}`, "aria-hidden": "true" },
    box(0, 0, width, levels.length / width, "dgm-page"),
    ...levels.map((v, t) => box(t % width, Math.floor(t / width), 1, 1, "dgm-print", { "fill-opacity": v / (L - 1) })));

  function start(made) {
    ui = made;
    const initial = model.get("initial");
    ui.initial = { image: examples[0] ?? Array(D).fill(0), kept: initial, filled: initial, seed: 0, bits: false };
    ui.onReset = () => {
      stop();
      [brush, map, choice] = [L - 1, false, 0];
      look(initial);
    };
    look(filled());

    ui.group("the model draws", () => {
      ui.button("next pixel", one);
      const finish = ui.button("finish", () => {
        if (finishing) {
          stop();
          return ui.redraw();
        }
        if (filled() >= D) others();
        if (matchMedia("(prefers-reduced-motion: reduce)").matches) next(D);
        else if (filled() < D) {
          finishing = setInterval(next, 70);
          next();
        }
      });
      ui.onDraw(() => { finish.textContent = finishing ? "pause" : "finish"; });
      ui.button("others", others);
      const field = html("input", { type: "number", min: 0, max: 9999, step: 1, class: "dgm-seed" });
      ui.row.append(html("label", { class: "dgm-label" }, "seed ", field));
      field.addEventListener("input", () => {
        const seed = Math.round(Number(field.value));
        if (field.value !== "" && seed >= 0 && seed <= 9999) begin({ seed });
      });
      field.addEventListener("blur", () => { field.value = model.get("seed"); });
      ui.onDraw(() => { if (!field.matches(":focus")) field.value = model.get("seed"); });
    });
    ui.group("start from", () => {
      ui.button("empty", () => begin({ image: Array(D).fill(0), kept: 0 }));
      examples.forEach((example, n) => ui.button(icon(example, columns), () => begin({ image: example, kept: kept() || initial }),
        { class: "dgm-pictured", "aria-label": `example ${n + 1}`, title: `example ${n + 1}` }));
    });
    ui.group("brush", () => {
      ui.row.append(html("span", { class: "dgm-label" }, "brush"));
      ["white", "light grey", "grey", "dark grey", "black"].forEach((name, n) => {
        const level = Math.round((n / 4) * (L - 1));
        const node = ui.button(icon([level], 1), () => { brush = level; ui.redraw(); }, { class: "dgm-pictured", "aria-label": name, title: name });
        ui.onDraw(() => node.setAttribute("aria-pressed", String(brush === level)));
      });
    });
    ui.group("show", () => {
      const node = ui.button("surprise map", () => { map = !map; ui.redraw(); });
      ui.onDraw(() => node.setAttribute("aria-pressed", String(map)));
    });
    ui.units();

    const sheet = box(0, 0, 0, 0, "dgm-area"), ring = box(0, 0, 0, 0, "dgm-ring");
    const keys = "drawing: arrow keys move, space paints with the brush, 0 to 9 paint from white to black, plus and minus change the level, n lets the model draw the next pixel";
    const paper = svg("g", { class: "dgm-slider dgm-sheet dgm-canvas", role: "application", tabindex: 0, "aria-label": keys }, sheet, ring);
    const at = (event) => {
      const area = sheet.getBoundingClientRect();
      const column = Math.floor(((event.clientX - area.left) / area.width) * columns), row = Math.floor(((event.clientY - area.top) / area.height) * rows);
      return row < 0 || column < 0 || row >= rows || column >= columns ? undefined : row * columns + column;
    };
    const point = (t) => {
      if (t === under || finishing) return;
      under = t;
      ui.redraw();
    };
    paper.addEventListener("pointerdown", (event) => {
      const t = at(event);
      if (t === undefined || event.button !== 0) return;
      painting = true;
      paper.setPointerCapture(event.pointerId);
      paper.focus({ preventScroll: true });
      event.preventDefault();
      paint(t, brush);
    });
    paper.addEventListener("pointermove", (event) => {
      const t = at(event);
      if (!painting) point(event.pointerType === "mouse" ? t : undefined);
      else if (t !== undefined && !(t === cursor && shown()[t] === brush)) paint(t, brush);
    });
    paper.addEventListener("pointerleave", () => point(undefined));
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) paper.addEventListener(end, () => { painting = false; });
    paper.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const t = cursor, column = t % columns;
      const to = {
        ArrowRight: column < columns - 1 ? t + 1 : t, ArrowLeft: column ? t - 1 : t,
        ArrowDown: t + columns < D ? t + columns : t, ArrowUp: t >= columns ? t - columns : t, Home: 0, End: D - 1,
      }[event.key];
      if (to !== undefined) {
        stop();
        look(to);
        ui.redraw();
      } else if (event.key === " ") paint(t, brush);
      else if (event.key === "+" || event.key === "-") paint(t, shown()[t] + (event.key === "+" ? 1 : -1));
      else if (/^\d$/.test(event.key)) paint(t, Math.round((event.key / 9) * (L - 1)));
      else if (event.key === "n") one();
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    ui.handles.append(paper);
    Object.assign(ui, { sheet, ring });

    knob = ui.slider({
      label: "pixels that are yours", min: 0, max: D, step: 1, get: kept,
      set: (to) => begin({ kept: Math.round(to) }),
      value: ({ x }) => ((x - ui.track) / ui.reach) * D,
      text: () => `the first ${kept()} of ${D} pixels are yours`,
    });
    ui.thumbs = Array.from({ length: WAYS }, (_, k) => {
      const node = box(0, 0, 0, 0, "dgm-area dgm-thumb", { role: "button", tabindex: 0 });
      const take = () => {
        stop();
        choice = k;
        next(D);
      };
      node.addEventListener("click", take);
      node.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        event.stopPropagation();
        take();
      });
      ui.onDraw(() => {
        node.setAttribute("aria-label", `take completion ${k + 1}`);
        node.setAttribute("aria-pressed", String(k === choice));
      });
      ui.handles.append(node);
      return node;
    });
  }

  function draw(ui, width) {
    if (busy) return;
    const image = shown(), mine = kept(), seen = filled(), here = under ?? cursor, layer = ui.layer, unit = ui.unit();
    const all = predictions(image, Math.min(seen + 1, D)), cost = all.slice(0, seen).map((log_p, t) => -log_p[image[t]] || 0);
    const lay = (node, x, y, width, height) => Object.entries({ x, y, width, height }).forEach(([name, value]) => node.setAttribute(name, value));
    const narrow = width < 600, side = Math.floor(Math.min((narrow ? width - 4 : 0.44 * width) / columns, 352 / rows, 44));
    const x0 = 2, y0 = 30, wide = side * columns, high = side * rows;
    const X = (t) => x0 + (t % columns) * side, Y = (t) => y0 + Math.floor(t / columns) * side;

    // The drawing; as a surprise map, each pixel is a small square on a ground of its surprise.
    if (map) {
      layer.push(text(0, 16, "Surprise", "start", "dgm-head"), text(84, 16, "0", "end", "dgm-small"));
      for (let k = 0; k <= HOT; k++) layer.push(box(90 + 13 * k, 4, 13, 14, "dgm-page"), box(90 + 13 * k, 4, 13, 14, "dgm-heat dgm-orange", { "fill-opacity": k / HOT }));
      layer.push(text(97 + 13 * HOT + 12, 16, `${number(ui.shown(HOT), unit === "bits" ? 1 : 0)}+ ${unit}`, "start", "dgm-small"));
    } else layer.push(text(0, 16, "Your drawing, and the model's", "start", "dgm-head"));
    layer.push(box(x0, y0, wide, high, "dgm-page"));
    image.forEach((v, t) => {
      const x = X(t), y = Y(t), inset = map ? Math.round(side * 0.3) : 0, print = { "fill-opacity": v / (L - 1) };
      if (t >= seen) layer.push(path(`M${x + 3} ${y + side - 3}L${x + side - 3} ${y + 3}`, "dgm-line dgm-unknown"));
      else {
        if (map) {
          layer.push(box(x, y, side, side, "dgm-heat dgm-orange", { "fill-opacity": clamp(cost[t] / HOT, 0, 1) }));
          if (v) layer.push(box(x + inset, y + inset, side - 2 * inset, side - 2 * inset, "dgm-blank"));
        }
        layer.push(box(x + inset, y + inset, side - 2 * inset, side - 2 * inset, "dgm-print", print));
      }
      layer.push(box(x, y, side, side, "dgm-grid"));
    });
    // The border between what is kept and what the model draws.
    const yb = y0 + Math.floor(mine / columns) * side, xb = x0 + (mine % columns) * side;
    layer.push(path(xb > x0 ? `M${x0} ${yb + side}H${xb}V${yb}H${x0 + wide}` : `M${x0} ${yb}H${x0 + wide}`, "dgm-edge dgm-blue"));
    layer.push(box(X(here), Y(here), side, side, "dgm-chosen dgm-red"));
    lay(ui.sheet, x0, y0, wide, high);
    lay(ui.ring, x0 - 5, y0 - 5, wide + 10, high + 10);
    const floor = y0 + high + 26;
    Object.assign(ui, { track: 14, reach: wide - 24 });
    layer.push(line(ui.track, floor, ui.track + ui.reach, floor, "dgm-axis"),
      text(0, floor + 34, `${mine} of ${D} pixels are yours, ${seen - mine} the model's`, "start", "dgm-small"));
    knob.place(ui.track + (ui.reach * mine) / D, floor, `M0 ${floor - 18}H${wide}v36H0z`);

    // What the model expects at the pixel that is looked at.
    const left = narrow ? 0 : Math.max(wide, 252) + 36, top = narrow ? floor + 74 : 16, room = width - left;
    const log_p = all[here], p = log_p?.map(Math.exp), came = here < seen ? image[here] : undefined, likely = p?.indexOf(Math.max(...p));
    const chance = (value) => (value >= 0.0001 ? `p = ${number(value, value < 0.01 ? 4 : 2)}` : "p < 0.0001");
    layer.push(text(left, top, `Expected in ${place(here)}`, "start", "dgm-head"),
      text(left, top + 20, !p ? "first the pixels before it" : came === undefined ? `most likely level ${likely}, ${chance(p[likely])}`
        : `level ${came} came: ${chance(p[came])}, ${number(ui.shown(cost[here]), 2)} ${unit}`, "start", "dgm-small"));
    const up = 128, zero = top + 40 + up, axis = left + 32, bar = (width - axis) / L, limit = [0.25, 0.5].find((value) => p && value >= p[likely]) ?? 1;
    for (const tick of [limit / 2, limit]) {
      const y = zero - (tick / limit) * up;
      layer.push(line(axis, y, width, y), text(axis - 6, y + 5, String(tick).replace(/^0/, ""), "end", "dgm-small"));
    }
    for (let v = 0; v < L; v++) {
      const x = axis + v * bar, tall = p ? (p[v] / limit) * up : 0;
      if (tall > 0.4) layer.push(box(x + 1, zero - tall, bar - 2, tall, v === came ? "dgm-fill dgm-orange" : "dgm-tint dgm-sky"));
      layer.push(box(x, zero + 5, bar, 14, "dgm-page"), box(x, zero + 5, bar, 14, "dgm-print", { "fill-opacity": v / (L - 1) }));
    }
    layer.push(line(axis, zero, width, zero, "dgm-axis"), text(axis, zero + 46, "level 0", "start", "dgm-small"),
      text(width, zero + 46, `level ${L - 1}`, "end", "dgm-small"));
    if (came !== undefined) {
      const x = axis + (came + 0.5) * bar;
      layer.push(path(`M${x - 7} ${zero + 32}l7 -11l7 11z`, "dgm-mark"));
    }

    // Six ways to finish.
    const ty = zero + 86, size = Math.min((room - (WAYS - 1) * 8) / WAYS / columns, 10), across = size * columns;
    layer.push(text(left, ty - 12, mine < D ? "Six ways to finish" : "Nothing is left to finish", "start", "dgm-head"));
    if (mine < D) layer.push(text(left + 156, ty - 12, `−log p in ${unit}`, "start", "dgm-small"));
    ways().forEach(({ x, cost: total }, k) => {
      const from = left + k * (across + 8), small = svg("g", { "shape-rendering": "crispEdges" });
      x.forEach((v, t) => { if (v) small.append(box(from + (t % columns) * size, ty + Math.floor(t / columns) * size, size, size, "dgm-print", { "fill-opacity": v / (L - 1) })); });
      layer.push(box(from, ty, across, size * rows, "dgm-page"), small, text(from + across / 2, ty + size * rows + 18, number(ui.shown(total), 1), "middle", "dgm-small"));
      if (k === choice) layer.push(box(from - 2, ty - 2, across + 4, size * rows + 4, "dgm-edge dgm-blue"));
      lay(ui.thumbs[k], from, ty, across, size * rows);
    });
    ui.size(width, Math.max(floor + 42, ty + size * rows + 26));

    const yours = sum(cost.slice(0, mine)), its = sum(cost.slice(mine)), worst = cost.slice(0, mine).reduce((best, value, t) => (value > (cost[best] ?? -1) ? t : best), -1);
    ui.read([
      ["this pixel", came === undefined ? "?" : number(ui.shown(cost[here]), 2), unit, "dgm-orange"],
      ["your greatest surprise", worst < 0 ? "?" : number(ui.shown(cost[worst]), 2), worst < 0 ? unit : `${unit}, ${place(worst)}`, "dgm-red"],
      [`your ${plural(mine, "pixel")}`, number(ui.shown(yours), 1), unit, "dgm-blue"],
      [`the model's ${plural(seen - mine, "pixel")}`, number(ui.shown(its), 1), unit, "dgm-sky"],
      ["all, −log p", number(ui.shown(yours + its), 1), unit],
    ]);
    const each = (nats, count) => `${number(ui.shown(nats), 1)} ${unit}, ${number(ui.shown(nats / count), 2)} each`;
    const capital = place(here).replace("row", "Row");
    ui.say((came !== undefined
      ? `${capital} has level ${came} of ${L - 1}, with ${chance(p[came])}: a surprise of ${number(ui.shown(cost[here]), 2)} ${unit}${cost[here] > 5 ? `, more than ${number(ui.shown(5), unit === "bits" ? 1 : 0)} ${unit}!` : "."}`
      : p ? `${capital} is next. Most likely is level ${likely} of ${L - 1}, with ${chance(p[likely])}.`
        : `The model draws row by row and has not come to ${place(here)}.`)
      + (seen === D && mine < D ? ` The model's ${plural(D - mine, "pixel")} cost ${each(its, D - mine)}${mine ? `; yours ${each(yours, mine)}` : ""}.` : ""));
    ui.expose({
      image, kept: mine, filled: seen, cursor: here, log_p: all, cost, completions: ways().map(({ x }) => x), seed: model.get("seed"),
      costs: ways().map((way) => way.cost), choice, brush, map, finishing: Boolean(finishing),
    });
  }

  const done = frame({ model, el, title: "Draw half, the model finishes", traits: ["image", "kept", "filled", "seed", "bits"], start, draw });
  return () => {
    stop();
    done();
  };
}
