// How far a replay is, and when it may end: a bar on a terminal, else a line now and then.
import { SingleBar } from "cli-progress";
import type { ReplayTally } from "../dead-letter/replay.ts";
import { count, duration } from "./words.ts";

export interface ReplayProgress {
  update(tally: ReplayTally): void;
  /** Says from now on that the replay is coming to its end early. */
  ending(): void;
  /** Removes the bar and gives the cursor back; so does the end of the process. */
  stop(): void;
}

export interface ProgressLine {
  readonly total: number;
  readonly done: number;
  readonly refused: number;
  readonly seconds: number;
  readonly ending: boolean;
}

/** Without a terminal: often enough to see that it lives, seldom enough for a log. */
const lineEveryMs = 10_000;
const longestBar = 30;
const shortestBar = 10;

export function startReplayProgress(stream: NodeJS.WriteStream, total: number): ReplayProgress {
  const started = performance.now();
  let done = 0;
  let refused = 0;
  let isEnding = false;
  let lastLine = started;
  const line = (): ProgressLine => ({
    total,
    done,
    refused,
    seconds: (performance.now() - started) / 1000,
    ending: isEnding,
  });
  const take = (tally: ReplayTally) => {
    done = Math.min(total, tally.tried + tally.drained + tally.dropped);
    refused = tally.refused;
  };
  if (!stream.isTTY) {
    return {
      update(tally) {
        take(tally);
        if (performance.now() - lastLine < lineEveryMs) return;
        lastLine = performance.now();
        stream.write(`fanout: ${progressText(line(), 0)}\n`);
      },
      ending() {
        isEnding = true;
        stream.write("fanout: ending, as asked; a second signal stops at once\n");
      },
      stop() {},
    };
  }
  const bar = new SingleBar({
    stream,
    format: () => progressText(line(), stream.columns),
    hideCursor: true,
    clearOnComplete: true,
    // What Ctrl-C means is decided elsewhere.
    gracefulExit: false,
    fps: 10,
  });
  const stop = () => {
    process.removeListener("exit", stop);
    bar.stop();
  };
  process.once("exit", stop);
  bar.start(total, 0);
  return {
    update: take,
    ending() {
      isEnding = true;
    },
    stop,
  };
}

/** The line as it stands; where there is no room, without its bar. */
export function progressText(
  { total, done, refused, seconds, ending }: ProgressLine,
  columns: number,
): string {
  const share = total === 0 ? 1 : done / total;
  const rate = done / Math.max(seconds, 1);
  const left = rate === 0 ? "…" : duration(((total - done) / rate) * 1000);
  const facts = [
    `${Math.floor(share * 100)} %`,
    `${count(done)} of ${count(total)}`,
    `${count(refused)} refused`,
    `${count(Math.floor(rate))}/s`,
    `${left} left`,
  ].join(" · ");
  if (ending) return `Ending, Ctrl-C again stops at once · ${facts}`;
  const room = Math.min(longestBar, columns - facts.length - 2);
  if (room < shortestBar) return facts;
  const full = Math.floor(share * room);
  return `${"█".repeat(full)}${"░".repeat(room - full)} ${facts}`;
}
