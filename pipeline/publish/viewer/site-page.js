// The page of one site: what is looked at, the controls for it, and what stands beside the map.

import * as address from "./address.js";
import { choice, json, make, number, say } from "./elements.js";
import { looksOf } from "./looks.js";
import { OVERLAYS } from "./overlays.js";
import { SiteMap } from "./site-map.js";
import { timeline } from "./timeline.js";

const MODES = [["swipe", "Swipe"], ["side", "Side by side"], ["one", "Later date alone"]];
const NAMES = {
  "visual.tif": "true colour", "reflectance.tif": "all bands", "mine.tif": "footprint mask", "clear.tif": "clear count",
  "footprint.geojson": "outline", "preview.png": "picture",
};

export async function sitePage(place, benchmark, asked) {
  const site = await json(`${benchmark.data}/viewer/sites/${encodeURIComponent(asked.site)}.json`).catch(() => {
    throw new Error(`There is no site ${asked.site} in this benchmark: choose one from the list of all sites.`);
  });
  return new SitePage(place, benchmark, site, asked);
}

class SitePage {
  constructor(place, benchmark, site, asked) {
    Object.assign(this, { place, benchmark, site, dates: site.images.map((image) => image.period) });
    this.applied = Object.keys(site.predictions);
    this.sources = Object.keys(site.activity);
    this.drawn = benchmark.kind === "change";
    this.labelled = site.images.some((image) => image.footprint_km2 !== null || image.files.some((name) => name.startsWith("change_")));
    this.view = this.begun(asked);
    this.draw(Number(asked.swipe ?? 0.5));
    if (asked.x !== undefined) this.map.goTo(asked);
    this.map.look.on("change", () => this.remember());
    this.keys = (event) => this.pressed(event);
    document.addEventListener("keydown", this.keys);
    this.set({});
  }

  /** The view that the address asks for, as far as the site has it. */
  begun(asked) {
    const one = (value, known, otherwise) => (known.includes(value) ? value : otherwise);
    const { dates, applied, sources } = this;
    const looks = looksOf(this.benchmark, this.site.images[0].files).map(([key]) => key);
    return {
      before: one(asked.before, dates, dates[0]),
      after: one(asked.after, dates, dates[dates.length - 1]),
      mode: one(asked.mode, MODES.map(([key]) => key), dates.length > 1 ? "swipe" : "one"),
      look: one(asked.look, looks, looks[0]),
      over: one(asked.over, this.overlays().map(([key]) => key), this.labelled ? "change" : this.applied.length ? "prediction" : "none"),
      run: one(asked.run, applied, applied[0]),
      other: one(asked.other, applied, applied[1] ?? applied[0]),
      source: one(asked.source, sources, sources.includes("labels") ? "labels" : sources[0]),
      threshold: (run) => this.benchmark.runs.find(({ name }) => name === run)?.threshold ?? 0.5,
    };
  }

  overlays() {
    const can = {
      footprint: this.labelled && !this.drawn, change: this.labelled,
      prediction: this.applied.length > 0, difference: this.applied.length > 1, when: this.sources.length > 0,
    };
    return Object.entries(OVERLAYS).filter(([key]) => can[key] ?? true).map(([key, { title }]) => [key, title]);
  }

  draw(swipe) {
    const { site, benchmark } = this;
    const left = make("div", { class: "map", tabindex: 0, role: "application", "aria-label": "Map of the site; arrow keys move, plus and minus zoom" });
    const right = make("div", { class: "map", tabindex: 0, role: "application", "aria-label": "Map of the earlier date" });
    this.bar = make("input", {
      type: "range", min: 0, max: 1, step: 0.01, value: swipe, class: "swipe", "aria-label": "Swipe between the dates",
      oninput: () => { this.map.setSwipe(Number(this.bar.value)); this.line.style.left = `${100 * this.bar.value}%`; this.remember(); },
    });
    this.line = make("div", { class: "swipe-line", style: `left: ${100 * swipe}%`, "aria-hidden": "true" });
    this.names = { left: make("b", { class: "date-name left" }), right: make("b", { class: "date-name right" }), second: make("b", { class: "date-name left" }) };
    this.frames = {
      main: make("div", { class: "frame" }, left, this.line, this.names.left, this.names.right),
      second: make("div", { class: "frame" }, right, this.names.second),
    };
    this.controls = make("div", { class: "controls" });
    this.legend = make("ul", { class: "legend", "aria-label": "Legend" });
    this.strip = make("div", { class: "strip", role: "group", "aria-label": "All dates" });
    this.chart = make("div", { class: "chart" });
    this.beside = make("div", { class: "beside" });
    this.place.replaceChildren(
      make("p", { class: "soft" }, make("a", { href: "#" }, "All sites"), ` / ${[site.country, site.production, site.split && `split ${site.split}`].filter(Boolean).join(", ")}`),
      make("h2", {}, site.name),
      this.controls,
      make("div", { class: "maps" }, this.frames.second, this.frames.main),
      this.bar, this.legend, this.strip, this.chart, this.beside,
    );
    const stac = `${benchmark.stac}/${site.id}`;
    this.map = new SiteMap(left, right, benchmark, site, this.withIntervals(), {
      image: (date) => `${stac}/${date}`,
      prediction: (run, name) => `${benchmark.data}/predictions/${run}/${site.id}/${name}.tif`,
      activity: (name) => `${benchmark.data}/activity/${site.id}/${this.view.source}/${name}`,
    });
    this.map.setSwipe(swipe);
  }

  withIntervals() {
    const rows = this.site.activity[this.view.source] ?? [];
    return { ...this.view, drawn: this.drawn, intervals: rows.map((row) => `${row.t1} to ${row.t2}`) };
  }

  /** Change the view, and all that shows it. */
  set(change) {
    Object.assign(this.view, change);
    say("");
    this.map.show(this.withIntervals());
    this.drawControls();
    this.drawDates();
    this.drawBeside();
    this.remember();
  }

  remember() {
    const { threshold, ...view } = this.view;
    address.write({ site: this.site.id, ...view, swipe: this.bar.value, ...this.map.place() });
  }

  drawControls() {
    const { view } = this;
    const select = (label, key, options) => choice(label, options, view[key], (value) => this.set({ [key]: value }));
    const named = (list) => list.map((name) => [name, name]);
    const slider = (label, key) => make("label", {}, make("span", {}, `${label} ${view[key]}`), make("input", {
      type: "range", min: 0, max: this.dates.length - 1, step: 1, value: this.dates.indexOf(view[key]), name: key,
      "aria-valuetext": view[key], onchange: (event) => this.set({ [key]: this.dates[event.target.value] }),
    }));
    const had = document.activeElement?.name ?? document.activeElement?.dataset?.name;
    const runs = ["prediction", "difference"].includes(view.over);
    this.controls.replaceChildren(
      ...[
        slider("Earlier:", "before"), slider("Later:", "after"), select("Layout", "mode", MODES),
        select("Colours", "look", looksOf(this.benchmark, this.site.images[0].files)), select("Overlay", "over", this.overlays()),
        runs ? select("Run", "run", named(this.applied)) : null,
        view.over === "difference" ? select("Other run", "other", named(this.applied)) : null,
        this.sources.length ? select("Activity by", "source", named(this.sources)) : null,
      ].filter(Boolean),
    );
    this.controls.querySelectorAll("select").forEach((element, i) => { element.name ||= `choice${i}`; });
    if (had) this.controls.querySelector(`[name="${had}"]`)?.focus();
    const rows = OVERLAYS[view.over].legend({ ...this.withIntervals(), image: (date) => this.image(date) });
    this.legend.replaceChildren(...rows.map(([text, [r, g, b]]) =>
      make("li", {}, make("i", { style: `background: rgb(${r}, ${g}, ${b})` }), text)));
  }

  image(date) {
    return this.site.images.find((image) => image.period === date);
  }

  drawDates() {
    const { view } = this;
    const stac = `${this.benchmark.stac}/${this.site.id}`;
    this.frames.second.hidden = view.mode !== "side";
    this.bar.hidden = this.line.hidden = view.mode !== "swipe";
    this.names.left.textContent = view.mode === "swipe" ? view.before : "";
    this.names.right.textContent = view.after;
    this.names.second.textContent = view.before;
    this.strip.replaceChildren(...this.site.images.map((image) => make("button", {
      type: "button", class: image.period === view.after ? "after" : image.period === view.before ? "before" : "",
      "aria-pressed": String(image.period === view.after), title: "Show as the later date; with Shift as the earlier one",
      onclick: (event) => this.set(event.shiftKey ? { before: image.period } : { after: image.period }),
    }, image.files.includes("thumbnail.png") ? make("img", { src: `${stac}/${image.period}/thumbnail.png`, alt: "", loading: "lazy" }) : null, image.period)));
    if (!this.labelled && !this.sources.length) return;
    this.chart.replaceChildren(
      make("p", { class: "keys" }, make("span", { class: "footprint" }, "footprint"), " ",
        make("span", { class: "changed" }, `changed in an interval, by ${view.source ?? "labels"}`), " ", make("span", { class: "activity" }, "NDTCI")),
      timeline(this.site, view.source, view, (date) => this.set({ after: date })),
    );
  }

  drawBeside() {
    const { view, site, benchmark } = this;
    const stac = `${benchmark.stac}/${site.id}`;
    const image = this.image(view.after);
    const days = new Set(image.scenes.map((scene) => scene.day));
    const open = this.beside.querySelector("details")?.open ?? false;
    const head = ["Scene", "Day", "Clear", "Shift, m", "Corrected"];
    const rows = image.scenes.map((scene) => [
      scene.scene_id, scene.day, scene.clear === null ? "–" : `${Math.round(100 * scene.clear)} %`,
      scene.dx === null ? "–" : `${number(scene.dx, 1)} east, ${number(scene.dy, 1)} north`, scene.corrected ? "yes" : "no",
    ]);
    const files = image.files.filter((name) => name in NAMES);
    const item = image.files.find((name) => name.endsWith(".json"));
    this.beside.replaceChildren(
      make("dl", {}, ...[
        ["Start of production", site.production_start ?? "unknown"],
        ["Footprint", image.footprint_km2 === null ? "unknown" : `${number(image.footprint_km2, 3)} km²`], ["Seen clearly", `${number(100 * image.clear, 1)} %`],
        ["Made of", `${image.scenes.length} ${image.scenes.length === 1 ? "scene" : "scenes"} of ${days.size} ${days.size === 1 ? "day" : "days"}`],
      ].flatMap(([term, text]) => [make("dt", {}, term), make("dd", {}, text)])),
      make("details", { open }, make("summary", {}, `What the image of ${view.after} was made of`),
        make("div", { class: "wide", tabindex: 0, role: "region", "aria-label": "Scenes" }, make("table", {}, make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { scope: "col" }, text)))),
          make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((text) => make("td", {}, text)))))))),
      make("p", { class: "downloads" }, `Download ${view.after}: `, ...files.flatMap((name) => [make("a", { href: `${stac}/${view.after}/${name}`, download: `${site.id}_${view.after}_${name}` }, NAMES[name]), " "]),
        make("a", { href: `${stac}/${view.after}/${item}` }, "STAC item"), " ", make("a", { href: `${stac}/collection.json` }, "STAC collection")),
      make("p", { class: "soft" }, "Keys: left and right change the later date, with Shift the earlier one; O goes through the overlays."),
    );
  }

  pressed(event) {
    if (event.target.closest("input, select, .map") || event.ctrlKey || event.altKey || event.metaKey) return;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) {
      const key = event.shiftKey ? "before" : "after";
      const next = this.dates[this.dates.indexOf(this.view[key]) + step];
      if (next) this.set({ [key]: next });
    } else if (event.key.toLowerCase() === "o") {
      const keys = this.overlays().map(([key]) => key);
      this.set({ over: keys[(keys.indexOf(this.view.over) + 1) % keys.length] });
    } else return;
    event.preventDefault();
  }

  dispose() {
    document.removeEventListener("keydown", this.keys);
    this.map.dispose();
  }
}
