// All sites: a map, filters, and a table that sorts.

import * as address from "./address.js";
import { choice, json, make, number } from "./elements.js";

const COLOURS = { train: "#0072b2", val: "#e69f00", test: "#d55e00", mixed: "#cc79a7" };
const OTHER = "#8a8f98";
const HEADS = {
  name: "Site", country: "Country", production: "Production", split: "Split", images: "Images",
  footprint_km2: "Footprint, km²", changed_km2: "Changed, km²",
};
const A_PAGE = 100;
const FEW = 500;
const ORDER = new Intl.Collator("en", { numeric: true });

export async function overview(place, benchmark, asked) {
  const [table, land] = await Promise.all([
    json(`${benchmark.data}/viewer/sites.json`), json(`${benchmark.data}/viewer/countries.json`),
  ]);
  const sites = table.rows.map((row) => Object.fromEntries(table.columns.map((name, i) => [name, row[i]])));
  return new Overview(place, benchmark, table.columns, sites, land, asked);
}

class Overview {
  constructor(place, benchmark, columns, sites, land, asked) {
    Object.assign(this, { place, benchmark, sites, page: 0 });
    this.scores = columns.filter((name) => name.startsWith("F1 "));
    this.view = { q: "", country: "", production: "", split: "", run: this.scores[0], least: "", sort: "name", down: "", ...asked };
    this.filters = make("form", { class: "controls", role: "search", onsubmit: (event) => event.preventDefault() });
    this.count = make("p", { class: "soft", role: "status" });
    this.target = make("div", { class: "map world", tabindex: 0, role: "application", "aria-label": "Map of all sites; the table below lists them" });
    this.table = make("div", { class: "wide", tabindex: 0, role: "region", "aria-label": "Table of sites" });
    const legend = Object.entries(COLOURS).filter(([split]) => sites.some((site) => site.split === split));
    place.replaceChildren(
      this.filters, this.count, this.target,
      make("ul", { class: "legend", "aria-label": "Legend" }, ...legend.map(([split, colour]) => make("li", {}, make("i", { style: `background: ${colour}` }), split))),
      this.table,
    );
    this.drawFilters();
    this.drawMap(land);
    this.set({});
  }

  drawFilters() {
    const values = (key) => [["", "all"], ...[...new Set(this.sites.map((site) => site[key]).filter(Boolean))].sort().map((v) => [v, v])];
    const select = (label, key) => choice(label, values(key), this.view[key], (value) => this.set({ [key]: value, page: 0 }));
    const search = make("input", { type: "search", value: this.view.q, oninput: () => this.set({ q: search.value }) });
    const least = make("input", { type: "number", min: 0, max: 1, step: 0.05, value: this.view.least, oninput: () => this.set({ least: least.value }) });
    const base = make("input", { type: "checkbox", onchange: () => this.tiles.setVisible(base.checked) });
    this.filters.append(
      make("label", {}, make("span", {}, "Name"), search),
      select("Country", "country"), select("Production", "production"), select("Split", "split"),
      ...(this.scores.length ? [
        choice("Score", this.scores.map((name) => [name, name]), this.view.run, (run) => this.set({ run })),
        make("label", {}, make("span", {}, "of at least (0 to 1)"), least),
      ] : []),
      make("label", { class: "check" }, base, make("span", {}, "base map (from openstreetmap.org)")),
    );
  }

  drawMap(land) {
    const format = new ol.format.GeoJSON({ featureProjection: "EPSG:3857" });
    const quiet = new ol.style.Style({ fill: new ol.style.Fill({ color: "#8a8f9833" }), stroke: new ol.style.Stroke({ color: "#8a8f9866" }) });
    const marks = new Map();
    const mark = (split) => {
      if (!marks.has(split)) {
        const [fill, stroke] = [new ol.style.Fill({ color: COLOURS[split] ?? OTHER }), new ol.style.Stroke({ color: "#fff" })];
        marks.set(split, new ol.style.Style({ image: new ol.style.Circle({ radius: this.sites.length > FEW ? 3.5 : 6, fill, stroke }) }));
      }
      return marks.get(split);
    };
    this.points = new ol.source.Vector({ wrapX: false });
    // Tiles come from elsewhere, and only when asked for.
    this.tiles = new ol.layer.Tile({ source: new ol.source.OSM(), visible: false });
    this.map = new ol.Map({
      target: this.target,
      layers: [
        this.tiles,
        new ol.layer.Vector({ source: new ol.source.Vector({ features: format.readFeatures(land), wrapX: false, attributions: "Made with Natural Earth" }), style: quiet }),
        new ol.layer.Vector({ source: this.points, style: (feature) => mark(feature.get("split")) }),
      ],
      view: new ol.View({ center: [0, 2e6], zoom: 1, maxZoom: 16, multiWorld: true }),
    });
    const name = make("div", { class: "tip" });
    const tip = new ol.Overlay({ element: name, offset: [10, 0], stopEvent: false });
    this.map.addOverlay(tip);
    const under = (event) => this.map.forEachFeatureAtPixel(event.pixel, (f) => (f.get("id") ? f : undefined), { hitTolerance: 4 });
    this.map.on("pointermove", (event) => {
      const feature = under(event);
      name.textContent = feature ? feature.get("name") : "";
      tip.setPosition(feature ? event.coordinate : undefined);
      this.target.style.cursor = feature ? "pointer" : "";
    });
    this.map.on("click", (event) => {
      const feature = under(event);
      if (feature) address.write({ site: feature.get("id") }, true);
    });
  }

  /** Change filters, order or page, and all that shows them. */
  set(change) {
    const { page = 0, ...view } = change;
    this.page = page;
    Object.assign(this.view, view);
    const { q, country, production, split, run, least, sort, down } = this.view;
    const words = q.trim().toLowerCase();
    this.shown = this.sites.filter((site) =>
      (!words || `${site.name} ${site.id}`.toLowerCase().includes(words)) && (!country || site.country === country) &&
      (!production || site.production === production) && (!split || site.split === split) &&
      (least === "" || (site[run] ?? -1) >= Number(least)));
    const way = down ? -1 : 1;
    const blank = (value) => value === null || value === undefined;
    this.shown.sort((a, b) => {
      const [one, two] = [a[sort], b[sort]];
      if (blank(one) || blank(two)) return blank(one) - blank(two);
      return way * (typeof one === "number" ? one - two : ORDER.compare(one, two));
    });
    this.drawPoints();
    this.drawTable();
    const { run: score, ...kept } = this.view;
    address.write({ ...kept, ...(this.view.least ? { run: score } : {}), sort: sort === "name" ? "" : sort });
  }

  drawPoints() {
    const placed = this.shown.filter((site) => site.lon !== null);
    this.points.clear();
    this.points.addFeatures(placed.map((site) => new ol.Feature({
      geometry: new ol.geom.Point(ol.proj.fromLonLat([site.lon, site.lat])), id: site.id, name: site.name, split: site.split,
    })));
    if (placed.length && !this.fitted) {
      this.fitted = true;
      this.map.getView().fit(this.points.getExtent(), { padding: [30, 30, 30, 30], maxZoom: 6 });
    }
  }

  drawTable() {
    const heads = Object.entries({ ...HEADS, ...Object.fromEntries(this.scores.map((name) => [name, name])) });
    const start = A_PAGE * this.page;
    const part = this.shown.slice(start, start + A_PAGE);
    const { sort, down } = this.view;
    const head = heads.map(([key, text]) => make("th", { scope: "col", "aria-sort": key === sort ? (down ? "descending" : "ascending") : undefined },
      make("button", { type: "button", onclick: () => this.set({ sort: key, down: key === sort && !down ? "1" : "" }) }, text)));
    const cell = (site, key) => {
      if (key === "name") return make("th", { scope: "row" }, make("a", { href: address.link({ site: site.id }) }, site.name));
      const value = site[key];
      if (typeof value !== "number") return make("td", {}, value ?? "–");
      return make("td", { class: "number" }, number(value, key === "images" ? 0 : 3));
    };
    const turn = (text, page, possible) => make("button", { type: "button", disabled: !possible, onclick: () => this.set({ page }) }, text);
    this.count.textContent = `${number(this.shown.length)} of ${number(this.sites.length)} sites`;
    this.table.replaceChildren(
      make("table", {}, make("thead", {}, make("tr", {}, ...head)),
        make("tbody", {}, ...part.map((site) => make("tr", {}, ...heads.map(([key]) => cell(site, key)))))),
      ...(this.shown.length > A_PAGE ? [make("p", { class: "pages" }, turn("Previous", this.page - 1, this.page > 0),
        ` ${number(start + 1)} to ${number(start + part.length)} `, turn("Next", this.page + 1, start + A_PAGE < this.shown.length))] : []),
    );
  }

  dispose() {
    this.map.setTarget(undefined);
  }
}
