// `fanout books`: is everything where it must be? A row a sink, and every gap with its reason.

import { dayOf } from "../books/books.ts";
import type { BooksPeriod } from "../books/entries.ts";
import { addBooks } from "../books/query.ts";
import { reconcile } from "../books/reconcile.ts";
import { addTenantBooks } from "../books/tenant.ts";
import { ConfigError, type FanoutConfig } from "../config.ts";
import { lanesNamed } from "../dead-letter/filter.ts";
import type { Clock } from "../delivery/clock.ts";
import { errorPrefixOf } from "../intake/error-prefixes.ts";
import type { ObjectInfo, ObjectStore } from "../store/object-store.ts";
import { openSource, openStore, sourceObjects } from "../store/open.ts";
import { booksDocument, problemsShown, renderBooks, renderTenant, type Unknown } from "./books-print.ts";
import { knownLanes } from "./dlq-options.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { processOwner } from "./owner.ts";
import { parseMoment, screenOf } from "./words.ts";

export interface BooksFlags {
  readonly day?: string;
  readonly since?: string;
  readonly until?: string;
  readonly sink?: readonly string[];
  readonly tenant?: string;
  /** A folder or `s3://`: objects there that no books know of are missing. */
  readonly in?: string;
}

export interface BooksCommand {
  readonly config: FanoutConfig;
  readonly flags: BooksFlags;
  readonly clock: Clock;
  readonly json: boolean;
  readonly stdout: NodeJS.WriteStream;
  readonly signal: AbortSignal;
}

const dayMs = 24 * 60 * 60_000;

/**
 * Exit code 1 when something is missing and unexplained. What is a dead letter, pending, or under way is explained.
 *
 * @throws {StoreError} when a store cannot be read.
 * @throws {ConfigError} when a flag cannot be understood.
 */
export async function books(command: BooksCommand): Promise<ExitCode> {
  const { config, flags, clock, json, stdout, signal } = command;
  const now = clock.now();
  const period = periodOf(flags, now);
  const receipts = openStore(config.receipts);
  const deadLetters = openStore(config.deadLetters);
  const names = config.sinks.map(({ name }) => name);
  const known = await knownLanes(flags.sink, names, { receipts, deadLetters });
  const sinks =
    flags.sink === undefined
      ? names
      : known.filter((name) => flags.sink?.some((each) => lanesNamed(each, known).includes(name)));
  if (sinks.length === 0)
    throw new ConfigError([`--sink names no configured sink; known are ${names.join(", ")}`]);
  const screen = screenOf(stdout);
  const accepting = new Set(
    config.sinks.flatMap(({ name, acknowledges }) => (acknowledges === "accepted" ? [name] : [])),
  );

  if (flags.tenant !== undefined) {
    const { limits } = config;
    const told = await addTenantBooks({
      ...period,
      tenant: flags.tenant,
      receipts,
      deadLetters,
      sinks,
      source: openStore,
      ...(limits && { limits }),
      signal,
    });
    const isMissing = told.gone > 0 || told.sinks.some(({ missing }) => missing > 0);
    stdout.write(
      json
        ? `${JSON.stringify({ tenant: flags.tenant, ...told })}\n`
        : `${renderTenant(flags.tenant, told, screen)}\n`,
    );
    return isMissing ? exitCodes.failed : exitCodes.ok;
  }

  const found = await addBooks({
    ...period,
    receipts,
    deadLetters,
    sinks,
    only: flags.sink !== undefined,
    owner: processOwner(),
  });
  const unknown =
    flags.in === undefined
      ? undefined
      : await unknownObjects(flags.in, period, {
          receipts,
          sinks,
          own: [receipts.location, deadLetters.location],
        });
  const isWhole = found.problemCount === 0 && (unknown?.count ?? 0) === 0;
  stdout.write(
    json
      ? `${JSON.stringify(booksDocument(found, { now, accepting, unknown, isWhole }))}\n`
      : `${renderBooks(found, { now, accepting, unknown, screen, period })}\n`,
  );
  return isWhole ? exitCodes.ok : exitCodes.failed;
}

/** @throws {ConfigError} when a time cannot be understood. */
export function periodOf(
  { day, since, until }: Pick<BooksFlags, "day" | "since" | "until">,
  now: number,
): BooksPeriod {
  if (day !== undefined) {
    if (since !== undefined || until !== undefined)
      throw new ConfigError(["--day stands alone, without --since and --until"]);
    const start = day === "today" || day === "yesterday" ? startOf(now, day) : parseMoment("--day", day, now);
    const first = Math.floor(start / dayMs) * dayMs;
    return { since: first, until: first + dayMs };
  }
  return {
    ...(since === undefined ? {} : { since: parseMoment("--since", since, now) }),
    ...(until === undefined ? {} : { until: parseMoment("--until", until, now) }),
  };
}

function startOf(now: number, day: "today" | "yesterday"): number {
  return day === "today" ? now : now - dayMs;
}

/**
 * Objects of the period that stand there and of which no sink has a receipt: by listings, and one look at each object
 * that seems unknown, since a bucket with versions lists none of them. What another sink has is a gap of its own.
 */
async function unknownObjects(
  address: string,
  { since = Number.NEGATIVE_INFINITY, until = Number.POSITIVE_INFINITY }: BooksPeriod,
  { receipts, sinks, own }: { receipts: ObjectStore; sinks: readonly string[]; own: readonly string[] },
): Promise<Unknown> {
  const source = await openSource(address);
  const { store } = source;
  const names: string[] = [];
  let number = 0;
  async function* meant(): AsyncGenerator<ObjectInfo> {
    for await (const object of sourceObjects(source)) {
      const { key, lastModified } = object;
      if (errorPrefixOf(key, source.prefix) !== undefined) continue;
      if (own.some((location) => `${store.location}/${key}`.startsWith(`${location}/`))) continue;
      const written = Date.parse(`${dayOf(key)}T00:00:00Z`);
      const at = Number.isNaN(written) ? lastModified : written;
      if (at + (Number.isNaN(written) ? 0 : dayMs) > since && at < until) yield object;
    }
  }
  await reconcile({
    source: store,
    objects: meant(),
    receipts,
    sinks,
    look: true,
    onUnknown({ bucket, key }, lacking) {
      if (lacking.length < sinks.length) return;
      number++;
      if (names.length < problemsShown) names.push(`${bucket}/${key}`);
    },
  });
  return { count: number, names };
}
