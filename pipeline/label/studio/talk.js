// What the page asks of the studio, and the sentence where there is no answer to use.

export const SILENT = "The studio does not answer: start `minebench label` again; all steps so far are saved.";
export const EARLIER = "This page is of an earlier start: open the address that `minebench label` printed.";

/** The content of an answer. Throws a sentence where there is none. */
export async function ask(path, options) {
  let answer, text;
  try {
    answer = await fetch(path, options);
    text = await answer.text();
  } catch {
    throw new Error(SILENT);
  }
  if (answer.ok) return JSON.parse(text);
  throw new Error(sentence(answer.status, text));
}

/** Only addresses without this start's token are not found: the page's own are all there. */
function sentence(status, text) {
  if (status === 404) return EARLIER;
  try {
    return JSON.parse(text).said;
  } catch {
    return status < 500 ? text : `The studio failed at this (${status}); nothing was lost, and what you did last was not done.`;
  }
}

/** Steps go one after another, in the order of the keys; after one that failed those that waited are dropped. */
export class Queue {
  turn = 0;
  waiting = 0;
  last = Promise.resolve();

  /** Do a step after those before it; whether it was done. `work` returns whether it went well. */
  add(work) {
    const turn = this.turn;
    this.waiting += 1;
    const run = async () => {
      const well = turn === this.turn && (await work());
      if (!well && turn === this.turn) this.turn += 1;
      this.waiting -= 1;
      return well;
    };
    return (this.last = this.last.then(run));
  }
}
