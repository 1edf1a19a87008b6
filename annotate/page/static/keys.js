// One key, one label: a key presses the button, or ticks the box, that bears it. Nothing is pressed while an answer is on its way.
"use strict";
let waiting = false;

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || waiting) return;
  if (event.target.closest("input:not([type=hidden]):not([type=checkbox]), textarea, select")) return;
  if (event.key === "Enter" && event.target.closest("button, a, summary")) return;
  const button = [...document.querySelectorAll("[data-key]")].find((one) => one.dataset.key === event.key.toLowerCase());
  if (!button || button.disabled) return;
  event.preventDefault();
  button.click();
}

function tell(message) {
  const trouble = document.getElementById("trouble");
  if (!trouble) return;
  trouble.textContent = message;
  trouble.hidden = !message;
}

document.addEventListener("keydown", pressed);
document.addEventListener("htmx:beforeRequest", () => { waiting = true; });
document.addEventListener("htmx:afterRequest", () => { waiting = false; });
document.addEventListener("htmx:sendError", () => tell("Not kept: the server does not answer. Press the key again once it does."));
document.addEventListener("htmx:responseError", (event) => tell("Not kept: " + event.detail.xhr.responseText));
document.addEventListener("htmx:afterSwap", (event) => {
  tell("");
  if (event.detail.target.id !== "desk") return;
  document.getElementById("question").focus({ preventScroll: true });
  window.scrollTo(0, 0);
});
