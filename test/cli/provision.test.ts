import { Writable } from "node:stream";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createHubspotSchemaTwin, type HubspotSchemaTwin } from "../../adapters/hubspot/schema-twin.ts";
import makeConfig from "../../config/fanout.config.ts";
import { provision } from "../../src/cli/provision.ts";
import { ConfigError, resolveConfig } from "../../src/index.ts";
import { type ServedTwin, serveTwin } from "../../src/testing/index.ts";

let twin: HubspotSchemaTwin;
let served: ServedTwin;
beforeEach(async () => {
  twin = createHubspotSchemaTwin();
  served = await serveTwin(twin.handle);
});
afterEach(async () => {
  await served.close();
});

async function run(flags: { dryRun?: boolean; json?: boolean } = {}, env: Record<string, string> = {}) {
  const told = { out: "", err: "" };
  const into = (name: "out" | "err") =>
    new Writable({
      write(chunk, _encoding, done) {
        told[name] += String(chunk);
        done();
      },
    });
  const request = {
    env: {
      SINKS: "hubspot-events,hubspot-companies",
      HUBSPOT_ACCESS_TOKEN: "t0ken",
      HUBSPOT_BASE_URL: served.url,
      ...env,
    },
  };
  const config = await resolveConfig(makeConfig, request);
  const { dryRun = false, json = false } = flags;
  const code = await provision({ config, dryRun, json, stdout: into("out"), stderr: into("err") });
  return { code, ...told };
}

test("shows what it would make, makes it, and finds it made", async () => {
  const shown = await run({ dryRun: true });
  expect(shown.code).toBe(0);
  expect(shown.out).toContain("hubspot-events: 7 to be made, 0 there already");
  expect(shown.out).toContain(
    "  + event definition findings_uploaded: on companies, by tenant_id, with 9 properties",
  );
  expect(twin.changes).toEqual([]);
  const made = await run();
  expect(made.code).toBe(0);
  expect(made.out).toContain("hubspot-events: 7 made");
  // The tenant's id is there by now.
  expect(made.out).toContain("hubspot-companies: 15 made, 1 there already");
  const again = await run({ json: true });
  const states = Object.values<{ state: string }[]>(JSON.parse(again.out).sinks).flat();
  expect(new Set(states.map(({ state }) => state))).toEqual(new Set(["present"]));
});

test("what is not as it must be is a failure that says what to do", async () => {
  twin.companyProperties.set("seats_left", { name: "seats_left", type: "string" });
  const { code, out } = await run();
  expect(code).toBe(1);
  expect(out).toContain("  ! company property seats_left: its type is string and must be number");
});

test("a vendor that does not let it is told on stderr, without the token; other sinks are done all the same", async () => {
  await served.close();
  served = await serveTwin((request) =>
    new URL(request.url).pathname.startsWith("/events/")
      ? Response.json({ category: "MISSING_SCOPES" }, { status: 403 })
      : twin.handle(request),
  );
  const { code, out, err } = await run();
  expect(code).toBe(1);
  expect(err).toContain("fanout: hubspot-events: HubSpot answered 403");
  expect(out).toContain("hubspot-companies: 15 made, 1 there already");
  expect(out + err).not.toContain("t0ken");
});

test("a vendor that is not there is told", async () => {
  await served.close();
  const { code, err } = await run();
  expect(code).toBe(1);
  expect(err).toMatch(/fanout: hubspot-events: 127\.0\.0\.1:\d+: ECONNREFUSED/);
  served = await serveTwin(twin.handle);
});

test("a sink that needs nothing beforehand is told", async () => {
  await expect(run({}, { SINKS: "file" })).rejects.toThrow(
    new ConfigError(["file: nothing has to be there before its events come"]),
  );
});
