// The fault injector: makes any twin fail the way networks and vendors do.
import { setImmediate } from "node:timers/promises";
import { type Clock, type Random, systemClock } from "../delivery/clock.ts";
import { resetConnection, type TwinHandler } from "./twin.ts";

/** What goes wrong with one request. The comment says what the twin has stored by then. */
export type Fault =
  /** Nothing stored: something in front of the vendor answers. 204 and 304 carry no body. */
  | {
      readonly kind: "status";
      readonly status: number;
      /** `Retry-After` in any form: {@link retryAfter} writes it. */
      readonly headers?: Readonly<Record<string, string>>;
      /** Default `""`. */
      readonly body?: string | Uint8Array;
    }
  /** Nothing stored: the connection is cut before the vendor sees the request. */
  | { readonly kind: "reset" }
  /** Stored; the connection is cut before the reply. */
  | { readonly kind: "reset-after-store" }
  /** Stored; the reply's head and so many bytes of its body come (default half), then the connection is cut: before its head when it has no body. */
  | { readonly kind: "reset-in-reply"; readonly afterBytes?: number }
  /** Stored; so many bytes of the reply's body (default half) come as if they were all of it. */
  | { readonly kind: "truncated"; readonly bytes?: number }
  /** Stored; the reply's status and headers with another body: HTML, nothing, half a JSON. */
  | { readonly kind: "garbled"; readonly body: string | Uint8Array }
  /** Stored; the reply with about every eighth byte of its body, and one at least, replaced by one of the seed's. */
  | { readonly kind: "scrambled"; readonly seed: number }
  /** Stored; the reply with these headers beside or in place of its own. */
  | { readonly kind: "headers"; readonly headers: Readonly<Record<string, string>> }
  /** Stored at once; the reply comes `ms` later. */
  | { readonly kind: "delay"; readonly ms: number }
  /** Stored; the reply's head comes at once, its body in `pieces` (default 4) with `ms` before each. */
  | { readonly kind: "slow-body"; readonly ms: number; readonly pieces?: number }
  /** No reply, ever: the client has to give up. `stored` (default false) says whether the twin acted. */
  | { readonly kind: "hang"; readonly stored?: boolean };

/**
 * Decides what goes wrong with a request, or nothing. `n` counts the requests from 1. Who reads the body reads
 * a `request.clone()`.
 */
export type NextFault = (request: Request, n: number) => Fault | undefined;

/**
 * Puts faults in front of a twin; works in process (`twinHttp`, or `twinResolver` with msw) and on loopback
 * (`serveTwin`). Bodies are bytes: what is binary stays what it is.
 *
 * @param clock Moves `delay` and `slow-body`. Default the system's.
 */
export function injectFaults(
  handle: TwinHandler,
  next: NextFault,
  clock: Pick<Clock, "sleep"> = systemClock,
): TwinHandler {
  let n = 0;
  return async (request) => {
    n += 1;
    const fault = next(request, n);
    switch (fault?.kind) {
      case undefined:
        return await handle(request);
      case "status":
        return answer(fault.status, fault.headers, toBytes(fault.body ?? ""));
      case "reset":
        throw resetConnection();
      case "reset-after-store":
        await handle(request);
        throw resetConnection();
      case "reset-in-reply":
        return await cutOff(await handle(request), fault.afterBytes);
      case "truncated":
        return await rewrite(await handle(request), (body) =>
          body.subarray(0, fault.bytes ?? body.length >>> 1),
        );
      case "garbled":
        return await rewrite(await handle(request), () => toBytes(fault.body));
      case "scrambled":
        return await rewrite(await handle(request), (body) => scramble(body, seededRandom(fault.seed)));
      case "headers":
        return await rewrite(await handle(request), (body) => body, fault.headers);
      case "delay": {
        const response = await handle(request);
        await clock.sleep(fault.ms);
        return response;
      }
      case "slow-body":
        return await rewrite(await handle(request), (body) =>
          inPieces(split(body, fault.pieces ?? 4), "end", () => clock.sleep(fault.ms)),
        );
      case "hang":
        if (fault.stored === true) await handle(request);
        return await new Promise<never>(() => {});
    }
  };
}

/** Mulberry32: 32 bits of state, plenty for drawing faults; the same seed draws the same numbers everywhere. */
export function seededRandom(seed: number): Random {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface DrawFaultsOptions {
  readonly seed: number;
  /** The share of requests that fail, 0 to 1. */
  readonly rate: number;
  /** What to draw from, each as likely as the others. */
  readonly kinds: readonly Fault[];
}

/** Draws a fault for some of the requests; the same seed gives the same faults in the order of requests. */
export function drawFaults({ seed, rate, kinds }: DrawFaultsOptions): NextFault {
  const random = seededRandom(seed);
  return () => {
    // Both numbers are drawn every time, so that another rate moves no other request's fault.
    const [fails, which] = [random(), random()];
    return fails < rate ? kinds[Math.floor(which * kinds.length)] : undefined;
  };
}

/** The ways in which servers write `Retry-After` (RFC 9110, 10.2.3 and 5.6.7), and those that mean nothing. */
export type RetryAfterForm = "seconds" | "fraction" | "date" | "rfc850-date" | "asctime-date" | "garbage";

/**
 * The value of a `Retry-After` header that asks for `waitMs`. Dates have whole seconds, so `now + waitMs` should be
 * one; `garbage` asks for nothing that anybody could understand.
 *
 * @param now Milliseconds since the epoch.
 */
export function retryAfter(form: RetryAfterForm, waitMs: number, now: number): string {
  const date = new Date(now + waitMs);
  // "Sun, 06 Nov 1994 08:49:37 GMT", the form that RFC 9110 prefers.
  const [dayName = "", day = "", month = "", year = "", time = ""] = date.toUTCString().split(/,? /);
  switch (form) {
    case "seconds":
      return String(Math.ceil(waitMs / 1000));
    case "fraction":
      return (waitMs / 1000).toFixed(3);
    case "date":
      return date.toUTCString();
    case "rfc850-date": {
      const longName = date.toLocaleDateString("en-US", { weekday: "long", timeZone: "UTC" });
      return `${longName}, ${day}-${month}-${year.slice(-2)} ${time} GMT`;
    }
    case "asctime-date":
      return `${dayName} ${month} ${day.replace(/^0/, " ")} ${time} ${year}`;
    case "garbage":
      return "in a while";
  }
}

type Bytes = Uint8Array<ArrayBuffer>;
type Body = Bytes | ReadableStream<Bytes>;

/** The statuses whose replies have no body (Fetch Standard, "null body status"). */
const bodyless: readonly number[] = [204, 205, 304];

function answer(
  status: number,
  headers: Headers | Readonly<Record<string, string>> | undefined,
  body: Body,
): Response {
  return new Response(bodyless.includes(status) ? null : body, { status, ...(headers && { headers }) });
}

async function rewrite(
  response: Response,
  change: (body: Bytes) => Body,
  more: Readonly<Record<string, string>> = {},
): Promise<Response> {
  const headers = new Headers(response.headers);
  // The body's length is no longer the twin's.
  headers.delete("content-length");
  for (const [name, value] of Object.entries(more)) headers.set(name, value);
  return answer(response.status, headers, change(new Uint8Array(await response.arrayBuffer())));
}

/** Cut before its head where the reply has no body. */
async function cutOff(response: Response, afterBytes: number | undefined): Promise<Response> {
  if (response.body === null) throw resetConnection();
  return await rewrite(response, (body) =>
    inPieces([body.subarray(0, afterBytes ?? body.length >>> 1)], "cut"),
  );
}

function toBytes(body: string | Uint8Array): Bytes {
  return typeof body === "string" ? new TextEncoder().encode(body) : new Uint8Array(body);
}

/** About every eighth byte becomes another one. */
function scramble(body: Bytes, random: Random): Bytes {
  const scrambled = body.slice();
  const surely = Math.floor(random() * body.length);
  for (const [index, byte] of body.entries()) {
    // Both numbers are drawn every time, so that one byte's fate moves no other's.
    const [hit, other] = [random() < 1 / 8, 1 + Math.floor(random() * 255)];
    if (hit || index === surely) scrambled[index] = (byte + other) & 0xff;
  }
  return scrambled;
}

function split(body: Bytes, pieces: number): Bytes[] {
  const size = Math.max(1, Math.ceil(body.length / pieces));
  return Array.from({ length: Math.ceil(body.length / size) }, (_, index) =>
    body.subarray(index * size, (index + 1) * size),
  );
}

function inPieces(
  pieces: readonly Bytes[],
  last: "end" | "cut",
  before: () => Promise<void> = async () => {},
): ReadableStream<Bytes> {
  let index = 0;
  return new ReadableStream({
    pull: async (controller) => {
      const piece = pieces[index];
      index += 1;
      if (piece !== undefined) {
        await before();
        controller.enqueue(piece);
      } else if (last === "end") controller.close();
      else {
        // A server gathers what is written in one round of the event loop: what came before the cut leaves first.
        await setImmediate();
        controller.error(resetConnection());
      }
    },
  });
}
