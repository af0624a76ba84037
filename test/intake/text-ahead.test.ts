import { expect, test, vi } from "vitest";
import { type Needle, TextAhead } from "../../src/intake/text-ahead.ts";

const lineFeed: Needle = (text, from) => text.indexOf("\n", from);
const lines = Array.from({ length: 50 }, (_, n) => `é日😀 ${n}`);
const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(""));

/** Reads line by line: the text of each, or undefined where it must be decoded apart. */
function read(ahead: TextAhead, buffer: Buffer, at = 0, between: (line: number) => void = () => {}) {
  const texts: (string | undefined)[] = [];
  for (let start = at, line = 0; ; line++) {
    const end = buffer.indexOf(0x0a, start);
    if (end === -1) return texts;
    texts.push(ahead.upTo(end, lineFeed, buffer, start));
    ahead.skip(1);
    between(line);
    start = end + 1;
  }
}

test("gives the text of each line, wherever the buffer cuts the last character", () => {
  for (let cut = 0; cut < 12; cut++) {
    const texts = read(new TextAhead(), bytes.subarray(0, bytes.length - cut));
    // The last lines stand too near to the end to be looked behind.
    expect(texts.slice(0, 47)).toEqual(lines.slice(0, 47));
    for (const [n, text] of texts.entries()) expect([lines[n], undefined]).toContain(text);
  }
});

test("decodes a stretch once, and no text is taken for another when the reader has gone elsewhere", () => {
  const decoded = vi.spyOn(Buffer.prototype, "toString");
  const ahead = new TextAhead();
  const texts = read(ahead, bytes, 0, (line) => {
    if (line === 3) ahead.lose();
  });
  expect(texts).toEqual([...lines.slice(0, 4), ...Array(46).fill(undefined)]);
  expect(decoded.mock.calls.map(([, start, end]) => [start, end])).toEqual([[0, bytes.length]]);
  decoded.mockRestore();
});

test("takes up a new stretch where the last one ends, also in a buffer that has moved on", () => {
  const ahead = new TextAhead();
  read(ahead, bytes);
  const tail = bytes.length - 20;
  ahead.moved(tail);
  const next = Buffer.concat([bytes.subarray(tail), bytes]);
  expect(read(ahead, next, 20).slice(0, 40)).toEqual(lines.slice(0, 40));
});

test("has no text for bytes that are not UTF-8", () => {
  const bad = Buffer.concat([Buffer.from("good\n"), Buffer.from([0xff, 0x0a]), bytes]);
  expect(new Set(read(new TextAhead(), bad))).toEqual(new Set([undefined]));
});
