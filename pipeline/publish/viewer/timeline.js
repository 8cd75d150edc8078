// Footprint area, changed area and activity of a site over time; the dates are buttons of the slider. A line
// stands at the beginning of the year in which production began, where the mine list says it.

import { number, svg } from "./elements.js";

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [640, 190, 52, 52, 14, 30];

/** A chart of `site`: bars of changed area, lines of footprint and NDTCI of a source of change. */
export function timeline(site, source, view, onpick) {
  const labels = site.images.map((image) => image.period);
  const intervals = site.activity[source] ?? [];
  const x = (i) => LEFT + ((WIDTH - LEFT - RIGHT) * i) / Math.max(labels.length - 1, 1);
  const changed = intervals.map((row) => row.changed_m2 / 1e6);
  const footprint = site.images.map((image) => image.footprint_km2);
  const highest = Math.max(...footprint.filter((v) => v !== null), 1e-6);
  const most = Math.max(...changed, 1e-6);
  const y = (value, top) => HEIGHT - BOTTOM - ((HEIGHT - TOP - BOTTOM) * value) / top;
  const chart = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "timeline" });
  chart.append(svg("title", {}, described(site, source, intervals)));
  intervals.forEach((row, k) => {
    const [from, to] = [x(labels.indexOf(row.t1)), x(labels.indexOf(row.t2))];
    const [top, gap] = [y(changed[k], most), Math.min(6, (to - from) / 6)];
    chart.append(svg("rect", {
      x: from + gap, y: top, width: Math.max(to - from - 2 * gap, 1), height: HEIGHT - BOTTOM - top, class: "changed",
    }));
  });
  const points = (values, place) => values.map((v, i) => (v === null ? null : place(v, i))).filter(Boolean).join(" ");
  chart.append(svg("polyline", { points: points(footprint, (v, i) => `${x(i)},${y(v, highest)}`), class: "footprint" }));
  const middle = (row) => (x(labels.indexOf(row.t1)) + x(labels.indexOf(row.t2))) / 2;
  const active = intervals.map((row) => row.ndtci);
  const bound = Math.max(...active.map((v) => Math.abs(v ?? 0)), 1e-6);
  const index = (v) => y((v / bound + 1) / 2, 1);
  chart.append(svg("polyline", { points: points(active, (v, i) => `${middle(intervals[i])},${index(v)}`), class: "activity" }));
  chart.append(
    svg("text", { x: 4, y: 12, class: "footprint" }, `${number(highest)} km²`),
    svg("text", { x: WIDTH - 4, y: 12, class: "changed", "text-anchor": "end" }, `${number(most, 3)} km²`),
  );
  const step = Math.ceil(labels.length / 12);
  labels.forEach((label, i) => {
    const chosen = label === view.after ? " after" : label === view.before ? " before" : "";
    const mark = svg("g", { class: `date${chosen}` });
    mark.append(svg("line", { x1: x(i), x2: x(i), y1: TOP, y2: HEIGHT - BOTTOM }));
    if (i % step === 0 || chosen) mark.append(svg("text", { x: x(i), y: HEIGHT - 10, "text-anchor": "middle" }, label));
    mark.addEventListener("click", () => onpick(label));
    chart.append(mark);
  });
  const start = startPlace(site.production_start, labels);
  if (start !== null) {
    const text = { x: x(start), y: 10, class: "start", "text-anchor": start > (labels.length - 1) / 2 ? "end" : "start" };
    chart.append(
      svg("line", { x1: x(start), x2: x(start), y1: TOP, y2: HEIGHT - BOTTOM, class: "start" }),
      svg("text", text, `production from ${site.production_start}`),
    );
  }
  return chart;
}

/** Where the beginning of a year lies among dates in order, as a number that may lie between two; null where
 * it is unknown, or before the first date or after the last one, or the dates' names are no dates. */
export function startPlace(year, labels) {
  if (year === undefined) return null;
  const [start, times] = [Date.UTC(year, 0, 1), labels.map((label) => (/^\d{4}(-\d\d){0,2}$/.test(label) ? Date.parse(label) : NaN))];
  if (times.some(Number.isNaN)) return null;
  const next = times.findIndex((time) => time >= start);
  if (next === -1 || (next === 0 && times[0] > start)) return null;
  return times[next] === start ? next : next - (times[next] - start) / (times[next] - times[next - 1]);
}

function described(site, source, intervals) {
  const total = intervals.length ? intervals[intervals.length - 1].cumulative_m2 / 1e6 : 0;
  const last = site.images[site.images.length - 1];
  return `Footprint ${number(last.footprint_km2)} km² in ${last.period}; ${number(total, 3)} km² changed since ` +
    `${site.images[0].period} by ${source}. Start of production: ${site.production_start ?? "unknown"}.`;
}
