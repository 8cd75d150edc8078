// The address bar holds the whole view, so that a link restores it: #site=...&before=2018&after=2024

export function read() {
  return Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
}

/** Put a view into the address; without `enter` the browser's history keeps one entry. */
export function write(view, enter = false) {
  const kept = Object.entries(view).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const hash = "#" + new URLSearchParams(kept);
  if (hash === location.hash) return;
  if (enter) location.hash = hash;
  else history.replaceState(null, "", hash);
}

export function link(view) {
  return "#" + new URLSearchParams(view);
}
