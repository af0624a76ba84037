// `fanout catalog`: the catalog as the dictionary that people read, or as JSON.
import { existsSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { loadCatalog } from "../routing/catalog.ts";
import type { Metric, MetricField } from "../routing/metric.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";

export interface CatalogCommand {
  /** A folder with a metric a file. Default: `config/metrics` of the current folder, else the catalog that ships. */
  readonly folder?: string;
  readonly format: "md" | "json";
  readonly stdout: NodeJS.WritableStream;
}

/** @throws {ConfigError} with everything that is wrong with the catalog. */
export async function catalog({ folder, format, stdout }: CatalogCommand): Promise<ExitCode> {
  const metrics = await loadCatalog(findCatalog(folder));
  stdout.write(format === "json" ? `${JSON.stringify({ metrics })}\n` : renderCatalog(metrics));
  return exitCodes.ok;
}

function findCatalog(given: string | undefined): URL {
  const own = path.resolve(given ?? "config/metrics");
  if (given !== undefined || existsSync(own)) return pathToFileURL(`${own}${path.sep}`);
  return new URL("../../config/metrics/", import.meta.url);
}

/** Markdown: a table of all metrics, then a chapter for each. */
export function renderCatalog(metrics: readonly Metric[]): string {
  const overview = metrics.map((metric) => [
    `[${plain(metric.title)}](#${anchor(metric.title)})`,
    plain(metric.description),
    plain(metric.owner),
  ]);
  return [
    "# Metrics",
    "",
    `What is measured, what it means, and where it goes: ${metrics.length} metrics.`,
    "",
    ...table(["metric", "meaning", "owner"], overview),
    ...metrics.flatMap(chapter),
    "",
  ].join("\n");
}

function chapter(metric: Metric): string[] {
  const { title, name, description, when, owner, source, dimensions = {}, data = {}, sinks } = metric;
  const all = { ...dimensions, ...data };
  const personal = Object.entries(all).filter(([, field]) => field.personal !== undefined);
  return [
    "",
    `## ${title}`,
    "",
    plain(description),
    "",
    `- **When:** ${plain(when)}`,
    `- **Name in the data:** \`${name}\``,
    `- **Owner:** ${plain(owner)}`,
    `- **Comes from:** "${plain(source.detailType)}" of \`${source.source}\`, on the bus \`${source.bus}\``,
    "",
    "### Figures and facts",
    "",
    ...fields(data),
    ...(Object.keys(dimensions).length === 0
      ? []
      : ["", "### To filter and group by", "", ...fields(dimensions)]),
    "",
    "Every event also has its tenant (`tenant_id`, `tenant_name`, `environment`), its time and its own id.",
    "",
    "### Where it goes",
    "",
    ...table(
      ["tool", "called", "without"],
      Object.entries(sinks).map(([sink, mapping]) => [
        plain(sink),
        calledIn(mapping, name),
        personal
          // Of what it is told field by field, there is nothing to leave out.
          .filter(() => mapping.properties === undefined)
          .filter(([, field]) => field.personal?.visibleTo.includes(sink) === false)
          .map(([field]) => `\`${field}\``)
          .join(", "),
      ]),
    ),
  ];
}

function calledIn({ name, properties }: Metric["sinks"][string], metric: string): string {
  if (properties === undefined) {
    const called = name ?? metric;
    return /^\w+$/.test(called) ? `\`${called}\`` : plain(called);
  }
  return Object.entries(properties)
    .map(([property, field]) => `\`${property}\` (the newest \`${field}\`)`)
    .join(", ");
}

function fields(declared: Readonly<Record<string, MetricField>>): string[] {
  return table(
    ["field", "meaning", "type", "always there", "personal data"],
    Object.entries(declared).map(([name, field]) => [
      `\`${name}\``,
      plain(field.description),
      typeOf(field),
      field.optional === true ? "no" : "yes",
      field.personal === undefined ? "" : seenBy(field.personal.visibleTo),
    ]),
  );
}

function typeOf({ type, unit, values }: MetricField): string {
  if (values !== undefined) return values.map((value) => `\`${value}\``).join(", ");
  const names = { string: "text", integer: "whole number", number: "number", boolean: "yes or no" } as const;
  return unit === undefined ? names[type] : `${names[type]}, ${plain(unit)}`;
}

function seenBy(sinks: readonly string[]): string {
  return sinks.length === 0 ? "yes, no tool sees it" : `yes, seen by ${sinks.join(" and ")} only`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  // A column that nobody fills says nothing.
  const used = head.map((_, column) => rows.some((row) => row[column] !== ""));
  const shown = (cells: readonly string[]) => cells.filter((_, column) => used[column]);
  return [line(shown(head)), `|${"---|".repeat(shown(head).length)}`, ...rows.map((row) => line(shown(row)))];
}

/** As one line of text that is nothing else to Markdown. */
function plain(text: string): string {
  return text.replaceAll(/\s+/g, " ").replaceAll(/[\\`*_[\]<>|]/g, "\\$&");
}

/** As GitHub makes the anchors of headings. */
function anchor(title: string): string {
  return title
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");
}
