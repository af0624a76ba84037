// One claim about speed: what is measured, what it must be, what it is.

export interface Row {
  readonly name: string;
  readonly target: string;
  readonly value: string;
  readonly pass: boolean;
}

/** What the rows of one file have in common: a name for `--only`, and the work. */
export interface Section {
  readonly name: string;
  measure(options: BenchOptions): Promise<Row[]>;
}

export interface BenchOptions {
  /** Fewer rounds and smaller objects: figures are rougher. */
  readonly quick: boolean;
  /** A folder for data that is gone when the bench ends. */
  readonly folder: string;
}

export function atLeast(name: string, value: number, least: number, format: Format, detail?: string): Row {
  return { name, target: `≥ ${format(least)}`, value: shown(format(value), detail), pass: value >= least };
}

export function atMost(name: string, value: number, most: number, format: Format, detail?: string): Row {
  return { name, target: `≤ ${format(most)}`, value: shown(format(value), detail), pass: value <= most };
}

type Format = (value: number) => string;

/** Of four targets `80 %` is the roundest: decimals would claim what no run repeats. */
export const percent: Format = (value) => `${Math.round(value * 100)} %`;
export const times: Format = (value) => `${value.toFixed(value < 1.995 ? 2 : 1)} ×`;
export const megabytes: Format = (value) => `${Math.round(value)} MB`;
export const milliseconds: Format = (value) => `${value.toFixed(value < 10 ? 1 : 0)} ms`;
export const kilobytes: Format = (value) => `${Number(value.toFixed(value < 100 ? 1 : 0))} KB`;

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [low = Number.NaN, high = Number.NaN] = [sorted[Math.ceil(sorted.length / 2) - 1], sorted[middle]];
  return (low + high) / 2;
}

function shown(value: string, detail: string | undefined): string {
  return detail === undefined ? value : `${value} (${detail})`;
}
