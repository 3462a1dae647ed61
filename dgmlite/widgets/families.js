const COLOURS = ["blue", "sky", "green", "purple", "orange"];
const MOVES = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
const move = (node, to) => Object.entries(to).forEach(([key, value]) => node.setAttribute(key, value));
const list = (words, last) => (words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")}${last}${words.at(-1)}`);

function measured({ model: name, kind, nats, precision, recall }) {
  if (kind === "none") return `${name}: no nats; of its samples, precision ${number(precision, 2)}, recall ${number(recall, 2)}`;
  return `${name}: ${kind === "exact" ? "" : "at most "}${number(nats, 1)} nats a test image, ${kind === "exact" ? "exact" : "a bound"}`;
}

function render({ model, el }) {
  const [families, choices, questions, task] = ["families", "choices", "questions", "task"].map((name) => model.get(name));
  const names = families.map(({ name }) => name), labels = questions.map((_, i) => `question ${i + 1}`), picks = {};
  const long = Object.fromEntries(choices.map(([key, words]) => [key, words]));
  const short = Object.fromEntries(choices.map(([key, , words]) => [key, words]));
  // On the built page and its slides, chapters lie beside each other; in JupyterLab an address says less.
  const built = /\/\d+_\w+\/\d+_\w+\.html$/.test(location.pathname);
  const result = (i) => (!model.get("answers")[i] ? "" : model.get("answers")[i] === questions[i].right ? "✓" : "✗");
  let asked = -1; // the question that was open last

  const card = html("div", { class: "dgm-card" }), score = html("p"), heading = html("p", { class: "dgm-heading" });
  const facts = html("dl"), need = html("p", { "aria-live": "polite" }), why = html("p", { "aria-live": "polite" });
  const reply = html("div", { class: "dgm-group", role: "group", "aria-label": "answers" });

  // A family or a question in the picture. All of a kind are one stop of the Tab key; arrows lead from there.
  function pick(ui, all, item, ...parts) {
    const node = (picks[item] = svg("g", { class: "dgm-pick", role: "radio" }, ...parts));
    const open = () => { if (model.get("opened") !== item) ui.set({ opened: item }); };
    node.addEventListener("focus", open);
    node.addEventListener("click", () => { node.focus({ preventScroll: true }); open(); });
    node.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const at = all.indexOf(item), to = event.key in MOVES ? (at + MOVES[event.key] + all.length) % all.length
        : { Home: 0, End: all.length - 1, " ": at, Enter: at }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      event.stopPropagation(); // notebooks and slides have their own use for these keys
      if (to === at) open();
      else picks[all[to]].focus({ preventScroll: true }); // which opens it
    });
    return node;
  }

  function start(ui) {
    ui.initial = { opened: names[0], answers: questions.map(() => ""), needs: model.get("initial") };
    ui.onReset = () => { asked = -1; };
    ui.root.classList.add("dgm-families");
    if (task) ui.root.insertBefore(html("p", { class: "dgm-task" }, html("b", {}, "Task: "), task), ui.stage);
    ui.group("I need", () => {
      ui.row.append(html("span", { class: "dgm-label" }, "I need…"));
      for (const [key, words] of choices) {
        const node = ui.button(words, () => {
          const needs = model.get("needs");
          ui.set({ needs: needs.includes(key) ? needs.filter((other) => other !== key) : [...needs, key] });
        });
        ui.onDraw(() => node.setAttribute("aria-pressed", String(model.get("needs").includes(key))));
      }
    });

    ui.wires = questions.map((_, i) => pick(ui, labels, labels[i], line(0, 0, 0, 0, "dgm-wire"),
      svg("circle", { class: "dgm-touch" }), svg("circle", { class: "dgm-ring" })));
    ui.nodes = names.map((name) => pick(ui, names, name, svg("circle", { class: "dgm-touch" }), svg("circle", { class: "dgm-ring" })));
    // Questions last: the Tab key leads from there to the answers, past no family, which would open.
    ui.handles.append(svg("g", { role: "radiogroup", "aria-label": "families" }, ...ui.nodes),
      svg("g", { role: "radiogroup", "aria-label": "questions, one on each pair of families" }, ...ui.wires));

    ui.row = html("div", { class: "dgm-group dgm-score" }, score);
    ui.button("next question", () => {
      const order = questions.map((_, k) => (asked + 1 + k) % questions.length);
      ui.set({ opened: labels[order.find((i) => !result(i)) ?? order[0]] });
    });
    card.append(ui.row, heading, facts, need, reply, why);
    ui.row = reply;
    ui.replies = [0, 1].map((side) => ui.button("", () => {
      const { pair } = questions[asked], answers = [...model.get("answers")];
      if (answers[asked]) return; // the first answer counts
      answers[asked] = pair[side];
      ui.set({ answers });
    }));
    ui.row = undefined;
    ui.root.append(card);
  }

  function draw(ui, width) {
    const opened = model.get("opened"), answers = model.get("answers"), needs = model.get("needs"), layer = ui.layer;
    const lacks = families.map(({ offers }) => needs.filter((key) => !offers.includes(key)));
    const remaining = names.filter((_, f) => !lacks[f].length), slide = ui.root.closest(".reveal");
    if (opened.startsWith("question")) asked = labels.indexOf(opened);

    // The pentagon: a family at each corner, a question on each line.
    const zoom = parseFloat(getComputedStyle(ui.root).fontSize) / 16 || 1;
    ui.root.classList.toggle("dgm-beside", ui.root.clientWidth >= 620 * zoom);
    const across = Math.max(Math.round(ui.stage.clientWidth / zoom) || width, 280);
    const r = 29, R = Math.min(across / 2 - 48, slide ? 110 : 150) / Math.sin(0.4 * Math.PI);
    const centre = [across / 2, r + 44 + R], at = names.map((_, f) => [0.4 * Math.PI * f, f === 2 || f === 3])
      .map(([angle, below]) => ({ x: centre[0] + R * Math.sin(angle), y: centre[1] - R * Math.cos(angle), below }));
    const touch = Math.min(20, 0.363 * R / 2), bottom = at[2].y + r + 42;
    const places = questions.map(({ pair }, i) => {
      const [a, b] = pair.map((name) => at[names.indexOf(name)]), x = (a.x + b.x) / 2, y = (a.y + b.y) / 2, done = result(i);
      layer.push(line(a.x, a.y, b.x, b.y, labels[i] === opened ? "dgm-thick" : "dgm-axis"));
      return { a, b, x, y, done };
    });
    places.forEach(({ a, b, x, y, done }, i) => {
      const colour = done === "✓" ? "dgm-tint dgm-green" : done ? "dgm-tint dgm-red" : "dgm-badge", on = labels[i] === opened;
      layer.push(svg("circle", { cx: x, cy: y, r: 11.5, class: `${colour}${on ? " dgm-on" : ""}` }),
        text(x, y + 5, done || String(i + 1), "middle", on ? "dgm-strong" : ""));
      const [wire, ...circles] = ui.wires[i].children;
      const part = (r + 4) / Math.hypot(b.x - a.x, b.y - a.y), [dx, dy] = [(b.x - a.x) * part, (b.y - a.y) * part];
      move(wire, { x1: a.x + dx, y1: a.y + dy, x2: b.x - dx, y2: b.y - dy });
      circles.forEach((circle, k) => move(circle, { cx: x, cy: y, r: k ? 16 : touch }));
      tell(ui.wires[i], labels, i, `question ${i + 1}, ${questions[i].pair.join(" or ")}: ${!done ? "not answered" : done === "✓" ? "right" : "wrong"}`);
    });
    families.forEach(({ name, measured: row }, f) => {
      const { x, y, below } = at[f], gone = lacks[f].length > 0, on = name === opened;
      const lack = !gone ? "" : lacks[f].length === 1 ? `✗ ${short[lacks[f][0]]}` : `✗ ${lacks[f].length} needs`;
      layer.push(svg("circle", { cx: x, cy: y, r, class: "dgm-under" }),
        svg("circle", { cx: x, cy: y, r, class: `dgm-${COLOURS[f]} ${gone ? "dgm-minus" : "dgm-tint"}${on ? " dgm-on" : ""}` }),
        text(x, y + 5, row.kind === "none" ? "none" : `${row.kind === "exact" ? "" : "≤ "}${number(row.nats, 1)}`, "middle", "dgm-rank"),
        text(x, below ? y + r + 18 : y - r - 9, name, "middle", `dgm-halo ${gone ? "dgm-faded" : "dgm-strong"}`),
        text(x, below ? y + r + 35 : y - r - 27, lack, "middle", "dgm-small dgm-halo"));
      [...ui.nodes[f].children].forEach((circle, k) => move(circle, { cx: x, cy: y, r: r + 5 * k }));
      tell(ui.nodes[f], names, f, `${name}; ${measured(row)}${gone ? `; does not offer ${list(lacks[f].map((key) => long[key]), " and ")}` : ""}`);
    });
    layer.push(text(centre[0], bottom + 12, "in circles: nats a test digit costs", "middle", "dgm-small"),
      text(centre[0], bottom + 29, "≤: no more than this, by a bound", "middle", "dgm-small"));
    ui.size(across, bottom + 36);

    // The card of what is open.
    const right = questions.filter((_, i) => result(i) === "✓").length, left = answers.filter((answer) => !answer).length;
    score.textContent = left === questions.length ? `${left} questions, one on each line` : `${right} of ${questions.length - left} right${left ? `, ${left} to go` : ""}`;
    const family = families[names.indexOf(opened)], question = family ? undefined : questions[asked], done = question && result(asked);
    for (const [node, shown] of [[facts, family], [need, question], [reply, question], [why, question]]) node.toggleAttribute("hidden", !shown);
    heading.textContent = family ? family.long : `Question ${asked + 1}: ${question.pair.join(" or ")}?`;
    if (family) {
      const chapter = built ? html("a", { href: `../${family.path}.html` }, family.title) : family.title;
      const rows = [...family.rows, ["on the digits", measured(family.measured)], ["chapter", chapter]];
      facts.replaceChildren(...rows.flatMap(([term, words]) => [html("dt", {}, term), html("dd", {}, words)]));
    } else {
      need.textContent = question.need;
      ui.replies.forEach((node, side) => {
        const name = question.pair[side], chosen = answers[asked] === name;
        node.textContent = done && name === question.right ? `✓ ${name}` : chosen ? `✗ ${name}` : name;
        node.setAttribute("aria-pressed", String(chosen));
        node.setAttribute("aria-disabled", String(Boolean(done)));
      });
      why.textContent = done ? `${done === "✓" ? "Right" : "No"}: ${question.right}. ${question.why}` : "";
    }

    const caveats = remaining.length === 0 ? [] : needs.flatMap((key) => Object.entries(choices.find(([other]) => other === key)[3]))
      .filter(([name]) => remaining.includes(name)).map(([, words]) => words);
    const least = Math.min(...lacks.map((missing) => missing.length)), keep = {};
    lacks.forEach((missing, f) => {
      if (missing.length === least) (keep[list(missing.map((key) => `“${long[key]}”`), " and ")] ??= []).push(names[f]);
    });
    const give = Object.entries(keep).map(([missing, some]) => `for ${list(some, " or ")} give up ${missing}`);
    ui.read([]);
    ui.say(!needs.length ? "All 5 families remain. Say what you need, and those that do not offer it step back. How good samples look is not in this list."
      : remaining.length ? [`${remaining.length} of 5 families remain${remaining.length === 1 ? "s" : ""}: ${list(remaining, " and ")}.`, ...caveats].join(" ")
        : `No family offers all of this: ${give.join("; ")}.`);
    ui.expose({ opened, answers, needs, remaining, lacks, right, left, question: question ? asked + 1 : 0 });
  }

  function tell(node, all, i, label) {
    const opened = model.get("opened"), stop = all.includes(opened) ? opened : all === labels ? labels[Math.max(asked, 0)] : names[0];
    node.setAttribute("aria-label", label);
    node.setAttribute("aria-checked", String(all[i] === opened));
    node.setAttribute("tabindex", all[i] === stop ? 0 : -1);
  }

  return frame({ model, el, title: "Five families of generative models", traits: ["opened", "answers", "needs"], start, draw });
}
