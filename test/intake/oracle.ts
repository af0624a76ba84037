// What readRecords promises, said as simply as possible: the whole text at once, every prefix tried.

export interface Expected {
  readonly start: number;
  readonly end: number;
  /** Absent for what is not JSON. */
  readonly value?: unknown;
}

const blanks = [0x20, 0x0a, 0x0d, 0x09];

/** The records of good UTF-8. Quadratic. */
export function oracle(bytes: Buffer): Expected[] {
  const records: Expected[] = [];
  let at = 0;
  for (;;) {
    at = skipBlanks(bytes, at, true);
    if (at >= bytes.length) return records;
    const first = String.fromCharCode(bytes[at] ?? 0);
    const container = first === "{" || first === "[" ? shortestJson(bytes, at) : undefined;
    if (container !== undefined) {
      records.push({ start: at, ...container });
      at = container.end;
      continue;
    }
    const next = first === "{" ? nextRecord(bytes, at) : nextLine(bytes, at);
    let end = next;
    while (blanks.includes(bytes[end - 1] ?? 0)) end--;
    const line = first === "{" ? undefined : parse(bytes, at, end);
    records.push({ start: at, end, ...(line === undefined ? {} : { value: line.value }) });
    at = next;
  }
}

function skipBlanks(bytes: Buffer, from: number, marks: boolean): number {
  let at = from;
  for (;;) {
    if (blanks.includes(bytes[at] ?? 0)) at++;
    else if (marks && bytes.toString("hex", at, at + 3) === "efbbbf") at += 3;
    else return at;
  }
}

function shortestJson(bytes: Buffer, start: number): { end: number; value: unknown } | undefined {
  for (let end = start + 2; end <= bytes.length; end++) {
    const parsed = parse(bytes, start, end);
    if (parsed !== undefined) return { end, value: parsed.value };
  }
  return undefined;
}

function parse(bytes: Buffer, start: number, end: number): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(bytes.toString("utf8", start, end)) };
  } catch {
    return undefined;
  }
}

/** A line that starts with `{`, behind a line feed or a carriage return, or `}` before `{"` where the quote begins a key. */
function nextRecord(bytes: Buffer, start: number): number {
  for (let at = start + 1; at < bytes.length; at++) {
    if (bytes[at] === 0x0a || bytes[at] === 0x0d) {
      const first = skipBlanks(bytes, at, false);
      if (bytes[first] === 0x7b) return first;
    }
    if (/^\}\{"[^,:}\]\s]/.test(bytes.toString("latin1", at, at + 4))) return at + 1;
  }
  return bytes.length;
}

function nextLine(bytes: Buffer, start: number): number {
  for (let at = start + 1; at < bytes.length; at++) {
    const isLineEnd = bytes[at] === 0x0a || bytes[at] === 0x0d;
    if (isLineEnd || bytes.toString("latin1", at, at + 2) === '{"') return at;
  }
  return bytes.length;
}
