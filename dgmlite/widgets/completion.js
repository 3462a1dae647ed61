// IEEE half precision to a number.
function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : exponent === 31 ? (fraction ? NaN : Infinity) : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

// A uniform number for pixel t of a drawing with this seed: one step of mulberry32.
function uniform(seed, t) {
  let a = (Math.imul(seed, 0x9e3779b1) + Math.imul(t + 1, 0x6d2b79f5)) | 0;
  a = Math.imul(a ^ (a >>> 15), a | 1);
  a ^= a + Math.imul(a ^ (a >>> 7), a | 61);
  return ((a ^ (a >>> 14)) >>> 0) / 4294967296;
}

// The causal convolution of dgmlite.causal, one pixel at a time. `begin()` gives an empty cache; `step(cache, t, level)`
// takes the level of pixel t − 1 (undefined for t = 0) and returns the log-probabilities of pixel t.
function network({ encoded, D, L, C, K, dilations }) {
  const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0)), view = new DataView(bytes.buffer);
  let at = 0;
  const take = (count) => Float64Array.from({ length: count }, () => { at += 2; return half(view.getUint16(at - 2, true)); });
  const embed = take(C * L), embedBias = take(C), position = take(D * C);
  const blocks = dilations.map((dilation) => ({
    dilation, gain: take(C), shift: take(C), conv: take(2 * C * C * K), convBias: take(2 * C), out: take(C * C), outBias: take(C),
  }));
  const gain = take(C), shift = take(C), head = take(L * C), bias = take(D * L);

  // What level v adds: the bias and the weights of all thresholds that it reaches.
  const entry = Array.from({ length: L }, (_, v) => Float64Array.from({ length: C }, (_, c) => {
    let total = embedBias[c];
    for (let l = 0; l <= v; l++) total += embed[c * L + l];
    return total;
  }));
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
      let h = Float64Array.from({ length: C }, (_, c) => position[t * C + c] + (t ? entry[level][c] : 0));
      blocks.forEach((block, b) => {
        const past = cache[b];
        past[t] = normalise(h, block.gain, block.shift);
        const both = Float64Array.from(block.convBias);
        for (let k = 0; k < K; k++) {
          const x = past[t - (K - 1 - k) * block.dilation];
          if (x) for (let o = 0; o < 2 * C; o++) for (let c = 0; c < C; c++) both[o] += block.conv[(o * C + c) * K + k] * x[c];
        }
        const gated = Float64Array.from({ length: C }, (_, c) => Math.tanh(both[c]) / (1 + Math.exp(-both[C + c])));
        h = h.map((value, o) => {
          let total = value + block.outBias[o];
          for (let c = 0; c < C; c++) total += block.out[o * C + c] * gated[c];
          return total;
        });
      });
      h = normalise(h, gain, shift);
      let logit = 0;
      const logits = Array.from({ length: L }, (_, l) => {
        let step = bias[t * L + l];
        for (let c = 0; c < C; c++) step += head[l * C + c] * h[c];
        logit += step / Math.sqrt(L);
        return logit;
      });
      const most = Math.max(...logits), total = Math.log(sum(logits.map((value) => Math.exp(value - most)))) + most;
      return logits.map((value) => value - total);
    },
  };
}

function render({ model, el }) {
  const [rows, columns] = model.get("shape"), D = rows * columns, L = model.get("levels"), examples = model.get("examples");
  const net = network({ encoded: model.get("weights"), D, L, C: model.get("channels"), K: model.get("kernel"), dilations: model.get("dilations") });
  let drawing, brush = L - 1, map = false, knob, painting = false;
  const stop = () => { clearInterval(drawing); drawing = undefined; };

  // Draw the pixels from `from` on; fork() keeps what is known of the earlier ones.
  function complete(image, from, seed) {
    const x = image.slice(0, from), cache = net.begin();
    for (let t = 0; t < D; t++) {
      const log_p = net.step(cache, t, x[t - 1]);
      if (t >= from) x.push(pick(log_p, seed, t));
    }
    return x;
  }
  function pick(log_p, seed, t) {
    let rest = uniform(seed, t);
    for (let v = 0; v < L - 1; v++) {
      rest -= Math.exp(log_p[v]);
      if (rest < 0) return v;
    }
    return L - 1;
  }
  // Log-probabilities of every pixel that can be predicted: all known ones, and the next.
  const memory = new Map();
  function predictions(image, filled) {
    const key = image.slice(0, filled).join();
    if (!memory.has(key)) {
      const cache = net.begin(), all = [];
      for (let t = 0; t < Math.min(filled + 1, D); t++) all.push(net.step(cache, t, image[t - 1]));
      if (memory.size > 50) memory.clear();
      memory.set(key, all);
    }
    return memory.get(key);
  }
  const sixKey = {};
  function six() {
    const image = model.get("image"), kept = model.get("kept"), seed = model.get("seed"), key = `${image.slice(0, kept).join()} ${seed}`;
    if (sixKey.key !== key) Object.assign(sixKey, { key, all: Array.from({ length: 6 }, (_, k) => complete(image, kept, seed + k)) });
    return sixKey.all;
  }

  const blank = (image, kept) => image.map((v, t) => (t < kept ? v : 0));
  function paint(t, level) {
    stop();
    const kept = Math.max(model.get("kept"), t + 1), image = blank(model.get("image"), model.get("kept"));
    image[t] = clamp(level, 0, L - 1);
    model.set("image", image); model.set("kept", kept); model.set("filled", kept); model.set("cursor", t);
    model.save_changes();
  }
  function keep(kept) {
    stop();
    model.set("filled", kept); model.set("kept", kept); model.set("cursor", Math.min(kept, D - 1));
    model.save_changes();
  }
  function next() {
    const filled = model.get("filled"), image = model.get("image").slice();
    if (filled >= D) return stop();
    image[filled] = six()[0][filled];
    model.set("image", image); model.set("filled", filled + 1); model.set("cursor", filled);
    model.save_changes();
  }

  function start(ui) {
    ui.initial = { image: examples.length ? blank(examples[0], model.get("initial")) : Array(D).fill(0), kept: model.get("initial"), filled: model.get("initial"), seed: 0, cursor: Math.min(model.get("initial"), D - 1), bits: false };
    ui.onReset = stop;
    const again = () => {
      if (model.get("filled") >= D) { keep(model.get("kept")); ui.set({ seed: model.get("seed") + 6 }); }
    };
    ui.group("draw on", () => {
      ui.button("next pixel", () => { stop(); again(); next(); });
      ui.button("finish", () => {
        again();
        if (matchMedia("(prefers-reduced-motion: reduce)").matches) while (model.get("filled") < D) next();
        else drawing ??= setInterval(next, 60);
      });
      ui.button("others", () => { keep(model.get("kept")); ui.set({ seed: model.get("seed") + 6 }); });
    });
    ui.group("start from", () => {
      ui.button("empty", () => { stop(); ui.set({ image: Array(D).fill(0), kept: 0, filled: 0, cursor: 0 }); });
      examples.forEach((example, n) => ui.button(`example ${n + 1}`, () => {
        const kept = model.get("kept") || model.get("initial");
        stop();
        ui.set({ image: blank(example, kept), kept, filled: kept, cursor: Math.min(kept, D - 1) });
      }));
    });
    ui.group("brush", () => [["white", 0], ["grey", Math.floor(L / 2)], ["black", L - 1]].forEach(([name, level]) => {
      const node = ui.button(name, () => { brush = level; ui.redraw(); });
      ui.onDraw(() => node.setAttribute("aria-pressed", String(brush === level)));
    }));
    ui.group("show", () => {
      const node = ui.button("surprise map", () => { map = !map; ui.redraw(); });
      ui.onDraw(() => node.setAttribute("aria-pressed", String(map)));
    });
    ui.units();

    const sheet = svg("rect", { class: "dgm-area", fill: "transparent" }), frameOf = svg("rect", { class: "dgm-ring" });
    const paper = svg("g", { class: "dgm-slider dgm-sheet", role: "application", tabindex: 0, "aria-label": "drawing: arrow keys move, space paints with the brush, plus and minus change the level, n draws the next pixel" }, sheet, frameOf);
    const under = (event) => {
      const box = ui.picture.getBoundingClientRect(), scale = ui.picture.viewBox.baseVal.width / box.width;
      const column = Math.floor(((event.clientX - box.left) * scale - ui.x0) / ui.side), row = Math.floor(((event.clientY - box.top) * scale - ui.y0) / ui.side);
      return row < 0 || column < 0 || row >= rows || column >= columns ? -1 : row * columns + column;
    };
    paper.addEventListener("pointerdown", (event) => {
      const t = under(event);
      if (t < 0 || event.button !== 0) return;
      painting = true;
      paper.setPointerCapture(event.pointerId);
      paper.focus({ preventScroll: true });
      event.preventDefault();
      paint(t, brush);
    });
    paper.addEventListener("pointermove", (event) => {
      const t = under(event);
      if (t < 0) return;
      if (painting) { if (t < model.get("kept")) paint(t, brush); } else if (t !== model.get("cursor") && !drawing) ui.set({ cursor: t });
    });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) paper.addEventListener(end, () => { painting = false; });
    paper.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const t = model.get("cursor"), level = model.get("image")[t];
      const to = { ArrowRight: t + 1, ArrowLeft: t - 1, ArrowDown: t + columns, ArrowUp: t - columns, Home: 0, End: D - 1 }[event.key];
      if (to !== undefined) ui.set({ cursor: clamp(to, 0, D - 1) });
      else if (event.key === " ") paint(t, brush);
      else if (event.key === "+" || event.key === "-") paint(t, level + (event.key === "+" ? 1 : -1));
      else if (event.key === "n") { stop(); again(); next(); }
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    ui.handles.append(paper);
    Object.assign(ui, { sheet, frameOf });
    knob = ui.slider({
      label: "pixels that are yours", min: 0, max: D, step: 1, get: () => model.get("kept"), begin: stop,
      set: (kept) => keep(Math.round(kept)),
      value: (place) => ((place.x - ui.track) / ui.reach) * D,
      text: () => `${model.get("kept")} of ${D} pixels are yours`,
    });
    ui.thumbs = Array.from({ length: 6 }, (_, k) => {
      const node = svg("rect", { class: "dgm-area dgm-thumb", fill: "transparent", role: "button", tabindex: 0, "aria-label": `take completion ${k + 1}` });
      const takeIt = () => { stop(); ui.set({ image: six()[k], filled: D, cursor: D - 1 }); };
      node.addEventListener("click", takeIt);
      node.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        event.stopPropagation();
        takeIt();
      });
      ui.handles.append(node);
      return node;
    });
  }

  function draw(ui, width) {
    const image = model.get("image"), kept = model.get("kept"), filled = model.get("filled"), cursor = clamp(model.get("cursor"), 0, D - 1), layer = ui.layer;
    const all = predictions(image, filled), cost = all.slice(0, filled).map((log_p, t) => -log_p[image[t]]);
    const narrow = width < 520, side = Math.floor(Math.min((narrow ? width - 4 : width * 0.46) / columns, 320 / rows, 44)), x0 = 2, y0 = 30, unit = ui.unit();
    Object.assign(ui, { x0, y0, side });
    const grey = (v) => ({ "fill-opacity": v / (L - 1) });
    const cell = (x, y, size, v) => svg("rect", { x, y, width: size, height: size, class: "dgm-print", ...grey(v) });

    layer.push(text(0, 16, "Your drawing, and the model's", "start", "dgm-head"));
    layer.push(svg("rect", { x: x0, y: y0, width: side * columns, height: side * rows, class: "dgm-page" }));
    image.forEach((v, t) => {
      const x = x0 + (t % columns) * side, y = y0 + Math.floor(t / columns) * side;
      if (t < filled) {
        layer.push(cell(x, y, side, v));
        if (map) layer.push(svg("rect", { x, y, width: side, height: side, class: "dgm-orange dgm-heat", "fill-opacity": clamp(cost[t] / 6, 0, 1) }));
      } else layer.push(path(`M${x + 3} ${y + side - 3}L${x + side - 3} ${y + 3}`, "dgm-line dgm-unknown"));
      layer.push(svg("rect", { x, y, width: side, height: side, class: "dgm-grid" }));
    });
    // The border between what is kept and what the model draws.
    const row = Math.floor(kept / columns), column = kept % columns, right = x0 + side * columns, yb = y0 + row * side;
    layer.push(path(column ? `M${x0} ${yb + side}H${x0 + column * side}V${yb}H${right}` : `M${x0} ${yb}H${right}`, "dgm-edge dgm-blue"));
    const cx = x0 + (cursor % columns) * side, cy = y0 + Math.floor(cursor / columns) * side;
    layer.push(svg("rect", { x: cx, y: cy, width: side, height: side, class: "dgm-chosen dgm-red" }));
    for (const node of [ui.sheet, ui.frameOf]) for (const [name, value] of Object.entries({ x: x0, y: y0, width: side * columns, height: side * rows })) node.setAttribute(name, value);
    const track = 14, reach = side * columns - 24, floor = y0 + rows * side + 26;
    Object.assign(ui, { track, reach });
    layer.push(line(track, floor, track + reach, floor, "dgm-axis"), text(0, floor + 34, `${kept} of ${D} pixels are yours, ${filled - kept} the model's`, "start", "dgm-small"));
    knob.place(track + (reach * kept) / D, floor, `M0 ${floor - 18}H${side * columns}v36H0z`);

    // The histogram at the cursor.
    const hx = narrow ? 0 : side * columns + 40, hy = narrow ? floor + 84 : y0, high = 118, room = width - hx, bar = room / L;
    const known = cursor < filled, log_p = all[cursor], p = log_p?.map(Math.exp);
    layer.push(text(hx, hy - 14, `Row ${Math.floor(cursor / columns) + 1}, column ${(cursor % columns) + 1}: ${known ? "what the model expected" : cursor === filled ? "what comes next" : "not reached yet"}`, "start", "dgm-head"));
    layer.push(line(hx, hy + high, hx + room, hy + high, "dgm-axis"), text(hx, hy + high + 28, "level 0", "start", "dgm-small"), text(hx + room, hy + high + 28, `level ${L - 1}`, "end", "dgm-small"));
    p?.forEach((value, v) => {
      const came = known && v === image[cursor], tall = value * (high - 20);
      layer.push(box(hx + v * bar + 1, hy + high - tall, bar - 2, tall, came ? "dgm-fill dgm-orange" : "dgm-tint dgm-sky"));
      if (came) layer.push(path(`M${hx + (v + 0.5) * bar - 6} ${hy + high + 12}l6 -9l6 9z`, "dgm-mark"));
      if (value > 0.08) layer.push(text(hx + (v + 0.5) * bar, hy + high - tall - 5, number(value, 2).replace(/^0/, ""), "middle", "dgm-small dgm-halo"));
    });

    // Six ways to finish.
    const ty = hy + high + 72, size = Math.floor(Math.min((room - 5 * 8) / 6 / columns, 9)), wide = size * columns;
    layer.push(text(hx, ty - 12, "Six ways to finish it: take one", "start", "dgm-head"));
    six().forEach((x, k) => {
      const left = hx + k * (wide + 8);
      layer.push(svg("rect", { x: left, y: ty, width: wide, height: size * rows, class: "dgm-page" }));
      x.forEach((v, t) => { if (v) layer.push(cell(left + (t % columns) * size, ty + Math.floor(t / columns) * size, size, v)); });
      for (const [name, value] of Object.entries({ x: left, y: ty, width: wide, height: size * rows })) ui.thumbs[k].setAttribute(name, value);
    });
    ui.size(width, Math.max(floor + 44, ty + size * rows + 8));

    const yours = sum(cost.slice(0, kept)), rest = sum(cost.slice(kept));
    ui.read([
      ["this pixel", known ? number(ui.shown(cost[cursor]), 2) : "?", known ? unit : "", "dgm-orange"],
      ["your pixels, −log p", number(ui.shown(yours), 1), unit, "dgm-blue"],
      ["the model's, −log p", number(ui.shown(rest), 1), unit, "dgm-sky"],
    ]);
    ui.say(known
      ? `The pixel in row ${Math.floor(cursor / columns) + 1}, column ${(cursor % columns) + 1} has level ${image[cursor]} of ${L - 1} and cost ${number(ui.shown(cost[cursor]), 2)} ${unit}${cost[cursor] > 5 ? ": a surprise of more than five nats" : ""}.`
      : cursor === filled
        ? `Next is row ${Math.floor(cursor / columns) + 1}, column ${(cursor % columns) + 1}. The most probable level is ${p.indexOf(Math.max(...p))} of ${L - 1}, with probability ${number(Math.max(...p), 2)}.`
        : "The model draws in raster order; it has not come to this pixel.");
    ui.expose({ image, kept, filled, cursor, log_p: all, cost, completions: six(), seed: model.get("seed") });
  }

  const done = frame({ model, el, title: "Draw half, the model finishes", traits: ["image", "kept", "filled", "cursor", "seed", "bits"], start, draw });
  return () => {
    stop();
    done();
  };
}
