// An operator at night: 100,000 dead letters of 12 causes over four sinks, listed and planned in seconds, and in memory
// that does not depend on how many there are.
import { fork } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { bookPrefix, hashOf } from "../../src/books/books.ts";
import { encodeReceipt, noCounts } from "../../src/books/receipt.ts";
import { createDeadLetter } from "../../src/dead-letter/dead-letter.ts";
import { createLetterWriter } from "../../src/dead-letter/store.ts";
import { openStore } from "../../src/store/open.ts";
import { atMost, megabytes, milliseconds, type Row, type Section, times } from "../row.ts";
import type { Waited } from "../waiting.ts";

const sinks = ["timestream", "segment", "mixpanel", "hubspot-events"] as const;
const causesOfEach = 3;
const lettersPerFile = 250;
const sizes = { quick: [10_000, 40_000], full: [10_000, 100_000] } as const;
/** On two busy cores. */
const most = { listMs: 10_000, planMs: 15_000 };
const mostMegabytes = 250;

export const deadLetters: Section = {
  name: "dead-letters",
  async measure({ quick, folder }) {
    const rows: Row[] = [];
    let first: number | undefined;
    for (const size of quick ? sizes.quick : sizes.full) {
      const { listMs, planMs, peakMegabytes } = await measure(folder, size);
      const name = `${size.toLocaleString("en-US")} dead letters of ${sinks.length * causesOfEach} causes`;
      rows.push(
        atMost(`list ${name}`, listMs, most.listMs, milliseconds),
        atMost(`plan ${name}`, planMs, most.planMs, milliseconds),
        atMost(`peak memory, both of ${name}`, peakMegabytes, mostMegabytes, megabytes),
      );
      if (first !== undefined) {
        rows.push(atMost("peak memory against 10,000", peakMegabytes / first, 1.3, times));
      }
      first ??= peakMegabytes;
    }
    return rows;
  },
};

async function measure(folder: string, letters: number): Promise<Waited> {
  const root = await mkdtemp(path.join(folder, "letters-"));
  const places = [path.join(root, "receipts"), path.join(root, "dead-letters")] as const;
  try {
    await fill(places, letters);
    const child = fork(fileURLToPath(new URL("../waiting.ts", import.meta.url)), [...places], {
      env: {
        ...process.env,
        SINKS: "timestream,segment,mixpanel,hubspot",
        AWS_REGION: "us-east-1",
        TIMESTREAM_DATABASE: "product",
        SEGMENT_WRITE_KEY: "key",
        MIXPANEL_TOKEN: "token",
        HUBSPOT_ACCESS_TOKEN: "token",
      },
    });
    // waiting.ts sends nothing else.
    const waited = await new Promise<Waited>((resolve, reject) => {
      child.once("message", (told) => resolve(told as Waited));
      child.once("exit", (code) => reject(new Error(`bench/waiting.ts ended with ${code}`)));
    });
    if (waited.letters !== letters || waited.causes !== sinks.length * causesOfEach) {
      throw new Error(`listed ${waited.letters} letters of ${waited.causes} causes`);
    }
    return waited;
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

/** Objects whose every sink has refused the same number of records, for a few causes. */
async function fill(
  [receiptsPlace, lettersPlace]: readonly [string, string],
  letters: number,
): Promise<void> {
  const receipts = openStore(receiptsPlace);
  const store = openStore(lettersPlace);
  const now = Date.UTC(2026, 10, 21);
  for (let number = 0; number < letters / lettersPerFile / sinks.length; number++) {
    const key = `Data/events-1-2026-11-21-00-00-00-${number}.gz`;
    const object = { bucket: "s3://bench", key, version: "v" };
    for (const sink of sinks) {
      const place = { sink, date: "2026-11-21", name: `${hashOf(object)}-000001-bench` };
      const writer = createLetterWriter(store, place);
      for (let index = 0; index < lettersPerFile; index++) {
        const record = recordOf(number, index, now);
        writer.add(
          createDeadLetter(
            {
              stage: "send",
              sink,
              origin: { ...object, index, start: index * 500, end: (index + 1) * 500 },
              event: { id: `e${number}-${index}`, metricName: "scan_completed", tenantId: `t${index % 10}` },
              code: `CAUSE_${String.fromCharCode(65 + (index % causesOfEach))}`,
              reason: "the vendor does not take it",
              attempts: 1,
              firstAt: now,
              lastAt: now,
            },
            Buffer.from(JSON.stringify(record)),
          ),
        );
      }
      await writer.flush("now");
      const receipt = encodeReceipt({
        object,
        lane: sink,
        generation: 1,
        continues: null,
        writtenAt: now,
        counts: { ...noCounts, records: lettersPerFile, valid: lettersPerFile, deadLettered: lettersPerFile },
        letters: [...writer.files],
        pending: [],
        readTo: null,
        tries: 0,
        adopted: [],
        replays: [],
      });
      await receipts.put(`${bookPrefix(object)}${sink}/000001.receipt.json`, receipt);
    }
  }
}

function recordOf(number: number, index: number, now: number): object {
  return {
    metric_name: "scan_completed",
    metadata: {
      tenant_id: `t${index % 10}`,
      event_id: `e${number}-${index}`,
      repository: "payments-api",
      scanner: "zap",
    },
    data: {
      event_time: new Date(now + index).toISOString(),
      duration_seconds: 12.5,
      files_scanned: 1200,
      succeeded: true,
    },
  };
}
