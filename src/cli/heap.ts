// Keeps the command's memory near what is alive: imported before anything else, since it counts from then on.
import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/**
 * V8 makes room for garbage: a young generation of up to 128 MB, and an old one of several times what is alive. That
 * would be most of a run's memory, and the more the longer it takes. A megabyte is young enough for what dies at once.
 */
setFlagsFromString("--semi-space-growth-factor=1");

/** Bytes of garbage that may pile up … */
const room = 12_000_000;
/** … as long as no more than this comes of it, alive and dead together: about what a run with four sinks needs … */
const usual = 54_000_000;
/** … and at least this part of what is alive: larger lanes would be marked over and over for little. */
const leastRoom = 1 / 6;

/** V8 takes no limit for a heap that runs, but collects when it is told to. */
setFlagsFromString("--expose-gc");
const collect: unknown = runInNewContext("gc");

/** In bytes, buffers included. */
function inUse(): number {
  const { used_heap_size: objects, external_memory: buffers } = getHeapStatistics();
  return objects + buffers;
}

const lookEveryMs = 10;
let alive = inUse();
setInterval(() => {
  const used = inUse();
  alive = Math.min(alive, used);
  const most = alive + Math.max(alive * leastRoom, Math.min(room, usual - alive));
  if (typeof collect !== "function" || used < most) return;
  collect();
  alive = inUse();
}, lookEveryMs).unref();
