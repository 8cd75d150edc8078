// The studio's page: a site's dates, the region under the pointer, and steps that the server keeps.

import { Pictures } from "./pictures.js";

const MARKS = { open: "–", labelled: "labelled", nothing: "no mine", unseen: "cannot be seen" };
const element = (id) => document.getElementById(id);
const now = { site: null, subject: null, area: 60, version: 0, since: performance.now() };
let pictures;

function say(sentence) {
  element("said").textContent = sentence ?? "";
  element("said").hidden = !sentence;
}

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("The studio does not answer: start `minebench label` again; all steps so far are saved.");
  }
  const content = await answer.json();
  if (!answer.ok) throw new Error(content.said ?? `${answer.status} ${answer.statusText}`);
  return content;
}

const base = () => `site/${now.site.id}`;
const shown = () => now.subject.split("|").at(-1);

/** A step of the annotator; the time since the last one is what it took. */
async function step(what, more = {}) {
  const seconds = Math.min((performance.now() - now.since) / 1000, 600);
  now.since = performance.now();
  const told = what === "undo" || what === "redo" ? {} : { subject: now.subject, seconds, seen: now.version };
  const body = JSON.stringify({ step: what, by: element("by").value, ...told, ...more });
  try {
    const found = await ask(`${base()}/step`, { method: "POST", body, headers: { "Content-Type": "application/json" } });
    say("");
    now.site.marks = found.marks;
    if (found.subject !== now.subject) return open(found.subject);
    return take(found);
  } catch (error) {
    const sentence = error.message;
    await open(now.subject);
    say(sentence);
  }
}

function take(label) {
  now.version = label.version;
  pictures.label(label);
  element("name").textContent = `${now.subject.replace("|", " to ")}: ${MARKS[label.mark]}, ${label.pixels.toLocaleString("en")} pixels`;
  element("proposals").replaceChildren(...label.proposals.map(proposed));
  strip();
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
  item.onmouseenter = () => pictures.point(proposal.rings);
  item.onmouseleave = () => pictures.point([]);
  return item;
}

/** Show a period (or pair); its label comes with it. */
async function open(subject) {
  now.subject = subject;
  now.preview = null;
  pictures.point([]);
  const place = now.site.subjects.indexOf(subject);
  const dates = now.site.periods;
  const pair = subject.split("|");
  const neighbours = dates.filter((date) => date !== shown());
  const nearest = pair.length > 1 ? pair[0] : dates[dates.indexOf(subject) - 1] ?? dates[1];
  options("beside", neighbours, neighbours.includes(now.beside) ? now.beside : nearest);
  show();
  for (const [name, there] of [["carry", place > 0], ["same", place > 0], ["back", place < now.site.subjects.length - 1]]) {
    document.querySelector(`[data-step=${name}]`).disabled = !there || pair.length > 1;
  }
  await showLabel();
  await offered();
  document.body.dataset.ready = subject;
}

/** The label of the date that is shown; an answer that comes when another one is shown is dropped. */
async function showLabel() {
  const { site, subject } = now;
  try {
    const label = await ask(`site/${site.id}/label?subject=${encodeURIComponent(subject)}`);
    if (site === now.site && subject === now.subject) take(label);
  } catch (error) {
    say(error.message);
  }
}

function show() {
  const look = element("look").value;
  const href = (date) => `${base()}/image/${date}.png?look=${look}`;
  pictures.show(href(shown()), href(element("beside").value));
  element("other").textContent = element("beside").value;
}

function options(id, values, chosen, titles = values) {
  element(id).replaceChildren(...values.map((value, i) => new Option(titles[i], value, false, value === chosen)));
}

function strip() {
  const look = element("look").value;
  element("strip").replaceChildren(...now.site.subjects.map((subject) => {
    const button = document.createElement("button");
    const image = new Image();
    image.src = `${base()}/image/${subject.split("|").at(-1)}.png?look=${look}`;
    image.alt = "";
    const mark = document.createElement("small");
    mark.textContent = MARKS[now.site.marks[subject]];
    button.append(image, subject.replace("|", " to "), mark);
    button.setAttribute("aria-current", subject === now.subject);
    button.onclick = () => open(subject);
    return button;
  }));
}

async function openSite(id, subject) {
  delete document.body.dataset.ready;
  try {
    now.site = await ask(`site/${id}`);
  } catch (error) {
    return say(error.message);
  }
  now.beside = null;
  element("synthetic").hidden = !now.site.synthetic;
  options("look", now.site.looks, "true", now.site.looks.map((look) => ({ true: now.site.colours, false: "SWIR, NIR, red" })[look]));
  pictures?.dispose();
  pictures = new Pictures(element("map"), element("second"), now.site, { pointed, clicked, outlined, turned });
  const open_ = now.site.subjects.find((subject) => now.site.marks[subject] === "open");
  element("model").hidden = !now.site.runs.length;
  options("run", now.site.runs, element("run").value);
  await open(subject ?? open_ ?? now.site.subjects[0]);
}

// One preview is asked for at a time, and the latest place wins.
let asking = false;
let waiting = null;
async function pointed(place) {
  waiting = now.at = place;
  if (asking) return;
  asking = true;
  while (waiting) {
    const { row, column } = waiting;
    const { site, subject } = now;
    waiting = null;
    const words = new URLSearchParams({ subject, row, column, area: now.area, stacked: element("stacked").checked });
    try {
      const found = await ask(`${base()}/preview?${words}`);
      if (site !== now.site || subject !== now.subject) continue;
      now.preview = { row, column, ...found };
      pictures.point(found.rings);
    } catch (error) {
      say(error.message);
    }
  }
  asking = false;
}

function clicked({ row, column }) {
  const at = now.preview?.row === row && now.preview?.column === column ? now.preview : { inside: 0 };
  step("click", { row, column, area: now.area, stacked: element("stacked").checked, adds: at.inside < 0.5 });
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
    if (best.site_id !== now.site.id) {
      element("site").value = best.site_id;
      return await openSite(best.site_id, best.subject);
    }
    return await open(best.subject);
  } catch (error) {
    return say(error.message);
  }
}

/** What the model would outline, as the threshold moves. */
async function offered() {
  if (!now.site?.runs.length) return;
  const words = new URLSearchParams({ subject: now.subject, run: element("run").value, threshold: element("threshold").value });
  try {
    const found = await ask(`${base()}/predicted?${words}`);
    element("predicted").textContent = `${element("threshold").value} %: ${found.pixels.toLocaleString("en")} pixels`;
    pictures.draw("model", found.rings);
  } catch (error) {
    pictures.draw("model", []);
    say(error.message);
  }
}

const KEYS = { l: "next", m: "model", c: "carry", s: "same", n: "nothing", x: "unseen", Enter: "add", Delete: "cut", Escape: "drop" };

async function drawn(adds) {
  for (const rings of pictures.taken()) await step("draw", { rings, adds });
}

document.querySelectorAll("[data-step]").forEach((button) => button.addEventListener("click", () => DO[button.dataset.step]()));
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input:not([type=radio], [type=checkbox], [type=range]), select")) return;
  const name = event.ctrlKey || event.metaKey ? { z: "undo", y: "redo" }[event.key] : KEYS[event.key];
  if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
    const next = before(event.key === "ArrowRight" ? 1 : -1);
    if (next && !event.target.closest(".map, input")) open(next);
  }
  const button = name && document.querySelector(`[data-step=${name}]`);
  if (!button || button.disabled || button.closest("[hidden]")) return;
  event.preventDefault();
  if (event.target !== button) DO[name]();
});
element("site").onchange = () => openSite(element("site").value);
element("look").onchange = () => { show(); strip(); };
element("beside").onchange = () => { now.beside = element("beside").value; show(); };
element("threshold").oninput = offered;
element("run").onchange = offered;
// Two people without a name must not be taken for one: each is told of what the other changed.
const NAME = "minebench-annotator";
const nameless = () => `annotator-${Math.random().toString(36).slice(2, 6)}`;
const named = (name) => { element("by").value = name; localStorage.setItem(NAME, name); };
named(localStorage.getItem(NAME) || nameless());
element("by").onchange = () => named(element("by").value.trim() || nameless());
document.querySelectorAll("[name=tool]").forEach((tool) => tool.addEventListener("change", () => pictures.tool(tool.value)));

// What another annotator saves is shown within seconds.
setInterval(async () => {
  if (!now.site || document.hidden) return;
  try {
    const { version, marks } = await ask(`${base()}/state`);
    now.site.marks = marks;
    if (version !== now.version) await showLabel();
  } catch (error) {
    say(error.message);
  }
}, 3000);

try {
  const sites = await ask("sites");
  const title = ({ label, country, begun }) => `${begun ? "● " : ""}${country ? `${label}, ${country}` : label}`;
  options("site", sites.map(({ id }) => id), sites[0].id, sites.map(title));
  await openSite(sites[0].id);
} catch (error) {
  say(error.message);
}
