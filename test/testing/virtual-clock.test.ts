import { readFile } from "node:fs/promises";
import { setImmediate } from "node:timers/promises";
import { promisify } from "node:util";
import zlib from "node:zlib";
import { expect, test } from "vitest";
import { idleMs, virtualClock } from "../../src/testing/index.ts";

test("time stands still until it is moved, and then moves by exactly as much", async () => {
  const clock = virtualClock({ start: 1000 });
  let done = false;
  const sleeping = clock.sleep(50).then(() => {
    done = true;
  });
  await setImmediate();
  expect([clock.now(), done]).toEqual([1000, false]);
  await clock.advance(49);
  expect([clock.now(), done]).toEqual([1049, false]);
  await clock.advance(1);
  expect([clock.now(), done]).toEqual([1050, true]);
  await sleeping;
});

test("timers fire in order of time, equal ones in order of setting, and each sees its own moment", async () => {
  const clock = virtualClock({ start: 0 });
  const seen: string[] = [];
  const note = (name: string, ms: number) => clock.sleep(ms).then(() => seen.push(`${name}@${clock.now()}`));
  await clock.run(Promise.all([note("c", 20), note("a", 10), note("b", 10), note("d", 20), note("now", 0)]));
  expect(seen).toEqual(["now@0", "a@10", "b@10", "c@20", "d@20"]);
});

test("advance also fires the timers that earlier ones set within its span", async () => {
  const clock = virtualClock({ start: 0 });
  const seen: number[] = [];
  const loop = async () => {
    for (;;) {
      await clock.sleep(10);
      seen.push(clock.now());
    }
  };
  loop();
  await clock.advance(35);
  expect(seen).toEqual([10, 20, 30]);
  expect(clock.now()).toBe(35);
});

test("a signal aborts when its time has come, with a TimeoutError", async () => {
  const clock = virtualClock();
  const signal = clock.signal(100);
  await clock.advance(99);
  expect(signal.aborted).toBe(false);
  await clock.advance(1);
  expect(signal.reason).toMatchObject({ name: "TimeoutError" });
});

test("a sleep ends at once, without an error, when its signal aborts, and leaves no timer", async () => {
  const clock = virtualClock({ start: 0 });
  await clock.run(clock.sleep(1000, clock.signal(5)));
  expect(clock.now()).toBe(5);
  await clock.sleep(1000, AbortSignal.abort());
  expect(clock.now()).toBe(5);
});

test("run hands on what the promise becomes, a year later or at once", async () => {
  const clock = virtualClock({ start: 0 });
  const year = 365 * 24 * 3600 * 1000;
  const wait = async () => {
    while (clock.now() < year) await clock.sleep(24 * 3600 * 1000);
    return "done";
  };
  expect(await clock.run(wait())).toBe("done");
  expect(clock.now()).toBe(year);
  await expect(clock.run(Promise.reject(new Error("no")))).rejects.toThrow("no");
});

test("real work on files and zlib is finished before time jumps", async () => {
  const clock = virtualClock({ start: 0 });
  const gzip = promisify(zlib.gzip);
  const noise = Buffer.from(Array.from({ length: 2_000_000 }, (_, index) => (index * 7919) >>> 5));
  const work = async () => {
    clock.signal(10);
    const packed = await gzip(noise, { level: 9 });
    await readFile(import.meta.filename);
    const inflated = new Response(new Blob([new Uint8Array(packed)]).stream()).body?.pipeThrough(
      new DecompressionStream("gzip"),
    );
    const bytes = (await new Response(inflated ?? null).arrayBuffer()).byteLength;
    for (let turn = 0; turn < 50; turn += 1) await setImmediate();
    return [bytes, clock.now()];
  };
  expect(await clock.run(work())).toEqual([noise.byteLength, 0]);
});

test("a zlib stream that waits for its slow reader does not stop time, and each run takes the same time", async () => {
  const read = async () => {
    const clock = virtualClock({ start: 0 });
    const gunzip = zlib.createGunzip();
    gunzip.end(zlib.gzipSync(Buffer.alloc(1_000_000)));
    const reading = async () => {
      let chunks = 0;
      for await (const _chunk of gunzip) {
        await clock.sleep(1000);
        chunks += 1;
      }
      return chunks;
    };
    const chunks = await clock.run(reading());
    expect(clock.now()).toBe(chunks * 1000);
    return chunks;
  };
  const start = performance.now();
  const chunks = await read();
  expect(chunks).toBeGreaterThan(10);
  expect(await read()).toBe(chunks);
  // Well under one idle wait a chunk.
  expect(performance.now() - start).toBeLessThan(chunks * idleMs);
});

test("a promise that can never settle is an error, not a hang", async () => {
  const clock = virtualClock();
  const forever = clock.sleep(10).then(() => new Promise(() => {}));
  await expect(clock.run(forever)).rejects.toThrow(/never settle: no timer is left/);
});
