// Keys act whatever has the focus, but for a text field: lists, radio buttons and sliders would take letters and
// arrows for themselves.

const LETTERS = { l: "next", m: "model", c: "carry", s: "same", n: "nothing", x: "unseen" };
const OTHERS = { Enter: "add", Delete: "cut", Escape: "drop", ArrowLeft: "earlier", ArrowRight: "later" };
const REPEATED = ["earlier", "later", "undo", "redo"];
const TEXT = "textarea, input:not([type=radio], [type=checkbox], [type=range])";
const PRESSED = "button, a";

/** The letter of a key; on a keyboard without Latin letters the one that is printed there on others. */
function letterOf({ key, code }) {
  if (key.length === 1 && key > "\u007f" && code.startsWith("Key")) return code.at(-1).toLowerCase();
  return key.length === 1 ? key.toLowerCase() : "";
}

/** What a key means, or nothing. */
function meant(event) {
  const letter = letterOf(event);
  if (event.altKey || event.isComposing) return undefined;
  if (event.ctrlKey || event.metaKey) return { z: event.shiftKey ? "redo" : "undo", y: "redo" }[letter];
  return LETTERS[letter] ?? OTHERS[event.key];
}

/** Call `act` with what each key means. It returns whether there was anything to do. */
export function onKeys(act) {
  let byPointer = false;
  const pressed = (event) => {
    byPointer = false;
    const { target } = event;
    if (target.matches(TEXT)) {
      if (event.key === "Enter" || event.key === "Escape") target.blur();
      return;
    }
    if (event.key === "Enter" && target.closest(PRESSED)) return;
    const name = meant(event);
    const done = name && (!event.repeat || REPEATED.includes(name)) && act(name);
    // A list that has the focus would look for an entry that begins with the letter.
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
    const sought = target.matches("select") && plain && event.key.length === 1 && event.key !== " ";
    if (done || sought || name === "earlier" || name === "later") {
      event.preventDefault();
      event.stopPropagation();
    }
  };
  // What was picked with the pointer keeps no focus; with the keyboard it must.
  const picked = (event) => byPointer && event.target.closest("select, input, button")?.blur();
  const touched = ({ target }) => {
    byPointer = true;
    if (target.closest(".map") && document.activeElement?.matches(TEXT)) document.activeElement.blur();
  };
  document.addEventListener("keydown", pressed, true);
  document.addEventListener("pointerdown", touched, true);
  document.addEventListener("change", picked);
  document.addEventListener("click", (event) => event.target.closest("button") && picked(event));
}
