// The same commands where the stores are S3's: what they do, and who is said to have done it.
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type ServedTwin, serveTwin } from "../../src/testing/index.ts";
import { fanout } from "../support/fanout.ts";
import { createS3Twin, type S3Twin } from "../support/s3-twin.ts";
import { serveVendors, type Vendors } from "../support/vendors.ts";

const arn = "arn:aws:sts::123456789012:assumed-role/operator/night";
const records = 20;

let cwd: string;
let vendors: Vendors;
let bucket: S3Twin;
let s3: ServedTwin;
let sts: ServedTwin;
let isDenied: boolean;
beforeEach(async () => {
  isDenied = false;
  cwd = await mkdtemp(path.join(os.tmpdir(), "fanout-dlq-s3-"));
  vendors = await serveVendors();
  bucket = createS3Twin({ buckets: ["books"] });
  s3 = await serveTwin(bucket.handle);
  // https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
  sts = await serveTwin(async () =>
    isDenied
      ? new Response("<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>", {
          status: 403,
        })
      : new Response(
          '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>' +
            `<Arn>${arn}</Arn><UserId>AIDA</UserId><Account>123456789012</Account>` +
            "</GetCallerIdentityResult></GetCallerIdentityResponse>",
          { headers: { "content-type": "text/xml" } },
        ),
  );
  await mkdir(path.join(cwd, "in"));
  const lines = Array.from({ length: records }, (_, index) =>
    JSON.stringify({
      metric_name: "scan_completed",
      metadata: { tenant_id: "acme", event_id: `e${index}` },
      data: { event_time: new Date().toISOString() },
    }),
  );
  await writeFile(path.join(cwd, "in/batch"), lines.join("\n"));
});
afterEach(async () => {
  await Promise.all([vendors.close(), s3.close(), sts.close()]);
  await rm(cwd, { recursive: true, force: true });
});

test("on S3 the audit names the AWS caller, and the user of the machine when nobody may ask", {
  timeout: 60_000,
}, async () => {
  const env = {
    ...vendors.env,
    SINKS: "segment",
    RECEIPTS: "s3://books/receipts",
    DEAD_LETTERS: "s3://books/letters",
    AWS_ENDPOINT_URL_S3: s3.url,
    AWS_ENDPOINT_URL_STS: sts.url,
  };
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await fanout([...args, "--json"], env, cwd);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    return JSON.parse(stdout);
  };
  vendors.faults.segment = { kind: "status", status: 400 };
  await run("run", "in");
  delete vendors.faults.segment;
  expect((await run("dlq", "list")).letters).toBe(records);
  const { audit } = await run("dlq", "replay", "--until", "2100-01-01", "--metric", "scan_completed");
  const read = (key: string) => JSON.parse(bucket.get("books", `letters/${key}`)?.toString() ?? "null");
  expect(read(audit)).toMatchObject({ command: "replay", who: arn, selected: { letters: records } });
  expect(read(audit.replace(".begun.", ".ended."))).toMatchObject({
    outcome: "finished",
    counts: { delivered: records },
  });
  expect(vendors.stored.segment.size).toBe(records);

  await writeFile(path.join(cwd, "in/broken"), "no record\n");
  await run("run", "in");
  isDenied = true;
  const dropped = await run("dlq", "drop", "--sink", "intake", "--reason", "a test");
  expect(dropped).toMatchObject({ dropped: 1 });
  expect(read(dropped.audit)).toMatchObject({
    command: "drop",
    who: `${os.userInfo().username}@${os.hostname()}`,
  });
  expect(await run("books")).toMatchObject({ complete: true, objects: 2 });
});
