// `npm run cost`: what the deployed pipeline costs AWS's customer a month, from measured figures and listed prices.
import { renderTable } from "../src/cli/table.ts";

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
  /** Mixpanel, Segment and HubSpot together, heads of requests included. Timestream is within AWS. */
  sentBytes: 356 + 554 + 304,
  /** One worker of one sink, an object. */
  s3WritesPerObject: 5,
  s3ReadsPerObject: 3,
  logBytesPerObject: 1_600,
  /** A batch of 1 MB takes 60 ms of a core, of which 512 MB of memory are 0.29. */
  transformSecondsPerMb: 0.25,
} as const;

/** What no local run can measure: vendors' answers, mostly. */
const assumed = {
  /** An object waits for its vendor for so long in all, and each event costs its share of 1 GB's 0.58 cores. */
  workerSecondsPerObject: 2,
  workerSecondsPerEvent: 0.0002,
  replaySeconds: 1,
} as const;

/** The deployment: four sinks, each with its queue and functions; see `npm run synth`. */
export const deployed = { sinks: 4, secrets: 3, alarms: 43, metrics: 65, dataDays: 90 } as const;

const secondsPerMonth = 30 * 24 * 60 * 60;
const megabyte = 1024 ** 2;
const gigabyte = 1024 ** 3;
const bufferSeconds = 60;
const bufferBytes = 5 * megabyte;
const stepBytes = 5 * 1024;
/** Lambda asks a queue that has nothing with five pollers, each for 20 s. */
const idlePolls = (5 * secondsPerMonth) / 20;
const replaysPerMonth = secondsPerMonth / (5 * 60);

/** Dollars a month, service by service. */
export function monthlyCost(eventsPerSecond: number): Readonly<Record<string, number>> {
  const events = eventsPerSecond * secondsPerMonth;
  const bytesPerSecond = eventsPerSecond * measured.recordBytes;
  // A stream that nothing comes to writes nothing.
  const leastPerSecond = Math.min(eventsPerSecond, 1 / bufferSeconds);
  const objects = secondsPerMonth * Math.max(bytesPerSecond / bufferBytes, leastPerSecond);
  const batches = secondsPerMonth * Math.max(bytesPerSecond / megabyte, leastPerSecond);
  const deliveries = objects * deployed.sinks;
  const transformSeconds = ((events * measured.recordBytes) / megabyte) * measured.transformSecondsPerMb;
  const workerSeconds =
    deliveries * assumed.workerSecondsPerObject +
    events * deployed.sinks * assumed.workerSecondsPerEvent +
    replaysPerMonth * deployed.sinks * assumed.replaySeconds;
  const invocations = batches + deliveries + replaysPerMonth * deployed.sinks;
  const keptGb = (events * measured.gzippedBytes * (deployed.dataDays / 30)) / gigabyte;
  return {
    EventBridge: events * prices.busEvent,
    Firehose: ((events * stepBytes) / gigabyte) * prices.streamGb,
    Lambda:
      (transformSeconds * 0.5 + workerSeconds) * prices.lambdaGbSecond + invocations * prices.lambdaRequest,
    S3:
      objects * prices.s3Write +
      deliveries * (measured.s3WritesPerObject * prices.s3Write + measured.s3ReadsPerObject * prices.s3Read) +
      keptGb * prices.s3GbMonth,
    "SNS, SQS":
      objects * prices.topicPublish + (deliveries * 3 + idlePolls * deployed.sinks) * prices.queueRequest,
    CloudWatch:
      deployed.alarms * prices.alarm +
      prices.dashboard +
      deployed.metrics * prices.metric +
      ((deliveries * measured.logBytesPerObject) / gigabyte) * prices.logGb,
    "Secrets Manager": deployed.secrets * prices.secret,
    "to the vendors' networks": transfer((events * measured.sentBytes) / gigabyte),
  };
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
  const rates = [77, 10_000];
  const months = rates.map(monthlyCost);
  const dollars = (value: number) => `$${Math.round(value).toLocaleString("en-US")}`;
  const rows = Object.keys(months[0] ?? {}).map((service) => [
    service,
    ...months.map((month) => dollars(month[service] ?? 0)),
  ]);
  const total = months.map((month) => dollars(Object.values(month).reduce((sum, value) => sum + value, 0)));
  const head = ["a month", ...rates.map((rate) => `${rate.toLocaleString("en-US")} events/s`)];
  const table = renderTable(
    { head, colAligns: ["left", "right", "right"] },
    [...rows, ["all", ...total]],
    false,
  );
  process.stdout.write(`${table}\n`);
}
