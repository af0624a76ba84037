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

/**
 * Where a record can begin behind one that broke: at a `{` that is the first of its line, or that stands behind a `}`
 * and before the quote of a key.
 */
function nextRecord(bytes: Buffer, start: number): number {
  const text = bytes.toString("latin1");
  let inside: number | undefined;
  for (let at = start + 1; at < bytes.length; at++) {
    if (text[at] !== "{") continue;
    const [, before = "", blanks = ""] = /([^ \t\r\n])([ \t\r\n]*)$/.exec(text.slice(start, at)) ?? [];
    const joined = before === "}" && /^\{[ \t\r\n]*"[^,:}\] \t\r\n]/.test(text.slice(at));
    if (!/[\r\n]/.test(blanks) && !joined) continue;
    const isOutside = before === "}" || /[\r\n]$/.test(blanks);
    const end = isOutside ? undefined : nested(bytes, start, at, inside);
    if (end === undefined) return at;
    inside = end;
    at = end - 1;
  }
  return bytes.length;
}

/** Where the line ends, or an object begins in it. */
function nextLine(bytes: Buffer, start: number): number {
  const text = bytes.toString("latin1");
  let inside: number | undefined;
  for (let at = start + 1; at < bytes.length; at++) {
    let object = at;
    if (text[at] === "\n" || text[at] === "\r") {
      object = skipBlanks(bytes, at, false);
      if (!/[ \t]\{$/.test(text.slice(at, object + 1))) return at;
    } else if (!/^\{[ \t\r\n]*"/.test(text.slice(at))) continue;
    // A comma or a bracket alone may stand between records, or around them.
    const before = text.slice(start, object).replaceAll(/[ \t\r\n]/g, "");
    const end = /":$|.[,[]$/s.test(before) ? nested(bytes, start, object, inside) : undefined;
    if (end === undefined) return at;
    inside = end;
    at = end - 1;
  }
  return bytes.length;
}

/**
 * The end of an object inside the record that broke: whole, and before what can follow a value there. But between two
 * commas may stand a record.
 *
 * @param inside the end of the last such object.
 */
function nested(bytes: Buffer, start: number, at: number, inside: number | undefined): number | undefined {
  const object = shortestJson(bytes, at);
  if (object === undefined) return undefined;
  const text = bytes.toString("latin1");
  const before = text.slice(start, at).replace(/[ \t\r\n]+$/, "");
  const after = text[skipBlanks(bytes, object.end, false)] ?? "";
  if (!/^[,}\]]$/.test(after)) return undefined;
  const isSibling = inside !== undefined && text.slice(inside, at).replaceAll(/[ \t\r\n]/g, "") === ",";
  return before.endsWith(",") && after === "," && !isSibling ? undefined : object.end;
}
