// `npm run cost`: what the deployed pipeline costs AWS's customer a month, from measured figures and listed prices.
import { renderTable } from "../src/cli/table.ts";
import type { Topology } from "./pipeline.ts";
import { reconcileHours, replayMinutes } from "./schedule.ts";
import { type Buffer, defaultBuffer } from "./stream.ts";

/** US East (N. Virginia), without free tiers, in dollars. The pages are AWS's; the dates are of when they said so. */
const prices = {
  /** https://aws.amazon.com/eventbridge/pricing/, March 2026: an event of up to 64 KB that is put on a bus. */
  busEvent: 1 / 1e6,
  /** https://aws.amazon.com/firehose/pricing/, no date: a GB of the first 500 TB, each record in steps of 5 KB. */
  streamGb: 0.029,
  /** https://aws.amazon.com/lambda/pricing/, May 2026: arm64. */
  lambdaGbSecond: 0.000_013_333_4,
  lambdaRequest: 0.2 / 1e6,
  /** https://aws.amazon.com/s3/pricing/, no date: Standard; PUT and LIST; GET and HEAD; a GB and month. */
  s3Write: 0.005 / 1e3,
  s3Read: 0.0004 / 1e3,
  s3GbMonth: 0.023,
  /** https://aws.amazon.com/sns/pricing/, June 2026; what goes on to SQS is free. */
  topicPublish: 0.5 / 1e6,
  /** https://aws.amazon.com/sqs/pricing/, March 2026. */
  queueRequest: 0.4 / 1e6,
  /** https://aws.amazon.com/cloudwatch/pricing/, February and June 2026. */
  alarm: 0.1,
  compositeAlarm: 0.5,
  dashboard: 3,
  metric: 0.3,
  logGb: 0.5,
  /** https://aws.amazon.com/secrets-manager/pricing/, no date. */
  secret: 0.4,
  /** https://aws.amazon.com/ec2/pricing/on-demand/#Data_Transfer, no date: to the internet; up to so many GB. */
  transferGb: [
    [10_240, 0.09],
    [51_200, 0.085],
    [153_600, 0.07],
    [Number.POSITIVE_INFINITY, 0.05],
  ],
} as const;

/** Of this project, measured: `samples/generate.ts`, S3's and the vendors' twins. */
const measured = {
  recordBytes: 320,
  gzippedBytes: 46,
  /** A batch of 1 MB takes 60 ms of a core, of which 512 MB of memory are 0.29. */
  transformSecondsPerMb: 0.25,
} as const;

/** What no local run can measure: vendors' answers, mostly. */
const assumed = {
  /** An object waits for its vendor for so long in all, and each event costs its share of 1 GB's 0.58 cores. */
  workerSecondsPerObject: 2,
  workerSecondsPerEvent: 0.0002,
  replaySeconds: 1,
  reconcileSeconds: 3,
} as const;

/**
 * Counted in the one world of the tests, with four sinks, one a vendor; a test fails when the code asks for something else.
 * S3's writes are PUT and LIST, its reads GET and HEAD.
 */
export const counted = {
  "per-sink": {
    workers: 4,
    objectWrites: 17,
    objectReads: 12,
    idleReplayWrites: 16,
    reconcileWrites: 5,
    objectLogBytes: 4_700,
    metrics: 9,
    alarms: 45,
    /** CloudWatch counts an alarm by the figures that it adds up. */
    alarmFigures: 55,
    compositeAlarms: 1,
    secrets: 3,
  },
  single: {
    workers: 1,
    objectWrites: 11,
    objectReads: 3,
    idleReplayWrites: 10,
    reconcileWrites: 5,
    objectLogBytes: 3_600,
    metrics: 9,
    alarms: 33,
    alarmFigures: 37,
    compositeAlarms: 1,
    secrets: 3,
  },
} as const satisfies Readonly<Record<Topology, object>>;

/**
 * Bytes of an event to each vendor, counted there too, heads of requests included. Timestream is within AWS. Mixpanel
 * documents that it takes gzip, and Segment's own libraries send it (356 and 554 without it); HubSpot's pages say nothing.
 */
export const sentBytes = { mixpanel: 81, segment: 74, "hubspot-events": 306 } as const;

const sinks = 4;
const dataDays = 90;

const secondsPerMonth = 30 * 24 * 60 * 60;
const megabyte = 1024 ** 2;
const gigabyte = 1024 ** 3;
/** The transform's own batch. */
const transformSeconds = 60;
const stepBytes = 5 * 1024;
/** Lambda asks a queue that has nothing with five pollers, each for 20 s. */
const idlePolls = (5 * secondsPerMonth) / 20;
const replaysPerMonth = secondsPerMonth / (replayMinutes * 60);
const reconcilesPerMonth = secondsPerMonth / (reconcileHours * 60 * 60);
/** Days of objects and of books that a reconciler lists, a page being 1,000 keys. */
const reconciledDays = 4;
const keysPerPage = 1_000;

/** What a deployment can choose. */
export interface CostSettings {
  readonly topology?: Topology;
  readonly buffer?: Buffer;
  readonly hasDashboard?: boolean;
}

/** Dollars a month, service by service, beyond the bus. */
export function monthlyCost(
  eventsPerSecond: number,
  { topology = "per-sink", buffer = defaultBuffer, hasDashboard = true }: CostSettings = {},
): Readonly<Record<string, number>> {
  const of = counted[topology];
  const events = eventsPerSecond * secondsPerMonth;
  const bytesPerSecond = eventsPerSecond * measured.recordBytes;
  // A stream that nothing comes to writes nothing.
  const often = (bytes: number, seconds: number) =>
    secondsPerMonth * Math.max(bytesPerSecond / bytes, Math.min(eventsPerSecond, 1 / seconds));
  const objects = often(buffer.mb * megabyte, buffer.seconds);
  const batches = often(megabyte, transformSeconds);
  const deliveries = objects * of.workers;
  const transformTime = ((events * measured.recordBytes) / megabyte) * measured.transformSecondsPerMb;
  const workerSeconds =
    deliveries * assumed.workerSecondsPerObject +
    events * sinks * assumed.workerSecondsPerEvent +
    replaysPerMonth * of.workers * assumed.replaySeconds;
  const invocations = batches + deliveries + replaysPerMonth * of.workers + reconcilesPerMonth;
  const keptGb = (events * measured.gzippedBytes * (dataDays / 30)) / gigabyte;
  // Of an object its own key, and a claim and a receipt a lane.
  const keysListed = (objects / 30) * reconciledDays * (1 + 2 * (sinks + 1));
  const reconcileWrites = Math.max(of.reconcileWrites, keysListed / keysPerPage);
  return {
    Firehose: ((events * stepBytes) / gigabyte) * prices.streamGb,
    Lambda:
      (transformTime * 0.5 + workerSeconds + reconcilesPerMonth * assumed.reconcileSeconds * 0.25) *
        prices.lambdaGbSecond +
      invocations * prices.lambdaRequest,
    S3:
      objects * (1 + of.objectWrites) * prices.s3Write +
      objects * of.objectReads * prices.s3Read +
      replaysPerMonth * of.idleReplayWrites * prices.s3Write +
      reconcilesPerMonth * reconcileWrites * prices.s3Write +
      keptGb * prices.s3GbMonth,
    "SNS, SQS":
      objects * prices.topicPublish + (deliveries * 3 + idlePolls * of.workers) * prices.queueRequest,
    CloudWatch:
      of.alarmFigures * prices.alarm +
      of.compositeAlarms * prices.compositeAlarm +
      (hasDashboard ? prices.dashboard : 0) +
      of.metrics * prices.metric +
      ((objects * of.objectLogBytes) / gigabyte) * prices.logGb,
    "Secrets Manager": of.secrets * prices.secret,
    "to the vendors' networks": transfer(
      (events * Object.values(sentBytes).reduce((sum, bytes) => sum + bytes, 0)) / gigabyte,
    ),
  };
}

/** The bus, which the events are on already: a pipeline that reads them from it pays nothing more for that. */
export function monthlyBusCost(eventsPerSecond: number): number {
  return eventsPerSecond * secondsPerMonth * prices.busEvent;
}

function transfer(gb: number): number {
  let cost = 0;
  let from = 0;
  for (const [until, price] of prices.transferGb) {
    cost += Math.max(0, Math.min(gb, until) - from) * price;
    from = until;
  }
  return cost;
}

if (import.meta.main) {
  const large = { seconds: 300, mb: 64 };
  const columns: readonly (readonly [string, number, CostSettings])[] = [
    ["77/s per-sink", 77, { topology: "per-sink" }],
    ["77/s single", 77, { topology: "single" }],
    ["77/s single, 300 s, no dashboard", 77, { topology: "single", buffer: large, hasDashboard: false }],
    ["10,000/s per-sink", 10_000, { topology: "per-sink" }],
    ["10,000/s single, 64 MB", 10_000, { topology: "single", buffer: large }],
  ];
  const months = columns.map(([, rate, settings]) => ({ rate, month: monthlyCost(rate, settings) }));
  const dollars = (value: number) => `$${Math.round(value).toLocaleString("en-US")}`;
  const row = (name: string, figure: (column: (typeof months)[number]) => number) => [
    name,
    ...months.map((column) => dollars(figure(column))),
  ];
  const rows = [
    ...Object.keys(months[0]?.month ?? {}).map((service) => row(service, ({ month }) => month[service] ?? 0)),
    row("all beyond the bus", ({ month }) => Object.values(month).reduce((sum, value) => sum + value, 0)),
    row("the bus (EventBridge)", ({ rate }) => monthlyBusCost(rate)),
  ];
  const head = ["a month", ...columns.map(([name]) => name)];
  const colAligns = head.map((_, index) => (index === 0 ? ("left" as const) : ("right" as const)));
  process.stdout.write(`${renderTable({ head, colAligns }, rows, false)}\n`);
}
