// file: one NDJSON file a tenant and UTC day, which shows that a sink need not be HTTP.
import { join, resolve } from "node:path";
import {
  type Batch,
  type Delivered,
  type Limits,
  type MetricEvent,
  type Outcome,
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
const noFolderName = { code: "TENANT_ID_NO_FOLDER_NAME" } as const;

/**
 * Appends each event as one line `{"id","metric_name","time","metadata","data"}`, `time` in UTC.
 *
 * `delivered` means synced to the disk. Before it appends, `send` looks for the batch's events (id and metric) in the
 * day's file and leaves out those that are there: a retry, a redelivery or a replay after a crash adds no second
 * line, as long as one process at a time, through one sink, writes to the directory. Several at once lose
 * nothing, but may write an event twice, with the same id. The look reads the day's whole file once a batch.
 *
 * What a crash leaves half written stays, as a line of its own that is not JSON and that readers skip.
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
      return items.map(() => ({ status: "rejected", reason, ...noFolderName }));
    } catch (error) {
      const code = codeOf(error);
      if (code === undefined) throw error;
      // No space, no permission, a folder that is a file: each is the directory's fault, never a record's.
      throw sinkUnavailable(`the file sink's directory cannot be written: ${code}`);
    }
  };
  return {
    name: "file",
    limits,
    partition: ({ tenantId, time }) => `${tenantId}/${new Date(time).toISOString().split("T")[0]}`,
    encode: (event) => {
      const fault = faultOfName(event.tenantId);
      if (fault !== undefined)
        return { rejected: `metadata.tenant_id names a folder, which ${fault}`, ...noFolderName };
      const payload = lineOf(event);
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

/** Why a folder cannot have this name: some file system refuses it, or takes it for another tenant's. */
function faultOfName(name: string): string | undefined {
  if (name === "." || name === "..") return "cannot be . or ..";
  if (/[/\\\p{Cc}]/u.test(name)) return "can hold no slash, backslash or control character";
  if (/[. ]$/.test(name)) return "cannot end in a dot or a space: some systems drop them";
  if (!name.isWellFormed()) return "must be well-formed Unicode";
  return Buffer.byteLength(name) > maxTenantBytes ? `takes at most ${maxTenantBytes} bytes` : undefined;
}

function lineOf({ id, time, metricName, metadata, data }: MetricEvent): string {
  const line = { id, metric_name: metricName, time: new Date(time).toISOString(), metadata, data };
  return `${JSON.stringify(line)}\n`;
}
