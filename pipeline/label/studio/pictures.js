// Two images side by side in pixels, the label and the region under the pointer over the left one.

import { layers } from "./styles.js";

/** Pixels of the screen within which a press and its release are a click. */
const STILL = 5;

export class Pictures {
  /** Maps in `left` and `right`; `told` is called with what the annotator points at, clicks, draws and
   *  turns, and while an image loads. */
  constructor(left, right, site, told) {
    const [height, width] = site.shape;
    Object.assign(this, { height, width, told });
    this.extent = [0, 0, width, height];
    this.projection = new ol.proj.Projection({ code: "pixels", units: "pixels", extent: this.extent });
    this.view = new ol.View({ projection: this.projection, extent: this.extent, showFullExtent: true, constrainOnlyCenter: true, maxResolution: Math.max(width, height) / 200 });
    this.images = [this.image(), this.image()];
    this.hrefs = [];
    this.over = layers();
    const pan = new ol.interaction.DragPan({ condition: ({ originalEvent }) => this.pans(originalEvent) });
    const zoom = new ol.interaction.MouseWheelZoom({ condition: (event) => !event.originalEvent.shiftKey });
    const make = (target, shown) => new ol.Map({
      target, layers: shown, view: this.view, moveTolerance: STILL, controls: ol.control.defaults.defaults({ rotate: false }),
      interactions: ol.interaction.defaults.defaults({ dragPan: false, mouseWheelZoom: false, doubleClickZoom: false, altShiftDragRotate: false }).extend([pan, zoom]),
    });
    this.main = make(left, [this.images[0], ...Object.values(this.over)]);
    this.second = new ol.Map({ target: right, layers: [this.images[1]], view: this.view, controls: [] });
    this.listen(left);
    this.view.fit(this.extent, { padding: [6, 6, 6, 6] });
    this.tool("click");
  }

  /** Whether a press moves the map: it does, but where dragging draws; there with Alt or the middle button. */
  pans({ altKey, shiftKey, button }) {
    return button === 1 || (button === 0 && (altKey || (this.kind !== "freehand" && !shiftKey)));
  }

  image() {
    return new ol.layer.Image({ extent: this.extent });
  }

  listen(target) {
    this.main.on("pointermove", (event) => {
      const place = !event.dragging && this.place(event.coordinate);
      if (this.kind === "click" && place) this.told.pointed(place);
    });
    this.main.on("click", (event) => {
      const place = this.place(event.coordinate);
      if (this.kind === "click" && place && !event.originalEvent.altKey) this.told.clicked(place);
    });
    const wheel = (event) => {
      if (!event.shiftKey) return;
      event.preventDefault();
      // With Shift some browsers turn the wheel sideways.
      this.told.turned((event.deltaY || event.deltaX) < 0);
    };
    this.listening = new AbortController();
    const { signal } = this.listening;
    target.addEventListener("wheel", wheel, { passive: false, signal });
    target.addEventListener("pointerleave", () => this.told.left(), { signal });
  }

  place([x, y]) {
    const [row, column] = [Math.floor(this.height - y), Math.floor(x)];
    return row >= 0 && column >= 0 && row < this.height && column < this.width ? { row, column } : null;
  }

  show(...hrefs) {
    hrefs.forEach((href, i) => this.load(i, href));
  }

  /** Load the image of a map; nobody hears of one that is not wanted any more. */
  load(i, url) {
    if (this.hrefs[i] === url) return;
    this.hrefs[i] = url;
    const source = new ol.source.ImageStatic({ url, projection: this.projection, imageExtent: this.extent, interpolate: false });
    const ends = (failed) => () => {
      if (this.images[i].getSource() !== source) return;
      if (failed) this.hrefs[i] = null;
      this.told.loads(i, false, failed);
    };
    source.once("imageloadend", ends(false));
    source.once("imageloaderror", ends(true));
    this.told.loads(i, true);
    this.images[i].setSource(source);
  }

  label({ rings, proposals }) {
    this.draw("label", rings);
    const of = (joins) => proposals.filter((one) => one.joins === joins).flatMap((one) => one.rings);
    this.draw("mayJoin", of(true));
    this.draw("mayLeave", of(false));
  }

  /** The region under the pointer, and of it what a click takes in or out; null for none. */
  point(region) {
    this.draw("asked", region?.rings ?? []);
    this.draw("joins", region?.joins ? region.changes : []);
    this.draw("leaves", region && !region.joins ? region.changes : []);
  }

  /** Nothing is known of the date that is shown. */
  clear() {
    this.point(null);
    this.label({ rings: [], proposals: [] });
    this.draw("model", []);
  }

  /** Rings of [column, row]; a ring inside another is its hole. */
  draw(name, rings) {
    const polygon = new ol.geom.Polygon(rings.map((ring) => ring.map(([x, y]) => [x, this.height - y])));
    this.over[name].setSource(new ol.source.Vector({ features: rings.length ? [new ol.Feature(polygon)] : [] }));
  }

  /** Click regions, or draw: an outline is a sketch, its corners to be moved, until it is added or cut out. */
  tool(kind) {
    this.kind = kind;
    this.drop();
    this.drawing?.forEach((interaction) => this.main.removeInteraction(interaction));
    this.drawing = [];
    if (kind === "click") return;
    this.point(null);
    const source = this.over.sketch.getSource();
    const begins = ({ originalEvent }) => originalEvent.button === 0 && !originalEvent.altKey;
    const freehandCondition = kind === "freehand" ? (event) => event.type !== "pointerdown" || begins(event) : ol.events.condition.shiftKeyOnly;
    const draw = new ol.interaction.Draw({ source, type: "Polygon", condition: begins, freehandCondition });
    draw.on("drawend", () => this.told.outlined(true));
    this.drawing = [new ol.interaction.Modify({ source }), draw, new ol.interaction.Snap({ source }), new ol.interaction.Snap({ source: this.over.label.getSource() })];
    this.drawing.forEach((interaction) => this.main.addInteraction(interaction));
  }

  /** The sketched outlines, as features, and as lists of rings ([column, row]). */
  sketched() {
    return this.over.sketch.getSource().getFeatures().map((feature) =>
      [feature, feature.getGeometry().getCoordinates().map((ring) => ring.map(([x, y]) => [x, this.height - y]))]);
  }

  /** An outline is no sketch any more. */
  taken(feature) {
    const source = this.over.sketch.getSource();
    source.removeFeature(feature);
    this.told.outlined(source.getFeatures().length > 0);
  }

  /** Drop what was sketched, and what is being drawn. */
  drop() {
    this.drawing?.find((interaction) => interaction.abortDrawing)?.abortDrawing();
    this.over.sketch.getSource().clear();
    this.told.outlined(false);
  }

  dispose() {
    this.listening.abort();
    this.images.forEach((image) => image.setSource(null));
    [this.main, this.second].forEach((map) => map.setTarget(undefined));
  }
}
