// What somebody has begun and not ended: timers, sockets, files, told apart from those of everybody else.
import { AsyncLocalStorage, createHook } from "node:async_hooks";
import { setTimeout } from "node:timers/promises";

/** What keeps going by itself: https://nodejs.org/api/async_hooks.html#type lists the kinds. */
const kinds: ReadonlySet<string> = new Set([
  ...["Timeout", "TCPWRAP", "TLSWRAP", "PIPEWRAP", "UDPWRAP", "TTYWRAP"],
  ...["FSEVENTWRAP", "STATWATCHER", "PROCESSWRAP", "WORKER", "MESSAGEPORT", "SIGNALWRAP", "TCPSERVERWRAP"],
]);

/** Real milliseconds for what ends by itself: callbacks that somebody put off to the loop's next round. */
const graceMs = 50;

export interface Leftovers {
  /** Runs code whose doings count, whatever they lead to. */
  watch<T>(work: () => T): T;
  /** Runs code, called from what is watched, whose doings do not count. */
  ignore<T>(work: () => T): T;
  /** The kinds of what is still there after a moment, in words of Node. */
  list(): Promise<readonly string[]>;
  stop(): void;
}

export function watchLeftovers(): Leftovers {
  const watched = new AsyncLocalStorage<true>();
  const alive = new Map<number, string>();
  const hook = createHook({
    init: (id, kind) => {
      if (kinds.has(kind) && watched.getStore() === true) alive.set(id, kind);
    },
    destroy: (id) => {
      alive.delete(id);
    },
  }).enable();
  return {
    watch: (work) => watched.run(true, work),
    ignore: (work) => watched.exit(work),
    list: async () => {
      const until = performance.now() + graceMs;
      // Node tells of what was ended a round later.
      do await setTimeout(1);
      while (alive.size > 0 && performance.now() < until);
      return [...alive.values()];
    },
    stop: () => hook.disable(),
  };
}
