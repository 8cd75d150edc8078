// A page of an earlier start goes on at the address of a later one, as soon as that is open in this browser.
// Only a page of the same host and port can say that address, and hearing it tells nobody anything.

const starts = new BroadcastChannel("minebench-studio");

/** Say where this start is, and which sites it has. */
export const announce = (sites) => starts.postMessage({ path: location.pathname, sites });

/** Go where a later start is that has the site which is shown; `isOver` tells whether this one has ended. */
export function follow(site, isOver) {
  starts.onmessage = async ({ data: { path, sites } }) => {
    if (path === location.pathname || !sites.includes(site()) || !(await isOver())) return;
    location.replace(path + location.hash);
  };
}
