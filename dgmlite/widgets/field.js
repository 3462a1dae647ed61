function render({ model, el }) {
  const names = model.get("names"), [rows, columns] = model.get("shape"), D = rows * columns, sample = model.get("sample");
  const shades = model.get("shades"), orders = model.get("orders"), most = Math.max(...sample, 1);
  const ranks = orders.map((order) => {
    const rank = [];
    order.forEach((j, r) => { rank[j] = r; });
    return rank;
  });
  let knob, playing, under; // under: the pixel below a mouse that only looks; a click chooses it

  const stop = () => { clearInterval(playing); playing = undefined; };
  const pixel = (i) => `row ${Math.floor(i / columns) + 1}, column ${(i % columns) + 1}`;

  // What the prediction of the pixel that is looked at sees: pixels by what they are to it.
  function look() {
    const k = model.get("network"), rank = ranks[k], i = under ?? orders[k][clamp(model.get("step"), 0, D - 1)], step = rank[i];
    const shade = shades[k][i], which = (test) => rank.flatMap((r, j) => (test(r, shade[j]) ? [j] : []));
    return {
      k, i, step, rank, shade,
      seen: which((r, s) => r < step && s), blind: which((r, s) => r < step && !s), leaks: which((r, s) => r >= step && s),
    };
  }
  const leak = ({ i, leaks }) => {
    const later = leaks.filter((j) => j !== i).length;
    return [leaks.includes(i) ? "the pixel's own value" : "", later ? `${plural(later, "pixel")} of its future` : ""].filter(Boolean).join(" and ");
  };

  function start(ui) {
    ui.initial = { network: 0, step: model.get("initial") };
    const rest = () => { stop(); under = undefined; };
    ui.onReset = rest;
    const go = (step) => ui.set({ step: clamp(Math.round(step), 0, D - 1) });
    const choose = (i) => { // the same step may be another pixel: draw in any case
      rest();
      go(look().rank[i]);
      ui.redraw();
    };
    ui.group("network", () => names.forEach((name, k) => {
      const node = ui.button(name, () => {
        const { i } = look();
        ui.set(playing ? { network: k } : { network: k, step: ranks[k][i] }); // compare networks at one pixel
      });
      ui.onDraw(() => node.setAttribute("aria-pressed", String(model.get("network") === k)));
    }));
    ui.group("order", () => {
      const play = ui.button("▶ play", () => {
        const paused = playing;
        rest();
        if (!paused) {
          if (model.get("step") >= D - 1) go(0);
          playing = setInterval(() => {
            if (model.get("step") >= D - 2) stop();
            go(model.get("step") + 1);
          }, matchMedia("(prefers-reduced-motion: reduce)").matches ? 1000 : 180);
        }
        ui.redraw();
      });
      ui.onDraw(() => { play.textContent = playing ? "❚❚ pause" : "▶ play"; });
    });

    // The picture itself answers to mouse, finger and arrow keys; the slider below goes along the order.
    const area = svg("rect", { class: "dgm-area" }), ring = svg("rect", { class: "dgm-ring" });
    const sheet = svg("g", { class: "dgm-sheet dgm-point", role: "application", tabindex: 0, "aria-label": "picture: arrow keys choose a pixel" }, area, ring);
    const at = (event) => {
      const frame = ui.picture.getBoundingClientRect(), scale = ui.picture.viewBox.baseVal.width / frame.width;
      const place = (client, edge, start, count) => clamp(Math.floor(((client - edge) * scale - start) / ui.side), 0, count - 1);
      return place(event.clientY, frame.top, ui.y0, rows) * columns + place(event.clientX, frame.left, ui.x0, columns);
    };
    const glance = (i) => {
      if (i === under) return;
      under = i;
      ui.redraw();
    };
    sheet.addEventListener("pointermove", (event) => { if (event.pointerType === "mouse" && !playing) glance(at(event)); });
    sheet.addEventListener("pointerleave", () => glance(undefined));
    sheet.addEventListener("click", (event) => choose(at(event)));
    sheet.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const { i } = look(), row = Math.floor(i / columns), column = i % columns;
      const [down, right] = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key] ?? [];
      if (down === undefined) return;
      event.preventDefault();
      event.stopPropagation(); // notebooks and slides have their own use for these keys
      choose(clamp(row + down, 0, rows - 1) * columns + clamp(column + right, 0, columns - 1));
    });
    ui.handles.append(sheet);
    ui.cover = (spot) => [area, ring].forEach((node) => Object.entries(spot).forEach(([name, value]) => node.setAttribute(name, value)));
    knob = ui.slider({
      label: "place in the order", min: 1, max: D, step: 1, get: () => look().step + 1, begin: rest, set: (place) => go(place - 1),
      value: (point) => 1 + ((point.x - ui.track) / ui.reach) * (D - 1),
      text: () => {
        const now = look(), { step, i, seen } = now;
        return `step ${step + 1} of ${D}, ${pixel(i)}, sees ${seen.length} of ${step} pixels of its past${leak(now) && `, leaks from ${leak(now)}`}`;
      },
    });
  }

  function draw(ui, width) {
    const now = look(), { k, i, step, rank, shade, seen, blind, leaks } = now, layer = ui.layer;
    const narrow = width < 680, side = Math.floor(Math.min((narrow ? width - 4 : width * 0.54) / columns, 340 / rows, 46));
    const x0 = 2, y0 = 30, wide = side * columns, high = side * rows;
    Object.assign(ui, { side, x0, y0 });
    const spot = (j) => [x0 + (j % columns) * side, y0 + Math.floor(j / columns) * side];
    const hatch = (x, y, s) => path([0.5, 1, 1.5].map((d) => (d > 1
      ? `M${x + (d - 1) * s} ${y + s - 2}L${x + s - 2} ${y + (d - 1) * s}` : `M${x + 2} ${y + d * s - 2}L${x + d * s - 2} ${y + 2}`)).join(""), "dgm-line dgm-hatch");
    const kinds = {
      seen: (x, y, s, strength) => [box(x, y, s, s, "dgm-tile"), box(x + 1, y + 1, s - 2, s - 2, "dgm-heat dgm-blue", { "fill-opacity": 0.14 + 0.006 * strength })],
      blind: (x, y, s) => [box(x, y, s, s, "dgm-tile"), hatch(x, y, s)],
      future: (x, y, s) => [box(x, y, s, s, "dgm-tile")],
      leak: (x, y, s) => [box(x, y, s, s, "dgm-tile"), box(x + 1, y + 1, s - 2, s - 2, "dgm-tint dgm-red"),
        text(x + s / 2, y + s / 2 + 6, "!", "middle", "dgm-strong")],
    };
    const capital = (words) => words[0].toUpperCase() + words.slice(1);

    layer.push(text(0, 16, `What ${pixel(i)} sees`, "start", "dgm-head"));
    rank.forEach((r, j) => {
      const [x, y] = spot(j), kind = r < step ? (shade[j] ? "seen" : "blind") : shade[j] ? "leak" : "future";
      layer.push(...kinds[kind](x, y, side, shade[j]));
      if (kind !== "leak" && j !== i && side >= 26) layer.push(text(x + side / 2, y + side / 2 + 5, String(r + 1), "middle", kind === "future" ? "dgm-small" : `dgm-rank ${kind === "blind" ? "dgm-halo" : ""}`));
    });
    const [x, y] = spot(i);
    layer.push(box(x, y, side, side, "dgm-chosen"));
    if (!leaks.includes(i)) layer.push(text(x + side / 2, y + side / 2 + 6, "?", "middle", "dgm-strong"));
    ui.cover({ x: x0, y: y0, width: wide, height: high });

    const track = 14, reach = Math.max(wide - 24, 120), floor = y0 + high + 28;
    Object.assign(ui, { track, reach });
    layer.push(line(track, floor, track + reach, floor, "dgm-axis"));
    knob.place(track + (reach * step) / Math.max(D - 1, 1), floor, `M0 ${floor - 18}H${reach + 28}v36H0z`);

    // What the marks mean, and the picture so far: beside the grid or below it.
    const lx = narrow ? 0 : wide + 36, ly = narrow ? floor + 36 : y0, gap = 28;
    [["seen", "seen; shade: √ of strength"], ["blind", "past, but never seen"], ["future", "future: not made yet"],
      ["leak", "leak: itself or its future"]].forEach(([kind, meaning], n) => {
      layer.push(...kinds[kind](lx + 1, ly + n * gap, 20, 60), text(lx + 30, ly + n * gap + 15, meaning));
    });
    let below = ly + 4 * gap;
    if (sample.length) {
      const beside = narrow && width >= 250 + 8 * columns, tx = beside ? 246 : lx + 1, ty = beside ? ly + 18 : below + 30;
      const small = Math.floor(Math.min(narrow ? 14 : (y0 + high - ty) / rows, (width - tx - 1) / columns, 22));
      layer.push(text(tx, ty - 10, "Made so far", "start", "dgm-head"), box(tx, ty, small * columns, small * rows, "dgm-page"));
      rank.forEach((r, j) => {
        const [x, y] = [tx + (j % columns) * small, ty + Math.floor(j / columns) * small];
        layer.push(r < step ? box(x, y, small, small, "dgm-print", { "fill-opacity": number(sample[j] / most) })
          : path(`M${x + 3} ${y + small - 3}L${x + small - 3} ${y + 3}`, "dgm-line dgm-unknown"));
        layer.push(box(x, y, small, small, "dgm-grid"));
      });
      layer.push(box(tx + (i % columns) * small, ty + Math.floor(i / columns) * small, small, small, "dgm-chosen dgm-red"));
      below = Math.max(below, ty + small * rows + 6);
    }
    ui.size(width, Math.max(floor + 24, below));

    ui.read([
      ["step", `${step + 1} of ${D}`],
      ["sees", `${seen.length} of ${step}`, "pixels of its past", "dgm-blue"],
      ["blind to", String(blind.length), "of its past"],
      ["leaks from", String(leaks.length), "itself or its future", leaks.length ? "dgm-red" : ""],
    ]);
    const whose = `The prediction of ${pixel(i)}`;
    ui.say(leaks.length
      ? `A leak: the prediction of ${pixel(i)} sees ${leak(now)}, which is not there yet when a picture is made.`
      : step === 0 ? `${capital(pixel(i))} comes first: there is nothing to see yet.`
        : blind.length ? `${whose} sees ${seen.length || "none"} of the ${plural(step, "pixel")} made before it, and never the ${blind.length > 1 ? `${blind.length} hatched` : "hatched one"}.`
          : `${whose} sees ${step > 1 ? `all ${step} pixels` : "the one pixel"} made before it, and nothing else.`);
    ui.expose({ network: k, step, rank: step + 1, pixel: i, seen, blind, leaks, playing: playing !== undefined });
  }

  const done = frame({ model, el, title: "Which pixels a prediction sees", traits: ["network", "step"], start, draw });
  return () => {
    stop();
    done();
  };
}
