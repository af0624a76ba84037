// Numbers, times and sentences as the commands print them.
import { stripVTControlCharacters, styleText } from "node:util";
import type Table from "cli-table3";
import { ConfigError } from "../config.ts";
import { parseEventTime } from "../event.ts";
import { renderTable } from "./table.ts";

export type Style = Parameters<typeof styleText>[0];
export type Paint = (style: Style, text: string) => string;

/** What a command needs to know of where it prints. */
export interface Screen {
  readonly colors: boolean;
  /** Lines and tables become no wider. */
  readonly columns: number;
}

/** What is printed fits a terminal of this width, also where there is none: in a file, a pipe, a ticket. */
const mostColumns = 100;
const fewestColumns = 60;

export function screenOf(stdout: NodeJS.WriteStream): Screen {
  const columns = stdout.isTTY ? stdout.columns : mostColumns;
  return {
    colors: stdout.isTTY === true && stdout.hasColors(),
    columns: Math.max(fewestColumns, Math.min(mostColumns, columns)),
  };
}

export function painter({ colors }: Screen): Paint {
  return (style, text) => (colors ? styleText(style, text, { validateStream: false }) : text);
}

/** `1,204`, or `1,204 letters`. */
export function count(value: number, one?: string, many = `${one}s`): string {
  const number = value.toLocaleString("en-US");
  return one === undefined ? number : `${number} ${value === 1 ? one : many}`;
}

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

/** `12 s`, `3 min`, `2 h 5 min`, `4 d 3 h`. */
export function duration(ms: number): string {
  const [large, small, largeName, smallName] =
    ms >= day ? ([day, hour, "d", "h"] as const) : ([hour, minute, "h", "min"] as const);
  if (ms < minute) return `${Math.max(0, Math.round(ms / second))} s`;
  if (ms < hour) return `${Math.floor(ms / minute)} min`;
  const rest = Math.floor((ms % large) / small);
  return `${Math.floor(ms / large)} ${largeName}${rest === 0 ? "" : ` ${rest} ${smallName}`}`;
}

/** `2026-11-21 08:20:05`, in UTC. */
export function instant(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19).replace("T", " ");
}

/** For documents. */
export function iso(ms: number): string {
  return new Date(ms).toISOString();
}

/** Text of a record as a terminal may show it: what would move the cursor or change colours is written as an escape. */
export function printable(text: string): string {
  return text.replaceAll(
    /(?!\n)[\p{Cc}\u2028\u2029]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Breaks a sentence into lines; those after the first are indented as well. What has no blank is cut at the width. */
export function wrap(text: string, width: number, first = "", indent = " ".repeat(first.length)): string {
  const lines: string[] = [];
  let line = first;
  let isEmpty = true;
  const room = () => width - line.length - (isEmpty ? 0 : 1);
  for (let word of printable(text).split(/\s+/)) {
    while (word.length > room()) {
      if (isEmpty) {
        const most = Math.max(1, room());
        lines.push(line + word.slice(0, most));
        word = word.slice(most);
      } else {
        lines.push(line);
      }
      line = indent;
      isEmpty = true;
    }
    if (word === "") continue;
    line += isEmpty ? word : ` ${word}`;
    isEmpty = false;
  }
  if (!isEmpty) lines.push(line);
  return lines.join("\n");
}

/** A table that is no wider than the screen: its widest columns are wrapped, nothing is cut off. */
export function fittingTable(
  options: Pick<Table.TableConstructorOptions, "head" | "colAligns">,
  rows: readonly (readonly string[])[],
  { colors, columns }: Screen,
): string {
  const { head = [] } = options;
  const padding = 2;
  const widths = head.map((title, index) => {
    const cells = [title, ...rows.map((row) => row[index] ?? "")];
    const lines = cells.flatMap((cell) => stripVTControlCharacters(cell).split("\n"));
    return Math.max(...lines.map((line) => line.length)) + padding;
  });
  const room = columns - widths.length - 1;
  for (let total = widths.reduce((sum, width) => sum + width, 0); total > room; total--) {
    const widest = widths.indexOf(Math.max(...widths));
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  // By ourselves, since the table would break lines inside of words, and inside of the codes of colours.
  const cells = rows.map((row) =>
    row.map((cell, index) => {
      const width = (widths[index] ?? 0) - padding;
      const text = stripVTControlCharacters(cell);
      return text.length > width ? cell.replace(text, () => wrap(text, width)) : cell;
    }),
  );
  const titles = head.map((title, index) => wrap(title, (widths[index] ?? 0) - padding));
  const wrapped = { ...options, head: titles, colWidths: widths };
  return renderTable(wrapped, cells, colors);
}

const units: Readonly<Record<string, number>> = {
  s: second,
  m: minute,
  min: minute,
  h: hour,
  d: day,
  w: 7 * day,
};

/**
 * A moment as operators write it: `2h` (ago), `2026-11-20` (its start, UTC) or an ISO 8601 date-time with Z or an
 * offset. Milliseconds since the epoch.
 *
 * @throws {ConfigError} when it is none of these.
 */
export function parseMoment(option: string, text: string, now: number): number {
  const [, number, unit = ""] = /^(\d+(?:\.\d+)?) ?([a-z]+)$/.exec(text.trim()) ?? [];
  const factor = Object.hasOwn(units, unit) ? units[unit] : undefined;
  if (number !== undefined && factor !== undefined) return now - Number(number) * factor;
  const whole = /^\d{4}-\d{2}-\d{2}$/.test(text.trim()) ? `${text.trim()}T00:00:00Z` : text.trim();
  const moment = /^\d{4}-/.test(whole) ? parseEventTime(whole) : undefined;
  if (moment !== undefined) return moment;
  throw new ConfigError([
    `${option} must be an age such as 90m, 2h or 3d, a date such as 2026-11-20, or a time such as 2026-11-20T03:15Z`,
  ]);
}
