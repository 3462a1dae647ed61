function render({ model, el }) {
  const [H, W] = model.get("shape"), R = model.get("size"), top = model.get("levels") - 1, corners = model.get("corners"), task = model.get("task");
  const bytes = (name) => Uint8Array.from(atob(model.get(name)), (letter) => letter.charCodeAt(0));
  const floats = (name) => {
    const view = new DataView(bytes(name).buffer);
    return Array.from({ length: view.byteLength / 4 }, (_, i) => view.getFloat32(4 * i, true));
  };
  const images = bytes("images"), compare = bytes("compare"), anchors = bytes("anchors"), bound = model.get("kind") !== "exact";
  const scores = floats("scores"), others = floats("compare_scores"), all = [...scores, ...others], low = Math.min(...all), high = Math.max(...all);
  const told = scores.length > 0, both = others.length > 0;
  const picture = (values, i) => Array.from(values.slice(i * H * W, (i + 1) * H * W));
  const ENDS = [[0, 0], [0, R - 1], [R - 1, 0], [R - 1, R - 1]], per_cent = (i) => `${Math.round((100 * i) / (R - 1))} %`;
  let shade = told ? "latent" : "", last = "row", dragging = false, shaded = {}; // last: along which line the last step went

  const place = () => [0, 1].map((axis) => clamp(model.get("place")[axis] ?? 0, 0, R - 1));
  // The line whose nats are drawn: an edge if the place is on one, else the way that it came.
  function line_of([r, c]) {
    const inside = (i) => i > 0 && i < R - 1, ends = (i) => !inside(i);
    return ends(r) && inside(c) ? "row" : ends(c) && inside(r) ? "column" : last;
  }
  const named = (r, c) => corners[ENDS.findIndex(([a, b]) => a === r && b === c)];

  // What the place means: where it is on its line, and whether each picture is more surprising than both ends.
  function look() {
    const [r, c] = place(), i = r * R + c, along = line_of([r, c]), n = along === "row" ? c : r;
    const line = Array.from({ length: R }, (_, m) => (along === "row" ? r * R + m : m * R + c));
    const from = named(...(along === "row" ? [r, 0] : [0, c])), to = named(...(along === "row" ? [r, R - 1] : [R - 1, c]));
    const edge = from === undefined ? undefined : along === "row" ? (r ? "lower" : "upper") : c ? "right" : "left";
    const more = (values) => values[i] > Math.max(values[line[0]], values[line[R - 1]]);
    return { r, c, i, along, n, line, from, to, edge, end: n === 0 || n === R - 1, more: told && more(scores), others_more: both && more(others) };
  }

  const dots = (values, x, y, side) => {
    const group = svg("g", { "shape-rendering": "crispEdges" });
    values.forEach((v, t) => { if (v) group.append(box(x + (t % W) * side, y + Math.floor(t / W) * side, side, side, "dgm-print", { "fill-opacity": v / top })); });
    return [box(x, y, W * side, H * side, "dgm-page"), group];
  };
  const icon = (values) => svg("svg", { class: "dgm-icon", viewBox: `-.1 -.1 ${W + 0.2} ${H + 0.2}`, "aria-hidden": "true" }, ...dots(values, 0, 0, 1));

  function start(ui) {
    ui.initial = { place: [0, 0], bits: false };
    ui.onReset = () => { [shade, last] = [told ? "latent" : "", "row"]; };
    if (task) ui.root.insertBefore(html("p", { class: "dgm-task" }, html("b", {}, "Task: "), task), ui.stage);
    const go = (r, c) => {
      const [old_r, old_c] = place(), to = [clamp(r, 0, R - 1), clamp(c, 0, R - 1)];
      if (to[0] === old_r && to[1] === old_c) return;
      if ((to[0] === old_r) !== (to[1] === old_c)) last = to[0] === old_r ? "row" : "column";
      ui.set({ place: to });
    };
    ui.group("corners", () => corners.forEach((name, n) => {
      const label = html("span", {}, name), node = ui.button(icon(picture(anchors, n)), () => go(...ENDS[n]), { class: "dgm-pictured dgm-corner", title: `go to ${name}` });
      node.append(label);
      ui.onDraw(() => node.setAttribute("aria-pressed", String(place().join() === ENDS[n].join())));
    }));
    if (told) {
      ui.group("shading", () => {
        ui.row.append(html("span", { class: "dgm-label" }, "shade"));
        for (const [name, value] of [["latent", "latent"], ...(both ? [["pixels", "pixels"]] : []), ["none", ""]]) {
          const node = ui.button(name, () => { shade = value; ui.redraw(); });
          ui.onDraw(() => node.setAttribute("aria-pressed", String(shade === value)));
        }
      });
      ui.units();
    }

    const sheet = box(0, 0, 0, 0, "dgm-area"), ring = box(0, 0, 0, 0, "dgm-ring");
    const pad = svg("g", { class: "dgm-slider dgm-sheet dgm-canvas", role: "application", tabindex: 0, "aria-label": `latent pad, ${R} by ${R} places: arrow keys move, Home and End go to the ends of the row` }, sheet, ring);
    const at = (event) => {
      const area = sheet.getBoundingClientRect(), cell = (part) => Math.floor(part * R);
      go(cell((event.clientY - area.top) / area.height), cell((event.clientX - area.left) / area.width));
    };
    pad.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      dragging = true;
      pad.setPointerCapture(event.pointerId);
      pad.focus({ preventScroll: true });
      event.preventDefault();
      at(event);
    });
    pad.addEventListener("pointermove", (event) => { if (dragging) at(event); });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) pad.addEventListener(end, () => { dragging = false; });
    pad.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const [r, c] = place();
      const to = { ArrowRight: [r, c + 1], ArrowLeft: [r, c - 1], ArrowDown: [r + 1, c], ArrowUp: [r - 1, c], Home: [r, 0], End: [r, R - 1] }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      event.stopPropagation(); // notebooks and slides have their own use for these keys
      go(...to);
    });
    ui.handles.append(pad);
    ui.cover = (x, y, side) => [[sheet, 0], [ring, 5]].forEach(([node, more]) => Object.entries({ x: x - more, y: y - more, width: side + 2 * more, height: side + 2 * more }).forEach(([name, value]) => node.setAttribute(name, value)));
  }

  function draw(ui, width) {
    const now = look(), { r, c, i, along, n, line: cells, from, to, edge } = now, layer = ui.layer, unit = ui.unit();
    const narrow = width < 600, cell = Math.min(narrow ? 0.74 * width : 0.42 * width, 340) / R, side = cell * R, x0 = 4, y0 = 28;
    const X = (column) => x0 + column * cell, Y = (row) => y0 + row * cell;

    // The pad; its shading is drawn once for each width.
    corners.forEach((name, k) => layer.push(text(k % 2 ? x0 + side : x0, k < 2 ? 16 : y0 + side + 22, name, k % 2 ? "end" : "start", "dgm-head")));
    const key = `${shade} ${width}`;
    if (shaded.key !== key) {
      const group = svg("g", {}, box(x0, y0, side, side, "dgm-tile")), values = shade === "pixels" ? others : scores;
      for (let k = 0; k < R * R; k++) {
        const x = X(k % R), y = Y(Math.floor(k / R));
        if (shade) group.append(box(x, y, cell + 0.3, cell + 0.3, `dgm-heat dgm-${shade === "pixels" ? "orange" : "blue"}`, { "fill-opacity": (values[k] - low) / (high - low || 1) }));
        group.append(svg("circle", { cx: x + cell / 2, cy: y + cell / 2, r: 1.5, class: "dgm-mark" }));
      }
      shaded = { key, group };
    }
    layer.push(shaded.group, box(x0, y0, side, side, "dgm-frame"));
    layer.push(along === "row" ? line(X(0), Y(r + 0.5), X(R), Y(r + 0.5), "dgm-axis") : line(X(c + 0.5), Y(0), X(c + 0.5), Y(R), "dgm-axis"));
    const half = Math.max(cell, 18) / 2;
    layer.push(box(X(c + 0.5) - half, Y(r + 0.5) - half, 2 * half, 2 * half, "dgm-knob"), svg("circle", { cx: X(c + 0.5), cy: Y(r + 0.5), r: 3, class: "dgm-mark" }));
    ui.cover(x0, y0, side);
    let foot = y0 + side + 22;
    if (shade) {
      foot += 30;
      layer.push(text(x0 + 34, foot, number(ui.shown(low), 0), "end", "dgm-small"));
      for (let k = 0; k <= 6; k++) layer.push(box(x0 + 40 + 14 * k, foot - 12, 14, 14, "dgm-tile"), box(x0 + 40 + 14 * k, foot - 12, 14, 14, `dgm-heat dgm-${shade === "pixels" ? "orange" : "blue"}`, { "fill-opacity": k / 6 }));
      layer.push(text(x0 + 146, foot, `${number(ui.shown(high), 0)} ${unit}${narrow ? "" : `, ${shade === "pixels" ? "mixture of pixels" : "latent picture"}`}`, "start", "dgm-small"));
    }

    const near = `nearest of ${R} × ${R} places;`, only = "only they are the model's";
    for (const words of width < 340 ? [near, only] : [`${near} ${only}`]) layer.push(text(x0, foot += 24, words, "start", "dgm-small"));

    // The pictures at this place.
    const lx = narrow ? 4 : side + 44, room = width - lx - 4, ly = narrow ? foot + 34 : 16, gap = 24;
    const dot = Math.floor(Math.min((room - gap) / 2 / W, (narrow ? 150 : 168) / Math.max(H, W)) * 4) / 4;
    const second = lx + Math.max(W * dot + gap, Math.min(150, room / 2)), shown = (value) => `${bound ? "≤ " : ""}${number(ui.shown(value), 1)} ${unit}`;
    [["latent picture", lx, images, scores, "blue"], ...(compare.length ? [[width < 340 ? "pixel mixture" : "mixture of pixels", second, compare, others, "orange"]] : [])]
      .forEach(([name, x, values, nats, colour]) => {
        layer.push(text(x, ly, name, "start", "dgm-head"), ...dots(picture(values, i), x, ly + 12, dot), box(x, ly + 12, W * dot, H * dot, `dgm-edge dgm-${colour} ${colour === "orange" ? "dgm-dash" : ""}`));
        if (nats.length) layer.push(text(x, ly + H * dot + 34, shown(nats[i]), "start", "dgm-strong"));
      });
    let below = ly + H * dot + (told ? 40 : 20);

    // Their nats along the line through this place; only the dots are computed.
    if (told) {
      const head = below + 32, up = narrow ? 100 : clamp(foot - head - 54, 70, 120), zero = head + 20 + up, axis = lx + 40, wide = width - axis - 10;
      const x = (m) => axis + 6 + (m / (R - 1)) * (wide - 6), most = both ? all : scores, bottom = Math.min(...most), range = Math.max(...most) - bottom || 1;
      const y = (value) => zero - 6 - ((value - bottom) / range) * (up - 6);
      layer.push(text(lx, head, edge ? `along the ${edge} edge` : `along this ${along}`, "start", "dgm-head"));
      for (const tick of [bottom, bottom + range / 2, bottom + range]) layer.push(line(axis, y(tick), width - 4, y(tick)), text(axis - 6, y(tick) + 5, number(ui.shown(tick), 0), "end", "dgm-small"));
      if (width >= 340) layer.push(text(width - 4, head, "dotted: greater end", "end", "dgm-small"));
      layer.push(line(x(n), zero - up - 4, x(n), zero, "dgm-axis"));
      [[scores, "blue", ""], ...(both ? [[others, "orange", "dgm-dash"]] : [])].forEach(([values, colour, dash]) => {
        const worst = Math.max(values[cells[0]], values[cells[R - 1]]);
        layer.push(line(axis, y(worst), width - 4, y(worst), "dgm-guide"), path(`M${cells.map((k, m) => `${x(m).toFixed(1)} ${y(values[k]).toFixed(1)}`).join("L")}`, `dgm-curve dgm-${colour} ${dash}`));
        cells.forEach((k, m) => layer.push(svg("circle", { cx: x(m), cy: y(values[k]), r: m === n ? 6 : R > 15 ? 2.5 : 3.5, class: `dgm-fill dgm-${colour}` })));
      });
      layer.push(text(axis, zero + 16, edge ? from : along === "row" ? "left" : "top", "start", "dgm-small"), text(width - 4, zero + 16, edge ? to : along === "row" ? "right" : "bottom", "end", "dgm-small"));
      below = zero + 22;
    }
    ui.size(width, Math.max(foot, below) + 6);

    const kind = bound ? `${unit}, upper bound` : unit;
    ui.read([
      ["place", `${per_cent(c)}, ${per_cent(r)}`, "right, down"],
      ...(told ? [["latent picture", number(ui.shown(scores[i]), 1), kind, "dgm-blue"]] : []),
      ...(both ? [["mixture of pixels", number(ui.shown(others[i]), 1), kind, "dgm-orange"], ["pixels − latent", (others[i] > scores[i] ? "+" : "") + number(ui.shown(others[i] - scores[i]), 1), unit]] : []),
    ]);
    const at = named(r, c), ends = (values) => [cells[0], cells[R - 1]].map((k) => number(ui.shown(values[k]), 1)).join(" and ");
    const compared = (values, more) => (now.end ? "" : ` (${more ? "more" : "not more"} than both ends, ${ends(values)})`);
    const spot = at ? `At the corner ${at}` : edge ? `${per_cent(n)} of the way from ${from} to ${to}, along the ${edge} edge` : `${per_cent(c)} to the right and ${per_cent(r)} down`;
    ui.say(spot + (told ? `: the latent picture costs ${shown(scores[i])}${compared(scores, now.more)}${both ? `, the mixture of pixels ${shown(others[i])}${compared(others, now.others_more)}` : ""}.` : "."));
    ui.expose({
      place: [r, c], image: picture(images, i), compare: compare.length ? picture(compare, i) : null, nats: scores[i] ?? null, compare_nats: others[i] ?? null,
      along, line: cells.map((k) => scores[k] ?? null), compare_line: cells.map((k) => others[k] ?? null), more: now.more, compare_more: now.others_more, shade,
    });
  }

  return frame({ model, el, title: "A walk through the latent space", traits: ["place", "bits"], start, draw });
}
