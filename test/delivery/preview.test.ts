import { describe, expect, test } from "vitest";
import { hubspotCompaniesSink, hubspotEventsSink } from "../../adapters/hubspot/index.ts";
import { mixpanelSink } from "../../adapters/mixpanel/index.ts";
import { segmentGroupsSink, segmentSink } from "../../adapters/segment/index.ts";
import { timestreamSink } from "../../adapters/timestream/index.ts";
import { judgeRecord, preview } from "../../src/delivery/preview.ts";
import type { Sink } from "../../src/delivery/sink.ts";
import type { MetricEvent } from "../../src/event.ts";
import { everywhere } from "../../src/routing/route.ts";
import { createWorld, eventRecord, scriptedSink } from "../support/world.ts";

const record = (change: object = {}) => Buffer.from(JSON.stringify({ ...eventRecord(7), ...change }));
const eventOf = (bytes: Buffer): MetricEvent => {
  const judged = judgeRecord(bytes, { derivedId: () => "derived" });
  if (!("event" in judged)) throw new Error("the record of this test is no event");
  return judged.event;
};
const event = eventOf(record());

describe("preview says what a sink would receive", () => {
  test("the payload as send gets it, with its bytes, its partition and its coalescing key", () => {
    const sink = scriptedSink("a", { partition: ({ tenantId }) => tenantId, coalesceKey: () => "k" });
    expect(preview(event, sink, everywhere)).toEqual({
      status: "sent",
      payload: { id: "e7" },
      bytes: 10,
      partition: "tenant-1",
      coalesceKey: "k",
    });
  });

  test("that no route leads there, before the mapping is asked", () => {
    const sink = scriptedSink("a", {
      encode: () => {
        throw new Error("asked");
      },
    });
    expect(preview(event, sink, [{ metrics: ["other"], sinks: ["a"] }])).toEqual({ status: "not-routed" });
  });

  test("why it would be filtered", () => {
    const sink = scriptedSink("a", { encode: () => ({ filtered: "not for us" }) });
    expect(preview(event, sink, everywhere)).toEqual({ status: "filtered", reason: "not for us" });
  });

  const refusing: readonly [string, Parameters<typeof scriptedSink>[1]][] = [
    ["a mapping that rejects", { encode: () => ({ rejected: "no name", code: "NO_NAME" }) }],
    [
      "a mapping that fails",
      {
        encode: () => {
          throw new TypeError("secret");
        },
      },
    ],
    ["an item that is too large", { encode: () => ({ payload: { id: "x" }, bytes: 5_001 }) }],
    [
      "a partition that fails",
      {
        partition: () => {
          throw new RangeError("secret");
        },
      },
    ],
  ];
  test.each(refusing)(
    "%s is refused as the worker refuses it: same code, reason and fingerprint",
    async (_, how) => {
      const sink = scriptedSink("a", how);
      const world = createWorld();
      world.putEvents("o", 1);
      await world.worker([sink]).process({ bucket: "b", key: "o" });
      const [letter] = await world.letters();
      const said = preview(event, sink, everywhere);
      expect(said).toEqual({
        status: "rejected",
        stage: "encode",
        code: letter?.code,
        reason: letter?.reason,
        fingerprint: letter?.fingerprint,
      });
      expect(JSON.stringify(said)).not.toContain("secret");
    },
  );

  const secret = "s3cr3t-of-the-sink";
  const sinks: readonly Sink<unknown>[] = [
    segmentSink({ writeKey: secret }),
    segmentGroupsSink({ writeKey: secret, traits: () => ({ plan: "x" }) }),
    mixpanelSink({ token: secret }),
    hubspotEventsSink({ accessToken: secret }),
    hubspotCompaniesSink({ accessToken: secret }),
    timestreamSink({ database: "product", region: "eu-west-1" }),
  ];
  test.each(sinks.map((sink) => [sink.name, sink] as const))("%s: no credential is in it", (_, sink) => {
    const said = preview(event, sink, everywhere);
    expect(said.status).toBe("sent");
    expect(JSON.stringify(said)).not.toContain(secret);
  });
});

describe("judgeRecord says whether bytes are one event", () => {
  const rules = { derivedId: () => "derived" };

  test("its own id, else the derived one", () => {
    expect(event.id).toBe("e7");
    expect(eventOf(record({ metadata: { tenant_id: "t" } })).id).toBe("derived");
  });

  test.each([
    ["{", "CUT_OFF"],
    ["nonsense\n", "NOT_JSON"],
    ["[]", "NOT_AN_OBJECT"],
    ["{}", "METRIC_NAME_MISSING"],
  ])("%j is refused as %s", (text, code) => {
    expect(judgeRecord(Buffer.from(text), rules)).toMatchObject({ refusal: { code } });
  });

  test("how many there are, when it is not one", () => {
    expect(judgeRecord(Buffer.from(" \n"), rules)).toEqual({ records: 0 });
    expect(judgeRecord(Buffer.concat([record(), record()]), rules)).toEqual({ records: 2 });
  });

  test("times are judged only when somebody says by which", () => {
    const old = record({ data: { event_time: "1999-01-01T00:00:00Z" } });
    expect(judgeRecord(old, rules)).toHaveProperty("event");
    expect(
      judgeRecord(old, { ...rules, times: { now: Date.UTC(2026, 0, 1), maxAgeMs: 1000 } }),
    ).toMatchObject({
      refusal: { code: "EVENT_TIME_TOO_OLD" },
    });
  });
});
