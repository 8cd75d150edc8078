// Two images side by side in pixels, the label and the region under the pointer over the left one.

const STYLES = {
  label: ["#56b4e9", 2, "rgba(86, 180, 233, 0.18)"],
  preview: ["#f0e442", 2, "rgba(240, 228, 66, 0.25)"],
  joins: ["#e69f00", 2, "rgba(230, 159, 0, 0.15)"],
  leaves: ["#d55e00", 2, "rgba(0, 0, 0, 0.25)"],
  model: ["#cc79a7", 2, "rgba(204, 121, 167, 0.08)"],
  sketch: ["#ffffff", 2, "rgba(255, 255, 255, 0.2)"],
};

export class Pictures {
  /** Maps in `left` and `right`; `told` is called with what the annotator points at, clicks, draws and turns. */
  constructor(left, right, site, told) {
    const [height, width] = site.shape;
    Object.assign(this, { height, width, told });
    this.extent = [0, 0, width, height];
    this.projection = new ol.proj.Projection({ code: "pixels", units: "pixels", extent: this.extent });
    this.view = new ol.View({ projection: this.projection, extent: this.extent, showFullExtent: true, constrainOnlyCenter: true, maxResolution: Math.max(width, height) / 200 });
    this.images = [this.image(), this.image()];
    this.over = Object.fromEntries(Object.entries(STYLES).map(([name, style]) => [name, layer(style)]));
    const pan = new ol.interaction.DragPan({ condition: (event) => event.originalEvent.altKey || event.originalEvent.button === 1 });
    const zoom = new ol.interaction.MouseWheelZoom({ condition: (event) => !event.originalEvent.shiftKey });
    const make = (target, layers) => new ol.Map({
      target, layers, view: this.view, controls: ol.control.defaults.defaults({ rotate: false }),
      interactions: ol.interaction.defaults.defaults({ dragPan: false, mouseWheelZoom: false, doubleClickZoom: false, altShiftDragRotate: false }).extend([pan, zoom]),
    });
    this.main = make(left, [this.images[0], ...Object.values(this.over)]);
    this.second = new ol.Map({ target: right, layers: [this.images[1]], view: this.view, controls: [] });
    this.listen(left);
    this.view.fit(this.extent, { padding: [6, 6, 6, 6] });
    this.tool("click");
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
    this.wheel = (event) => {
      if (!event.shiftKey) return;
      event.preventDefault();
      // With Shift some browsers turn the wheel sideways.
      this.told.turned((event.deltaY || event.deltaX) < 0);
    };
    target.addEventListener("wheel", this.wheel, { passive: false });
  }

  place([x, y]) {
    const [row, column] = [Math.floor(this.height - y), Math.floor(x)];
    return row >= 0 && column >= 0 && row < this.height && column < this.width ? { row, column } : null;
  }

  show(...hrefs) {
    hrefs.forEach((url, i) => this.images[i].setSource(new ol.source.ImageStatic({
      url, projection: this.projection, imageExtent: this.extent, interpolate: false,
    })));
  }

  label({ rings, proposals }) {
    this.draw("label", rings);
    this.draw("joins", proposals.filter(({ joins }) => joins).flatMap((proposal) => proposal.rings));
    this.draw("leaves", proposals.filter(({ joins }) => !joins).flatMap((proposal) => proposal.rings));
  }

  point(rings) {
    this.draw("preview", rings);
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
    this.point([]);
    const source = this.over.sketch.getSource();
    const draw = new ol.interaction.Draw({ source, type: "Polygon", freehand: kind === "freehand", condition: (event) => !event.originalEvent.altKey });
    draw.on("drawend", () => this.told.outlined(true));
    this.drawing = [new ol.interaction.Modify({ source }), draw, new ol.interaction.Snap({ source }), new ol.interaction.Snap({ source: this.over.label.getSource() })];
    this.drawing.forEach((interaction) => this.main.addInteraction(interaction));
  }

  /** The sketched outlines as lists of rings ([column, row]); they are no sketch any more. */
  taken() {
    const found = this.over.sketch.getSource().getFeatures().map((feature) =>
      feature.getGeometry().getCoordinates().map((ring) => ring.map(([x, y]) => [x, this.height - y])));
    this.drop();
    return found;
  }

  drop() {
    this.over.sketch.getSource().clear();
    this.told.outlined(false);
  }

  dispose() {
    this.main.getTargetElement().removeEventListener("wheel", this.wheel);
    [this.main, this.second].forEach((map) => map.setTarget(undefined));
  }
}

function layer([color, width, fill]) {
  const style = new ol.style.Style({ stroke: new ol.style.Stroke({ color, width }), fill: new ol.style.Fill({ color: fill }) });
  return new ol.layer.Vector({ source: new ol.source.Vector(), style });
}
