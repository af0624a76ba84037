// Randomness with a name: every draw comes from a seed and from what it is for, so that one draw less elsewhere moves nothing here.
import { seededRandom } from "../../src/testing/index.ts";

export interface Dice {
  /** In [0, 1). */
  number(): number;
  /** Both ends included. */
  int(from: number, to: number): number;
  chance(probability: number): boolean;
  pick<T>(list: readonly [T, ...T[]]): T;
}

export function dice(seed: number, ...labels: readonly (string | number)[]): Dice {
  const number = seededRandom(mix(`${seed}/${labels.join("/")}`));
  return {
    number,
    int: (from, to) => from + Math.floor(number() * (to - from + 1)),
    chance: (probability) => number() < probability,
    pick: (list) => list[Math.floor(number() * list.length)] ?? list[0],
  };
}

/** FNV-1a with a last stir, since labels often differ in their last character alone. */
function mix(text: string): number {
  let state = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) state = Math.imul(state ^ text.charCodeAt(at), 0x01000193);
  state = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
  state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35);
  return state ^ (state >>> 16);
}
