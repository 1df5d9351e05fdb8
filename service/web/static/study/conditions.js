/** What somebody wrote into the filter of trials, as the API takes it. */

const WORD = /(?:"(?:\\.|[^"\\])*"|'[^']*'|\S)+/g;
const STATE = /^state:(.+)$/i;
const OPERATOR = /[<>=]/;
const OPERATOR_AT_BEGIN = /^(?:[<>=]|!=)/;
const OPERATOR_AT_END = /[<>=]$/;
const STATES = new Map([
  ["WAITING", "WAITING"],
  ["RUNNING", "RUNNING"],
  ["COMPLETE", "COMPLETE"],
  ["PRUNED", "PRUNED"],
  ["FAIL", "FAIL"],
  ["FAILED", "FAIL"],
]);

/**
 * Conditions stand one after the other, with or without spaces around their operators, and with
 * spaces in names or in quotes: `optimizer=adam lr < 0.01 state:complete`.
 *
 * @param {string} text
 * @returns {{where: string[], states: string[], unknown: string[]}} what means nothing is among the
 *   conditions, for the server to say why; `unknown` has the words that are no states
 */
export function parseFilter(text) {
  const states = [];
  const unknown = [];
  const where = [];
  let begun = "";
  for (const word of text.match(WORD) ?? []) {
    const state = begun === "" ? STATE.exec(word) : null;
    if (state !== null) {
      const known = STATES.get(state[1].toUpperCase());
      (known === undefined ? unknown : states).push(known ?? state[1]);
      continue;
    }
    if (begun === "" && OPERATOR_AT_BEGIN.test(word)) {
      // What came before was the name, with an operator in it.
      begun = where.pop() ?? "";
    }
    begun = `${begun} ${word}`.trim();
    if (OPERATOR.test(begun) && !OPERATOR_AT_END.test(begun)) {
      where.push(begun);
      begun = "";
    }
  }
  return { where: begun === "" ? where : [...where, begun], states, unknown };
}
