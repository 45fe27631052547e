/** What is shown of a result that is to be sent to a program on the reader's machine. */

import { fill, made } from "./fill.js";
import { Hub } from "./samp.js";

// What programs are told to load, by what a result is: of a FITS file nobody knows whether it is
// meant as an image or as a table.
const MESSAGES = {
  votable: { "table.load.votable": "table-id" },
  fits: { "image.load.fits": "image-id", "table.load.fits": "table-id" },
};
const WAYS = { "image.load.fits": "image", "table.load.fits": "table" };

let joined = null; // the hub, for the whole page

function hub(title) {
  joined ??= Hub.join({ name: title, description: document.title }).catch((error) => {
    joined = null;
    throw error;
  });
  return joined;
}

addEventListener("pagehide", () => {
  joined?.then((one) => one.leave()).catch(() => null); // a hub that has gone needs no farewell
  joined = null;
});

/**
 * Put the programs that take a result into `place`, made of `templates`. `addressOf()`: where a
 * program loads it from, without signing in.
 */
export async function showPrograms(place, templates, { kind, name, title }, addressOf) {
  const template = (part) => templates.querySelector(`template[data-send="${part}"]`);
  const panel = made(template("panel"), { at: "asking" });
  const list = panel.querySelector("ul");
  place.replaceChildren(panel);
  const say = (at, more = {}) => fill(panel, { at, ...more });

  const send = async ({ id, type, name: program }) => {
    try {
      const url = await addressOf();
      const own = { [MESSAGES[kind][type]]: url };
      await (await hub(title)).send(id, type, { url, name, ...own });
      say("sent", { to: program });
    } catch (error) {
      joined = null; // it may have gone, and another one come
      say("failed", { message: error.message });
    }
  };
  const look = async () => {
    say("asking");
    list.replaceChildren();
    try {
      const programs = await (await hub(title)).programs(Object.keys(MESSAGES[kind]));
      const items = programs.map((one) => {
        const item = made(template("program"), { name: one.name, way: WAYS[one.type] ?? null });
        item.querySelector("button").addEventListener("click", () => send(one));
        return item;
      });
      list.replaceChildren(...items);
      say(items.length ? "choose" : "nobody");
    } catch (error) {
      joined = null;
      say(error.isSilent ? "silent" : "refused", { message: error.message });
    }
  };
  panel.querySelector("button[data-do=look]").addEventListener("click", look);
  await look();
}
