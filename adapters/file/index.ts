// file: one NDJSON file a tenant and UTC day, which shows that a sink need not be HTTP.
import { join, resolve } from "node:path";
import {
  allFinite,
  type Batch,
  type Delivered,
  type Limits,
  type MetricEvent,
  type Outcome,
  type Refusals,
  type Sink,
  sinkUnavailable,
  type Transient,
} from "../../src/index.ts";
import { appendMissing, codeOf } from "./day-file.ts";

export interface FileOptions {
  /** Holds `<tenant_id>/<yyyy-MM-dd>.ndjson`; made when it is missing. The day is that of `event_time`, UTC. */
  readonly directory: string;
}

/** No vendor sets these: they bound the memory of a batch. One write at a time keeps a look true until its write. */
const limits: Limits = {
  itemsPerRequest: 10_000,
  bytesPerRequest: 8 * 1024 * 1024,
  bytesPerItem: 8 * 1024 * 1024,
  concurrency: 1,
};

/** Under what file systems take: 255 bytes (Linux `limits.h`, NAME_MAX), or 255 units of UTF-16 on others. */
const maxTenantBytes = 200;
/** What no folder may be called on Windows: https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file */
const [windowsKeeps, windowsDevice] = [
  /[<>:"|?*]/,
  /^(?:con|prn|aux|nul|com[\d¹²³]|lpt[\d¹²³]|conin\$|conout\$) *(?:\.|$)/i,
];

const refusals = {
  TENANT_ID_NO_FOLDER_NAME: {
    meaning:
      "The tenant's id cannot be the name of a folder on every system, or not of one that is this tenant's alone.",
    action: "Give the tenant an id that can, or route its events to other sinks only.",
  },
  NUMBER_NOT_FINITE: {
    meaning: "A number is larger than a double can be, such as 1e400, and JSON could only say null for it.",
    action: "Send it as text, or leave it out, where the record is made.",
  },
} as const satisfies Refusals;

/** So a code without advice does not compile. */
type Code = keyof typeof refusals;

/**
 * Appends each event as one line `{"id","metric_name","time","metadata","data"}`, `time` in UTC.
 *
 * `delivered` means synced to the disk. Before it appends, `send` looks for the batch's events (id and metric) in the
 * day's file and leaves out those that are there: a retry, a redelivery or a replay after a crash adds no second
 * line, as long as one process at a time, through one sink, writes to the directory. Several at once lose
 * nothing, but may write an event twice, with the same id. The look reads the day's whole file once a batch.
 *
 * What a crash leaves half written stays, as a line of its own that is not JSON and that readers skip.
 *
 * Nothing is cut or renamed, and all text survives: half of a surrogate pair is written as the escape that JSON has for
 * it, so the file is valid UTF-8. A tenant whose id some system would refuse as a folder's name, hide, or take for
 * another's is rejected on every system, so that a directory can move between them.
 */
export function fileSink(options: FileOptions): Sink<string> {
  const directory = resolve(options.directory);
  let last: Promise<unknown> = Promise.resolve();
  const write = async ({ partition, items }: Batch<string>): Promise<readonly Outcome[] | Delivered> => {
    const path = join(directory, `${partition}.ndjson`);
    try {
      const answer = await appendMissing(
        path,
        items.map(({ payload }) => payload),
      );
      if (answer === "written") return { status: "delivered" };
      const reason = "metadata.tenant_id names a folder that is another one by its real name";
      const code: Code = "TENANT_ID_NO_FOLDER_NAME";
      return items.map(() => ({ status: "rejected", reason, code }));
    } catch (error) {
      const code = codeOf(error);
      if (code === undefined) throw error;
      // No space, no permission, a folder that is a file: each is the directory's fault, never a record's.
      throw sinkUnavailable(`the file sink's directory cannot be written: ${code}`);
    }
  };
  return {
    name: "file",
    refusals,
    repeats: {
      effect: "merged",
      reason:
        "The file is searched for the event's id and metric first, as long as one process at a time writes.",
    },
    limits,
    partition: ({ tenantId, time }) => `${tenantId}/${new Date(time).toISOString().split("T")[0]}`,
    encode: (event) => {
      const fault = faultOfName(event.tenantId);
      if (fault !== undefined) {
        return reject("TENANT_ID_NO_FOLDER_NAME", `metadata.tenant_id names a folder, which ${fault}`);
      }
      const payload = lineOf(event);
      // What is not finite became null; a line without one needs no second look.
      if (payload.includes("null") && !(allFinite(event.metadata) && allFinite(event.data))) {
        return reject("NUMBER_NOT_FINITE", "the record holds a number larger than a double can be");
      }
      return { payload, bytes: Buffer.byteLength(payload) };
    },
    send: (batch, { signal }) => {
      const late: Transient = { status: "transient", reason: "the file was not written in time" };
      const aborted = Promise.withResolvers<Transient>();
      if (signal.aborted) aborted.resolve(late);
      else signal.addEventListener("abort", () => aborted.resolve(late), { once: true });
      // Also a write that took too long must be over before the next one looks.
      const written = last.then(async () => (signal.aborted ? late : await write(batch)));
      last = written.catch(() => {});
      return Promise.race([written, aborted.promise]);
    },
  };
}

function reject(code: Code, rejected: string) {
  return { rejected, code };
}

/** Why a folder cannot have this name: some file system refuses it, hides it, or takes it for another tenant's. */
function faultOfName(name: string): string | undefined {
  if (name.startsWith(".")) return "cannot begin with a dot: it would be hidden, or another folder";
  if (/[/\\\p{Cc}]/u.test(name)) return "can hold no slash, backslash or control character";
  if (/[. ]$/.test(name) || name.trim() === "")
    return "cannot end in a dot or a space: some systems drop them";
  if (windowsKeeps.test(name)) return "can hold none of < > : | ? * and double quotes: Windows keeps them";
  if (windowsDevice.test(name)) return "cannot be what Windows calls a device";
  if (!name.isWellFormed()) return "must be well-formed Unicode";
  if (name !== name.normalize("NFC")) return "must be composed Unicode (NFC): some systems see no difference";
  return Buffer.byteLength(name) > maxTenantBytes ? `takes at most ${maxTenantBytes} bytes` : undefined;
}

function lineOf({ id, time, metricName, metadata, data }: MetricEvent): string {
  const line = { id, metric_name: metricName, time: new Date(time).toISOString(), metadata, data };
  return `${JSON.stringify(line)}\n`;
}
