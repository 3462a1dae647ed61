// Number t + 1 of the generator mulberry32, started at seed · 0x9e3779b1.
function uniform(seed, t) {
  let a = (Math.imul(seed, 0x9e3779b1) + Math.imul(t + 1, 0x6d2b79f5)) | 0;
  a = Math.imul(a ^ (a >>> 15), a | 1);
  a ^= a + Math.imul(a ^ (a >>> 7), a | 61);
  return ((a ^ (a >>> 14)) >>> 0) / 4294967296;
}
function noises(seed, count) {
  const result = new Float64Array(count);
  for (let k = 0; k < count; k += 2) {
    const far = Math.sqrt(-2 * Math.log1p(-uniform(seed, k))), turn = 2 * Math.PI * uniform(seed, k + 1);
    result[k] = far * Math.cos(turn);
    if (k + 1 < count) result[k + 1] = far * Math.sin(turn);
  }
  return result;
}

// What follows from the log-SNRs λ_0 = ∞ … λ_T of a schedule.
function schedule(lambda) {
  const log_alpha_bar = lambda.map((v) => -Math.log1p(Math.exp(-v)));
  return {
    lambda,
    alpha: lambda.map((v) => Math.sqrt(1 / (1 + Math.exp(-v)))),
      sigma: lambda.map((v) => Math.sqrt(1 / (1 + Math.exp(v)))),
    beta: lambda.map((_, t) => (t ? -Math.expm1(log_alpha_bar[t] - log_alpha_bar[t - 1]) : 0)),
  };
}

function render({ model, el }) {
  const [H, W] = model.get("shape"), D = H * W, T = model.get("T"), task = model.get("task"), PATH = 1,
    JUMP = model.get("seed");
  const bytes = (name) => Uint8Array.from(atob(model.get(name)), (letter) => letter.charCodeAt(0));
  const levels = bytes("images"), curves = new Float64Array(bytes("log_snr").buffer);
  const images = Array.from({ length: levels.length / D },
    (_, n) => Array.from(levels.slice(n * D, (n + 1) * D), (v) => (2 * v) / (model.get("levels") - 1) - 1));
  const KINDS = [["log-snr", "log-SNR", "blue", ""], ["linear", "linear", "orange", "dgm-dash"],
    ["cosine", "cosine", "green", "dgm-pricked"]];
  const schedules = KINDS.map((_, k) => schedule(Array.from(curves.slice(k * (T + 1), (k + 1) * (T + 1)))));
  const small = noises(PATH, T * D), kind = () => Math.max(KINDS.findIndex(([name]) => name === model.get("kind")), 0);
  // The scale of log-SNRs; the cosine's last steps may leave it.
  const TOP = 2 * Math.ceil(Math.max(...schedules.map(({ lambda }) => lambda[1])) / 2),
    FOOT = 2 * Math.floor(Math.min(...schedules.slice(0, 2).map(({ lambda }) => lambda[T])) / 2);

  function path_to(x, { beta }, t) {
    let z = x;
    for (let s = 1; s <= t; s++) {
      const keep = Math.sqrt(1 - beta[s]), add = Math.sqrt(beta[s]);
      z = z.map((v, i) => keep * v + add * small[(s - 1) * D + i]);
    }
    return z;
  }

  // −1 is white, 1 is black.
  const dots = (values, x, y, side) => {
    const group = svg("g", { "shape-rendering": "crispEdges" });
    values.forEach((v, i) => {
      const ink = { "fill-opacity": clamp((v + 1) / 2, 0, 1).toFixed(3) };
      if (v > -1) group.append(box(x + (i % W) * side, y + Math.floor(i / W) * side, side, side, "dgm-print", ink));
    });
    return [box(x, y, W * side, H * side, "dgm-page"), group];
  };
  const icon = (values) => svg("svg", { class: "dgm-icon", viewBox: `-.1 -.1 ${W + 0.2} ${H + 0.2}`,
    "aria-hidden": "true" }, ...dots(values, 0, 0, 1));
  let slide_t;

  function start(ui) {
    ui.initial = { image: 0, kind: "log-snr", time: T >> 1, seed: JUMP, marks: [-1, -1, -1] };
    if (task) ui.root.insertBefore(html("p", { class: "dgm-task" }, html("b", {}, "Task: "), task), ui.stage);
    ui.group("picture", () => images.forEach((x, n) => {
      const node = ui.button(icon(x), () => ui.set({ image: n }),
        { class: "dgm-pictured", "aria-label": `picture ${n + 1}`, title: `picture ${n + 1}` });
      ui.onDraw(() => node.setAttribute("aria-pressed", String(model.get("image") === n)));
    }));
    ui.group("schedule", () => KINDS.forEach(([name, words]) => {
      const node = ui.button(words, () => ui.set({ kind: name }));
      ui.onDraw(() => node.setAttribute("aria-pressed", String(model.get("kind") === name)));
    }));
    ui.group("jump and marks", () => {
      ui.button("new jump", () => ui.set({ seed: model.get("seed") + 1 }));
      const toggle = (m, k) => (k !== kind() ? m : m === model.get("time") ? -1 : model.get("time"));
      const node = ui.button("mark t", () => ui.set({ marks: model.get("marks").map(toggle) }));
      ui.onDraw(() => node.setAttribute("aria-pressed", String(model.get("marks")[kind()] === model.get("time"))));
    });
    slide_t = ui.slider({
      label: "t, steps of noise", min: 0, max: T, step: 1, get: () => model.get("time"),
      set: (to) => ui.set({ time: Math.round(to) }), value: (point) => ((point.x - ui.left) / ui.across) * T,
      text: () => `${model.get("time")} of ${T}; log-SNR ${number(ui.now, 2)}`,
    });
  }

  function draw(ui, width) {
    const t = clamp(model.get("time"), 0, T), k = kind(), now = schedules[k],
      x = images[model.get("image")] ?? images[0], layer = ui.layer, narrow = width < 560, tiny = width < 330;
    const alpha = now.alpha[t], sigma = now.sigma[t], beta = now.beta[t], lambda = (ui.now = now.lambda[t]),
      marks = model.get("marks");
    const walked = path_to(x, now, t), epsilon = noises(model.get("seed"), D),
      jumped = x.map((v, i) => alpha * v + sigma * epsilon[i]);

    // The picture and z_t, by both ways.
    const slide = ui.root.closest(".reveal"), gap = narrow ? 14 : 40,
      side = Math.min((width - 2 * gap) / 3, slide ? 150 : 200) / Math.max(H, W),
      apart = Math.min((width - W * side) / 2, W * side + 110), y = 44;
    [["x", "the picture", x], [tiny ? "in steps" : "step by step", `z_t, ${plural(t, "step")}`, walked],
      [tiny ? "in a jump" : "in one jump", `${tiny ? "" : "z_t = "}α x + σ ε`, jumped],
    ].forEach(([name, words, values], n) => {
      layer.push(text(n * apart, 14, name, "start", "dgm-head"), text(n * apart, 33, words, "start", "dgm-small"),
        ...dots(values, n * apart, y, side));
    });

    // log-SNR over t of all schedules; the chosen one on top.
    const head = y + H * side + (tiny ? 54 : 34), top = head + 14, high = slide ? 120 : narrow ? 140 : 160,
      base = top + high, left = (ui.left = 34), across = (ui.across = width - left - 12);
    const X = (s) => left + (s / T) * across, Y = (v) => base - (clamp((v - FOOT) / (TOP - FOOT), 0, 1)) * high;
    layer.push(text(0, tiny ? head - 24 : head, narrow ? "log-SNR" : "log-SNR, log α²/σ²", "start", "dgm-head"));
    for (let v = 4 * Math.ceil(FOOT / 4); v <= TOP; v += 4) {
      layer.push(line(left, Y(v), left + across, Y(v), v ? "dgm-line" : "dgm-guide"),
        text(left - 8, Y(v) + 5, number(v, 0), "end", "dgm-small"));
    }
    layer.push(line(left, base, left + across, base, "dgm-axis"));
    for (let n = 0; n <= 4; n++) {
      const s = Math.round((n * T) / 4);
      layer.push(line(X(s), base, X(s), base + 6, "dgm-axis"),
        text(X(s), base + 36, `${n ? "" : "t = "}${s}`, n === 4 ? "end" : "middle", "dgm-small"));
    }
    const view = svg("svg", { x: 0, y: top - 3, width, height: high + 3, overflow: "hidden" }),
      moved = svg("g", { transform: `translate(0 ${3 - top})` });
    const look = (n) => `dgm-course dgm-${KINDS[n][2]} ${KINDS[n][3]} ${n === k ? "dgm-on" : ""}`;
    const order = [...KINDS.keys()].sort((a, b) => (a === k) - (b === k));
    for (const n of order) {
      const place = (v, s) => `${X(s + 1).toFixed(1)} ${(base - ((v - FOOT) / (TOP - FOOT)) * high).toFixed(1)}`;
      moved.append(path(`M${schedules[n].lambda.slice(1).map(place).join("L")}`, look(n)));
    }
    view.append(moved);
    layer.push(view);
    let end = width;
    for (const n of [2, 1, 0]) {
      const x0 = end - (n ? 84 : 98);
      layer.push(path(`M${x0} ${head - 5}h24`, look(n)),
        text(x0 + 30, head, KINDS[n][1], "start", n === k ? "dgm-strong" : "dgm-small"));
      end = x0 - 8;
    }
    layer.push(line(X(t), top, X(t), base, "dgm-guide"));
    marks.forEach((m, n) => {
      if (m >= 0) layer.push(path(`M${X(m)} ${Y(schedules[n].lambda[m])}l7 -13h-14z`, `dgm-flag dgm-${KINDS[n][2]}`));
    });
    layer.push(svg("circle", { cx: X(t), cy: Y(lambda), r: 6, class: "dgm-dot" }));
    slide_t.place(X(t), base, `M${left} ${top}h${across}v${high + 20}h${-across}z`);
    ui.size(width, base + 42);

    const size = (v) => (v === Infinity ? "∞" : v < 9.95 ? v.toFixed(1) : v < 1e5 ? v.toFixed(0) : "over 100,000");
    ui.read([
      ["α_t", number(alpha, 3), "times x"], ["σ_t", number(sigma, 3), "times ε"],
      ["log-SNR", number(lambda, 2), "log α²/σ²", `dgm-${KINDS[k][2]}`],
      ["β_t", number(beta, 4), "added by this step"],
    ]);
    const told = marks.flatMap((m, n) =>
      (m < 0 ? [] : [`${KINDS[n][1]} at t = ${m}, log-SNR ${number(schedules[n].lambda[m], 1)}`]));
    const strength = Math.abs(lambda) < 0.05 ? "signal and noise are equally strong, α² = σ²"
      : lambda > 0 ? `α² is ${size(Math.exp(lambda))} times σ²` : `σ² is ${size(Math.exp(-lambda))} times α²`;
    ui.say((t === 0 ? "At t = 0 there is no noise: z_0 is the picture itself."
      : `At t = ${t}, ${strength}. ${plural(t, "small step")} and one jump end in different noise, equally strong.`)
      + (told.length ? ` Marked: ${told.join("; ")}.` : ""));
    ui.expose({ image: model.get("image"), kind: KINDS[k][0], t, seed: model.get("seed"), marks, alpha, sigma, beta,
      log_snr: lambda, walked, jumped, epsilon: Array.from(epsilon) });
  }

  return frame({ model, el, title: "A picture drowns in noise", traits: ["image", "kind", "time", "seed", "marks"],
    start, draw });
}
