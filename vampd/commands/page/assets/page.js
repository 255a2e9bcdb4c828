// Keeps the page true while it is looked at. The server says every two seconds when the daemon was
// last heard and whether anything changed; the changed part comes as HTML that the server escaped.
"use strict";

const body = document.body;
const heard = document.getElementById("heard");
const silentSeconds = Number(body.dataset.silent);
let token = body.dataset.token;
let heardUs = Number(body.dataset.heard) || null;
let serverAheadMs = Number(body.dataset.now) / 1000 - Date.now();
let pulseMs = Date.now();
let fetching = false;
let again = false;

function say(text, isSilent) {
  if (heard.textContent !== text) heard.textContent = text;
  heard.classList.toggle("silent", isSilent);
}

function tick() {
  const lostSeconds = (Date.now() - pulseMs) / 1000;
  if (lostSeconds > 10) {
    say(`this page's server: no word for ${Math.round(lostSeconds)} s`, true);
  } else if (heardUs === null) {
    say("no daemon ever ran here", true);
  } else {
    const seconds = Math.max(0, (Date.now() + serverAheadMs) / 1000 - heardUs / 1e6);
    say(`daemon last heard ${Math.round(seconds)} s ago`, seconds > silentSeconds);
  }
}

async function refresh() {
  again = fetching;
  if (fetching) return;
  fetching = true;
  try {
    const answer = await fetch(location.href, { headers: { "x-fragment": "1" } });
    if (!answer.ok) return;
    const text = await answer.text();
    const open = [...document.querySelectorAll("details")].map((each) => each.open);
    document.getElementById("content").innerHTML = text;
    document.querySelectorAll("details").forEach((each, place) => {
      if (place < open.length) each.open = open[place];
    });
    document.dispatchEvent(new Event("refreshed"));
  } catch {
    // The pulse tells that the server is gone.
  } finally {
    fetching = false;
    if (again) refresh();
  }
}

new EventSource("/events").onmessage = (message) => {
  const pulse = JSON.parse(message.data);
  pulseMs = Date.now();
  heardUs = pulse.heard_us;
  serverAheadMs = pulse.now_us / 1000 - Date.now();
  if (String(pulse.token) !== token) {
    token = String(pulse.token);
    refresh();
  }
  tick();
};
setInterval(tick, 1000);
tick();
