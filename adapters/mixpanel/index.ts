// The Mixpanel sink: every metric is an event, every tenant a group, sent to `/import` in strict mode. The body is built
// here: the vendor's SDK sends 50 events a request as a form in base64, reads no outcome of an event, and adds 52 KB to a
// cold start (docs/performance.md); test/contract/mixpanel.test.ts holds that both say the same.
import {
  bodyOf,
  classifyReply,
  gzipped,
  type HttpReply,
  type Item,
  type Outcome,
  type Sink,
  sinkUnavailable,
  type Verdict,
} from "../../src/index.ts";
import { type MixpanelEvent, type MixpanelMapping, mixpanelEncode } from "./event.ts";
import { refusalOf, refusals } from "./refusals.ts";

export type { MixpanelEvent, MixpanelMapping };

export type MixpanelOptions = MixpanelAccess &
  MixpanelMapping & {
    /** Without a path. Default `https://api.mixpanel.com`; the regions' are `api-eu` and `api-in`. */
    readonly host?: string;
    /** Bytes of a request's body. Default 2 MiB; newer pages of Mixpanel allow 10 MB. */
    readonly bytesPerRequest?: number;
    /**
     * Whether bodies are compressed, as Mixpanel recommends: a tenth of the bytes for some microseconds of a core an
     * event. Default true.
     */
    readonly gzip?: boolean;
  };

/** A project's token, or a service account (role Owner or Admin) with its project. */
export type MixpanelAccess =
  | { readonly token: string; readonly serviceAccount?: never }
  | {
      readonly serviceAccount: {
        readonly username: string;
        readonly secret: string;
        readonly projectId: string;
      };
      readonly token?: never;
    };

/** https://developer.mixpanel.com/reference/import-events: 2,000 events, 10–20 clients, 30k events a second. */
const importLimits = {
  itemsPerRequest: 2000,
  envelopeBytes: 2,
  concurrency: 10,
  requestsPerSecond: 15,
  // Same page: after 429, 502 and 503 "exponential backoff with jitter", from 2 s to 60 s.
  backoff: { leastMs: 2_000, mostMs: 60_000 },
};
/** Same page: an event is smaller than 1 MB; a request than 2 MB (newer pages: 10 MB). */
const [eventBytes, requestBytes] = [1024 * 1024 - 1, 2 * 1024 * 1024] as const;

/** Delivers each event once: Mixpanel dedupes by name, time, user and `$insert_id`, which all come from the event. */
export function mixpanelSink(options: MixpanelOptions): Sink<string> {
  const {
    host = "https://api.mixpanel.com",
    bytesPerRequest = requestBytes,
    serviceAccount: account,
    gzip = true,
  } = options;
  const user = account ? `${account.username}:${account.secret}` : `${options.token}:`;
  const project = account ? `&project_id=${encodeURIComponent(account.projectId)}` : "";
  const url = `${host.replace(/\/+$/, "")}/import?strict=1${project}`;
  const authorization = `Basic ${Buffer.from(user).toString("base64")}`;
  const headers = { authorization, "content-type": "application/json", accept: "application/json" };
  return {
    name: "mixpanel",
    refusals,
    repeats: { effect: "merged", reason: "Mixpanel counts one event for a name, time, user and $insert_id." },
    limits: { ...importLimits, bytesPerRequest, bytesPerItem: eventBytes },
    encode: mixpanelEncode(options),
    send: async ({ items }, { http, signal }) => {
      const { body, headers: coding } = await gzipped(bodyOf("[", items, "]"), gzip);
      const reply = await http({ method: "POST", url, headers: { ...headers, ...coding }, body }, signal);
      return mixpanelOutcomes(reply, items);
    },
  };
}

/** What a reply to the items sent says of them. What is unknown may be sent again: Mixpanel dedupes. */
export function mixpanelOutcomes(
  reply: HttpReply,
  items: readonly Pick<Item<string>, "payload">[],
): readonly Outcome[] | Verdict {
  const sent = items.length;
  const verdict = classifyReply("Mixpanel", reply);
  if (verdict?.status === "transient" || (verdict !== undefined && reply.status === 413)) return verdict;
  // Of the 4xx, only 400 and 413 speak of events; a 404, say, comes from somewhere that is not `/import`.
  if (verdict !== undefined && reply.status !== 400) {
    throw sinkUnavailable(`Mixpanel answered ${reply.status}: check its configured host and project`);
  }
  const { code, num_records_imported: imported, failed_records: failed } = parseObject(reply.body);
  const reason = `Mixpanel answered ${reply.status} without accounting for every event`;
  const unknown: Outcome = { status: "transient", reason };
  const delivered: Outcome = { status: "delivered" };
  if (verdict === undefined) return code === 200 && imported === sent ? delivered : unknown;
  if (!Array.isArray(failed) || failed.length === 0) return Number(imported ?? 0) === 0 ? verdict : unknown;
  const rejected = new Map<number, Outcome>();
  let known = true;
  for (const { index, field } of failed.map(toObject)) {
    const item = typeof index === "number" ? items[index] : undefined;
    if (typeof index !== "number" || item === undefined) known = false;
    // The first that is said of an event counts: each one costs that its payload is read.
    else if (!rejected.has(index))
      rejected.set(index, { status: "rejected", ...refusalOf(field, propertiesOf(item.payload)) });
  }
  const rest = known && imported === sent - rejected.size ? delivered : unknown;
  return Array.from({ length: sent }, (_, index) => rejected.get(index) ?? rest);
}

function propertiesOf(payload: string): readonly string[] {
  return Object.keys(toObject(parseObject(payload)["properties"]));
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    return toObject(JSON.parse(text));
  } catch {
    return {};
  }
}

function toObject(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}
