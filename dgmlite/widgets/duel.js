// A density is a list of parts, [weight, mean, width].
const logPart = (x, [weight, mean, width]) =>
  Math.log(weight / width) - 0.5 * ((x - mean) / width) ** 2 - 0.5 * Math.log(2 * Math.PI);
const logAdd = (a, b) => Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b)));
const logDensity = (parts) => (x) => parts.map((part) => logPart(x, part)).reduce(logAdd);
// d log density / dx.
const slopeOf = (parts) => (x) => {
  const all = logDensity(parts)(x);
  return sum(parts.map((part) => (Math.exp(logPart(x, part) - all) * (part[1] - x)) / part[2] ** 2));
};
const softplus = (v) => Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v)));
const sigmoid = (v) => (v > 0 ? 1 / (1 + Math.exp(-v)) : Math.exp(v) / (1 + Math.exp(v)));

// E under a density of each number of f(x), a list, by the trapezoid rule, ten widths beyond the parts: the integrands
// are smooth and vanish at both ends, so its error is that of rounding.
function expect(parts, f, points = 2000) {
  const edge = (sign) => Math.max(...parts.map(([, mean, width]) => sign * mean + 10 * width));
  const low = -edge(-1), step = (edge(1) - low) / points, log = logDensity(parts), totals = [];
  for (let k = 0; k <= points; k++) {
    const x = low + k * step, weight = Math.exp(log(x)) * step;
    f(x).forEach((value, n) => { totals[n] = (totals[n] ?? 0) + weight * value; });
  }
  return totals;
}

// log p/q and its slope; all numbers of the game, with the names of the docstring.
function ratio(p, q) {
  const [logP, logQ, slopeP, slopeQ] = [...[p, q].map(logDensity), ...[p, q].map(slopeOf)];
  return { log: (x) => logP(x) - logQ(x), slope: (x) => slopeP(x) - slopeQ(x) };
}
function play(p, [mean, width], strength) {
  const q = [[1, mean, width]], r = ratio(p, q);
  const push = (x) => {
    const D = sigmoid(strength * r.log(x)), slope = strength * r.slope(x);
    return [D * slope, (1 - D) * slope];
  };
  const [kl_pq, cost_p, hurried_p] = expect(p, (x) => [r.log(x), softplus(-r.log(x)), softplus(-strength * r.log(x))]);
  const [kl_qp, cost_q, hurried_q, one, two] = expect(q, (x) =>
    [-r.log(x), softplus(r.log(x)), softplus(strength * r.log(x)), ...push(x).map((v) => -v)]);
  const value = -hurried_p - hurried_q;
  return {
    kl_pq: Math.max(kl_pq, 0), kl_qp: Math.max(kl_qp, 0), js: Math.max(Math.LN2 - (cost_p + cost_q) / 2, 0),
    value, seen: Math.LN2 + value / 2, minimax: one, nonsaturating: two, push,
  };
}
// JS, and what a critic of this strength sees of it, for q at m: fewer points are enough for a picture.
function seenAt(p, m, width, strength) {
  const q = [[1, m, width]], { log } = ratio(p, q), costs = (sign) => (x) =>
    [softplus(sign * log(x)), softplus(sign * strength * log(x))];
  const [a, b] = [expect(p, costs(-1), 400), expect(q, costs(1), 400)];
  return [0, 1].map((n) => Math.LN2 - (a[n] + b[n]) / 2);
}

function render({ model, el }) {
  const LOW = -5.5, HIGH = 9.5, MEAN = [-4, 8], QUANTILES = [-1.2815515655446004, -0.5244005127080407, 0,
    0.5244005127080407, 1.2815515655446004];
  const task = model.get("task"), sliders = {}, KINDS = [["minimax", "red"], ["non-saturating", "green"]];
  const power = (_, n) => `·10⁻${[...n].map((d) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[d]).join("")}`;
  const size = (v) => (v && Math.abs(v) < 9.95e-4 ? mark(v.toExponential(1).replace(/e-(\d+)/, power)) : number(v, 3));
  const share = ({ minimax, nonsaturating }) => (Math.abs(nonsaturating) > 1e-12 ? minimax / nonsaturating : NaN);
  const per_cent = (v) => (Number.isNaN(v) ? "—" : `${number(100 * v, Math.abs(v) < 0.1 ? 2 : 0)} %`);
  let past = {};

  function start(ui) {
    const [mean, width, strength] = model.get("initial");
    ui.initial = { p: model.get("initial_p"), q: [mean, width], strength };
    if (task) ui.root.insertBefore(html("p", { class: "dgm-task" }, html("b", {}, "Task: "), task), ui.stage);
    const one = [[1, 0, 1]], two = [[0.5, -2, 0.6], [0.5, 2, 0.6]];
    ui.group("examples", () => {
      ui.button("one bump", () => ui.set({ p: one }));
      ui.button("two bumps", () => ui.set({ p: two }));
      ui.button("q near", () => ui.set({ q: [1, 1] }));
      ui.button("q far", () => ui.set({ q: [6, 1] }));
      ui.button("hurried critic", () => ui.set({ strength: 0.1 }));
      ui.button("best critic", () => ui.set({ strength: 1 }));
    });
    const told = () => `JS ${number(ui.now.js)}; slopes: minimax ${size(ui.now.minimax)}, non-saturating `
      + size(ui.now.nonsaturating);
    const place = ({ x }) => LOW + (x / ui.main) * (HIGH - LOW);
    const add = (name, label, min, max, step, get, set, value) => {
      sliders[name] = ui.slider({ label, min, max, step, get, set, value, text: () => `${number(get(), 2)}; ${told()}` });
    };
    const q = (k) => model.get("q")[k];
    add("mean", "mean of q", ...MEAN, 0.1, () => q(0), (to) => ui.set({ q: [to, q(1)] }), place);
    add("width", "width of q", 0.3, 2, 0.05, () => q(1), (to) => ui.set({ q: [q(0), to] }), (at) => place(at) - q(0));
    add("strength", "strength of the critic", 0, 1, 0.01, () => model.get("strength"),
      (strength) => ui.set({ strength }), ({ x }) => (x - ui.track) / ui.reach);
  }

  function draw(ui, width) {
    const p = model.get("p"), q = model.get("q"), strength = model.get("strength"), [m, s] = q, layer = ui.layer;
    const now = (ui.now = play(p, q, strength)), r = ratio(p, [[1, ...q]]), D = (x) => sigmoid(strength * r.log(x));
    const narrow = width < 640, slide = ui.root.closest(".reveal"), main = narrow ? width : Math.round(0.6 * width);
    const grid = Array.from({ length: 361 }, (_, k) => LOW + ((HIGH - LOW) * k) / 360);
    const X = (x) => ((x - LOW) / (HIGH - LOW)) * main;
    const curve = (f, Y) => grid.map((x, k) => `${k ? "L" : "M"}${X(x).toFixed(1)} ${Y(f(x)).toFixed(1)}`).join("");
    ui.main = main;

    // The two densities, and below them, on the same axis, the critic.
    const top = 30, high = slide ? 96 : 130, base = top + high, [P, Q] = [p, [[1, ...q]]].map(logDensity);
    const most = Math.max(0.45, ...grid.map((x) => Math.max(Math.exp(P(x)), Math.exp(Q(x))))) * 1.05;
    const Y = (log) => base - (Math.exp(log) / most) * high, hills = [curve(P, Y), curve(Q, Y)];
    const closed = (d) => `${d}V${base}H0z`;
    layer.push(path("M0 10h28", "dgm-edge dgm-blue"), text(35, 15, "p, data", "start", "dgm-head"),
      path("M104 10h28", "dgm-edge dgm-orange dgm-dash"), text(139, 15, width < 330 ? "q, yours" : "q, samples: yours", "start", "dgm-head"),
      path(closed(hills[0]), "dgm-veil dgm-blue"), path(closed(hills[1]), "dgm-veil dgm-orange"),
      path(hills[0], "dgm-edge dgm-blue"), path(hills[1], "dgm-edge dgm-orange dgm-dash"),
      line(0, base, main, base, "dgm-axis"));
    for (let x = Math.ceil(LOW); x < HIGH; x++) layer.push(line(X(x), base, X(x), base + 4, "dgm-axis"));
    for (let x = -4; x < HIGH; x += 2) layer.push(text(X(x), base + 18, number(x, 0), "middle", "dgm-small"));
    sliders.mean.place(X(m), Y(Q(m)), closed(hills[1]));
    sliders.width.place(X(m + s), Y(Q(m + s)));

    const c_top = base + 48, tall = slide ? 46 : 64, floor = c_top + tall, C = (v) => floor - v * tall;
    layer.push(text(0, c_top - 9, strength === 1 ? "best critic, D = p/(p + q)" : "critic, D = σ(strength · log p/q)",
      "start", "dgm-head"));
    for (const v of [0, 0.5, 1]) layer.push(line(0, C(v), main, C(v), v ? "dgm-line" : "dgm-axis"));
    layer.push(text(main - 2, C(1) + 14, "1", "end", "dgm-small"), text(main - 2, C(0.5) + 14, "½", "end", "dgm-small"));
    if (strength < 1) layer.push(path(curve((x) => sigmoid(r.log(x)), C), "dgm-guide"));
    layer.push(path(curve(D, C), "dgm-edge dgm-purple"));

    // What the critic does to samples: an arrow each.
    const samples = QUANTILES.map((z) => m + s * z), pushes = samples.map(now.push), row = slide ? 7 : 9;
    for (const x of samples) layer.push(svg("circle", { cx: X(x), cy: C(D(x)), r: 3.2, class: "dgm-mark" }));
    let y = floor + 24;
    KINDS.forEach(([name, colour], n) => {
      layer.push(text(0, y, `push on samples, ${name}`, "start", "dgm-head"));
      samples.forEach((x, i) => {
        const push = pushes[i][n], at = y + 12 + i * row, from = X(x), to = clamp(X(x + push), 0, main);
        const far = to - from, head = Math.sign(far) * Math.min(7, Math.abs(far));
        layer.push(svg("circle", { cx: from, cy: at, r: 3.2, class: "dgm-mark" }));
        if (Math.abs(far) > 0.5) layer.push(path(`M${from} ${at}H${to - head / 2}`, `dgm-push dgm-${colour}`),
          path(`M${to} ${at}l${-head} -4v8z`, `dgm-tip dgm-${colour}`));
      });
      y += 12 + 5 * row + 18;
    });
    y -= 6;
    layer.push(text(0, y, "push: −d loss/dx, as long on the axis", "start", "dgm-small"));

    // JS over the mean of q, under its ceiling.
    const left = narrow ? 34 : main + 66, across = width - left - 8, j_top = (narrow ? y + 22 : 0) + 32;
    const j_high = slide ? 150 : narrow ? 120 : 190, j_base = j_top + j_high, M = (v) => left + ((v - MEAN[0]) / 12) * across;
    const J = (v) => j_base - (v / 0.75) * j_high, key = JSON.stringify([p, s, strength]);
    if (past.key !== key) {
      past = { key, curves: Array.from({ length: 49 }, (_, k) => seenAt(p, MEAN[0] + k / 4, s, strength)) };
    }
    const track = (n) => `M${past.curves.map((v, k) => `${M(MEAN[0] + k / 4).toFixed(1)} ${J(v[n]).toFixed(1)}`).join("L")}`;
    layer.push(text(left - 34, j_top - 18, "JS over the mean of q", "start", "dgm-head"), line(left, j_base, left + across, j_base, "dgm-axis"));
    for (const v of [0, 0.2, 0.4, 0.6]) layer.push(line(left, J(v), left + across, J(v)),
      text(left - 6, J(v) + 5, v ? String(v) : "0", "end", "dgm-small"));
    for (let v = MEAN[0]; v <= MEAN[1]; v += 4) layer.push(line(M(v), j_base, M(v), j_base + 4, "dgm-axis"),
      text(M(v), j_base + 18, number(v, 0), "middle", "dgm-small"));
    layer.push(line(left, J(Math.LN2), left + across, J(Math.LN2), "dgm-guide"),
      text(M(0), J(Math.LN2) - 6, "log 2 = 0.693", "middle", "dgm-small"), path(track(0), "dgm-edge dgm-blue"));
    if (strength < 1) layer.push(path(track(1), "dgm-edge dgm-purple dgm-dash"),
      svg("circle", { cx: M(m), cy: J(now.seen), r: 5, class: "dgm-dot" }));
    layer.push(svg("circle", { cx: M(m), cy: J(now.js), r: 6, class: "dgm-mark" }));
    if (strength < 1) layer.push(path(`M${left - 34} ${j_base + 36}h28`, "dgm-edge dgm-purple dgm-dash"),
      text(left, j_base + 41, "what this critic sees of it", "start", "dgm-small"));

    const k_y = j_base + 90;
    [ui.track, ui.reach] = [left, across - 8];
    layer.push(text(left - 34, k_y - 24, `strength of the critic: ${number(strength, 2)}`, "start", "dgm-head"),
      line(left, k_y, left + ui.reach, k_y, "dgm-axis"));
    for (const [v, words, anchor] of [[0, "0: D = ½", "start"], [1, "1: the best", "end"]]) {
      layer.push(line(left + v * ui.reach, k_y - 5, left + v * ui.reach, k_y + 5, "dgm-axis"),
        text(left + v * ui.reach, k_y + 30, words, anchor, "dgm-small"));
    }
    sliders.strength.place(left + strength * ui.reach, k_y, `M${left - 10} ${k_y - 16}h${ui.reach + 20}v32h${-ui.reach - 20}z`);
    ui.size(width, Math.max(y, k_y + 30) + 8);

    const hurried = strength < 1 ? `; this critic sees ${number(now.seen)}` : "";
    ui.read([
      ["value of the game", number(now.value), "nats"],
      ["JS(p, q)", number(now.js), `nats, at most 0.693${hurried}`, "dgm-blue"],
      ["KL(q ‖ p)", number(now.kl_qp), "nats, no limit"],
      ["slope by q’s mean, minimax", size(now.minimax), `${per_cent(share(now))} of the other`, "dgm-red"],
      ["slope, non-saturating", size(now.nonsaturating), "", "dgm-green"],
    ]);
    const [one, other] = now.push(m).map(size);
    ui.say(now.kl_qp < 1e-9 ? "q equals p: the best critic says ½ everywhere, JS and KL are zero, and nothing pushes."
      : strength === 0 ? "A critic of strength 0 says ½ everywhere: it pushes nothing, and the generator learns nothing."
        : `At the middle of the samples D is ${size(D(m))}: minimax pushes with ${one}, the other loss with ${other}. `
          + (strength < 1 ? `This critic sees ${number(now.seen)} of JS ${number(now.js)}.`
            : `JS is ${size(Math.LN2 - now.js)} below log 2${Math.LN2 - now.js < 0.02 ? ": it hardly tells how far apart" : ""}.`));
    const { push, ...shown } = now;
    ui.expose({ p, q, strength, ...shown, share: share(now), samples, pushes, D: samples.map(D) });
  }

  return frame({ model, el, title: "The critic’s duel on a line", traits: ["p", "q", "strength"], start, draw });
}
