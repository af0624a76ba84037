// Makes what comes from outside of JavaScript come in order, or a seed would not always tell the same story: zlib answers
// from its threads in any order, and a timer of the shortest kind, as vendors' SDKs set them, takes real time, which the
// virtual clock does not wait for. Whoever wants it imports this module before whatever compresses.
import { syncBuiltinESMExports } from "node:module";
import { Transform } from "node:stream";
import zlib, { type CompressCallback, type InputType, type ZlibOptions } from "node:zlib";

const gzip = (input: InputType, ...rest: [CompressCallback] | [ZlibOptions, CompressCallback]) => {
  const done = rest.length === 1 ? rest[0] : rest[1];
  const bytes = zlib.gzipSync(input, { level: 1 });
  process.nextTick(done, null, bytes);
};
const createGunzip = () => {
  const chunks: Buffer[] = [];
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      chunks.push(chunk);
      done();
    },
    flush(done) {
      try {
        done(null, zlib.gunzipSync(Buffer.concat(chunks)));
      } catch (error) {
        done(error instanceof Error ? error : new Error("zlib failed without an error"));
      }
    },
  });
};
for (const [name, value] of Object.entries({ gzip, createGunzip })) {
  Object.defineProperty(zlib, name, { value, configurable: true });
}
syncBuiltinESMExports();

const { setTimeout: slowly, clearTimeout: clearSlowly } = globalThis;
const immediates = new Set<unknown>();

function soon(callback: (...args: unknown[]) => void, ms = 0, ...args: unknown[]): unknown {
  if (ms > 1) return slowly(callback, ms, ...args);
  const immediate: unknown = setImmediate(() => {
    immediates.delete(immediate);
    callback(...args);
  });
  immediates.add(immediate);
  return immediate;
}

function clearSoon(timer: unknown): void {
  // What is in the set came from `setImmediate`, and whatever else from the function that this one stands for.
  if (immediates.delete(timer)) clearImmediate(timer as NodeJS.Immediate);
  else clearSlowly(timer as NodeJS.Timeout);
}

Object.assign(globalThis, { setTimeout: soon, clearTimeout: clearSoon });
