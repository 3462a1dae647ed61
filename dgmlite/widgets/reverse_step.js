const logGaussian = (x, mean, variance) => -0.5 * ((x - mean) ** 2 / variance + Math.log(2 * Math.PI * variance));
const logSum = (values) => {
  const most = Math.max(...values);
  return most + Math.log(sum(values.map((v) => Math.exp(v - most))));
};
// log q(z) of a mixture, whose parts are {p, mean, variance}.
const logMixture = (parts) => (x) => logSum(parts.map((k) => Math.log(k.p) + logGaussian(x, k.mean, k.variance)));
const noiseAt = (lambda) => ({ alpha: Math.sqrt(1 / (1 + Math.exp(-lambda))), sigma2: 1 / (1 + Math.exp(lambda)) });

// The exact q(z_s | z_t), its mean and variance, and DDPM's step, with the letters of the docstring.
function stepBack(data, lambda_s, lambda_t, z) {
  const s = noiseAt(lambda_s), t = noiseAt(lambda_t), r = t.alpha / s.alpha;
  const beta = -t.sigma2 * Math.expm1(lambda_t - lambda_s);
  const noisy = data.map(([w, m, d]) => ({ p: w, mean: t.alpha * m, variance: (t.alpha * d) ** 2 + t.sigma2 }));
  const logs = noisy.map(({ p, mean, variance }) => Math.log(p) + logGaussian(z, mean, variance)), total = logSum(logs);
  const parts = data.map(([, m, d], k) => {
    const S = (s.alpha * d) ** 2 + s.sigma2, V = noisy[k].variance, p = Math.exp(logs[k] - total);
    return { p, mean: s.alpha * m + ((r * S) / V) * (z - t.alpha * m), variance: (beta * S) / V };
  });
  const mean = sum(parts.map((k) => k.p * k.mean));
  const variance = sum(parts.map((k) => k.p * (k.variance + (k.mean - mean) ** 2)));
  const x_of = ([, m, d], k) => m + ((t.alpha * d * d) / noisy[k].variance) * (z - t.alpha * m);
  const x_hat = sum(data.map((part, k) => parts[k].p * x_of(part, k)));
  const ddpm = { mean: (s.alpha * beta * x_hat + r * s.sigma2 * z) / t.sigma2, variance: (beta * s.sigma2) / t.sigma2 };
  return { noisy, density: Math.exp(total), parts, mean, variance, x_hat, ddpm };
}

// Both divergences from the exact curve and its humps, on 4001 points, ten widths beyond all parts: the integrands are
// smooth and vanish at both ends, so that the trapezoid rule's error is that of rounding.
function compare({ parts, mean, variance, ddpm }) {
  const edge = (sign) => Math.max(...parts.map((k) => sign * k.mean + 10 * Math.sqrt(k.variance)));
  const low = -edge(-1), high = edge(1), exact = logMixture(parts), logs = [];
  let kl_moments = 0, kl_ddpm = 0;
  for (let k = 0; k <= 4000; k++) {
    const x = low + ((high - low) * k) / 4000, l = exact(x), p = (Math.exp(l) * (high - low)) / 4000;
    logs.push(l);
    kl_moments += p * (l - logGaussian(x, mean, variance));
    kl_ddpm += p * (l - logGaussian(x, ddpm.mean, ddpm.variance));
  }
  const seen = Math.max(...logs) + Math.log(0.01);
  const humps = logs.filter((l, k) => l > seen && l > (logs[k - 1] ?? -Infinity) && l >= (logs[k + 1] ?? -Infinity));
  return { kl_moments: Math.max(kl_moments, 0), kl_ddpm: Math.max(kl_ddpm, 0), humps: humps.length };
}

function render({ model, el }) {
  const END = 8, LEAST = 0.01, WIDE = 4, task = model.get("task"), means = model.get("means"), sliders = {};
  const data = means.map((m, k) => [model.get("weights")[k], m, model.get("stds")[k]]);
  const nice = (size) => {
    const ten = 10 ** Math.floor(Math.log10(size));
    return [1, 2, 5, 10].map((n) => n * ten).find((v) => v >= size * 0.999);
  };
  const power = (_, n) => `·10⁻${[...n].map((d) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[d]).join("")}`;
  const nats = (v) => (v && v < 9.95e-4 ? v.toExponential(1).replace(/e-(\d+)/, power) : number(v, v < 9.995 ? 4 : 1));
  const per_cent = (v) => `${number(100 * v, v > 0.1 && v < 0.99 ? 0 : 1)} %`;

  function start(ui) {
    ui.initial = { log_snr: model.get("initial").slice(0, 2), z: model.get("initial")[2] };
    if (task) ui.root.insertBefore(html("p", { class: "dgm-task" }, html("b", {}, "Task: "), task), ui.stage);
    const size = (factor) => {
      const [a, b] = model.get("log_snr");
      ui.set({ log_snr: [tidy(Math.min(b + Math.max((a - b) * factor, LEAST), END)), b] });
    };
    ui.group("length of the step", () => {
      ui.row.append(html("span", { class: "dgm-label" }, "step"));
      ui.button("half", () => size(0.5), { "aria-label": "half the step" });
      ui.button("double", () => size(2), { "aria-label": "double the step" });
    });
    const pair = { t: (to, [a]) => [a, Math.min(to, a - LEAST)], s: (to, [, b]) => [Math.max(to, b + LEAST), b] };
    const told = (v) => `${number(v, 2)}; step ${number(ui.now.step, 2)}; KL from the Gaussian `
      + `${nats(ui.now.kl_moments)}, from DDPM's step ${nats(ui.now.kl_ddpm)} nats`;
    const one = (name, label, reach, get, set, share) => {
      const value = (point) => (share(point) - 0.5) * 2 * reach, text_of = () => told(get());
      sliders[name] = ui.slider({ label, min: -reach, max: reach, step: 0.1, get, set, value, text: text_of });
      sliders[name].node.lastChild.append(text(0, 5, name, "middle", "dgm-letter"));
    };
    one("z", "z_t", WIDE, () => model.get("z"), (z) => ui.set({ z }), (point) => (point.x - ui.right) / ui.small);
    for (const [name, k, label] of [["t", 1, "where the step begins"], ["s", 0, "where the step ends"]]) {
      one(name, `log-SNR of ${name}, ${label}`, END, () => model.get("log_snr")[k],
        (to) => ui.set({ log_snr: pair[name](to, model.get("log_snr")).map(tidy) }),
        (point) => (point.x - 8) / (ui.across - 16));
    }
  }

  function draw(ui, width) {
    const [lambda_s, lambda_t] = model.get("log_snr"), z = model.get("z"), step = lambda_s - lambda_t;
    const back = stepBack(data, lambda_s, lambda_t, z), now = (ui.now = { step, ...back, ...compare(back) });
    const { parts, mean, variance, ddpm, kl_moments, kl_ddpm, humps } = now, layer = ui.layer, narrow = width < 560;
    const main = narrow ? width : 0.64 * width, high = ui.root.closest(".reveal") ? 150 : narrow ? 160 : 190;
    const evenly = (from, to, n) => Array.from({ length: n + 1 }, (_, k) => from + ((to - from) * k) / n);
    const curve = (grid, X, Y) => `M${grid.map((x, k) => `${X(x).toFixed(1)} ${Y(k).toFixed(1)}`).join("L")}`;
    const axis = (from, to, X, base, left, right, name, hidden) => {
      const gap = nice((58 * (to - from)) / (right - left)), places = Math.max(0, Math.ceil(-Math.log10(gap) - 1e-9));
      layer.push(line(left, base, right, base, "dgm-axis"), text(right, base + 20, name, "end", "dgm-head"));
      for (let k = Math.ceil(from / gap); k * gap <= to; k++) {
        const x = X(k * gap), free = x < right - 42 && x > left + 14 && !(Math.abs(x - hidden) < 24);
        layer.push(line(x, base, x, base + 5, "dgm-axis"));
        if (free) layer.push(text(x, base + 20, number(k * gap, places), "middle", "dgm-small"));
      }
    };

    // q(z_t), and where z_t is.
    const q_top = 30, q_high = narrow ? 70 : high + 66, q_base = q_top + q_high, right = narrow ? 0 : main + 24;
    const small = width - right, Z = (v) => right + (0.5 + v / (2 * WIDE)) * small, places = evenly(-WIDE, WIDE, 400);
    const heights = places.map(logMixture(now.noisy)), tall = Math.max(...heights);
    const H = (log) => q_base - 0.94 * Math.exp(log - tall) * q_high, hill = curve(places, Z, (k) => H(heights[k]));
    const held = H(Math.log(now.density));
    layer.push(text(right, 14, "q(z_t); drag z_t", "start", "dgm-head"), path(hill, "dgm-edge dgm-purple"),
      path(`${hill}V${q_base}H${right}z`, "dgm-veil dgm-purple"), line(Z(z), held, Z(z), q_base, "dgm-guide"));
    axis(-WIDE, WIDE, Z, q_base, right, width, "z_t", held > q_base - 14 ? Z(z) : NaN);
    sliders.z.place(Z(z), held, `M${right} ${q_top}h${small}v${q_high + 24}h${-small}z`);
    Object.assign(ui, { right, small, across: width });

    // The exact q(z_s | z_t) and both Gaussians; the window follows them.
    const [far, size] = width < 330 ? [24, "dgm-small"] : [40, ""];
    const styles = [["exact", "dgm-blue"], ["Gaussian, same mean and variance", "dgm-orange dgm-dash"],
      ["DDPM: q(z_s | z_t, x = E[x | z_t])", "dgm-red dgm-beaded"]];
    let y = narrow ? q_base + 52 : 14;
    layer.push(text(0, y, "one step back: q(z_s | z_t)", "start", "dgm-head"));
    for (const [name, style] of styles) {
      y += 22;
      layer.push(path(`M2 ${y - 5}h${far}`, `dgm-edge ${style}`), text(far + 10, y, name, "start", size));
    }
    const top = y + 12, base = top + high, often = [{ mean, variance }, ...parts.filter(({ p }) => p > 0.003)];
    const edge = (sign) => Math.max(...often.map((k) => sign * k.mean + 4 * Math.sqrt(k.variance)));
    const grid = evenly(-edge(-1), edge(1), 800), X = (v) => ((v + edge(-1)) / (edge(1) + edge(-1))) * main;
    const logs = [logMixture(parts), ...[now, ddpm].map((q) => (x) => logGaussian(x, q.mean, q.variance))];
    const curves = logs.map((log) => grid.map((x) => Math.exp(log(x)))), [exact, , narrower] = curves;
    const [tallest, second, summit] = curves.map((values) => Math.max(...values)), peak = Math.max(tallest, second);
    const scale = Math.min(1.08 * Math.max(peak, summit), 1.7 * peak);
    const view = svg("svg", { x: 0, y: top, width: main, height: high, overflow: "hidden" });
    const drawn = curves.map((values) => curve(grid, X, (k) => Math.max(high - (values[k] / scale) * high, -50)));
    view.append(path(`${drawn[0]}V${high}H0z`, "dgm-veil dgm-blue"),
      ...[0, 2, 1].map((k) => path(drawn[k], `dgm-edge ${styles[k][1]}`)));
    layer.push(view);
    if (summit > scale) {
      const side = X(mean) > 0.55 * main ? -1 : 1, out = grid.filter((_, k) => narrower[k] > scale);
      const words = `↑ to ${number(summit / scale, 1)} times this height`, x = X(out.at(side > 0 ? -1 : 0)) + 11 * side;
      layer.push(text(x, top + 12, words, side < 0 ? "end" : "start", "dgm-small dgm-halo"));
    }
    axis(grid[0], grid.at(-1), X, base, 0, main, "z_s");

    // From t to s on the axis of log-SNR.
    const mid = base + 78, L = (v) => 8 + (0.5 + v / (2 * END)) * (width - 16), at_s = L(lambda_s), at_t = L(lambda_t);
    layer.push(text(0, mid - 32, "noise", "start", "dgm-small"), text(width, mid - 32, "data", "end", "dgm-small"),
      line(8, mid, width - 8, mid, "dgm-axis"), text(0, mid + 46, "log-SNR", "start", "dgm-head"));
    for (let v = -END; v <= END; v += narrow ? 4 : 2) {
      layer.push(line(L(v), mid - 4, L(v), mid + 4, "dgm-axis"));
      if (Math.abs(L(v) - at_t) > 22) layer.push(text(L(v), mid + 20, number(v, 0), "middle", "dgm-small"));
    }
    layer.push(line(at_t, mid, at_s, mid, "dgm-chosen"),
      path(step > 0.6 ? `M${at_s} ${mid}l-9 -6v12z` : "", "dgm-mark"),
      line(at_s, mid, at_s, mid - 20, "dgm-axis"), line(at_t, mid, at_t, mid + 20, "dgm-axis"));
    [[sliders.s, at_s, -22], [sliders.t, at_t, 22]].forEach(([slider, x, up]) => slider.place(x, mid + up));
    ui.size(width, mid + 52);

    const share = ddpm.variance / variance;
    ui.read([
      ["step, λ_s − λ_t", number(step, 2), `${number((2 * END) / step, 1)} from −8 to 8`],
      ["KL(exact ‖ Gaussian)", nats(kl_moments), "nats", "dgm-orange"],
      ["KL(exact ‖ DDPM)", nats(kl_ddpm), "nats", "dgm-red"],
      ["variance of DDPM's step", number(100 * share, 1), "% of the exact one", "dgm-red"],
    ]);
    // How far each Gaussian is from the exact curve, as a share of the latter's height.
    const [gap, gap_ddpm] = [1, 2].map((k) => Math.max(...exact.map((p, i) => Math.abs(p - curves[k][i]))) / tallest);
    const k = parts.reduce((most, part, n) => (part.p > parts[most].p ? n : most), 0);
    const likely = `from the data's hump at ${number(means[k], 1)} with probability ${per_cent(parts[k].p)}`;
    const tail = gap_ddpm > 0.01 ? `is, by up to ${per_cent(gap_ddpm)}: it is too narrow` : "is as good to the eye";
    ui.say(humps > 1 ? `${humps > 2 ? "Three" : "Two"} humps, which no Gaussian has. Given z_t, x comes ${likely}.`
      : gap > 0.01 ? `One hump, but the Gaussian with its mean and variance is up to ${per_cent(gap)} of its height `
        + `away. Given z_t, x comes ${likely}.`
        : "The Gaussian with the same mean and variance is nowhere more than 1 % of the height away: no eye can tell. "
        + `DDPM's step ${tail}.`);
    const { noisy, ...shown } = now, each = (name) => parts.map((part) => part[name]);
    ui.expose({ ...shown, log_snr: [lambda_s, lambda_t], z, posterior: each("p"), means: each("mean"),
      variances: each("variance"), gap, gap_ddpm });
  }

  return frame({ model, el, title: "One step back from noise", traits: ["log_snr", "z"], start, draw });
}
