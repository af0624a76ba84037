// The objects that are read: the same arguments give the same bytes, in a file.
import { createWriteStream } from "node:fs";
import path from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";

export interface ObjectShape {
  readonly records: number;
  /** Of one record, about. */
  readonly bytes: 500 | 1000;
  readonly framing: "ndjson" | "concatenated";
}

/** When the objects were written, whatever day it is: the start of 2026-11-02, UTC. */
export const writtenAt: number = Date.UTC(2026, 10, 2);

const tenants = 100;
const repositories = [
  "payments-api",
  "infra }{ terraform",
  'mobile "beta"',
  "søk-tjeneste",
  "データ基盤",
  "docs\\legacy",
];
const words = [
  ...["finding", "upload", "branch", "main", "scanner", "severity", "critical", "résumé", "größer", "}{"],
  ...[
    "merged",
    "by",
    "pipeline",
    "nightly",
    "rule",
    "secret",
    "token",
    "leaked",
    "fixed",
    "データ",
    '"quoted"',
  ],
];

/** Writes the object as gzip, as Firehose does, and answers its path. */
export async function writeObject(folder: string, shape: ObjectShape): Promise<string> {
  const { records, bytes, framing } = shape;
  const file = path.join(folder, `${records}-${bytes}-${framing}.gz`);
  const text = Readable.from(pieces(shape));
  await pipeline(text, createGzip(), createWriteStream(file));
  return file;
}

/** Some hundred records at a time: one by one would cost more than making them. */
function* pieces({ records, bytes, framing }: ObjectShape): Generator<string> {
  const random = seeded(bytes);
  const end = framing === "ndjson" ? "\n" : "";
  for (let index = 0; index < records; ) {
    let piece = "";
    for (const last = Math.min(records, index + 256); index < last; index++) {
      piece += JSON.stringify(record(random, index, bytes)) + end;
    }
    yield piece;
  }
}

/** Like `findings_upload_completed` of the catalog, with notes up to the size. Every vendor takes it. */
function record(random: () => number, index: number, bytes: number): object {
  const whole = (below: number) => Math.floor(random() * below);
  const tenant = whole(tenants);
  const notes: Record<string, string> = {};
  // What the rest of the record takes is 430 bytes.
  for (let left = bytes - 430; left > 20; left -= 200) {
    let note = "";
    while (note.length < Math.min(left, 180))
      note += `${words[whole(words.length)]} ${whole(1e6).toString(36)} `;
    notes[`note_${Object.keys(notes).length}`] = note;
  }
  return {
    metric_name: "findings_upload_completed",
    metadata: {
      tenant_id: `tenant-${tenant}`,
      event_id: `${hex(random)}-0000-4000-8000-${String(index).padStart(12, "0")}`,
      user_id: `user-${whole(40)}`,
      tenant_name: `Tenant ${tenant}`,
      environment: "production",
      repository: repositories[whole(repositories.length)],
      scanner: "semgrep",
    },
    data: {
      event_time: new Date(writtenAt - 3_600_000 + index).toISOString(),
      new_findings_count: whole(40),
      fixed_findings_count: whole(15),
      duration_seconds: whole(18_000) / 100,
      is_baseline: whole(10) === 0,
      ...notes,
    },
  };
}

function hex(random: () => number): string {
  return Math.floor(random() * 2 ** 32)
    .toString(16)
    .padStart(8, "0");
}

/** Mulberry32. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
