// A run as a person reads it: a table, and the line that says whether the books close.
import { stripVTControlCharacters, styleText } from "node:util";
import Table from "cli-table3";
import { emptySink, isBalanced, pendingOf, type RunReport } from "../books/report.ts";

export interface RunSummary {
  readonly report: RunReport;
  /** In the order of the configuration. */
  readonly sinks: readonly string[];
  /** Objects that could not be processed. */
  readonly failed: number;
  /** Objects that an interrupted run did not begin. */
  readonly left: number;
  readonly seconds: number;
  /** Where the dead letters are. */
  readonly deadLetters: string;
  readonly colors: boolean;
  /** A table that is wider becomes a list. */
  readonly columns: number;
}

type Style = Parameters<typeof styleText>[0];

export function renderRun(summary: RunSummary): string {
  const { report, sinks, failed, left, seconds } = summary;
  const paint = (style: Style, text: string) =>
    summary.colors ? styleText(style, text, { validateStream: false }) : text;
  const lines = [
    renderSinks(summary, paint),
    `${count(report.objects, "object")}, ${count(report.records, "record")} in ${seconds.toFixed(1)} s: ` +
      `${count(report.valid)} valid + ${count(report.invalid)} invalid`,
  ];
  if (!isBalanced(report)) lines.push(paint("red", "The books do not close."));
  else if (failed === 0) {
    const proof = "every event is delivered, filtered, dead-lettered or pending.";
    lines.push(paint("green", `The books close: ${proof}`));
  }
  const letters =
    report.invalid + sinks.reduce((sum, name) => sum + (report.sinks[name]?.deadLettered ?? 0), 0);
  if (letters > 0) lines.push(`${count(letters, "dead letter")} under ${summary.deadLetters}`);
  const open = [
    [pendingOf(report), "delivery", "deliveries", "pending"],
    [report.unread, "object", "objects", "not read to the end"],
    [left, "object", "objects", "not begun"],
  ] as const;
  for (const [number, one, many, state] of open) {
    if (number > 0) {
      const what = `${count(number, one, many)} ${number === 1 ? "is" : "are"} ${state}`;
      lines.push(paint("yellow", `${what}: run the same command again.`));
    }
  }
  for (const name of sinks) {
    const reason = report.sinks[name]?.pendingReason;
    if (reason !== undefined) lines.push(`  ${name}: ${reason}`);
  }
  if (failed > 0) {
    const what = `${count(failed, "object")} could not be processed to the end`;
    const them = failed === 1 ? "it" : "them";
    lines.push(paint("red", `${what}: run the same command again for what is missing of ${them}.`));
  }
  return `${lines.join("\n")}\n`;
}

/** A row a sink, or where that is too wide a list. */
function renderSinks(
  { report, sinks, colors, columns }: RunSummary,
  paint: (style: Style, text: string) => string,
): string {
  const columnsOf = (name: string) => {
    const sink = report.sinks[name] ?? emptySink;
    return [
      ["valid", sink.valid],
      ["delivered", sink.delivered, "green"],
      ["filtered", sink.filtered],
      ["dead-lettered", sink.deadLettered, "red"],
      ["pending", sink.pending, "yellow"],
      ["requests", sink.requests],
      ["retries", sink.retries],
    ] as const;
  };
  const number = (value: number, style?: Style) =>
    value > 0 && style !== undefined ? paint(style, count(value)) : count(value);
  const head = ["sink", ...columnsOf("").map(([title]) => title)];
  const colAligns = head.map((_, index) => (index === 0 ? ("left" as const) : ("right" as const)));
  const rows = sinks.map((name) => [
    name,
    ...columnsOf(name).map(([, value, style]) => number(value, style)),
  ]);
  const table = renderTable({ head, colAligns }, rows, colors);
  const [top = ""] = stripVTControlCharacters(table).split("\n");
  if (top.length <= columns) return table;
  return sinks
    .map((name) => {
      const parts = columnsOf(name).filter(([title, value]) => title === "valid" || value > 0);
      return [name, ...parts.map(([title, value, style]) => `  ${title}: ${number(value, style)}`)].join(
        "\n",
      );
    })
    .join("\n");
}

/** A table with a line under its head and none between its rows; cli-table3 has both or neither. */
export function renderTable(
  options: Table.TableConstructorOptions,
  rows: readonly (readonly (string | number)[])[],
  colors: boolean,
): string {
  const table = new Table({
    ...options,
    style: { head: colors ? ["bold"] : [], border: colors ? ["grey"] : [] },
  });
  for (const row of rows) table.push([...row]);
  const underHead = 2;
  return table
    .toString()
    .split("\n")
    .filter((line, index) => index === underHead || !line.includes("├"))
    .join("\n");
}

function count(value: number, one?: string, many = `${one}s`): string {
  const number = value.toLocaleString("en-US");
  return one === undefined ? number : `${number} ${value === 1 ? one : many}`;
}
