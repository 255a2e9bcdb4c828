// Dark while it is night on Maunakea, else as the browser likes it; or as somebody chose, which is
// remembered. In the head, so that no bright page flashes up first.
"use strict";

const THEMES = ["auto", "dark", "light"];
const THEME_EVERY_MS = 60_000;

function chosenTheme() {
  try {
    const theme = localStorage.getItem("theme");
    return THEMES.includes(theme) ? theme : "auto";
  } catch {
    return "auto"; // a browser that keeps nothing
  }
}

function isNight() {
  const hour = (new Date().getUTCHours() + 14) % 24; // HST
  return hour >= 18 || hour < 6;
}

function showTheme() {
  const chosen = chosenTheme();
  const theme = chosen === "auto" && isNight() ? "dark" : chosen;
  document.documentElement.dataset.theme = theme;
  const button = document.getElementById("theme");
  if (button) button.textContent = `theme: ${chosen}`;
}

function nextTheme() {
  const theme = THEMES[(THEMES.indexOf(chosenTheme()) + 1) % THEMES.length];
  try {
    localStorage.setItem("theme", theme);
  } catch {
    // It stays as it is.
  }
  showTheme();
}

showTheme();
setInterval(showTheme, THEME_EVERY_MS);
document.addEventListener("DOMContentLoaded", () => {
  const button = document.getElementById("theme");
  button.hidden = false;
  button.addEventListener("click", nextTheme);
  showTheme();
});
