// Number t + 1 of the generator mulberry32, started at seed · 0x9e3779b1, in [0, 1).
function uniform(seed, t) {
  let a = (Math.imul(seed, 0x9e3779b1) + Math.imul(t + 1, 0x6d2b79f5)) | 0;
  a = Math.imul(a ^ (a >>> 15), a | 1);
  a ^= a + Math.imul(a ^ (a >>> 7), a | 61);
  return ((a ^ (a >>> 14)) >>> 0) / 4294967296;
}
function normals(seed, j) {
  const far = Math.sqrt(-2 * Math.log(1 - uniform(seed, 2 * j))), turn = 2 * Math.PI * uniform(seed, 2 * j + 1);
  return [far * Math.cos(turn), far * Math.sin(turn)];
}
const unpacked = (encoded) => new DataView(Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0)).buffer);

function render({ model, el }) {
  const stds = model.get("stds"), weights = model.get("weights"), counts = model.get("counts"), task = model.get("task"), K = stds.length;
  const N = 200, EDGE = 3.3, LIMIT = 2.5, CELLS = 11, FAR = 3, GUESSES = 8, KINDS = ["log-snr", "linear", "cosine"], ETAS = [0, 0.5, 1], COLOURS = ["blue", "orange", "green", "purple"];
  const curves = KINDS.map((_, k) => {
    const view = unpacked(model.get("alpha_bar")[k]);
    return Array.from({ length: view.byteLength / 8 }, (_, t) => view.getFloat64(8 * t, true));
  });
  const T = curves[0].length - 1, log_snr = (A) => Math.log(A) - Math.log1p(-A);
  const means = () => model.get("means"), back = () => model.get("back"), eta = () => model.get("eta"), seed = () => model.get("seed");
  const kind = () => Math.max(KINDS.indexOf(model.get("kind")), 0), curve = () => curves[kind()];
  const count = () => (counts.includes(model.get("steps")) ? model.get("steps") : counts[0]), chosen = () => clamp(model.get("chosen"), 0, N - 1);

  // The t on which the slider may stand, rising; as torch.linspace(1, T, count).round(), which rounds halves to even.
  const even = (v) => (v % 1 === 0.5 ? 2 * Math.round(v / 2) : Math.round(v));
  const times = () => (back() ? [0, ...Array.from({ length: count() }, (_, i) => even(1 + (i * (T - 1)) / (count() - 1)))] : Array.from({ length: T + 1 }, (_, t) => t));
  const nearest = (list, wanted) => list.reduce((best, value, i) => (Math.abs(value - wanted) < Math.abs(list[best] - wanted) ? i : best), 0);

  // What is exactly known of z = z_t: log q(z_t), p(k | z_t), x̂ and σ ∇ log q = −ε̂.
  function known([x, y], A) {
    const a = Math.sqrt(A), s2 = 1 - A, parts = means().map(([m, n], k) => {
      const v = A * stds[k] ** 2 + s2, far = ((x - a * m) ** 2 + (y - a * n) ** 2) / v;
      return { v, far, log: Math.log(weights[k] / (2 * Math.PI * v)) - far / 2 };
    });
    const most = Math.max(...parts.map(({ log }) => log)), log_q = most + Math.log(sum(parts.map(({ log }) => Math.exp(log - most))));
    const r = parts.map(({ log }) => Math.exp(log - log_q)), x_hat = [0, 0];
    means().forEach((mean, k) => [x, y].forEach((z, i) => { x_hat[i] += r[k] * (mean[i] + ((a * stds[k] ** 2) / parts[k].v) * (z - a * mean[i])); }));
    return { log_q, r, x_hat, out: Math.min(...parts.map(({ far }) => far)) > FAR * FAR, minus_noise: [x, y].map((z, i) => (s2 > 0 ? (a * x_hat[i] - z) / Math.sqrt(s2) : 0)) };
  }
  // −log q(z_t) of true draws: mean, which is the entropy, and standard deviation, on a mesh in each component.
  const U = Array.from({ length: 49 }, (_, i) => (i - 24) / 4), bell = U.map((u) => Math.exp(-u * u / 2)), bells = sum(bell);
  function truth(A) {
    let mean = 0, square = 0;
    means().forEach((centre, k) => {
      const width = Math.sqrt(A * stds[k] ** 2 + 1 - A);
      U.forEach((u, i) => U.forEach((w, j) => {
        const p = (weights[k] * bell[i] * bell[j]) / bells ** 2, nats = -known([Math.sqrt(A) * centre[0] + width * u, Math.sqrt(A) * centre[1] + width * w], A).log_q;
        mean += p * nats;
        square += p * nats * nats;
      }));
    });
    return { entropy: mean, spread: Math.sqrt(Math.max(square - mean * mean, 0)) };
  }

  // Noise is drawn once for each generator n.
  const kept = new Map();
  const pairs = (n, length) => {
    if (!kept.has(n)) kept.set(n, Array.from({ length }, (_, j) => normals(n, j)));
    return kept.get(n);
  };
  // z_0 … z_T of a pair of numbers x.
  function noised(x, n) {
    const noise = pairs(n, T + 2), A = curve(), path = [x];
    for (let t = 1; t <= T; t++) {
      const stay = A[t] / A[t - 1], more = Math.sqrt(1 - stay);
      path.push(path[t - 1].map((z, i) => Math.sqrt(stay) * z + more * noise[t + 1][i]));
    }
    return path;
  }
  // z at all times, T first, of a particle that is taken back.
  function taken_back(n) {
    const noise = pairs(n, T + 1), A = curve(), path = [noise[0]], all = times().reverse();
    all.slice(0, -1).forEach((t, i) => {
      const z = path[i], { x_hat } = known(z, A[t]), s = all[i + 1], variance = s ? eta() ** 2 * ((1 - A[s]) / (1 - A[t])) * (1 - A[t] / A[s]) : eta() > 0 ? (1 - A[1]) / A[1] : 0;
      const b = s ? Math.sqrt(Math.max(1 - A[s] - variance, 0) / (1 - A[t])) : 0, a = s ? Math.sqrt(A[s]) - Math.sqrt(A[t]) * b : 1;
      path.push(z.map((v, j) => a * x_hat[j] + b * v + Math.sqrt(variance) * noise[t][j]));
    });
    return path;
  }
  const component = (u) => {
    let k = 0;
    while (k < K - 1 && (u -= weights[k]) >= 0) k++;
    return k;
  };
  // All paths of what is chosen, by rising t, and the component each particle comes from or ends in.
  let cache = {};
  function paths() {
    const key = JSON.stringify([means(), back(), kind(), seed(), back() && [count(), eta()]]);
    if (cache.key === key) return cache;
    if (cache.seed !== seed()) kept.clear();
    const made = Array.from({ length: N }, (_, i) => {
      if (back()) {
        const path = taken_back(1000 * seed() + N + 1 + i).reverse(), { r } = known(path[0], 1);
        return { path, k: r.indexOf(Math.max(...r)) };
      }
      const n = 1000 * seed() + i + 1, k = component(uniform(n, 0)), noise = pairs(n, T + 2)[1];
      return { path: noised(means()[k].map((m, axis) => m + stds[k] * noise[axis]), n), k };
    });
    cache = { key, seed: seed(), made };
    return cache;
  }

  // Digits: u of each picture, the path of its noise, and the stored frames of each schedule, count and η.
  const [H, W] = model.get("shape").length ? model.get("shape") : [0, 0], D = H * W, told = D > 0, bytes = unpacked(model.get("images")), stored = unpacked(model.get("pictures")), table = unpacked(model.get("frames"));
  const P = told ? bytes.byteLength / D : 0, originals = Array.from({ length: P }, (_, p) => Array.from({ length: D }, (_, i) => (2 * bytes.getUint8(p * D + i)) / (model.get("levels") - 1) - 1));
  const own = curves[Math.max(KINDS.indexOf(model.get("own")), 0)], films = [];
  for (let at = 0; at < table.byteLength;) {
    const next = () => { at += 2; return table.getUint16(at - 2, true); };
    films.push(Array.from({ length: next() }, () => ({ t: next(), z: next(), x_hat: next() })));
  }
  let blurred = {};
  function digits(t) {
    if (back()) {
      const film = films[(kind() * counts.length + counts.indexOf(count())) * ETAS.length + Math.max(ETAS.indexOf(eta()), 0)], A = curve();
      const frame = t === 0 ? film.length - 1 : t === T ? 0 : nearest(film.slice(0, -1).map((one) => log_snr(own[one.t])), log_snr(A[t]));
      const block = (n) => Array.from({ length: P }, (_, p) => Array.from({ length: D }, (_, i) => stored.getUint8((n * P + p) * D + i) / 127.5 - 1));
      return { frame, t: film[frame].t, left: block(film[frame].z), right: block(film[frame].x_hat) };
    }
    const key = `${kind()} ${seed()}`;
    if (blurred.key !== key) {
      blurred = { key, paths: originals.map((u, p) => Array.from({ length: Math.ceil(D / 2) }, (_, i) => noised([u[2 * i], u[2 * i + 1] ?? 0], 1000 * seed() + 2 * N + 1 + 128 * p + i))) };
    }
    return { frame: t, t, left: originals, right: blurred.paths.map((all) => all.flatMap((path) => path[t]).slice(0, D)) };
  }

  let playing, arrows = true, guesses = true, knob, keyed = false;
  const stop = () => {
    clearInterval(playing);
    if (playing !== undefined) model.save_changes();
    playing = undefined;
  };
  const time = () => times()[nearest(times(), model.get("time"))], calm = matchMedia("(prefers-reduced-motion: reduce)").matches;

  function start(ui) {
    ui.initial = { means: model.get("initial"), back: false, kind: model.get("own"), steps: counts.includes(5) ? 5 : counts[0], eta: 1, time: 0, seed: 1, chosen: 0 };
    ui.onReset = () => {
      stop();
      [arrows, guesses] = [true, true];
    };
    if (task) ui.root.insertBefore(html("p", { class: "dgm-task" }, html("b", {}, "Task: "), task), ui.stage);
    const halt = () => {
      if (playing === undefined) return;
      stop();
      ui.redraw(); // the play button says play again
    };
    const change = (changes) => {
      halt();
      ui.set(changes);
    };
    const choice = (name, pressed, action, extra) => {
      const node = ui.button(name, action, extra);
      ui.onDraw(() => node.setAttribute("aria-pressed", String(pressed())));
      return node;
    };
    const row = (name, make) => ui.group(name, () => {
      ui.row.append(html("span", { class: "dgm-label" }, name));
      make();
    });
    ui.group("direction", () => {
      choice("add noise", () => !back(), () => change({ back: false, time: 0 }));
      choice("take it back", back, () => change({ back: true, time: T }));
    });
    ui.group("play", () => {
      const play = ui.button("▶ play", () => {
        if (playing !== undefined) stop();
        else {
          const all = times(), n = all.length - 1, toward = back() ? -1 : 1, stride = Math.ceil(n / (calm ? 8 : 100));
          let at = all.indexOf(time());
          if (at === (back() ? 0 : n)) {
            at = n - at;
            ui.set({ time: all[at] });
          }
          playing = setInterval(() => {
            at = clamp(at + toward * stride, 0, n);
            model.set("time", all[at]);
            if (at === (back() ? 0 : n)) {
              stop();
              ui.redraw();
            }
          }, calm ? 1000 : clamp(4000 / n, 40, 1000));
        }
        ui.redraw();
      });
      ui.onDraw(() => { play.textContent = playing !== undefined ? "❚❚ pause" : back() ? "◀ play to data" : "▶ play to noise"; });
    });
    row("schedule", () => KINDS.forEach((name, k) => choice(name, () => kind() === k, () => change({ kind: name }))));
    const only_back = (node) => ui.onDraw(() => { node.disabled = !back(); });
    row("steps", () => counts.forEach((n) => only_back(choice(n === T ? `T = ${T}` : String(n), () => count() === n, () => change({ steps: n }), { "aria-label": `${n === T ? "T = " : ""}${n} steps` }))));
    row("η", () => ETAS.forEach((value) => only_back(choice(String(value), () => eta() === value, () => change({ eta: value }), { "aria-label": `η = ${value}` }))));
    row("show", () => {
      choice("score", () => arrows, () => { arrows = !arrows; ui.redraw(); });
      choice("x̂", () => guesses, () => { guesses = !guesses; ui.redraw(); }, { "aria-label": "x̂, the predicted x" });
    });
    ui.group("noise", () => ui.button("other noise", () => change({ seed: seed() + 1 })));

    // The plane: a click or the arrow keys choose a particle; the means are dragged.
    const sheet = box(0, 0, 0, 0, "dgm-area"), ring = box(0, 0, 0, 0, "dgm-ring");
    ui.plane = svg("g", { class: "dgm-sheet dgm-point", role: "application", tabindex: 0 }, sheet, ring);
    const place = (event) => {
      const area = sheet.getBoundingClientRect();
      return [((event.clientX - area.left) / area.width - 0.5) * 2 * EDGE, (0.5 - (event.clientY - area.top) / area.height) * 2 * EDGE];
    };
    const choose = (i) => ui.set({ chosen: (i + N) % N });
    ui.plane.addEventListener("click", (event) => {
      const at = times().indexOf(time()), [x, y] = place(event), far = paths().made.map(({ path }) => Math.hypot(path[at][0] - x, path[at][1] - y));
      choose(far.indexOf(Math.min(...far)));
    });
    ui.plane.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const to = { ArrowRight: chosen() + 1, ArrowDown: chosen() + 1, ArrowLeft: chosen() - 1, ArrowUp: chosen() - 1, Home: 0, End: N - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      event.stopPropagation(); // notebooks and slides have their own use for these keys
      choose(to);
    });
    ui.handles.append(ui.plane);
    ui.cover = (x, y, side) => [sheet, ring].forEach((node) => Object.entries({ x, y, width: side, height: side }).forEach(([name, value]) => node.setAttribute(name, value)));

    const MOVES = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    ui.grips = stds.map((_, k) => {
      const pin = svg("g", { class: "dgm-grip" }, svg("circle", { r: 20, class: "dgm-touch" }), svg("circle", { r: 14.5, class: "dgm-ring" }), svg("circle", { r: 9.5, class: "dgm-knob" }), text(0, 4.7, k + 1, "middle", "dgm-number"));
      const node = svg("g", { class: "dgm-slider", role: "application", tabindex: 0 }, pin);
      const move = (to) => {
        halt();
        ui.set({ means: means().map((mean, other) => (other === k ? to.map((v) => clamp(Math.round(v * 1000) / 1000, -LIMIT, LIMIT)) : mean)) });
      };
      let offset;
      node.addEventListener("pointerdown", (event) => {
        if (event.button !== 0) return;
        const from = place(event);
        offset = means()[k].map((v, i) => v - from[i]);
        node.setPointerCapture(event.pointerId);
        node.focus({ preventScroll: true });
        event.preventDefault();
      });
      node.addEventListener("pointermove", (event) => { if (offset) move(place(event).map((v, i) => v + offset[i])); });
      for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) node.addEventListener(end, () => { offset = undefined; });
      node.addEventListener("keydown", (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in MOVES)) return;
        event.preventDefault();
        event.stopPropagation(); // notebooks and slides have their own use for these keys
        move(means()[k].map((v, i) => v + (event.shiftKey ? 0.01 : 0.1) * MOVES[event.key][i]));
      });
      ui.handles.append(node);
      return { node, pin };
    });

    knob = ui.slider({
      label: "time t", min: 0, max: T, step: 1, get: time, begin: halt,
      set: (to) => { // keys go at least one step of those that are taken
        const all = times(), from = all.indexOf(time());
        let at = nearest(all, to);
        if (keyed && at === from && to !== all[from]) at = clamp(from + Math.sign(to - all[from]), 0, all.length - 1);
        ui.set({ time: all[at] });
      },
      value: ({ x }) => ((x - ui.track) / ui.reach) * T,
      text: () => `t = ${time()} of ${T}${back() ? `, ${taken()}` : ""}`,
    });
    knob.node.addEventListener("keydown", () => { keyed = true; }, true);
    knob.node.addEventListener("pointerdown", () => { keyed = false; }, true);
  }
  const taken = () => `${times().length - 1 - times().indexOf(time())} of ${plural(count(), "step")} taken`;

  function draw(ui, width) {
    const t = time(), all = times(), at = all.indexOf(t), A = curve()[t], a = Math.sqrt(A), sigma = Math.sqrt(1 - A), { made } = paths(), i = chosen(), layer = ui.layer;
    const narrow = width < 640, slide = ui.root.closest(".reveal"), here = made.map(({ path, k }) => ({ z: path[at], k, ...known(path[at], A) }));
    const side = Math.floor(narrow ? width - 4 : Math.min((told ? 0.52 : 0.62) * width, slide ? 330 : told ? 440 : 500)), x0 = 2, y0 = 26, scale = side / (2 * EDGE);
    const X = (v) => (v + EDGE) * scale, Y = (v) => (EDGE - v) * scale, spot = ([x, y]) => `${X(x).toFixed(1)} ${Y(y).toFixed(1)}`;
    const plot = svg("svg", { x: x0, y: y0, width: side, height: side, overflow: "hidden" });
    layer.push(text(0, 16, back() ? `Taking it back: ${taken()}` : t ? `After ${plural(t, "step")} of noise` : "The data: 200 draws", "start", "dgm-head"), plot, box(x0, y0, side, side, "dgm-frame"));

    // The score, as σ ∇ log q = −ε̂, in the middles of cells.
    const cell = (2 * EDGE) / CELLS, field = Array.from({ length: CELLS * CELLS }, (_, n) => {
      const z = [((n % CELLS) + 0.5) * cell - EDGE, EDGE - (Math.floor(n / CELLS) + 0.5) * cell];
      return { z, arrow: known(z, A).minus_noise };
    });
    let shafts = "", heads = "";
    for (const { z, arrow: [u, v] } of arrows && t ? field : []) {
      const size = Math.hypot(u, v), length = (0.92 * cell * scale) / (1 + size), [dx, dy] = [u * length, -v * length], far = Math.hypot(dx, dy), h = Math.min(5, far / 2) / far;
      const [cx, cy] = [X(z[0]) + dx / 2, Y(z[1]) + dy / 2];
      if (far < 1.5) continue;
      shafts += `M${(cx - dx).toFixed(1)} ${(cy - dy).toFixed(1)}L${(cx - dx * h).toFixed(1)} ${(cy - dy * h).toFixed(1)}`;
      heads += `M${cx.toFixed(1)} ${cy.toFixed(1)}l${((-dx - dy * 0.5) * h).toFixed(1)} ${((-dy + dx * 0.5) * h).toFixed(1)}l${(dy * h).toFixed(1)} ${(-dx * h).toFixed(1)}z`;
    }
    plot.append(path(shafts, "dgm-arrows"), path(heads, "dgm-arrowheads"));
    means().forEach((mean, k) => plot.append(svg("circle", { cx: X(a * mean[0]), cy: Y(a * mean[1]), r: FAR * Math.sqrt(A * stds[k] ** 2 + 1 - A) * scale, class: `dgm-ringed dgm-${COLOURS[k]}` })));
    const inside = COLOURS.map(() => ""), outside = COLOURS.map(() => "");
    here.forEach(({ z, k, out }) => { if (out) outside[k] += `M${spot(z)}m-3.5 -3.5l7 7m0 -7l-7 7`; else inside[k] += `M${spot(z)}h0`; });
    COLOURS.forEach((colour, k) => {
      for (const cls of ["dgm-particles-edge", "dgm-particles"]) if (inside[k]) plot.append(path(inside[k], `${cls} dgm-${colour}`));
      if (outside[k]) plot.append(path(outside[k], `dgm-stray dgm-${colour}`));
    });
    // x̂ of some particles, and the way of the chosen one so far.
    const some = guesses && t ? [...Array(GUESSES).keys()].map((n) => n * (N / GUESSES)).filter((n) => n !== i) : [];
    if (some.length) plot.append(path(some.map((n) => `M${spot(here[n].z)}L${spot(here[n].x_hat)}`).join(""), "dgm-guess"));
    const way = back() ? made[i].path.slice(at).reverse() : made[i].path.slice(0, at + 1);
    plot.append(path(`M${way.map(spot).join("L")}`, "dgm-way"), svg("circle", { cx: X(here[i].z[0]), cy: Y(here[i].z[1]), r: 7, class: "dgm-chosen" }));
    if (guesses && t) {
      plot.append(path(`M${spot(here[i].z)}L${spot(here[i].x_hat)}`, "dgm-guide"), ...[...some, i].map((n) => path(`M${spot(here[n].x_hat)}m-4 0l4 -4l4 4l-4 4z`, n === i ? "dgm-mark" : "dgm-dot")));
    }
    ui.cover(x0, y0, side);
    ui.plane.setAttribute("aria-label", `plane of 200 particles, number ${i + 1} is chosen: a click or the arrow keys choose another`);
    ui.grips.forEach(({ node, pin }, k) => {
      pin.setAttribute("transform", `translate(${x0 + X(means()[k][0])} ${y0 + Y(means()[k][1])})`);
      node.setAttribute("class", `dgm-slider dgm-${COLOURS[k]}`);
      node.setAttribute("aria-label", `mean ${k + 1} of the data, (${means()[k].map((v) => number(v, 2)).join(", ")}), weight ${Math.round(100 * weights[k])} %: arrow keys move it, with Shift by a tenth`);
    });

    // The time.
    const floor = y0 + side + 22, track = x0 + 12, reach = side - 24, at_time = (v) => track + (reach * v) / T;
    Object.assign(ui, { track, reach });
    layer.push(line(track, floor, track + reach, floor, "dgm-axis"));
    if (all.length < 40) for (const v of all) layer.push(line(at_time(v), floor - 6, at_time(v), floor + 6, "dgm-axis"));
    layer.push(text(x0, floor + 30, "t = 0: data", "start", "dgm-small"), text(x0 + side, floor + 30, `noise: t = ${T}`, "end", "dgm-small"));
    if (t > 0.3 * T && t < 0.7 * T) layer.push(text(at_time(t), floor + 30, `t = ${t}`, "middle", "dgm-strong"));
    knob.place(at_time(t), floor, `M${x0} ${floor - 18}h${side}v36h${-side}z`);

    const real = truth(A), surprise = -sum(here.map(({ log_q }) => log_q)) / N, chance = real.spread / Math.sqrt(N), stray = here.filter(({ out }) => out).length / N;
    const shares = weights.map((_, k) => sum(here.map(({ r }) => r[k])) / N), seen = told ? digits(t) : null;
    const lx = narrow ? x0 : x0 + side + 30, room = width - lx - 2, columns = (narrow || told) && room > 330 ? 2 : 1;
    let y = narrow ? floor + 60 : 16;
    if (told) { // two rows of pictures
      const gap = 10, dot = Math.floor(Math.min((room - (P - 1) * gap) / P / W, slide ? 8 : 12) * 8) / 8, names = back() ? (seen.t ? ["zₜ", "predicted x̂"] : [`x, ${eta() > 0 ? "drawn from" : "the mode of"} p(x|z₁)`]) : ["x", "zₜ"];
      layer.push(text(lx, y, back() ? (seen.t ? `A trained model, its t = ${seen.t}` : "A trained model’s draws") : "Real digits", "start", "dgm-head"));
      [seen.left, seen.right].forEach((pictures, c) => {
        y += 24;
        if (names[c]) layer.push(text(lx, y, names[c], "start", "dgm-small")); // of x itself, there is no prediction
        if (names[c]) pictures.forEach((u, p) => {
          const px = lx + p * (W * dot + gap), group = svg("g", { "shape-rendering": "crispEdges" });
          layer.push(box(px, y + 8, W * dot, H * dot, "dgm-page"), group);
          u.forEach((v, n) => { const ink = clamp((v + 1) / 2, 0, 1); if (ink > 0.004) group.append(box(px + (n % W) * dot, y + 8 + Math.floor(n / W) * dot, dot, dot, "dgm-print", { "fill-opacity": ink.toFixed(4) })); });
        });
        y += H * dot + 8;
      });
      y += slide ? 24 : 32;
    }
    // What the signs mean.
    const signs = [
      [svg("g", { class: "dgm-blue" }, path("M9 -5h0", "dgm-particles-edge"), path("M9 -5h0", "dgm-particles")), back() ? "colour: where it ends" : "colour: where it is from"],
      [svg("circle", { cx: 9, cy: -5, r: 6, class: "dgm-chosen" }), "chosen, and its way"],
      [svg("circle", { cx: 9, cy: -5, r: 8, class: "dgm-ringed dgm-blue" }), "3 σ of a part of q(zₜ)"],
      [path("M5 -9l8 8m0 -8l-8 8", "dgm-stray dgm-blue"), "outside all circles"],
      [svg("g", {}, path("M0 -5H14", "dgm-arrows"), path("M18 -5l-6 3v-6z", "dgm-arrowheads")), "σ ∇ log q = −ε̂"],
      [svg("g", {}, line(0, -5, 18, -5, "dgm-guess"), path("M14 -5l4 -4l4 4l-4 4z", "dgm-dot")), "predicted x̂"],
    ];
    signs.forEach(([sign, words], n) => layer.push(svg("g", { transform: `translate(${lx + ((n % columns) * room) / columns} ${y + 22 * Math.floor(n / columns)})` }, sign, text(28, 0, words, "start", "dgm-small"))));
    y += 22 * (signs.length / columns) + (slide ? 4 : 18);
    // log-SNR over t, and where the steps are.
    const left = lx + 26, wide = room - 32, high = narrow ? 100 : clamp(floor + 10 - y, 60, 240), C = (v) => left + (wide * v) / T, L = (v) => y + 14 + (0.5 - clamp(v / 20, -0.5, 0.5)) * high;
    layer.push(text(lx, y, `Schedule ${KINDS[kind()]}: log-SNR over t`, "start", "dgm-head"), line(left, L(0), left + wide, L(0)), line(left, L(10), left, L(-10)));
    for (const v of [10, 0, -10]) layer.push(text(left - 5, L(v) + (v ? (v > 0 ? 9 : 0) : 5), number(v, 0), "end", "dgm-small"));
    const curved = (one) => `M${one.map((value, v) => (v ? `${C(v).toFixed(1)} ${L(log_snr(value)).toFixed(1)}` : "")).slice(1).join("L")}`;
    curves.forEach((one, k) => { if (k !== kind()) layer.push(path(curved(one), "dgm-line")); });
    layer.push(path(curved(curve()), "dgm-axis"), line(C(t), L(10), C(t), L(-10), "dgm-guide"));
    if (back() && count() < 40) for (const v of all.slice(1)) layer.push(svg("circle", { cx: C(v), cy: L(log_snr(curve()[v])), r: 3.5, class: v >= t ? "dgm-mark" : "dgm-dot" }));
    ui.size(width, Math.max(floor + 40, y + high + 22));

    const lambda = t ? log_snr(A) : Infinity, per_cent = (p) => Math.round(100 * p), difference = surprise - real.entropy;
    ui.read([
      [`log-SNR at t = ${t}`, number(lambda, 1), `α ${number(a, 2)}, σ ${number(sigma, 2)}`],
      ["mean surprise", number(surprise, 2), "nats", "dgm-sky"],
      ["of true draws", number(real.entropy, 2), `± ${number(chance, 2)} nats`],
      ["outside all circles", `${number(100 * stray, 1)} %`, "true: ≤ 1.1 %", "dgm-red"],
      [`in groups (data ${weights.map(per_cent).join(" · ")})`, shares.map(per_cent).join(" · "), "%"],
    ]);
    const guess = sum(here.map(({ r }) => Math.max(...r))) / N, verdict = stray > 0.04 ? `${number(100 * stray, 1)} % of particles are outside all circles, where true draws hardly come`
      : difference > 3 * chance ? "the particles are more surprising than true draws: too far from the peaks of q"
        : difference < -3 * chance ? "the particles are less surprising than true draws: too near the peaks of q" : "the particles are about as surprising as true draws";
    const told_by = ` Mean surprise: ${number(surprise, 2)} nats; of true draws ${number(real.entropy, 2)}.`;
    ui.say(back()
      ? (t === T ? `Pure noise, before the first of ${plural(count(), "step")}${lambda < -4 ? ": each predicted x̂ lies near the mean of all data" : ""}.` : `${t ? `At t = ${t}` : `Taken back in ${plural(count(), "step")} with η = ${eta()}`}, ${verdict}.`) + told_by
      : t === 0 ? "The data, before noise. Press play, or move the slider, and see the groups melt into one."
        : `At t = ${t}, zₜ = ${number(a, 2)} x + ${number(sigma, 2)} ε: who sees only where a particle is can name its group in at most ${per_cent(guess)} % of cases.` + told_by);
    ui.expose({
      t, times: all, back: back(), kind: KINDS[kind()], steps: count(), eta: eta(), seed: seed(), means: means(), alpha: a, sigma, log_snr: lambda, surprise, entropy: real.entropy,
      spread: real.spread, stray, guess, shares, chosen: i, way, z: here.map(({ z }) => z), x_hat: here.map(({ x_hat }) => x_hat), components: here.map(({ k }) => k),
      field: field.map(({ z, arrow }) => [...z, ...arrow]), digits: seen && { frame: seen.frame, t: seen.t }, playing: playing !== undefined, arrows, guesses,
    });
  }

  const done = frame({ model, el, title: "Diffusion, there and back", traits: ["means", "back", "kind", "steps", "eta", "time", "seed", "chosen"], start, draw });
  return () => {
    stop();
    done();
  };
}
