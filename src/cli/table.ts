// A run as a person reads it: a table, and the line that says whether the books close.
import { styleText } from "node:util";
import Table from "cli-table3";
import { emptySink, isBalanced, pendingOf, type RunReport } from "../books/report.ts";

export interface RunSummary {
  readonly report: RunReport;
  /** In the order of the configuration. */
  readonly sinks: readonly string[];
  /** Objects that could not be processed. */
  readonly failed: number;
  readonly seconds: number;
  /** Where the dead letters are. */
  readonly deadLetters: string;
  readonly colors: boolean;
}

export function renderRun(summary: RunSummary): string {
  const { report, sinks, failed, seconds, colors } = summary;
  const paint = (style: Parameters<typeof styleText>[0], text: string) =>
    colors ? styleText(style, text, { validateStream: false }) : text;
  const number = (value: number, style?: Parameters<typeof styleText>[0]) =>
    value > 0 && style !== undefined ? paint(style, count(value)) : count(value);
  const columns = ["valid", "delivered", "filtered", "dead-lettered", "pending", "requests", "retries"];
  const rows = sinks.map((name) => {
    const sink = report.sinks[name] ?? emptySink;
    return [
      name,
      count(sink.valid),
      number(sink.delivered, "green"),
      count(sink.filtered),
      number(sink.deadLettered, "red"),
      number(sink.pending, "yellow"),
      count(sink.requests),
      count(sink.retries),
    ];
  });
  const head = ["sink", ...columns];
  const colAligns = head.map((_, index) => (index === 0 ? ("left" as const) : ("right" as const)));
  const lines = [
    renderTable({ head, colAligns }, rows, colors),
    `${count(report.objects)} objects, ${count(report.records)} records in ${seconds.toFixed(1)} s: ${count(report.valid)} valid + ${count(report.invalid)} invalid`,
    isBalanced(report)
      ? paint(
          "green",
          "The books close: every event is delivered, filtered, dead-lettered or pending, for every sink.",
        )
      : paint("red", "The books do not close."),
  ];
  const letters =
    report.invalid + sinks.reduce((sum, name) => sum + (report.sinks[name]?.deadLettered ?? 0), 0);
  if (letters > 0) lines.push(`${count(letters)} dead letters are under ${summary.deadLetters}`);
  if (pendingOf(report) > 0 || report.unread > 0) {
    lines.push(
      paint(
        "yellow",
        `${count(pendingOf(report))} records are pending; run the same command again to deliver them.`,
      ),
    );
  }
  for (const name of sinks) {
    const reason = report.sinks[name]?.pendingReason;
    if (reason !== undefined) lines.push(`  ${name}: ${reason}`);
  }
  if (failed > 0)
    lines.push(
      paint("red", `${count(failed)} objects could not be processed; nothing of them is acknowledged.`),
    );
  return `${lines.join("\n")}\n`;
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

function count(value: number): string {
  return value.toLocaleString("en-US");
}
