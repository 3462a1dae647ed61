const apart = (a, b) => Math.sqrt((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2);
const mean = (values) => sum(values) / values.length;
const pairs = (points) => points.flatMap((a, i) => points.slice(i + 1).map((b) => apart(a, b)));

// For each point the distance to its k-th neighbour of its own kind.
const radii = (points, k) => points.map((a) => Float64Array.from(points, (b) => apart(a, b)).sort()[k]);
const share = (some, others, radius) => mean(some.map((a) => Number(others.some((b, i) => apart(a, b) <= radius[i]))));
const nearest = (some, others) => some.map((a) => others.reduce((least, b) => Math.min(least, apart(a, b)), Infinity));

function covariance(points) {
  const m = [0, 1].map((i) => mean(points.map((x) => x[i])));
  const of = (i, j) => sum(points.map((x) => (x[i] - m[i]) * (x[j] - m[j]))) / (points.length - 1);
  return { m, xx: of(0, 0), xy: of(0, 1), yy: of(1, 1) };
}
// In two dimensions tr (AB)^½ = (tr AB + 2 (det A det B)^½)^½.
function frechet(a, b) {
  const det = ({ xx, xy, yy }) => Math.max(xx * yy - xy * xy, 0);
  const product = a.xx * b.xx + 2 * a.xy * b.xy + a.yy * b.yy;
  const cross = Math.sqrt(product + 2 * Math.sqrt(det(a) * det(b)));
  return Math.max(apart(a.m, b.m) ** 2 + a.xx + a.yy + b.xx + b.yy - 2 * cross, 0);
}

// What the real points give once, and from it the seven scores of any samples, with the names of the docstring.
function scorer({ train, test, centres, std, k }) {
  const own = pairs(test), h = Float64Array.from(own).sort()[(own.length - 1) >> 1];
  const kernel = (distances) => mean(distances.map((d) => Math.exp(-(d * d) / (2 * h * h))));
  const within = kernel(own), balls = radii(test, k), spread = covariance(test), usual = mean(nearest(test, train));
  const score = (samples) => {
    const around = radii(samples, k), counts = centres.map(() => 0);
    for (const x of samples) {
      const far = centres.map((c) => apart(x, c)), near = far.indexOf(Math.min(...far));
      if (far[near] <= 3 * std) counts[near]++;
    }
    return {
      around,
      scores: [
        share(samples, test, balls), share(test, samples, around),
        kernel(pairs(samples)) + within - 2 * kernel(samples.flatMap((a) => test.map((b) => apart(a, b)))),
        frechet(covariance(samples), spread), counts.filter(Boolean).length, sum(counts) / samples.length,
        mean(nearest(samples, train)) / usual,
      ],
    };
  };
  return { h, balls, score };
}

function render({ model, el }) {
  const [centres, std, k, task] = ["centres", "std", "k", "task"].map((name) => model.get(name)), K = centres.length;
  const bytes = Uint8Array.from(atob(model.get("table")), (letter) => letter.charCodeAt(0));
  const numbers = Array.from(new Float64Array(bytes.buffer)), n = numbers.length / 12;
  const rows = Array.from({ length: n }, (_, i) => numbers.slice(12 * i, 12 * i + 12));
  const train = rows.map((r) => r.slice(0, 2)), test = rows.map((r) => r.slice(3, 5));
  const { h, balls: around_real, score } = scorer({ train, test, centres, std, k });
  const [real, honest] = [model.get("real"), model.get("honest")], EDGE = Math.max(...centres.flat().map(Math.abs)) + 6 * std;
  const NAMES = [[`precision, k = ${k}`, 3], [`recall, k = ${k}`, 3], ["MMD² × 1000", 1], ["Fréchet distance", 3],
    [`modes covered, of ${K}`, 0], ["near a mode", 3], ["distance to train", 2]];
  const DAMAGES = [["memorised", "memorised", 1, 0.05, "share of samples that are copies of training points"],
    ["dropped", "modes dropped", K - 1, 1, "number of modes dropped"],
    ["noise", "noise added, σ", 1, 0.05, "standard deviation of the noise added"],
    ["shrink", "variety lost", 1, 0.05, "share of the variety within modes that is lost"]];
  const EXAMPLES = { honest: [0, 0, 0, 0], memorised: [1, 0, 0, 0], "modes dropped": [0, Math.min(2, K - 1), 0, 0],
    noise: [0, 0, 0.3, 0], "variety lost": [0, 0, 0, 0.5] };
  const state = (values) => Object.fromEntries(DAMAGES.map(([name], i) => [name, values[i]])), sliders = {};
  const shown = (name, v) => (name === "dropped" ? `${v} of ${K}` : name === "noise" ? number(v, 2) : `${number(100 * v, 0)} %`);
  let balls = "real", past = {};

  function samples([memorised, dropped, noise, shrink]) {
    const kept = K - dropped, copies = rows.map((r) => r[11]).filter((j) => rows[j][2] < kept);
    const taken = copies.length ? Math.round(memorised * n) : 0;
    return rows.map(([, , , , , mode, dx, dy, choice, ex, ey], i) => {
      const c = centres[mode < kept ? mode : Math.floor(choice * kept)];
      const from = i < taken ? train[copies[i % copies.length]] : [c[0] + (1 - shrink) * dx, c[1] + (1 - shrink) * dy];
      return [from[0] + noise * ex, from[1] + noise * ey];
    });
  }

  function start(ui) {
    ui.initial = state(model.get("initial"));
    ui.onReset = () => { balls = "real"; };
    if (task) ui.root.insertBefore(html("p", { class: "dgm-task" }, html("b", {}, "Task: "), task), ui.stage);
    ui.group("examples", () => Object.entries(EXAMPLES).forEach(([name, values]) => {
      const node = ui.button(name, () => ui.set(state(values)));
      ui.onDraw(() => node.setAttribute("aria-pressed", String(values.every((v, i) => v === model.get(DAMAGES[i][0])))));
    }));
    ui.group("balls", () => {
      ui.row.append(html("span", { class: "dgm-label" }, "balls"));
      for (const [name, label] of [["real", "balls around real test points"], ["samples", "balls around samples"], ["none", "none: no balls"]]) {
        const node = ui.button(name, () => { balls = name; ui.redraw(); }, { "aria-label": label });
        ui.onDraw(() => node.setAttribute("aria-pressed", String(balls === name)));
      }
    });
    for (const [name, , max, step, label] of DAMAGES) {
      sliders[name] = ui.slider({
        label, min: 0, max, step, get: () => model.get(name),
        set: (to) => ui.set({ [name]: name === "dropped" ? Math.round(to) : to }),
        value: ({ x }) => ((x - ui.left) / ui.across) * max,
        text: () => `${shown(name, model.get(name))}; ${ui.told}`,
      });
    }
  }

  function draw(ui, width) {
    const damage = DAMAGES.map(([name]) => model.get(name)), key = damage.join(), layer = ui.layer;
    if (past.key !== key) {
      const x = samples(damage);
      past = { key, x, ...score(x) };
    }
    const { x, around, scores } = past;
    const narrow = width < 680, tiny = width < 330, slide = ui.root.closest(".reveal");
    const side = Math.floor(Math.min(narrow ? width - 2 : width - 378, slide ? 340 : 460)), scale = side / (2 * EDGE);
    const spot = ([a, b]) => `${((a + EDGE) * scale).toFixed(1)} ${((EDGE - b) * scale).toFixed(1)}`;
    const view = svg("svg", { x: 1, y: 1, width: side, height: side, overflow: "hidden" }), put = (d, cls) => view.append(path(d, cls));
    const round = (p, r) => `M${spot(p)}m${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`;
    if (balls !== "none") {
      const [points, radius, colour] = balls === "real" ? [test, around_real, "blue"] : [x, around, "orange"];
      put(points.map((p, i) => round(p, Math.max(radius[i] * scale, 0.1).toFixed(1))).join(""), `dgm-balls dgm-${colour}`);
    }
    put(train.map((p) => `M${spot(p)}m-3.5 0h7m-3.5 -3.5v7`).join(""), "dgm-faint");
    put(test.map((p) => `M${spot(p)}h0`).join(""), "dgm-spots dgm-blue");
    put(x.map((p) => `M${spot(p)}m-3.2 -3.2l6.4 6.4m0 -6.4l-6.4 6.4`).join(""), "dgm-stroke dgm-red");
    layer.push(view, box(1, 1, side, side, "dgm-frame"));

    // The signs, and the four kinds of damage.
    const left = narrow ? 0 : side + 28, room = width - left;
    let y = narrow ? side + 22 : 14;
    [["dgm-spots dgm-blue", "M6 -5h0", "test"], ["dgm-faint", "M2 -5h8m-4 -4v8", "train"],
      ["dgm-stroke dgm-red", "M3 -8l6 6m0 -6l-6 6", "samples"]].forEach(([cls, d, words], i) => {
      const at = left + [0, 70, 146][i];
      layer.push(svg("g", { transform: `translate(${at} ${y})` }, path(d, cls), text(17, 0, words)));
    });
    y += slide ? 30 : 38;
    const words = 148;
    [ui.left, ui.across] = [left + words + 10, room - words - 22];
    DAMAGES.forEach(([name, label, max], i) => {
      const v = damage[i];
      layer.push(text(left, y + 5, label),
        line(ui.left, y, ui.left + ui.across, y, "dgm-axis"), line(ui.left, y - 5, ui.left, y + 5, "dgm-axis"));
      sliders[name].place(ui.left + (v / max) * ui.across, y, `M${ui.left - 9} ${y - 14}h${ui.across + 18}v28h${-ui.across - 18}z`);
      layer.push(text(left, y + 20, shown(name, v), "start", "dgm-small"));
      y += slide ? 40 : 44;
    });

    // The scores, beside those of real points and of honest samples.
    const digits = (v, i) => number(i === 2 ? 1000 * v : v, NAMES[i][1]);
    const noticed = scores.map((v, i) => (v < honest[i][0] - 1e-9 ? "▼" : v > honest[i][1] + 1e-9 ? "▲" : ""));
    const at = [0, tiny ? 0.66 : 0.58, 0.72, 1].map((v) => left + Math.round(v * Math.min(room - 1, 400)));
    y += 2;
    ["score", "samples", tiny ? "" : "real", "honest range"].forEach((name, i) =>
      name && layer.push(text(at[i], y, name, i ? "end" : "start", "dgm-small")));
    layer.push(line(left, y + 6, at[3], y + 6, "dgm-axis"));
    scores.forEach((v, i) => {
      y += slide ? 20 : 22;
      if (noticed[i]) layer.push(box(left - 4, y - 14, at[1] - left + 8, 19, "dgm-veil dgm-red", { rx: 4 }));
      layer.push(text(left, y, NAMES[i][0], "start", tiny ? "dgm-small" : ""), text(at[1], y, `${noticed[i]} ${digits(v, i)}`, "end", "dgm-strong"),
        ...(tiny ? [] : [text(at[2], y, digits(real[i], i), "end", "dgm-small")]),
        text(at[3], y, `${digits(honest[i][0], i)}…${digits(honest[i][1], i)}`, "end", "dgm-small"));
    });
    for (const words of ["distance to train: over that of test points", "honest range: of 39 sets; ▲ above, ▼ below"]) {
      layer.push(text(left, y += slide ? 19 : 21, words, "start", "dgm-small"));
    }
    ui.size(width, Math.max(side + 2, y + 6));

    const list = (which) => scores.map((_, i) => i).filter((i) => Boolean(noticed[i]) === which);
    const short = (i) => NAMES[i][0].split(/,| ×/)[0].replace(/^near/, "the share near"), spoken = (i) => (i === 2 ? number(scores[i], 4) : digits(scores[i], i));
    const told = list(true).map((i) => `${short(i)} ${noticed[i] === "▲" ? "rises" : "falls"} to ${spoken(i)}`), silent = list(false).map(short);
    ui.told = told.length ? told.join(", ") : "no score leaves the honest range";
    const outside = x.filter((p) => Math.max(...p.map(Math.abs)) > EDGE).length;
    ui.read([]);
    ui.say((!told.length ? `${damage.some(Boolean) ? "Damaged, but n" : "N"}o score leaves the range of honest samples.`
      : `Noticed: ${ui.told}. ${silent.length ? `Not noticed by ${silent.join(", ")}.` : ""}`)
      + (outside ? ` ${plural(outside, "sample")} outside the picture.` : ""));
    ui.expose({ ...state(damage), samples: x, scores, noticed, h, outside, balls });
  }

  return frame({ model, el, title: "What scores of samples see", traits: DAMAGES.map(([name]) => name), start, draw });
}
