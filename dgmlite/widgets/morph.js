function render({ model, el }) {
  const names = model.get("names"), stays = model.get("stays"), labels = model.get("labels"), task = model.get("task");
  const L = names.length, N = labels.length, LN2PI = Math.log(2 * Math.PI), COLOURS = ["blue", "orange", "green", "red", "sky", "purple"];
  const floats = (name) => {
    const bytes = Uint8Array.from(atob(model.get(name)), (letter) => letter.charCodeAt(0)), view = new DataView(bytes.buffer);
    return Float64Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
  };
  const states = floats("states"), grid = floats("grid"), log_det = floats("log_det"), told = log_det.length > 0;
  const G = Math.round(Math.sqrt(grid.length / (2 * (L + 1))));

  // Sums of the log-determinants of the first k layers, and what is the same at all places of the slider: the square that
  // holds all points, and the greatest sum.
  const total = new Float64Array((L + 1) * N);
  log_det.forEach((value, i) => { total[i + N] = total[i] + value; });
  const range = (axis) => {
    let low = Infinity, high = -Infinity;
    for (let i = axis; i < states.length; i += 2) [low, high] = [Math.min(low, states[i]), Math.max(high, states[i])];
    return [low, high];
  };
  const ranges = [range(0), range(1)], span = 1.08 * Math.max(...ranges.map(([low, high]) => high - low), 1e-9);
  const corner = ranges.map(([low, high]) => (low + high - span) / 2), most = total.reduce((m, value) => Math.max(m, Math.abs(value)), 1e-9);

  let knob, playing, forward = true, pause = 0, stretch = false, mesh = G > 0, guides = false;
  const position = () => clamp(model.get("position"), 0, L), chosen = () => clamp(model.get("point"), 0, N - 1);
  const stop = () => {
    clearInterval(playing);
    if (playing !== undefined) model.save_changes();
    playing = undefined;
  };
  // Of place i in each state: where it is at position t. Between layers in a straight line.
  function where(values, count, i, t) {
    const k = Math.min(Math.floor(t), L - 1), f = t - k, a = 2 * (k * count + i), b = a + 2 * count;
    return f ? [0, 1].map((axis) => (1 - f) * values[a + axis] + f * values[b + axis]) : [values[a], values[a + 1]];
  }
  const pair = ([a, b]) => `(${number(a, 2)}, ${number(b, 2)})`;
  const signed = (value) => (value >= 0.0005 ? "+" : "") + number(value);

  function start(ui) {
    ui.initial = { position: 0, point: 0 };
    ui.onReset = () => {
      stop();
      [forward, stretch, mesh, guides] = [true, false, G > 0, false];
    };
    if (task) ui.root.insertBefore(html("p", { class: "dgm-task" }, html("b", {}, "Task: "), task), ui.stage);
    const go = (to) => {
      stop();
      ui.set({ position: clamp(to, 0, L) });
      ui.redraw(); // the button says play again, also where the place is the same
    };
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches, pace = calm ? 1 : 0.05;
    ui.group("layers", () => {
      const play = ui.button("▶ play", () => {
        if (playing !== undefined) stop();
        else {
          if (position() >= L) forward = false;
          if (position() <= 0) forward = true;
          pause = 0;
          playing = setInterval(() => {
            if (pause-- > 0) return; // a rest at each whole layer
            const old = position(), to = tidy(forward ? Math.min(old + pace, L) : Math.max(old - pace, 0));
            if (to === Math.round(to) && !calm) pause = 8;
            model.set("position", to);
            if (to === (forward ? L : 0)) {
              stop();
              ui.redraw();
            }
          }, calm ? 1000 : 40);
        }
        ui.redraw();
      });
      ui.onDraw(() => {
        const on = position() >= L ? false : position() <= 0 ? true : forward;
        play.textContent = playing !== undefined ? "❚❚ pause" : on ? "▶ play to noise" : "◀ play to data";
      });
      ui.button("‹ layer", () => go(Math.ceil(position()) - 1));
      ui.button("layer ›", () => go(Math.floor(position()) + 1));
    });
    if (told) {
      ui.group("colour", () => {
        for (const [name, value] of [[model.get("sectors") ? "sectors" : "labels", false], ["stretch", true]]) {
          const node = ui.button(name, () => { stretch = value; ui.redraw(); });
          ui.onDraw(() => node.setAttribute("aria-pressed", String(stretch === value)));
        }
      });
    }
    ui.group("show", () => {
      const toggle = (name, get, flip) => {
        const node = ui.button(name, () => { flip(); ui.redraw(); });
        ui.onDraw(() => node.setAttribute("aria-pressed", String(get())));
      };
      if (G) toggle("mesh", () => mesh, () => { mesh = !mesh; });
      toggle("what stays", () => guides, () => { guides = !guides; });
    });
    const choose = (i) => ui.set({ point: (i + N) % N });
    ui.group("point", () => {
      ui.button("‹ point", () => choose(chosen() - 1));
      ui.button("point ›", () => choose(chosen() + 1));
    });

    const area = box(0, 0, 0, 0, "dgm-area"), ring = box(0, 0, 0, 0, "dgm-ring");
    const sheet = svg("g", { class: "dgm-sheet dgm-point", role: "application", tabindex: 0, "aria-label": "picture: arrow keys choose the next or the previous point" }, area, ring);
    sheet.addEventListener("click", (event) => {
      const frame = area.getBoundingClientRect(), t = position();
      const at = [(event.clientX - frame.left) / frame.width, (frame.bottom - event.clientY) / frame.height].map((part, axis) => corner[axis] + part * span);
      let best = Infinity, nearest = 0;
      for (let i = 0; i < N; i++) {
        const [a, b] = where(states, N, i, t), far = (a - at[0]) ** 2 + (b - at[1]) ** 2;
        if (far < best) [best, nearest] = [far, i];
      }
      choose(nearest);
    });
    sheet.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const to = { ArrowRight: chosen() + 1, ArrowDown: chosen() + 1, ArrowLeft: chosen() - 1, ArrowUp: chosen() - 1, Home: 0, End: N - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      event.stopPropagation(); // notebooks and slides have their own use for these keys
      choose(to);
    });
    ui.handles.append(sheet);
    ui.cover = (x, y, side) => [area, ring].forEach((node) => Object.entries({ x, y, width: side, height: side }).forEach(([name, value]) => node.setAttribute(name, value)));
    knob = ui.slider({
      label: "layers passed", min: 0, max: L, step: 0.1, get: position, begin: stop,
      set: (to) => ui.set({ position: to }),
      value: ({ x }) => ((x - ui.track) / ui.reach) * L,
      text: () => reached(position()),
    });
  }
  const reached = (t) => {
    const k = Math.floor(t);
    return t > k ? `between layers ${k} and ${k + 1} of ${L}` : k ? `after layer ${k} of ${L}` : "the data, before all layers";
  };
  const capital = (words) => words[0].toUpperCase() + words.slice(1);

  function draw(ui, width) {
    const t = position(), k = Math.floor(t), i = chosen(), layer = ui.layer, narrow = width < 640;
    const now = Math.max(Math.ceil(t), 1) - 1; // the layer that is at work, or has just been
    const side = Math.min(narrow ? width - 4 : 0.45 * width, 384), x0 = 2, y0 = 28;
    const X = (a) => ((a - corner[0]) / span) * side, Y = (b) => side - ((b - corner[1]) / span) * side;
    const round = (value) => value.toFixed(1), spot = ([a, b]) => `${round(X(a))} ${round(Y(b))}`;
    const places = Array.from({ length: N }, (_, j) => where(states, N, j, t));
    const plot = svg("svg", { x: x0, y: y0, width: side, height: side, overflow: "hidden" });

    layer.push(text(0, 16, capital(reached(t)), "start", "dgm-head"), box(x0, y0, side, side, "dgm-frame"), plot);
    for (const [axis, at] of [[0, X], [1, Y]]) {
      const unit = 10 ** Math.floor(Math.log10(span / 2)), step = unit * (span / unit > 14 ? 5 : span / unit > 5 ? 2 : 1);
      for (let n = Math.ceil(corner[axis] / step); n * step < corner[axis] + span; n++) {
        const p = at(n * step), label = String(tidy(n * step)).replace("-", "−");
        plot.append(axis ? line(0, p, side, p) : line(p, 0, p, side));
        if (p > 30 && p < side - 30) plot.append(axis ? text(5, p + 5, label, "start", "dgm-small dgm-halo") : text(p, side - 6, label, "middle", "dgm-small dgm-halo"));
      }
    }
    if (mesh) {
      const at = (r, c) => spot(where(grid, G * G, r * G + c, t)), run = (make) => Array.from({ length: G }, (_, n) => `M${Array.from({ length: G }, (_, m) => make(n, m)).join("L")}`).join("");
      plot.append(path(run(at) + run((n, m) => at(m, n)), "dgm-mesh"));
    }
    if (t > L - 1) { // what the noise should look like
      for (const r of [1, 2]) if (r < span) plot.append(svg("circle", { cx: X(0), cy: Y(0), r: (r * side) / span, class: "dgm-guide", "stroke-opacity": t - L + 1 }));
    }
    if (guides) { // how far the layer moves each point
      plot.append(path(places.map((_, j) => `M${spot(where(states, N, j, now))}L${spot(where(states, N, j, now + 1))}`).join(""), "dgm-moves"));
    }
    // Dots of one colour are one path: lines of no length with round ends.
    const f = t - Math.min(k, L - 1), before = Math.min(k, L - 1) * N, sums = places.map((_, j) => (1 - f) * total[before + j] + f * total[before + N + j]);
    const shade = (level) => `--c: color-mix(in srgb, var(${level < 0 ? "--orange" : "--blue"}) ${25 * Math.abs(level)}%, var(--paper))`;
    const kinds = stretch ? [-4, -3, -2, -1, 0, 1, 2, 3, 4] : COLOURS, of = stretch ? (j) => Math.round((4 * sums[j]) / most) + 4 : (j) => Number(labels[j]);
    const dots = kinds.map(() => "");
    places.forEach((place, j) => { dots[of(j)] += `M${spot(place)}h0`; });
    kinds.forEach((kind, n) => {
      for (const part of ["dgm-dots-edge", "dgm-dots"]) if (dots[n]) plot.append(svg("path", { d: dots[n], class: `${part} ${stretch ? "" : `dgm-${kind}`}`, style: stretch ? shade(kind) : undefined }));
    });
    // The way of the chosen point.
    const way = Array.from({ length: L + 1 }, (_, n) => where(states, N, i, n));
    plot.append(path(`M${way.map(spot).join("L")}`, "dgm-guide dgm-halo"), path(`M${[...way.slice(0, k + 1), places[i]].map(spot).join("L")}`, "dgm-way"));
    way.forEach(([a, b]) => plot.append(svg("circle", { cx: X(a), cy: Y(b), r: 2.5, class: "dgm-mark" })));
    plot.append(svg("circle", { cx: X(places[i][0]), cy: Y(places[i][1]), r: 7, class: "dgm-chosen" }));
    const still = stays[now], verb = (axis) => (guides ? (still & axis ? " stays" : " moves") : "");
    plot.append(text(side - 6, side - 24, `x₁${verb(1)}`, "end", "dgm-head dgm-halo"), text(6, 18, `x₂${verb(2)}`, "start", "dgm-head dgm-halo"));
    ui.cover(x0, y0, side);

    // The slider, a tick for each layer.
    const floor = y0 + side + 24, track = 14, reach = side - 24;
    Object.assign(ui, { track, reach });
    layer.push(line(track, floor, track + reach, floor, "dgm-axis"));
    for (let n = 0; n <= L; n++) {
      const x = track + (reach * n) / L;
      layer.push(line(x, floor - 5, x, floor + 5, "dgm-axis"));
      if (n === 0 || n === L || (reach >= 22 * L && reach * (L - n) >= 75 * L)) layer.push(text(n ? (n === L ? track + reach + 10 : x) : 0, floor + 30, n ? (n === L ? `${L} noise` : String(n)) : "data", n ? (n === L ? "end" : "middle") : "start", "dgm-small"));
    }
    knob.place(track + (reach * t) / L, floor, `M0 ${floor - 18}H${side}v36H0z`);
    let foot = floor + 34;
    const at_work = `layer ${now + 1}: ${names[now]}`; // in two lines where one is too long
    for (const words of 7 * at_work.length < side ? [at_work] : at_work.split(/(?<=^layer \d+:) /)) layer.push(text(0, foot += 20, words, "start", "dgm-small"));

    // The chosen point: where it has been, and what adds up to its log-density.
    const lx = narrow ? 0 : side + 32, ly = narrow ? foot + 38 : 16, room = width - lx;
    const z = way[L], base = -0.5 * (z[0] ** 2 + z[1] ** 2) - LN2PI, gains = Array.from({ length: told ? L : 0 }, (_, n) => log_det[n * N + i]);
    const sum_all = total[L * N + i], log_p = base + sum_all;
    const high = clamp(Math.floor((side + 20) / (L + 5)), 18, 24);
    layer.push(text(lx, ly, `Point ${i + 1}, layer by layer`, "start", "dgm-head"));
    const bars = lx + 132, wide = room - 132 - 66, edge = [0, ...gains.map((_, n) => total[(n + 1) * N + i]), ...(told ? [log_p] : [])];
    const low = Math.min(...edge), scale = wide / Math.max(Math.max(...edge) - low, 1e-9), at = (value) => bars + (value - low) * scale;
    const row = (n) => ly + 26 + n * high, mid = (n) => row(n) + 5;
    layer.push(text(lx, row(0), "after", "start", "dgm-small"), text(lx + 44, row(0), "x₁, x₂", "start", "dgm-small"));
    if (told) layer.push(text(width, row(0), "log |det|, nats", "end", "dgm-small"), line(at(0), row(0) + 8, at(0), mid(L + 3) + 3, "dgm-axis"));
    const bar = (n, from, to, cls) => {
      layer.push(box(Math.min(at(from), at(to)), mid(n) - 5 - high * 0.36, Math.max(Math.abs(at(to) - at(from)), 1), high * 0.72, cls));
      layer.push(line(at(to), mid(n) - 5 + high * 0.36, at(to), mid(n + 1) - 5 - high * 0.36, "dgm-axis"));
    };
    way.forEach((place, n) => {
      const cls = n <= t ? "" : "dgm-small";
      if (n === Math.ceil(t)) layer.unshift(box(lx - 4, mid(n + 1) - 5 - high / 2, room + 4, high, "dgm-odd"));
      layer.push(text(lx + 30, mid(n + 1), n ? String(n) : "data", "end", cls || "dgm-rank"), text(lx + 44, mid(n + 1), pair(place), "start", cls || "dgm-rank"));
      if (!told || !n) return;
      bar(n + 1, edge[n - 1], edge[n], `${n <= t ? "dgm-fill" : "dgm-tint"} ${gains[n - 1] < 0 ? "dgm-orange" : "dgm-blue"}`);
      layer.push(text(width, mid(n + 1), signed(gains[n - 1]), "end", cls || "dgm-rank"));
    });
    if (told) {
      bar(L + 2, sum_all, log_p, "dgm-fill dgm-purple");
      layer.push(text(lx, mid(L + 2), "+ log N(z)", "start", "dgm-rank"), text(width, mid(L + 2), signed(base), "end", "dgm-rank"));
      layer.push(line(lx, mid(L + 2) + high * 0.29, width, mid(L + 2) + high * 0.29, "dgm-axis"), text(lx, mid(L + 3), "= log p(x)", "start", "dgm-strong"));
      layer.push(box(Math.min(at(0), at(log_p)), mid(L + 3) - 5 - high * 0.36, Math.abs(at(log_p) - at(0)), high * 0.72, "dgm-fill dgm-green"), text(width, mid(L + 3), number(log_p), "end", "dgm-strong"));
    }
    const end = told ? mid(L + 3) : mid(L + 1);
    if (stretch) { // a legend of the shades
      const y = narrow ? end + 36 : Math.max(end + 36, foot - 26);
      const digits = most < 10 ? 1 : 0;
      layer.push(text(lx, y - 8, "stretch: Σ log |det| so far", "start", "dgm-small"));
      kinds.forEach((kind, n) => layer.push(svg("rect", { x: lx + 40 + 18 * n, y, width: 18, height: 14, class: "dgm-fill", style: shade(kind) })));
      layer.push(text(lx + 34, y + 12, number(-most, digits), "end", "dgm-small"), text(lx + 208, y + 12, `+${number(most, digits)} nats`, "start", "dgm-small"));
    }
    ui.size(width, Math.max(foot, end, stretch ? Math.max(end + 52, narrow ? 0 : foot) : 0) + 8);

    const mean = (n) => sum(Array.from({ length: N }, (_, j) => total[n * N + j])) / N;
    ui.read([
      t > k ? ["between layers", `${k} and ${k + 1}`, `of ${L}, drawn only`] : ["after layer", `${k} of ${L}`, k ? names[k - 1] : "the data"],
      ...(told ? [["mean Σ log |det|", signed(mean(k)), `nats${k ? `, ${signed(mean(k) - mean(k - 1))} by layer ${k}` : ""}`, "dgm-sky"]] : []),
      [`point ${i + 1} of ${N}`, pair(places[i]), t > k ? "on the way" : "here"],
      ...(told ? [["its log p(x)", number(log_p), `nats, ${signed(sum_all)} by layers`, "dgm-green"]] : []),
    ]);
    const greatest = gains.reduce((best, value, n) => (Math.abs(value) > Math.abs(gains[best]) ? n : best), 0);
    ui.say((t > k ? `Between layers ${k} and ${k + 1} the way is drawn as a straight line: only whole layers are the model's. `
      : k ? `After layer ${k} of ${L} (${names[k - 1]}), point ${i + 1} is at ${pair(places[i])}. ` : `The data: point ${i + 1} is at ${pair(places[i])}. `)
      + (told ? `Point ${i + 1} has log p(x) = ${number(log_p)} nats: ${number(base)} from log N(z) and ${signed(sum_all)} from the layers, most of all ${signed(gains[greatest])} from layer ${greatest + 1}.` : ""));
    ui.expose({
      position: t, layer: k, point: i, place: places[i], path: way, contributions: gains, sum: sum_all, so_far: total[k * N + i], base, log_p,
      mean: mean(k), stays: still, stretch, mesh, guides, playing: playing !== undefined,
    });
  }

  const done = frame({ model, el, title: "A flow from data to noise", traits: ["position", "point"], start, draw });
  return () => {
    stop();
    done();
  };
}
