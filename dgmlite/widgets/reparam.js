// Number t + 1 of the generator mulberry32, started at seed · 0x9e3779b1.
function uniform(seed, t) {
  let a = (Math.imul(seed, 0x9e3779b1) + Math.imul(t + 1, 0x6d2b79f5)) | 0;
  a = Math.imul(a ^ (a >>> 15), a | 1);
  a ^= a + Math.imul(a ^ (a >>> 7), a | 61);
  return ((a ^ (a >>> 14)) >>> 0) / 4294967296;
}
const noises = (seed, count) => Array.from({ length: count }, (_, k) => {
  const pair = k - (k % 2), turn = 2 * Math.PI * uniform(seed, pair + 1);
  return Math.sqrt(-2 * Math.log1p(-uniform(seed, pair))) * (k % 2 ? Math.sin(turn) : Math.cos(turn));
});

// A polynomial is the list of its coefficients, lowest first.
const at = (poly, x) => poly.reduceRight((total, c) => total * x + c, 0);
const slope = (poly) => poly.slice(1).map((c, k) => c * (k + 1));
function times(one, other) {
  const result = Array(one.length + other.length - 1).fill(0);
  one.forEach((a, i) => other.forEach((b, j) => { result[i + j] += a * b; }));
  return result;
}
// Under N(0, 1): E[εᵏ] = (k − 1) E[εᵏ⁻²].
function expected(poly) {
  let moment = 1, total = 0;
  for (let k = 0; k < poly.length; k += 2) {
    total += poly[k] * moment;
    moment *= k + 1;
  }
  return total;
}

// One term of either estimator of ∂ E[f(μ + σ ε)] / ∂μ or ∂σ, as a polynomial in ε, with its exact mean and spread.
function estimators(coefficients, mean, std, by) {
  const g = coefficients.reduceRight((total, c) => {
    const next = times(total, [mean, std]);
    next[0] += c;
    return next;
  }, [0]), mu = by === "μ";
  const about = (poly) => {
    const middle = expected(poly), rest = [poly[0] - middle, ...poly.slice(1)];
    return { poly, mean: middle, std: Math.sqrt(expected(times(rest, rest))) };
  };
  const over = (poly) => poly.map((c) => c / std);
  return { path: about(over(times(slope(g), mu ? [1] : [0, 1]))), score: about(over(times(g, mu ? [0, 1] : [-1, 0, 1]))) };
}

function render({ model, el }) {
  const base = model.get("coefficients"), draws = model.get("draws"), task = model.get("task"), RAISE = 10, HOLD = 0.6, START = model.get("seed"), EDGE = 7, sliders = {};
  const nice = (size) => {
    const ten = 10 ** Math.floor(Math.log10(size));
    return [1, 2, 5, 10].map((n) => n * ten).find((step) => step >= size * 0.999);
  };
  const large = (v) => v.toExponential(1).replace(/(?:\.0)?e\+(\d+)/, (_, n) => `·10${[...n].map((d) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[d]).join("")}`);
  const short = (v) => (Math.abs(v) < 1e4 ? number(v, Math.abs(v) < 9.95 ? 2 : Math.abs(v) < 99.5 ? 1 : 0) : mark(large(v)));
  const ratioText = (v) => (v === Infinity ? "∞" : v < 1e4 ? v.toFixed(v < 9.95 ? 1 : 0) : large(v));
  const [mean0, std0] = model.get("initial");

  function start(ui) {
    ui.initial = { mean: mean0, std: std0, seed: START, by: "μ", raised: false };
    if (task) ui.root.insertBefore(html("p", { class: "dgm-task" }, html("b", {}, "Task: "), task), ui.stage);
    ui.group("derivative by", () => {
      ui.row.append(html("span", { class: "dgm-label" }, "derivative by"));
      for (const by of ["μ", "σ"]) {
        const node = ui.button(by, () => ui.set({ by }));
        ui.onDraw(() => node.setAttribute("aria-pressed", String(model.get("by") === by)));
      }
    });
    ui.group("function and noise", () => {
      const node = ui.button(`f + ${RAISE}`, () => ui.set({ raised: !model.get("raised") }));
      ui.onDraw(() => node.setAttribute("aria-pressed", String(model.get("raised"))));
      ui.button("new noise", () => ui.set({ seed: model.get("seed") + 1 }));
    });
    const held = (e) => (point) => e + ((point.x / ui.across - 0.5) * 2 * EDGE - e) / HOLD; // z of the thread from ε
    for (const [name, label, min, max, value] of [["mean", "μ, mean of z", -3, 3, held(0)], ["std", "σ, width of z", 0.2, 2, (point) => (held(2)(point) - model.get("mean")) / 2]]) {
      sliders[name] = ui.slider({ label, min, max, step: name === "mean" ? 0.1 : 0.05, value, get: () => model.get(name), set: (to) => ui.set({ [name]: to }), text: () => `${number(model.get(name), 2)}; one term spreads ${short(ui.now.path.std)} pathwise, ${short(ui.now.score.std)} by the score function` });
      sliders[name].node.lastChild.append(text(0, 5, label[0], "middle", "dgm-letter"));
    }
  }

  function draw(ui, width) {
    const mean = model.get("mean"), std = model.get("std"), by = model.get("by"), raised = model.get("raised"), mu = by === "μ", narrow = width < 560;
    const f = [base[0] + (raised ? RAISE : 0), ...base.slice(1)], now = (ui.now = estimators(f, mean, std, by)), { path: way, score } = now, exact = way.mean, ratio = way.std > 0 ? (score.std / way.std) ** 2 : Infinity;
    const epsilon = noises(model.get("seed"), draws), z = epsilon.map((e) => mean + std * e), layer = ui.layer;
    for (const part of [way, score]) {
      part.terms = epsilon.map((e) => at(part.poly, e));
      part.estimate = sum(part.terms) / draws;
    }
    ui.across = width;
    const X = (v) => (0.5 + v / (2 * EDGE)) * width, dot = (x, y, cls, r = 4) => svg("circle", { cx: x, cy: y, r, class: `dgm-bead ${cls}` });

    // The noises, and threads to what becomes of them; those of ε = 0 and ε = 2 are held.
    const slide = ui.root.closest(".reveal"), up = narrow ? 52 : 32, down = up + 70, view = svg("svg", { x: 0, y: 0, width, height: down + 8, overflow: "hidden" });
    layer.push(text(0, narrow ? 14 : up + 5, "noise ε, stays", "start", "dgm-head"), line(X(-3.5), up, X(3.5), up, "dgm-axis"));
    for (let v = -3; v <= 3; v++) layer.push(line(X(v), up - 4, X(v), up, "dgm-axis"), text(X(v), up - 12, number(v, 0), "middle", "dgm-small"));
    [[sliders.mean, 0, mean], [sliders.std, 2, mean + 2 * std]].forEach(([slider, e, v]) => {
      view.append(line(X(e), up, X(v), down, "dgm-axis"));
      slider.place(X(e + HOLD * (v - e)), up + HOLD * (down - up));
    });
    z.forEach((v, k) => view.append(line(X(epsilon[k]), up, X(v), down, "dgm-thread"), dot(X(epsilon[k]), up, ""), dot(X(v), down, "")));
    layer.push(line(0, down, width, down, "dgm-axis"), view, text(0, down - 10, "z = μ + σ ε", "start", "dgm-head dgm-halo"));

    // f, its points, and where each goes when the parameter grows.
    const high = slide ? 112 : 160, floor = down + 24 + high;
    const grid = Array.from({ length: 241 }, (_, k) => EDGE * (k / 120 - 1)), heights = z.map((v) => at(f, v));
    const usual = grid.filter((v) => Math.abs(v - mean0) <= 2 * std0).map((v) => at(base, v)), seen = [...usual, ...heights, ...(raised ? usual.map((v) => v + RAISE) : [])];
    const least = Math.min(0, ...seen), span = (Math.max(...seen) - least) * 1.06, Y = (v) => floor - 10 - ((v - least) / span) * high;
    const plot = svg("svg", { x: 0, y: down + 2, width, height: floor - down - 2, overflow: "hidden" }), lift = svg("g", { transform: `translate(0 ${-down - 2})` });
    const curve = (poly) => grid.map((v, k) => `${k ? "L" : "M"}${X(v).toFixed(1)} ${clamp(Y(at(poly, v)), -900, 900).toFixed(1)}`).join("");
    const apart = nice(span / 4), round = (v) => short(v).replace(/\.0+$/, "");
    for (let k = Math.ceil(least / apart); k * apart <= least + span; k++) {
      lift.append(line(0, Y(k * apart), width, Y(k * apart)));
      layer.push(text(0, Y(k * apart) - 3, round(k * apart), "start", "dgm-small"));
    }
    z.forEach((v, k) => lift.append(line(X(v), down, X(v), Y(heights[k]), "dgm-line")));
    if (raised) lift.append(path(curve(base), "dgm-guide"));
    lift.append(path(curve(f), "dgm-edge dgm-blue"));
    plot.append(lift);
    layer.push(plot, line(0, floor, width, floor, "dgm-axis"), text(width, floor - 8, raised ? `f(z) + ${RAISE}` : "f(z)", "end", "dgm-head dgm-halo"));
    for (let v = 1 - EDGE; v < EDGE; v += 2) layer.push(line(X(v), floor, X(v), floor + 5, "dgm-axis"), text(X(v), floor + 19, number(v, 0), "middle", "dgm-small"));
    const forward = slope(f), grow = 0.5;
    const arrows = z.map((v, k) => {
      const go = grow * (mu ? 1 : epsilon[k]), dx = (go / (2 * EDGE)) * width, dy = -(at(forward, v) * go * high) / span, long = Math.hypot(dx, dy) || 1;
      const tip = Math.min(6, 0.5 * long), [a, b] = [(dx / long) * tip, (dy / long) * tip], x = X(v), y = Y(heights[k]);
      return `M${x} ${y}l${dx} ${dy}m${-a - 0.6 * b} ${-b + 0.6 * a}L${x + dx} ${y + dy}l${-a + 0.6 * b} ${-b - 0.6 * a}`;
    });
    lift.append(...arrows.map((d) => path(d, "dgm-move-edge")), ...arrows.map((d) => path(d, "dgm-move dgm-orange")), ...z.map((v, k) => dot(X(v), Y(heights[k]), "")));

    // One term for each draw, on one scale.
    const reach = nice(1.04 * Math.max(...[way, score].flatMap((part) => [...part.terms.map(Math.abs), Math.abs(exact) + part.std])));
    const T = (v) => (0.5 + (0.48 * v) / reach) * width, rows = floor + (slide ? 44 : 52), key = narrow ? 22 : 0, foot = rows + 118 + key;
    layer.push(text(0, rows, `${draws} terms of ∂E[f(z)] / ∂${by}`, "start", "dgm-head"));
    layer.push(line(T(exact), rows + 10 + key, T(exact), foot, "dgm-guide"));
    let end = narrow ? 266 : width;
    for (const [words, wide, sign] of [["± 1 std", 52, "band"], ["exact", 36, "dgm-guide"], ["mean of terms", 92, "dgm-chosen"]]) {
      const x = end - wide, y = rows + key - 5;
      layer.push(text(x, y + 5, words, "start", "dgm-small"), sign === "band" ? box(x - 26, y - 6, 20, 12, "dgm-veil dgm-green", { rx: 6 }) : line(x - 9, y - 8, x - 9, y + 8, sign));
      end = x - (sign === "band" ? 42 : 28);
    }
    [[way, "pathwise", mu ? "f′(z)" : "f′(z) ε", "orange"], [score, "score function", mu ? "f(z) (z − μ) / σ²" : "f(z) (ε² − 1) / σ", "green"]].forEach(([part, title, formula, colour], k) => {
      const y = rows + key + 46 + 50 * k, mid = T(part.estimate);
      layer.push(line(T(-reach), y, T(reach), y), box(T(exact - part.std), y - 8, T(exact + part.std) - T(exact - part.std), 16, `dgm-veil dgm-${colour}`, { rx: 8 }),
        line(T(exact), y - 8, T(exact), y + 8, "dgm-guide"), line(mid, y - 12, mid, y + 12, "dgm-chosen"), ...part.terms.map((v) => dot(T(v), y, `dgm-${colour}`, 4.5)),
        text(0, y - 15, `${title}: ${formula}`, "start", "dgm-small dgm-halo"));
    });
    layer.push(line(T(-reach), foot, T(reach), foot, "dgm-axis"));
    for (const v of [-1, -0.5, 0, 0.5, 1]) {
      layer.push(line(T(v * reach), foot, T(v * reach), foot + 5, "dgm-axis"));
      if (v !== -0.5 && v !== 0.5 || width > 420) layer.push(text(Math.abs(v) < 1 ? T(v * reach) : v < 0 ? 0 : width, foot + 19, round(v * reach), v === -1 ? "start" : v === 1 ? "end" : "middle", "dgm-small"));
    }
    ui.size(width, foot + 24);

    ui.read([
      ["exact derivative", short(exact), `by ${by}`],
      ["pathwise, mean of terms", short(way.estimate), `one spreads ${short(way.std)}`, "dgm-orange"],
      ["score function, mean", short(score.estimate), `one spreads ${short(score.std)}`, "dgm-green"],
      ["ratio of variances", ratioText(ratio), "times"],
    ]);
    const cost = ratio === Infinity ? "pathwise, one draw is enough" : ratio > 1.05 ? `it needs ${ratioText(ratio)} times as many draws for the same precision`
      : ratio < 0.95 ? "here it is the better of the two" : "here they are equally good";
    ui.say(`${mu ? "When μ grows, all points move alike" : "When σ grows, each point moves by its ε"}. Arrows show where to: their mean rise per unit is ${short(way.estimate)}, exactly ${short(exact)}. `
      + `The score function is told only the heights f(z)${raised ? `, all ${RAISE} larger now` : ""}: its terms spread ${short(score.std)}, pathwise ${short(way.std)}; ${cost}.`);
    ui.expose({ coefficients: f, mean, std, by, raised, seed: model.get("seed"), epsilon, z, exact, path: way, score, ratio });
  }

  return frame({ model, el, title: "The gradient through the sample", traits: ["mean", "std", "seed", "by", "raised"], start, draw });
}
