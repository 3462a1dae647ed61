// Shared by all widgets. Python joins this file and the widget's own into one ES module.

const build = (space) => (tag, attributes = {}, ...children) => {
  const node = document.createElementNS(space, tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) node.setAttribute(name, value);
  node.append(...children);
  return node;
};
const html = build("http://www.w3.org/1999/xhtml");
const svg = build("http://www.w3.org/2000/svg");

const sum = (values) => values.reduce((total, value) => total + value, 0);
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const tidy = (value) => Math.round(value * 1e12) / 1e12; // 0.1 + 0.2 becomes 0.3
const mark = (text) => text.replace("-", "−").replace("Infinity", "∞");
const number = (value, digits = 3) =>
  mark(Number.isFinite(value) ? (Math.abs(value) < 0.5 * 10 ** -digits ? 0 : value).toFixed(digits) : String(value));
const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
const surprise = (p) => (p > 0 ? -Math.log(p) || 0 : Infinity); // || 0 turns −0 into 0
const entropy = (p) => sum(p.map((value) => (value > 0 ? value * surprise(value) : 0)));

// Entry i of a distribution becomes `value`; the others share the rest in their old proportions.
function rescaled(p, i, value) {
  const others = sum(p) - p[i];
  return p.map((old, j) => (j === i ? value : others > 0 ? (old / others) * (1 - value) : (1 - value) / (p.length - 1)));
}

// One widget on the page: buttons above, a picture, its numbers, and a sentence that says what to see.
// `traits` are followed; draw(ui, width) is called whenever one of them, or the room, has changed.
function frame({ model, el, title, traits, start, draw }) {
  const root = html("div", { class: "dgm", role: "group", "aria-label": title });
  const buttons = html("div", { class: "dgm-buttons" });
  const scene = svg("g", { "aria-hidden": "true", class: "dgm-scene" });
  const handles = svg("g");
  const picture = svg("svg", { class: "dgm-picture", role: "group", "aria-label": title }, scene, handles);
  const figures = html("div", { class: "dgm-figures" });
  const sentence = html("p", { class: "dgm-sentence", "aria-hidden": "true" });
  const spoken = html("p", { class: "dgm-spoken", role: "status" });
  const stage = html("div", { class: "dgm-stage" }, picture);
  root.append(buttons, stage, figures, sentence, spoken);
  el.append(root);

  let speaking;
  const ui = {
    root, model, handles, picture, stage,
    set(changes) {
      for (const [name, value] of Object.entries(changes)) model.set(name, value);
      model.save_changes();
    },
    button(name, action, extra = {}) {
      const node = html("button", { type: "button", ...extra }, name);
      node.addEventListener("click", action);
      (ui.row ?? buttons).append(node);
      return node;
    },
    group(name, make) {
      ui.row = html("div", { class: "dgm-group", role: "group", "aria-label": name });
      make();
      buttons.append(ui.row);
      ui.row = undefined;
    },
    units() {
      ui.group("unit", () => {
        for (const [name, bits] of [["nats", false], ["bits", true]]) {
          const node = ui.button(name, () => ui.set({ bits }));
          ui.onDraw(() => node.setAttribute("aria-pressed", String(model.get("bits") === bits)));
        }
      });
    },
    // Nats in the unit that is shown.
    unit: () => (model.get("bits") ? "bits" : "nats"),
    shown: (nats) => (model.get("bits") ? nats / Math.LN2 : nats),
    drawers: [],
    onDraw: (action) => ui.drawers.push(action),
    size(width, height) {
      picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
    },
    read(entries) {
      figures.replaceChildren(...entries.map(([name, value, unit = "", mark = ""]) =>
        html("div", { class: `dgm-figure ${mark}` }, html("span", {}, name), html("b", {}, value), html("i", {}, unit))));
    },
    // Seen at once; spoken by a screen reader when the hand rests.
    say(text) {
      text = text.replaceAll(" ‖ ", "\u00a0‖\u00a0"); // no line break within KL(p ‖ q)
      sentence.textContent = text;
      clearTimeout(speaking);
      speaking = setTimeout(() => { spoken.textContent = text; }, 500);
    },
    // For tests: every number at full precision, in nats unless its name says otherwise.
    expose(values) {
      root.dataset.values = JSON.stringify(values, (_, v) => (v === Infinity || v === -Infinity ? String(v) : v));
    },
    slider: (options) => slider(ui, options),
  };

  function redraw() {
    const zoom = parseFloat(getComputedStyle(root).fontSize) / 16 || 1;
    const width = clamp(Math.round((stage.clientWidth || 720 * zoom) / zoom), 280, 860);
    ui.layer = [];
    draw(ui, width);
    scene.replaceChildren(...ui.layer);
    ui.drawers.forEach((action) => action());
  }
  start(ui);
  ui.group("start again", () => ui.button("reset", () => {
    ui.set(ui.initial);
    ui.onReset?.();
    redraw();
  }));
  traits.forEach((name) => model.on(`change:${name}`, redraw));
  root.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const pressed = event.target.matches("button") && [" ", "Enter"].includes(event.key);
    // JupyterLab gives letters a meaning (dd deletes the cell); slides turn with a space.
    if (pressed || (event.key.length === 1 && !root.closest(".reveal"))) event.stopPropagation();
  });
  let width = 0;
  const room = new ResizeObserver(() => {
    if (stage.clientWidth && stage.clientWidth !== width) redraw();
    width = stage.clientWidth;
  });
  room.observe(stage);
  redraw();
  ui.redraw = redraw;
  return () => {
    clearTimeout(speaking);
    room.disconnect();
    traits.forEach((name) => model.off(`change:${name}`, redraw));
  };
}

const UP = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 };

// A handle in the picture, moved by mouse, finger or keys. Arrows move by `step`, with Shift by a tenth of it, Page
// Up and Down by ten (not on slides: remote controls send them). value(point) translates a place in the picture;
// text() says the value and what it leads to.
function slider(ui, { label, min, max, step, vertical = false, dot = false, get, set, value, text, begin = () => {}, active }) {
  const area = svg("path", { class: "dgm-area" });
  const grip = svg("g", { class: "dgm-grip" }, svg("circle", { r: 22, class: "dgm-touch" }));
  const node = svg("g", {
    class: `dgm-slider ${vertical ? "dgm-vertical" : "dgm-horizontal"}`, role: "slider", tabindex: 0, "aria-label": label,
    "aria-orientation": vertical ? "vertical" : "horizontal",
  }, area, grip);
  const [wide, high] = dot ? [14, 14] : vertical ? [30, 12] : [16, 24];
  const pill = (cls, more) => svg("rect", { class: cls, x: -wide / 2 - more, y: -high / 2 - more, width: wide + 2 * more, height: high + 2 * more, rx: Math.min(wide, high) / 2 + more });
  grip.append(pill("dgm-ring", 5), pill("dgm-knob", 0));

  const point = (event) => {
    const box = ui.picture.getBoundingClientRect(), view = ui.picture.viewBox.baseVal;
    return { x: ((event.clientX - box.left) / box.width) * view.width, y: ((event.clientY - box.top) / box.height) * view.height };
  };
  const move = (to) => set(tidy(clamp(to, min, max)));
  const snap = (to) => Math.round(to / step) * step;
  let offset = null;
  node.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    begin();
    offset = grip.contains(event.target) ? get() - value(point(event)) : 0;
    node.setPointerCapture(event.pointerId);
    node.focus({ preventScroll: true });
    event.preventDefault();
    if (!grip.contains(event.target)) move(snap(value(point(event))));
  });
  node.addEventListener("pointermove", (event) => {
    if (offset !== null) move(snap(value(point(event)) + offset));
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) node.addEventListener(end, () => { offset = null; });
  node.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || (event.key.startsWith("Page") && ui.root.closest(".reveal"))) return;
    const to = event.key === "Home" ? min : event.key === "End" ? max
      : event.key in UP ? get() + UP[event.key] * step * (event.shiftKey ? 0.1 : 1) : undefined;
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation(); // notebooks and slides have their own use for these keys
    begin();
    move(to);
  });
  for (const [name, on] of [["focus", true], ["pointerenter", true], ["blur", false], ["pointerleave", false]]) {
    node.addEventListener(name, () => active?.(on || document.activeElement === node));
  }
  ui.onDraw(() => {
    node.setAttribute("aria-valuemin", min);
    node.setAttribute("aria-valuemax", max);
    node.setAttribute("aria-valuenow", tidy(get()));
    node.setAttribute("aria-valuetext", text());
  });
  ui.handles.append(node);
  return {
    node,
    place(x, y, path = "") {
      grip.setAttribute("transform", `translate(${x} ${y})`);
      area.setAttribute("d", path);
    },
  };
}

// What is drawn: ui.layer collects the picture's parts, these make them.
const box = (x, y, width, height, cls, extra = {}) =>
  svg("rect", { x, y, width: Math.max(width, 0), height: Math.max(height, 0), class: cls, ...extra });
const line = (x1, y1, x2, y2, cls = "dgm-line") => svg("line", { x1, y1, x2, y2, class: cls });
const text = (x, y, content, anchor = "start", cls = "") => svg("text", { x, y, "text-anchor": anchor, class: cls }, content);
const path = (d, cls) => svg("path", { d, class: cls });
