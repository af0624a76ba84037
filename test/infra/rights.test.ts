// Every right is needed, and none reaches further: a right that is taken away makes a request of the running
// deployment fail, and one that is widened lets something through that must be denied. Long, since what every role needs and
// what none may do are two lists, which have to be read side by side.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Topology } from "../../infra/pipeline.ts";
import { fieldsOf, flatten, listOf, type Statement } from "../../infra/template.ts";
import { generateObjects } from "../../samples/generate.ts";
import type { Fault } from "../../src/testing/index.ts";
import { breakBody, s3Refusal } from "../support/s3-twin.ts";
import { sinkNames } from "../support/vendors.ts";
import { synthesise } from "./synthesised.ts";
import { viaService } from "./world/keys.ts";
import { account, region } from "./world/names.ts";
import { type Access, isAllowed, usualContext } from "./world/policy.ts";
import { createWorld, type World } from "./world/world.ts";

const day = 24 * 60 * 60_000;
const refused = { kind: "status", status: 403, body: '{"__type":"AccessDeniedException"}' } as const;

interface Wish {
  readonly action: string;
  readonly resource: string;
  readonly context?: Readonly<Record<string, string>>;
}

const kmsKey = `arn:aws:kms:${region}:${account}:key/0123abcd-0123-0123-0123-0123456789ab`;

describe.each<[Topology, string, { kmsKeyArn?: string }]>([
  ["per-sink", "AWS's keys", {}],
  ["single", "AWS's keys", {}],
  // Of one worker for all, the key's rights are made by the same lines.
  ["per-sink", "a customer's key", { kmsKeyArn: kmsKey }],
])("topology %s, %s", (topology, _, props) => {
  let world: World;

  beforeAll(async () => {
    const made = synthesise({ topology, sinks: sinkNames, operators: [operator], slack, ...props });
    world = await createWorld(made);
    await live(world);
  }, 60_000);
  afterAll(async () => {
    await world.close();
  });

  /**
   * What a role asked for in this world, and what AWS's pages say that its service asks for. Which of the functions
   * gets the invalid records of an object is chance, and a replayer does with its sinks what their worker does: so
   * what one of them asks for there, the others need.
   */
  const needs = (role: string): readonly Wish[] => {
    const isFunction = deliveryOf(role) !== undefined;
    const asked = world.asked.filter(({ principal, action, resource }) => {
      if (principal === role) return true;
      if (!isFunction || deliveryOf(principal) === undefined || !action.startsWith("s3:")) return false;
      return deliveryOf(principal) === deliveryOf(role) || /_intake|^[^/]*$|\/Data\//.test(resource);
    });
    return [...asked, ...documented(world, role), ...keyed(world, role)];
  };
  const mustNot = (role: string) => [...forbidden(world, role), ...forbiddenUses(world, needs(role))];
  const decide = (role: string, { action, resource, context = {} }: Wish, change = same) => {
    const { identity, resource: own } = world.policiesOf(role, resource);
    const access: Access = { principal: role, action, resource, context: { ...usualContext, ...context } };
    return isAllowed({ identity: change(identity), resource: own }, access);
  };

  test("nothing that is needed is denied", () => {
    const denied = [...world.roles.keys()].flatMap((role) =>
      needs(role)
        .filter((wish) => !decide(role, wish))
        .map(({ action, resource }) => `${nameOf(role)}: ${action} ${resource}`),
    );
    expect([...new Set(denied)]).toEqual([]);
    expect(world.asked.filter(({ allowed }) => !allowed)).toEqual([]);
  });

  test("without any one action on any one resource, something that is needed is denied", () => {
    const idle = [...world.roles].flatMap(([role, statements]) =>
      statements.flatMap((statement, at) =>
        statement.actions.flatMap((action) =>
          statement.resources.flatMap((resource) => {
            const without = (all: readonly Statement[]) =>
              all.flatMap((each, index) => (index === at ? split(each, action, resource) : [each]));
            const isNeeded = needs(role).some((wish) => !decide(role, wish, without));
            return isNeeded ? [] : [`${nameOf(role)}: ${action} ${resource}`];
          }),
        ),
      ),
    );
    expect(idle).toEqual([]);
  });

  test("what functions need of a key they were asked for in this world, by their services", () => {
    const asked = new Set(
      world.asked.map(({ principal, ...use }) => JSON.stringify([principal, useOf(use)])),
    );
    const roles = [...world.roles.keys()].filter((role) => deliveryOf(role) !== undefined);
    const unasked = roles.flatMap((role) =>
      keyed(world, role)
        .filter(({ context = {} }) => !context["kms:EncryptionContext:aws:s3:arn"]?.endsWith("/x"))
        .filter((wish) => !asked.has(JSON.stringify([role, useOf(wish)])))
        .map((wish) => `${nameOf(role)}: ${useOf(wish)}`),
    );
    expect(unasked).toEqual([]);
  });

  test("without any one value of a condition, something that is needed is denied", () => {
    const idle = [...world.roles].flatMap(([role, statements]) =>
      statements.flatMap((statement, at) =>
        valuesOf(statement).flatMap(({ operator, key, value, values }) => {
          const rest = { ...statement, conditions: conditionsWith(statement, operator, key, values, value) };
          const without = (all: readonly Statement[]) =>
            all.map((each, index) => (index === at ? rest : each));
          const isNeeded = needs(role).some((wish) => !decide(role, wish, without));
          return isNeeded ? [] : [`${nameOf(role)}: ${key} ${value}`];
        }),
      ),
    );
    expect(idle).toEqual([]);
  });

  test("what must be denied is denied", () => {
    const let_ = [...world.roles.keys()].flatMap((role) =>
      mustNot(role)
        .filter((wish) => decide(role, wish))
        .map(({ action, resource }) => `${nameOf(role)}: ${action} ${resource}`),
    );
    expect(let_).toEqual([]);
  });

  test("with any one action or resource widened, something passes that must be denied", () => {
    const unseen = [...world.roles].flatMap(([role, statements]) =>
      statements.flatMap((statement, at) => {
        const widened = [
          ...statement.resources
            .filter((resource) => resource !== "*")
            .map((resource) => [`any resource for ${resource}`, { ...statement, resources: ["*"] }] as const),
          ...statement.actions.map((action) => {
            const wild = `${action.split(":")[0]}:*`;
            return [`${wild} for ${action}`, { ...statement, actions: [wild] }] as const;
          }),
          ...valuesOf(statement).flatMap(({ operator, key, value }) =>
            [
              [`no condition ${key}`, conditionsWith(statement, operator, key, [])],
              [`anything for ${value}`, conditionsWith(statement, operator, key, ["*"])],
            ]
              // A "*" that is compared letter by letter widens nothing.
              .filter(([what]) => operator === "StringLike" || String(what).startsWith("no"))
              .map(
                ([what, conditions]) =>
                  [String(what), { ...statement, conditions: fieldsOf(conditions) }] as const,
              ),
          ),
        ];
        return widened.flatMap(([what, wide]) => {
          const change = (all: readonly Statement[]) =>
            all.map((each, index) => (index === at ? wide : each));
          const isSeen = mustNot(role).some((wish) => decide(role, wish, change));
          return isSeen ? [] : [`${nameOf(role)}: ${what}`];
        });
      }),
    );
    expect(unseen).toEqual([]);
  });

  test("evidence cannot be overwritten by a function, and only the stream writes events", () => {
    const anyFunction = [...world.roles.keys()].filter((role) => /Worker|Replayer/.test(role));
    for (const role of anyFunction) {
      const lane = topology === "single" ? "mixpanel" : (laneOf(role) ?? "mixpanel");
      for (const key of [`receipts/books/d/h/${lane}/000001.receipt.json`, `dead-letters/sink=${lane}/f`]) {
        const resource = `arn:aws:s3:::${world.books}/${key}`;
        expect(decide(role, { action: "s3:PutObject", resource })).toBe(false);
        const context = { "s3:if-none-match": "*" };
        expect(decide(role, { action: "s3:PutObject", resource, context })).toBe(true);
      }
    }
    for (const role of world.roles.keys()) {
      const resource = `arn:aws:s3:::${world.data}/Data/x`;
      expect([role, decide(role, { action: "s3:PutObject", resource }, all)]).toEqual([
        role,
        role.includes("StreamRole"),
      ]);
    }
  });
});

/** As if a role had been given everything: what a bucket's own policy still denies. */
const all = (): readonly Statement[] => [
  { of: "all", effect: "Allow", actions: ["*"], resources: ["*"], principal: undefined, conditions: {} },
];
const same = (statements: readonly Statement[]) => statements;

const operator = `arn:aws:iam::${account}:role/on-call`;
const slack = { workspaceId: "T0", channelId: "C0" };
/** `Delivery<name>` of a worker's and of its replayer's role. */
const deliveryOf = (role: string) => /Delivery([a-z]+)(?:Worker|Replayer)Role/.exec(role)?.[1];
const nameOf = (role: string) => role.split("/").at(-1) ?? role;
const laneOf = (role: string) =>
  sinkNames.find((sink) => role.includes(`Delivery${sink.replaceAll("-", "")}`));

/** The statement without one action on one resource. */
function split(statement: Statement, action: string, resource: string): readonly Statement[] {
  return [
    { ...statement, actions: statement.actions.filter((each) => each !== action) },
    { ...statement, actions: [action], resources: statement.resources.filter((each) => each !== resource) },
  ].filter(({ actions, resources }) => actions.length > 0 && resources.length > 0);
}

interface ConditionValue {
  readonly operator: string;
  readonly key: string;
  readonly value: string;
  /** All of the same key. */
  readonly values: readonly string[];
}

function valuesOf({ conditions }: Statement): readonly ConditionValue[] {
  return Object.entries(conditions).flatMap(([operator, keys]) =>
    Object.entries(fieldsOf(keys)).flatMap(([key, given]) => {
      const values = listOf(given).map(flatten);
      return values.map((value) => ({ operator, key, value, values }));
    }),
  );
}

/** The statement's conditions with other values for one key, apart from one of them; none is no condition at all. */
function conditionsWith(
  { conditions }: Statement,
  operator: string,
  key: string,
  values: readonly string[],
  without?: string,
): Statement["conditions"] {
  const { [key]: _, ...others } = fieldsOf(conditions[operator]);
  const left = values.filter((each) => each !== without);
  const keys = values.length === 0 ? others : { ...others, [key]: left };
  return { ...conditions, [operator]: keys };
}

/** Days in which everything happens that a function has a right for. */
async function live(world: World): Promise<void> {
  const of = (records: number, seed: number) =>
    generateObjects({ now: Date.now(), records, tenants: 3, objects: 1, faultsOfEachKind: 1, seed })
      .objects[0];
  const [whole, few, broken, unreadable] = [of(60, 1), of(6, 2), of(900, 3), of(6, 4)];
  if (whole === undefined || few === undefined || broken === undefined || unreadable === undefined)
    throw new Error("there is no object");
  const vendors = (fault: Fault | undefined) => {
    for (const sink of sinkNames) {
      if (fault === undefined) delete world.vendors.faults[sink];
      else world.vendors.faults[sink] = fault;
    }
  };
  const isObject = (request: Request) => {
    const { pathname } = new URL(request.url);
    return request.method === "GET" && pathname.startsWith(`/${world.data}/Data`);
  };
  // Vendors are down, and still are when it is tried again: everything waits, the invalid records excepted.
  vendors(refused);
  world.deliver(whole.key, whole.bytes);
  await world.run();
  world.advance(day);
  await world.replay();
  // Vendors refuse each record for good: letters.
  vendors({ kind: "status", status: 400, body: "{}" });
  world.deliver(few.key, few.bytes);
  await world.run();
  vendors(undefined);
  // An object breaks off: the invalid records wait as well.
  world.s3Fault = async (request, usual) => {
    if (!isObject(request)) return await usual();
    return request.headers.has("range") ? slowDown() : await breakBody(await usual(), 2_048, "cut");
  };
  world.deliver(broken.key, broken.bytes);
  await world.run();
  // An object is gone when it is read, and then its receipts cannot be written: claims are given back.
  world.s3Fault = async (request, usual) =>
    isObject(request) ? new Response(null, { status: 404 }) : await usual();
  world.deliver(unreadable.key, unreadable.bytes);
  await world.run();
  world.s3Fault = async (request, usual) =>
    request.method === "PUT" && request.url.includes(".receipt.json") ? broke() : await usual();
  world.advance(day);
  await world.run();
  delete world.s3Fault;
  for (let attempt = 1; attempt <= 2; attempt++) {
    world.advance(day);
    await world.replay();
  }
  const { now } = world.clock;
  const [fresh] = generateObjects({ now: now(), records: 6, tenants: 1, objects: 1, seed: 5 }).objects;
  if (fresh !== undefined) world.deliver(fresh.key, fresh.bytes);
  await world.run();
  // Old enough for its receipts to be expected.
  world.advance(60 * 60_000);
  await world.reconcile();
}

function broke(): Response {
  const { status, headers, body } = s3Refusal(400, "InvalidRequest");
  return new Response(body ?? null, { status, headers: headers ?? {} });
}

function slowDown(): Response {
  const { status, headers, body } = s3Refusal(503, "SlowDown");
  return new Response(body ?? null, { status, headers: headers ?? {} });
}

/** What AWS's pages say that a service does in a role's name, where no function of ours asks for it. */
function documented(world: World, role: string): readonly Wish[] {
  const wishes = (actions: readonly string[], resources: readonly string[]) =>
    actions.flatMap((action) => resources.map((resource) => ({ action, resource })));
  const data = `arn:aws:s3:::${world.data}`;
  const books = `arn:aws:s3:::${world.books}`;
  const granted = (action: string) =>
    (world.roles.get(role) ?? []).find(({ actions }) => actions.includes(action))?.resources ?? [];
  const exact = (action: string) => granted(action).map((each) => each.replace(/\*$/, "1"));
  const name = nameOf(role);
  if (/(timestream|all)(Worker|Replayer)Role/.test(name) || name.startsWith("FanoutOperators")) {
    const asked = [{ action: "timestream:DescribeEndpoints", resource: "*" }];
    if (!name.startsWith("FanoutOperators")) {
      // A replayer writes and makes tables as its worker does.
      return [
        ...asked,
        ...wishes(["timestream:CreateTable", "timestream:WriteRecords"], exact("timestream:WriteRecords")),
        ...versions(data),
      ];
    }
  }
  if (/Worker|Replayer/.test(name)) return versions(data);
  if (name.startsWith("FanoutRulesRole")) {
    return wishes(["firehose:PutRecord", "firehose:PutRecordBatch"], granted("firehose:PutRecord"));
  }
  if (name.startsWith("FanoutStreamRole")) {
    // https://docs.aws.amazon.com/firehose/latest/dev/controlling-access.html#using-iam-s3
    return [
      ...wishes(["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"], [data]),
      ...wishes(
        ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"],
        [`${data}/Data/x`, `${data}/Error/x`],
      ),
      ...wishes(["lambda:InvokeFunction", "lambda:GetFunctionConfiguration"], exact("lambda:InvokeFunction")),
      ...wishes(["logs:PutLogEvents"], granted("logs:PutLogEvents")),
    ];
  }
  if (name.startsWith("FanoutBackfillRole")) {
    return [
      ...wishes(["lambda:InvokeFunction"], exact("lambda:InvokeFunction")),
      ...wishes(["s3:GetObject", "s3:GetObjectVersion"], [`${books}/backfill/manifests/m.csv`]),
      ...wishes(["s3:PutObject"], [`${books}/backfill/reports/r.csv`]),
    ];
  }
  if (name.startsWith("FanoutOperatorsRole")) return commands(world, role, exact);
  if (!name.startsWith("FanoutChat")) return [];
  // https://docs.aws.amazon.com/chatbot/latest/adminguide/chatbot-iam-policies.html
  return wishes(
    ["cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData", "cloudwatch:GetMetricStatistics"],
    ["*"],
  );
}

/** How S3 uses the key: for objects as they are here, and for one that was put there with its own context. */
const objectUses = (buckets: readonly string[]) =>
  buckets.flatMap((bucket) =>
    [bucket, `${bucket}/x`].map((arn) => ({ ...viaService("s3"), "kms:EncryptionContext:aws:s3:arn": arn })),
  );
const secretUses = (sinks: readonly string[]) =>
  [...new Set(sinks.filter((sink) => sink !== "timestream").map((sink) => sink.split("-")[0] ?? ""))].map(
    (adapter) => ({
      ...viaService("secretsmanager"),
      "kms:EncryptionContext:SecretARN": `arn:aws:secretsmanager:${region}:${account}:secret:fanout/${adapter}-Ab3dEf`,
    }),
  );

/** What AWS's pages say that a service asks KMS for in a role's name, beside what was asked in this world. */
function keyed({ key, ...world }: World, role: string): readonly Wish[] {
  if (key === undefined) return [];
  const data = `arn:aws:s3:::${world.data}`;
  const books = `arn:aws:s3:::${world.books}`;
  const uses = (action: string, contexts: readonly Wish["context"][]) =>
    contexts.map((context = {}) => ({ action: `kms:${action}`, resource: key, context }));
  const objects = (reads: readonly string[], writes: readonly string[]) => [
    ...uses("Decrypt", objectUses(reads)),
    ...uses("GenerateDataKey", objectUses(writes)),
  ];
  const name = nameOf(role);
  if (/Worker|Replayer/.test(name)) return objects([data, books], [books]);
  // https://docs.aws.amazon.com/firehose/latest/dev/controlling-access.html#using-iam-s3
  if (name.startsWith("FanoutStreamRole")) return objects([data], [data]);
  // https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-iam-role-policies.html
  if (name.startsWith("FanoutBackfillRole")) return objects([books], [books]);
  if (!name.startsWith("FanoutOperatorsRole")) return [];
  return [
    ...objects([data, books], [books]),
    ...uses("Decrypt", [viaService("sqs"), ...secretUses(sinkNames)]),
  ];
}

/** Every use of a key that nobody needs: for another purpose, through another service or none, of another key. */
function forbiddenUses({ key, ...world }: World, needs: readonly Wish[]): readonly Wish[] {
  if (key === undefined) return [];
  const buckets = [world.data, world.books, "another-bucket"].map((bucket) => `arn:aws:s3:::${bucket}`);
  const known: readonly Readonly<Record<string, string>>[] = [
    ...objectUses(buckets),
    viaService("sqs"),
    ...secretUses([...sinkNames, "another"]),
  ];
  const contexts = [
    ...known,
    // Not through a service, and through one that stores nothing here.
    ...known.map(({ "kms:ViaService": _, ...context }) => context),
    ...known.map((context) => ({ ...context, ...viaService("dynamodb") })),
    {},
  ];
  const needed = new Set(needs.map(useOf));
  return contexts
    .flatMap((context) => [
      ...["Decrypt", "GenerateDataKey", "Encrypt", "CreateGrant"].map((action) => ({
        action: `kms:${action}`,
        resource: key,
        context,
      })),
      { action: "kms:Decrypt", resource: `${key.slice(0, -1)}c`, context },
      { action: "kms:GenerateDataKey", resource: `${key.slice(0, -1)}c`, context },
    ])
    .filter((wish) => !needed.has(useOf(wish)));
}

/** A use of a key as text: two are the same for KMS when this is. */
function useOf({ action, resource, context = {} }: Wish): string {
  const keys = Object.entries(context).filter(([name]) => name.startsWith("kms:"));
  return JSON.stringify([action, resource, keys.sort()]);
}

/** An object of a bucket with versions is asked for by its version. */
const versions = (data: string): readonly Wish[] => [
  { action: "s3:GetObjectVersion", resource: `${data}/Data/x` },
];

/** What the fanout commands ask for: see src/cli, src/queues and src/store. */
function commands(world: World, role: string, exact: (action: string) => readonly string[]): readonly Wish[] {
  const data = `arn:aws:s3:::${world.data}`;
  const books = `arn:aws:s3:::${world.books}`;
  const of = (action: string, resources: readonly string[], context = {}) =>
    resources.map((resource) => ({ action, resource, context }));
  const ledger = [`${books}/receipts/books/x`, `${books}/dead-letters/sink=x/y`];
  return [
    ...of("s3:ListBucket", [data, books]),
    ...["s3:GetObject", "s3:GetObjectVersion"].flatMap((action) =>
      of(action, [`${data}/Data/x`, `${data}/Error/x`]),
    ),
    ...of("s3:DeleteObject", [`${data}/Error/x`]),
    ...of("s3:GetObject", [...ledger, `${books}/backfill/reports/x`]),
    ...of("s3:PutObject", ledger, { "s3:if-none-match": "*" }),
    ...of("s3:PutObject", [`${books}/backfill/manifests/x`, `${books}/dead-letters/archive/x`]),
    ...of("s3:DeleteObject", [
      `${books}/receipts/books/x/mixpanel/000001.claim.json`,
      `${books}/receipts/deferrals/sink=mixpanel/x.json`,
      `${books}/receipts/writers/sink=hubspot-companies/00000001.claim.json`,
      `${books}/dead-letters/sink=mixpanel/x`,
      `${books}/dead-letters/queues/firehose/taken/x.json`,
    ]),
    ...[
      "firehose:PutRecordBatch",
      "sqs:ReceiveMessage",
      "sqs:DeleteMessage",
      "sqs:ChangeMessageVisibility",
    ].flatMap((action) => of(action, exact(action))),
    // A backfill as docs/deploy.md has it: its manifest's ETag, the job and its role, and how many run at once meanwhile.
    ...of("s3:GetObject", [`${books}/backfill/manifests/x`]),
    ...of("s3:CreateJob", ["*"]),
    ...["s3:DescribeJob", "s3:UpdateJobStatus"].flatMap((action) =>
      of(action, [`arn:aws:s3:${region}:${account}:job/1`]),
    ),
    ...of("iam:PassRole", exact("iam:PassRole"), {
      "iam:PassedToService": "batchoperations.s3.amazonaws.com",
    }),
    ...["lambda:PutFunctionConcurrency", "lambda:DeleteFunctionConcurrency"].flatMap((action) =>
      of(action, exact(action)),
    ),
    ...sinkNames
      .flatMap((sink) =>
        of("secretsmanager:GetSecretValue", [
          `arn:aws:secretsmanager:${region}:${account}:secret:fanout/${sink.split("-")[0]}-Ab3dEf`,
        ]),
      )
      .filter(({ resource }) => !resource.includes("timestream")),
    ...["timestream:WriteRecords", "timestream:CreateTable"].flatMap((action) => of(action, exact(action))),
    ...of("timestream:DescribeEndpoints", ["*"]),
  ].map((wish) => ({ ...wish, role }));
}

/** What no role may do, and what this one may not. */
function forbidden(world: World, role: string): readonly Wish[] {
  const name = nameOf(role);
  const isOperator = name.startsWith("FanoutOperators");
  const isFunction = /Worker|Replayer/.test(name);
  const data = `arn:aws:s3:::${world.data}`;
  const books = `arn:aws:s3:::${world.books}`;
  const created = { "s3:if-none-match": "*" };
  const here = (service: string, place: string) => `arn:aws:${service}:${region}:${account}:${place}`;
  const own = (action: string) =>
    (world.roles.get(role) ?? [])
      .filter(({ actions }) => actions.includes(action))
      .flatMap(({ resources }) => resources);
  const every: Wish[] = [
    // Another deployment's, another account's.
    ...[
      "s3:GetObject",
      "s3:GetObjectVersion",
      "s3:PutObject",
      "s3:DeleteObject",
      "s3:AbortMultipartUpload",
    ].map((action) => ({
      action,
      resource: "arn:aws:s3:::another-bucket/Data/x",
      context: created,
    })),
    ...[
      "s3:ListBucket",
      "s3:ListBucketVersions",
      "s3:GetBucketLocation",
      "s3:ListBucketMultipartUploads",
      "s3:PutBucketPolicy",
    ].map((action) => ({
      action,
      resource: "arn:aws:s3:::another-bucket",
    })),
    ...[data, books].flatMap((bucket) =>
      ["s3:PutBucketPolicy", "s3:DeleteBucket", "s3:PutLifecycleConfiguration"].map((action) => ({
        action,
        resource: bucket,
      })),
    ),
    ...[
      `${data}/Data/x`,
      `${data}/Error/x`,
      `${books}/receipts/books/d/h/_intake/000001.receipt.json`,
      `${books}/backfill/manifests/m`,
      `${books}/backfill/reports/r`,
    ].map((resource) => ({ action: "s3:DeleteObjectVersion", resource })),
    { action: "s3:DeleteObjectTagging", resource: `${books}/receipts/deferrals/sink=_intake/x` },
    ...own("s3:CreateJob").map(() => ({ action: "s3:DeleteJobTagging", resource: here("s3", "job/1") })),
    { action: "s3:DescribeJob", resource: "arn:aws:s3:us-east-1:999999999999:job/1" },
    { action: "s3:UpdateJobStatus", resource: "arn:aws:s3:us-east-1:999999999999:job/1" },
    ...[
      "sqs:ReceiveMessage",
      "sqs:DeleteMessage",
      "sqs:GetQueueAttributes",
      "sqs:ChangeMessageVisibility",
    ].map((action) => ({
      action,
      resource: here("sqs", "another-queue"),
    })),
    ...[...own("sqs:ReceiveMessage")].flatMap((resource) =>
      ["sqs:PurgeQueue", "sqs:DeleteQueue", "sqs:SetQueueAttributes"].map((action) => ({ action, resource })),
    ),
    { action: "secretsmanager:GetSecretValue", resource: here("secretsmanager", "secret:another-Ab3dEf") },
    ...own("secretsmanager:GetSecretValue").map((resource) => ({
      action: "secretsmanager:PutSecretValue",
      resource: resource.replaceAll("?", "x"),
    })),
    ...["logs:CreateLogStream", "logs:PutLogEvents"].map((action) => ({
      action,
      resource: here("logs", "log-group:another:log-stream:1"),
    })),
    ...[...own("logs:CreateLogStream"), ...own("logs:PutLogEvents")].map((resource) => ({
      action: "logs:DeleteLogStream",
      resource: resource.replace(/\*$/, "log-stream:1"),
    })),
    ...["timestream:WriteRecords", "timestream:CreateTable"].map((action) => ({
      action,
      resource: here("timestream", "database/another/table/x"),
    })),
    ...own("timestream:WriteRecords").map((resource) => ({
      action: "timestream:DeleteTable",
      resource: resource.replace(/\*$/, "x"),
    })),
    { action: "timestream:DeleteDatabase", resource: "*" },
    ...["firehose:PutRecord", "firehose:PutRecordBatch"].map((action) => ({
      action,
      resource: here("firehose", "deliverystream/another"),
    })),
    ...[...own("firehose:PutRecord"), ...own("firehose:PutRecordBatch")].map((resource) => ({
      action: "firehose:DeleteDeliveryStream",
      resource,
    })),
    ...["lambda:InvokeFunction", "lambda:GetFunctionConfiguration"].map((action) => ({
      action,
      resource: here("lambda", "function:another"),
    })),
    ...own("lambda:InvokeFunction").map((resource) => ({
      action: "lambda:UpdateFunctionCode",
      resource: resource.replace(/:\*$/, ""),
    })),
    {
      action: "iam:PassRole",
      resource: `arn:aws:iam::${account}:role/admin`,
      context: { "iam:PassedToService": "batchoperations.s3.amazonaws.com" },
    },
    ...own("iam:PassRole").flatMap((resource) => [
      { action: "iam:PassRole", resource, context: { "iam:PassedToService": "lambda.amazonaws.com" } },
      {
        action: "iam:PutRolePolicy",
        resource,
        context: { "iam:PassedToService": "batchoperations.s3.amazonaws.com" },
      },
    ]),
    ...["lambda:PutFunctionConcurrency", "lambda:DeleteFunctionConcurrency"].flatMap((action) => [
      { action, resource: here("lambda", "function:another") },
      ...own(action).map((resource) => ({ action: "lambda:DeleteFunction", resource })),
    ]),
    { action: "cloudwatch:DeleteAlarms", resource: "*" },
  ];
  const others = sinkNames.filter(
    (sink) => isFunction && laneOf(role) !== undefined && laneOf(role) !== sink,
  );
  const functions: Wish[] = isFunction
    ? [
        ...others.flatMap((sink) =>
          [
            `${books}/receipts/books/d/h/${sink}/000001.receipt.json`,
            `${books}/receipts/books/d/h/${sink}/000001.claim.json`,
            `${books}/receipts/deferrals/sink=${sink}/x`,
            `${books}/dead-letters/sink=${sink}/x`,
          ].flatMap((resource) =>
            ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"].map((action) => ({
              action,
              resource,
              context: created,
            })),
          ),
        ),
        ...[
          `${books}/receipts/books/d/h/_intake/000001.receipt.json`,
          `${books}/dead-letters/sink=_intake/x`,
        ].flatMap((resource) => [
          { action: "s3:DeleteObject", resource },
          { action: "s3:PutObject", resource },
        ]),
        { action: "s3:PutObject", resource: `${books}/dead-letters/archive/x`, context: created },
        { action: "s3:GetObject", resource: `${data}/Error/x` },
        { action: "s3:GetObjectVersion", resource: `${data}/Error/x` },
        { action: "s3:DeleteObject", resource: `${data}/Data/x` },
      ]
    : [];
  const operators: Wish[] = isOperator
    ? [
        { action: "s3:DeleteObject", resource: `${data}/Data/x` },
        { action: "s3:PutObject", resource: `${data}/Data/x` },
        { action: "s3:GetObjectVersion", resource: `${books}/receipts/x` },
        // Evidence: a receipt, and what was given up.
        { action: "s3:DeleteObject", resource: `${books}/receipts/books/x/mixpanel/000001.receipt.json` },
        { action: "s3:DeleteObject", resource: `${books}/dead-letters/archive/x` },
        ...["receipts/books/x", "dead-letters/sink=x/y"].map((key) => ({
          action: "s3:PutObject",
          resource: `${books}/${key}`,
        })),
      ]
    : [];
  return [...every, ...functions, ...operators];
}
