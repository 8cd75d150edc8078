// Reads the benchmark, and shows the page that the address names: all sites, or one.

import * as address from "./address.js";
import { json, make, say } from "./elements.js";
import { overview } from "./overview.js";
import { sitePage } from "./site-page.js";

const place = document.getElementById("page");
let page = null;
let shown = null;

function links(benchmark) {
  const { stac, data } = benchmark;
  const found = [
    [`${stac}/catalog.json`, "STAC catalog"], [`${stac}/README.md`, "dataset card"], [`${stac}/LICENCES.md`, "licences"],
    ...(benchmark.report ? [[`${data}/report/index.html`, "report"]] : []),
  ];
  return found.flatMap(([href, text]) => [make("a", { href }, text), " "]);
}

async function show(benchmark) {
  const asked = address.read();
  const wanted = asked.site ?? "";
  if (wanted === shown && page) return;
  shown = wanted;
  say("");
  page?.dispose();
  page = null;
  place.setAttribute("aria-busy", "true");
  try {
    page = await (wanted ? sitePage : overview)(place, benchmark, asked);
    document.title = wanted ? `${page.site.name} – ${benchmark.title}` : benchmark.title;
  } catch (error) {
    place.replaceChildren(make("p", {}, make("a", { href: "#" }, "All sites")));
    say(error.message);
  }
  place.removeAttribute("aria-busy");
  window.scrollTo(0, 0);
}

async function begin() {
  const where = document.querySelector('meta[name="minebench-data"]').content;
  const benchmark = await json(`${where}/viewer/benchmark.json`);
  document.getElementById("title").textContent = benchmark.title;
  document.getElementById("links").replaceChildren(...links(benchmark));
  document.getElementById("synthetic").hidden = !benchmark.synthetic;
  document.getElementById("withheld").hidden = !benchmark.withheld;
  document.getElementById("withheld").textContent = benchmark.withheld ?? "";
  await show(benchmark);
  window.addEventListener("hashchange", () => show(benchmark));
}

begin().catch((error) => say(error.message));
