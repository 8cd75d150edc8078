// Pixels of Cloud-Optimised GeoTIFFs: only the part and the overview that a view needs.

const opened = new Map();
const KEPT = 60;

function open(href) {
  if (!opened.has(href)) {
    if (opened.size >= KEPT) opened.delete(opened.keys().next().value);
    const tiff = GeoTIFF.fromUrl(href, { allowFullFile: true });
    tiff.catch(() => opened.delete(href));
    opened.set(href, tiff);
  }
  return opened.get(href);
}

/**
 * Bands of a window [left, top, right, bottom] in pixels of the full image, read at `width` x `height`.
 * Returns one typed array a sample, row by row.
 */
export async function read(href, window, width, height, samples) {
  const tiff = await open(href).catch(() => {
    throw new Error(`${href} cannot be read.`);
  });
  return tiff.readRasters({ window, width, height, samples, resampleMethod: "nearest" });
}
