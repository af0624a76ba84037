// The deployed pipeline in one world: every function of a synthesised template runs as its bundle, under the rights of
// its own role, on one object store and the template's queues; vendors count what they were sent.

import metrics from "../../../config/metrics/index.ts";
import { bundle, type Entry } from "../../../infra/bundle.ts";
import { adaptersOf } from "../../../infra/sinks.ts";
import {
  fieldsOf,
  flatten,
  listOf,
  type Resource,
  type Statement,
  statementsIn,
  statementsOf,
} from "../../../infra/template.ts";
import { type Clock, systemClock } from "../../../src/delivery/clock.ts";
import { type ServedTwin, serveTwin, type TwinHandler } from "../../../src/testing/index.ts";
import { AwsRefusal, awsJson, numberOf, textOf } from "../../support/aws-json.ts";
import { createS3Twin, type S3Twin, s3Refusal } from "../../support/s3-twin.ts";
import { type SinkName, serveVendors, type Vendors } from "../../support/vendors.ts";
import type { Synthesised } from "../synthesised.ts";
import { type Cloud, createCloud } from "./cloud.ts";
import { type KeyUse, keysOf } from "./keys.ts";
import { account, type Names, region } from "./names.ts";
import { type Access, isAllowed, type Policies, usualContext } from "./policy.ts";
import { createQueue, type Message, type Queue } from "./queue.ts";
import { type Invocation, openSandbox, type Sandbox } from "./sandbox.ts";

/** A request to AWS that a role made, and what became of it. */
export interface Asked extends Access {
  readonly allowed: boolean;
}

export interface Invoked extends Invocation {
  readonly function: string;
}

export interface World {
  readonly s3: S3Twin;
  readonly vendors: Vendors;
  readonly clock: Pick<Clock, "now">;
  /** Names of the two buckets that the running stack has. */
  readonly data: string;
  readonly books: string;
  /** ARN of the customer's key with which the running template encrypts; undefined where it does not. */
  readonly key: string | undefined;
  /** Every request to S3, SQS, Secrets Manager, Timestream and, through these, to KMS, in order. */
  readonly asked: readonly Asked[];
  /** Every line that functions wrote. */
  readonly lines: readonly string[];
  readonly invocations: readonly Invoked[];
  /** Of the running template: name → queue, in the order of the template. */
  readonly queues: ReadonlyMap<string, Queue>;
  /** The policies that decide about a role's request; for questions that no function asks. */
  policiesOf(role: string, resource: string): Policies;
  /** The statements of every role of the template, by its ARN. */
  readonly roles: ReadonlyMap<string, readonly Statement[]>;
  /** Writes an object as the stream does, and lets S3 tell the queues. Answers its version. */
  deliver(key: string, bytes: Uint8Array): string;
  /** Tells the queues once more: S3 delivers at least once. */
  notifyAgain(key: string, version: string): void;
  /** How many functions deliver from a queue. */
  readonly workers: number;
  /** Functions that do not run: their messages wait. By a part of the name, such as `mixpanel`. */
  readonly paused: Set<string>;
  /** What S3 answers instead of its usual answer, as long as it is set. */
  s3Fault?: (request: Request, usual: () => Promise<Response>) => Promise<Response>;
  /** Lets the queues' messages that are due reach their workers, until none is due. */
  run(): Promise<void>;
  /** Every replayer once, at the same time. */
  replay(): Promise<readonly Invoked[]>;
  /** The reconciler once. */
  reconcile(): Promise<readonly Invoked[]>;
  /** The functions whose names match, each once. */
  invoke(name: RegExp, event: unknown): Promise<readonly Invoked[]>;
  /** Moves the time on; nothing runs meanwhile. */
  advance(ms: number): void;
  /**
   * Replaces the functions, roles and queues by those of another template; stores and vendors stay. Makes a new stack,
   * with buckets of its own, where the last one is destroyed.
   */
  redeploy(made: Synthesised): Promise<void>;
  /** What CloudFormation and S3 know of the buckets. */
  readonly cloud: Cloud;
  /** The stack goes, and everything with it but the buckets. */
  destroy(): Promise<void>;
  close(): Promise<void>;
}

export interface WorldOptions {
  readonly versioning?: boolean;
  /** Of each function, instead of what its template gives it; a function that is not named is as in the template. */
  readonly change?: (statement: Statement, role: string) => Statement | undefined;
}

interface Lambda {
  readonly name: string;
  readonly entry: Entry;
  readonly role: string;
  readonly sandbox: Sandbox;
  readonly servers: readonly ServedTwin[];
  /** What Lambda itself does in the name of the function's role. */
  may(action: string, resource: string): boolean;
  /** Whether the role may use the key that stands before what it wants; also when there is none. */
  mayUse(use: KeyUse | undefined): boolean;
}

export async function createWorld(made: Synthesised, options: WorldOptions = {}): Promise<World> {
  const offset = new SharedArrayBuffer(8);
  const moved = new BigInt64Array(offset);
  const now = () => Date.now() + Number(Atomics.load(moved, 0));
  const clock: Clock = { ...systemClock, now };
  const vendors = await serveVendors(clock);
  const cloud = createCloud();
  cloud.deploy(made.resources);
  const bucketOf = (which: string) =>
    cloud.names.name(
      idOf(made.resources, "AWS::S3::Bucket", new RegExp(`^FanoutStorage${which}[0-9A-F]{8}$`)),
    );
  const names = [bucketOf("Data"), bucketOf("Books")];
  // A second stack's, too: the store has no way to get more.
  const buckets = names.flatMap((name) => [name, `${name}-2`]);
  const s3 = createS3Twin({ clock, buckets, ...(options.versioning && { versioning: true }) });

  const asked: Asked[] = [];
  const lines: string[] = [];
  const invocations: Invoked[] = [];
  const paused = new Set<string>();
  let running: Deployment;

  const world: World = {
    s3,
    vendors,
    clock,
    cloud,
    get data() {
      return bucketOf("Data");
    },
    get books() {
      return bucketOf("Books");
    },
    asked,
    lines,
    invocations,
    paused,
    get key() {
      return running.keys.any;
    },
    get workers() {
      return running.mappings.length;
    },
    get queues() {
      return running.queues;
    },
    get roles() {
      return running.roles;
    },
    policiesOf: (role, resource) => running.policiesOf(role, resource),
    deliver(key, bytes) {
      const version = s3.put(world.data, key, bytes);
      world.notifyAgain(key, version);
      return version;
    },
    notifyAgain(key, version) {
      const isId = version.startsWith("twin.");
      const object = { key: encodeURIComponent(key).replaceAll("%20", "+").replaceAll("%2F", "/"), size: 1 };
      const named = isId
        ? { ...object, versionId: version, eTag: "0".repeat(32) }
        : { ...object, eTag: version };
      const s3Record = { bucket: { name: world.data }, object: named };
      const record = { eventSource: "aws:s3", eventName: "ObjectCreated:Put", s3: s3Record };
      const topics = cloud.topicsOf(world.data);
      for (const { topic, queue } of running.subscribed) {
        if (topics.includes(topic)) queue.send(JSON.stringify({ Records: [record] }));
      }
    },
    async run() {
      for (let isBusy = true; isBusy; ) {
        const turns = running.mappings
          .filter(({ lambda }) => ![...paused].some((part) => lambda.name.includes(part)))
          .flatMap(({ lambda, queue, concurrency }) =>
            poll(lambda, queue, concurrency).map(async (message) => {
              const answer = await invoke(lambda, sqsEvent(queue, message));
              const failed = listOf(fieldsOf(answer.answer)["batchItemFailures"]);
              const isDone = answer.thrown === undefined && failed.length === 0;
              if (isDone && lambda.may("sqs:DeleteMessage", queueArn(queue))) queue.delete(message.handle);
            }),
          );
        isBusy = turns.length > 0;
        await Promise.all(turns);
      }
    },
    async replay() {
      const replayers = running.lambdas.filter(({ entry }) => entry === "replayer");
      return await Promise.all(replayers.map(async (each) => await invoke(each, {})));
    },
    reconcile: () => world.invoke(/Reconciler/, {}),
    async invoke(name, event) {
      const called = running.lambdas.filter((each) => name.test(each.name));
      return await Promise.all(called.map(async (each) => await invoke(each, event)));
    },
    advance(ms) {
      Atomics.add(moved, 0, BigInt(Math.round(ms)));
    },
    async redeploy(next) {
      await running.close();
      cloud.deploy(next.resources);
      running = await deploy(next);
    },
    async destroy() {
      await running.close();
      cloud.destroy();
    },
    async close() {
      await running.close();
      await vendors.close();
    },
  };

  /** What Lambda's poller gets for the function, with the rights of the function's role. */
  function poll(lambda: Lambda, queue: Queue, most: number): Message[] {
    const isAllowed = ["sqs:GetQueueAttributes", "sqs:ReceiveMessage"].map((action) =>
      lambda.may(action, queueArn(queue)),
    );
    // What it cannot decrypt it is not given.
    isAllowed.push(lambda.mayUse(running.keys.ofMessages(queue.name)));
    return isAllowed.every(Boolean) ? queue.receive(most) : [];
  }

  async function invoke(lambda: Lambda, event: unknown): Promise<Invoked> {
    const done = { function: lambda.name, ...(await lambda.sandbox.invoke(event)) };
    invocations.push(done);
    return done;
  }

  interface Deployment {
    readonly lambdas: readonly Lambda[];
    readonly queues: ReadonlyMap<string, Queue>;
    readonly subscribed: readonly { readonly topic: string; readonly queue: Queue }[];
    readonly roles: ReadonlyMap<string, readonly Statement[]>;
    readonly keys: ReturnType<typeof keysOf>;
    readonly mappings: readonly {
      readonly lambda: Lambda;
      readonly queue: Queue;
      readonly concurrency: number;
    }[];
    policiesOf(role: string, resource: string): Policies;
    close(): Promise<void>;
  }

  async function deploy({ resources }: Synthesised): Promise<Deployment> {
    const { names } = cloud;
    const all = (type: string) => resources.filter((each) => each.type === type);
    const identity = (role: string) =>
      statementsOf(resources.filter(({ id }) => id === role))
        .map(names.statement)
        .flatMap((each) => (options.change === undefined ? [each] : (options.change(each, role) ?? [])));
    const ofRole = new Map(all("AWS::IAM::Role").map(({ id }) => [names.arn(id), identity(id)]));
    const resourcePolicies = new Map(
      [...all("AWS::S3::BucketPolicy"), ...all("AWS::SQS::QueuePolicy")].flatMap(({ id, properties }) => {
        const targets = [...listOf(properties["Bucket"]), ...listOf(properties["Queues"])];
        const statements = statementsIn(id, properties["PolicyDocument"]).map(names.statement);
        return targets.map((target) => [names.resolve(flatten(target)), statements] as const);
      }),
    );
    const policiesOf = (role: string, resource: string): Policies => {
      const bucket = /^arn:aws:s3:::([^/]+)/.exec(resource)?.[1];
      return {
        identity: ofRole.get(role) ?? [],
        resource: (bucket === undefined ? undefined : resourcePolicies.get(bucket)) ?? [],
      };
    };

    const keys = keysOf(resources, names);
    const queues = new Map<string, Queue>();
    for (const { id, properties } of all("AWS::SQS::Queue")) {
      const { maxReceiveCount, deadLetterTargetArn } = fieldsOf(properties["RedrivePolicy"]);
      const target =
        deadLetterTargetArn === undefined
          ? ""
          : (names.resolve(flatten(deadLetterTargetArn)).split(":").at(-1) ?? "");
      queues.set(
        id,
        createQueue({
          name: id,
          now,
          visibilityMs: Number(properties["VisibilityTimeout"] ?? 30) * 1000,
          ...(maxReceiveCount !== undefined && {
            redrive: { maxReceiveCount: Number(maxReceiveCount), to: () => queueNamed(target) },
          }),
        }),
      );
    }
    const queueNamed = (name: string): Queue => {
      const queue = queues.get(name);
      if (queue === undefined) throw new Error(`the template has no queue ${name}`);
      return queue;
    };
    const queueOf = (arn: unknown) => queueNamed(names.resolve(flatten(arn)).split(":").at(-1) ?? "");

    const lambdas = await Promise.all(
      all("AWS::Lambda::Function").map((each) => start(each, names, policiesOf, queues, keys)),
    );
    const lambdaNamed = (name: string): Lambda => {
      const lambda = lambdas.find((each) => each.name === name);
      if (lambda === undefined) throw new Error(`the template has no function ${name}`);
      return lambda;
    };
    return {
      lambdas,
      queues,
      roles: ofRole,
      keys,
      subscribed: all("AWS::SNS::Subscription")
        .filter(({ properties }) => properties["Protocol"] === "sqs")
        .map(({ properties }) => ({
          topic: names.resolve(flatten(properties["TopicArn"])),
          queue: queueOf(properties["Endpoint"]),
        })),
      mappings: all("AWS::Lambda::EventSourceMapping").map(({ properties }) => ({
        lambda: lambdaNamed(names.resolve(flatten(properties["FunctionName"]))),
        queue: queueOf(properties["EventSourceArn"]),
        concurrency: Number(fieldsOf(properties["ScalingConfig"])["MaximumConcurrency"] ?? 2),
      })),
      policiesOf,
      async close() {
        await Promise.all(lambdas.map(({ sandbox }) => sandbox.close()));
        await Promise.all(lambdas.flatMap(({ servers }) => servers.map((each) => each.close())));
      },
    };
  }

  async function start(
    { id, properties }: Resource,
    names: Names,
    policiesOf: Deployment["policiesOf"],
    queues: ReadonlyMap<string, Queue>,
    keys: Deployment["keys"],
  ): Promise<Lambda> {
    const role = names.resolve(flatten(properties["Role"]));
    const entry = entryOf(id);
    const variables = Object.fromEntries(
      Object.entries(fieldsOf(fieldsOf(properties["Environment"])["Variables"])).map(([name, value]) => [
        name,
        names.resolve(flatten(value)),
      ]),
    );
    const check = (access: Omit<Access, "principal">): boolean => {
      const full: Access = { principal: role, ...access, context: { ...usualContext, ...access.context } };
      const allowed = isAllowed(policiesOf(role, access.resource), full);
      asked.push({ ...full, allowed });
      return allowed;
    };
    const mayUse = (use: KeyUse | undefined) => use === undefined || check(use);
    const servers = await Promise.all([
      serveTwin(guardedS3(check, keys)),
      serveTwin(secrets(check, keys)),
      serveTwin(guardedQueues(check, queues)),
      serveTwin(guardedTimestream(check)),
    ]);
    const [s3Url = "", secretsUrl = "", sqsUrl = "", timestreamUrl = ""] = servers.map(({ url }) => url);
    const timeoutMs = Number(properties["Timeout"]) * 1000;
    const sinks = (variables["SINKS"] ?? "").split(",").filter((name) => name !== "");
    const sandbox = openSandbox({
      directory: bundle(entry, entry === "worker" || entry === "replayer" ? adaptersOf(sinks) : [], metrics)
        .directory,
      env: {
        ...variables,
        AWS_REGION: region,
        AWS_ACCESS_KEY_ID: "test",
        AWS_SECRET_ACCESS_KEY: "test",
        AWS_ENDPOINT_URL_S3: s3Url,
        AWS_ENDPOINT_URL_SECRETS_MANAGER: secretsUrl,
        AWS_ENDPOINT_URL_SQS: sqsUrl,
        AWS_ENDPOINT_URL_TIMESTREAM_WRITE: timestreamUrl,
      },
      offset,
      timeoutMs,
      onLine: (line) => lines.push(line),
    });
    const may = (action: string, resource: string) => check({ action, resource, context: {} });
    const logs = names.resolve(flatten(fieldsOf(properties["LoggingConfig"])["LogGroup"]));
    for (const action of ["logs:CreateLogStream", "logs:PutLogEvents"]) {
      may(action, `arn:aws:logs:${region}:${account}:log-group:${logs}:log-stream:1`);
    }
    return { name: id, entry, role, sandbox, servers, may, mayUse };
  }

  type Check = (access: Omit<Access, "principal">) => boolean;

  /** https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html */
  function guardedS3(check: Check, keys: Deployment["keys"]): TwinHandler {
    return async (request) => {
      const url = new URL(request.url);
      const [, bucket = "", path = ""] = /^\/([^/]*)\/?(.*)$/s.exec(url.pathname) ?? [];
      const key = decodeURIComponent(path);
      const arn = `arn:aws:s3:::${bucket}`;
      const refuse = (code: string) => {
        const { status, headers, body } = s3Refusal(403, code);
        return new Response(request.method === "HEAD" ? null : (body ?? null), {
          status,
          headers: headers ?? {},
        });
      };
      const { action, context } = s3Action(request.method, key, url.searchParams, request.headers);
      const resource = key === "" ? arn : `${arn}/${key}`;
      if (!check({ action, resource, context })) return refuse("AccessDenied");
      const put = request.method === "PUT" ? keys.ofObjects("kms:GenerateDataKey", bucket) : undefined;
      if (put !== undefined && !check(put)) return refuse("AccessDenied");
      const usual = async () => await s3.handle(request);
      const answer = await (world.s3Fault === undefined ? usual() : world.s3Fault(request, usual));
      const got =
        request.method === "GET" && key !== "" && answer.ok
          ? keys.ofObjects("kms:Decrypt", bucket)
          : undefined;
      if (got !== undefined && !check(got)) return refuse("AccessDenied");
      // S3 says that a key is free only to whom may list.
      if (answer.status === 404 && key !== "") {
        if (!check({ action: "s3:ListBucket", resource: arn, context: {} })) return refuse("AccessDenied");
      }
      return answer;
    };
  }

  function guardedQueues(check: Check, queues: ReadonlyMap<string, Queue>): TwinHandler {
    const allowed = (action: string, name: string) => {
      if (check({ action, resource: `arn:aws:sqs:${region}:${account}:${name}`, context: {} })) return;
      throw new AwsRefusal("com.amazon.coral.service#AccessDeniedException", "a-message", 403);
    };
    return awsJson({
      service: "AmazonSQS",
      version: "1.0",
      operations: {
        ChangeMessageVisibility(input) {
          const name = new URL(textOf(input["QueueUrl"])).pathname.split("/").at(-1) ?? "";
          allowed("sqs:ChangeMessageVisibility", name);
          const seconds = numberOf(input["VisibilityTimeout"]);
          if (queues.get(name)?.changeVisibility(textOf(input["ReceiptHandle"]), seconds) !== true) {
            throw new AwsRefusal("com.amazonaws.sqs#MessageNotInflight", "a-message");
          }
          return {};
        },
      },
    });
  }

  function secrets(check: Check, keys: Deployment["keys"]): TwinHandler {
    const env = vendors.env;
    const of = (prefix: string) =>
      JSON.stringify(Object.fromEntries(Object.entries(env).filter(([name]) => name.startsWith(prefix))));
    return awsJson({
      service: "secretsmanager",
      version: "1.1",
      operations: {
        GetSecretValue(input) {
          const name = textOf(input["SecretId"]);
          // Six characters of the service's own end an ARN.
          const resource = `arn:aws:secretsmanager:${region}:${account}:secret:${name}-Ab3dEf`;
          const use = keys.ofSecret(resource);
          const isAllowed = check({ action: "secretsmanager:GetSecretValue", resource, context: {} });
          if (!isAllowed || (use !== undefined && !check(use))) {
            throw new AwsRefusal("AccessDeniedException", "a-message");
          }
          return { Name: name, SecretString: of(`${name.split("/").at(-1)?.toUpperCase()}_`) };
        },
      },
    });
  }

  function guardedTimestream(check: Check): TwinHandler {
    const target = vendors.env["AWS_ENDPOINT_URL_TIMESTREAM_WRITE"] ?? "";
    return async (request) => {
      const operation = (request.headers.get("x-amz-target") ?? "").split(".")[1] ?? "";
      const body = await request.text();
      const { DatabaseName: database, TableName: table } = fieldsOf(JSON.parse(body || "{}"));
      const place = database === undefined ? "*" : `database/${String(database)}/table/${String(table)}`;
      const resource = place === "*" ? "*" : `arn:aws:timestream:${region}:${account}:${place}`;
      if (!check({ action: `timestream:${operation}`, resource, context: {} })) {
        const denied = {
          __type: "com.amazonaws.timestream.v20181101#AccessDeniedException",
          message: "a-message",
        };
        return Response.json(denied, { status: 400 });
      }
      const { pathname } = new URL(request.url);
      const reply = await fetch(`${target}${pathname}`, { method: "POST", headers: request.headers, body });
      const headers = new Headers(reply.headers);
      for (const name of ["content-encoding", "content-length", "transfer-encoding"]) headers.delete(name);
      return new Response(await reply.text(), { status: reply.status, headers });
    };
  }

  running = await deploy(made);
  return world;
}

function s3Action(
  method: string,
  key: string,
  query: URLSearchParams,
  headers: Headers,
): Pick<Access, "action" | "context"> {
  if (key === "") {
    const prefix = query.get("prefix") ?? "";
    return {
      action: query.has("versions") ? "s3:ListBucketVersions" : "s3:ListBucket",
      context: { "s3:prefix": prefix },
    };
  }
  const ofVersion = query.has("versionId");
  switch (method) {
    case "GET":
    case "HEAD":
      return { action: ofVersion ? "s3:GetObjectVersion" : "s3:GetObject", context: {} };
    case "PUT": {
      const condition = headers.get("if-none-match");
      return { action: "s3:PutObject", context: condition === null ? {} : { "s3:if-none-match": condition } };
    }
    case "DELETE":
      return { action: ofVersion ? "s3:DeleteObjectVersion" : "s3:DeleteObject", context: {} };
    default:
      throw new Error(`this world has no action of S3 for ${method}`);
  }
}

const queueArn = ({ name }: Queue) => `arn:aws:sqs:${region}:${account}:${name}`;

function sqsEvent(
  queue: Queue,
  message: { id: string; body: string; handle: string; receives: number; sentAt: number },
) {
  return {
    Records: [
      {
        messageId: message.id,
        receiptHandle: message.handle,
        body: message.body,
        attributes: {
          ApproximateReceiveCount: String(message.receives),
          SentTimestamp: String(message.sentAt),
        },
        eventSource: "aws:sqs",
        eventSourceARN: `arn:aws:sqs:${region}:${account}:${queue.name}`,
        awsRegion: region,
      },
    ],
  };
}

function entryOf(id: string): Entry {
  const [, construct] = /(Worker|Replayer|Transform|Reconciler)[0-9A-F]{8}$/.exec(id) ?? [];
  switch (construct) {
    case "Worker":
      return "worker";
    case "Replayer":
      return "replayer";
    case "Transform":
      return "transform";
    case "Reconciler":
      return "reconciler";
    default:
      throw new Error(`this world does not know what the function ${id} is`);
  }
}

function idOf(resources: readonly Resource[], type: string, id: RegExp): string {
  const found = resources.find((each) => each.type === type && id.test(each.id));
  if (found === undefined) throw new Error(`the template has no ${type} like ${id}`);
  return found.id;
}

/** How often a vendor stored each id, as it counts itself. */
export function storedAt(world: World, sink: SinkName): { readonly ids: number; readonly twice: number } {
  const counts = [...world.vendors.stored[sink].values()];
  return { ids: counts.length, twice: counts.filter((count) => count > 1).length };
}
