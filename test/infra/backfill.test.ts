// History by S3 Batch Operations: who may call what, and that a worker's bundle answers a job under its own rights.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import metrics from "../../config/metrics/index.ts";
import { bundle } from "../../infra/bundle.ts";
import type { Topology } from "../../infra/pipeline.ts";
import { adaptersOf } from "../../infra/sinks.ts";
import { fieldsOf, flatten, type Resource, statementsOf } from "../../infra/template.ts";
import { sampleRecord } from "../../src/routing/event-rules.ts";
import { serveTwin, type TwinHandler } from "../../src/testing/index.ts";
import { createS3Twin } from "../support/s3-twin.ts";
import { serveVendors } from "../support/vendors.ts";
import { invoke } from "./invoke.ts";
import { guardS3, secretsTwin } from "./policy.ts";
import { allSinks, type Synthesised, synthesise } from "./synthesised.ts";

/** A synthesis takes two seconds of a core, which a busy machine may not have at once. */
const patienceMs = 60_000;

const open: { close(): Promise<void> }[] = [];
afterAll(async () => {
  await Promise.all(open.map((each) => each.close()));
});

describe.each<Topology>(["per-sink", "single"])("topology %s", (topology) => {
  let made: Synthesised;
  beforeAll(() => {
    made = synthesise({ topology });
  }, patienceMs);

  const workers = () =>
    made.resources
      .filter(({ type }) => type === "AWS::Lambda::EventSourceMapping")
      .map(({ properties }) => flatten(properties["FunctionName"]).slice(1, -1));
  const role = () => {
    const found = made.resources.find(
      ({ id, type }) => type === "AWS::IAM::Role" && id.startsWith("FanoutBackfillRole"),
    );
    if (found === undefined) throw new Error("the template has no role for backfills");
    return found;
  };
  const books = () => {
    const found = made.resources.find(({ id }) => /^FanoutStorageBooks[0-9A-F]{8}$/.test(id));
    return `<${found?.id}.Arn>`;
  };

  test("a job may call exactly the workers, read its manifest, write its report, and nothing else", () => {
    expect(
      statementsOf([role()]).map(({ effect, actions, resources }) => [effect, actions, resources]),
    ).toEqual([
      [
        "Allow",
        ["lambda:InvokeFunction"],
        workers()
          .toSorted((a, b) => order(a) - order(b))
          .flatMap((id) => [`<${id}.Arn>`, `<${id}.Arn>:*`]),
      ],
      ["Allow", ["s3:GetObject", "s3:GetObjectVersion"], [`${books()}/backfill/manifests/*`]],
      ["Allow", ["s3:PutObject"], [`${books()}/backfill/reports/*`]],
    ]);
  });

  /** The sinks' own order, in which the statements name them. */
  const order = (id: string) =>
    allSinks.findIndex((sink) => id.startsWith(`FanoutDelivery${sink.replaceAll("-", "")}Worker`));

  test("S3 Batch Operations takes the role", () => {
    expect(role().properties["AssumeRolePolicyDocument"]).toMatchObject({
      Statement: [
        {
          Effect: "Allow",
          Action: "sts:AssumeRole",
          Principal: { Service: "batchoperations.s3.amazonaws.com" },
        },
      ],
    });
  });

  test("the outputs name the role, the places, and every worker that a job is made for", () => {
    const outputs = fieldsOf(fieldsOf(JSON.parse(made.text))["Outputs"]);
    const outputOf = (name: string) => flatten(fieldsOf(outputs[name])["Value"]);
    expect(outputOf("BackfillRole")).toBe(`<${role().id}.Arn>`);
    expect(outputOf("BackfillManifests")).toMatch(/^s3:\/\/<FanoutStorageBooks\w+>\/backfill\/manifests\/$/);
    expect(outputOf("BackfillReports")).toMatch(/^s3:\/\/<FanoutStorageBooks\w+>\/backfill\/reports\/$/);
    const named = Object.keys(outputs).filter((name) => name.startsWith("Worker"));
    expect(named.map(outputOf).sort()).toEqual(
      workers()
        .map((id) => `<${id}.Arn>`)
        .sort(),
    );
  });
});

test(
  "a job's worker delivers history under its own role; what is settled costs a look and its receipts, and is not sent again",
  async () => {
    const { resources } = synthesise({ sinks: ["mixpanel"] });
    const find = (id: RegExp, type: string): Resource => {
      const found = resources.find((each) => each.type === type && id.test(each.id));
      if (found === undefined) throw new Error(`no ${type} is called ${id}`);
      return found;
    };
    const [data, books] = ["Data", "Books"].map(
      (name) => find(new RegExp(`^FanoutStorage${name}[0-9A-F]{8}$`), "AWS::S3::Bucket").id,
    );
    const statements = () => statementsOf([find(/^FanoutDeliverymixpanelWorkerRole/, "AWS::IAM::Role")]);
    const s3 = createS3Twin({ buckets: ["data", "books"] });
    const requests: string[] = [];
    const guard = guardS3(s3.handle, statements, { data: `<${data}.Arn>`, books: `<${books}.Arn>` });
    const watched: TwinHandler = (request) => {
      const { pathname } = new URL(request.url);
      requests.push(`${request.method} ${pathname.split("/")[1]}`);
      return guard.handle(request);
    };
    const vendors = await serveVendors();
    open.push(vendors);
    const token = {
      "fanout/mixpanel": JSON.stringify({
        MIXPANEL_TOKEN: vendors.env["MIXPANEL_TOKEN"],
        MIXPANEL_HOST: vendors.env["MIXPANEL_HOST"],
      }),
    };
    const [s3Url = "", secretsUrl = ""] = await Promise.all(
      [watched, secretsTwin(token, statements)].map(async (handle) => {
        const twin = await serveTwin(handle);
        open.push(twin);
        return twin.url;
      }),
    );
    const env = {
      SINKS: "mixpanel",
      SECRETS: "fanout/mixpanel",
      RECEIPTS: "s3://books/receipts",
      DEAD_LETTERS: "s3://books/dead-letters",
      AWS_REGION: "us-east-1",
      AWS_ACCESS_KEY_ID: "test",
      AWS_SECRET_ACCESS_KEY: "test",
      AWS_ENDPOINT_URL_S3: s3Url,
      AWS_ENDPOINT_URL_SECRETS_MANAGER: secretsUrl,
    };
    const { directory } = bundle("worker", adaptersOf(["mixpanel"]), metrics);
    const [metric] = metrics.filter(({ sinks }) => "mixpanel" in sinks);
    if (metric === undefined) throw new Error("no metric of the catalog goes to Mixpanel");
    s3.put("data", "Data/year=2025/old", `${JSON.stringify(sampleRecord(metric))}\n`);
    s3.put("data", "elsewhere/old", `${JSON.stringify(sampleRecord(metric))}\n`);
    const job = (key: string) => ({
      invocationSchemaVersion: "1.0",
      invocationId: "i",
      job: { id: "j" },
      tasks: [
        { taskId: "t", s3Key: encodeURIComponent(key), s3VersionId: null, s3BucketArn: "arn:aws:s3:::data" },
      ],
    });
    const result = async (key: string) => {
      requests.length = 0;
      const { answer } = await invoke(directory, job(key), env);
      return fieldsOf(answer)["results"];
    };

    expect(await result("Data/year=2025/old")).toEqual([
      { taskId: "t", resultCode: "Succeeded", resultString: "records 1, pending 0" },
    ]);
    expect([...guard.denied]).toEqual([]);
    expect([...vendors.stored.mixpanel.values()]).toEqual([1]);

    expect(await result("Data/year=2025/old")).toEqual([
      { taskId: "t", resultCode: "Succeeded", resultString: "nothing was left to send" },
    ]);
    expect([...vendors.stored.mixpanel.values()]).toEqual([1]);
    expect(requests.filter((request) => request === "HEAD data")).toHaveLength(1);
    expect(requests.filter((request) => request !== "HEAD data").every((each) => each === "GET books")).toBe(
      true,
    );

    // A worker reads below Data/ alone.
    expect(await result("elsewhere/old")).toMatchObject([
      { resultCode: "PermanentFailure", resultString: expect.stringMatching(/^DENIED: /) },
    ]);
  },
  patienceMs,
);
