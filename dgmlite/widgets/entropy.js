// The canonical Huffman code, as dgmlite.information.huffman builds it: word[i] for state i, undefined where p = 0.
function huffman(p) {
  let groups = p.map((weight, i) => ({ weight, made: i, states: [i] })).filter((group) => group.weight > 0);
  if (groups.length === 1) return p.map((weight) => (weight > 0 ? "0" : undefined));
  const length = p.map(() => 0);
  for (let made = p.length; groups.length > 1; made++) {
    groups.sort((a, b) => a.weight - b.weight || a.made - b.made);
    const [a, b] = groups;
    const states = [...a.states, ...b.states];
    states.forEach((i) => { length[i]++; });
    groups = [...groups.slice(2), { weight: a.weight + b.weight, made, states }];
  }
  const words = [];
  let next = 0, before = 0;
  for (const i of p.map((_, j) => j).filter((j) => p[j] > 0).sort((a, b) => length[a] - length[b] || a - b)) {
    next <<= length[i] - before;
    before = length[i];
    words[i] = (next++).toString(2).padStart(before, "0");
  }
  return p.map((_, i) => words[i]);
}

// Shares of the eight most frequent letters of English, per cent.
const ENGLISH = [12.7, 9.1, 8.2, 7.5, 7.0, 6.7, 6.3, 6.1];

function render({ model, el }) {
  const labels = model.get("labels"), K = labels.length;
  const first = (...values) => labels.map((_, i) => values[i] ?? 0);
  const handles = [];
  let held, on = -1;

  function start(ui) {
    ui.initial = { probabilities: model.get("initial"), bits: false };
    const preset = (name, p) => ui.button(name, () => ui.set({ probabilities: p }));
    ui.group("examples", () => {
      preset("uniform", labels.map(() => 1 / K));
      preset("certain", first(1));
      preset("fair coin", first(0.5, 0.5));
      preset("bent coin", first(0.9, 0.1));
      if (K > 3) preset("like English", ENGLISH.slice(0, K).map((share) => share / sum(ENGLISH.slice(0, K))));
    });
    ui.units();
    labels.forEach((label, i) => handles.push(ui.slider({
      label: `probability of ${label}`, min: 0, max: 1, step: 0.01, vertical: true,
      get: () => model.get("probabilities")[i],
      begin: () => { held = model.get("probabilities"); },
      set: (value) => ui.set({ probabilities: rescaled(held, i, value).map(tidyUnlessTiny) }),
      value: (point) => (ui.base - point.y) / ui.high,
      text: () => {
        const p = model.get("probabilities");
        return `${number(p[i])}, surprise ${number(ui.shown(surprise(p[i])), 2)}, entropy ${number(ui.shown(entropy(p)))} ${ui.unit()}`;
      },
      active: (yes) => { on = yes ? i : -1; ui.redraw(); },
    })));
  }

  function draw(ui, width) {
    const p = model.get("probabilities"), words = huffman(p);
    const H = entropy(p), most = Math.log(K), L = sum(p.map((value, i) => value * (words[i]?.length ?? 0)));
    const narrow = width < 560, unit = ui.unit(), layer = ui.layer;
    const left = narrow ? width : Math.round(width * 0.4), from = narrow ? 0 : left + 36;
    const right = width - from - 86; // room for "H" and "log K" beside the picture
    const high = 168;

    // Probabilities as bars.
    const top = 44, base = top + high;
    Object.assign(ui, { base, high });
    layer.push(text(0, 16, "Probability", "start", "dgm-head"));
    for (const tick of [0.5, 1]) layer.push(line(0, base - tick * high, left, base - tick * high), text(0, base - tick * high - 4, String(tick), "start", "dgm-small"));
    const room = (left - 26) / K, bar = Math.min(room * 0.62, 46);
    p.forEach((value, i) => {
      const x = 26 + room * (i + 0.5), y = base - value * high;
      layer.push(box(x - bar / 2, y, bar, base - y, `dgm-tint dgm-blue ${i === on ? "dgm-on" : ""}`),
        text(x, y - 15, number(value, 2).replace(/^0/, ""), "middle", "dgm-halo"),
        text(x, base + 20, labels[i], "middle", i === on ? "dgm-strong" : ""));
      handles[i].place(x, y, `M${x - room / 2} ${top - 10}h${room}V${base + 26}h${-room}z`);
    });
    layer.push(line(0, base, left, base, "dgm-axis"));

    // Surprises as columns, as wide as the state is probable: their area is the entropy.
    const drop = narrow ? base + 50 : 0, floor = drop + base, scale = high / 4; // 4 nats fill the height
    layer.push(text(narrow ? 0 : from + 18, drop + 16, "Surprise −log p, column as wide as p", "start", "dgm-head"));
    const step = unit === "bits" ? Math.LN2 : 1;
    for (let tick = 0; tick * step <= 4.001; tick++) {
      const y = floor - tick * step * scale;
      layer.push(line(from + 18, y, from + 18 + right, y), text(from + 12, y + 5, String(tick), "end", "dgm-small"));
    }
    let x = from + 18;
    p.forEach((value, i) => {
      const w = value * right, s = Math.min(surprise(value), 4) * scale;
      if (value > 0) {
        layer.push(box(x, floor - s, w, s, `dgm-tint dgm-orange ${i === on ? "dgm-on" : ""}`));
        if (surprise(value) > 4) layer.push(text(x + w / 2, floor - s - 4, "↑", "middle", "dgm-strong"));
        if (w > 15) layer.push(text(x + w / 2, floor + 20, labels[i], "middle", i === on ? "dgm-strong" : ""));
        if (w > 34 && s > 0) layer.push(text(x + w / 2, floor - s - 7, number(ui.shown(surprise(value)), 2), "middle", "dgm-halo"));
      }
      x += w;
    });
    const end = from + 18 + right;
    layer.push(box(from + 18, floor - H * scale, right, H * scale, "dgm-veil dgm-red"),
      line(from + 18, floor - most * scale, end, floor - most * scale, "dgm-guide"),
      text(end + 6, floor - most * scale - 5, `log ${K}`, "start", "dgm-small"),
      svg("line", { x1: from + 18, x2: end, y1: floor - H * scale, y2: floor - H * scale, class: "dgm-edge dgm-red" }),
      text(end + 6, Math.min(floor - H * scale + 16, floor), `H ${number(ui.shown(H), 2)}`, "start", "dgm-strong"),
      line(from + 18, floor, end, floor, "dgm-axis"));

    // The prefix tree, and each word as boxes of one bit, with the surprise in bits to compare.
    const y0 = floor + 74, rowHeight = 31;
    layer.push(text(0, y0 - 26, "Huffman tree", "start", "dgm-head"));
    const order = p.map((_, i) => i).filter((i) => words[i]).sort((a, b) => (words[a] < words[b] ? -1 : 1));
    const leaf = narrow ? Math.round(width * 0.4) : left - 20, deepest = Math.max(...order.map((i) => words[i].length));
    const stride = Math.min(52, (leaf - 34) / deepest), cells = narrow ? leaf + 14 : from + 18;
    const bit = Math.min(36, (width - cells - 8) / 8);
    layer.push(text(cells, y0 - 26, narrow ? "Words over surprise" : "Code words, one box a bit, over the surprise in bits", "start", "dgm-head"));
    const rowOf = (i) => y0 + order.indexOf(i) * rowHeight;
    const grow = (prefix, depth) => { // draws the subtree below `prefix`, returns its height in the picture
      const here = order.find((i) => words[i] === prefix);
      const x = 10 + depth * stride;
      if (here !== undefined) {
        const y = rowOf(here);
        layer.push(line(x, y, leaf - 24, y, here === on ? "dgm-axis" : "dgm-guide"));
        return y;
      }
      const children = ["0", "1"].filter((digit) => order.some((i) => words[i].startsWith(prefix + digit)));
      const ys = children.map((digit) => grow(prefix + digit, depth + 1));
      const y = sum(ys) / ys.length;
      children.forEach((digit, c) => layer.push(path(`M${x} ${y}V${ys[c]}H${x + stride}`, "dgm-axis"),
        text(x + stride / 2 + 2, ys[c] - 4, digit, "middle", "dgm-small")));
      layer.push(svg("circle", { cx: x, cy: y, r: 4.5, class: "dgm-dot" }));
      return y;
    };
    grow("", 0);
    const limit = width - cells - 18;
    const under = (y, bits, colour) => {
      layer.push(box(cells, y + 10, Math.min(bits * bit, limit), 5, `dgm-fill ${colour}`));
      if (bits * bit > limit) layer.push(text(cells + limit + 2, y + 17, "→", "start", "dgm-strong"));
    };
    for (const i of order) {
      const y = rowOf(i);
      layer.push(text(leaf - 10, y + 5, labels[i], "middle", i === on ? "dgm-strong" : ""));
      [...words[i]].forEach((digit, k) => layer.push(box(cells + k * bit, y - 11, bit, 19, `dgm-tint dgm-green ${i === on ? "dgm-on" : ""}`),
        text(cells + (k + 0.5) * bit, y + 4, digit, "middle", "dgm-mono")));
      under(y, surprise(p[i]) / Math.LN2, "dgm-orange");
    }
    const mean = y0 + order.length * rowHeight + 10;
    layer.push(line(0, mean - 20, width, mean - 20), text(leaf - 2, mean + 7, "mean", "end", "dgm-strong"),
      box(cells, mean - 11, L * bit, 19, "dgm-fill dgm-green"), text(cells + L * bit + 12, mean + 3, `L ${number(L, 2)}`, "start", "dgm-strong"),
      text(cells + L * bit + 12, mean + 20, `H ${number(H / Math.LN2, 2)}`, "start", "dgm-strong"));
    under(mean, H / Math.LN2, "dgm-red");
    ui.size(width, mean + 26);

    const bits = H / Math.LN2, certain = order.length === 1, never = p.flatMap((value, i) => (value > 0 ? [] : [labels[i]]));
    ui.read([
      ["entropy H[x]", number(ui.shown(H)), unit, "dgm-red"],
      [`largest possible, log ${K}`, number(ui.shown(most)), unit],
      ["mean word length L", number(L), "bits", "dgm-green"],
      ["H ≤ L ≤ H + 1", `${number(bits)} ≤ ${number(L)} ≤ ${number(bits + 1)}`, "bits"],
    ]);
    const share = most > 0 ? Math.round((H / most) * 100) : 0;
    ui.say(on >= 0 && p[on] > 0
      ? `${labels[on]}: probability ${number(p[on], 2)} times surprise ${number(ui.shown(surprise(p[on])), 2)} adds ${number(ui.shown(p[on] * surprise(p[on])), 2)} to the entropy of ${number(ui.shown(H), 2)} ${unit}; its word is ${words[on]}.`
      : certain
        ? `${labels[order[0]]} is certain: no surprise, entropy 0. Its word still takes one bit, so that messages can be counted.`
        : `Levelled out, the columns reach the thick line: on average you expect ${number(ui.shown(H), 2)} ${unit} of surprise, ${share} % of the most that ${K} states allow. `
          + `The best words take ${number(L - bits)} bits more than the entropy.${never.length ? ` ${never.join(", ")} never happens and needs no word.` : ""}`);
    ui.expose({ probabilities: p, surprise: p.map(surprise), entropy: H, bound: most, words: words.map((word) => word ?? ""), mean_length: L, entropy_bits: bits });
  }

  return frame({ model, el, title: "Surprise and entropy", traits: ["probabilities", "bits"], start, draw });
}
const tidyUnlessTiny = (value) => (value > 1e-9 ? value : 0);
