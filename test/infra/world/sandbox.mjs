// Runs in a thread of its own: a Lambda function's environment, whose clock is the world's, and its handler.
// Plain JavaScript, since it is the first thing that the thread loads.
import { parentPort, workerData } from "node:worker_threads";

const { index, offset, remainingMs } = workerData;

// The world's time is the system's and what the world has moved it on.
const moved = new BigInt64Array(offset);
const RealDate = Date;
const now = () => RealDate.now() + Number(Atomics.load(moved, 0));
globalThis.Date = class extends RealDate {
  constructor(...given) {
    if (given.length === 0) super(now());
    else super(...given);
  }
  static now() {
    return now();
  }
};

// Waits between tries, ours and the SDK's, pass 20 times as fast. Timeouts keep their time, since a busy machine needs
// it: the shortest is the SDK's for a connection, 5 s, of which it waits 4 in one piece.
const longestWaitMs = 3_500;
const realSetTimeout = globalThis.setTimeout;
globalThis.setTimeout = Object.assign(
  (callback, ms = 0, ...given) =>
    realSetTimeout(callback, ms > 20 && ms <= longestWaitMs ? ms / 20 : ms, ...given),
  realSetTimeout,
);

let handler;
try {
  ({ handler } = await import(index));
  parentPort.postMessage({ kind: "ready" });
} catch (error) {
  parentPort.postMessage({ kind: "cold start failed", message: String(error?.message ?? error) });
}

parentPort.on("message", async ({ id, event }) => {
  const ends = now() + remainingMs;
  const context = { awsRequestId: `request-${id}`, getRemainingTimeInMillis: () => ends - now() };
  let done;
  try {
    done = { answer: await handler(event, context) };
  } catch (error) {
    done = { thrown: String(error?.message ?? error) };
  }
  // An empty line, which nobody counts: once it is written, all lines before it have arrived.
  process.stdout.write("\n", () => parentPort.postMessage({ kind: "done", id, ...done }));
});
