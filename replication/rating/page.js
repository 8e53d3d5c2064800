"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const items = data.rubric;
  const logits = items.find((item) => item.key === "logits");
  const explanations = new Map(); // unit id -> text
  const answers = new Map(); // "id/interval" -> scores, rated_at
  const pending = new Set(); // keys of complete intervals that no server has yet
  const store = `rating:${data.key}:${data.rater}`;
  let unit = 0, slot = 0, item = 0, sending = false;

  // text goes in as text nodes only, so that nothing in a token can become markup
  const make = (tag, properties, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(properties || {})) {
      if (name.startsWith("aria-")) made.setAttribute(name, value); else made[name] = value;
    }
    made.append(...children);
    return made;
  };
  const shown = () => data.units[unit];
  const interval = () => shown().rate[slot];
  const place = (of, k) => `${of.id}/${k}`;
  const scores = (of = shown(), k = interval()) => answers.get(place(of, k)) || {};
  const complete = (of, k) => items.every((one) => Number.isInteger(scores(of, k)[one.key]));
  const finished = (of) => of.rate.every((k) => complete(of, k));
  const total = (of) => items.reduce((sum, one) => sum + (of[one.key] || 0), 0);
  const asked = (one) => !(one.key === "separation" && scores().logits === logits.answers.length - 1);

  // ratings that were made before
  const restore = () => {
    for (const row of data.saved) {
      answers.set(`${row.shown}/${row.interval}`, Object.fromEntries([...items.map((one) => [one.key, row[one.key]]), ["rated_at", row.rated_at]]));
      explanations.set(row.shown, row.explanation);
    }
    if (data.served) return;
    try {
      const kept = JSON.parse(localStorage.getItem(store) || "{}");
      for (const [id, text] of kept.explanations || []) explanations.set(id, text);
      for (const [key, of] of kept.answers || []) answers.set(key, of);
    } catch { say("this browser keeps nothing; export before you close the page", true); }
  };

  const say = (text, bad = false) => { byId("saved").textContent = text; byId("saved").classList.toggle("bad", bad); };

  const keep = async () => {
    if (!data.served) {
      try {
        localStorage.setItem(store, JSON.stringify({ explanations: [...explanations], answers: [...answers] }));
        say("kept in this browser; export when you are done");
      } catch { say("this browser keeps nothing; export before you close the page", true); }
      return;
    }
    if (sending) return;
    sending = true;
    while (pending.size) {
      const sent = [...pending];
      const rows = sent.map((key) => {
        const [shown, k] = key.split("/");
        const of = answers.get(key);
        return { shown, interval: Number(k), explanation: explanations.get(shown) || "", ...Object.fromEntries(items.map((one) => [one.key, of[one.key]])) };
      });
      pending.clear();
      try {
        const reply = await fetch("ratings", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(rows) });
        if (!reply.ok) throw new Error((await reply.text()).trim());
        say("saved");
      } catch (error) {
        sent.forEach((key) => pending.add(key));
        say(`not saved: ${error instanceof TypeError ? `the server does not answer; start it again with --port ${location.port}, and the next answer saves all` : error.message}`, true);
        break;
      }
    }
    sending = false;
  };
  const changed = (of, k) => { if (complete(of, k)) pending.add(place(of, k)); };

  const answer = (score) => {
    const one = items[item];
    if (!asked(one) || score >= one.answers.length) return;
    const of = { ...scores(), [one.key]: score, rated_at: new Date().toISOString() };
    if (of.logits === logits.answers.length - 1) of.separation = 0;
    const before = complete(shown(), interval());
    answers.set(place(shown(), interval()), of);
    changed(shown(), interval());
    if (before) {
      const next = items.findIndex((other, k) => k > item && asked(other));
      if (next >= 0) item = next;
    } else if (complete(shown(), interval())) {
      const next = shown().rate.findIndex((k) => !complete(shown(), k));
      if (next >= 0) open(next);
    } else item = items.findIndex((other) => !Number.isInteger(scores()[other.key]));
    keep();
    draw();
  };

  // logits are the same for all intervals of a unit, so what was said of them is proposed again
  const open = (which) => {
    slot = which;
    if (!answers.has(place(shown(), interval()))) {
      const other = shown().rate.find((k) => complete(shown(), k));
      if (other !== undefined) answers.set(place(shown(), interval()), { logits: scores(shown(), other).logits, separation: scores(shown(), other).separation });
    }
    item = Math.max(0, items.findIndex((one) => !Number.isInteger(scores()[one.key])));
  };

  const nothing = () => {
    if (!explanations.get(shown().id)) explanations.set(shown().id, "none");
    for (const k of shown().rate) {
      answers.set(place(shown(), k), { ...Object.fromEntries(items.map((one) => [one.key, 0])), rated_at: new Date().toISOString() });
      pending.add(place(shown(), k));
    }
    keep();
    draw();
  };

  const go = (to) => {
    unit = (to + data.units.length) % data.units.length;
    const first = shown().rate.findIndex((k) => !complete(shown(), k));
    open(Math.max(0, first));
    evidence();
    draw();
    scrollTo(0, 0);
    if (!explanations.get(shown().id)) byId("explanation").focus({ preventScroll: true });
  };
  const onward = () => {
    const rest = data.units.map((_, k) => (unit + 1 + k) % data.units.length);
    const next = rest.find((k) => !finished(data.units[k]));
    if (next === undefined) say(data.served ? "every unit is rated and saved; close the page" : "every unit is rated; export the csv (d)"); else go(next);
  };

  const evidence = () => {
    const windows = (of) => of.map((one) => make("div", { className: "window", dir: "ltr" }, ...one.tokens.map((text, k) => make("bdi", {
      className: `l${one.levels[k]}${k === one.centre ? " centre" : ""}`, title: `activation ${one.levels[k]} of 9`, textContent: text }))));
    const bars = shown().logits.map(([text, percent]) => {
      const bar = make("i", {});
      bar.style.width = `${percent * 0.03}rem`; // one scale for all chips
      return make("li", { title: `${percent} % of the largest` }, make("bdi", { textContent: text }), bar);
    });
    byId("evidence").replaceChildren(
      make("h2", { textContent: "Positive logits" }), make("ul", { id: "logits" }, ...bars),
      make("h2", { textContent: "Activation intervals, from strong to weak" }),
      make("div", { id: "intervals" }, ...shown().intervals.map((of, k) => make("section", { className: "interval", id: `interval-${k}` },
        make("h2", { textContent: `interval ${k + 1} of ${shown().intervals.length}` }), ...windows(of)))));
    const text = make("textarea", { id: "explanation", rows: 2, maxLength: 500, value: explanations.get(shown().id) || "", placeholder: "one explanation for all intervals" });
    text.addEventListener("input", () => explanations.set(shown().id, text.value));
    text.addEventListener("change", () => { shown().rate.forEach((k) => changed(shown(), k)); keep(); });
    text.addEventListener("keydown", (event) => {
      if (event.key === "Escape" || (event.key === "Enter" && !event.shiftKey && !event.isComposing)) { event.preventDefault(); event.stopPropagation(); text.blur(); }
    });
    byId("panel").replaceChildren(make("label", { htmlFor: "explanation", textContent: "What is this unit about? (e)" }), text, make("div", { id: "questions" }));
  };

  const draw = () => {
    const of = shown();
    const rated = data.units.reduce((sum, one) => sum + one.rate.filter((k) => complete(one, k)).length, 0);
    const all = data.units.reduce((sum, one) => sum + one.rate.length, 0);
    byId("where").textContent = `unit ${unit + 1} of ${data.units.length}, ${rated} of ${all} intervals rated`;
    byId("done").max = all;
    byId("done").value = rated;
    if (byId("explanation").value !== (explanations.get(of.id) || "")) byId("explanation").value = explanations.get(of.id) || "";
    document.querySelectorAll(".interval").forEach((section, k) => {
      section.classList.toggle("asked", of.rate.includes(k));
      section.classList.toggle("current", k === interval());
    });
    const slots = of.rate.map((k, which) => make("button", { type: "button", textContent: `interval ${k + 1}${complete(of, k) ? " ✓" : ""}`, "aria-current": which === slot,
      onclick: () => { open(which); draw(); look(); } }));
    const fields = items.map((one, which) => {
      const buttons = one.answers.map((words, score) => make("button", { type: "button", "aria-pressed": scores()[one.key] === score,
        onclick: () => { item = which; answer(score); } }, make("b", { textContent: String(score) }), words));
      return make("fieldset", { className: which === item ? "now" : "", disabled: !asked(one) },
        make("legend", { textContent: one.question }), make("div", { className: "answers" }, ...buttons));
    });
    const sum = complete(of, interval()) ? `${total(scores())} of ${data.most} points` : "";
    const next = finished(of) ? [make("button", { type: "button", textContent: "next unit (Enter)", onclick: onward })] : [];
    if (next.length && !(explanations.get(of.id) || "").trim()) next.push(make("span", { className: "lacking", textContent: " no explanation written (e)" }));
    byId("questions").replaceChildren(make("div", { className: "slots" }, ...slots), ...fields, make("p", { id: "sum", textContent: sum }), ...next,
      make("p", { className: "keys", textContent: "keys: 0-5 answer, ↑↓ question, ←→ interval, e explain, x nothing explains it, n p unit, ? help" }));
    fields[item].scrollIntoView({ block: "nearest" });
  };
  const look = () => byId(`interval-${interval()}`).scrollIntoView({ block: "nearest" });

  const rows = () => data.units.flatMap((of) => of.rate.filter((k) => complete(of, k)).map((k) => {
    const said = scores(of, k);
    return { ...said, interval: k, total: total(said), explanation: explanations.get(of.id) || "", shown: of.id, seed: data.seed };
  }));
  const csv = () => [data.columns, ...rows().map((row) => data.columns.map((column) => row[column]))]
    .map((cells) => cells.map((cell) => /[",\r\n]/.test(String(cell)) ? `"${String(cell).replaceAll('"', '""')}"` : String(cell)).join(",")).join("\n") + "\n";
  const download = () => {
    if (data.served) return;
    const link = make("a", { href: URL.createObjectURL(new Blob([csv()], { type: "text/csv" })), download: `ratings-${data.run}-${data.rater}.csv` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    say(`${rows().length} rated intervals exported; \`python -m replication rate\` takes them in with --import`);
  };
  const help = () => { byId("help").hidden = !byId("help").hidden; byId("help-button").setAttribute("aria-expanded", String(!byId("help").hidden)); };

  const keys = {
    ArrowUp: () => { item = Math.max(0, item - 1); }, ArrowDown: () => { item = Math.min(items.length - 1, item + 1); },
    ArrowLeft: () => { open(Math.max(0, slot - 1)); }, ArrowRight: () => { open(Math.min(shown().rate.length - 1, slot + 1)); },
  };
  const others = { n: () => go(unit + 1), p: () => go(unit - 1), e: () => byId("explanation").focus(), x: nothing, d: download, "?": help,
    Enter: () => { if (finished(shown())) onward(); } };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target === byId("explanation")) return;
    if (/^[0-5]$/.test(event.key)) { event.preventDefault(); answer(Number(event.key)); look(); }
    else if (keys[event.key]) { event.preventDefault(); keys[event.key](); draw(); look(); }
    else if (others[event.key] && !(event.key === "Enter" && event.target instanceof HTMLButtonElement)) { event.preventDefault(); others[event.key](); }
  });
  byId("panel").addEventListener("submit", (event) => event.preventDefault());
  byId("help-button").addEventListener("click", help);
  byId("export").addEventListener("click", download);
  byId("export").hidden = data.served;
  addEventListener("beforeunload", (event) => { if (data.served && pending.size) event.preventDefault(); });

  restore();
  go(Math.max(0, data.units.findIndex((of) => !finished(of))));
})();
