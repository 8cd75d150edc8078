// How an image is shown: true colour, false colour, an index. A look reads its bands and gives RGBA.

import { read } from "./pixels.js";

const VIRIDIS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];

/** A colour of the scale that colour-blind people read as well; `at` in 0..1. */
export function viridis(at) {
  const place = Math.min(Math.max(at, 0), 1) * (VIRIDIS.length - 1);
  const low = Math.min(Math.floor(place), VIRIDIS.length - 2);
  const part = place - low;
  return VIRIDIS[low].map((value, i) => Math.round(value + part * (VIRIDIS[low + 1][i] - value)));
}

const INDICES = {
  ndvi: { title: "NDVI (vegetation)", bands: ["nir", "red"], of: (n, r) => (n - r) / (n + r) },
  bsi: {
    title: "BSI (bare soil)", bands: ["swir16", "red", "nir", "blue"],
    of: (s, r, n, b) => (s + r - n - b) / (s + r + n + b),
  },
};

/** The looks that a benchmark's bands allow, as [key, title]; none where the images may not be passed on. */
export function looksOf(benchmark, files) {
  if (!files.includes("visual.tif")) return [["blank", "No image"]];
  const has = (roles) => files.includes("reflectance.tif") && roles.every((role) => role in benchmark.common);
  const found = [["true", benchmark.dtype === "int8" ? "Three bands" : "True colour"]];
  if (has(["swir16", "nir", "red"])) found.push(["false", "False colour (SWIR, NIR, red)"]);
  for (const [key, index] of Object.entries(INDICES)) if (has(index.bands)) found.push([key, index.title]);
  return found;
}

/** The image of a window as RGBA; `stretch` remembers each site's range, the same for all dates. */
export async function paint(look, benchmark, folder, window, width, height, stretch) {
  if (look === "blank") return null;
  if (look === "true") {
    const bands = await read(`${folder}/visual.tif`, window, width, height, [0, 1, 2]);
    // In pictures of 8 bits black is a colour: no data is black without a clear observation.
    const isPicture = benchmark.dtype === "uint8";
    const [seen] = isPicture ? await read(`${folder}/clear.tif`, window, width, height, [0]) : [null];
    return composed(bands, null, seen);
  }
  const index = INDICES[look];
  const roles = index ? index.bands : ["swir16", "nir", "red"];
  const samples = roles.map((role) => benchmark.common[role]);
  const bands = await read(`${folder}/reflectance.tif`, window, width, height, samples);
  if (index) return indexed(bands, index.of);
  stretch.range ??= ranges(bands);
  return composed(bands, stretch.range);
}

function ranges(bands) {
  return bands.map((band) => {
    const known = Array.from(band).filter((value) => value > 0).sort((a, b) => a - b);
    const at = (share) => known[Math.floor(share * (known.length - 1))] ?? 0;
    return [at(0.01), Math.max(at(0.99), at(0.01) + 1)];
  });
}

function composed(bands, range, seen = null) {
  const count = bands[0].length;
  const rgba = new Uint8ClampedArray(4 * count);
  for (let i = 0; i < count; i++) {
    for (let k = 0; k < 3; k++) {
      const value = bands[k][i];
      rgba[4 * i + k] = range ? (255 * (value - range[k][0])) / (range[k][1] - range[k][0]) : value;
    }
    rgba[4 * i + 3] = bands[0][i] || bands[1][i] || bands[2][i] || seen?.[i] ? 255 : 0;
  }
  return rgba;
}

function indexed(bands, of) {
  const count = bands[0].length;
  const rgba = new Uint8ClampedArray(4 * count);
  for (let i = 0; i < count; i++) {
    const values = bands.map((band) => band[i]);
    if (values.every((value) => value > 0)) rgba.set([...viridis((of(...values) + 1) / 2), 255], 4 * i);
  }
  return rgba;
}
