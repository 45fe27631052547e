/** What a page says of its connection, and the switch that stops and resumes it. */

import { fill } from "./fill.js";

const SWITCH = "opus.live"; // in localStorage: "off" keeps pages as they are

/**
 * `element` has parts for each state of `live` (`data-when="state=..."`), and buttons with
 * `data-do` of `pause`, `resume` and `retry`.
 */
export function noteLive(element, live) {
  const show = ({ state, at }) => fill(element, { state, at });
  live.addEventListener("state", ({ detail }) => show(detail));
  element.addEventListener("click", ({ target }) => {
    const action = target.closest("button")?.dataset.do;
    if (action === "pause" || action === "resume") {
      const on = action === "resume";
      localStorage.setItem(SWITCH, on ? "on" : "off");
      if (on) live.start();
      else live.stop();
      // The button that was pressed is hidden now.
      element.querySelector(`button[data-do="${on ? "pause" : "resume"}"]`).focus();
    }
    if (action === "retry") live.retry();
  });
  element.hidden = false;
  show({ state: live.state, at: null });
  if (localStorage.getItem(SWITCH) !== "off") live.start();
}
