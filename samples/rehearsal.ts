// The pipeline without an account: a bus event goes through the rules as they are deployed, the transform, a stream's
// batch in a folder, the worker's handler and the vendors' twins.
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { Logger as PowertoolsLogger } from "@aws-lambda-powertools/logger";
import { Metrics } from "@aws-lambda-powertools/metrics";
import { Code } from "aws-cdk-lib/aws-lambda";
import { createHubspotTwin } from "../adapters/hubspot/twin.ts";
import { createMixpanelTwin } from "../adapters/mixpanel/twin.ts";
import { createSegmentTwin } from "../adapters/segment/twin.ts";
import { createTimestreamTwin } from "../adapters/timestream/twin.ts";
import makeConfig from "../config/fanout.config.ts";
import { createApp, FanoutStack } from "../infra/stack.ts";
import type { Compression } from "../infra/stream.ts";
import { fieldsOf, listOf, resourcesOf } from "../infra/template.ts";
import {
  type Clock,
  createWorker,
  folderStore,
  type JsonObject,
  type Metric,
  type MissingValue,
  type ObjectReport,
  openStore,
  resolveConfig,
  staticDirectory,
  systemClock,
} from "../src/index.ts";
import { createTransform, type TransformedRecord } from "../src/lambda/transform.ts";
import { createHandler } from "../src/lambda/worker.ts";
import { applyRule } from "../src/routing/apply-rule.ts";
import type { InputTransformer } from "../src/routing/event-rules.ts";
import { serveTwin } from "../src/testing/index.ts";
import { zip } from "./generate.ts";

export const rehearsedSinks = ["timestream", "segment", "mixpanel", "hubspot-events"] as const;
export type RehearsedSink = (typeof rehearsedSinks)[number];

export interface RehearsalOptions {
  readonly metrics: readonly Metric[];
  /** Default: a folder of its own, which `close` removes. */
  readonly folder?: string;
  /** What a target gets in the place of what an event lacks. Default: as EventBridge does it, `empty`. */
  readonly missing?: MissingValue;
}

export interface Rehearsal {
  /** Once for every batch: what came before stays at the vendors. */
  run(event: JsonObject, compression: Compression): Promise<Story>;
  close(): Promise<void>;
}

/** What became of one event, stage by stage; a stage that nothing came to is empty. */
export interface Story {
  /** Metrics of the rules that match, each with the record that it puts into the stream. */
  readonly matched: readonly {
    readonly metric: string;
    readonly bus: string;
    readonly record: string;
    /** The stream takes no larger record: it goes to the rules' dead-letter queue. */
    readonly tooLarge: boolean;
  }[];
  readonly transformed: readonly TransformedRecord[];
  /** Why it refused what it refused, as its log tells: a code and a sentence. */
  readonly causes: readonly string[];
  /** What the stream wrote: a batch of what the transform let through, a document for each record that it refused. */
  readonly objects: readonly { readonly key: string; readonly bytes: number }[];
  /** Notifications that the worker gave back. */
  readonly givenBack: number;
  readonly report: ObjectReport | undefined;
  /** How many events more each vendor holds. */
  readonly stored: Readonly<Record<RehearsedSink, number>>;
}

/** https://docs.aws.amazon.com/firehose/latest/dev/limits.html: "1,000 KiB", before base64. */
const longestRecord = 1000 * 1024;

const streamName = "rehearsal";
const bucket = "bucket";
/** When the rehearsal is, after its event; and what counts as the same time. */
const shortlyMs = 60_000;
const sameTimeMs = 10 * 60_000;

/** The vendors' own names for the tenants of the catalog's samples would come from here. */
const tenants = staticDirectory({ "acme-robotics": { name: "Acme Robotics", environment: "production" } });

export async function createRehearsal(options: RehearsalOptions): Promise<Rehearsal> {
  const { metrics, missing = "empty" } = options;
  const folder = options.folder ?? (await mkdtemp(path.join(tmpdir(), "fanout-rehearsal-")));
  const stories = new Map<Compression, Deployed>();
  const deployedWith = async (compression: Compression) => {
    const known = stories.get(compression) ?? (await synthesise(metrics, compression));
    stories.set(compression, known);
    return known;
  };

  // The rehearsal happens when its event did: vendors refuse what is too old or too far ahead.
  let offset = 0;
  const clock: Clock = { ...systemClock, now: () => systemClock.now() + offset };
  const twins = {
    timestream: createTimestreamTwin({ clock }),
    segment: createSegmentTwin({ clock }),
    mixpanel: createMixpanelTwin({ clock }),
    "hubspot-events": createHubspotTwin(),
  };
  const served = {
    timestream: await serveTwin(twins.timestream.handle),
    segment: await serveTwin(twins.segment.handle),
    mixpanel: await serveTwin(twins.mixpanel.handle),
    hubspot: await serveTwin(twins["hubspot-events"].handle),
  };
  const config = await resolveConfig(makeConfig, {
    env: {
      SINKS: rehearsedSinks.join(","),
      AWS_REGION: "us-east-1",
      TIMESTREAM_DATABASE: "product",
      AWS_ENDPOINT_URL_TIMESTREAM_WRITE: served.timestream.url,
      SEGMENT_WRITE_KEY: "rehearsal",
      SEGMENT_HOST: served.segment.url,
      MIXPANEL_TOKEN: "token",
      MIXPANEL_HOST: served.mixpanel.url,
      HUBSPOT_ACCESS_TOKEN: "rehearsal",
      HUBSPOT_BASE_URL: served.hubspot.url,
      RECEIPTS: path.join(folder, "receipts"),
      DEAD_LETTERS: path.join(folder, "dead-letters"),
    },
  });
  const worker = createWorker({
    ...config,
    source: () => folderStore({ root: path.join(folder, bucket) }),
    receipts: openStore(config.receipts),
    deadLetters: openStore(config.deadLetters),
    clock,
  });
  const logger = new PowertoolsLogger({ logLevel: "SILENT" });
  const reports: ObjectReport[] = [];
  const work = await createHandler({
    logger,
    metrics: silentMetrics(),
    clock,
    createWorker: () => ({
      process: async (ref, limits) => {
        const report = await worker.process(ref, limits);
        reports.push(report);
        return report;
      },
    }),
  });
  let causes: readonly string[] = [];
  const transformLogger = new PowertoolsLogger({ logLevel: "SILENT" });
  transformLogger.warn = (_message, ...[extra]) => {
    causes = Object.keys(fieldsOf(fieldsOf(extra)["causes"]));
  };
  const transform = createTransform({
    metrics,
    directory: tenants,
    logger: transformLogger,
    metricsTo: silentMetrics(),
    clock,
  });

  const store = async (key: string, bytes: Buffer) => {
    const file = path.join(folder, bucket, key);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, bytes);
    return { key, bytes: bytes.length };
  };
  const holdings = () =>
    Object.fromEntries(
      Object.entries(twins).map(([name, { stored }]) => [
        name,
        [...stored.values()].reduce((sum, times) => sum + times, 0),
      ]),
    );

  return {
    async run(event, compression) {
      const deployed = await deployedWith(compression);
      const happened = Date.parse(String(event["time"]));
      const wanted = happened + shortlyMs - clock.now();
      // Of events of one time, the later ones come later: a clock that goes back confuses everybody.
      if (Math.abs(wanted) > sameTimeMs) offset += wanted;
      const before = holdings();
      const arrived = clock.now();

      const matched = deployed.rules.flatMap(({ metric, bus, inputTransformer, ...rule }) => {
        const eventPattern = inAccountOf(event, rule.eventPattern);
        const record = applyRule({ eventPattern, inputTransformer }, event, missing);
        if (record === undefined) return [];
        return [{ metric, bus, record, tooLarge: Buffer.byteLength(record) > longestRecord }];
      });
      const records = matched
        .filter(({ tooLarge }) => !tooLarge)
        .map(({ record }, index) => ({
          recordId: `record-${index}`,
          approximateArrivalTimestamp: arrived,
          data: Buffer.from(record).toString("base64"),
        }));
      causes = [];
      const { records: transformed } =
        records.length === 0
          ? { records: [] }
          : await transform(
              { deliveryStreamArn: streamName, records },
              { getRemainingTimeInMillis: () => 60_000 },
            );

      const objects: { key: string; bytes: number }[] = [];
      const batch = Buffer.concat(
        transformed.flatMap((each) => (each.result === "Ok" ? [Buffer.from(each.data, "base64")] : [])),
      );
      const name = `${streamName}-1-${new Date(arrived).toISOString().slice(0, 19).replaceAll(/[T:]/g, "-")}-${crypto.randomUUID()}`;
      if (batch.length > 0) {
        const key = `${prefixAt(deployed.prefix, arrived)}${name}${compression === "GZIP" ? ".gz" : ".zip"}`;
        objects.push(await store(key, compression === "GZIP" ? gzipSync(batch) : zip(name, batch)));
      }
      const refused = transformed.flatMap((each, index) =>
        each.result === "Ok" ? [] : [records[index]?.data],
      );
      if (refused.length > 0) {
        const documents = refused.map((rawData) => `${JSON.stringify(errorDocument(rawData, arrived))}\n`);
        const key = `${prefixAt(deployed.errorPrefix, arrived)}${name}`;
        objects.push(await store(key, Buffer.from(documents.join(""))));
      }

      // S3 tells of what is below the prefix, and the topic hands its text to the queue as it is.
      const messages = objects
        .filter(({ key }) => key.startsWith(deployed.notified))
        .map(({ key }) => ({
          messageId: key,
          body: JSON.stringify({
            Records: [
              {
                eventSource: "aws:s3",
                eventName: "ObjectCreated:Put",
                s3: { bucket: { name: bucket }, object: { key: encodeURIComponent(key) } },
              },
            ],
          }),
        }));
      reports.length = 0;
      const answer =
        messages.length === 0
          ? { batchItemFailures: [] }
          : await work(
              { Records: messages },
              { awsRequestId: "rehearsal", getRemainingTimeInMillis: () => 60_000 },
            );
      const batchItemFailures = "batchItemFailures" in answer ? answer.batchItemFailures : [];
      const after = holdings();
      const more = (sink: RehearsedSink) => (after[sink] ?? 0) - (before[sink] ?? 0);
      return {
        matched,
        transformed,
        causes,
        objects,
        givenBack: batchItemFailures.length,
        report: reports.at(-1),
        stored: {
          timestream: more("timestream"),
          segment: more("segment"),
          mixpanel: more("mixpanel"),
          "hubspot-events": more("hubspot-events"),
        },
      };
    },
    async close() {
      await worker.close();
      await Promise.all(Object.values(served).map((each) => each.close()));
      if (options.folder === undefined) await rm(folder, { recursive: true, force: true });
    },
  };
}

/** The pattern as it is deployed in the event's own account, which the template leaves open. */
function inAccountOf({ account = "" }: JsonObject, pattern: JsonObject): JsonObject {
  const open = JSON.stringify({ Ref: "AWS::AccountId" });
  // A pattern with another value in it is a pattern still.
  return JSON.parse(JSON.stringify(pattern).replaceAll(open, () => JSON.stringify(account))) as JsonObject;
}

/** What of the template an event meets. */
interface Deployed {
  readonly rules: readonly {
    readonly metric: string;
    readonly bus: string;
    readonly eventPattern: JsonObject;
    readonly inputTransformer: InputTransformer;
  }[];
  readonly prefix: string;
  readonly errorPrefix: string;
  /** How the keys begin of which the bucket tells. */
  readonly notified: string;
}

/** The template as it would be deployed, without the functions' code. */
async function synthesise(metrics: readonly Metric[], compression: Compression): Promise<Deployed> {
  const outdir = await mkdtemp(path.join(tmpdir(), "fanout-rehearsal-"));
  try {
    const app = createApp({ outdir });
    const code = () => Code.fromInline("export {};");
    const stack = new FanoutStack(app, "rehearsal", { metrics, sinks: rehearsedSinks, compression, code });
    const resources = resourcesOf(app.synth().getStackByName(stack.stackName).template);
    const rules = resources.flatMap(({ type, properties }) => {
      const pattern = properties["EventPattern"];
      if (type !== "AWS::Events::Rule" || pattern === undefined) return [];
      const { InputTransformer: transformer } = fieldsOf(listOf(properties["Targets"])[0]);
      const { InputPathsMap: paths, InputTemplate: template } = fieldsOf(transformer);
      return [
        {
          metric: /"metric_name":"([^"]*)"/.exec(String(template))?.[1] ?? "",
          bus: String(properties["EventBusName"]),
          // Out of JSON, so it is JSON.
          eventPattern: pattern as JsonObject,
          inputTransformer: {
            inputPathsMap: Object.fromEntries(
              Object.entries(fieldsOf(paths)).map(([name, value]) => [name, String(value)]),
            ),
            inputTemplate: String(template),
          },
        },
      ];
    });
    const one = (type: string, property: string) =>
      fieldsOf(
        resources.find((each) => each.type === type && property in each.properties)?.properties[property],
      );
    const destination = one("AWS::KinesisFirehose::DeliveryStream", "ExtendedS3DestinationConfiguration");
    const [notification] = listOf(
      one("AWS::S3::Bucket", "NotificationConfiguration")["TopicConfigurations"],
    ).map(fieldsOf);
    const [filter] = listOf(fieldsOf(fieldsOf(notification?.["Filter"])["S3Key"])["Rules"]).map(fieldsOf);
    return {
      rules,
      prefix: String(destination["Prefix"]),
      errorPrefix: String(destination["ErrorOutputPrefix"]),
      notified: String(filter?.["Value"]),
    };
  } finally {
    await rm(outdir, { recursive: true, force: true });
  }
}

/** https://docs.aws.amazon.com/firehose/latest/dev/s3-prefixes.html, as far as our prefixes go. */
function prefixAt(prefix: string, time: number): string {
  const [year, month, day, hour] = new Date(time).toISOString().split(/[-T:]/);
  const parts: Readonly<Record<string, string | undefined>> = { yyyy: year, MM: month, dd: day, HH: hour };
  return prefix
    .replaceAll(/!\{timestamp:(\w+)\}/g, (whole, format: string) => parts[format] ?? whole)
    .replace("!{firehose:error-output-type}", "processing-failed");
}

/** What Firehose writes of a record that its transform refused. */
function errorDocument(rawData: string | undefined, now: number) {
  return {
    attemptsMade: 1,
    arrivalTimestamp: now,
    errorCode: "Lambda.ProcessingFailedStatus",
    errorMessage: "ProcessingFailed status set for record",
    attemptEndingTimestamp: now,
    rawData,
    lambdaArn: "arn:aws:lambda:us-east-1:123456789012:function:transform",
  };
}

/** The story is told by the rehearsal, not by lines of metrics. */
function silentMetrics(): Metrics {
  const metrics = new Metrics({ namespace: "rehearsal" });
  metrics.publishStoredMetrics = () => {
    metrics.clearMetrics();
    metrics.clearDimensions();
    return metrics;
  };
  return metrics;
}
