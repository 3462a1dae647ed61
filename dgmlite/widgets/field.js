function render({ model, el }) {
  const names = model.get("names"), [rows, columns] = model.get("shape"), D = rows * columns, sample = model.get("sample");
  const most = Math.max(...sample, 1);
  let knob, playing;

  const stop = () => { clearInterval(playing); playing = undefined; };
  const pixel = (i) => `row ${Math.floor(i / columns) + 1}, column ${(i % columns) + 1}`;

  // What output order[step] sees: pixels by what they are to it.
  function look() {
    const k = model.get("network"), order = model.get("orders")[k], step = clamp(model.get("step"), 0, D - 1), i = order[step];
    const rank = [];
    order.forEach((j, r) => { rank[j] = r; });
    const shade = model.get("shades")[k][i], all = order.map((_, j) => j);
    return {
      k, order, step, i, rank, shade,
      seen: all.filter((j) => rank[j] < step && shade[j]),
      blind: all.filter((j) => rank[j] < step && !shade[j]),
      leaks: all.filter((j) => rank[j] >= step && shade[j]),
    };
  }

  function start(ui) {
    ui.initial = { network: 0, step: model.get("initial") };
    ui.onReset = stop;
    const go = (step) => ui.set({ step: clamp(Math.round(step), 0, D - 1) });
    ui.group("network", () => names.forEach((name, k) => {
      const node = ui.button(name, () => ui.set({ network: k }));
      ui.onDraw(() => node.setAttribute("aria-pressed", String(model.get("network") === k)));
    }));
    ui.group("order", () => {
      const play = ui.button("play", () => {
        if (playing) stop();
        else {
          if (model.get("step") >= D - 1) go(0);
          const pace = matchMedia("(prefers-reduced-motion: reduce)").matches ? 1000 : 180;
          playing = setInterval(() => {
            if (model.get("step") >= D - 1) stop();
            else go(model.get("step") + 1);
            ui.redraw();
          }, pace);
        }
        ui.redraw();
      });
      ui.onDraw(() => { play.textContent = playing ? "pause" : "play"; });
    });
    // The grid answers to mouse and finger; the slider below says the same to the keyboard.
    const grid = svg("rect", { class: "dgm-area dgm-point", fill: "transparent" });
    const point = (event) => {
      const box = ui.picture.getBoundingClientRect(), scale = ui.picture.viewBox.baseVal.width / box.width;
      const column = Math.floor(((event.clientX - box.left) * scale - ui.x0) / ui.side), row = Math.floor(((event.clientY - box.top) * scale - ui.y0) / ui.side);
      if (row < 0 || column < 0 || row >= rows || column >= columns) return;
      stop();
      go(look().rank[row * columns + column]);
    };
    grid.addEventListener("pointermove", point);
    grid.addEventListener("pointerdown", point);
    ui.handles.append(grid);
    ui.grid = grid;
    knob = ui.slider({
      label: "place in the order", min: 0, max: D - 1, step: 1, get: () => model.get("step"), begin: stop, set: go,
      value: (place) => ((place.x - ui.track) / ui.reach) * (D - 1),
      text: () => { const { step, i, seen, leaks } = look(); return `step ${step + 1} of ${D}, ${pixel(i)}, sees ${seen.length} of ${step} pixels of its past${leaks.length ? `, leaks from ${leaks.length}` : ""}`; },
    });
  }

  function draw(ui, width) {
    const { order, step, i, rank, shade, seen, blind, leaks, k } = look(), layer = ui.layer;
    const narrow = width < 520, side = Math.floor(Math.min((narrow ? width - 4 : width * 0.55) / columns, 340 / rows, 46)), x0 = 2, y0 = 30;
    Object.assign(ui, { side, x0, y0 });
    layer.push(text(0, 16, `What the prediction of pixel ${step + 1} sees`, "start", "dgm-head"));
    order.forEach((_, j) => {
      const x = x0 + (j % columns) * side, y = y0 + Math.floor(j / columns) * side, past = rank[j] < step;
      layer.push(box(x, y, side, side, "dgm-tile"));
      if (shade[j]) layer.push(box(x + 1, y + 1, side - 2, side - 2, `dgm-fill ${past ? "dgm-blue" : "dgm-red"}`, { "fill-opacity": 0.12 + 0.0075 * shade[j], "stroke-opacity": 0.4 }));
      else if (past) layer.push(path(`M${x + 4} ${y + side - 4}L${x + side - 4} ${y + 4}M${x + 4} ${y + side / 2}L${x + side / 2} ${y + 4}M${x + side / 2} ${y + side - 4}L${x + side - 4} ${y + side / 2}`, "dgm-line dgm-hatch"));
      if (past && sample.length) layer.push(svg("rect", { x: x + side * 0.3, y: y + side * 0.3, width: side * 0.4, height: side * 0.4, class: "dgm-ink", "fill-opacity": sample[j] / most }));
      if (!past && shade[j] && j !== i) layer.push(text(x + side / 2, y + side / 2 + 6, "!", "middle", "dgm-strong"));
    });
    const x = x0 + (i % columns) * side, y = y0 + Math.floor(i / columns) * side;
    layer.push(svg("rect", { x, y, width: side, height: side, class: "dgm-chosen" }),
      text(x + side / 2, y + side / 2 + 6, leaks.includes(i) ? "!" : "?", "middle", "dgm-strong"));
    for (const [name, value] of Object.entries({ x: x0, y: y0, width: side * columns, height: side * rows })) ui.grid.setAttribute(name, value);

    // Legend, beside the grid or below it.
    const lx = narrow ? 0 : side * columns + 34, ly = narrow ? y0 + rows * side + 60 : y0 + 4;
    const entries = [
      ["dgm-fill dgm-blue", "seen: the darker, the more it matters"], ["hatch", "in its past, but never seen"],
      ["dgm-tile", "its future: not made yet"], ["dgm-fill dgm-red", "! a leak: its own value or its future"],
    ];
    entries.forEach(([cls, what], n) => {
      const top = ly + n * 28;
      layer.push(box(lx, top, 20, 20, cls === "hatch" ? "dgm-tile" : cls, cls.includes("fill") ? { "fill-opacity": 0.6 } : {}), text(lx + 30, top + 15, what));
      if (cls === "hatch") layer.push(path(`M${lx + 3} ${top + 17}L${lx + 17} ${top + 3}M${lx + 3} ${top + 9}L${lx + 9} ${top + 3}M${lx + 11} ${top + 17}L${lx + 17} ${top + 11}`, "dgm-line dgm-hatch"));
    });

    const track = 14, reach = side * columns - 24, floor = y0 + rows * side + 28;
    Object.assign(ui, { track, reach });
    layer.push(line(track, floor, track + reach, floor, "dgm-axis"));
    knob.place(track + (reach * step) / Math.max(D - 1, 1), floor, `M0 ${floor - 18}H${side * columns}v36H0z`);
    ui.size(width, narrow ? ly + 4 * 28 + 6 : Math.max(floor + 24, ly + 4 * 28 + 6));

    ui.read([
      ["step", `${step + 1} of ${D}`],
      ["sees", `${seen.length} of ${step}`, "in its past", "dgm-blue"],
      ["blind to", String(blind.length), "of its past"],
      ["leaks from", String(leaks.length), plural(leaks.length, "pixel").replace(/^\d+ /, ""), "dgm-red"],
    ]);
    ui.say(leaks.length
      ? `A leak: the prediction of ${pixel(i)} depends on ${leaks.includes(i) ? "its own value" : "its future"}${leaks.length > 1 && leaks.includes(i) ? ` and on ${plural(leaks.length - 1, "pixel")} of its future` : ""}. Its loss means nothing.`
      : step === 0 ? `${pixel(i)} is drawn first: there is nothing to see yet.`
        : blind.length ? `The prediction of ${pixel(i)} sees ${seen.length} of the ${plural(step, "pixel")} drawn before it. It never sees the ${blind.length} hatched.`
          : `The prediction of ${pixel(i)} sees all ${plural(step, "pixel")} drawn before it, and nothing else.`);
    ui.expose({ network: k, step, pixel: i, seen, blind, leaks });
  }

  const done = frame({ model, el, title: "Which pixels a prediction sees", traits: ["network", "step"], start, draw });
  return () => {
    stop();
    done();
  };
}
