// The filter, and moving by keys. Without this script every page is still there, by its links.
"use strict";

const FILTER_MS = 250; // after the last key
const filter = document.getElementById("filter");
let waiting = 0;

// Over all rows of a long list: the server does it, and the address says it.
function askServer() {
  const address = new URL(location.href);
  address.searchParams.set("find", filter.value);
  address.searchParams.delete("page");
  history.replaceState(null, "", address);
  refresh();
}

if (filter) {
  filter.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(askServer, FILTER_MS);
  });
}
