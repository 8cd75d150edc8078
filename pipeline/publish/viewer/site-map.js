// The images of a site on a map in its own projection: one date, two under a swipe, or two side by side.

import { paint } from "./looks.js";
import { OVERLAYS } from "./overlays.js";
import { read } from "./pixels.js";
import { say } from "./elements.js";

const MOST = 2048; // pixels a side of what is read for a view

/** Left, bottom, right, top of a site's grid, in its projection. */
function extentOf(site) {
  const [a, , left, , e, top] = site.transform;
  const [height, width] = site.shape;
  return [left, top + e * height, left + a * width, top];
}

function projectionOf(site) {
  return ol.proj.get(`EPSG:${site.epsg}`) ?? new ol.proj.Projection({ code: `site:${site.id}`, units: "m" });
}

/** The window of the grid that a view's extent shows, and the size it is worth reading at. */
function windowOf(site, extent, resolution) {
  const [left, , , top] = extentOf(site);
  const pixel = site.transform[0];
  const [height, width] = site.shape;
  const clamp = (value, most) => Math.min(Math.max(value, 0), most);
  const x0 = clamp(Math.floor((extent[0] - left) / pixel), width - 1);
  const x1 = clamp(Math.ceil((extent[2] - left) / pixel), width);
  const y0 = clamp(Math.floor((top - extent[3]) / pixel), height - 1);
  const y1 = clamp(Math.ceil((top - extent[1]) / pixel), height);
  const [across, down] = [Math.max(x1 - x0, 1), Math.max(y1 - y0, 1)];
  const scale = Math.min(1, pixel / resolution, MOST / across, MOST / down);
  return {
    window: [x0, y0, x0 + across, y0 + down],
    width: Math.max(1, Math.round(across * scale)),
    height: Math.max(1, Math.round(down * scale)),
    extent: [left + x0 * pixel, top - (y0 + down) * pixel, left + (x0 + across) * pixel, top - y0 * pixel],
  };
}

/** A layer of what `paints(area)` gives as RGBA for the part of the site that is looked at. */
function layerOf(site, paints) {
  const layer = new ol.layer.Image({ extent: extentOf(site) });
  // A source keeps what it has drawn: to paint again is to have a new one.
  layer.again = () => layer.setSource(sourceOf(site, paints));
  layer.again();
  return layer;
}

function sourceOf(site, paints) {
  return new ol.source.Image({
    projection: projectionOf(site),
    interpolate: false,
    loader: async (extent, resolution) => {
      const area = windowOf(site, extent, resolution);
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [area.width, area.height];
      try {
        const rgba = await paints(area);
        if (rgba) canvas.getContext("2d").putImageData(new ImageData(rgba, area.width, area.height), 0, 0);
      } catch (error) {
        say(error.message);
      }
      return { image: canvas, extent: area.extent, resolution: (area.extent[2] - area.extent[0]) / area.width };
    },
  });
}

export class SiteMap {
  /** Maps in `left` and `right`; `view` is what is looked at (site-page.js), `paths` where files lie. */
  constructor(left, right, benchmark, site, view, paths) {
    Object.assign(this, { benchmark, site, view, paths, swipe: 0.5, stretch: {} });
    const projection = projectionOf(site);
    const extent = extentOf(site);
    this.look = new ol.View({ projection, extent, showFullExtent: true, constrainOnlyCenter: true, maxZoom: 28 });
    this.layers = {
      before: layerOf(site, (area) => this.image(this.view.before, area)),
      after: layerOf(site, (area) => this.image(this.view.after, area)),
      alone: layerOf(site, (area) => this.image(this.view.before, area)),
      over: layerOf(site, (area) => this.overlay(area)),
      besides: layerOf(site, (area) => this.overlay(area)),
    };
    this.main = this.map(left, [this.layers.after, this.layers.before, this.layers.over]);
    this.second = this.map(right, [this.layers.alone, this.layers.besides]);
    this.clipBefore();
    this.look.on("change", () => this.busy());
    this.look.fit(extent, { padding: [8, 8, 8, 8] });
  }

  map(target, layers) {
    const controls = ol.control.defaults.defaults({ rotate: false }).extend([new ol.control.ScaleLine()]);
    const map = new ol.Map({ target, layers, view: this.look, controls });
    map.on("rendercomplete", () => {
      if (!this.look.getAnimating() && !this.look.getInteracting()) target.removeAttribute("aria-busy");
    });
    return map;
  }

  /** Say, to screen readers too, that the maps do not show yet what they are to show. */
  busy() {
    [this.main, this.second].forEach((map) => map.getTargetElement()?.setAttribute("aria-busy", "true"));
  }

  /** The earlier date is drawn left of the swipe alone. */
  clipBefore() {
    const { before } = this.layers;
    before.on("prerender", ({ context }) => {
      const width = context.canvas.width * this.swipe;
      context.save();
      context.beginPath();
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.rect(0, 0, width, context.canvas.height);
      context.clip();
    });
    before.on("postrender", ({ context }) => context.restore());
  }

  image(date, { window, width, height }) {
    const folder = this.paths.image(date);
    return paint(this.view.look, this.benchmark, folder, window, width, height, this.stretch);
  }

  overlay({ window, width, height }) {
    const { paint: paints } = OVERLAYS[this.view.over];
    if (!paints) return null;
    const band = (href) => read(href, window, width, height, [0]);
    return paints({
      ...this.view,
      site: this.site,
      image: (date) => this.site.images.find((image) => image.period === date),
      masks: (date, name) => band(`${this.paths.image(date)}/${name}`),
      prediction: (run, name) => band(this.paths.prediction(run, name)),
      activity: (name) => band(this.paths.activity(name)),
    });
  }

  /** Show what `view` says now; only layers that it changes are painted again. */
  show(view) {
    const old = this.view;
    this.view = view;
    const { layers } = this;
    const differs = (...names) => names.some((name) => old[name] !== view[name]);
    if (differs("look")) this.stretch = {};
    layers.before.setVisible(view.mode === "swipe");
    if (differs("look", "before")) [layers.before, layers.alone].forEach((layer) => layer.again());
    if (differs("look", "after")) layers.after.again();
    if (differs("over", "before", "after", "run", "other", "source")) {
      [layers.over, layers.besides].forEach((layer) => layer.again());
    }
    this.busy();
    [this.main, this.second].forEach((map) => { map.updateSize(); map.render(); });
  }

  setSwipe(share) {
    this.swipe = share;
    this.main.render();
  }

  place() {
    const [x, y] = this.look.getCenter();
    return { x: x.toFixed(2), y: y.toFixed(2), z: this.look.getZoom().toFixed(5) };
  }

  goTo({ x, y, z }) {
    this.look.setCenter([Number(x), Number(y)]);
    this.look.setZoom(Number(z));
  }

  dispose() {
    [this.main, this.second].forEach((map) => map.setTarget(undefined));
  }
}
