// The fault injector: makes any twin fail the way networks and vendors do.
import { type Clock, type Random, systemClock } from "../delivery/clock.ts";
import { resetConnection, type TwinHandler } from "./twin.ts";

/** What goes wrong with one request. The comment says what the twin has stored by then. */
export type Fault =
  /** Nothing stored: something in front of the vendor answers. 204 and 304 carry no body. */
  | {
      readonly kind: "status";
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      /** Default `""`. */
      readonly body?: string;
    }
  /** Nothing stored: the connection is cut before the vendor sees the request. */
  | { readonly kind: "reset" }
  /** Stored; the connection is cut before the reply. */
  | { readonly kind: "reset-after-store" }
  /** Stored; the reply's head and the first half of its body come, then the connection is cut. */
  | { readonly kind: "reset-in-reply" }
  /** Stored; half of the reply's body comes as if it were all of it. */
  | { readonly kind: "truncated" }
  /** Stored; the reply's status and headers with another body: HTML, nothing, half a JSON. */
  | { readonly kind: "garbled"; readonly body: string }
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
 * Puts faults in front of a twin; works in process (`twinHttp`) and on loopback (`serveTwin`).
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
        return answer(fault.status, fault.headers, fault.body ?? "");
      case "reset":
        throw resetConnection();
      case "reset-after-store":
        await handle(request);
        throw resetConnection();
      case "reset-in-reply":
        return await rewrite(await handle(request), (body) => inPieces([half(body)], "cut"));
      case "truncated":
        return await rewrite(await handle(request), half);
      case "garbled":
        return await rewrite(await handle(request), () => fault.body);
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

type Body = string | ReadableStream<Uint8Array>;

/** The statuses whose replies have no body (Fetch Standard, "null body status"). */
const bodyless: readonly number[] = [204, 205, 304];

function answer(
  status: number,
  headers: Headers | Readonly<Record<string, string>> | undefined,
  body: Body,
): Response {
  return new Response(bodyless.includes(status) ? null : body, { status, ...(headers && { headers }) });
}

async function rewrite(response: Response, change: (body: string) => Body): Promise<Response> {
  const headers = new Headers(response.headers);
  // The body's length is no longer the twin's.
  headers.delete("content-length");
  return answer(response.status, headers, change(await response.text()));
}

function half(body: string): string {
  return body.slice(0, body.length >>> 1);
}

function split(body: string, pieces: number): string[] {
  const size = Math.max(1, Math.ceil(body.length / pieces));
  return Array.from({ length: Math.ceil(body.length / size) }, (_, index) =>
    body.slice(index * size, (index + 1) * size),
  );
}

function inPieces(
  pieces: readonly string[],
  last: "end" | "cut",
  before: () => Promise<void> = async () => {},
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let index = 0;
  return new ReadableStream({
    pull: async (controller) => {
      const piece = pieces[index];
      index += 1;
      if (piece !== undefined) {
        await before();
        controller.enqueue(encoder.encode(piece));
      } else if (last === "end") controller.close();
      else controller.error(resetConnection());
    },
  });
}
