function render({ model, el }) {
  const xs = model.get("x_labels"), ys = model.get("y_labels"), X = xs.length, Y = ys.length;
  const cells = xs.flatMap((_, i) => ys.map((_, j) => [i, j]));
  const table = (fill) => {
    const rows = xs.map((_, i) => ys.map((_, j) => fill(i, j))), total = sum(rows.flat());
    return rows.map((row) => row.map((value) => value / total));
  };
  const margins = (p) => [p.map(sum), ys.map((_, j) => sum(p.map((row) => row[j])))];
  const handles = [];
  let held, on;

  // All entropies in nats. I is the sum of its terms: the difference of entropies would round away when it is small.
  function measure(p) {
    const [px, py] = margins(p);
    const mean = (term) => Math.max(sum(cells.map(([i, j]) => (p[i][j] > 0 ? p[i][j] * term(i, j) : 0))), 0);
    return {
      H_x: entropy(px), H_y: entropy(py), H_xy: entropy(p.flat()),
      H_x_given_y: mean((i, j) => Math.log(py[j]) - Math.log(p[i][j])), H_y_given_x: mean((i, j) => Math.log(px[i]) - Math.log(p[i][j])),
      I: mean((i, j) => Math.log(p[i][j]) - Math.log(px[i]) - Math.log(py[j])),
    };
  }

  function start(ui) {
    ui.initial = { joint: model.get("initial"), bits: false };
    const preset = (name, make) => ui.button(name, () => ui.set({ joint: make() }));
    ui.group("examples", () => {
      preset("independent", () => {
        const [px, py] = margins(model.get("joint"));
        return table((i, j) => px[i] * py[j]);
      });
      preset("copy", () => table((i, j) => Number(Math.min(i, Y - 1) === Math.min(j, X - 1))));
      preset("noisy channel", () => table((i, j) => (Math.min(i, Y - 1) === Math.min(j, X - 1) ? 0.8 : 0.2)));
      preset("checkerboard", () => table((i, j) => (i + j) % 2));
    });
    ui.units();
    for (const [i, j] of cells) handles.push(ui.slider({
      label: `probability of x = ${xs[i]}, y = ${ys[j]}`, min: 0, max: 1, step: 0.01, vertical: true, dot: true,
      get: () => model.get("joint")[i][j],
      begin: () => { held = model.get("joint"); },
      set: (value) => {
        const flat = rescaled(held.flat(), i * Y + j, value);
        ui.set({ joint: xs.map((_, row) => flat.slice(row * Y, (row + 1) * Y)) });
      },
      value: (point) => Math.max(0, (ui.floor(i) - point.y) / ui.side) ** 2, // areas are probabilities
      text: () => {
        const p = model.get("joint");
        return `${number(p[i][j])}, mutual information ${number(ui.shown(measure(p).I))} ${ui.unit()}`;
      },
      active: (yes) => { on = yes ? [i, j] : undefined; ui.redraw(); },
    }));
  }

  function draw(ui, width) {
    const p = model.get("joint"), [px, py] = margins(p), m = measure(p), layer = ui.layer;
    const narrow = width < 560, unit = ui.unit();
    const left = narrow ? width : Math.round(width * 0.44), label = 12 + 8.5 * Math.max(...xs.map((name) => name.length), 3);
    const side = Math.min((left - label - 52) / Y, 250 / X, 92), gap = 4, x0 = label, y0 = 62;
    Object.assign(ui, { side: side - gap, floor: (i) => y0 + (i + 1) * side - gap / 2 });

    layer.push(text(0, 16, "Joint table p(x, y)", "start", "dgm-head"));
    ys.forEach((name, j) => layer.push(text(x0 + (j + 0.5) * side, y0 - 10, name, "middle", on?.[1] === j ? "dgm-strong" : "")));
    xs.forEach((name, i) => layer.push(text(x0 - 10, y0 + (i + 0.5) * side + 5, name, "end", on?.[0] === i ? "dgm-strong" : "")));
    cells.forEach(([i, j], k) => {
      const x = x0 + j * side + gap / 2, floor = ui.floor(i), inner = side - gap;
      const s = Math.sqrt(p[i][j]) * inner, expected = Math.sqrt(px[i] * py[j]) * inner;
      layer.push(box(x, floor - inner, inner, inner, "dgm-cell"),
        box(x, floor - s, s, s, `dgm-tint dgm-purple ${on?.[0] === i && on?.[1] === j ? "dgm-on" : ""}`),
        box(x, floor - expected, expected, expected, "dgm-expected"),
        text(x + inner - 5, floor - inner + 16, number(p[i][j], 2).replace(/^0/, ""), "end", "dgm-halo"));
      handles[k].place(x + s, floor - s, `M${x} ${floor - inner}h${inner}v${inner}h${-inner}z`);
    });
    // Margins: bars outside the table, to the same scale for x and y.
    const reach = 44, right = x0 + Y * side + 6, below = y0 + X * side + 6;
    px.forEach((value, i) => layer.push(box(right, y0 + i * side + side * 0.25, value * reach, side * 0.5, "dgm-fill dgm-blue"),
      text(right + value * reach + 5, y0 + (i + 0.5) * side + 5, number(value, 2).replace(/^0/, ""), "start", "dgm-halo")));
    py.forEach((value, j) => layer.push(box(x0 + j * side + side * 0.25, below, side * 0.5, value * reach, "dgm-fill dgm-orange"),
      text(x0 + (j + 0.5) * side, below + value * reach + 16, number(value, 2).replace(/^0/, ""), "middle", "dgm-halo")));
    layer.push(text(right, y0 - 10, "p(x)", "start", "dgm-small"), text(x0 - 10, below + 14, "p(y)", "end", "dgm-small"));
    const under = below + reach + 26;

    // Entropies as bars to one scale; x begins at the left, y ends at the right, I is where they overlap.
    const from = narrow ? 0 : left + 30, drop = narrow ? under + 26 : 0;
    const name = 64, axis = from + name, room = width - axis - 56, most = Math.log(X * Y), scale = room / most;
    layer.push(text(from, drop + 16, "Entropies as lengths", "start", "dgm-head"));
    const tick = unit === "bits" ? Math.LN2 : 0.5, top = drop + 40, height = 22, row = 35;
    const bars = [
      ["H[x, y]", 0, m.H_xy, "dgm-purple"],
      ["H[x]", 0, m.H_x, "dgm-blue"],
      ["H[y]", m.H_x_given_y, m.H_y, "dgm-orange"],
      ["H[x | y]", 0, m.H_x_given_y, "dgm-blue dgm-pale"],
      ["I[x; y]", m.H_x_given_y, m.I, "dgm-green"],
      ["H[y | x]", m.H_x, m.H_y_given_x, "dgm-orange dgm-pale"],
    ];
    const bottom = top + bars.length * row;
    for (let k = 0; k * tick <= most + 1e-9; k++) {
      const x = axis + k * tick * scale;
      layer.push(line(x, top - 6, x, bottom), text(x, bottom + 18, unit === "bits" ? String(k) : number(k * tick, 1), "middle", "dgm-small"));
    }
    layer.push(text(axis + room + 50, bottom + 18, unit, "end", "dgm-small"));
    for (const x of [m.H_x_given_y, m.H_x, m.H_xy]) layer.push(line(axis + x * scale, top, axis + x * scale, bottom, "dgm-guide"));
    bars.forEach(([what, begin, length, cls], k) => {
      const y = top + k * row + 4;
      layer.push(text(axis - 10, y + 16, what, "end", what[0] === "I" ? "dgm-strong" : ""),
        box(axis + begin * scale, y, length * scale, height, `${cls.includes("pale") ? "dgm-tint" : "dgm-fill"} ${cls}`),
        text(axis + (begin + length) * scale + 7, y + 16, number(ui.shown(length), 2), "start", `dgm-halo ${what[0] === "I" ? "dgm-strong" : ""}`));
    });
    ui.size(width, Math.max(under, bottom + 26));

    ui.read([
      ["mutual information I[x; y]", number(ui.shown(m.I)), unit, "dgm-green"],
      ["H[x] = H[x | y] + I", `${number(ui.shown(m.H_x))} = ${number(ui.shown(m.H_x_given_y))} + ${number(ui.shown(m.I))}`, unit, "dgm-blue"],
      ["H[y] = H[y | x] + I", `${number(ui.shown(m.H_y))} = ${number(ui.shown(m.H_y_given_x))} + ${number(ui.shown(m.I))}`, unit, "dgm-orange"],
    ]);
    const value = (nats) => `${number(ui.shown(nats), 2)} ${unit}`;
    ui.say((m.I < 1e-9
      ? "x and y are independent: each square fills its dashed outline, p(x) times p(y), and the bars of H[x] and H[y] do not overlap."
      : `Knowing x saves ${value(m.I)} of the ${value(m.H_y)} of surprise in y, ${m.H_y_given_x < 1e-9 ? "all of it" : `and leaves ${value(m.H_y_given_x)}`}. `
        + "Dashed outlines show p(x) times p(y); the squares would fill them if x and y were independent."));
    ui.expose({ joint: p, p_x: px, p_y: py, ...m });
  }

  return frame({ model, el, title: "Joint table and its entropies", traits: ["joint", "bits"], start, draw });
}
