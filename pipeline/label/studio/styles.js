// How outlines look. Each line and hatch is of two colours, a light and a dark one, so that it is seen on bright
// sand and on dark water; what joins and what leaves differ in hue, in hatch and in line.

const JOINS = ["#ffe100", "#1a1a00"];
const LEAVES = ["#d4001a", "#ffffff"];
const STYLES = {
  label: { line: ["#56b4e9", "#00263d"], fill: "rgba(86, 180, 233, 0.18)" },
  model: { line: ["#cc79a7", "#33001f"], fill: "rgba(204, 121, 167, 0.08)" },
  mayJoin: { line: JOINS, hatch: [JOINS, false] },
  mayLeave: { line: LEAVES, hatch: [LEAVES, true], dash: [8, 5] },
  asked: { line: ["#ffffff", "#000000"], fill: "rgba(0, 0, 0, 0)" },
  joins: { line: JOINS, hatch: [JOINS, false] },
  leaves: { line: LEAVES, hatch: [LEAVES, true], dash: [8, 5] },
  sketch: { line: ["#ffffff", "#000000"], fill: "rgba(255, 255, 255, 0.2)" },
};
/** Pixels of the screen from stripe to stripe: the ground is seen between them. */
const STEP = 22;

/** Stripes; crosses where `crossed`. */
function hatch([light, dark], crossed) {
  const tile = Object.assign(document.createElement("canvas"), { width: STEP, height: STEP });
  const context = tile.getContext("2d");
  for (const [colour, width] of [[dark, 4], [light, 1.8]]) {
    Object.assign(context, { strokeStyle: colour, lineWidth: width });
    for (const shift of [-STEP, 0, STEP]) {
      line(context, shift - 2, STEP + 2, shift + STEP + 2, -2);
      if (crossed) line(context, shift - 2, -2, shift + STEP + 2, STEP + 2);
    }
  }
  return context.createPattern(tile, "repeat");
}

function line(context, x, y, toX, toY) {
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(toX, toY);
  context.stroke();
}

function styles({ line: [light, dark], fill, hatch: stripes, dash }) {
  const ground = new ol.style.Fill({ color: stripes ? hatch(...stripes) : fill });
  return [
    new ol.style.Style({ fill: ground, stroke: new ol.style.Stroke({ color: dark, width: 4.5 }) }),
    new ol.style.Style({ stroke: new ol.style.Stroke({ color: light, width: 2, lineDash: dash }) }),
  ];
}

/** A layer for each kind of outline, from below upwards. */
export function layers() {
  return Object.fromEntries(Object.entries(STYLES).map(([name, style]) =>
    [name, new ol.layer.Vector({ source: new ol.source.Vector(), style: styles(style) })]));
}
