/**
 * What a job writes, as it writes it. Blocks of lines that a browser lays out only when they are
 * looked at: so that finding, marking and turning pages work as in any text, at 100,000 lines.
 */

import { fill, visible } from "./fill.js";

const BLOCK = 200; // lines
const MOST = 10_000; // lines that are kept
const LONGEST = 4000; // characters of a line
const COLOURS = /\u001b\[[0-9;?]*[ -/]*[@-~]/g;
const NEAR = 30; // [px] from the end that count as the end

/**
 * `element` has a `[data-log]` to be filled, and a check box `[data-follow]`. Lines are added by
 * `add(text)`, whose end may be anywhere.
 */
export class LogView {
  #element;
  #box;
  #follow;
  #open = ""; // the line that has no end yet
  #shown = null; // the text node of that
  #block = null;
  #inBlock = 0;
  #lines = 0;
  #gone = 0;
  #top = 0; // [px] where it was scrolled to

  constructor(element) {
    this.#element = element;
    this.#box = element.querySelector("[data-log]");
    this.#follow = element.querySelector("input[data-follow]");
    this.#box.addEventListener("scroll", () => this.#scrolled());
    this.#follow.addEventListener("change", () => this.#toEnd());
    this.#say();
  }

  add(text) {
    const lines = (this.#open + text).split("\n");
    this.#open = lines.pop();
    if (this.#shown) this.#shown.remove();
    this.#shown = null;
    while (lines.length) {
      if (!this.#block || this.#inBlock === BLOCK) this.#begin();
      const some = lines.splice(0, BLOCK - this.#inBlock);
      this.#block.append(some.map((line) => `${legible(line)}\n`).join(""));
      this.#inBlock += some.length;
      this.#lines += some.length;
    }
    if (this.#open) {
      if (!this.#block) this.#begin();
      this.#shown = document.createTextNode(legible(this.#open));
      this.#block.append(this.#shown);
    }
    while (this.#lines - this.#gone > MOST) {
      this.#box.firstElementChild.remove();
      this.#gone += BLOCK;
    }
    this.#say();
    this.#toEnd();
  }

  #begin() {
    this.#block = document.createElement("pre");
    this.#inBlock = 0;
    this.#box.append(this.#block);
  }

  #say() {
    fill(this.#element, { something: this.#lines > 0 || this.#open !== "", dropped: this.#gone || null });
  }

  #toEnd() {
    if (this.#follow.checked) this.#box.scrollTop = this.#box.scrollHeight;
  }

  /** Whoever scrolls back wants to read; whoever comes to the end wants to follow. */
  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#box;
    const atEnd = scrollHeight - scrollTop - clientHeight < NEAR;
    if (atEnd) this.#follow.checked = true;
    else if (scrollTop < this.#top) this.#follow.checked = false;
    this.#top = scrollTop;
  }
}

/** A line for people: without colours, the last state of a bar of progress, not endless. */
function legible(line) {
  const plain = line.replace(COLOURS, "").replace(/\r$/, "");
  const last = plain.slice(plain.lastIndexOf("\r") + 1);
  return visible(last.length > LONGEST ? `${last.slice(0, LONGEST)} … (${last.length} characters)` : last);
}
