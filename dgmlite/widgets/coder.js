// The encoder of dgmlite.information, integer for integer: see the comment above RangeEncoder there.
const TOTAL = 1n << 32n, FULL = 1n << 64n, LEAST = 1n << 56n;

function cumulative(p) {
  const possible = p.filter((value) => value > 0).length, total = sum(p);
  const units = p.map((value) => (value > 0 ? BigInt(Math.floor((value / total) * (2 ** 32 - possible))) + 1n : 0n));
  units[p.indexOf(Math.max(...p))] += TOTAL - units.reduce((a, b) => a + b);
  return units.reduce((ends, unit) => [...ends, ends.at(-1) + unit], [0n]);
}

function carry(bytes) {
  let i = bytes.length - 1;
  while (bytes[i] === 255) bytes[i--] = 0;
  bytes[i]++;
}

function encoded({ bytes, low, width }, c, s) {
  const a = (width * c[s]) >> 32n, b = (width * c[s + 1]) >> 32n;
  bytes = [...bytes];
  low += a;
  width = b - a;
  if (low >= FULL) {
    low -= FULL;
    carry(bytes);
  }
  for (; width < LEAST; low = (low % LEAST) << 8n, width <<= 8n) bytes.push(Number(low >> 56n));
  return { bytes, low, width };
}

function finished({ bytes, low }) {
  const code = [...bytes], last = Number((low + LEAST - 1n) / LEAST);
  if (last === 256) carry(code);
  return [...code, last % 256];
}

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let k = 0; k < 8; k++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return [24, 16, 8, 0].map((shift) => (~crc >>> shift) & 255);
}

// The bits on which the whole interval agrees, and where in it, from 0 to 1, the next bit changes from 0 to 1.
function settled({ bytes, low, width }) {
  const start = bytes.reduce((number, byte) => (number << 8n) | BigInt(byte), 0n) * FULL + low;
  const length = 64 + 8 * bytes.length, digits = (value) => value.toString(2).padStart(length, "0");
  const first = digits(start), last = digits(start + width - 1n);
  let k = 0;
  while (k < length && first[k] === last[k]) k++;
  const middle = ((start >> BigInt(length - k - 1)) | 1n) << BigInt(length - k - 1);
  return { bits: first.slice(0, k), middle: Number(((middle - start) << 53n) / width) / 2 ** 53 };
}

function small(value) { // 0.00077 as 7.7·10⁻⁴
  const [digits, power] = value.toExponential(1).split("e-");
  return value < 0.01 ? `${digits}·10⁻${[...power].map((digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]).join("")}` : number(value, 3);
}


function render({ model, el }) {
  const alphabet = [...model.get("alphabet")], K = alphabet.length, longest = 32;
  const given = model.get("probabilities"), rows = Array.isArray(given[0]) ? given : alphabet.map(() => given);
  const before = Array.isArray(given[0]) ? alphabet.map(() => 1 / K) : given; // nothing precedes the first letter
  const ends = rows.map(cumulative), endsBefore = cumulative(before);
  const seen = (letter) => (letter === " " ? "␣" : letter);
  const hex = (bytes) => bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  const place = () => clamp(model.get("position"), 0, model.get("text").length);
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  let cursor, field, output, buttons, playing;

  function steps(message) {
    const symbols = [...message].map((letter) => alphabet.indexOf(letter));
    const p = [before, ...symbols.map((s) => rows[s])]; // p[j] predicts letter j
    const states = [{ bytes: [], low: 0n, width: FULL }];
    symbols.forEach((s, j) => states.push(encoded(states[j], j ? ends[symbols[j - 1]] : endsBefore, s)));
    return { symbols, p, states, cost: symbols.map((s, j) => surprise(p[j][s]) / Math.LN2) };
  }

  function stop() {
    clearInterval(playing);
    playing = undefined;
    buttons.play.textContent = "▶ play";
  }

  function start(ui) {
    ui.initial = { text: model.get("initial"), position: 0 };
    const go = (to) => ui.set({ position: clamp(to, 0, model.get("text").length) });
    field = html("input", { type: "text", maxlength: longest, size: 18, "aria-label": `message, letters from ${alphabet.map(seen).join("")}`, autocomplete: "off", autocapitalize: "none", spellcheck: "false" });
    field.addEventListener("input", () => {
      stop();
      const letters = [...field.value].map((letter) => (alphabet.includes(letter) ? letter : letter.toLowerCase())).filter((letter) => alphabet.includes(letter));
      const message = letters.slice(0, longest).join("");
      if (message !== field.value) field.value = message;
      ui.set({ position: message.length, text: message });
    });
    ui.group("message", () => ui.row.append(html("label", {}, "message ", field)));
    ui.group("steps", () => {
      buttons = {
        back: ui.button("◀ back", () => { stop(); go(place() - 1); }),
        next: ui.button("step ▶", () => { stop(); go(place() + 1); }),
        play: ui.button("▶ play", () => {
          if (playing) return stop();
          if (place() === model.get("text").length) go(0);
          buttons.play.textContent = "■ stop";
          playing = setInterval(() => {
            go(place() + 1);
            if (place() === model.get("text").length) stop();
          }, still ? 2000 : 900);
        }),
      };
    });
    output = html("div", { class: "dgm-code" });
    ui.stage.after(output);
    cursor = ui.slider({
      label: "letters coded", min: 0, max: longest, step: 1, get: place, set: (to) => { stop(); go(Math.round(to)); },
      value: (point) => (point.x - ui.left) / ui.tile,
      text: () => {
        const message = model.get("text"), k = place(), { states } = steps(message.slice(0, k));
        return `${k} of ${message.length}${k ? `, last ${message[k - 1] === " " ? "space" : message[k - 1]}` : ""}; ${settled(states[k]).bits.length} bits settled`;
      },
    });
  }

  function draw(ui, width) {
    const message = model.get("text"), k = place(), layer = ui.layer;
    const { symbols, p, states, cost } = steps(message);
    const ideal = sum(cost.slice(0, k)), state = states[k], { bits, middle } = settled(state);
    const earlier = k ? settled(states[k - 1]).bits.length : 0, code = finished(state), check = crc32(code);
    if (field.value !== message) field.value = message;
    buttons.back.disabled = k === 0;
    buttons.next.disabled = k === message.length;
    buttons.play.disabled = message.length === 0;

    // The message: above each letter its surprise in bits.
    const left = 14, tile = Math.min(34, (width - 28) / Math.max(message.length, 1)), tall = 44, floor = 34 + tall;
    Object.assign(ui, { left, tile });
    layer.push(text(0, 16, "Surprise of each letter in bits", "start", "dgm-head"));
    symbols.forEach((s, j) => {
      const x = left + j * tile, h = Math.min(cost[j] / 12, 1) * tall;
      layer.push(box(x + 3, floor - h, tile - 6, h, `${j < k ? "dgm-fill" : "dgm-tint"} dgm-orange`),
        box(x + 1, floor + 2, tile - 2, 26, `dgm-tile ${j < k ? "dgm-done" : ""}`),
        text(x + tile / 2, floor + 20, seen(message[j]), "middle", "dgm-mono"));
      if (tile > 28) layer.push(text(x + tile / 2, floor - h - 5, number(cost[j], 1), "middle", "dgm-small"));
    });
    layer.push(line(left, floor + 40, left + tile * Math.max(message.length, 1), floor + 40, "dgm-axis"));
    cursor.place(left + k * tile, floor + 40, `M0 ${floor}H${width}v54H0z`);
    cursor.node.setAttribute("aria-valuemax", message.length);

    // The last three intervals, each stretched to the full width; the letter that came opens into the next one.
    const thick = 34, gap = 50, y0 = floor + 108;
    layer.push(text(0, y0 - 28, "The interval, enlarged after each letter", "start", "dgm-head"));
    const shown = [k - 2, k - 1, k].filter((j) => j >= 0);
    shown.forEach((j, row) => {
      const y = y0 + row * (thick + gap);
      const size = 2 ** -sum(cost.slice(0, j));
      layer.push(text(0, y - 7, j ? `after ${seen(message[j - 1])}: width ${small(size)}` : "at first: from 0 to 1", "start", "dgm-small dgm-halo"));
      let x = 0;
      p[j].forEach((value, s) => {
        const w = value * width, came = j < k && s === symbols[j], next = j === k && s === symbols[j];
        layer.push(box(x, y, w, thick, came ? "dgm-fill dgm-sky" : `dgm-slice ${s % 2 ? "dgm-odd" : ""}`));
        if (next) layer.push(box(x + 1, y + 1, w - 2, thick - 2, "dgm-expected"));
        if (w > 12 || came) layer.push(text(clamp(x + w / 2, 6, width - 6), y + 23, seen(alphabet[s]), "middle", came ? `dgm-mono ${w > 12 ? "dgm-onfill" : "dgm-halo"}` : next ? "dgm-mono" : "dgm-small"));
        if (came) layer.unshift(path(`M${x} ${y + thick}L0 ${y + thick + gap}H${width}L${x + w} ${y + thick}z`, "dgm-veil dgm-sky"),
          path(`M${x} ${y + thick}L0 ${y + thick + gap}M${width} ${y + thick + gap}L${x + w} ${y + thick}`, "dgm-guide"));
        x += w;
      });
      layer.push(svg("rect", { x: 0, y, width, height: thick, class: "dgm-frame" }));
    });
    const y = y0 + (shown.length - 1) * (thick + gap) + thick, x = middle * width;
    layer.push(line(x, y - thick - 6, x, y + 9, "dgm-edge dgm-red"),
      text(clamp(x, 96, width - 96), y + 26, "◀ 0   next bit   1 ▶", "middle", "dgm-strong"));
    ui.size(width, y0 + 3 * thick + 2 * gap + 34);

    const spaced = (from, to) => [...bits.slice(from, to)].map((bit, i) => bit + ((from + i) % 8 === 7 ? " " : "")).join("");
    output.replaceChildren(
      html("div", {}, html("span", {}, "bits settled"), html("code", {}, spaced(0, earlier), html("mark", {}, spaced(earlier)), html("em", {}, "…"))),
      html("div", {}, html("span", {}, "file, if the message ends here"), html("code", {}, hex(code), html("em", {}, ` + checksum ${hex(check)}`))));
    ui.read([
      ["letters coded", `${k} of ${message.length}`],
      ["ideal, −Σ log₂ p", number(ideal, 2), "bits", "dgm-orange"],
      ["settled so far", String(bits.length), "bits", "dgm-sky"],
      ["code", String(8 * code.length), `bits = ${plural(code.length, "byte")}, and 4 of checksum`],
    ]);
    const name = (letter) => (letter === " " ? "The space" : `“${letter}”`);
    ui.say(k === 0
      ? "Nothing is coded yet: the interval is everything from 0 to 1, cut in proportion to the probabilities. Step forward, or type your own message."
      : `${name(message[k - 1])} kept ${number(100 * p[k - 1][symbols[k - 1]], 1)} % of the interval, which costs ${number(cost[k - 1], 2)} bits; ${plural(bits.length - earlier, "further bit")} now settled. `
        + "The next bit is open as long as the interval lies on both sides of the thick line.");
    ui.expose({ text: message, position: k, ideal_bits: ideal, settled: bits, bytes: [...code, ...check], middle });
  }

  const done = frame({ model, el, title: "Range coder, letter by letter", traits: ["text", "position"], start, draw });
  return () => {
    stop();
    done();
  };
}
