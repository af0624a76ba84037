// `fanout where`: what became of one event, sink by sink, and how that is known.
import { dayOf } from "../books/books.ts";
import type { BooksPeriod } from "../books/entries.ts";
import { type SinkWhereabouts, type Whereabouts, whereIs } from "../books/where.ts";
import type { FanoutConfig } from "../config.ts";
import type { Clock } from "../delivery/clock.ts";
import type { ObjectInfo } from "../store/object-store.ts";
import { openSource, openStore, type Source, sourceObjects } from "../store/open.ts";
import { type BooksFlags, periodOf } from "./books.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import {
  fittingTable,
  instant,
  iso,
  painter,
  printable,
  type Screen,
  type Style,
  screenOf,
  wrap,
} from "./words.ts";

export type WhereFlags = Pick<BooksFlags, "day" | "since" | "until" | "in">;

export interface WhereCommand {
  readonly id: string;
  readonly config: FanoutConfig;
  readonly flags: WhereFlags;
  readonly clock: Clock;
  readonly json: boolean;
  readonly stdout: NodeJS.WriteStream;
  readonly signal: AbortSignal;
}

/**
 * Exit code 1 when nothing is known of the event.
 *
 * @throws {StoreError} when a store cannot be read.
 */
export async function where(command: WhereCommand): Promise<ExitCode> {
  const { id, config, flags, clock, json, stdout, signal } = command;
  const period = periodOf(flags, clock.now());
  const stores = { receipts: openStore(config.receipts), deadLetters: openStore(config.deadLetters) };
  const { limits } = config;
  const source = flags.in === undefined ? undefined : await openSource(flags.in);
  const own = [stores.receipts, stores.deadLetters].map(({ location }) => location);
  const found = await whereIs({
    ...period,
    id,
    stores,
    sinks: config.sinks.map(({ name }) => name),
    ...(source === undefined
      ? {}
      : { search: { store: source.store, objects: objectsOf(source, period, own) } }),
    ...(limits && { limits }),
    signal,
  });
  if (json) {
    const places = found.map((place) => ({
      ...place,
      sinks: place.sinks.map(({ at, ...sink }) => ({
        ...sink,
        ...(at === undefined ? {} : { at: iso(at) }),
      })),
    }));
    stdout.write(`${JSON.stringify({ id, places })}\n`);
  } else {
    stdout.write(`${render(id, found, flags, screenOf(stdout))}\n`);
  }
  return found.length === 0 ? exitCodes.failed : exitCodes.ok;
}

const styles: Readonly<Partial<Record<SinkWhereabouts["status"], Style>>> = {
  delivered: "green",
  pending: "yellow",
  "dead letter": "red",
  unknown: "red",
};

const dayMs = 24 * 60 * 60_000;

async function* objectsOf(
  source: Source,
  { since = Number.NEGATIVE_INFINITY, until = Number.POSITIVE_INFINITY }: BooksPeriod,
  own: readonly string[],
): AsyncGenerator<ObjectInfo> {
  for await (const object of sourceObjects(source)) {
    const name = `${source.store.location}/${object.key}`;
    if (own.some((location) => name.startsWith(`${location}/`))) continue;
    const day = Date.parse(`${dayOf(object.key)}T00:00:00Z`);
    // A name without a day may be of any.
    if (Number.isNaN(day) || (day + dayMs > since && day < until)) yield object;
  }
}

function render(id: string, found: readonly Whereabouts[], flags: WhereFlags, screen: Screen): string {
  const paint = painter(screen);
  const { columns } = screen;
  const name = printable(id);
  if (found.length === 0) {
    const searched =
      flags.in === undefined ? "no dead letter" : `no dead letter and no object under ${flags.in}`;
    const advice =
      flags.in === undefined
        ? "Receipts count events and do not name them, so that is no proof of anything. To look into the objects: " +
          `fanout where ${name} --in <folder or s3://…> --day <day>`
        : "Either it has not come, or it stands in objects of another place or day.";
    return [paint("yellow", wrap(`${name}: ${searched} has this id.`, columns)), wrap(advice, columns)].join(
      "\n",
    );
  }
  const parts = [
    found.length === 1
      ? `${paint("bold", name)} stands in one object`
      : `${paint("bold", name)} stands in ${found.length} places: it came more than once`,
  ];
  for (const { object, index, sinks } of found) {
    const rows = sinks.map(({ sink, status, how, at, letter }) => [
      sink,
      paint(styles[status] ?? "reset", status),
      at === undefined ? "-" : instant(at),
      letter === undefined ? how : `${how}: fanout dlq show ${letter}`,
    ]);
    parts.push(
      wrap(`${object.bucket}/${object.key}`, columns, "  object ", "    "),
      `  record ${index}, version ${object.version}`,
      fittingTable({ head: ["sink", "status", "since (UTC)", "how that is known"] }, rows, screen),
    );
  }
  return parts.join("\n");
}
