const COLOURS = ["blue", "sky", "green", "purple", "orange"];
const LEVELS = { "not needed": "not needed", bound: "a bound", exact: "exact" };
const KEY = ["● measured, or exact", "○ a bound: the truth is there or further along the arrow", "• one of the seeds", "dashed, ✗: out"];
const COUNTS = ["No", "One", "Two", "Three", "Four", "Five"];
const list = (words, last) => (words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")}${last}${words.at(-1)}`);
const digital = (value, options) => mark(value.toLocaleString("en", options));

// A number as it is said: three digits where factors count, else as many decimals as its axis can tell apart.
function said({ log, digits }, value, more = 0) {
  if (log) return digital(value, { maximumSignificantDigits: 3 + more });
  return digital(value, { minimumFractionDigits: digits + more, maximumFractionDigits: digits + more });
}
const brief = ({ log }, value) => digital(value, log ? { maximumSignificantDigits: 6 } : { maximumFractionDigits: 6 });

// Places on an axis, from 0, the worst, to 100, the best.
const ends = ({ low, high, better }) => (better ? [low, high] : [high, low]);
function placed(q, value) {
  const [worst, best] = ends(q);
  return (100 * ((q.log ? Math.log10(value) : value) - worst)) / (best - worst);
}
function valued(q, place) { // in few digits, but on the axis
  const [worst, best] = ends(q), u = worst + (place / 100) * (best - worst);
  const all = [0, 1, 2, 9].map((more) => Number(q.log ? (10 ** u).toPrecision(2 + more) : u.toFixed(q.digits + more)));
  return all.find((value) => placed(q, value) <= 100) ?? all[3];
}
// Round numbers within an axis.
function ticks({ low, high, log }, most) {
  if (log) {
    const all = [], few = high - low > 2.2;
    for (let k = Math.floor(low); k <= high; k++) for (const m of few ? [1] : [1, 2, 5]) all.push(m * 10 ** k);
    return all.filter((v) => Math.log10(v) >= low && Math.log10(v) <= high);
  }
  const size = 10 ** Math.floor(Math.log10((high - low) / most)), step = size * [1, 2, 5, 10].find((m) => (high - low) / (m * size) <= most);
  return Array.from({ length: Math.floor(high / step) - Math.ceil(low / step) + 1 }, (_, i) => tidy((Math.ceil(low / step) + i) * step));
}

function render({ model, el }) {
  const [models, quantities, problems, note, task] = ["models", "quantities", "problems", "note", "task"].map((name) => model.get(name));
  const axes = Object.fromEntries(quantities.map((q) => [q.key, q])), get = (name) => model.get(name);
  const better = (q) => (q.better ? "at least" : "at most"), wanted = (q, limit) => q.told.replace("#", `${better(q)} ${brief(q, limit)}`);
  const meets = (q, value, limit) => (q.better ? value >= limit : value <= limit);
  const open = ({ kind, values }, q) => q.nats && q.key in values && kind === "bound"; // a bound, not the number itself

  // What a family has of a quantity, in words; with more digits where it would read as if it met a limit that it misses.
  function has(family, q, limit) {
    const { mean } = family.values[q.key], words = q.nats ? "# nats" : q.told;
    const miss = limit !== undefined && !meets(q, mean, limit);
    const shown = [0, 1, 2, 3, 5].map((more) => said(q, mean, more)).find((it) => !miss || !meets(q, Number(it.replace(/,/g, "").replace("−", "-")), limit)) ?? String(mean);
    return words.replace("#", `${open(family, q) ? "at most " : ""}${shown}`);
  }
  // The needs that a family does not meet, as in Python, and each in words.
  function lacking(family, limits, likelihood) {
    const out = { "not needed": true, bound: family.kind !== "none", exact: family.kind === "exact" }[likelihood] ? [] : ["likelihood"];
    const misses = (q) => q.key in limits && !(q.key in family.values && meets(q, family.values[q.key].mean, limits[q.key]));
    return [...out, ...quantities.filter(misses).map((q) => q.key)];
  }
  function reason(family, key, limits) {
    if (key === "likelihood") return family.kind === "none" ? "gives no likelihood" : "knows only a bound of its likelihood";
    const q = axes[key], limit = limits[key];
    if (!(key in family.values)) return q.lacks;
    if (open(family, q)) return `${has(family, q, limit)} by a bound, no proof of the ${brief(q, limit)} you want`;
    return `${has(family, q, limit)}, you want ${better(q)} ${brief(q, limit)}`;
  }
  const named = (key, limits, likelihood) => (key !== "likelihood" ? wanted(axes[key], limits[key]) : likelihood === "exact" ? "an exact likelihood" : "a likelihood");

  const needs = html("div", { class: "dgm-needs", role: "group", "aria-label": "needs" }), rows = {}, lines = {};
  const families = html("ul", { class: "dgm-verdicts", "aria-label": "families" }), verdicts = {};

  // A limit at the worst end of its axis is none.
  function limit(ui, q, place) {
    const limits = { ...get("limits") }, before = limits[q.key], was = before === undefined ? 0 : placed(q, before);
    let value = valued(q, place);
    if (value === before && Math.abs(place - was) > 0.01) { // a small step, smaller than the digits
      const unit = 10 ** (q.log ? Math.floor(Math.log10(value)) - 1 : -q.digits), up = (place > was) === q.better ? 1 : -1;
      value = tidy(value + up * unit);
    }
    if (place <= 0 || placed(q, value) <= 0) delete limits[q.key];
    else limits[q.key] = placed(q, value) > 100 ? before : value;
    ui.set({ limits });
  }
  const place = (q) => (q.key in get("limits") ? clamp(placed(q, get("limits")[q.key]), 0, 100) : 0);
  const told = (ui, q) => `${q.key in get("limits") ? wanted(q, get("limits")[q.key]) : "no limit"}; ${ui.told ?? ""}`;

  function start(ui) {
    ui.initial = get("initial");
    ui.root.classList.add("dgm-chooser");
    ui.group("problems", () => problems.forEach(({ name, ...state }) => {
      const node = ui.button(name, () => ui.set(state)), same = (key) => JSON.stringify(get(key)) === JSON.stringify(state[key]);
      ui.onDraw(() => node.setAttribute("aria-pressed", String(same("limits") && same("likelihood"))));
    }));
    if (task) ui.root.insertBefore(html("p", { class: "dgm-task" }, html("b", {}, "Task: "), task), ui.stage);

    const choices = html("div", { class: "dgm-axes" });
    for (const [axis, other, words] of [["y", "x", "up ↑"], ["x", "y", "across →"]]) {
      const node = html("select", {}, ...quantities.map((q) => html("option", { value: q.key }, q.words)));
      node.addEventListener("change", () => ui.set(node.value === get(other) ? { [other]: get(axis), [axis]: node.value } : { [axis]: node.value }));
      ui.onDraw(() => { node.value = get(axis); });
      choices.append(html("label", {}, words, node));
      lines[axis] = ui.slider({
        label: "", min: 0, max: 100, step: 1, vertical: axis === "y", get: () => place(axes[get(axis)]),
        set: (to) => limit(ui, axes[get(axis)], to), text: () => told(ui, axes[get(axis)]),
        value: ({ x, y }) => (axis === "x" ? (x - ui.left) / ui.across : (ui.bottom - y) / ui.up) * 100,
      });
    }
    ui.stage.prepend(choices);
    ui.stage.append(html("p", { class: "dgm-key" }, ...KEY.map((words) => html("span", {}, words))));

    ui.row = html("div", { class: "dgm-group", role: "group", "aria-label": "likelihood" }, html("span", { class: "dgm-label" }, "likelihood"));
    for (const [level, words] of Object.entries(LEVELS)) {
      const node = ui.button(words, () => ui.set({ likelihood: level }));
      ui.onDraw(() => node.setAttribute("aria-pressed", String(get("likelihood") === level)));
    }
    needs.append(ui.row);
    ui.row = undefined;
    for (const q of quantities) {
      const input = html("input", { type: "range", min: 0, max: 100, step: 1, "aria-label": q.words }), value = html("span", { class: "dgm-limit", "aria-hidden": "true" });
      input.addEventListener("input", () => limit(ui, q, Number(input.value)));
      rows[q.key] = { input, value, node: html("div", { class: "dgm-need" }, html("span", { "aria-hidden": "true" }, q.words), input, value) };
      needs.append(rows[q.key].node);
    }
    for (const [f, { name }] of models.entries()) {
      verdicts[name] = [html("span"), html("small")];
      families.append(html("li", { class: `dgm-${COLOURS[f]}` }, html("b", {}, name), " ", ...verdicts[name]));
    }
    ui.root.append(html("div", { class: "dgm-lists" }, needs, families), html("p", { class: "dgm-note" }, note));
    ui.root.addEventListener("keydown", (event) => { // notebooks and slides have their own use for these keys
      if (event.target.matches("input, select") && !event.ctrlKey && !event.metaKey && !event.altKey && (event.key in UP || ["Home", "End", "Enter", " "].includes(event.key))) event.stopPropagation();
    });
  }

  // Slanted lines in a box: what a limit shuts out.
  function hatched(x, y, width, height) {
    const part = svg("svg", { x, y, width: Math.max(width, 0), height: Math.max(height, 0), overflow: "hidden" });
    const count = Math.ceil((Math.max(width, 0) + Math.max(height, 0)) / 9);
    part.append(path(Array.from({ length: count }, (_, k) => `M${9 * k} 0l${-height} ${height}`).join(""), "dgm-line"));
    return part;
  }

  function draw(ui, width) {
    const layer = ui.layer, limits = get("limits"), likelihood = get("likelihood"), [qx, qy] = [axes[get("x")], axes[get("y")]];
    const slide = ui.root.closest(".reveal"), lacks = models.map((family) => lacking(family, limits, likelihood));
    const stay = models.filter((_, f) => !lacks[f].length).map(({ name }) => name);
    ui.told = `${stay.length} of ${models.length} families stay`;

    // The field: the best is always above and to the right; beside it, a strip for what has no number.
    const without = (q) => models.some(({ values }) => !(q.key in values));
    const strip = { x: without(qx) ? (width < 500 ? 84 : 112) : 0, y: without(qy) ? 40 : 0 }, axis = 54, top = 58;
    const left = axis + strip.x, across = width - left - 18, up = slide ? 250 : clamp(Math.round(0.5 * across), 220, 330), bottom = top + up;
    [ui.left, ui.across, ui.bottom, ui.up] = [left, across, bottom, up];
    const X = (v) => left + (placed(qx, v) / 100) * across, Y = (v) => bottom - (placed(qy, v) / 100) * up;
    const right = left + across, foot = bottom + strip.y, cut = { x: left + (place(qx) / 100) * across, y: bottom - (place(qy) / 100) * up };
    let last = -Infinity, free = -Infinity;
    for (const v of ticks(qx, Math.max(2, Math.floor(across / 75)))) {
      const room = 4 * brief(qx, v).length + 5;
      if (X(v) - room < free) continue;
      last = X(v);
      free = last + room;
      layer.push(line(last, top, last, bottom), text(clamp(last, 0, right - 8), foot + 18, brief(qx, v), "middle", "dgm-small"));
    }
    for (const v of ticks(qy, Math.floor(up / 40))) layer.push(line(left, Y(v), right, Y(v)), text(axis - 8, Y(v) + 4, brief(qy, v), "end", "dgm-small"));
    layer.push(box(left, top, across, up, "dgm-frame"));
    if (strip.y) layer.push(box(left, bottom, across, strip.y, "dgm-none"), text(axis - 8, bottom + 25, "none", "end", "dgm-small"));
    if (strip.x) layer.push(box(axis, top, strip.x, up, "dgm-none"), text(axis + strip.x / 2, foot + 18, "none", "middle", "dgm-small"));
    if (qx.key in limits) layer.push(hatched(axis, top, cut.x - axis, foot - top));
    if (qy.key in limits) layer.push(hatched(qx.key in limits ? cut.x : axis, cut.y, right - (qx.key in limits ? cut.x : axis), foot - cut.y));
    const aim = (q) => { // as much as there is room for
      const full = `${q.words}, ${q.better ? "higher" : "lower"} is better`;
      return 8.4 * (full.length + 2) < width ? full : q.words;
    };
    layer.push(text(0, 14, `↑ ${aim(qy)}`), text(width, foot + 42, `${aim(qx)} →`, "end"));
    ui.size(width, foot + 50);

    // The two limits.
    const taken = [];
    if (qx.key in limits) layer.push(line(cut.x, top, cut.x, foot, "dgm-cut"));
    if (qy.key in limits) layer.push(line(left - strip.x, cut.y, right, cut.y, "dgm-cut"));
    const words = (q) => (q.key in limits ? `${better(q)} ${brief(q, limits[q.key])}` : "no limit: pull");
    const half = 4 * words(qx).length, below = cut.y < top + 24;
    layer.push(text(clamp(cut.x, left + half - 20, right - half + 14), 37, words(qx), "middle", "dgm-small"));
    layer.push(text(right - 20, cut.y + (below ? 18 : -8), words(qy), "end", "dgm-small dgm-halo"));
    taken.push([right - 24 - 8 * words(qy).length, cut.y + (below ? 2 : -24), right, cut.y + (below ? 24 : 2)]);
    lines.x.place(cut.x, top, `M${left - 9} ${top - 14}h${across + 18}v22h${-across - 18}z M${cut.x - 7} ${top}h14V${bottom}h-14z`);
    lines.y.place(right, cut.y, `M${right - 9} ${top - 9}h22v${up + 18}h-22z M${left} ${cut.y - 7}h${across}v14h${-across}z`);
    lines.x.node.setAttribute("aria-label", `limit across: ${qx.words}`);
    lines.y.node.setAttribute("aria-label", `limit up: ${qy.words}`);

    // The families: a mark, what its seeds say, and its name where there is room.
    const spots = models.map(({ values }) => [qx.key in values ? X(values[qx.key].mean) : axis + strip.x / 2, qy.key in values ? Y(values[qy.key].mean) : bottom + 0.5 * strip.y]);
    const dots = models.map(({ values }, f) => {
      const [xs, ys] = [values[qx.key]?.all, values[qy.key]?.all], count = Math.min(xs?.length ?? Infinity, ys?.length ?? Infinity);
      return Number.isFinite(count) ? Array.from({ length: count }, (_, s) => [xs ? X(xs[s]) : spots[f][0], ys ? Y(ys[s]) : spots[f][1]]) : [];
    });
    dots.forEach((some, f) => layer.push(path(some.map((dot) => `M${spots[f]}L${dot}`).join(""), `dgm-thread dgm-${COLOURS[f]}`)));
    models.forEach((family, f) => {
      const [x, y] = spots[f], out = lacks[f].length > 0, bounds = [open(family, qx), open(family, qy)], colour = `dgm-${COLOURS[f]}`;
      taken.push([x - 9, y - 9, x + 9, y + 9]);
      if (bounds[0]) layer.push(path(`M${x + 9} ${y}h15m-5 -4l5 4l-5 4`, `dgm-edge dgm-bound ${colour}`)), taken.push([x + 9, y - 4, x + 26, y + 4]);
      if (bounds[1]) layer.push(path(`M${x} ${y - 9}v-15m-4 5l4 -5l4 5`, `dgm-edge dgm-bound ${colour}`)), taken.push([x - 4, y - 26, x + 4, y - 9]);
      layer.push(svg("circle", { cx: x, cy: y, r: 8.5, class: "dgm-under" }), svg("circle", { cx: x, cy: y, r: 8.5, class: `${colour} dgm-spot${bounds.some(Boolean) ? " dgm-open" : ""}${out ? " dgm-out" : ""}` }));
    });
    dots.forEach((some, f) => some.forEach(([x, y]) => layer.push(svg("circle", { cx: x, cy: y, r: 3, class: `dgm-trial dgm-${COLOURS[f]}` }))));
    const cost = ([x0, y0, x1, y1], far) => far + (x0 < axis + 1 || x1 > right || y0 < top || y1 > foot ? 1e4 : 0)
      + sum(taken.map(([a, b, c, d]) => (x0 < c && a < x1 && y0 < d && b < y1 ? 1000 : 0))) + 8 * dots.flat().filter(([x, y]) => x > x0 && x < x1 && y > y0 && y < y1).length;
    models.map((_, f) => f).sort((a, b) => models[b].name.length - models[a].name.length).forEach((f) => {
      const [x, y] = spots[f], out = lacks[f].length > 0, name = `${out ? "✗ " : ""}${models[f].name}`, w = 8.8 * name.length + 3.7 * name.replace(/[^A-Z✗]/g, "").length + 4;
      const tries = [14, 28, 44, 62, 84, 110].flatMap((r, i) => [[1, 0], [-1, 0], [0, -1], [0, 1], [1, -0.8], [1, 0.8], [-1, -0.8], [-1, 0.8], [0.3, -1], [-0.3, -1]].map(([dx, dy]) => {
        const cx = x + dx * r, cy = y + dy * (r + 4), x0 = dx > 0 ? cx : dx < 0 ? cx - w : cx - w / 2, area = [x0, cy - 9, x0 + w, cy + 9];
        return { area, cx, cy, dx, i, cost: cost(area, r) };
      }));
      const best = tries.reduce((a, b) => (b.cost < a.cost ? b : a));
      taken.push(best.area);
      if (best.i) layer.push(line(x, y, best.cx, best.cy, "dgm-axis"));
      layer.push(text(best.cx, best.cy + 5, name, best.dx > 0 ? "start" : best.dx < 0 ? "end" : "middle", `dgm-halo ${out ? "dgm-faded" : "dgm-strong"}`));
    });

    // The lists.
    quantities.forEach((q) => {
      const { input, value, node } = rows[q.key], words = q.key in limits ? `${better(q)} ${brief(q, limits[q.key])}` : "any";
      node.toggleAttribute("hidden", !(q.usual || q === qx || q === qy || q.key in limits));
      if (value.textContent !== words) value.textContent = words;
      input.value = String(Math.round(place(q)));
      input.setAttribute("aria-valuetext", told(ui, q));
    });
    const reasons = models.map((family, f) => Object.fromEntries(lacks[f].map((key) => [key, reason(family, key, limits)])));
    models.forEach((family, f) => {
      // Near a limit, one seed stays and another does not.
      const close = quantities.filter((q) => q.key in limits && q.key in family.values).map((q) => {
        const { all } = family.values[q.key], met = all.filter((v) => meets(q, v, limits[q.key])).length;
        const split = lacks[f].length ? lacks[f].includes(q.key) && met > 0 : met < all.length;
        return split ? `${met} of ${all.length} seeds meet${met === 1 ? "s" : ""} “${wanted(q, limits[q.key])}”` : "";
      }).filter(Boolean);
      const [verdict, numbers] = verdicts[family.name];
      verdict.textContent = `${lacks[f].length ? `✗ out: ${[...new Set(Object.values(reasons[f]))].join("; ")}` : "✓ stays"}${close.length ? ` (${close.join("; ")})` : ""}`;
      numbers.textContent = [qx, qy].map((q) => (q.key in family.values ? has(family, q) : q.lacks)).join("; ");
    });
    const least = Math.min(...lacks.map((out) => out.length)), keep = {};
    lacks.forEach((out, f) => {
      if (out.length === least) (keep[list(out.map((key) => `“${named(key, limits, likelihood)}”`), " and ")] ??= []).push(models[f].name);
    });
    const asked = likelihood !== "not needed" || Object.keys(limits).length;
    ui.read([]);
    ui.say(!asked ? "All five families stay. Choose a problem, or pull a limit, and those that do not meet it are out."
      : stay.length ? `${stay.length === models.length ? "All five" : COUNTS[stay.length]} of five families stay${stay.length === 1 ? "s" : ""}: ${list(stay, " and ")}.`.replace("All five of five", "All five")
        : `No family meets all of this. What comes nearest: ${Object.entries(keep).map(([what, some]) => `${list(some, " or ")}, if you give up ${what}`).join("; ")}.`);
    const seen = models.map(({ name, values }, f) => ({ name, x: values[qx.key]?.mean ?? null, y: values[qy.key]?.mean ?? null, at: spots[f] }));
    ui.expose({ x: qx.key, y: qy.key, likelihood, limits, stay, failed: Object.fromEntries(models.map(({ name }, f) => [name, lacks[f]])), points: seen, reasons });
  }

  return frame({ model, el, title: "Which model for my problem?", traits: ["x", "y", "likelihood", "limits"], start, draw });
}
