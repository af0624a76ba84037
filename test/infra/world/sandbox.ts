// A bundle as Lambda keeps it: one environment with its own variables, cold started once and invoked again and again.

import path from "node:path";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";

export interface Invocation {
  readonly answer?: unknown;
  /** What the handler rejected with, or why the cold start failed. */
  readonly thrown?: string;
}

export interface Sandbox {
  invoke(event: unknown): Promise<Invocation>;
  close(): Promise<void>;
}

export interface SandboxOptions {
  /** Holds `index.mjs`. */
  readonly directory: string;
  readonly env: Readonly<Record<string, string>>;
  /** What the world's clock is ahead of the system's, in milliseconds: one signed 64-bit number. */
  readonly offset: SharedArrayBuffer;
  readonly timeoutMs: number;
  /** Told of every line that the function writes. */
  readonly onLine: (line: string) => void;
}

type Message =
  | { readonly kind: "ready" }
  | { readonly kind: "cold start failed"; readonly message: string }
  | { readonly kind: "done"; readonly id: number; readonly answer?: unknown; readonly thrown?: string };

/** A cold start that fails is tried again, as Lambda does it: so often before the invocation fails. */
const coldStarts = 3;

/** Opens at its first invocation. Nothing but loopback is reached. */
export function openSandbox(options: SandboxOptions): Sandbox {
  let environment: Environment | undefined;
  let turn: Promise<unknown> = Promise.resolve();
  const opened = async (): Promise<Environment | string> => {
    for (let time = 1; environment === undefined; time++) {
      const fresh = openEnvironment(options);
      const failed = await fresh.started;
      if (failed === undefined) environment = fresh;
      else {
        await fresh.close();
        if (time === coldStarts) return failed;
      }
    }
    return environment;
  };
  return {
    async invoke(event) {
      const opening = turn.then(opened);
      turn = opening;
      const found = await opening;
      return typeof found === "string" ? { thrown: found } : await found.invoke(event);
    },
    async close() {
      await turn;
      await environment?.close();
    },
  };
}

interface Environment extends Sandbox {
  /** Why the cold start failed; undefined when it did not. */
  readonly started: Promise<string | undefined>;
}

function openEnvironment({ directory, env, offset, timeoutMs, onLine }: SandboxOptions): Environment {
  const thread = new Worker(new URL("./sandbox.mjs", import.meta.url), {
    env: { ...env },
    execArgv: [`--import=${new URL("../../../.ci/loopback-only.mjs", import.meta.url).href}`],
    workerData: {
      index: pathToFileURL(path.join(directory, "index.mjs")).href,
      offset,
      remainingMs: timeoutMs,
    },
    stdout: true,
    stderr: true,
  });
  for (const stream of [thread.stdout, thread.stderr]) {
    let open = "";
    stream.setEncoding("utf8").on("data", (text: string) => {
      const lines = `${open}${text}`.split("\n");
      open = lines.pop() ?? "";
      for (const line of lines) if (line !== "") onLine(line);
    });
  }
  const waiting = new Map<number, (done: Invocation) => void>();
  const started = Promise.withResolvers<string | undefined>();
  let ids = 0;
  // The thread's only sender is sandbox.mjs, which sends nothing else.
  thread.on("message", (message: Message) => {
    if (message.kind === "ready") started.resolve(undefined);
    else if (message.kind === "cold start failed") started.resolve(message.message);
    else {
      const { id, answer, thrown } = message;
      waiting.get(id)?.(thrown === undefined ? { answer } : { thrown });
      waiting.delete(id);
    }
  });
  thread.on("error", (error: Error) => {
    started.resolve(error.message);
    for (const end of waiting.values()) end({ thrown: error.message });
  });
  return {
    started: started.promise,
    async invoke(event) {
      const id = ++ids;
      const { promise, resolve } = Promise.withResolvers<Invocation>();
      waiting.set(id, resolve);
      thread.postMessage({ id, event });
      return await promise;
    },
    async close() {
      await thread.terminate();
    },
  };
}
