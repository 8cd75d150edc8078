// What lies over an image: each overlay reads the masks it needs and gives RGBA, and says its colours.
// The colours are Okabe and Ito's, which colour-blind people tell apart.

import { viridis } from "./looks.js";
import { read } from "./pixels.js";

const ORANGE = [230, 159, 0], SKY = [86, 180, 233], GREEN = [0, 158, 115], VERMILION = [213, 94, 0];
const BLUE = [0, 114, 178], PURPLE = [204, 121, 167], YELLOW = [240, 228, 66], GREY = [128, 128, 128];
const UNKNOWN = 255;

/** Overlays by key: title, the colours of its legend, and `paint(view)`, a promise of RGBA. */
export const OVERLAYS = {
  none: { title: "Nothing", legend: () => [], paint: null },
  footprint: {
    title: "Footprint of the later date",
    legend: () => [["mine footprint", ORANGE], ["unknown", GREY]],
    async paint(view) {
      const [mine] = await view.masks(view.after, "mine.tif");
      return each(mine.length, (i) => (mine[i] === 1 ? [ORANGE, 130] : mine[i] === UNKNOWN ? [GREY, 110] : null));
    },
  },
  change: {
    title: "Change between the dates",
    legend: (view) => (view.drawn ? [["changed", VERMILION], ["unknown", GREY]] : [["expanded", VERMILION], ["reduced", SKY], ["unknown", GREY]]),
    async paint(view) {
      if (view.drawn) return drawnChange(view);
      const [before, after] = await both(view);
      return each(before.length, (i) => {
        if (before[i] === UNKNOWN || after[i] === UNKNOWN) return [GREY, 110];
        return before[i] === after[i] ? null : [after[i] === 1 ? VERMILION : SKY, 200];
      });
    },
  },
  prediction: {
    title: "Predicted change: hits and misses",
    legend: (view) => [["hit", GREEN], ["false alarm", VERMILION], ["missed", BLUE], ["change, not labelled", YELLOW], [`${view.run} says nothing`, GREY]],
    async paint(view) {
      const [truth, said] = [await changeOf(view), await predicted(view, view.run)];
      return each(said.length, (i) => {
        if (said[i] === UNKNOWN) return [GREY, 110];
        const label = truth ? truth[i] : UNKNOWN;
        const changed = label === 1;
        if (label === UNKNOWN) return said[i] ? [YELLOW, 160] : null;
        if (said[i]) return [changed ? GREEN : VERMILION, 190];
        return changed ? [BLUE, 190] : null;
      });
    },
  },
  difference: {
    title: "Difference between two runs",
    legend: (view) => [["both", GREEN], [`${view.run} alone`, PURPLE], [`${view.other} alone`, SKY]],
    async paint(view) {
      const [one, two] = [await predicted(view, view.run), await predicted(view, view.other)];
      return each(one.length, (i) => {
        const [a, b] = [one[i] === 1, two[i] === 1];
        return a && b ? [GREEN, 190] : a ? [PURPLE, 200] : b ? [SKY, 200] : null;
      });
    },
  },
  clear: {
    title: "Clear observations of the later date",
    legend: (view) => [["none", [0, 0, 0]], ["1", viridis(1 / most(view))], [`${most(view)}`, viridis(1)]],
    async paint(view) {
      const [clear] = await view.masks(view.after, "clear.tif");
      const highest = most(view);
      return each(clear.length, (i) => [clear[i] ? viridis(clear[i] / highest) : [0, 0, 0], 190]);
    },
  },
  when: {
    title: "When each pixel first changed",
    legend: (view) => view.intervals.map((name, i) => [name, viridis((i + 1) / view.intervals.length)]),
    async paint(view) {
      const [first] = await view.activity("when.tif");
      return each(first.length, (i) => {
        if (first[i] === 65535) return [GREY, 110];
        return first[i] ? [viridis(first[i] / view.intervals.length), 220] : null;
      });
    },
  },
};

function most(view) {
  return Math.max(1, view.image(view.after).most_clear);
}

/** Footprints of both dates, unknown where nothing clear was seen. */
function both(view) {
  return Promise.all([view.before, view.after].map(async (date) => {
    const [[mine], [clear]] = await Promise.all([view.masks(date, "mine.tif"), view.masks(date, "clear.tif")]);
    return mine.map((value, i) => (clear[i] ? value : UNKNOWN));
  }));
}

/** Change as it was labelled for just these two dates. */
async function drawnChange(view) {
  const label = await changeOf(view);
  if (!label) throw new Error(`Change from ${view.before} to ${view.after} was not labelled on this site.`);
  return each(label.length, (i) => (label[i] === 1 ? [VERMILION, 200] : label[i] === UNKNOWN ? [GREY, 110] : null));
}

/** The label of change of the two dates: 1, 0, or 255 unknown; null where these two have none. */
async function changeOf(view) {
  if (view.drawn) {
    const name = `change_${view.before}.tif`;
    return view.image(view.after).files.includes(name) ? (await view.masks(view.after, name))[0] : null;
  }
  const [before, after] = await both(view);
  return before.map((value, i) => (value === UNKNOWN || after[i] === UNKNOWN ? UNKNOWN : Number(value !== after[i])));
}

/** A run's decision about the two dates: 1, 0, or 255 where it says nothing. */
async function predicted(view, run) {
  const threshold = view.threshold(run) * 100;
  const names = view.site.predictions[run] ?? [];
  const pair = `${view.before}_${view.after}`;
  if (names.includes(pair)) {
    const [percent] = await view.prediction(run, pair);
    return percent.map((value) => (value === UNKNOWN ? UNKNOWN : value >= threshold ? 1 : 0));
  }
  if (names.includes(view.before) && names.includes(view.after)) {
    const [first, last] = await Promise.all([view.before, view.after].map(async (d) => (await view.prediction(run, d))[0]));
    return first.map((value, i) => {
      if (value === UNKNOWN || last[i] === UNKNOWN) return UNKNOWN;
      return Math.abs(value - last[i]) >= threshold ? 1 : 0;
    });
  }
  throw new Error(`${run} was not applied to ${view.before} and ${view.after} of this site: minebench predict --pairs all.`);
}

function each(count, of) {
  const rgba = new Uint8ClampedArray(4 * count);
  for (let i = 0; i < count; i++) {
    const found = of(i);
    if (found) rgba.set([...found[0], found[1]], 4 * i);
  }
  return rgba;
}
