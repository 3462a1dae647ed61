// z takes the values of the grid, and each distribution is a list of log-probabilities of these. q ∝ exp(−(z − m)² / 2s²).
function evidence(z, logPrior, logLikelihood) {
  const G = z.length, width = z[G - 1] - z[0], spacing = width / (G - 1);
  const logSum = (values) => {
    const most = Math.max(...values);
    return most + Math.log(sum(values.map((v) => Math.exp(v - most))));
  };
  const joint = logPrior.map((v, i) => v + logLikelihood[i]), log_px = logSum(joint), logPosterior = joint.map((v) => v - log_px);
  const limits = { mean: [z[0] + 0.1 * width, z[G - 1] - 0.1 * width], std: [spacing, width / 5] };

  // Both splits, and the derivatives of the bound's two terms: ∂ E_q[h] = E_q[h ∂ log q], where ∂ log q is the gain of
  // the unnormalised log q less its mean.
  function discrete(m, s) {
    const raw = z.map((v) => -0.5 * ((v - m) / s) ** 2), total = logSum(raw), logQ = raw.map((v) => v - total), q = logQ.map(Math.exp);
    return { q, logQ, under: (h) => q.reduce((all, p, i) => all + (p > 0 ? p * h(i) : 0), 0) };
  }
  function split(m, s) {
    const { q, logQ, under } = discrete(m, s), cost = (i) => logQ[i] - logPrior[i], expected = under((i) => logLikelihood[i]), kl_prior = under(cost);
    const gains = { mean: (i) => (z[i] - m) / (s * s), std: (i) => (z[i] - m) ** 2 / s ** 3 }, pulls = {};
    for (const [name, gain] of Object.entries(gains)) {
      const even = under(gain);
      pulls[name] = { likelihood: under((i) => (gain(i) - even) * logLikelihood[i]), prior: -under((i) => (gain(i) - even) * cost(i)) };
    }
    return { q, expected, kl_prior, elbo: expected - kl_prior, kl_posterior: under((i) => logQ[i] - logPosterior[i]), pulls };
  }

  // The best q: over a mesh, its stds in equal ratios, then around the best with steps that halve.
  function search() {
    const [low, high] = limits.mean, [thin, wide] = limits.std;
    let best, most = -Infinity;
    const look = (m, s) => {
      const { logQ, under } = discrete(m, s), bound = under((i) => joint[i] - logQ[i]), better = bound > most;
      if (better) [best, most] = [[m, s], bound];
      return better;
    };
    for (let i = 0; i <= 60; i++) for (let j = 0; j <= 16; j++) look(low + ((high - low) * i) / 60, thin * (wide / thin) ** (j / 16));
    for (let step = width / 100; step > 1e-8 * width;) {
      const [m, s] = best;
      let better = false;
      for (let k = 0; k < 9; k++) better = look(clamp(m + ((k % 3) - 1) * step, low, high), clamp(s + (Math.floor(k / 3) - 1) * step, thin, wide)) || better;
      if (!better) step /= 2;
    }
    return { mean: best[0], std: best[1], ...split(...best) };
  }
  return { spacing, limits, log_px, logPosterior, split, search };
}

function render({ model, el }) {
  const list = (name) => Array.from(new Float64Array(Uint8Array.from(atob(model.get(name)), (c) => c.charCodeAt(0)).buffer));
  const z = list("z"), logPrior = list("log_prior"), logLikelihood = list("log_likelihood"), task = model.get("task");
  const exact = evidence(z, logPrior, logLikelihood), { spacing, limits, log_px, split } = exact, best = exact.search();
  const LOW = z[0], HIGH = z.at(-1), nice = (size) => {
    const ten = 10 ** Math.floor(Math.log10(size));
    return [1, 2, 5, 10].map((n) => n * ten).find((v) => v >= size * 0.999);
  };
  const density = (logs) => logs.map((v) => Math.exp(v) / spacing), posterior = density(exact.logPosterior), prior = density(logPrior);
  const most = Math.max(...logLikelihood), likelihood = logLikelihood.map((v) => Math.exp(v - most)), peak = Math.max(...posterior);
  // The scale of nats never moves, so that log p(x) does not either.
  const first = split(...model.get("initial")), right = clamp(most - log_px, 0.3, 2 * (best.expected - log_px) + 0.5);
  const scale = [log_px - Math.max(2 * right, Math.min(1.2 * first.kl_posterior, 6 * right)), log_px + right * 1.1];
  const sliders = {};

  function start(ui) {
    const [mean, std] = model.get("initial");
    ui.initial = { mean, std, bits: false };
    if (task) ui.root.insertBefore(html("p", { class: "dgm-task" }, html("b", {}, "Task: "), task), ui.stage);
    ui.group("q", () => ui.button("best q", () => ui.set({ mean: best.mean, std: best.std })));
    ui.units();
    const place = (point) => LOW + (point.x / ui.across) * (HIGH - LOW), step = nice((HIGH - LOW) / 250);
    for (const [name, label, value] of [["mean", "mean of q", place], ["std", "width of q", (point) => place(point) - model.get("mean")]]) {
      sliders[name] = ui.slider({
        label, min: limits[name][0], max: limits[name][1], step, value, get: () => model.get(name), set: (to) => ui.set({ [name]: to }),
        text: () => `${number(model.get(name), 2)}; gap ${number(ui.shown(ui.now.kl_posterior))}, ELBO ${number(ui.shown(ui.now.elbo))} ${ui.unit()}`,
      });
    }
  }

  function draw(ui, width) {
    const m = model.get("mean"), s = model.get("std"), now = (ui.now = split(m, s)), { elbo, expected, kl_prior, kl_posterior: gap, pulls } = now;
    const layer = ui.layer, narrow = width < 560, unit = ui.unit(), nats = (v, digits = 3) => number(ui.shown(v), digits);
    ui.across = width;

    // Four curves over z.
    [["posterior p(z | x)", "blue"], ["q(z), yours", "orange"], ["prior p(z)", "purple"], ["likelihood p(x | z), scaled".slice(0, narrow ? 19 : 99), "green"]].forEach(([name, colour], k) => {
      const x = narrow ? 146 * (k % 2) : [0, 166, 292, 400][k], y = narrow && k > 1 ? 34 : 12;
      if (k === 0) layer.push(box(x, y - 7, 18, 14, "dgm-veil dgm-blue"));
      layer.push(path(`M${x} ${k ? y : y - 7}h18`, `dgm-${k < 2 ? "edge" : "thin"} dgm-${colour} ${["", "dgm-dash", "", "dgm-dotted"][k]}`), text(x + 24, y + 5, name, "start", narrow || k > 1 ? "dgm-small" : ""));
    });
    const top = narrow ? 50 : 32, high = ui.root.closest(".reveal") ? 128 : 150, base = top + high;
    const Q = now.q.map((v) => v / spacing), tall = 1.05 * Math.max(1.3 * peak, ...prior, ...Q);
    const X = (v) => ((v - LOW) / (HIGH - LOW)) * width, Y = (v) => base - (v / tall) * high;
    const curve = (values) => values.map((v, i) => `${i ? "L" : "M"}${X(z[i]).toFixed(1)} ${Y(v).toFixed(1)}`).join(""), closed = (values) => `${curve(values)}V${base}H0z`;
    layer.push(path(closed(posterior), "dgm-veil dgm-blue"), path(curve(prior), "dgm-thin dgm-purple"), path(curve(likelihood.map((v) => v * peak)), "dgm-thin dgm-green dgm-dotted"),
      path(curve(posterior), "dgm-edge dgm-blue"), path(curve(Q), "dgm-edge dgm-orange dgm-dash"), line(0, base, width, base, "dgm-axis"), text(width, base + 19, "z", "end", "dgm-small"));
    const apart = nice((HIGH - LOW) / 10.01);
    for (let k = Math.ceil((LOW + apart / 4) / apart); k * apart < HIGH - apart / 4; k++) {
      layer.push(line(X(k * apart), base, X(k * apart), base + 5, "dgm-axis"), text(X(k * apart), base + 19, number(k * apart, Math.max(0, -Math.floor(Math.log10(apart)))), "middle", "dgm-small"));
    }
    const height = (v) => Y(Q[clamp(Math.round((v - LOW) / spacing), 0, z.length - 1)]);
    sliders.mean.place(X(m), height(m), closed(Q));
    sliders.std.place(X(m + s), height(m + s));

    // What pulls: both terms, at the mean and at the width. Equal forces are equally long.
    let y = base + 44;
    const most_px = (narrow ? 0.12 : 0.16) * width, strong = (force) => most_px * (force / (Math.abs(force) + 2)), left = X(m) - most_px > 92;
    for (const [name, words, at] of [["mean", "pull on mean", X(m)], ["std", "on width", X(m + s)]]) {
      layer.push(text(left ? 0 : width, y + 5, words, left ? "start" : "end", "dgm-small"), line(at, y - 11, at, y + 11, "dgm-axis"));
      [["likelihood", "green", -5], ["prior", "purple", 5]].forEach(([term, colour, up]) => {
        const long = strong(pulls[name][term]), tip = Math.sign(long) * Math.min(6, Math.abs(long));
        layer.push(path(`M${at} ${y + up}h${long}m${-tip} -4l${tip} 4l${-tip} 4`, `dgm-tug dgm-${colour}`));
      });
      y += 27;
    }

    // Both splits, on one scale of nats: both bars begin at the ELBO.
    const far = scale[1], low = Math.max(scale[0], log_px - (far - log_px) * (width / 78 - 1)), N = (v) => clamp((v - low) / (far - low), 0, 1) * width, e = N(elbo), p = N(log_px), off = elbo < low;
    const note = (words, total) => layer.push(text(0, y, words, "start", width < 300 ? "dgm-small" : ""), text(width, narrow ? y + 20 : y, total, "end", "dgm-strong"));
    const bar = (end, colour, ...names) => {
      const words = names.find((name) => end - e > 7.6 * name.length) ?? "";
      layer.push(box(e, y, end - e, 24, `dgm-tint dgm-${colour}`), text((e + end) / 2, y + 17, words, "middle"));
    };
    y += 16;
    note("log p(x) = ELBO + KL(q ‖ p(z | x))", `${nats(log_px)} = ${nats(elbo)} + ${nats(gap)}`);
    y += narrow ? 48 : 28;
    layer.push(text(p + 7, y, "log p(x)", "start", "dgm-head"), text(off ? 4 : Math.max(e - 7, 46), y, off ? "← ELBO" : "ELBO", off ? "start" : "end", "dgm-head"));
    y += 8;
    bar(p, "blue", "gap, KL(q ‖ p(z | x))", "gap");
    layer.push(line(p, y - 6, p, y + 28, "dgm-chosen"));
    y += 32;
    bar(N(expected), "purple", "KL(q ‖ p(z))");
    layer.push(svg("line", { x1: N(expected), y1: y - 2, x2: N(expected), y2: y + 26, class: "dgm-chosen dgm-green" }), line(e, y - 38, e, y + 32, "dgm-edge dgm-orange"));
    if (width - N(expected) > 130) layer.push(text(N(expected) + 8, y + 17, "E_q[log p(x | z)]"));
    y += 32;
    layer.push(line(0, y, width, y, "dgm-axis"));
    const tick = nice(ui.shown(far - low) / (narrow ? 6 : 9)), digits = Math.max(0, -Math.floor(Math.log10(tick)));
    for (let k = Math.ceil(ui.shown(low) / tick); k * tick <= ui.shown(far); k++) {
      const at = ((k * tick - ui.shown(low)) / ui.shown(far - low)) * width;
      if (at > 14 && at < width - 46) layer.push(line(at, y, at, y + 5, "dgm-axis"), text(at, y + 19, number(k * tick, digits), "middle", "dgm-small"));
    }
    layer.push(text(width, y + 19, unit, "end", "dgm-small"));
    y += 46;
    note("ELBO = E_q[log p(x | z)] − KL(q ‖ p(z))", `${nats(elbo)} = ${nats(expected)} − ${nats(kl_prior)}`);
    ui.size(width, y + (narrow ? 28 : 8));

    ui.read([
      ["log p(x)", nats(log_px), `${unit}, fixed`], ["ELBO", nats(elbo), unit, "dgm-orange"], ["gap, KL(q ‖ p(z | x))", nats(gap), unit, "dgm-blue"],
      ["E_q[log p(x | z)]", nats(expected), unit, "dgm-green"], ["KL(q ‖ p(z))", nats(kl_prior), unit, "dgm-purple"],
    ]);
    const lost = best.elbo - elbo, still = ["mean", "std"].every((name) => Math.abs(pulls[name].likelihood + pulls[name].prior) * s < 0.02);
    const way = (name, term) => {
      const force = pulls[name][term];
      return Math.abs(force) * s < 0.01 ? (name === "mean" ? "does not move it" : "leaves its width") : name === "mean" ? `pulls q ${force > 0 ? "right" : "left"}` : force > 0 ? "widens it" : "narrows it";
    };
    const held = ["mean", "std"].some((name) => limits[name].some((limit) => Math.abs(best[name] - limit) < 1e-6));
    ui.say((`The ELBO is ${nats(gap, 2)} ${unit} below log p(x): this gap is KL(q ‖ p(z | x)). ` + (lost < 1e-3
      ? held ? "It is as small as the handles allow." : `It is as small as it gets: the two terms pull equally hard, in opposite directions. ${gap < 1e-3 ? "q is the posterior." : "What is left is the posterior's shape, which no Gaussian has."}`
      : still ? `The pulls cancel, but elsewhere the gap is ${nats(lost, 2)} ${unit} smaller.`
        : `The likelihood ${way("mean", "likelihood")} and ${way("std", "likelihood")}; the prior ${kl_prior < 1e-4 ? "does not pull, as q is the prior" : `${way("mean", "prior")} and ${way("std", "prior")}`}.`)).replaceAll(" | ", "\u00a0|\u00a0"));
    ui.expose({ mean: m, std: s, log_px, elbo, kl_posterior: gap, expected, kl_prior, pulls, best: { mean: best.mean, std: best.std, elbo: best.elbo } });
  }

  return frame({ model, el, title: "Both splits of the evidence lower bound", traits: ["mean", "std", "bits"], start, draw });
}
