// The studio's page: a site's dates, the region under the pointer, and steps that the server keeps.

import { onKeys } from "./keys.js";
import { Pictures } from "./pictures.js";
import * as place from "./place.js";
import { announce, follow } from "./reconnect.js";
import { EARLIER, Queue, SILENT, ask } from "./talk.js";

const MARKS = { open: "–", labelled: "labelled", nothing: "no mine", unseen: "cannot be seen" };
const element = (id) => document.getElementById(id);
const now = { site: null, subject: null, area: 60, version: 0, since: performance.now() };
const queue = new Queue();
let pictures;

function say(sentence) {
  element("said").textContent = sentence ?? "";
  element("said").hidden = !sentence;
}

const base = (site = now.site) => `site/${site.id}`;
const shown = () => now.subject.split("|").at(-1);
const titled = (subject) => subject.replace("|", " to ");
const pixels = (count) => `${count.toLocaleString("en")} pixels`;

/** A step of the annotator, on what is shown now; the time since the last one is what it took. Whether it was
 *  done. */
function step(what, more = {}) {
  const { site, subject } = now;
  const seconds = Math.min((performance.now() - now.since) / 1000, 600);
  now.since = performance.now();
  const isBack = what === "undo" || what === "redo";
  const told = { step: what, by: element("by").value, ...(isBack ? {} : { subject, seconds }), ...more };
  const seen = isBack ? now.version : site.seen[subject] ?? site.version;
  // What this tab's own steps have changed until it is sent, it knows.
  const own = () => (isBack ? site.latest : site.own[subject]) ?? 0;
  return queue.add(() => send(site, isBack, { ...told, seen: Math.max(seen, own()) }));
}

async function send(site, isBack, told) {
  try {
    const options = { method: "POST", body: JSON.stringify(told), headers: { "Content-Type": "application/json" } };
    const found = await ask(`${base(site)}/step`, options);
    site.own[found.subject] = site.latest = found.version;
    site.marks = found.marks;
    if (site !== now.site) return true;
    say("");
    if (found.subject === now.subject) take(found);
    else if (isBack) await open(found.subject);
    else marked();
    return true;
  } catch (error) {
    if (site === now.site) await showLabel();
    say(error.message);
    return false;
  }
}

function take(label) {
  now.version = now.site.seen[now.subject] = label.version;
  now.loaded = true;
  pictures.label(label);
  element("name").textContent = `${titled(now.subject)}: ${MARKS[label.mark]}, ${pixels(label.pixels)}`;
  element("proposals").replaceChildren(...label.proposals.map(proposed));
  element("sureness").hidden = !label.proposals.length;
  marked();
  // What a click would do may have changed. It is shown again as the pointer moves: first the label is seen.
  unpoint();
}

function proposed(proposal) {
  const item = document.createElement("li");
  item.append(`${proposal.joins ? "joins" : "leaves"}, ${proposal.sureness} σ `);
  for (const [accept, text] of [[true, "Accept"], [false, "Reject"]]) {
    const button = document.createElement("button");
    button.textContent = text;
    button.onclick = () => step("answer", { proposal: proposal.number, accept });
    item.append(button);
  }
  item.onmouseenter = () => pictures.point({ ...proposal, changes: proposal.rings });
  item.onmouseleave = () => pictures.point(null);
  return item;
}

/** Show a period (or pair); its label comes with it. `enters` is whether back leads to where one was. */
async function open(subject, enters = true) {
  delete document.body.dataset.ready;
  Object.assign(now, { subject, loaded: false });
  unpoint();
  pictures.clear();
  place.write(now.site.id, subject, enters);
  document.title = `${titled(subject)}, ${now.site.label}: minebench label`;
  element("name").textContent = `${titled(subject)}: loading its label …`;
  element("proposals").replaceChildren();
  element("sureness").hidden = true;
  const at = now.site.subjects.indexOf(subject);
  const dates = now.site.periods;
  const pair = subject.split("|");
  const neighbours = dates.filter((date) => date !== shown());
  const nearest = pair.length > 1 ? pair[0] : dates[dates.indexOf(subject) - 1] ?? dates[1];
  options("beside", neighbours, neighbours.includes(now.beside) ? now.beside : nearest);
  show();
  marked();
  for (const [name, there] of [["carry", at > 0], ["same", at > 0], ["back", at < now.site.subjects.length - 1]]) {
    document.querySelector(`[data-step=${name}]`).disabled = !there || pair.length > 1;
  }
  const { site } = now;
  await showLabel();
  await offered();
  if (site === now.site && subject === now.subject) document.body.dataset.ready = subject;
}

/** The label of the date that is shown; an answer that comes when another one is shown is dropped. `told` is
 *  called with it before it is shown. */
async function showLabel(told) {
  const { site, subject } = now;
  try {
    const label = await ask(`${base(site)}/label?subject=${encodeURIComponent(subject)}`);
    if (site !== now.site || subject !== now.subject) return;
    told?.(label);
    take(label);
  } catch (error) {
    if (site !== now.site || subject !== now.subject) return;
    if (!now.loaded) element("name").textContent = `${titled(subject)}: its label could not be loaded`;
    say(error.message);
  }
}

function show() {
  const look = element("look").value;
  const href = (date) => `${base()}/image/${encodeURIComponent(date)}.png?look=${look}`;
  pictures.show(href(shown()), href(element("beside").value));
  element("other").textContent = element("beside").value;
}

/** A sign over a map while its image loads. */
function loads(i, does, failed) {
  const figure = document.querySelectorAll("figure")[i];
  figure.setAttribute("aria-busy", does);
  figure.querySelector(".sign").hidden = !does && !failed;
  figure.querySelector(".sign").textContent = failed ? "The image could not be loaded" : "Loading the image …";
}

function options(id, values, chosen, titles = values) {
  element(id).replaceChildren(...values.map((value, i) => new Option(titles[i], value, false, value === chosen)));
}

function strip() {
  const look = element("look").value;
  element("strip").replaceChildren(...now.site.subjects.map((subject) => {
    const button = document.createElement("button");
    const image = new Image();
    image.src = `${base()}/image/${encodeURIComponent(subject.split("|").at(-1))}.png?look=${look}`;
    image.alt = "";
    button.append(image, titled(subject), document.createElement("small"));
    button.onclick = () => open(subject);
    return button;
  }));
  marked();
}

/** The marks below the dates. */
function marked() {
  [...element("strip").children].forEach((button, i) => {
    const subject = now.site.subjects[i];
    button.lastChild.textContent = MARKS[now.site.marks[subject]];
    button.setAttribute("aria-current", subject === now.subject);
  });
}

/** Show a site; of two that are asked for one after the other the last. */
async function openSite(id, subject, enters = true) {
  delete document.body.dataset.ready;
  const turn = (now.turn = (now.turn ?? 0) + 1);
  let site;
  try {
    site = await ask(`site/${encodeURIComponent(id)}`);
  } catch (error) {
    if (turn === now.turn) element("site").value = now.site?.id ?? id;
    return say(error.message);
  }
  if (turn !== now.turn) return;
  now.site = Object.assign(site, { seen: {}, own: {} });
  Object.assign(now, { version: site.version, beside: null, at: null });
  element("site").value = id;
  element("synthetic").hidden = !site.synthetic;
  options("look", site.looks, "true", site.looks.map((look) => ({ true: site.colours, false: "SWIR, NIR, red" })[look]));
  pictures?.dispose();
  pictures = new Pictures(element("map"), element("second"), site, { pointed, left, clicked, outlined, turned, loads });
  pictures.tool(document.querySelector("[name=tool]:checked").value);
  element("model").hidden = !site.runs.length;
  options("run", site.runs, element("run").value);
  const known = site.subjects.includes(subject);
  const first = site.subjects.find((one) => site.marks[one] === "open") ?? site.subjects[0];
  now.subject = known ? subject : first;
  strip();
  await open(now.subject, enters);
  if (subject && !known) say(`There is no ${subject} here to label.`);
}

// One preview is asked for at a time, and the latest place wins.
let asking = false;
let waiting = null;
async function pointed(at) {
  waiting = now.at = at;
  if (asking) return;
  asking = true;
  while (waiting) {
    const at = waiting;
    waiting = null;
    await preview(at);
  }
  asking = false;
}

/** What a click on a place would do, and show it. Of a label that has changed meanwhile it is asked `again`, or
 *  not shown. */
async function preview({ row, column }, again = false) {
  const { site, subject, area, version } = now;
  const stacked = element("stacked").checked;
  try {
    const found = await ask(`${base(site)}/preview?${new URLSearchParams({ subject, row, column, area, stacked })}`);
    if (site !== now.site || subject !== now.subject) return null;
    if (version !== now.version) return again ? await preview({ row, column }, again) : null;
    now.preview = { row, column, stacked, asked: area, ...found };
    pictures.point(found);
    element("would").textContent = `A click takes ${found.joins ? "in" : "out"} ${pixels(found.pixels)}`;
    return now.preview;
  } catch (error) {
    say(error.message);
    return null;
  }
}

function unpoint() {
  now.preview = null;
  pictures?.point(null);
  element("would").textContent = "";
}

function left() {
  now.at = null;
  unpoint();
}

/** A click does what its preview said; where there is none yet, as of a finger, it is asked for first. */
async function clicked({ row, column }) {
  const stacked = element("stacked").checked;
  const is = (one) => one && one.row === row && one.column === column && one.stacked === stacked && one.asked === now.area;
  const { subject, area } = now;
  const before = is(now.preview) ? now.preview : await preview({ row, column }, true);
  if (!before || subject !== now.subject) return;
  step("click", { row, column, area, stacked, adds: before.joins });
}

function turned(coarser) {
  // Before the first answer nobody knows the next region's size: twice or half is near enough.
  const next = now.preview ?? { coarser: 2 * now.area, finer: now.area / 2 };
  now.area = coarser ? next.coarser : next.finer;
  if (now.at) pointed(now.at);
}

function outlined(there) {
  element("sketch").hidden = !there;
}

const before = (by) => now.site.subjects[now.site.subjects.indexOf(now.subject) + by];
const goes = (by) => before(by) && open(before(by));
const DO = {
  carry: () => step("carry", { source: before(-1) }),
  back: () => step("carry", { source: before(1) }),
  same: () => step("same", { source: before(-1) }),
  nothing: () => step("mark", { mark: "nothing" }),
  unseen: () => step("mark", { mark: "unseen" }),
  undo: () => step("undo"),
  redo: () => step("redo"),
  add: () => drawn(true),
  cut: () => drawn(false),
  drop: () => pictures.drop(),
  model: () => step("model", { run: element("run").value, threshold: Number(element("threshold").value) }),
  next,
};

/** Where a label teaches the models most; without models the next date that is open. */
async function next() {
  try {
    const found = await ask("next");
    const best = found.find(({ site_id, subject }) => site_id !== now.site.id || subject !== now.subject);
    if (!best) return say("Every date is labelled.");
    return await go({ site: best.site_id, date: best.subject });
  } catch (error) {
    return say(error.message);
  }
}

/** Show a place, of this site or another. */
function go({ site, date }, enters = true) {
  if (!site) return undefined;
  if (site === now.site?.id && now.site.subjects.includes(date)) return open(date, enters);
  return openSite(site, date, enters);
}

/** What the model would outline, as the threshold moves. */
async function offered() {
  const { site, subject } = now;
  if (!site?.runs.length) return;
  const threshold = element("threshold").value;
  const words = new URLSearchParams({ subject, run: element("run").value, threshold });
  const isShown = () => site === now.site && subject === now.subject && threshold === element("threshold").value;
  try {
    const found = await ask(`${base(site)}/predicted?${words}`);
    if (!isShown()) return;
    element("predicted").textContent = `${threshold} %: ${pixels(found.pixels)}`;
    pictures.draw("model", found.rings);
  } catch (error) {
    if (!isShown()) return;
    pictures.draw("model", []);
    say(error.message);
  }
}

/** An outline stays a sketch until it is saved. */
async function drawn(adds) {
  for (const [feature, rings] of pictures.sketched()) {
    if (!(await step("draw", { rings, adds }))) return;
    pictures.taken(feature);
  }
}

document.querySelectorAll("[data-step]").forEach((button) => button.addEventListener("click", () => DO[button.dataset.step]()));
onKeys((name) => {
  if (!now.subject) return false;
  if (name === "earlier" || name === "later") return goes(name === "later" ? 1 : -1);
  if (name === "drop") return DO.drop();
  const button = document.querySelector(`[data-step=${name}]`);
  if (button.disabled || button.closest("[hidden]")) return false;
  DO[name]();
  return true;
});
element("site").onchange = () => openSite(element("site").value);
element("look").onchange = () => { show(); strip(); };
element("beside").onchange = () => { now.beside = element("beside").value; show(); };
element("stacked").onchange = () => now.at && pointed(now.at);
element("threshold").oninput = offered;
element("run").onchange = offered;
addEventListener("popstate", () => go(place.read(), false));
// Two people without a name must not be taken for one: each is told of what the other changed.
const NAME = "minebench-annotator";
const nameless = () => `annotator-${Math.random().toString(36).slice(2, 6)}`;
const named = (name) => { element("by").value = name; localStorage.setItem(NAME, name); };
named(localStorage.getItem(NAME) || nameless());
element("by").onchange = () => named(element("by").value.trim() || nameless());
document.querySelectorAll("[name=tool]").forEach((tool) => tool.addEventListener("change", () => { left(); pictures.tool(tool.value); }));

/** What another annotator, or another tab, has done to the date that is shown. */
function changed({ changed: line, by, version }) {
  const { site, subject } = now;
  if (queue.waiting || line <= Math.max(site.seen[subject] ?? version, site.own[subject] ?? 0)) return;
  const who = by === element("by").value ? `${by}, in another tab,` : by;
  say(`${who} has changed ${titled(subject)}: it is shown as it is now.`);
}

// What another annotator saves is shown within seconds. A page of an earlier start has nobody to ask any more.
async function look() {
  const { site } = now;
  if (!site || document.hidden || queue.waiting) return;
  try {
    const { version, marks } = await ask(`${base(site)}/state`);
    if (site !== now.site || queue.waiting) return;
    site.marks = marks;
    if (element("said").textContent === SILENT) {
      say("");
      show();
    }
    if (version !== now.version || !now.loaded) await showLabel(changed);
  } catch (error) {
    say(error.message);
    if (error.message === EARLIER) clearInterval(looking);
  }
}
const looking = setInterval(look, 3000);
follow(() => now.site?.id, () => ask("sites").then(() => false, (error) => error.message === EARLIER));

try {
  const sites = await ask("sites");
  const title = ({ label, country, begun }) => `${begun ? "● " : ""}${country ? `${label}, ${country}` : label}`;
  options("site", sites.map(({ id }) => id), sites[0].id, sites.map(title));
  const { site, date } = place.read();
  const known = sites.some(({ id }) => id === site);
  await openSite(known ? site : sites[0].id, known ? date : undefined, false);
  if (site && location.hash && !known) say(`There is no site ${site} here: this is the first one.`);
  announce(sites.map(({ id }) => id));
} catch (error) {
  say(error.message);
}
