// The progress bar. It counts bytes read, not objects: one large object moves it too.
import { SingleBar } from "cli-progress";
import type { ObjectInfo, ObjectStore } from "../store/object-store.ts";

export interface Progress {
  /** The same store, whose reads move the bar. */
  watch(store: ObjectStore): ObjectStore;
  records(count: number): void;
  /** The object is done, whether or not it had to be read. */
  done(key: string): void;
  /** Says from now on that the run is coming to its end early. */
  ending(): void;
  /** Removes the bar and gives the cursor back; so does the end of the process. */
  stop(): void;
}

export interface ProgressState {
  /** Of all objects, in bytes. */
  readonly bytes: number;
  readonly bytesRead: number;
  readonly objects: number;
  readonly objectsDone: number;
  readonly records: number;
  readonly seconds: number;
  readonly ending: boolean;
}

const longestBar = 40;
const shortestBar = 10;

export function startProgress(stream: NodeJS.WriteStream, objects: readonly ObjectInfo[]): Progress {
  const started = performance.now();
  const sizes = new Map(objects.map(({ key, size }) => [key, size]));
  const bytes = objects.reduce((sum, { size }) => sum + size, 0);
  const read = new Map<string, number>();
  let bytesRead = 0;
  let objectsDone = 0;
  let records = 0;
  let ending = false;

  /** A lane that fell behind has its object read once more, which is no progress of the whole. */
  const readTo = (key: string, count: number) => {
    const before = read.get(key) ?? 0;
    const now = Math.min(count, sizes.get(key) ?? 0);
    read.set(key, now);
    bytesRead += now - before;
  };
  const bar = new SingleBar({
    stream,
    format: () =>
      progressLine(
        {
          bytes,
          bytesRead,
          objects: objects.length,
          objectsDone,
          records,
          seconds: (performance.now() - started) / 1000,
          ending,
        },
        stream.columns,
      ),
    hideCursor: true,
    clearOnComplete: true,
    // What Ctrl-C means is decided elsewhere.
    gracefulExit: false,
    // A bar that draws at most ten times a second costs nothing that is measured.
    fps: 10,
  });
  const stop = () => {
    process.removeListener("exit", stop);
    bar.stop();
  };
  process.once("exit", stop);
  bar.start(bytes, 0);

  return {
    watch: (store) => ({
      ...store,
      async *read(key, options) {
        for await (const chunk of store.read(key, options)) {
          readTo(key, (read.get(key) ?? 0) + chunk.byteLength);
          yield chunk;
        }
      },
    }),
    records(count) {
      records += count;
    },
    done(key) {
      readTo(key, Number.POSITIVE_INFINITY);
      objectsDone++;
    },
    ending() {
      ending = true;
    },
    stop,
  };
}

/** The line as it stands; what does not fit is the bar, then the line's end. */
export function progressLine(state: ProgressState, columns: number): string {
  const { bytes, bytesRead, objects, objectsDone, records, seconds, ending } = state;
  const share = bytes === 0 ? 1 : bytesRead / bytes;
  const facts = [
    `${Math.floor(share * 100)} % read`,
    `${objectsDone}/${objects} objects`,
    `${count(records)} records`,
    `${count(records / Math.max(seconds, 1))}/s`,
    duration(Math.floor(seconds)),
  ].join(" · ");
  if (ending) return `Ending, Ctrl-C again stops at once · ${facts}`;
  const room = Math.min(longestBar, columns - facts.length - 2);
  if (room < shortestBar) return facts;
  const full = Math.floor(share * room);
  return `${"█".repeat(full)}${"░".repeat(room - full)} ${facts}`;
}

function count(value: number): string {
  return Math.floor(value).toLocaleString("en-US");
}

function duration(seconds: number): string {
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
