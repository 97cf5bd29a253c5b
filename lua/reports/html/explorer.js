// SPDX-License-Identifier: Apache-2.0
// The sample explorer: every question of the run in a list that can be filtered, one of them in full beside it.
//
// Where the samples come from is all that differs between a file and `qlua view`: blocks of JSON in the page, or the
// server. The list draws only the rows in sight, so that it is the same for ten questions and a hundred thousand.
// Texts are only ever put by qluaText.put and textContent.
"use strict";
(() => {
  const home = document.getElementById("explorer");
  if (!home) return;
  const { say, element, block, onLanguage } = qluaPage;
  const about = block("about") || {};
  const ROW = 46;
  const FIXED = 5, PER_VARIANT = 4; // columns of a row: see qlua.page.embed

  // ---- where samples come from ----------------------------------------------------------------------------------
  const chunks = new Map();
  let heads = null;

  const embedded = {
    rows: async () => block("samples"),
    text: async (index) => {
      const number = Math.floor(index / about.chunk);
      if (!chunks.has(number)) chunks.set(number, block("texts-" + number));
      const found = (chunks.get(number) || [])[index % about.chunk];
      if (!found) return null;
      heads = heads || block("heads") || [];
      return { ...found, head: found.head === undefined ? "" : heads[found.head] };
    },
  };

  const getJson = async (path) => {
    const reply = await fetch(path, { credentials: "omit" });
    if (!reply.ok) throw new Error("HTTP " + reply.status);
    return reply.json();
  };

  const served = {
    rows: () => getJson("api/rows"),
    text: (index) => {
      const row = all[index];
      return getJson("api/sample?dataset=" + encodeURIComponent(row.dataset) + "&sample=" + encodeURIComponent(row.sample) +
        "&repeat=" + row.repeat);
    },
  };
  const source = about.live ? served : embedded;

  // ---- rows -----------------------------------------------------------------------------------------------------
  let data = null, all = [], shown = [], selected = -1, opened = -1;

  const readRow = (raw, index) => {
    const dataset = data.datasets[raw[0]], id = raw[1];
    const answers = data.variants.map((_, i) => {
      const at = FIXED + PER_VARIANT * i;
      const outcome = raw[at] < 0 ? null : data.outcomes[raw[at]];
      return outcome && { outcome: outcome.name, class: outcome.class, value: raw[at + 1], ms: raw[at + 2], same: raw[at + 3] === 1 };
    });
    return { index, dataset, sample: id.startsWith("/") ? id.slice(1) : dataset + "/" + id, repeat: raw[2],
      group: raw[3] < 0 ? "" : data.groups[raw[3]], gold: raw[4], answers };
  };
  const keyOf = (row) => row.sample + (row.repeat ? "@" + row.repeat : "");

  // ---- filters --------------------------------------------------------------------------------------------------
  const filters = { dataset: "", group: "", variant: "", outcome: "", change: "", search: "" };

  // The baseline asked again is no variant: its changes are noise, shown only when asked for.
  const others = (row) => row.answers.filter((answer, i) => answer && i !== data.baseline &&
    (filters.variant === "" ? i !== data.control : i === +filters.variant));
  const isRight = (answer) => answer.class === "correct";
  const CHANGES = {
    to_wrong: (base, answer) => base.class !== "error" && answer.class !== "error" && isRight(base) && !isRight(answer),
    to_right: (base, answer) => base.class !== "error" && answer.class !== "error" && !isRight(base) && isRight(answer),
    flipped: (base, answer) => base.class !== "error" && answer.class !== "error" && isRight(base) !== isRight(answer),
    other_answer: (base, answer) => base.value !== answer.value,
    other_text: (base, answer) => !answer.same,
  };
  const hasOutcome = (row) => {
    const list = filters.variant === "" ? row.answers : [row.answers[+filters.variant]];
    return list.some((answer) => answer && (answer.class === filters.outcome || "=" + answer.outcome === filters.outcome));
  };
  const hasChange = (row) => {
    const base = row.answers[data.baseline];
    return base && others(row).some((answer) => CHANGES[filters.change](base, answer));
  };
  const inRow = (row, wanted) => keyOf(row).toLowerCase().includes(wanted) || String(row.gold ?? "").toLowerCase() === wanted ||
    row.answers.some((answer) => answer && String(answer.value ?? "").toLowerCase() === wanted);
  const inTexts = (texts, wanted) => texts && ((texts.question || "").toLowerCase().includes(wanted) ||
    texts.answers.some((answer) => answer && (answer.text || "").toLowerCase().includes(wanted)));

  const keeps = (row) => (!filters.dataset || row.dataset === filters.dataset) && (!filters.group || row.group === filters.group) &&
    (!filters.outcome || hasOutcome(row)) && (!filters.change || hasChange(row));

  // Texts of a file are searched block by block, so that the page stays alive; the server searches its own.
  let searchRun = 0;
  const searchTexts = async (rows, wanted) => {
    const run = ++searchRun;
    if (about.live) {
      const found = new Set((await getJson("api/search?text=" + encodeURIComponent(wanted))).map((pair) => pair.join("@")));
      return run === searchRun ? rows.filter((row) => inRow(row, wanted) || found.has(row.sample + "@" + row.repeat)) : null;
    }
    const result = [];
    let began = performance.now();
    for (const row of rows) {
      if (inRow(row, wanted) || inTexts(await embedded.text(row.index), wanted)) result.push(row);
      if (performance.now() - began > 40) {
        await new Promise((done) => setTimeout(done));
        if (run !== searchRun) return null;
        began = performance.now();
      }
    }
    return run === searchRun ? result : null;
  };

  // ---- the parts of the page --------------------------------------------------------------------------------------
  const bar = element("form", "filters"), counted = element("p", "counted"), size = element("p", "counted"), panes = element("div", "panes");
  const list = element("div", "list"), space = element("div", "space"), detail = element("div", "detail");
  const controls = {}, labels = {};

  const addControl = (name, control) => {
    const label = element("label");
    labels[name] = label.appendChild(element("span"));
    control.id = "filter-" + name;
    label.append(control);
    bar.append(label);
    controls[name] = control;
    control.addEventListener(name === "search" ? "input" : "change", () => { filters[name] = control.value; if (name === "dataset") fillGroups(); apply(); });
  };

  const fill = (select, options) => {
    const value = select.value;
    select.replaceChildren(...options.map(([key, text]) => {
      const option = element("option", "", qluaText.visible(text));
      option.value = key;
      return option;
    }));
    select.value = options.some(([key]) => key === value) ? value : "";
  };

  const fillGroups = () => {
    const names = new Set();
    for (const row of all) if (row.group && (!filters.dataset || row.dataset === filters.dataset)) names.add(row.group);
    fill(controls.group, [["", say("all")], ...[...names].sort().map((name) => [name, name])]);
    filters.group = controls.group.value;
    controls.group.parentElement.hidden = names.size === 0;
  };

  const usedOutcomes = () => {
    const used = new Set();
    for (const row of all) for (const answer of row.answers) if (answer) used.add(answer.outcome);
    return data.outcomes.filter((one) => used.has(one.name) && one.name !== one.class);
  };

  const label = () => {
    for (const name of Object.keys(labels)) labels[name].textContent = say(name);
    controls.search.placeholder = say("search_hint");
    fill(controls.dataset, [["", say("all")], ...data.datasets.map((name) => [name, name])]);
    fill(controls.variant, [["", say("any")], ...data.variants.map((name, i) => [String(i), name])]);
    const classes = [...new Set(data.outcomes.map((one) => one.class))];
    fill(controls.outcome, [["", say("all")], ...classes.map((name) => [name, say(CLASS_NAMES(name))]),
      ...usedOutcomes().map((one) => ["=" + one.name, "· " + say(one.title)])]);
    fill(controls.change, [["", say("all")], ...Object.keys(CHANGES).map((name) => [name, say(name)])]);
    fillGroups();
    reset.textContent = say("reset");
    helpButton.textContent = say("help");
    list.setAttribute("aria-label", say("list"));
    size.textContent = sizeText();
    counted.textContent = say("count", { n: shown.length, total: all.length });
  };
  const CLASS_NAMES = (name) => (data.outcomes.find((one) => one.name === name) || { title: TITLES[name] || name }).title;
  const TITLES = { invalid: { en: "no usable answer", zh: "无有效答案" }, error: { en: "error", zh: "出错" } };

  const megabytes = () => (about.bytes < 1e6 ? Math.round(about.bytes / 1000) + " kB" : (about.bytes / 1e6).toFixed(1) + " MB");
  const sizeText = () => {
    if (about.live) return say("about_live");
    const values = { n: about.total - about.left_out, total: about.total, size: megabytes(), command: command() };
    return say(about.left_out ? "about" : "about_all", values);
  };
  const command = () => "qlua view " + (about.run || "RUN");

  // ---- the list ---------------------------------------------------------------------------------------------------
  const chip = (answer, name) => {
    const made = element("span", "chip " + (answer ? answer.class : "absent"), answer ? qluaText.visible(answer.value ?? "–") : "");
    made.title = name;
    return made;
  };

  const rowElement = (row, place) => {
    const made = element("div", "row"), top = element("div"), bottom = element("div");
    made.style.top = place * ROW + "px";
    made.id = "row-" + row.index;
    made.setAttribute("role", "option");
    made.setAttribute("aria-selected", String(place === selected));
    made.setAttribute("aria-posinset", place + 1);
    made.setAttribute("aria-setsize", shown.length);
    top.append(element("strong", "", qluaText.visible(keyOf(row))), " ", element("span", "group", qluaText.visible(row.group)));
    bottom.append(...row.answers.map((answer, i) => chip(answer, data.variants[i])));
    made.append(top, bottom);
    made.addEventListener("click", () => select(place, true));
    return made;
  };

  let drawing = false;
  const drawList = () => {
    drawing = false;
    const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 4);
    const last = Math.min(shown.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + 4);
    const rows = [];
    for (let place = first; place < last; place++) rows.push(rowElement(shown[place], place));
    space.replaceChildren(...rows);
    if (selected >= 0) list.setAttribute("aria-activedescendant", "row-" + shown[selected].index);
    else list.removeAttribute("aria-activedescendant");
  };
  const redraw = () => { if (!drawing) { drawing = true; requestAnimationFrame(drawList); } };

  const show = (rows) => {
    shown = rows;
    selected = shown.findIndex((row) => row.index === opened);
    space.style.height = shown.length * ROW + "px";
    counted.textContent = say("count", { n: shown.length, total: all.length });
    if (selected < 0) list.scrollTop = 0; else reveal();
    drawList();
  };

  const apply = async () => {
    const rows = all.filter(keeps), wanted = filters.search.trim().toLowerCase();
    if (!wanted) { searchRun++; show(rows); return; }
    counted.textContent = say("searching");
    try {
      const found = await searchTexts(rows, wanted);
      if (found) show(found);
    } catch (failure) {
      counted.textContent = say("failed", { why: failure.message });
    }
  };

  const reveal = () => {
    const top = selected * ROW;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
  };

  const select = (place, andOpen) => {
    if (place < 0 || place >= shown.length) return;
    selected = place;
    reveal();
    drawList();
    if (andOpen) open(shown[place]);
  };

  // ---- one sample -------------------------------------------------------------------------------------------------
  const textBox = (text, marks) => {
    const box = element("div", "text");
    box.dir = "auto";
    box.tabIndex = 0;
    return qluaText.put(box, text, marks);
  };
  const section = (key, values) => element("h4", "", say(key, values));
  const folded = (text, body) => {
    const made = element("details");
    made.append(element("summary", "", text), body);
    return made;
  };

  const scoreTable = (scores) => {
    const made = element("table");
    for (const one of scores) {
      const line = element("tr");
      line.append(element("th", "", one.scorer), element("td", "", say((data.outcomes.find((known) => known.name === one.outcome) || { title: one.outcome }).title)),
        element("td", "", qluaText.visible(one.value ?? "–")), element("td", "", qluaText.visible(one.how ?? "")));
      line.firstChild.scope = "row";
      made.append(line);
    }
    return made;
  };

  const replyBody = (part, answer, base, isBase) => {
    if (answer.error) part.append(textBox(answer.error));
    if (answer.reasoning) part.append(folded(say("reasoning", { n: answer.reasoning.length }), textBox(answer.reasoning)));
    if (!answer.text) { part.append(element("p", "meta", say("no_text"))); return; }
    const marks = [];
    if (!isBase && base && base.text && base.text !== answer.text) {
      for (const [from, to] of qluaText.added(base.text, answer.text)) marks.push([from, to, "new"]);
    }
    if (answer.from !== undefined) marks.push([answer.from, answer.to, "found"]);
    for (const one of answer.scores || []) {
      if (one.from !== undefined && (one.from !== answer.from || one.to !== answer.to)) marks.push([one.from, one.to, "also"]);
    }
    part.append(textBox(answer.text, marks));
    if (answer.length) part.append(element("p", "meta", say("cut", { n: answer.length })));
  };

  const reply = (row, texts, i) => {
    const part = element("div", "reply"), brief = row.answers[i], answer = texts && texts.answers[i];
    const title = element("h4"), meta = [];
    title.append(chip(brief, data.variants[i]), qluaText.visible(data.variants[i]));
    title.firstChild.textContent = "";
    part.append(title);
    if (!brief) { part.append(element("p", "meta", say("no_answer_row"))); return part; }
    meta.push(say(data.outcomes.find((one) => one.name === brief.outcome).title));
    meta.push(say("found") + ": " + qluaText.visible(brief.value ?? say("nothing")));
    if (answer && answer.how) meta.push(say("by", { how: qluaText.visible(answer.how) }));
    if (brief.ms !== null) meta.push(brief.ms + " ms");
    if (answer && answer.tokens) meta.push(say("tokens", { n: answer.tokens }));
    if (answer && answer.finish && answer.finish !== "stop") meta.push(qluaText.visible(answer.finish));
    part.append(element("p", "meta", meta.join(" · ")));
    const isBase = i === data.baseline;
    if (!isBase && brief.same && answer && answer.text) part.append(element("p", "meta", say("same_text")));
    if (answer) {
      replyBody(part, answer, texts.answers[data.baseline], isBase);
      if (answer.scores) part.append(scoreTable(answer.scores));
    }
    return part;
  };

  const button = (text, action, className) => {
    const made = element("button", className, text);
    made.type = "button";
    made.addEventListener("click", action);
    return made;
  };

  const detailHead = (row) => {
    const buttons = element("div", "buttons"), title = element("h3"), link = element("a", "", qluaText.visible(keyOf(row)));
    buttons.append(button("← " + say("back"), close, "back"), button("↑ " + say("previous"), () => select(selected - 1, true)),
      button("↓ " + say("next"), () => select(selected + 1, true)));
    link.href = "#" + encodeURI(keyOf(row));
    link.title = say("link");
    title.append(link);
    if (row.group) title.append(" ", element("span", "group", qluaText.visible(row.group)));
    return [buttons, title];
  };

  const questionParts = (row, texts) => {
    const parts = [];
    if (texts.question !== undefined) {
      if (texts.head) parts.push(folded(say("prompt", { n: texts.head.length }), textBox(texts.head)));
      parts.push(section("question"), textBox(texts.question));
    }
    if (texts.choices) {
      parts.push(section("choices"));
      const items = element("ol");
      items.start = 0;
      for (const choice of texts.choices) items.append(qluaText.put(element("li"), choice));
      parts.push(items);
    }
    return parts;
  };

  const drawDetail = (row, texts) => {
    const replies = element("div", "replies");
    row.answers.forEach((_, i) => replies.append(reply(row, texts, i)));
    const parts = detailHead(row);
    if (texts) parts.push(...questionParts(row, texts));
    else parts.push(element("p", "note", say("left_out")), element("pre", "", command()));
    if (row.gold !== null) parts.push(section("gold"), qluaText.put(element("p"), String(row.gold)));
    parts.push(replies);
    if (texts && row.answers.length > 1) parts.push(element("p", "meta", say("legend")));
    detail.replaceChildren(...parts);
  };

  let current = null;
  const drawWelcome = () => detail.replaceChildren(element("p", "meta", say("pick")), element("p", "meta", say("keys")));
  const open = async (row, keepsHash) => {
    opened = row.index;
    panes.classList.add("open");
    let texts = null;
    try { texts = await source.text(row.index); } catch (failure) {
      detail.replaceChildren(element("p", "note", say("failed", { why: failure.message })));
      return;
    }
    if (opened !== row.index) return;
    current = [row, texts];
    drawDetail(row, texts);
    detail.scrollTop = 0;
    if (!keepsHash) history.replaceState(null, "", "#" + encodeURI(keyOf(row)));
  };
  const close = () => { panes.classList.remove("open"); list.focus(); };

  const openByHash = () => {
    let wanted = "";
    try { wanted = decodeURI(location.hash.slice(1)); } catch { return; }
    const row = wanted && all.find((one) => keyOf(one) === wanted);
    if (!row) return;
    if (!shown.includes(row)) clear();
    select(shown.indexOf(row), false);
    open(row, true);
    home.scrollIntoView();
  };

  // ---- keys and the rest ----------------------------------------------------------------------------------------
  const help = element("dialog"), helpText = element("p"), reset = element("button"), helpButton = element("button");
  const showHelp = () => { helpText.textContent = say("keys"); closeHelp.textContent = say("close"); help.showModal(); };
  const closeHelp = button("", () => help.close());

  const clear = () => {
    for (const name of Object.keys(filters)) { filters[name] = ""; controls[name].value = ""; }
    fillGroups();
    searchRun++;
    show(all);
  };

  const KEYS = {
    j: () => select(Math.min(selected + 1, shown.length - 1), true),
    k: () => select(Math.max(selected - 1, 0), true),
    "/": () => { home.scrollIntoView(); controls.search.focus(); },
    "?": showHelp,
    Escape: close,
  };
  const IN_LIST = { ArrowDown: KEYS.j, ArrowUp: KEYS.k, Enter: () => { if (selected >= 0) { open(shown[selected]); detail.focus(); } },
    Home: () => select(0, true), End: () => select(shown.length - 1, true), PageDown: () => select(Math.min(selected + 10, shown.length - 1), true),
    PageUp: () => select(Math.max(selected - 10, 0), true) };

  const onKey = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (typing) {
      if (event.key === "Escape") { event.target.blur(); list.focus(); event.preventDefault(); }
      return;
    }
    const action = (event.target === list && IN_LIST[event.key]) || KEYS[event.key];
    if (action) { event.preventDefault(); action(); }
  };

  const build = () => {
    for (const name of ["dataset", "group", "variant", "outcome", "change"]) addControl(name, element("select"));
    const search = element("input");
    search.type = "search";
    addControl("search", search);
    reset.type = helpButton.type = "button";
    reset.addEventListener("click", clear);
    helpButton.addEventListener("click", showHelp);
    bar.append(reset, helpButton);
    bar.addEventListener("submit", (event) => event.preventDefault());
    counted.setAttribute("aria-live", "polite");
    list.tabIndex = 0;
    list.setAttribute("role", "listbox");
    space.setAttribute("role", "presentation");
    list.append(space);
    list.addEventListener("scroll", redraw, { passive: true });
    detail.tabIndex = -1;
    help.append(helpText, closeHelp);
    panes.append(list, detail);
    home.replaceChildren(bar, counted, panes, size, help);
    drawWelcome();
  };

  const start = async () => {
    try { data = await source.rows(); } catch (failure) {
      home.append(element("p", "note", say("failed", { why: failure.message })));
      return;
    }
    all = data.rows.map(readRow);
    data.rows = null;
    build();
    label();
    show(all);
    onLanguage(() => { label(); drawList(); if (current) drawDetail(...current); else drawWelcome(); });
    document.addEventListener("keydown", onKey);
    window.addEventListener("hashchange", openByHash);
    openByHash();
    home.dataset.ready = String(Math.round(performance.now()));
  };
  start();
})();
