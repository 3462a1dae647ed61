// p is a mixture, a list of [weight, mean, width]; q is one Gaussian, [mean, width].
const logGaussian = (x, mean, width) => -0.5 * ((x - mean) / width) ** 2 - Math.log(width) - 0.5 * Math.log(2 * Math.PI);
const logAdd = (a, b) => Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b)));
const logMixture = (parts) => (x) => parts.map(([weight, mean, width]) => Math.log(weight) + logGaussian(x, mean, width)).reduce(logAdd);

// ∫ density · ratio by the trapezoid rule on 4001 points, ten widths beyond the parts of the density. The integrands are
// smooth and vanish at both ends, so its error is that of rounding.
function integral(parts, logDensity, ratio) {
  const low = Math.min(...parts.map(([, mean, width]) => mean - 10 * width)), high = Math.max(...parts.map(([, mean, width]) => mean + 10 * width));
  let total = 0;
  for (let k = 0; k <= 4000; k++) {
    const x = low + ((high - low) * k) / 4000;
    total += Math.exp(logDensity(x)) * ratio(x);
  }
  return (total * (high - low)) / 4000;
}

const betweenGaussians = ([m, s], [n, t]) => Math.log(t / s) + (s * s + (m - n) ** 2) / (2 * t * t) - 0.5;

function divergences(p, q) {
  const logP = logMixture(p), Q = [[1, ...q]], logQ = logMixture(Q);
  const logM = (x) => logAdd(logP(x), logQ(x)) - Math.LN2;
  const kl = (parts, a, b) => Math.max(integral(parts, a, (x) => a(x) - b(x)), 0);
  const closed = p.length === 1;
  return {
    kl_pq: closed ? betweenGaussians(p[0].slice(1), q) : kl(p, logP, logQ),
    kl_qp: closed ? betweenGaussians(q, p[0].slice(1)) : kl(Q, logQ, logP),
    js: (kl(p, logP, logM) + kl(Q, logQ, logM)) / 2, closed,
  };
}

function render({ model, el }) {
  const LOW = -6, HIGH = 6, MEAN = { min: -5, max: 5, step: 0.1 }, WIDTH = { min: 0.2, max: 3, step: 0.05 };
  const sliders = {};
  let best = {};

  function start(ui) {
    ui.initial = { q: model.get("initial_q"), p: model.get("initial_p"), bits: false };
    model.on("change:p", () => { best = {}; });
    ui.onReset = () => { best = {}; };
    const preset = (name, p, q) => ui.button(name, () => ui.set({ q, p }));
    ui.group("examples", () => {
      preset("two bumps", [[0.5, -2.5, 0.6], [0.5, 2.5, 0.9]], [0, 1]);
      preset("near and far", [[0.8, -1, 0.5], [0.2, 3, 0.5]], [0, 1]);
      preset("two Gaussians", [[1, -1, 0.7]], [1, 1.4]);
    });
    ui.units();
    const told = () => {
      const d = divergences(model.get("p"), model.get("q"));
      return `KL of p from q ${number(ui.shown(d.kl_pq))}, KL of q from p ${number(ui.shown(d.kl_qp))} ${ui.unit()}`;
    };
    const place = (point) => LOW + (point.x / ui.across) * (HIGH - LOW);
    const one = (name, k, side, limits, label) => {
      const get = () => (name === "q" ? model.get("q") : model.get("p")[0].slice(1));
      sliders[name + k] = ui.slider({
        label, ...limits, get: () => get()[k],
        set: (value) => {
          const next = k === 0 ? [value, get()[1]] : [get()[0], value];
          ui.set(name === "q" ? { q: next } : { p: [[1, ...next]] });
        },
        value: (point) => (k === 0 ? place(point) : side * (place(point) - get()[0])),
        text: () => `${number(get()[k], 2)}; ${told()}`,
      });
    };
    one("p", 0, 1, MEAN, "mean of p");
    one("p", 1, -1, WIDTH, "width of p");
    one("q", 0, 1, MEAN, "mean of q");
    one("q", 1, 1, WIDTH, "width of q");
  }

  function draw(ui, width) {
    const p = model.get("p"), q = model.get("q"), d = divergences(p, q), unit = ui.unit(), layer = ui.layer;
    const logP = logMixture(p), logQ = logMixture([[1, ...q]]);
    const narrow = width < 560;
    const grid = Array.from({ length: 481 }, (_, k) => LOW + ((HIGH - LOW) * k) / 480);
    const P = grid.map((x) => Math.exp(logP(x))), Q = grid.map((x) => Math.exp(logQ(x)));
    for (const [name, value] of [["pq", d.kl_pq], ["qp", d.kl_qp]]) {
      if (!(best[name]?.value <= value)) best[name] = { value, mean: q[0], width: q[1] };
    }

    // The two densities.
    const top = 34, high = 150, base = top + high, most = Math.max(...P, ...Q, 0.5) * 1.08;
    ui.across = width;
    const X = (x) => ((x - LOW) / (HIGH - LOW)) * width, Y = (value) => base - (value / most) * high;
    const curve = (values) => grid.map((x, k) => `${k ? "L" : "M"}${X(x).toFixed(1)} ${Y(values[k]).toFixed(1)}`).join("");
    const closed = (values) => `${curve(values)}V${base}H0z`;
    layer.push(path(closed(P), "dgm-veil dgm-blue"), path(closed(Q), "dgm-veil dgm-orange"), line(0, base, width, base, "dgm-axis"));
    for (let x = LOW + 1; x < HIGH; x++) layer.push(line(X(x), base, X(x), base + 5, "dgm-axis"), text(X(x), base + 20, number(x, 0), "middle", "dgm-small"));
    layer.push(path(curve(P), "dgm-edge dgm-blue"), path(curve(Q), "dgm-edge dgm-orange dgm-dash"));
    layer.push(line(0, 12, 30, 12, "dgm-edge dgm-blue"), text(38, 17, p.length > 1 ? "p, given" : "p, yours", "start", "dgm-head"),
      line(126, 12, 156, 12, "dgm-edge dgm-orange dgm-dash"), text(164, 17, "q, yours", "start", "dgm-head"));
    const at = (x) => Y(Math.exp(logQ(x)));
    sliders.q0.place(X(q[0]), at(q[0]), closed(Q));
    sliders.q1.place(X(q[0] + q[1]), at(q[0] + q[1]));
    for (const name of ["p0", "p1"]) sliders[name].node.setAttribute("display", p.length === 1 ? "inline" : "none");
    if (p.length === 1) {
      const [, mean, wide] = p[0];
      sliders.p0.place(X(mean), (base + Y(Math.max(...P))) / 2, closed(P));
      sliders.p1.place(X(mean - wide), Y(Math.exp(logP(mean - wide))));
    }

    // Both integrands on one scale, so that their areas can be compared.
    const terms = { pq: P.map((value, k) => value * (logP(grid[k]) - logQ(grid[k]))), qp: Q.map((value, k) => value * (logQ(grid[k]) - logP(grid[k]))) };
    const tallest = Math.max(...terms.pq, ...terms.qp, ...[...terms.pq, ...terms.qp].map((value) => -2.5 * value));
    const limit = [0.5, 1, 2].find((value) => value >= tallest) ?? 4;
    const panel = narrow ? width : (width - 40) / 2, up = 110, down = 44;
    const peak = {};
    [["pq", "KL(p ‖ q)", "p log p/q", "large where q misses p: zero-avoiding", d.kl_pq, "dgm-blue"], ["qp", "KL(q ‖ p)", "q log q/p", "large where q is and p is not: zero-forcing", d.kl_qp, "dgm-orange"]]
      .forEach(([name, title, formula, hint, value, colour], column) => {
        const left = narrow ? 0 : column * (panel + 40), head = base + 56 + (narrow ? column * (up + down + 62) : 0);
        const zero = head + 32 + up, x = (v) => left + 26 + ((v - LOW) / (HIGH - LOW)) * (panel - 26);
        const y = (v) => zero - clamp(v / limit, -down / up, 1) * up;
        layer.push(text(left, head, title, "start", "dgm-head"), text(left + 82, head, `area under ${formula}`, "start"),
          text(left, head + 19, hint, "start", "dgm-small"));
        for (const tick of [limit / 2, limit]) layer.push(line(left + 26, y(tick), left + panel, y(tick)), text(left + 20, y(tick) + 5, String(ui.shown(1) === 1 ? tick : number(ui.shown(tick), 1)), "end", "dgm-small"));
        const values = terms[name], area = (part) => `M${x(LOW)} ${zero}${grid.map((v, k) => `L${x(v).toFixed(1)} ${y(part(values[k])).toFixed(1)}`).join("")}L${x(HIGH)} ${zero}z`;
        layer.push(path(area((v) => Math.max(v, 0)), `dgm-tint ${colour}`), path(area((v) => Math.min(v, 0)), `dgm-minus ${colour}`), line(left + 26, zero, left + panel, zero, "dgm-axis"));
        const k = values.indexOf(Math.max(...values));
        peak[name] = grid[k];
        if (values[k] > limit) layer.push(text(x(grid[k]), zero - up - 5, `↑ ${number(ui.shown(values[k]), 0)}`, "middle", "dgm-strong dgm-halo"));
        if (Math.min(...values) < -0.04 * limit) {
          const lowest = values.indexOf(Math.min(...values));
          layer.push(text(x(grid[lowest]), y(values[lowest]) + 14, "−", "middle", "dgm-strong"));
        }
        for (const v of [-4, -2, 0, 2, 4]) layer.push(line(x(v), zero, x(v), zero + 4, "dgm-axis"));
      });
    const foot = base + 56 + (narrow ? up + down + 62 : 0) + 32 + up + down;
    layer.push(text(0, foot + 14, d.closed ? "Both divergences in closed form; JS by the trapezoid rule." : "Integrals by the trapezoid rule on 4001 points.", "start", "dgm-small"));
    ui.size(width, foot + 20);

    const least = ({ value, mean, width: wide }) => `${unit}; least so far ${number(ui.shown(value))} at mean ${number(mean, 1)}, width ${number(wide, 2)}`;
    ui.read([
      ["KL(p ‖ q)", number(ui.shown(d.kl_pq)), least(best.pq), "dgm-blue"],
      ["KL(q ‖ p)", number(ui.shown(d.kl_qp)), least(best.qp), "dgm-orange"],
      ["Jensen–Shannon", number(ui.shown(d.js)), `${unit}, at most ${number(ui.shown(Math.LN2))}`, "dgm-green"],
    ]);
    ui.say(Math.max(d.kl_pq, d.kl_qp) < 1e-9
      ? "q equals p: both divergences are zero, and so is every integrand."
      : `KL(p ‖ q) = ${number(ui.shown(d.kl_pq), 2)} ${unit}; its integrand peaks at x = ${number(peak.pq, 1)}, where q is too small for p: it asks q to cover all of p. `
        + `KL(q ‖ p) = ${number(ui.shown(d.kl_qp), 2)} ${unit}; its integrand peaks at x = ${number(peak.qp, 1)}, where q is too large for p: it asks q to stay within p.`);
    ui.expose({ p, q, ...d });
  }

  return frame({ model, el, title: "Two densities and both KL divergences", traits: ["p", "q", "bits"], start, draw });
}
