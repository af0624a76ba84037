// The smallest honest sink with its vendor, and for every conformance case one way to break it, and it alone.
import {
  classifyReply,
  defineSink,
  type HttpReply,
  type Item,
  isSinkUnavailable,
  type Outcome,
  type Sink,
  stableUuid,
  type Verdict,
} from "../../src/index.ts";
import { type ConformanceSubject, sampleEvent, type Twin } from "../../src/testing/index.ts";

const secret = "key-5d41402abc";
const url = "https://honest.test/";
const lookUrl = `${url}look`;
const itemsPerRequest = 100;
const bytesPerRequest = 200_000;
/** Of a text without any ASCII, who counts characters sends three times the bytes: another case is there for that. */
const vendorBytes = 3 * bytesPerRequest;

export interface Payload {
  readonly id: string;
  readonly note: unknown;
}
/** What the vendor shows the newest of. */
interface Dated extends Payload {
  readonly about?: string;
  readonly time?: number;
  /** The time that it shows before the write, null for none. Left out: whatever that is. */
  readonly expects?: number | null;
}
type HonestSink = Sink<Payload>;
type Reply = readonly Outcome[] | Verdict;

/**
 * Stores each id once, refuses poison by its index, and says how many it took. Of an item that names what it is about
 * it shows the time to who looks, and refuses it when what it expects is not there any more.
 */
function honestTwin(): Twin {
  const stored = new Map<string, number>();
  const shown = new Map<string, number>();
  return {
    stored,
    handle: async (request) => {
      const text = await request.text();
      if (Buffer.byteLength(text) > vendorBytes) return Response.json({}, { status: 413 });
      if (request.url === lookUrl) {
        const subjects: readonly string[] = JSON.parse(text);
        return Response.json({ times: subjects.map((about) => shown.get(about) ?? null) });
      }
      const items: readonly Dated[] = JSON.parse(text);
      if (items.length > itemsPerRequest) return Response.json({ error: "too many" }, { status: 400 });
      const isLate = ({ about = "", expects }: Dated) =>
        expects !== undefined && expects !== (shown.get(about) ?? null);
      if (items.some(isLate)) return Response.json({ error: "it has changed" }, { status: 409 });
      const refused = items.flatMap(({ note }, index) => (note === "poison" ? [index] : []));
      for (const { id, note, about, time } of items) {
        if (note === "poison") continue;
        stored.set(id, 1);
        if (about !== undefined && time !== undefined) shown.set(about, time);
      }
      return Response.json({ taken: items.length - refused.length, refused });
    },
  };
}

export function honestSink(): HonestSink {
  return defineSink({
    name: "honest",
    limits: {
      itemsPerRequest,
      bytesPerRequest,
      bytesPerItem: 100_000,
      envelopeBytes: 2,
      concurrency: 2,
    },
    encode: ({ id, tenantId, metricName, data }) => {
      const payload: Payload = { id: stableUuid(tenantId, metricName, id), note: data["note"] };
      return { payload, bytes: bytesOf(payload) };
    },
    send: async ({ items }, { http, signal }): Promise<Reply> => {
      const headers = { authorization: secret };
      const body = JSON.stringify(items.map(({ payload }) => payload));
      const reply = await http({ method: "POST", url, headers, body }, signal);
      return classifyReply("Honest", reply) ?? outcomesOf(reply, items.length);
    },
  });
}

function bytesOf(payload: Payload): number {
  return Buffer.byteLength(JSON.stringify(payload)) + 1;
}

function outcomesOf({ body }: HttpReply, count: number): Reply {
  const answer = parse(body);
  if (answer === undefined || answer.taken + answer.refused.length !== count) {
    return { status: "transient", reason: "Honest answered something else" };
  }
  return Array.from({ length: count }, (_, index) =>
    answer.refused.includes(index)
      ? { status: "rejected", reason: "Honest refuses it", code: "REFUSED" }
      : { status: "delivered" },
  );
}

function parse(body: string): { readonly taken: number; readonly refused: readonly unknown[] } | undefined {
  try {
    const answer: unknown = JSON.parse(body);
    if (typeof answer !== "object" || answer === null) return undefined;
    if (!("taken" in answer && "refused" in answer)) return undefined;
    const { taken, refused } = answer;
    return typeof taken === "number" && Array.isArray(refused) ? { taken, refused } : undefined;
  } catch {
    return undefined;
  }
}

export function subjectOf(change: (sink: HonestSink) => HonestSink = (sink) => sink): ConformanceSubject {
  return {
    sink: () => change(honestSink()),
    twin: honestTwin,
    secrets: [secret],
    poison: (n, now) => {
      const event = sampleEvent(n, now);
      return { ...event, data: { ...event.data, note: "poison" } };
    },
  };
}

/** A sink of what is newest of each tenant: it looks at what the vendor shows before it writes. */
export function looking(
  limits: Partial<HonestSink["limits"]> = {},
  { isConditional = false } = {},
): (sink: HonestSink) => HonestSink {
  return (sink) => ({
    ...sink,
    limits: { ...sink.limits, ...limits },
    encode: (event) => {
      const encoded = sink.encode(event);
      if (!("payload" in encoded)) return encoded;
      const { tenantId: about, time } = event;
      const payload: Dated = { ...encoded.payload, about, time };
      // What it expects is not known before the look.
      return {
        payload,
        bytes: bytesOf(payload) + (isConditional ? '"expects":8640000000000000,'.length : 0),
      };
    },
    send: async ({ partition, items }, context) => {
      // It has made the payloads itself.
      const dated = items.map(({ payload }): Dated => payload);
      const body = JSON.stringify(dated.map(({ about }) => about));
      const headers = { authorization: secret };
      const reply = await context.http({ method: "POST", url: lookUrl, headers, body }, context.signal);
      const failure = classifyReply("Honest", reply);
      if (failure !== undefined) return failure;
      const times = timesOf(reply.body);
      if (times?.length !== items.length) return { status: "transient", reason: "Honest shows nothing" };
      const isOld = dated.map(({ time = 0 }, index) => (times[index] ?? Number.NEGATIVE_INFINITY) > time);
      const open = items.flatMap((item, index) => {
        const payload: Dated = { ...item.payload, ...(isConditional && { expects: times[index] ?? null }) };
        return isOld[index] ? [] : [{ ...item, payload }];
      });
      if (open.length === 0) return isOld.map((): Outcome => superseded);
      const answer = await sink.send({ partition, items: open }, context);
      // Another look may help.
      if ("status" in answer && answer.status === "refused" && answer.code === "HTTP_409") {
        return { status: "transient", reason: "Honest shows something else by now" };
      }
      if ("status" in answer) return isOld.includes(true) ? { status: "transient", reason: "again" } : answer;
      const outcomes = [...answer];
      return isOld.map((old) => (old ? superseded : (outcomes.shift() ?? superseded)));
    },
  });
}

const superseded: Outcome = { status: "filtered", reason: "superseded" };

function timesOf(body: string): readonly (number | null)[] | undefined {
  try {
    const answer: unknown = JSON.parse(body);
    if (typeof answer !== "object" || answer === null || !("times" in answer)) return undefined;
    const isTime = (value: unknown): value is number | null => value === null || typeof value === "number";
    return Array.isArray(answer.times) && answer.times.every(isTime) ? answer.times : undefined;
  } catch {
    return undefined;
  }
}

/** Changes what a call of `send` answers; `error` is what it threw instead. */
function answering(
  change: (
    answer: Reply | undefined,
    error: unknown,
    seen: { readonly status: number; readonly headers: HttpReply["headers"]; readonly body: string },
    context: Parameters<HonestSink["send"]>[1],
  ) => Reply | Promise<Reply>,
): (sink: HonestSink) => HonestSink {
  return (sink) => ({
    ...sink,
    send: async (batch, context) => {
      let seen: { status: number; headers: HttpReply["headers"]; body: string } = {
        status: 0,
        headers: {},
        body: "",
      };
      const http: typeof context.http = async (request, signal) => {
        const reply = await context.http(request, signal);
        seen = reply;
        return reply;
      };
      try {
        return await change(await sink.send(batch, { ...context, http }), undefined, seen, context);
      } catch (error) {
        return await change(undefined, error, seen, context);
      }
    },
  });
}

/** What a sink without types returns. */
const untyped = (value: unknown): never => value as never;

/** Refuses items with another code. */
function recoded(code: string): (sink: HonestSink) => HonestSink {
  return answering((answer, error) => {
    const kept = pass(answer, error);
    if ("status" in kept) return kept;
    return kept.map((outcome) => (outcome.status === "rejected" ? { ...outcome, code } : outcome));
  });
}

/** What it would have been. */
function pass(answer: Reply | undefined, error: unknown): Reply {
  if (answer === undefined) throw error;
  return answer;
}

export interface BrokenSink {
  /** The one case that must see it. */
  readonly breaks: string;
  readonly how: string;
  readonly change: (sink: HonestSink) => HonestSink;
}

export const brokenSinks: readonly BrokenSink[] = [
  {
    breaks: "names and limits are usable",
    how: "a name with a slash",
    change: (sink) => ({ ...sink, name: "a/b" }),
  },
  {
    breaks: "names and limits are usable",
    how: "two writers, which no lease could count",
    // What a sink without strict types could say.
    change: (sink) => ({ ...sink, limits: { ...sink.limits, writers: 2 as 1 } }),
  },
  {
    breaks: "encode answers at once, with an item or a reason",
    how: "a promise of an item",
    // What an async function of plain JavaScript does; of every event it would break all cases.
    change: (sink) => ({
      ...sink,
      encode: (event) =>
        event.data["note"] === "poison" ? untyped(Promise.resolve(sink.encode(event))) : sink.encode(event),
    }),
  },
  {
    breaks: "encode answers at once, with an item or a reason",
    how: "an item without its bytes",
    change: (sink) => ({
      ...sink,
      encode: (event) => {
        const encoded = sink.encode(event);
        const isBad = "payload" in encoded && event.data["note"] === "poison";
        return isBad ? untyped({ payload: encoded.payload }) : encoded;
      },
    }),
  },
  {
    breaks: "every answer is one that the core takes",
    how: "a misspelt verdict",
    change: answering((answer, error, { status }) => {
      const kept = pass(answer, error);
      return "status" in kept && status === 400 ? untyped({ ...kept, status: "refuzed" }) : kept;
    }),
  },
  {
    breaks: "every answer is one that the core takes",
    how: "a rejection without a code",
    change: answering((answer, error) => {
      const kept = pass(answer, error);
      if ("status" in kept) return kept;
      return kept.map((outcome) =>
        outcome.status === "rejected" ? untyped({ status: "rejected", reason: outcome.reason }) : outcome,
      );
    }),
  },
  {
    breaks: "every answer is one that the core takes",
    how: "a code in lower case",
    change: recoded("not-valid"),
  },
  {
    breaks: "every answer is one that the core takes",
    how: "a code that its refusals do not explain",
    change: (sink) => ({
      ...recoded("ODD")(sink),
      refusals: { OTHER: { meaning: "Other.", action: "None." } },
    }),
  },
  {
    breaks: "encoding is pure and the same for ever",
    how: "the time of sending in the payload",
    change: (sink) => ({
      ...sink,
      encode: (event) => {
        const encoded = sink.encode(event);
        if (!("payload" in encoded)) return encoded;
        const payload = { ...encoded.payload, sentAt: Date.now() };
        return { payload, bytes: bytesOf(payload) };
      },
    }),
  },
  {
    breaks: "encoding is pure and the same for ever",
    how: "the day of sending in the payload",
    change: (sink) => ({
      ...sink,
      encode: (event) => {
        const encoded = sink.encode(event);
        if (!("payload" in encoded)) return encoded;
        const payload = { ...encoded.payload, sentOn: new Date().toISOString().slice(0, 10) };
        return { payload, bytes: bytesOf(payload) };
      },
    }),
  },
  {
    breaks: "bytes are never under the real share",
    how: "characters counted for bytes",
    change: (sink) => ({
      ...sink,
      encode: (event) => {
        const encoded = sink.encode(event);
        if (!("payload" in encoded)) return encoded;
        return { ...encoded, bytes: JSON.stringify(encoded.payload).length + 1 };
      },
    }),
  },
  {
    breaks: "a hostile record costs itself alone",
    how: "a mapping that trusts a type",
    change: (sink) => ({
      ...sink,
      encode: (event) => {
        // What a mapping without strict types would do.
        const user = event.metadata["user_id"] as unknown as string;
        return user.startsWith("bot-") ? { filtered: "no person" } : sink.encode(event);
      },
    }),
  },
  {
    breaks: "tenants stay apart",
    how: "an id without its tenant",
    change: (sink) => ({
      ...sink,
      encode: (event) => {
        const payload = { id: event.id, note: event.data["note"] };
        return { payload, bytes: bytesOf(payload) };
      },
    }),
  },
  {
    breaks: "no item, one, a full request and one more",
    how: "a limit that the vendor does not have",
    change: (sink) => ({ ...sink, limits: { ...sink.limits, itemsPerRequest: itemsPerRequest + 1 } }),
  },
  {
    breaks: "no item, one, a full request and one more",
    how: "more bytes than the vendor takes",
    change: (sink) => ({ ...sink, limits: { ...sink.limits, bytesPerRequest: 10 * bytesPerRequest } }),
  },
  {
    breaks: "a poisoned record is rejected alone, in its place",
    how: "of several refused records only the first seen",
    change: answering((answer, error) => {
      const kept = pass(answer, error);
      if ("status" in kept) return kept;
      const first = kept.findIndex(({ status }) => status === "rejected");
      return kept.map((outcome, index) =>
        outcome.status === "rejected" && index > first ? { status: "delivered" } : outcome,
      );
    }),
  },
  {
    breaks: "a poisoned record is rejected alone, in its place",
    how: "outcomes in another order",
    change: answering((answer, error) => {
      const kept = pass(answer, error);
      return "status" in kept ? kept : kept.toReversed();
    }),
  },
  {
    breaks: "sending again adds nothing",
    how: "an id from the attempt",
    change: (sink) => ({
      ...sink,
      send: async (batch, context) => {
        if (context.attempt === 1) return await sink.send(batch, context);
        const items = batch.items.map((item) => ({
          ...item,
          payload: { ...item.payload, id: `${item.payload.id}-${context.attempt}` },
        }));
        return await sink.send({ ...batch, items }, context);
      },
    }),
  },
  {
    breaks: "sending again adds nothing",
    how: "an id from the time of sending",
    change: (sink) => ({
      ...sink,
      send: async (batch, context) => {
        const items = batch.items.map((item) => ({
          ...item,
          payload: { ...item.payload, id: stableUuid(item.payload.id, String(context.clock.now())) },
        }));
        return await sink.send({ ...batch, items }, context);
      },
    }),
  },
  {
    breaks: "sending again adds nothing",
    how: "items put in another order where they are",
    change: (sink) => ({
      ...sink,
      send: async (batch, context) => {
        // What a sink without strict types would do.
        (batch.items as Item<Payload>[]).sort((a, b) => (a.payload.id < b.payload.id ? -1 : 1));
        return await sink.send(batch, context);
      },
    }),
  },
  {
    breaks: "two deliveries at once do not mix",
    how: "one variable for all requests",
    change: (sink) => {
      let failed: Verdict | undefined;
      return {
        ...sink,
        send: async (batch, context) => {
          failed = undefined;
          const answer = await sink.send(batch, context);
          if ("status" in answer && answer.status === "transient") failed = answer;
          return failed ?? answer;
        },
      };
    },
  },
  {
    breaks: "the newest value stands when two send at once",
    how: "a look before the write, by any number of workers",
    change: looking(),
  },
  {
    breaks: "the newest value stands when two send at once",
    how: "one writer, which has two requests under way",
    change: looking({ writers: 1 }),
  },
  {
    breaks: "the newest value stands when two send at once",
    how: "one request a worker, and any number of workers",
    change: looking({ concurrency: 1 }),
  },
  {
    breaks: "401 and 403 make the sink unavailable",
    how: "a refusal of the records",
    change: answering((answer, error, { status }) =>
      status === 401 || status === 403
        ? { status: "refused", reason: "no", code: "NO" }
        : pass(answer, error),
    ),
  },
  {
    breaks: "a page that says 404 costs no record its life",
    how: "a refusal of the records",
    change: answering((answer, error, { status }) =>
      status === 404 ? { status: "refused", reason: "no", code: "NO" } : pass(answer, error),
    ),
  },
  {
    breaks: "a conflict is no delivery, and rejects no batch",
    how: "taken for delivered before",
    change: answering((answer, error, { status }) =>
      status === 409 ? { status: "delivered" } : pass(answer, error),
    ),
  },
  {
    breaks: "413 is refused, so that the core halves the request",
    how: "tried again as it is",
    change: answering((answer, error, { status }) =>
      status === 413 ? { status: "transient", reason: "later" } : pass(answer, error),
    ),
  },
  {
    breaks: "429 is transient and waits as long as it asks",
    how: "dates not understood",
    change: answering((answer, error, { status, headers }) => {
      const seconds = Number(headers["retry-after"]);
      if (status !== 429 || !Number.isNaN(seconds)) return pass(answer, error);
      return { status: "transient", reason: "throttled" };
    }),
  },
  {
    breaks: "429 is transient and waits as long as it asks",
    how: "trying again at once",
    change: answering(async (answer, error, { status }, { http, signal }) => {
      if (status === 429) await http({ method: "POST", url, headers: {}, body: "[]" }, signal);
      return pass(answer, error);
    }),
  },
  {
    breaks: "a server's fault is transient, whatever its body",
    how: "a page that is taken for a refusal",
    change: answering((answer, error, { status }) =>
      status === 503 ? { status: "refused", reason: "no", code: "NO" } : pass(answer, error),
    ),
  },
  {
    breaks: "a success that the vendor did not write is not one",
    how: "a trusted status",
    change: answering((answer, error, { status, body }) =>
      status === 200 && parse(body) === undefined ? { status: "delivered" } : pass(answer, error),
    ),
  },
  {
    breaks: "a success that the vendor did not write is not one",
    how: "a trust in every other status of success",
    change: answering((answer, error, { status }) =>
      status > 200 && status < 300 ? { status: "delivered" } : pass(answer, error),
    ),
  },
  {
    breaks: "a garbled success refuses nothing",
    how: "a damaged header that condemns the records",
    change: answering((answer, error, { status, headers }) =>
      status === 200 && headers["content-type"] === "text/html"
        ? { status: "refused", reason: "no JSON", code: "NO" }
        : pass(answer, error),
    ),
  },
  {
    breaks: "a redirect is not followed",
    how: "following it",
    change: answering(async (answer, error, { headers }, { http, signal }) => {
      const { location } = headers;
      if (location !== undefined) await http({ method: "GET", url: location, headers: {} }, signal);
      return pass(answer, error);
    }),
  },
  {
    breaks: "messages hold no secret and no record's value",
    how: "the body in the reason",
    change: answering((answer, error, { status, body }) =>
      status === 500 ? { status: "transient", reason: `Honest said ${body}` } : pass(answer, error),
    ),
  },
  {
    breaks: "a cut connection is unknown",
    how: "hope",
    change: answering((answer, error, _seen, { signal }) =>
      answer === undefined && !signal.aborted && !isSinkUnavailable(error)
        ? { status: "delivered" }
        : pass(answer, error),
    ),
  },
  {
    breaks: "a hang ends as unknown when its time is over",
    how: "despair",
    change: answering((answer, error, _seen, { signal }) =>
      signal.aborted ? { status: "refused", reason: "no answer", code: "NO" } : pass(answer, error),
    ),
  },
  {
    breaks: "a slow reply is waited for",
    how: "a patience of its own",
    change: (sink) => ({
      ...sink,
      send: async (batch, context) => {
        const settled = new AbortController();
        const impatient = context.clock
          .sleep(2500, settled.signal)
          .then((): Verdict => ({ status: "transient", reason: "too slow" }));
        try {
          return await Promise.race([sink.send(batch, context), impatient]);
        } finally {
          settled.abort();
        }
      },
    }),
  },
  {
    breaks: "an abort settles at once",
    how: "a last wait",
    change: (sink) => ({
      ...sink,
      send: async (batch, context) => {
        try {
          return await sink.send(batch, context);
        } finally {
          if (context.signal.aborted) await context.clock.sleep(1000);
        }
      },
    }),
  },
  {
    breaks: "an abort settles at once",
    how: "a signal of its own",
    change: (sink) => ({
      ...sink,
      send: async (batch, context) =>
        await sink.send(batch, { ...context, signal: new AbortController().signal }),
    }),
  },
  {
    breaks: "nothing is left running",
    how: "a timer that nobody stops",
    change: (sink) => {
      setInterval(() => {}, 60_000).unref();
      return sink;
    },
  },
];
