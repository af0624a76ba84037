// The same faults of S3 twice, under objects of every kind: what becomes of a record must not depend on luck.
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { StoreError, systemClock } from "../../src/index.ts";
import { drawFaults, seededRandom } from "../../src/testing/index.ts";
import { xerial } from "../intake/snappy-encoder.ts";
import { zip } from "../intake/zip-file.ts";
import { world as s3World } from "../store/s3-world.ts";
import { breakBody, s3Refusal } from "../support/s3-twin.ts";
import { createWorld, eventRecord, scriptedSink } from "../support/world.ts";

const perObject = 40;
const eventIds = (name: string) => Array.from({ length: perObject }, (_, index) => `${name}-${index}`);

/** So many events with a record among them that is none; with long fields, so that a body comes in pieces. */
function content(name: string): string {
  const lines = eventIds(name).map((id, index) => {
    const data = { event_time: "2026-11-20T09:30:00Z", text: seededText(index) };
    return JSON.stringify({ ...eventRecord(index), metadata: { tenant_id: "t", event_id: id }, data });
  });
  return [...lines.slice(0, 7), "not json", ...lines.slice(7)].join("\n");
}

/** What no compression makes small. */
function seededText(seed: number): string {
  const random = seededRandom(seed);
  return Array.from({ length: 300 }, () => random().toString(36).slice(2, 8)).join("");
}

const objects: Readonly<Record<string, Buffer>> = {
  raw: Buffer.from(content("raw")),
  gzip: gzipSync(content("gzip")),
  "gzip-cut": gzipSync(content("gzip-cut")).subarray(0, -9),
  zip: zip({ content: content("zip"), descriptor: true }),
  snappy: xerial(Buffer.from(content("snappy"))).bytes,
};

async function recorded(seed: number) {
  const draw = drawFaults({
    seed,
    rate: 0.35,
    kinds: [
      s3Refusal(503, "SlowDown"),
      s3Refusal(500, "InternalError"),
      s3Refusal(400, "RequestTimeout"),
      s3Refusal(403, "AccessDenied"),
      s3Refusal(400, "KMS.ThrottlingException"),
      s3Refusal(400, "KMS.DisabledException"),
      s3Refusal(400, "ExpiredToken"),
      s3Refusal(404, "NoSuchKey"),
      s3Refusal(412, "PreconditionFailed"),
      { kind: "reset" },
      { kind: "reset-in-reply" },
      { kind: "truncated" },
      { kind: "garbled", body: "<html>" },
    ],
  });
  const random = seededRandom(seed);
  let isIll = true;
  const faults: (string | undefined)[] = [];
  const { store, twin, requests } = await s3World({
    faults: (request, n) => {
      const fault = isIll ? draw(request, n) : undefined;
      faults.push(fault?.kind);
      return fault;
    },
    change: async (response, request) => {
      const [breaks, where] = [random(), random()];
      if (!isIll || request.method !== "GET" || breaks > 0.5) return response;
      return await breakBody(
        response,
        Math.floor(where * Number(response.headers.get("content-length"))),
        "cut",
      );
    },
  });
  for (const [key, bytes] of Object.entries(objects)) twin.put("bucket", key, bytes);
  const world = createWorld();
  const sink = scriptedSink("a");
  const now = world.clock.now();
  // What no fault of S3 decides stands still.
  const worker = world.worker([sink], { source: () => store, clock: { ...systemClock, now: () => now } });
  const outcomes: unknown[] = [];
  for (let round = 0; round < 4; round++) {
    isIll = round < 3;
    for (const key of Object.keys(objects)) {
      outcomes.push(
        await worker.process({ bucket: "bucket", key }).then(
          ({ records, valid, invalid, sinks }) => ({
            key,
            records,
            valid,
            invalid,
            ...sinks["a"],
            requestMs: 0,
          }),
          (error: unknown) => (error instanceof StoreError ? `${key}: ${error.code}` : Promise.reject(error)),
        ),
      );
    }
  }
  const letters = await world.letters();
  return { outcomes, requests, faults, sent: sink.requests, stored: sink.stored, letters };
}

test.each([1, 2, 3, 4, 5, 6])(
  "the faults of S3 of seed %i, run twice, end alike and lose nothing",
  async (seed) => {
    const [one, other] = [await recorded(seed), await recorded(seed)];
    expect(other).toEqual(one);
    expect(one.faults.filter((fault) => fault !== undefined).length).toBeGreaterThan(3);
    expect(one.outcomes.filter((each) => typeof each === "string").length).toBeGreaterThan(0);
  },
);
