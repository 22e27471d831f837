"use strict";
// The page of the sandbox: asks for the state once a second, and draws what has changed.
// Everything is drawn with text nodes (h below), never as HTML: what came in an invoice stays text.

const TOKEN = document.querySelector("meta[name=inbox-token]").content;
const EVERY = 1000;
const $ = (id) => document.getElementById(id);
const view = { session: null, invoice: null, tab: "invoice", pinned: false };
const drawn = new Map();
let fetched = { row: null, invoice: null };
let clock = { offset: 0, isTicking: true };

function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (typeof value === "boolean" && !name.startsWith("aria")) element.toggleAttribute(name, value);
    else element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

function draw(id, data, make) {
  // Only what has changed, so that a selection or a scroll position is not lost.
  const key = JSON.stringify(data);
  if (drawn.get(id) === key) return;
  drawn.set(id, key);
  const scrolled = [...$(id).querySelectorAll(".invoices")].map((one) => one.scrollTop);
  $(id).replaceChildren(...[make()].flat().filter(Boolean));
  [...$(id).querySelectorAll(".invoices")].forEach((one, n) => { one.scrollTop = scrolled[n] ?? 0; });
}

const WARSAW = { timeZone: "Europe/Warsaw" };
const timeFormat = new Intl.DateTimeFormat("pl-PL", { ...WARSAW, timeStyle: "medium" });
const dayFormat = new Intl.DateTimeFormat("pl-PL", { ...WARSAW, dateStyle: "short" });
const at = (text) => h("time", { datetime: text, title: text }, timeFormat.format(new Date(text)));
const count = (n, one, many = one + "s") => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
const chip = (state, text = state.code) => h("span", { class: `chip ${state.mood}`, title: state.description }, text);

async function get(path) {
  const answer = await fetch(path, { cache: "no-store" });
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error ?? `HTTP ${answer.status}`);
  return answer.json();
}

async function post(path, body = {}) {
  const headers = { "Content-Type": "application/json", "X-Inbox-Token": TOKEN };
  const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error ?? `HTTP ${answer.status}`);
  await refresh();
}

function complain(error) {
  $("problem").hidden = !error;
  $("problem").textContent = error ? `The sandbox does not answer as it should: ${error.message}` : "";
}

const attempt = (action) => action.catch(complain);

let asking = null;
function refresh() {
  // One look at a time, in order: an older answer never overwrites a newer one.
  asking = (asking ?? Promise.resolve()).catch(() => {}).then(look);
  return asking;
}

async function look() {
  const state = await get("/inbox/state");
  complain(null);
  clock = { offset: new Date(state.now) - Date.now(), isTicking: state.isTicking, now: state.now };
  tick();
  $("base-url").textContent = state.baseUrl;
  $("companies").textContent = `NIP ${state.companies.slice(0, 3).join(", ")}${state.companies.length > 3 ? " …" : ""}`;
  if (!view.pinned || !state.sessions.some((one) => one.referenceNumber === view.session)) {
    const newest = state.sessions[0]?.referenceNumber ?? null;
    if (!view.pinned && newest !== view.session) Object.assign(view, { session: newest, invoice: null });
  }
  $("session-count").textContent = state.sessionCount ? `· ${state.sessionCount.toLocaleString("en")}` : "";
  $("request-count").textContent = state.requestCount ? `· ${state.requestCount.toLocaleString("en")}` : "";
  draw("sessions", [state.sessions, view.session], () => drawSessions(state.sessions));
  draw("requests", state.requests, () => state.requests.map(drawRequest));
  drawChoices(state.faults);
  draw("planned", [state.faults.planned, state.faults.happened], () => drawPlanned(state.faults));
  await lookAtSession();
}

async function lookAtSession() {
  if (view.session === null) {
    draw("session", "none", () => h("div", { class: "empty" }, "No session yet. Point a client here:",
      h("code", {}, `KSEF_ENV=${$("base-url").textContent}`)));
    draw("invoice", "none", () => []);
    return;
  }
  const session = await get(`/inbox/sessions/${encodeURIComponent(view.session)}`);
  if (!session.invoices.some((one) => one.referenceNumber === view.invoice) && !view.pinned) view.invoice = null;
  view.invoice ??= session.invoices[0]?.referenceNumber ?? null;
  draw("session", [session, view.invoice], () => drawSession(session));
  if (view.invoice === null) return draw("invoice", "none", () => []);
  // A document can be large: it is asked for again only when its row has changed.
  const row = JSON.stringify(session.invoices.find((one) => one.referenceNumber === view.invoice) ?? null);
  if (fetched.row !== row || row === "null") {
    const path = `/inbox/sessions/${encodeURIComponent(view.session)}/invoices/${encodeURIComponent(view.invoice)}`;
    fetched = { row, invoice: await get(path) };
  }
  const { invoice } = fetched;
  if (view.tab === "upo" && !invoice.upo) view.tab = "invoice";
  draw("invoice", [invoice, view.tab], () => drawInvoice(invoice));
}

function show(changes) {
  Object.assign(view, { pinned: true }, changes);
  location.hash = new URLSearchParams({ session: view.session ?? "", invoice: view.invoice ?? "" });
  attempt(refresh());
}

function drawSessions(sessions) {
  if (!sessions.length) return h("p", { class: "empty" }, "None so far.");
  return sessions.map((one) => h("button", {
    type: "button", class: "session", "aria-current": one.referenceNumber === view.session,
    onclick: () => show({ session: one.referenceNumber, invoice: null }),
  },
  h("span", { class: "top" }, chip(one.state), h("small", {}, at(one.openedAt))),
  h("span", { class: "mono" }, one.referenceNumber),
  h("small", {}, `${one.kind} · ${one.form} · ${count(one.invoiceCount, "invoice")}`,
    one.rejectedCount ? `, ${one.rejectedCount} rejected` : "")));
}

const drawTimeline = (moments) => h("ol", { class: "timeline" }, moments.map((one) =>
  h("li", { class: `is-${one.mood}` }, h("b", {}, one.code), ` ${one.description}`, at(one.at))));

function drawSession(session) {
  const facts = [`NIP ${session.context}`, session.kind, session.form, `${session.acceptedCount} accepted`];
  if (session.rejectedCount) facts.push(`${session.rejectedCount} rejected`);
  return [
    h("div", { class: "head" }, h("h3", {}, session.referenceNumber), h("span", { class: "facts" }, facts.join(" · "))),
    drawTimeline(session.timeline),
    session.details.length ? h("p", { class: "reasons failure" }, session.details.join(" ")) : null,
    session.invoices.length ? drawTable(session) : h("p", { class: "empty" }, "No invoice in it yet."),
  ];
}

function drawTable(session) {
  const more = session.invoiceCount - session.invoices.length;
  const rows = session.invoices.map((one) => h("tr", {
    "aria-selected": one.referenceNumber === view.invoice, tabindex: 0,
    onclick: () => show({ invoice: one.referenceNumber }),
    onkeydown: (event) => { if (event.key === "Enter") show({ invoice: one.referenceNumber }); },
  },
  h("td", { class: "num" }, one.ordinal), h("td", { class: "name" }, one.number ?? "–"),
  h("td", {}, chip(one.state, `${one.state.code} ${one.state.description}`)),
  h("td", { class: "mono" }, one.ksefNumber ?? ""), h("td", { class: "num" }, at(one.receivedAt))));
  const titles = ["#", "Number", "State", "KSeF number", "Taken in"];
  return h("div", { class: "invoices card" }, h("table", {},
    h("thead", {}, h("tr", {}, titles.map((one) => h("th", { scope: "col" }, one)))), h("tbody", {}, rows)),
  more > 0 ? h("p", { class: "empty" }, `and ${count(more, "earlier invoice")}`) : null);
}

function drawInvoice(invoice) {
  const tab = (name, label, enabled) => h("button", {
    type: "button", role: "tab", "aria-selected": view.tab === name, disabled: !enabled, onclick: () => show({ tab: name }),
  }, label);
  const tabs = h("div", { class: "tabs", role: "tablist" },
    tab("invoice", "Invoice", true), tab("upo", "UPO", Boolean(invoice.upo)), tab("xml", "XML", Boolean(invoice.document)),
    h("span", { class: "hash", title: `SHA-256 ${invoice.hash}` }, "SHA-256 ", h("code", {}, `${invoice.hash.slice(0, 16)}…`)));
  const code = (text) => h("div", { class: "paper is-code" }, h("pre", { class: "code" }, text));
  if (view.tab === "upo" && invoice.upo) return [tabs, code(indent(invoice.upo))];
  if (view.tab === "xml" && invoice.document) return [tabs, code(indent(invoice.document.xml))];
  return [tabs, drawPaper(invoice)];
}

function drawPaper(invoice) {
  const read = invoice.document?.read;
  const reasons = invoice.state.mood === "failure"
    ? h("div", { class: "reasons failure" }, h("b", {}, `${invoice.state.code} ${invoice.state.description}`),
      invoice.details.map((one) => h("div", {}, one))) : null;
  if (!read) {
    const why = invoice.document ? "This form is not drawn here; see its XML." : "Its document could not be decrypted, or is longer than any invoice.";
    return h("div", { class: "paper" }, h("p", { class: "empty" }, why), reasons);
  }
  return h("article", { class: "paper" },
    h("div", { class: "title" },
      h("div", {}, h("div", { class: "kind" }, `${read.title} · ${read.form}`), h("div", { class: "number" }, read.number)),
      h("div", { class: "ksef" }, chip(invoice.state, `${invoice.state.code} ${invoice.state.description}`),
        invoice.ksefNumber ? h("b", {}, invoice.ksefNumber) : null, invoice.mode ? `tryb ${invoice.mode}` : "")),
    reasons,
    h("div", { class: "parties" }, read.parties.map((one) => h("div", {}, h("div", { class: "label" }, one.role),
      h("div", { class: "who" }, one.name), one.address.map((line) => h("div", {}, line)), h("div", {}, one.identifier)))),
    h("dl", {}, read.facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
    drawLines(read), drawSums(read),
    read.notes.length ? h("ul", { class: "remarks" }, read.notes.map((one) => h("li", {}, one))) : null);
}

function drawLines(read) {
  const what = read.is_gross ? "brutto" : "netto";
  const left = (tag, text, name = "left") => h(tag, { class: name }, text);
  const titles = ["Ilość", "J.m.", `Cena ${what}`, "VAT", `Wartość ${what}`].map((one) => h("th", {}, one));
  const rows = read.lines.map((one) => h("tr", { class: one.is_before ? "before" : "" },
    left("td", one.number, "first"), left("td", one.name), h("td", {}, one.quantity), h("td", {}, one.unit),
    left("td", one.price, "amount"), h("td", {}, one.rate), left("td", one.value, "amount")));
  return [
    h("table", { class: "lines" }, h("thead", {}, h("tr", {}, left("th", "Lp.", "first"), left("th", "Nazwa towaru lub usługi"), titles)),
      h("tbody", {}, rows)),
    read.more_lines ? h("p", { class: "empty" }, `i jeszcze ${read.more_lines} pozycji`) : null,
  ].filter(Boolean);
}

function drawSums(read) {
  const rows = read.vat.map((one) => h("tr", {}, h("td", {}, one.rate), h("td", { class: "amount" }, one.net), h("td", { class: "amount" }, one.vat)));
  return h("div", { class: "sums" },
    rows.length ? h("table", { class: "lines" },
      h("thead", {}, h("tr", {}, ["Stawka VAT", "Netto", "VAT"].map((one) => h("th", {}, one)))), h("tbody", {}, rows)) : h("div", {}),
    h("div", { class: "total" }, h("div", { class: "label" }, "Razem"), h("b", {}, `${read.total} ${read.currency}`)));
}

function indent(xml) {
  // For reading only: a line for each element. The bytes that were sent are what the hash is of.
  if (/>\s*\n\s*</.test(xml) || xml.length > 500_000) return xml;
  let depth = 0;
  return xml.replace(/></g, ">\n<").split("\n").map((line) => {
    if (/^<\//.test(line)) depth -= 1;
    const text = "  ".repeat(Math.max(0, depth)) + line;
    if (/^<[^!?/][^>]*[^/]>$/.test(line) || /^<\w>$/.test(line)) depth += 1;
    return text;
  }).join("\n");
}

function drawRequest(one) {
  const mood = one.status === 0 || one.status >= 400 ? "failure" : one.status >= 300 ? "progress" : "success";
  const why = [one.fault ? `on purpose: ${one.fault}` : "", one.refusal ?? ""].filter(Boolean).join(" · ");
  return h("div", { class: "request", title: `${one.method} ${one.path}` },
    h("span", { class: `status ${mood}` }, one.status || "lost"), h("span", { class: "what" }, one.operation), at(one.at),
    why ? h("span", { class: "why" }, why) : null);
}

function drawChoices(faults) {
  draw("fault", faults.presets, () => faults.presets.map((one) => h("option", { value: one.id }, one.label)));
  draw("operation", faults.operations, () => {
    const options = faults.operations.map((one) => h("option", { value: one, selected: one === "send_invoice" }, one));
    return [h("option", { value: "" }, "any call"), ...options];
  });
}

function drawPlanned(faults) {
  const plans = faults.planned.map((one) => h("div", { class: "plan" },
    h("span", {}, h("b", {}, one.kind), ` in ${one.operation ?? "any call"}`),
    h("span", { class: "chip progress" }, one.times === null ? `${Math.round(one.chance * 100)} %` : `${one.times} to come`)));
  const happened = Object.values(faults.happened).reduce((sum, one) => sum + one, 0);
  if (!plans.length && !happened) return [];
  const clear = plans.length ? h("button", { type: "button", onclick: () => attempt(post("/inbox/faults/clear")) }, "Clear") : null;
  return [...plans, h("div", { class: "plan" }, h("span", {}, `${count(happened, "fault")} so far`), clear)];
}

function tick() {
  const now = clock.isTicking ? new Date(Date.now() + clock.offset) : new Date(clock.now);
  if (!Number.isNaN(now.valueOf())) $("clock").textContent = `${dayFormat.format(now)}  ${timeFormat.format(now)}`;
}

for (const button of document.querySelectorAll("[data-advance]")) {
  button.addEventListener("click", () => attempt(post("/inbox/clock", { seconds: Number(button.dataset.advance) })));
}
$("fault-form").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(post("/inbox/faults", { fault: $("fault").value, operation: $("operation").value, times: Number($("times").value) }));
});

const linked = new URLSearchParams(location.hash.slice(1));
if (linked.get("session")) {
  Object.assign(view, { session: linked.get("session"), invoice: linked.get("invoice") || null, pinned: true });
}
setInterval(tick, 250);
setInterval(() => { if (!document.hidden) attempt(refresh()); }, EVERY);
attempt(refresh());
