// The address holds the site and the date: #site=...&date=2021. Reload and back return there.

const LAST = "minebench-place";

/** The place in the address; else the one where this tab was, as when a new start's address was put into it. */
export function read() {
  const words = new URLSearchParams(location.hash.slice(1) || sessionStorage.getItem(LAST) || "");
  return { site: words.get("site"), date: words.get("date") };
}

/** Put a place into the address; with `enters` back leads to the one before. */
export function write(site, date, enters) {
  const hash = `#${new URLSearchParams({ site, date })}`;
  sessionStorage.setItem(LAST, hash.slice(1));
  if (hash !== location.hash) history[enters ? "pushState" : "replaceState"](null, "", hash);
}
