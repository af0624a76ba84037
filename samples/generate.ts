// Generated Firehose objects with a known truth, for `npm start`, tests and benches: the same seed and the same
// `now` give the same bytes.
import { crc32, deflateRawSync, gzipSync } from "node:zlib";

export interface GenerateOptions {
  /** Decides everything that is random. Default 1. */
  readonly seed?: number;
  /** The end of the story in milliseconds since the epoch: events happen in the hour before it. */
  readonly now: number;
  /** Records that are well-formed and welcome everywhere. Default 3,000. */
  readonly records?: number;
  /** Default 10. */
  readonly tenants?: number;
  /** Default 6. Containers and framings take turns: four objects show every combination. */
  readonly objects?: number;
  /** Records of each kind of fault and of each kind that only a vendor refuses. Default 4. */
  readonly faultsOfEachKind?: number;
}

/** Not an event. `cut` is no JSON: a producer died while it wrote. */
const faults = ["cut", "not-an-object", "no-metric-name", "no-tenant-id", "bad-event-time"] as const;
export type Fault = (typeof faults)[number];

/** Valid, yet refused by a vendor: a value over HubSpot's 256 characters, a tenant that names no Timestream table. */
const refusables = ["long-value", "odd-tenant"] as const;
export type Refusable = (typeof refusables)[number];

export type Kind = "good" | Refusable | Fault;

export interface GeneratedRecord {
  /** The record's bytes as text, without a delimiter. */
  readonly text: string;
  readonly kind: Kind;
}

/** GZIP of two members where the framing is NDJSON; ZIP with its sizes behind the data, as Firehose writes it. */
export type Container = "gzip" | "zip";
export type Framing = "ndjson" | "concatenated";

export interface GeneratedObject {
  /** As Firehose names it: `Data/year=…/month=…/day=…/hour=…/<stream>-1-yyyy-MM-dd-HH-mm-ss-<uuid>.gz` */
  readonly key: string;
  readonly bytes: Buffer;
  readonly container: Container;
  readonly framing: Framing;
  /** In the order of the object's bytes. */
  readonly records: readonly GeneratedRecord[];
}

/** What a correct reader of all objects must find. */
export interface Truth {
  readonly records: number;
  readonly valid: number;
  readonly invalid: number;
  readonly byKind: Readonly<Record<Kind, number>>;
  /** Valid records of each metric. */
  readonly byMetric: Readonly<Record<string, number>>;
  /** Tenants of valid records. */
  readonly tenants: readonly string[];
}

export interface Generated {
  readonly objects: readonly GeneratedObject[];
  readonly truth: Truth;
}

/** Recent enough for every vendor, Timestream's memory store included. */
const storyMs = 60 * 60_000;
/** The longest that this stream buffers, so the last object arrives before `now`. */
const bufferMs = 60_000;
const streamName = "product-events";

const companies: readonly (readonly [id: string, name: string])[] = [
  ["acme-robotics", "Acme Robotics"],
  ["blue-harbor", "Blue Harbor Bank"],
  ["cobalt-health", "Cobalt Health"],
  ["delta-freight", "Delta Freight"],
  ["ember-games", "Ember Games"],
  ["fjord-energi", "Fjord Energi Ærø"],
  ["granite-legal", "Granite Legal & Partners"],
  ["helix-labs", 'Helix "Labs"'],
  ["indigo-air", "Indigo Air"],
  ["jupiter-retail", "ジュピター Retail"],
];

/** No table of Timestream can have this name, and another one would be another tenant's. */
const oddTenant = "northwind/emea";
/** Longer than a HubSpot property value, and than a Mixpanel string. */
const longLength = 300;

/** Text that tempts a careless reader: `}{` in a string, escapes, characters of two to four bytes. */
const repositories = [
  "payments-api",
  "web/checkout",
  "infra }{ terraform",
  'mobile "beta"',
  "søk-tjeneste",
  "データ基盤",
  "docs\\legacy",
  "🚀 launchpad",
];
const scanners = ["semgrep", "trivy", "gitleaks", "zap"];

/** A number in [0, 1). */
type Random = () => number;

/** What a metric of the catalog has beside what every event has. */
interface Fields {
  readonly metadata?: object;
  readonly data: object;
}

/** The six metrics of config/metrics: a product that finds and fixes security problems. */
const metrics: Readonly<Record<string, (random: Random) => Fields>> = {
  findings_upload_completed: (random) => ({
    metadata: { repository: pick(random, repositories), scanner: pick(random, scanners) },
    data: {
      new_findings_count: whole(random, 0, 40),
      fixed_findings_count: whole(random, 0, 15),
      duration_seconds: decimal(random, 1, 180),
      is_baseline: chance(random, 0.1),
    },
  }),
  finding_fixed: (random) => ({
    metadata: {
      repository: pick(random, repositories),
      severity: pick(random, ["low", "medium", "high", "critical"]),
    },
    data: { days_open: whole(random, 0, 200), auto_fixed: chance(random, 0.3) },
  }),
  scan_completed: (random) => ({
    metadata: { repository: pick(random, repositories), scanner: pick(random, scanners) },
    data: {
      duration_seconds: decimal(random, 1, 900),
      files_scanned: whole(random, 1, 50_000),
      succeeded: chance(random, 0.95),
    },
  }),
  user_invited: (random) => ({
    metadata: {
      role: pick(random, ["viewer", "developer", "admin"]),
      via: pick(random, ["email", "sso", "link"]),
    },
    data: {
      seats_left: whole(random, 0, 50),
      ...(chance(random, 0.7) && { invitee_email: `invited-${whole(random, 1, 400)}@example.com` }),
    },
  }),
  plan_changed: (random) => ({
    metadata: {
      old_plan: pick(random, ["free", "team"]),
      new_plan: pick(random, ["business", "enterprise"]),
    },
    data: { seats: whole(random, 1, 500), monthly_price_usd: decimal(random, 50, 5_000) },
  }),
  integration_connected: (random) => ({
    metadata: { integration: pick(random, ["github", "gitlab", "slack", "jira", "aws"]) },
    data: { is_first: chance(random, 0.4) },
  }),
};

/** Those with a repository: a field that has no declared values, so it may be long. */
const withRepository = ["findings_upload_completed", "finding_fixed", "scan_completed"];

/** Generates the objects of one story. */
export function generateObjects(options: GenerateOptions): Generated {
  const { seed = 1, now, records = 3000, tenants = 10, objects: count = 6, faultsOfEachKind = 4 } = options;
  const random = seeded(seed);
  const plans = plan(random, count, records, faultsOfEachKind);
  // One event a step, so that no two share a millisecond and no sink may take two for one.
  const step = (storyMs - bufferMs) / plans.reduce((sum, { kinds }) => sum + kinds.length, 0);
  let time = now - storyMs;
  const objects = plans.map(({ container, framing, kinds }): GeneratedObject => {
    const written = kinds.map((kind): GeneratedRecord => {
      const text = write(random, kind, Math.floor(time + random() * step), tenants, framing);
      time += step;
      return { kind, text };
    });
    const arrived = new Date(time + random() * bufferMs);
    const name = `${streamName}-1-${arrived.toISOString().slice(0, 19).replace(/[T:]/g, "-")}-${uuid(random)}`;
    const [date = "", clock = ""] = arrived.toISOString().split("T");
    const [year, month, day] = date.split("-");
    const folder = `Data/year=${year}/month=${month}/day=${day}/hour=${clock.slice(0, 2)}`;
    const content = Buffer.from(
      framing === "ndjson"
        ? written.map(({ text }) => `${text}\n`).join("")
        : written.map(({ text }) => text).join(""),
    );
    return container === "gzip"
      ? { key: `${folder}/${name}.gz`, bytes: gzip(content, framing), container, framing, records: written }
      : { key: `${folder}/${name}.zip`, bytes: zip(name, content), container, framing, records: written };
  });
  return { objects, truth: truthOf(objects) };
}

interface Plan {
  readonly container: Container;
  readonly framing: Framing;
  readonly kinds: readonly Kind[];
}

/**
 * What each object is and holds. A cut record stands where every reader must find the next one: between lines
 * before one that starts an object, or at the end where nothing separates records.
 */
function plan(random: Random, count: number, records: number, ofEachKind: number): readonly Plan[] {
  const special = [...faults, ...refusables]
    .filter((kind) => kind !== "cut")
    .flatMap((kind) => Array<Kind>(ofEachKind).fill(kind));
  const plans = Array.from({ length: count }, (_, index) => {
    const share = Math.floor(((index + 1) * records) / count) - Math.floor((index * records) / count);
    const own = special.filter((_kind, place) => place % count === index);
    return {
      container: index % 2 === 0 ? ("gzip" as const) : ("zip" as const),
      framing: index % 4 === 0 || index % 4 === 3 ? ("ndjson" as const) : ("concatenated" as const),
      kinds: shuffled(random, [...Array<Kind>(share).fill("good"), ...own]),
    };
  });
  // One cut record an object; what is left over goes to those with lines.
  const lined = plans.filter(({ framing }) => framing === "ndjson");
  for (let index = 0; index < ofEachKind; index += 1) {
    const home = plans[index] ?? lined[index % lined.length];
    if (home === undefined) break;
    let place = home.framing === "ndjson" ? whole(random, 0, home.kinds.length) : home.kinds.length;
    while (home.kinds[place] === "not-an-object") place += 1;
    home.kinds.splice(place, 0, "cut");
  }
  return plans;
}

/** One record as text. */
function write(random: Random, kind: Kind, time: number, tenants: number, framing: Framing): string {
  const [metric, fields] = pick(
    random,
    Object.entries(metrics).filter(([name]) => kind !== "long-value" || withRepository.includes(name)),
  );
  const { metadata: dimensions, data } = fields(random);
  const [tenantId, tenantName] = tenant(whole(random, 0, tenants - 1));
  const metadata = {
    tenant_id: kind === "odd-tenant" ? oddTenant : tenantId,
    tenant_name: kind === "odd-tenant" ? "Northwind EMEA" : tenantName,
    environment: pick(random, ["production", "production", "production", "staging"]),
    // Some producers send no id: then the object and the place in it name the event.
    ...(chance(random, 0.95) && { event_id: uuid(random) }),
    ...(chance(random, 0.6) && { user_id: `user-${whole(random, 1, 40)}` }),
    ...dimensions,
    ...(kind === "long-value" && { repository: "long story ".repeat(longLength).slice(0, longLength) }),
  };
  const record = {
    metric_name: metric,
    metadata,
    data: {
      event_time: eventTime(random, time),
      ...data,
    },
  };
  switch (kind) {
    case "good":
    case "long-value":
    case "odd-tenant":
      return JSON.stringify(record);
    case "cut": {
      const text = JSON.stringify(record);
      // Half a surrogate pair has no UTF-8.
      return text.slice(0, whole(random, 2, text.length - 1)).toWellFormed();
    }
    case "not-an-object":
      // Between records that nothing separates, a bare number or string has no end of its own.
      return framing === "ndjson"
        ? pick(random, ["null", "42", '"heartbeat"', JSON.stringify([record])])
        : JSON.stringify([record]);
    case "no-metric-name":
      // JSON.stringify leaves out what is undefined.
      return JSON.stringify({ ...record, metric_name: pick(random, [undefined, null, "", 7]) });
    case "no-tenant-id":
      return JSON.stringify({
        ...record,
        metadata: { ...metadata, tenant_id: pick(random, [undefined, null, "", 7]) },
      });
    case "bad-event-time":
      return JSON.stringify({
        ...record,
        data: {
          ...record.data,
          event_time: pick(random, [undefined, "yesterday", "2026-02-30T10:00:00Z", true]),
        },
      });
  }
}

/** The same instant as services write it: ISO in UTC, ISO with an offset, epoch milliseconds. */
function eventTime(random: Random, time: number): string | number {
  const form = random();
  if (form < 0.8) return new Date(time).toISOString();
  if (form < 0.9) return new Date(time + 2 * 60 * 60_000).toISOString().replace("Z", "+02:00");
  return time;
}

function tenant(index: number): readonly [id: string, name: string] {
  return companies[index] ?? [`tenant-${index + 1}`, `Tenant ${index + 1}`];
}

function truthOf(objects: readonly GeneratedObject[]): Truth {
  const byKind: Record<Kind, number> = {
    good: 0,
    "long-value": 0,
    "odd-tenant": 0,
    cut: 0,
    "not-an-object": 0,
    "no-metric-name": 0,
    "no-tenant-id": 0,
    "bad-event-time": 0,
  };
  const byMetric: Record<string, number> = {};
  const tenants = new Set<string>();
  for (const { kind, text } of objects.flatMap((object) => object.records)) {
    byKind[kind] += 1;
    if (kind !== "good" && kind !== "long-value" && kind !== "odd-tenant") continue;
    // `write` made the text of these kinds from exactly this shape.
    const event = JSON.parse(text) as { metric_name: string; metadata: { tenant_id: string } };
    byMetric[event.metric_name] = (byMetric[event.metric_name] ?? 0) + 1;
    tenants.add(event.metadata.tenant_id);
  }
  const valid = byKind.good + byKind["long-value"] + byKind["odd-tenant"];
  const records = Object.values(byKind).reduce((sum, count) => sum + count, 0);
  return { records, valid, invalid: records - valid, byKind, byMetric, tenants: [...tenants].sort() };
}

function gzip(content: Buffer, framing: Framing): Buffer {
  if (framing === "concatenated") return gzipSync(content);
  // The members meet in the middle of a record, perhaps of a character.
  const middle = content.length >> 1;
  return Buffer.concat([gzipSync(content.subarray(0, middle)), gzipSync(content.subarray(middle))]);
}

/**
 * One deflated entry whose checksum and sizes stand behind the data and are zero in the local header.
 * Layout: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, 4.3.7 to 4.3.16.
 */
export function zip(name: string, content: Buffer): Buffer {
  const entryName = Buffer.from(name);
  const data = deflateRawSync(content);
  const sums = fields([4, crc32(content)], [4, data.length], [4, content.length]);
  // Version 2.0; flags: a data descriptor (bit 3) and names in UTF-8 (bit 11); deflate; 1980-01-01, midnight.
  const common = fields([2, 20], [2, 0x808], [2, 8], [2, 0], [2, 0x21]);
  const nameLength = fields([2, entryName.length], [2, 0]);
  const local = Buffer.concat([fields([4, 0x04034b50]), common, Buffer.alloc(12), nameLength, entryName]);
  const descriptor = Buffer.concat([fields([4, 0x08074b50]), sums]);
  const central = Buffer.concat([
    fields([4, 0x02014b50], [2, 20]),
    common,
    sums,
    nameLength,
    // Comment length, disk, internal and external attributes, offset of the local header.
    fields([2, 0], [2, 0], [2, 0], [4, 0], [4, 0]),
    entryName,
  ]);
  const centralOffset = local.length + data.length + descriptor.length;
  const end = fields(
    [4, 0x06054b50],
    [2, 0],
    [2, 0],
    [2, 1],
    [2, 1],
    [4, central.length],
    [4, centralOffset],
    [2, 0],
  );
  return Buffer.concat([local, data, descriptor, central, end]);
}

/** Little-endian unsigned integers. */
function fields(...values: readonly (readonly [bytes: 2 | 4, value: number])[]): Buffer {
  const buffer = Buffer.alloc(values.reduce((sum, [bytes]) => sum + bytes, 0));
  let offset = 0;
  for (const [bytes, value] of values) offset = buffer.writeUIntLE(value, offset, bytes);
  return buffer;
}

/** Mulberry32: small, fast, and good enough for stories. */
function seeded(seed: number): Random {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function pick<T>(random: Random, values: readonly T[]): T {
  // The index is within the array, which no caller leaves empty.
  return values[Math.floor(random() * values.length)] as T;
}

function chance(random: Random, probability: number): boolean {
  return random() < probability;
}

/** A whole number from `least` to `most`, both included. */
function whole(random: Random, least: number, most: number): number {
  return least + Math.floor(random() * (most - least + 1));
}

function decimal(random: Random, least: number, most: number): number {
  return Math.round((least + random() * (most - least)) * 100) / 100;
}

/** Of version 4 by its looks, though a seed decides it. */
function uuid(random: Random): string {
  const hex = Array.from({ length: 32 }, () => whole(random, 0, 15).toString(16)).join("");
  const variant = pick(random, ["8", "9", "a", "b"]);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20)}`;
}

/** A new array in random order (Fisher and Yates, inside out). */
function shuffled<T>(random: Random, values: readonly T[]): T[] {
  const mixed: T[] = [];
  for (const value of values) {
    const place = whole(random, 0, mixed.length);
    const displaced = mixed[place];
    if (displaced !== undefined) mixed.push(displaced);
    mixed[place] = value;
  }
  return mixed;
}
