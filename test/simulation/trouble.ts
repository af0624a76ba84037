// What goes wrong, drawn by name: who draws decides nothing about the others, and each piece of trouble can be left out.
import { type Dice, dice } from "./dice.ts";

export interface Trouble {
  /**
   * Whether this kind of trouble strikes now, with a share of the calls as its probability; the dice that it
   * answers decide the rest. The same name, asked again, is its next occurrence.
   */
  strikes(kind: string, name: string, share: number): Dice | undefined;
  /** Counts what is no trouble, but ought to have happened. */
  count(kind: string): void;
  /** From then on nothing strikes. */
  end(): void;
  readonly isOver: boolean;
  /** Somebody has mended what records were refused for, and trouble goes on. */
  mend(): void;
  readonly isMended: boolean;
  /** How often each kind has struck. */
  readonly counts: ReadonlyMap<string, number>;
  /** The names of all that has struck, in order. */
  readonly struck: readonly string[];
}

export function createTrouble(
  seed: number,
  mute: ReadonlySet<string>,
  trace: (line: string) => void,
): Trouble {
  const counts = new Map<string, number>();
  const asked = new Map<string, number>();
  const struck: string[] = [];
  let isOver = false;
  let isMended = false;
  const count = (kind: string) => counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return {
    count,
    strikes(kind, name, share) {
      if (isOver || share === 0) return undefined;
      const place = `${kind} · ${name}`;
      const nth = (asked.get(place) ?? 0) + 1;
      asked.set(place, nth);
      const full = `${place} · ${nth}`;
      const d = dice(seed, full);
      if (!d.chance(share) || mute.has(full)) return undefined;
      count(kind);
      struck.push(full);
      trace(`✗ ${full}`);
      return d;
    },
    end() {
      isOver = true;
    },
    get isOver() {
      return isOver;
    },
    mend() {
      isOver = false;
      isMended = true;
    },
    get isMended() {
      return isMended;
    },
    counts,
    struck,
  };
}
