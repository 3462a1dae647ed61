// Number t + 1 of the generator mulberry32, started at seed · 0x9e3779b1, in [0, 1).
function uniform(seed, t) {
  let a = (Math.imul(seed, 0x9e3779b1) + Math.imul(t + 1, 0x6d2b79f5)) | 0;
  a = Math.imul(a ^ (a >>> 15), a | 1);
  a ^= a + Math.imul(a ^ (a >>> 7), a | 61);
  return ((a ^ (a >>> 14)) >>> 0) / 4294967296;
}
const unpacked = (encoded) => new DataView(Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0)).buffer);
const LEAK = 0.2, sigmoid = (c) => 1 / (1 + Math.exp(-c)), softplus = (c) => Math.max(c, 0) + Math.log1p(Math.exp(-Math.abs(c)));

// Of each objective, loss and slope by c: of the critic at data and at fakes, and of the generator.
const binary = [(c) => [softplus(-c), -sigmoid(-c)], (c) => [softplus(c), sigmoid(c)]];
const OBJECTIVES = {
  "minimax": [...binary, (c) => [-softplus(c), -sigmoid(c)]],
  "non-saturating": [...binary, (c) => [softplus(-c), -sigmoid(-c)]],
  "wasserstein": [(c) => [-c, -1], (c) => [c, 1], (c) => [-c, -1]],
  "least-squares": [(c) => [(c - 1) ** 2 / 2, c - 1], (c) => [c * c / 2, c], (c) => [(c - 1) ** 2 / 2, c - 1]],
  "hinge": [(c) => [Math.max(1 - c, 0), c < 1 ? -1 : 0], (c) => [Math.max(1 + c, 0), c > -1 ? 1 : 0], (c) => [-c, -1]],
};

// Layers with leaky ReLUs between, as torch keeps them: one vector w of the matrix (out, in) and the bias of each.
// All arrays are flat, n examples one after the other.
function network(widths, w) {
  let end = 0;
  const layers = widths.slice(1).map((outs, k) => {
    const ins = widths[k], W = end, b = W + outs * ins;
    end = b + outs;
    return { ins, outs, W, b };
  });
  const g = new Float64Array(end), m = new Float64Array(end), v = new Float64Array(end);
  let steps = 0;
  // Four examples at once: their sums do not wait for each other.
  function up({ ins, outs, W, b }, a, n, bias) {
    const out = new Float64Array(outs * n);
    for (let j = 0; j < outs; j++) for (let e = 0; e < n; e += 4) {
      let s0 = bias ? w[b + j] : 0, s1 = s0, s2 = s0, s3 = s0;
      for (let i = 0, row = W + j * ins, from = e; i < ins; i++, from += n) {
        const one = w[row + i];
        s0 += one * a[from]; s1 += one * a[from + 1]; s2 += one * a[from + 2]; s3 += one * a[from + 3];
      }
      const to = j * n + e;
      out[to] = s0; out[to + 1] = s1; out[to + 2] = s2; out[to + 3] = s3;
    }
    return out;
  }
  function outer({ ins, outs, W }, d, a, n) {
    for (let j = 0; j < outs; j++) for (let i = 0; i < ins; i++) {
      let s0 = 0, s1 = 0, s2 = 0, s3 = 0;
      for (let e = j * n, f = i * n, end = e + n; e < end; e += 4, f += 4) {
        s0 += d[e] * a[f]; s1 += d[e + 1] * a[f + 1]; s2 += d[e + 2] * a[f + 2]; s3 += d[e + 3] * a[f + 3];
      }
      g[W + j * ins + i] += s0 + s1 + s2 + s3;
    }
  }
  return {
    w, g,
    // Activations of all layers: x, those between, and what comes out.
    forward(x, n) {
      const all = [x];
      layers.forEach((layer, k) => {
        const out = up(layer, all[k], n, true);
        if (k < layers.length - 1) for (let e = 0; e < out.length; e++) if (out[e] < 0) out[e] *= LEAK;
        all.push(out);
      });
      return all;
    },
    // Slopes by what goes into each layer, given those by what comes out; [0] are those by x. With `learn`, g takes those by w.
    backward(all, slope, n, learn = true) {
      const slopes = [slope];
      for (let k = layers.length - 1; k >= 0; k--) {
        const { ins, outs, W, b } = layers[k], d = slopes[0], a = all[k], below = new Float64Array(ins * n);
        if (learn) {
          for (let j = 0; j < outs; j++) for (let e = j * n; e < j * n + n; e++) g[b + j] += d[e];
          outer(layers[k], d, a, n);
        }
        for (let i = 0; i < ins; i++) for (let e = 0; e < n; e += 4) {
          let s0 = 0, s1 = 0, s2 = 0, s3 = 0;
          for (let j = 0, at = W + i, from = e; j < outs; j++, at += ins, from += n) {
            const one = w[at];
            s0 += one * d[from]; s1 += one * d[from + 1]; s2 += one * d[from + 2]; s3 += one * d[from + 3];
          }
          const to = i * n + e;
          below[to] = s0; below[to + 1] = s1; below[to + 2] = s2; below[to + 3] = s3;
        }
        if (k) for (let e = 0; e < below.length; e++) if (!(a[e] > 0)) below[e] *= LEAK;
        slopes.unshift(below);
      }
      return slopes;
    },
    // To g, the slopes by w of a function of slopes[0], whose slope by these is γ. A unit changes sides only where there is no
    // slope, so γ goes up through the layers as they are, without biases.
    second(all, slopes, gamma, n) {
      let t = gamma;
      layers.forEach((layer, k) => {
        outer(layer, slopes[k + 1], t, n);
        t = up(layer, t, n, false);
        for (let e = 0; e < t.length; e++) if (!(all[k + 1][e] > 0)) t[e] *= LEAK;
      });
    },
    // One step of Adam along −g, as torch takes it.
    step(lr, beta1 = 0.5, beta2 = 0.99, eps = 1e-8) {
      steps++;
      const one = 1 - beta1 ** steps, two = Math.sqrt(1 - beta2 ** steps);
      for (let i = 0; i < end; i++) {
        m[i] += (1 - beta1) * (g[i] - m[i]);
        v[i] = beta2 * v[i] + (1 - beta2) * g[i] * g[i];
        w[i] -= ((lr / one) * m[i]) / (Math.sqrt(v[i]) / two + eps);
      }
      g.fill(0);
    },
  };
}

function render({ model, el }) {
  const N = 400, REAL = 200, EDGE = 3, LIMIT = 2.7, MOST = 40, M = 40, PUSHES = 50, EVERY = 10, PER_FRAME = 8, FAR = 3;
  const TURNS = [[1, 0], [5, 1], [1, 1], [1, 5], [0, 1]], PENALTIES = [["none", ""], ["R1", "r1"], ["gradient", "gradient"]];
  const RATES = [-4, -3, -2].flatMap((ten) => [1, 2, 5].map((one) => Number(`${one}e${ten}`))), WEIGHTS = [-2, -1, 0, 1].flatMap((ten) => [1, 2, 5].map((one) => Number(`${one}e${ten}`))).slice(0, 10);
  const [latent, ...hidden] = model.get("widths"), B = model.get("batch"), std = model.get("std"), seed = model.get("seed"), task = model.get("task");
  const floats = (encoded, size, read) => {
    const view = unpacked(encoded);
    return Float64Array.from({ length: view.byteLength / size }, (_, i) => view[read](size * i, true));
  };
  const presets = Object.entries(model.get("presets")).map(([name, encoded]) => {
    const flat = floats(encoded, 8, "getFloat64");
    return [name, Array.from({ length: flat.length / 2 }, (_, k) => [flat[2 * k], flat[2 * k + 1]])];
  });
  const centres = () => model.get("centres"), objective = () => (model.get("objective") in OBJECTIVES ? model.get("objective") : "non-saturating"), last = (all) => all[all.length - 1];

  // Random numbers, one after the other.
  function chance(n) {
    let at = 0;
    const u = () => uniform(n, at++), pair = () => {
      const far = Math.sqrt(-2 * Math.log(1 - u())), turn = 2 * Math.PI * u();
      return [far * Math.cos(turn), far * Math.sin(turn)];
    };
    return {
      u,
      noise(n) { // (latent, n)
        const z = new Float64Array(latent * n);
        for (let e = 0; e < n; e++) for (let i = 0; i < latent; i += 2) [z[i * n + e], z[i * n + n + e]] = pair(); // an odd one is lost
        return z;
      },
      data(n) { // (2, n)
        const x = new Float64Array(2 * n), parts = centres();
        for (let e = 0; e < n; e++) {
          const centre = parts[Math.floor(u() * parts.length)];
          pair().forEach((normal, i) => { x[i * n + e] = centre[i] + std * normal; });
        }
        return x;
      },
    };
  }

  let G, C, random, rounds, steps, losses, history;
  const shown_z = chance(3 * seed + 2).noise(N);
  function restart() {
    G = network([latent, ...hidden, 2], floats(model.get("generator"), 4, "getFloat32"));
    C = network([2, ...hidden, 1], floats(model.get("critic"), 4, "getFloat32"));
    random = chance(3 * seed + 1);
    [rounds, steps, losses, history] = [0, [0, 0], [], []];
  }
  // Mean loss, slopes by c(x) of that mean, and what the critic needed for them.
  function judged(x, n, rule) {
    const all = C.forward(x, n), slope = new Float64Array(n);
    let loss = 0;
    last(all).forEach((c, e) => {
      const [value, by_c] = rule(c);
      loss += value / n;
      slope[e] = by_c / n;
    });
    return { all, slope, loss };
  }
  function critic_step() {
    const x = random.data(B), fake = last(G.forward(random.noise(B), B)), rules = OBJECTIVES[objective()], penalty = model.get("penalty"), weight = model.get("weight");
    let total = 0;
    [x, fake].forEach((some, i) => {
      const { all, slope, loss } = judged(some, B, rules[i]);
      C.backward(all, slope, B);
      total += loss;
    });
    if (penalty) {
      const at = x.slice(), gamma = new Float64Array(2 * B);
      if (penalty === "gradient") for (let e = 0; e < B; e++) {
        const alpha = random.u();
        for (const i of [e, B + e]) at[i] = alpha * x[i] + (1 - alpha) * fake[i];
      }
      const all = C.forward(at, B), slopes = C.backward(all, new Float64Array(B).fill(1), B, false), by_x = slopes[0];
      for (let e = 0; e < B; e++) {
        const length = Math.hypot(by_x[e], by_x[B + e]);
        total += (weight / B) * (penalty === "r1" ? length ** 2 / 2 : (length - 1) ** 2);
        for (const i of [e, B + e]) gamma[i] = (weight / B) * by_x[i] * (penalty === "r1" ? 1 : length && (2 * (length - 1)) / length);
      }
      C.second(all, slopes, gamma, B);
    }
    C.step(model.get("lr_critic"));
    losses[0] = total;
    steps[0]++;
  }
  function generator_step() {
    const made = G.forward(random.noise(B), B), { all, slope, loss } = judged(last(made), B, OBJECTIVES[objective()][2]);
    G.backward(made, C.backward(all, slope, B, false)[0], B);
    G.step(model.get("lr_generator"));
    losses[1] = loss;
    steps[1]++;
  }
  // How the 400 samples spread over the modes.
  function spread(x) {
    const counts = centres().map(() => 0);
    for (let e = 0; e < N; e++) {
      const far = centres().map(([u, v]) => Math.hypot(x[e] - u, x[N + e] - v)), near = Math.min(...far);
      if (near <= FAR * std) counts[far.indexOf(near)]++;
    }
    return { counts, covered: counts.filter((count) => count >= N / 4 / counts.length).length, good: sum(counts) / N };
  }
  // Root mean square distance of n points from their mean.
  function radius(x, n) {
    const mean = [sum(x.slice(0, n)) / n, sum(x.slice(n)) / n];
    return Math.sqrt(sum(x.map((v, e) => (v - mean[e < n ? 0 : 1]) ** 2)) / n);
  }
  function record() {
    const { covered, good } = spread(last(G.forward(shown_z, N)));
    if (history.length && last(history).rounds === rounds) history.pop();
    history.push({ rounds, covered: covered / centres().length, good });
    if (history.length > 600) history = history.filter((_, i) => i % 2 === 0);
  }
  function round() {
    const [critic, generator] = model.get("turns");
    if (!history.length) record();
    for (let i = 0; i < critic; i++) critic_step();
    for (let i = 0; i < generator; i++) generator_step();
    rounds++;
    if (rounds % EVERY === 0) record();
  }
  // The critic as D in 0 … 1 at points, for the map and its line.
  function decided(fake) {
    const name = objective();
    if (name !== "wasserstein") return { "least-squares": (c) => clamp(c, 0, 1), "hinge": (c) => clamp((c + 1) / 2, 0, 1) }[name] ?? sigmoid;
    const [of_fakes, of_data] = [[fake, N], [seen_data(), REAL]].map(([x, n]) => last(C.forward(x, n)));
    const middle = (sum(of_fakes) / N + sum(of_data) / REAL) / 2, range = Math.max(...of_fakes, ...of_data) - Math.min(...of_fakes, ...of_data);
    return (c) => (range > 0 ? clamp(0.5 + (c - middle) / range, 0, 1) : 0.5);
  }
  let seen = {};
  function seen_data() {
    const key = JSON.stringify(centres());
    if (seen.key !== key) seen = { key, x: chance(3 * seed + 3).data(REAL) };
    return seen.x;
  }
  const mesh = new Float64Array(2 * M * M), middle = (i) => ((i + 0.5) * 2 * EDGE) / M - EDGE; // of a cell, row by row from the top
  for (let e = 0; e < M * M; e++) [mesh[e], mesh[M * M + e]] = [middle(e % M), -middle(Math.floor(e / M))];

  restart();
  let playing, drawn = 0, visible = true, arrows = true, pencil = false, cursor, canvas;
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const stop = () => {
    cancelAnimationFrame(playing);
    playing = undefined;
  };
  let watch;

  function start(ui) {
    ui.initial = Object.fromEntries(["data", "centres", "objective", "penalty", "weight", "lr_critic", "lr_generator", "turns"].map((name) => [name, model.get(name)]));
    ui.onReset = () => {
      stop();
      restart();
      [arrows, pencil, cursor] = [true, false, undefined];
    };
    if (task) ui.root.insertBefore(html("p", { class: "dgm-task" }, html("b", {}, "Task: "), task), ui.stage);
    canvas = html("canvas", { class: "dgm-surface", width: M, height: M, "aria-hidden": "true" });
    ui.stage.prepend(canvas);
    watch = new IntersectionObserver(([entry]) => { visible = entry.isIntersecting; });
    watch.observe(ui.stage);

    const choice = (name, pressed, action, extra) => {
      const node = ui.button(name, action, extra);
      ui.onDraw(() => node.setAttribute("aria-pressed", String(pressed())));
    };
    const row = (name, make) => ui.group(name, () => {
      ui.row.append(html("span", { class: "dgm-label" }, name));
      make();
    });
    const needs_data = (node) => ui.onDraw(() => { node.disabled = !centres().length; });
    ui.group("play", () => {
      const frame = (now) => {
        playing = requestAnimationFrame(frame);
        if (!visible || !ui.root.isConnected) return; // off the screen it waits
        const began = performance.now();
        for (let k = 0; k < PER_FRAME && performance.now() - began < 12; k++) round();
        if (now - drawn < (calm ? 1000 : 60)) return;
        drawn = now;
        ui.redraw();
      };
      const play = ui.button("▶ play", () => {
        if (playing !== undefined) stop();
        else playing = requestAnimationFrame(frame);
        ui.redraw();
      });
      needs_data(play);
      ui.onDraw(() => { play.textContent = playing !== undefined ? "❚❚ pause" : "▶ play"; });
      for (const [name, step] of [["critic", critic_step], ["generator", generator_step]]) needs_data(ui.button(`1 ${name} step`, () => {
        if (!history.length) record();
        step();
        record();
        ui.redraw();
      }));
    });
    row("steps of critic : generator", () => TURNS.forEach(([c, g]) => choice(`${c} : ${g}`, () => String(model.get("turns")) === String([c, g]), () => ui.set({ turns: [c, g] }))));
    row("objective", () => Object.keys(OBJECTIVES).forEach((name) => choice(name, () => objective() === name, () => ui.set({ objective: name }))));
    row("penalty", () => PENALTIES.forEach(([name, value]) => choice(name, () => model.get("penalty") === value, () => ui.set({ penalty: value }))));
    const place = (parts, data = "") => {
      if (!parts.length) stop();
      ui.set({ centres: parts, data });
    };
    row("data", () => {
      presets.forEach(([name, parts]) => choice(name, () => model.get("data") === name, () => place(parts, name)));
      choice("✎ draw", () => pencil, () => { pencil = !pencil; ui.redraw(); });
      ui.button("clear", () => {
        pencil = true;
        place([]);
        ui.redraw();
      });
    });
    row("show", () => choice("arrows", () => arrows, () => { arrows = !arrows; ui.redraw(); }));

    // The plane: with draw, a stroke puts modes, and a click on one takes it away; so do the keys.
    const sheet = box(0, 0, 0, 0, "dgm-area"), ring = box(0, 0, 0, 0, "dgm-ring");
    ui.plane = svg("g", { role: "application", tabindex: 0 }, sheet, ring);
    const point = (event) => {
      const area = sheet.getBoundingClientRect();
      return [((event.clientX - area.left) / area.width - 0.5) * 2 * EDGE, (0.5 - (event.clientY - area.top) / area.height) * 2 * EDGE].map((v) => clamp(Math.round(v * 100) / 100, -LIMIT, LIMIT));
    };
    const near = (at, far) => centres().findIndex(([u, v]) => Math.hypot(u - at[0], v - at[1]) < far);
    const put = (at) => { if (centres().length < MOST && near(at, 3 * std) < 0) place([...centres(), at]); };
    const toggle = (at) => {
      const found = near(at, 1.5 * std);
      if (found < 0) put(at);
      else place(centres().filter((_, k) => k !== found));
    };
    let painting = false;
    ui.plane.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !pencil) return;
      painting = true;
      ui.plane.setPointerCapture(event.pointerId);
      toggle(point(event));
    });
    ui.plane.addEventListener("pointermove", (event) => { if (painting) put(point(event)); });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) ui.plane.addEventListener(end, () => { painting = false; });
    const MOVES = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    ui.plane.addEventListener("keydown", (event) => {
      const puts = ["Enter", " "].includes(event.key);
      if (event.ctrlKey || event.metaKey || event.altKey || !(puts || event.key in MOVES)) return;
      event.preventDefault();
      event.stopPropagation(); // notebooks and slides have their own use for these keys
      cursor ??= [0, 0];
      if (puts) toggle(cursor);
      else cursor = cursor.map((v, i) => clamp(tidy(v + (event.shiftKey ? 0.05 : 0.25) * MOVES[event.key][i]), -LIMIT, LIMIT));
      ui.redraw();
    });
    ui.handles.append(ui.plane);
    ui.cover = (x, y, side) => [sheet, ring].forEach((node) => Object.entries({ x, y, width: side, height: side }).forEach(([name, value]) => node.setAttribute(name, value)));

    const nearest = (list, wanted) => list.reduce((best, value, i) => (Math.abs(Math.log(value / wanted)) < Math.abs(Math.log(list[best] / wanted)) ? i : best), 0);
    ui.knobs = [["lr_critic", "learning rate of the critic", RATES], ["lr_generator", "learning rate of the generator", RATES], ["weight", "weight of the penalty", WEIGHTS]].map(([name, label, list], k) => ({
      name, label, list, at: () => nearest(list, model.get(name)),
      knob: ui.slider({
        label, min: 0, max: list.length - 1, step: 1, get: () => nearest(list, model.get(name)), set: (i) => ui.set({ [name]: list[Math.round(i)] }),
        value: ({ x }) => ((x - ui.track) / ui.reach) * (list.length - 1),
        text: () => `${model.get(name)}${k === 2 && !model.get("penalty") ? ", but there is no penalty" : ""}`,
      }),
    }));
  }

  const brief = (v) => (v === 0 || v >= 0.0095 ? number(v, v < 0.0995 ? 3 : 2) : v.toExponential(1).replace(/e-(.*)/, (_, ten) => ` · 10⁻${[...ten].map((digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]).join("")}`));

  function draw(ui, width) {
    const layer = ui.layer, narrow = width < 640, slide = ui.root.closest(".reveal"), K = centres().length, ready = K > 0;
    const side = Math.floor(narrow ? width - 4 : Math.min(0.58 * width, slide ? 340 : 480)), x0 = 2, y0 = 26, scale = side / (2 * EDGE);
    const X = (v) => (v + EDGE) * scale, Y = (v) => (EDGE - v) * scale, plot = svg("svg", { x: x0, y: y0, width: side, height: side, overflow: "hidden" });
    const x = last(G.forward(shown_z, N)), real = ready ? seen_data() : new Float64Array(0), { counts, covered, good } = spread(x);
    const all = C.forward(x, N), rule = OBJECTIVES[objective()][2], by_x = C.backward(all, last(all).map((c) => rule(c)[1]), N, false)[0].map((v) => -v || 0);
    const lengths = Array.from({ length: N }, (_, e) => Math.hypot(by_x[e], by_x[N + e])), push = sum(lengths) / N;
    layer.push(text(0, 16, `Round ${rounds} of the game`, "start", "dgm-head"), plot, box(x0, y0, side, side, "dgm-frame"));

    // The map behind the picture, and the line on which the critic is undecided.
    const scores = last(C.forward(mesh, M * M)), decide = ready ? decided(x) : sigmoid, D = Array.from(scores, decide), pixels = new ImageData(M, M);
    D.forEach((d, e) => pixels.data.set([...(d > 0.5 ? [0, 114, 178] : [230, 159, 0]), Math.round(290 * Math.abs(d - 0.5))], 4 * e));
    canvas.getContext("2d").putImageData(pixels, 0, 0);
    let contour = "";
    for (let row = 0; row < M - 1; row++) for (let column = 0; column < M - 1; column++) {
      const ring = [[0, 0], [1, 0], [1, 1], [0, 1]].map(([u, v]) => ({ u: middle(column + u), v: -middle(row + v), d: D[(row + v) * M + column + u] - 0.5 }));
      const cuts = ring.flatMap((p, i) => {
        const q = ring[(i + 1) % 4], part = p.d / (p.d - q.d);
        return p.d > 0 !== q.d > 0 ? [`${X(p.u + part * (q.u - p.u)).toFixed(1)} ${Y(p.v + part * (q.v - p.v)).toFixed(1)}`] : [];
      });
      for (let i = 0; i < cuts.length; i += 2) contour += `M${cuts[i]}L${cuts[i + 1]}`;
    }
    plot.append(path(contour, "dgm-undecided"));
    centres().forEach(([u, v], k) => plot.append(svg("circle", { cx: X(u), cy: Y(v), r: FAR * std * scale, class: `dgm-mode ${counts[k] >= N / 4 / K ? "" : "dgm-missed"}` })));
    const dots = Array.from({ length: real.length / 2 }, (_, e) => `M${X(real[e]).toFixed(1)} ${Y(real[REAL + e]).toFixed(1)}h0`).join("");
    const crosses = Array.from({ length: N }, (_, e) => `M${X(x[e]).toFixed(1)} ${Y(x[N + e]).toFixed(1)}m-3 -3l6 6m0 -6l-6 6`).join("");
    plot.append(path(dots, "dgm-real-edge dgm-blue"), path(dots, "dgm-real dgm-blue"), path(crosses, "dgm-fake dgm-red"));
    let shafts = "", heads = "";
    for (let e = 0; arrows && e < N; e += N / PUSHES) {
      const size = (0.75 * scale) / (1 + lengths[e]), dx = by_x[e] * size, dy = -by_x[N + e] * size, far = Math.hypot(dx, dy), h = Math.min(6, far / 2) / far, tip = [X(x[e]) + dx, Y(x[N + e]) + dy];
      if (far < 1.5) continue;
      shafts += `M${X(x[e]).toFixed(1)} ${Y(x[N + e]).toFixed(1)}L${(tip[0] - dx * h).toFixed(1)} ${(tip[1] - dy * h).toFixed(1)}`;
      heads += `M${tip[0].toFixed(1)} ${tip[1].toFixed(1)}l${((-dx - dy * 0.5) * h).toFixed(1)} ${((-dy + dx * 0.5) * h).toFixed(1)}l${(dy * h).toFixed(1)} ${(-dx * h).toFixed(1)}z`;
    }
    plot.append(path(shafts, "dgm-push"), path(heads, "dgm-push-head"));
    if (cursor) plot.append(path(`M${X(cursor[0])} ${Y(cursor[1])}m-10 0h7m6 0h7m-10 -10v7m0 6v7`, "dgm-frame"));
    ui.cover(x0, y0, side);
    ui.plane.setAttribute("class", `dgm-sheet ${pencil ? "dgm-paint" : "dgm-still"}`);
    ui.plane.setAttribute("aria-label", `plane of the data: arrow keys move a cross${cursor ? `, now at (${cursor.map((v) => number(v, 2)).join(", ")})` : ""}, Enter puts a mode there or takes it away`);

    const lx = narrow ? x0 : x0 + side + 28, room = width - lx - 2;
    let y = narrow ? y0 + side + 28 : 16;
    // What the signs mean.
    const signs = [
      [svg("g", { class: "dgm-blue" }, path("M9 -5h0", "dgm-real-edge"), path("M9 -5h0", "dgm-real")), "data"],
      [path("M5 -9l8 8m0 -8l-8 8", "dgm-fake dgm-red"), "sample G(z)"],
      [box(1, -13, 16, 16, "dgm-veil dgm-blue", { style: "fill-opacity: .57" }), "called data"],
      [box(1, -13, 16, 16, "dgm-veil dgm-orange", { style: "fill-opacity: .57" }), "called fake"],
      [svg("circle", { cx: 9, cy: -5, r: 8, class: "dgm-mode" }), "mode covered"],
      [svg("circle", { cx: 9, cy: -5, r: 8, class: "dgm-mode dgm-missed" }), "mode missed"],
      [line(0, -5, 18, -5, "dgm-undecided"), "undecided"],
      [svg("g", {}, path("M0 -5H14", "dgm-push"), path("M18 -5l-6 3v-6z", "dgm-push-head")), "push on a sample"],
    ];
    signs.forEach(([sign, words], n) => layer.push(svg("g", { transform: `translate(${lx + ((n % 2) * room) / 2} ${y + 22 * Math.floor(n / 2)})` }, sign, text(26, 0, words, "start", "dgm-small"))));
    y += 22 * 4 + 14;
    // Modes and good samples over rounds.
    const high = slide ? 60 : narrow ? 100 : clamp(side - 290, 70, 130), left = lx + 34, wide = room - 40, end = Math.max(rounds, 100), at = (r) => left + (wide * r) / end, up = (share) => y + 10 + (1 - share) * high;
    layer.push(text(lx, y, "Modes covered", "start", "dgm-head"), line(lx + 132, y - 5, lx + 154, y - 5, "dgm-edge dgm-green"), text(lx + 170, y, "within 3 σ", "start", "dgm-head"), line(lx + 262, y - 5, lx + 290, y - 5, "dgm-edge dgm-dash dgm-red"));
    y += 6;
    for (const share of [0, 0.5, 1]) layer.push(line(left, up(share), left + wide, up(share)), text(left - 5, up(share) + 5, `${100 * share}%`, "end", "dgm-small"));
    const curve = (what) => history.map((one, i) => `${i ? "L" : "M"}${at(one.rounds).toFixed(1)} ${up(one[what]).toFixed(1)}`).join("");
    if (history.length) layer.push(path(curve("good"), "dgm-edge dgm-dash dgm-red"), path(curve("covered"), "dgm-edge dgm-green"));
    layer.push(text(left, up(0) + 18, "0", "start", "dgm-small"), text(left + wide, up(0) + 18, `${end} rounds`, "end", "dgm-small"));
    y = up(0) + 46;
    // Learning rates and the weight of the penalty.
    ui.track = lx + 14;
    ui.reach = room - 28;
    ui.knobs.forEach(({ name, label, list, at, knob }, k) => {
      layer.push(text(lx, y, label[0].toUpperCase() + label.slice(1), "start", k === 2 && !model.get("penalty") ? "dgm-small" : ""), text(lx + room, y, k === 2 && !model.get("penalty") ? "no penalty" : String(model.get(name)), "end", "dgm-strong"), line(ui.track, y + 17, ui.track + ui.reach, y + 17, "dgm-axis"));
      knob.place(ui.track + (ui.reach * at()) / (list.length - 1), y + 17, `M${lx} ${y + 4}h${room}v26h${-room}z`);
      y += slide ? 44 : 50;
    });
    const height = Math.max(y0 + side + 4, y - 14);
    ui.size(width, height);
    const share = (v) => `${(100 * v) / width}%`; // all of the width: on a slide the picture is lower than its place
    Object.assign(canvas.style, { left: share(x0), top: 0, marginTop: share(y0), width: share(side), aspectRatio: 1 });

    const percent = `${Math.round(100 * good)} %`;
    ui.read([
      ["round", String(rounds), `steps ${steps[0]} : ${steps[1]}`],
      ["modes covered", `${covered} of ${K}`, "", "dgm-green"],
      ["samples within 3 σ", percent, "of true draws 99 %", "dgm-red"],
      ["mean length of the arrows", brief(push)],
      ["losses of critic, generator", [0, 1].map((i) => (losses[i] === undefined ? "–" : number(losses[i]))).join(", ")],
    ]);
    const breadth = ready ? radius(x, N) / radius(real, REAL) : 0, told = `${covered} of ${plural(K, "mode")} ${covered === 1 ? "is" : "are"} covered, and ${percent} of samples are within 3 σ of a mode.`;
    ui.say(!ready ? "There is nothing to learn from. Paint into the plane where data should be, or choose some."
      : !steps[0] ? "The critic has not learned yet: it calls everything as much data as fake, and no sample is pushed anywhere."
        : K > 1 && steps[1] >= 50 && breadth < 0.3 ? `Collapsed: all samples lie nearly in one place. ${told}`
          : objective() === "minimax" && push < 0.02 ? `${told} The critic is so sure that the generator's loss has hardly any slope: the arrows have vanished.`
            : K > 1 && covered === K && good > 0.75 ? `Learned: ${told}` : told);
    const still = playing === undefined && { weights: { critic: [...C.w], generator: [...G.w] }, x: [...x], real: [...real], arrows: [...by_x], scores: [...scores], D };
    ui.expose({
      rounds, steps, losses, counts, covered, good, push, breadth, samples: N, centres: centres(), data: model.get("data"), objective: objective(), penalty: model.get("penalty"), weight: model.get("weight"),
      lr: [model.get("lr_critic"), model.get("lr_generator")], turns: model.get("turns"), history: history.length, playing: playing !== undefined, shown: arrows, pencil, cursor, ...still,
    });
  }

  const done = frame({ model, el, title: "The game of generator and critic", traits: ["data", "centres", "objective", "penalty", "weight", "lr_critic", "lr_generator", "turns"], start, draw });
  return () => {
    stop();
    watch.disconnect();
    done();
  };
}
