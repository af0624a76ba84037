// Which modules a process really loads: a cold start pays for every one of them.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";

const urlOf = (path: string) => new URL(`../../${path}`, import.meta.url).href;

/** The packages that a process loads, by `import` or `require`, while it makes the configuration of these sinks. */
async function packagesOf(SINKS: string, first: readonly string[] = []): Promise<string[]> {
  const script = `
    import { registerHooks } from "node:module";
    const packages = new Set();
    registerHooks({
      load(url, context, next) {
        const [, name] = /.*\\/node_modules\\/((?:@[^/]+\\/)?[^/]+)\\//.exec(url) ?? [];
        if (name !== undefined) packages.add(name);
        return next(url, context);
      },
    });
    for (const url of ${JSON.stringify(first.map(urlOf))}) await import(url);
    const { default: make } = await import(${JSON.stringify(urlOf("config/fanout.config.ts"))});
    const { resolveConfig } = await import(${JSON.stringify(urlOf("src/index.ts"))});
    const { sinks } = await resolveConfig(make, { env: process.env });
    console.log(JSON.stringify([sinks.map(({ name }) => name), [...packages]]));`;
  const env = {
    SINKS,
    AWS_REGION: "eu-west-1",
    TIMESTREAM_DATABASE: "product",
    SEGMENT_WRITE_KEY: "key",
    MIXPANEL_TOKEN: "token",
    HUBSPOT_ACCESS_TOKEN: "token",
  };
  const args = ["--input-type=module", "--eval", script];
  const { stdout } = await promisify(execFile)(process.execPath, args, { env });
  const [made, packages]: [string[], string[]] = JSON.parse(stdout);
  expect(made).toEqual(SINKS.split(","));
  return packages.sort();
}

const sdks: readonly string[] = [
  "@aws-sdk/client-timestream-write",
  "@segment/analytics-node",
  "mixpanel",
  "@hubspot/api-client",
];
const isVendors = (name: string) =>
  sdks.includes(name) || /^(@aws-sdk|@smithy|@hubspot|@segment)\//.test(name);

describe("an adapter is imported only where it is configured", () => {
  test("the file sink alone loads no vendor's SDK, no AWS client and no Powertools", async () => {
    const packages = await packagesOf("file", ["src/testing/index.ts"]);
    expect(packages.filter((name) => isVendors(name) || name.startsWith("@aws"))).toEqual([]);
    // The proof that the hook sees what is loaded.
    expect(packages).toContain("zod");
  });

  test.each([
    ["timestream", ["@aws-sdk/client-timestream-write"]],
    ["segment", []],
    ["segment-groups", []],
    ["mixpanel", []],
    ["hubspot-events", []],
  ])("%s loads of the vendors' SDKs %j, and no client of AWS beside", async (sink, wanted) => {
    const packages = await packagesOf(sink);
    expect(packages.filter((name) => sdks.includes(name) || name === "@aws-sdk/client-s3")).toEqual(wanted);
    expect(packages.filter((name) => name.startsWith("@aws-lambda-powertools"))).toEqual([]);
  });

  test("the Lambda handler brings Powertools, and no client of AWS or of a vendor", async () => {
    const packages = await packagesOf("file", ["src/lambda/worker.ts"]);
    expect(packages).toContain("@aws-lambda-powertools/metrics");
    expect(packages.filter(isVendors)).toEqual([]);
  });
});
