// How complex wildcards are for EventBridge, which refuses a rule whose wildcards leave too much open.

/**
 * The most beginnings of wildcards that one text can match at the same time: each is a state that the matcher is in.
 * https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html, "Wildcards and event pattern
 * complexity", has no number; `MachineComplexityEvaluator` of https://github.com/aws/event-ruler counts so.
 *
 * @param wildcards Of one field. Each is the texts between its stars.
 * @param most Beyond it the number does not matter: what is returned may be `most + 1`.
 */
export function complexityOf(wildcards: readonly (readonly string[])[], most: number): number {
  const steps = wildcards.filter((literals) => literals.length > 1).map(stepsOf);
  const starts = steps.map((each) => closed(new Set([0]), each));
  const alphabet = new Set(steps.flat());
  const seen = new Set<string>();
  const open = [starts];
  let worst = 0;
  for (let states = open.pop(); states !== undefined; states = open.pop()) {
    const key = states.map((each) => [...each].sort((one, other) => one - other).join()).join(";");
    if (seen.has(key) || seen.size >= mostTexts) continue;
    seen.add(key);
    // The beginning of no character matches everything, and does not count.
    worst = Math.max(
      worst,
      states.reduce((sum, each) => sum + each.size - (each.has(0) ? 1 : 0), 0),
    );
    if (worst > most) return worst;
    for (const character of alphabet)
      open.push(states.map((each, index) => after(each, character, steps[index] ?? [])));
  }
  return worst;
}

/** Texts that are tried at most, so that a check takes no longer than a moment. */
const mostTexts = 5000;
const star = "*star";

/** The characters of a wildcard, quotes included, with its stars. */
function stepsOf(literals: readonly string[]): readonly string[] {
  const parts = literals.map((literal, index) => [...(index === 0 ? [] : [star]), ...literal]);
  return ['"', ...parts.flat(), '"'];
}

/** A star can stand for no character, so what is before it is also behind it. */
function closed(states: Set<number>, steps: readonly string[]): ReadonlySet<number> {
  for (const state of states) if (steps[state] === star) states.add(state + 1);
  return states;
}

function after(
  states: ReadonlySet<number>,
  character: string,
  steps: readonly string[],
): ReadonlySet<number> {
  const next = new Set<number>();
  for (const state of states) {
    if (steps[state] === character) next.add(state + 1);
    // Behind a star it stays, whatever comes.
    if (state > 0 && steps[state - 1] === star) next.add(state);
  }
  return closed(next, steps);
}
