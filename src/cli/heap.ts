// Keeps the command's memory near what is alive: imported before anything else, since it counts from then on.
import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/**
 * V8 makes room for garbage: a young generation of up to 128 MB, and an old one of several times what is alive. That
 * would be most of a run's memory, and the more the longer it takes. A megabyte is young enough for what dies at once.
 */
setFlagsFromString("--semi-space-growth-factor=1");

/** How much in use is no reason to collect: a run with four sinks has less. */
const usual = 54_000_000;
/** What may be garbage before it is collected, as long as less than the usual is in use … */
const room = 12_000_000;
/** … and at least, as a part of what is alive: collecting more often would take more time than it saves memory. */
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
