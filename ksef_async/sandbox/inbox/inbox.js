"use strict";
// The page of the sandbox: asks for the state once a second, and draws what has changed.
// Everything is drawn with text nodes (h below), never as HTML: what came in an invoice stays text. The invoice itself
// is a page of its own, in a frame without scripts.

const $ = (id) => document.getElementById(id);
const TOKEN = document.querySelector("meta[name=inbox-token]").content;
const LANGUAGE = document.documentElement.lang;
const { words: WORDS, codes: CODES } = JSON.parse($("data").textContent);
const EVERY = 1000;
const view = { session: null, invoice: null, tab: "invoice", pinned: false, query: "", mood: "", page: 1 };
const drawn = new Map();
let fetched = { key: null, invoice: null };
const MOST_REQUESTS = 120;
let requests = [];
let seen = "";
let clock = { offset: 0, isTicking: true };

// --- words ---

const plural = new Intl.PluralRules(LANGUAGE);
const number = new Intl.NumberFormat(LANGUAGE);
const FORMS = { en: ["one", "other"], pl: ["one", "few", "many"] }[LANGUAGE];

const t = (key, values = {}) => (WORDS[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");

function count(n, key) {
  const forms = WORDS[`n.${key}`].split("|");
  return (forms[FORMS.indexOf(plural.select(n))] ?? forms.at(-1)).replace("{n}", number.format(n));
}

const meaning = (kind, code) => WORDS[`code.${kind.toLowerCase()}.${code}`] ?? "";
const httpMeaning = (status) => WORDS[`http.${status}`] ?? WORDS[`http.${Math.floor(status / 100)}`] ?? "";

const WARSAW = { timeZone: "Europe/Warsaw" };
const timeFormat = new Intl.DateTimeFormat("pl-PL", { ...WARSAW, timeStyle: "medium" });
const dayFormat = new Intl.DateTimeFormat("pl-PL", { ...WARSAW, dateStyle: "short" });
const timeOf = (text) => timeFormat.format(new Date(text));
const at = (text) => h("time", { datetime: text, title: `${dayFormat.format(new Date(text))} ${timeOf(text)}` }, timeOf(text));

// --- elements ---

function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (typeof value === "boolean" && !name.startsWith("aria")) element.toggleAttribute(name, value);
    else element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

function draw(id, data, make) {
  // Only what has changed, so that a selection, a scroll position or the focus is not lost.
  const key = JSON.stringify(data);
  if (drawn.get(id) === key) return;
  drawn.set(id, key);
  const place = $(id);
  const scrolled = [...place.querySelectorAll(".invoices")].map((one) => one.scrollTop);
  const focused = place.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  place.replaceChildren(...[make()].flat(Infinity).filter(Boolean));
  [...place.querySelectorAll(".invoices")].forEach((one, n) => { one.scrollTop = scrolled[n] ?? 0; });
  if (focused) [...place.querySelectorAll("[data-key]")].find((one) => one.dataset.key === focused)?.focus({ preventScroll: true });
}

const polish = (tag, properties, ...children) => h(tag, { ...properties, lang: LANGUAGE === "pl" ? null : "pl" }, ...children);

const chip = (state, kind, text = state.code) =>
  polish("span", { class: `chip ${state.mood}`, title: `${state.description} – ${meaning(kind, state.code)}` }, text);

// One stop of the Tab key for a whole list: the arrow keys move inside it, Home and End to its ends.
function roving(list, current) {
  const items = () => [...list.querySelectorAll("[data-key]:not(:disabled)")];
  const enter = (item) => items().forEach((one) => { one.tabIndex = one === item ? 0 : -1; });
  enter(items().find((one) => one.dataset.key === current) ?? items()[0]);
  list.addEventListener("focusin", (event) => { const item = event.target.closest("[data-key]"); if (item) enter(item); });
  list.addEventListener("keydown", (event) => {
    const all = items();
    const here = all.indexOf(event.target.closest("[data-key]"));
    const to = { ArrowDown: here + 1, ArrowRight: here + 1, ArrowUp: here - 1, ArrowLeft: here - 1, Home: 0, End: all.length - 1 }[event.key];
    if (here < 0 || to === undefined) return;
    event.preventDefault();
    const next = all[Math.max(0, Math.min(to, all.length - 1))];
    next.focus();
    next.scrollIntoView({ block: "nearest" });
    if (next.role === "tab") next.click();
  });
  return list;
}

// Names of operations break after an underscore, if anywhere.
const broken = (text) => text.split(/(?<=_)/).flatMap((part) => [part, h("wbr")]);

const pressed = (action) => ({
  onclick: action,
  onkeydown: (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); action(); } },
});

// --- the sandbox ---

async function answerTo(path, options = {}) {
  const answer = await fetch(path, { cache: "no-store", ...options });
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error ?? `HTTP ${answer.status}`);
  return answer.json();
}

async function post(path, body = {}) {
  const headers = { "Content-Type": "application/json", "X-Inbox-Token": TOKEN };
  await answerTo(path, { method: "POST", headers, body: JSON.stringify(body) });
  await refresh();
}

function complain(error) {
  const text = error ? t("problem", { message: error.message }) : "";
  $("problem").hidden = !error;
  if ($("problem").textContent !== text) $("problem").textContent = text;
}

const attempt = (action) => action.catch(complain);

let asking = null;
function refresh() {
  // One look at a time, in order: an older answer never overwrites a newer one.
  asking = (asking ?? Promise.resolve()).catch(() => {}).then(look);
  return asking;
}

async function look() {
  const state = await answerTo(`/inbox/state?after=${seen}`);
  // Only the requests that are new, unless the sandbox is another one by now.
  if (state.isWhole) requests = [];
  requests = [...state.requests, ...requests].slice(0, MOST_REQUESTS);
  ({ seen } = state);
  complain(null);
  clock = { offset: new Date(state.now) - Date.now(), isTicking: state.isTicking, now: state.now };
  tick();
  $("base-url").textContent = state.baseUrl;
  $("companies").textContent = `NIP ${state.companies.slice(0, 3).join(", ")}${state.companies.length > 3 ? " …" : ""}`;
  const newest = state.sessions[0]?.referenceNumber ?? null;
  if (!view.pinned && newest !== view.session) Object.assign(view, { session: newest, invoice: null, page: 1 });
  $("session-count").textContent = state.sessionCount ? number.format(state.sessionCount) : "";
  $("request-count").textContent = state.requestCount ? number.format(state.requestCount) : "";
  draw("sessions", [state.sessions, view.session], () => drawSessions(state.sessions));
  draw("requests", seen, () => drawRequests(requests));
  drawChoices(state.faults);
  draw("planned", [state.faults.planned, state.faults.happened], () => drawPlanned(state.faults));
  await lookAtSession();
}

async function lookAtSession() {
  if (view.session === null) {
    $("search").hidden = true;
    draw("session", "none", () => h("div", { class: "empty" }, h("b", {}, t("session.none")), h("div", {}, t("session.point")),
      h("code", {}, `KSEF_ENV=${$("base-url").textContent}`)));
    draw("invoices", "none", () => []);
    return draw("invoice", "none", drawNoInvoice);
  }
  const path = `/inbox/sessions/${encodeURIComponent(view.session)}`;
  const asked = new URLSearchParams({ query: view.query, mood: view.mood, page: view.page });
  const session = await answerTo(`${path}?${asked}`);
  view.page = session.found.page;
  if (!view.pinned && !session.invoices.some((one) => one.referenceNumber === view.invoice)) view.invoice = null;
  view.invoice ??= session.invoices[0]?.referenceNumber ?? null;
  const { invoices, found, ...facts } = session;
  draw("session", facts, () => drawSession(facts));
  draw("invoices", [invoices, found, view.invoice], () => drawInvoices(session));
  if (view.invoice === null) return draw("invoice", "none", drawNoInvoice);
  // A document can be large: it is asked for again only when its row has changed.
  const row = invoices.find((one) => one.referenceNumber === view.invoice);
  const key = JSON.stringify([view.invoice, row]);
  if (!row || fetched.key !== key) {
    fetched = { key, invoice: await answerTo(`${path}/invoices/${encodeURIComponent(view.invoice)}`) };
  }
  const { invoice } = fetched;
  draw("invoice", [invoice, view.tab], () => drawInvoice(invoice, `${path}/invoices/${encodeURIComponent(view.invoice)}/page`));
}

function show(changes) {
  Object.assign(view, { pinned: true }, changes);
  location.hash = new URLSearchParams({ session: view.session ?? "", invoice: view.invoice ?? "" });
  attempt(refresh());
}

function showPane(name) {
  // On a phone one part of the page is seen at a time. Whoever was in a part that is gone goes on in the new one.
  const focused = document.activeElement;
  document.body.dataset.pane = name;
  if (focused !== document.body && !focused.checkVisibility()) $("detail").focus({ preventScroll: true });
  if (getComputedStyle($("panes")).display !== "none") document.querySelector("main").scrollTop = 0;
  for (const button of document.querySelectorAll("[data-show]")) {
    button.setAttribute("aria-current", button.dataset.show === name);
  }
}

// --- sessions ---

function drawSessions(sessions) {
  if (!sessions.length) return h("p", { class: "empty" }, t("sessions.none"));
  const rows = sessions.map((one) => h("div", {
    role: "option", class: "session", "aria-selected": one.referenceNumber === view.session, "data-key": one.referenceNumber,
    ...pressed(() => {
      show({ session: one.referenceNumber, invoice: null, page: 1, query: "", mood: "" });
      $("query").value = $("mood").value = "";
      showPane("detail");
    }),
  },
  h("span", { class: "top" }, chip(one.state, one.kind), h("small", {}, at(one.openedAt))),
  h("span", { class: "mono" }, one.referenceNumber),
  h("small", {}, [t(`kind.${one.kind}`), one.form, count(one.invoiceCount, "invoices"), one.rejectedCount ? count(one.rejectedCount, "rejected") : ""].filter(Boolean).join(" · ")),
  one.waits ? h("small", { class: "waits" }, t(`short.${one.waits.for}`)) : null));
  return roving(h("div", { role: "listbox", "aria-labelledby": "sessions-title" }, rows), view.session);
}

const drawTimeline = (moments) => h("ol", { class: "timeline", "aria-label": t("states") }, moments.map((one) =>
  h("li", { class: `is-${one.mood}` }, h("b", {}, one.code), " ", polish("span", {}, one.description), at(one.at))));

function drawSession(session) {
  const facts = [`NIP ${session.context}`, t(`kind.${session.kind}`), session.form, count(session.acceptedCount, "accepted")];
  if (session.rejectedCount) facts.push(count(session.rejectedCount, "rejected"));
  const { waits } = session;
  const waiting = waits ? t(`waits.${waits.for}`, {
    n: count(waits.count, waits.for === "parts" ? "parts" : "invoices"), until: waits.until ? timeOf(waits.until) : "",
  }) : "";
  return [
    h("div", { class: "head" }, h("h3", {}, session.referenceNumber), h("span", { class: "facts" }, facts.join(" · "))),
    drawTimeline(session.timeline),
    h("p", { class: `meaning ${session.state.mood}` }, h("b", {}, session.state.code), " ", meaning(session.kind, session.state.code),
      waiting ? ` ${waiting}` : "", session.details.length ? polish("span", { class: "details" }, session.details.join(" ")) : null),
  ];
}

// --- invoices ---

function drawInvoices(session) {
  const { found, invoices } = session;
  const isFiltered = Boolean(view.query || view.mood);
  $("search").hidden = session.invoiceCount === 0;
  $("newer").disabled = found.page <= 1;
  $("older").disabled = found.page >= found.pages;
  const values = { first: number.format(found.first), last: number.format(found.first + invoices.length - 1), n: number.format(found.count) };
  const result = found.count ? t("search.result", values) : "";
  if ($("found").textContent !== result) $("found").textContent = result;
  if (!invoices.length) return h("p", { class: "empty" }, t(isFiltered ? "search.nothing" : "invoices.none"));
  const cell = (name, ...content) => h("td", { role: "gridcell", class: name }, ...content);
  const rows = invoices.map((one) => h("tr", {
    role: "row", "aria-selected": one.referenceNumber === view.invoice, "data-key": one.referenceNumber,
    ...pressed(() => { show({ invoice: one.referenceNumber }); showPane("invoice"); }),
  },
  cell("num", one.ordinal), cell("name", h("span", { title: one.number }, one.number ?? "–")), cell("state", chip(one.state, "invoice", `${one.state.code} ${one.state.description}`)),
  cell("ksef mono", one.ksefNumber ?? ""), cell("when num", at(one.receivedAt))));
  const heads = ["ordinal", "number", "state", "ksef", "time"].map((one) => h("th", { scope: "col", role: "columnheader" }, t(`column.${one}`)));
  const table = h("table", { role: "grid", "aria-label": t("invoices"), "aria-describedby": "invoice-keys" },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads)), h("tbody", { role: "rowgroup" }, rows));
  return [h("p", { id: "invoice-keys", class: "hidden" }, t("invoices.keys")), roving(h("div", { class: "invoices card" }, table), view.invoice)];
}

// Only where nothing else is seen beside it.
const drawNoInvoice = () => h("p", { class: "empty phone" }, t("invoices.none"));

function drawInvoice(invoice, path) {
  const { document: held, upo, state } = invoice;
  const tabs = [["invoice", true], ["upo", Boolean(upo)], ["xml", Boolean(held)]];
  const tab = tabs.some(([name, enabled]) => name === view.tab && enabled) ? view.tab : "invoice";
  const buttons = tabs.map(([name, enabled]) => h("button", {
    type: "button", role: "tab", id: `tab-${name}`, "data-key": `tab-${name}`, "aria-selected": tab === name, "aria-controls": "paper",
    disabled: !enabled, onclick: () => { if (view.tab !== name) show({ tab: name }); },
  }, t(`tab.${name}`)));
  const address = `${path}?language=${LANGUAGE}`;
  const name = invoice.number ?? invoice.referenceNumber;
  const code = (text, isCut) => [h("pre", { class: "code", tabindex: 0 }, colour(indent(text))), isCut ? h("p", { class: "empty" }, t("xml.cut")) : null];
  let content;
  if (tab === "upo") content = code(upo);
  else if (!held) content = h("p", { class: "empty" }, t("invoice.unreadable"));
  else if (tab === "xml") content = code(held.xml, held.isCut);
  else if (held.isDrawn) content = frame(address, t("invoice.frame", { number: name }));
  else content = [h("p", { class: "empty" }, t("invoice.xmlOnly")), code(held.xml, held.isCut)];
  const mode = invoice.mode ? WORDS[`mode.${invoice.mode}`] ?? invoice.mode : "";
  return [
    h("article", { class: "summary", "aria-label": t("invoice.frame", { number: name }) },
      h("h3", {}, name), chip(state, "invoice", `${state.code} ${state.description}`),
      h("p", { class: `meaning ${state.mood}` }, meaning("invoice", state.code),
        invoice.details.length ? polish("span", { class: "details" }, invoice.details.map((one) => h("span", {}, one))) : null),
      h("p", { class: "facts" }, invoice.ksefNumber ? h("b", {}, invoice.ksefNumber) : null, mode ? h("span", {}, mode) : null,
        h("span", {}, "SHA-256 ", h("code", {}, invoice.hash)))),
    h("div", { class: "tabs" }, roving(h("div", { role: "tablist", "aria-label": t("tabs") }, buttons), `tab-${tab}`),
      held?.isDrawn ? h("a", { href: address, target: "_blank", rel: "noopener" }, t("open")) : null),
    h("div", { id: "paper", class: `paper is-${tab}`, role: "tabpanel", "aria-labelledby": `tab-${tab}` }, content),
  ];
}

function frame(address, title) {
  // Without scripts and with an origin of ours, so that the page outside can measure how high it is.
  const element = h("iframe", { src: address, title, sandbox: "allow-same-origin allow-popups", class: "loading" });
  const fit = () => {
    const inside = element.contentDocument?.documentElement;
    if (inside) element.style.height = `${inside.querySelector("main")?.scrollHeight ?? inside.scrollHeight}px`;
  };
  element.addEventListener("load", () => {
    const paper = element.contentDocument?.querySelector("main");
    if (paper) Object.assign(paper.style, { margin: "0", maxWidth: "none", borderRadius: "0", boxShadow: "none" });
    fit();
    element.className = "";
    new ResizeObserver(fit).observe(element);
  });
  return element;
}

function indent(xml) {
  // For reading only: a line for each element. The bytes that were sent are what the hash is of.
  if (/>\s*\n\s*</.test(xml) || xml.length > 300_000) return xml;
  let depth = 0;
  return xml.replace(/></g, ">\n<").split("\n").map((line) => {
    if (/^<\//.test(line)) depth -= 1;
    const text = "  ".repeat(Math.max(0, depth)) + line;
    if (/^<[^!?/][^>]*[^/]>$/.test(line) || /^<\w>$/.test(line)) depth += 1;
    return text;
  }).join("\n");
}

const colour = (text) => text.length > 100_000 ? text
  : text.split(/(<[^>]*>)/).map((part) => part.startsWith("<") ? h("span", { class: "tag" }, part) : part);

// --- requests ---

const moodOf = (status) => status === 0 || status >= 400 ? "failure" : status >= 300 ? "progress" : "success";
const why = (one) => [one.fault ? t("request.purpose", { what: one.fault }) : "", one.refusal ?? ""].filter(Boolean).join(" · ");

function drawRequests(requests) {
  if (!requests.length) return h("p", { class: "empty" }, t("requests.none"));
  const rows = requests.map((one) => h("li", {}, h("button", {
    type: "button", class: "request", "data-key": one.number, "aria-haspopup": "dialog", onclick: () => attempt(openRequest(one.number)),
  },
  h("span", { class: `status ${moodOf(one.status)}` }, one.status || t("request.lost")), h("span", { class: "what" }, broken(one.operation)), at(one.at),
  why(one) ? polish("span", { class: "why" }, why(one)) : null)));
  return roving(h("ol", { "aria-labelledby": "requests-title" }, rows), null);
}

function pretty(json) {
  try { return JSON.stringify(JSON.parse(json), null, 2); } catch { return json; }  // one that was cut
}

async function openRequest(n) {
  const one = await answerTo(`/inbox/requests/${n}`);
  const body = (key, shown) => h("section", { "aria-label": t(key) },
    h("h3", { class: "label" }, t(key), shown ? h("span", { class: "count" }, count(shown.size, "bytes")) : null),
    shown === null ? h("p", { class: "empty" }, t("request.empty"))
      : shown.kind === "hidden" ? h("p", { class: "empty" }, t("request.hidden"))
        : h("pre", { class: "code", tabindex: 0 }, shown.kind === "json" ? pretty(shown.text) : colour(indent(shown.text))));
  const hasDots = [one.asked, one.answered].some((shown) => shown?.text.includes("••••••"));
  $("request-title").textContent = one.operation;
  $("request").replaceChildren(
    h("p", {}, h("b", {}, one.method), " ", h("code", {}, one.path + (one.query ? `?${one.query}` : ""))),
    h("p", { class: `meaning ${moodOf(one.status)}` }, h("b", {}, one.status || t("request.lost")), " ", httpMeaning(one.status),
      why(one) ? polish("span", { class: "details" }, why(one)) : null),
    h("p", { class: "note" }, at(one.at), ` · ${number.format(Math.round(one.seconds * 1000))} ms`, hasDots ? ` · ${t("request.secrets")}` : ""),
    h("div", { class: "bodies" }, body("request.asked", one.asked), body("request.answered", one.answered)));
  if (!$("request-dialog").open) $("request-dialog").showModal();
}

// --- codes ---

function openCodes() {
  const row = (title, mood, text, explained) => h("div", {}, h("dt", {}, h("span", { class: `chip ${mood}` }, title), text ? polish("span", {}, text) : null), h("dd", {}, explained));
  const kinds = Object.entries(CODES).map(([kind, states]) => [h("h3", {}, t(`codes.${kind}`)),
    h("dl", {}, states.map((one) => row(one.code, one.mood, one.description, meaning(kind, one.code))))]);
  const answers = Object.keys(WORDS).filter((key) => key.startsWith("http.")).map((key) => key.slice(5));
  const label = (code) => code === "0" ? t("request.lost") : code.length === 1 ? `${code}xx` : code;
  const mood = (code) => moodOf(code.length === 1 ? Number(code) * 100 : Number(code));
  $("codes").replaceChildren(...kinds.flat(), h("h3", {}, t("codes.http")),
    h("dl", {}, answers.map((code) => row(label(code), mood(code), "", WORDS[`http.${code}`]))));
  $("codes-dialog").showModal();
}

// --- faults ---

function drawChoices(faults) {
  draw("fault", faults.presets, () => faults.presets.map((one) => h("option", { value: one }, t(`fault.${one}`))));
  draw("operation", faults.operations, () => {
    const options = faults.operations.map((one) => h("option", { value: one, selected: one === "send_invoice" }, one));
    return [h("option", { value: "" }, t("faults.any")), ...options];
  });
}

function drawPlanned(faults) {
  const plans = faults.planned.map((one) => h("li", { class: "plan" },
    h("span", {}, h("b", {}, one.kind), ` ${t("faults.in")} ${one.operation ?? t("faults.any")}`),
    h("span", { class: "chip progress" }, one.times === null ? `${Math.round(one.chance * 100)} %` : t("faults.left", { n: number.format(one.times) }))));
  const happened = Object.values(faults.happened).reduce((sum, one) => sum + one, 0);
  const clear = h("button", { type: "button", "data-key": "clear", onclick: () => attempt(post("/inbox/faults/clear")) }, t("faults.clear"));
  return [
    plans.length ? h("ul", {}, plans) : h("p", { class: "note" }, t("faults.none")),
    plans.length || happened ? h("div", { class: "plan" }, h("span", {}, count(happened, "faults")), plans.length ? clear : null) : null,
  ];
}

// --- what moves ---

function tick() {
  const now = clock.isTicking ? new Date(Date.now() + clock.offset) : new Date(clock.now);
  if (Number.isNaN(now.valueOf())) return;
  const text = `${dayFormat.format(now)}  ${timeFormat.format(now)}${clock.isTicking ? "" : ` (${t("clock.stands")})`}`;
  if ($("clock").textContent !== text) $("clock").textContent = text;
}

for (const button of document.querySelectorAll("[data-advance]")) {
  button.addEventListener("click", () => attempt(post("/inbox/clock", { seconds: Number(button.dataset.advance) })));
}
for (const button of document.querySelectorAll("[data-show]")) {
  button.addEventListener("click", () => showPane(button.dataset.show));
}
for (const link of document.querySelectorAll(".languages a")) {
  link.addEventListener("click", () => { link.hash = location.hash; });  // what is looked at stays
}
for (const dialog of document.querySelectorAll("dialog")) {
  dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
}
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();  // the address keeps which session is looked at
  showPane("detail");
  $("detail").focus();
});
$("codes-open").addEventListener("click", openCodes);
$("fault-form").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(post("/inbox/faults", { fault: $("fault").value, operation: $("operation").value, times: Number($("times").value) }));
});
let typing;
const search = () => show({ query: $("query").value.trim(), mood: $("mood").value, page: 1, invoice: null });
$("query").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(search, 200); });
$("mood").addEventListener("change", search);
$("search").addEventListener("submit", (event) => { event.preventDefault(); search(); });
$("newer").addEventListener("click", () => show({ page: view.page - 1, invoice: null }));
$("older").addEventListener("click", () => show({ page: view.page + 1, invoice: null }));

const linked = new URLSearchParams(location.hash.slice(1));
if (linked.get("session")) {
  Object.assign(view, { session: linked.get("session"), invoice: linked.get("invoice") || null, pinned: true });
}
showPane("detail");
setInterval(tick, 250);
setInterval(() => { if (!document.hidden) attempt(refresh()); }, EVERY);
attempt(refresh());
