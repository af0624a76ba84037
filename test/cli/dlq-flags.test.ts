// What operators type: filters, paces, times, and what is said of nonsense.
import { describe, expect, test } from "vitest";
import { periodOf } from "../../src/cli/books.ts";
import { percent } from "../../src/cli/books-print.ts";
import { filterOf, flagsOf, quoted, unknownSinks } from "../../src/cli/dlq-options.ts";
import { pacingOf } from "../../src/cli/dlq-run.ts";
import { progressText } from "../../src/cli/replay-progress.ts";
import { duration, fittingTable, parseMoment, printable, wrap } from "../../src/cli/words.ts";
import { paced } from "../../src/delivery/paced.ts";
import { scriptedSink } from "../support/world.ts";

const now = Date.UTC(2026, 10, 21, 12, 30);
const hour = 60 * 60_000;

describe("a moment", () => {
  test.each([
    ["90m", now - 1.5 * hour],
    ["90min", now - 1.5 * hour],
    ["2h", now - 2 * hour],
    ["3d", now - 72 * hour],
    ["1.5h", now - 1.5 * hour],
    ["30s", now - 30_000],
    ["1w", now - 7 * 24 * hour],
    ["2026-11-20", Date.UTC(2026, 10, 20)],
    ["2026-11-20T03:15Z", Date.UTC(2026, 10, 20, 3, 15)],
    ["2026-11-20T03:15:10.5+01:00", Date.UTC(2026, 10, 20, 2, 15, 10, 500)],
  ])("%s", (text, expected) => expect(parseMoment("--since", text, now)).toBe(expected));

  test.each([
    "soon",
    "",
    "2 fortnights",
    "2026-02-30",
    "2026-11-20T03:15",
    "5",
    "constructor",
    "3 constructor",
  ])("%j is none", (text) =>
    expect(() => parseMoment("--since", text, now)).toThrow(/^--since must be an age/),
  );
});

describe("filters", () => {
  test("come from their flags, and go back into them", () => {
    const filter = filterOf(
      {
        sink: ["segment", "intake"],
        tenant: ["Jupiter's"],
        code: ["http_400"],
        since: "2026-11-20",
        id: ["3f2a"],
      },
      now,
      ["segment", "segment-groups"],
    );
    expect(filter).toEqual({
      sinks: ["segment", "_intake"],
      tenants: ["Jupiter's"],
      codes: ["HTTP_400"],
      since: Date.UTC(2026, 10, 20),
      ids: ["3f2a"],
    });
    expect(flagsOf(filter)).toBe(
      "--sink segment --sink intake --tenant 'Jupiter'\\''s' --code HTTP_400 --id 3f2a --since 2026-11-20T00:00:00.000Z",
    );
  });

  test("of a stage that is none are refused", () => {
    expect(() => filterOf({ stage: ["send", "later"] }, now, [])).toThrow("--stage must be one of");
  });

  test.each([
    [{ sink: [] }, "--sink has an empty value"],
    [{ id: [] }, "--id has an empty value"],
    [{ tenant: ["acme", " "] }, "--tenant has an empty value"],
    [{ object: [""] }, "--object has an empty value"],
    [{ since: "2h", until: "3h" }, "--since must lie before --until"],
  ])("of %j are refused: by a slip they would mean everything, or nothing", (flags, sentence) => {
    expect(() => filterOf(flags, now, [])).toThrow(sentence);
  });

  test("may name a sink that is not configured, which is told", () => {
    const sinks = ["hubspot-events", "segment"];
    expect(unknownSinks({ sinks: ["segment", "_intake"] }, sinks)).toEqual([]);
    expect(unknownSinks({ sinks: ["hubspt", "segment"] }, sinks)).toEqual(["hubspt"]);
  });

  test("are quoted as a shell takes them", () => {
    expect(["a-b_c/1", "", "a b", "$(x)", "it's"].map(quoted)).toEqual([
      "a-b_c/1",
      "''",
      "'a b'",
      "'$(x)'",
      "'it'\\''s'",
    ]);
  });
});

describe("a pace", () => {
  test("has a canary of 1 % and no limits unless they are given", () => {
    expect(pacingOf({ canary: "1%" })).toEqual({
      rate: undefined,
      canary: 0.01,
      maxFailures: Number.POSITIVE_INFINITY,
    });
    expect(pacingOf({ canary: "0", rate: "50/s", maxFailures: "3" })).toEqual({
      rate: 50,
      canary: 0,
      maxFailures: 3,
    });
  });

  test.each([
    [{ canary: "2" }, "--canary"],
    [{ canary: "101%" }, "--canary"],
    [{ canary: "x%" }, "--canary"],
    [{ canary: "1%", rate: "fast" }, "--rate"],
    [{ canary: "1%", rate: "0" }, "--rate"],
    [{ canary: "1%", maxFailures: "0" }, "--max-failures"],
    [{ canary: "1%", maxFailures: "many" }, "--max-failures"],
  ])("%j is refused", (flags, name) => expect(() => pacingOf(flags)).toThrow(name));

  test.each([
    [0.5, 1, 0.5],
    [5, 1, 5],
    [100, 10, 10],
    [1_000_000, 10, 100_000],
  ])("of %d records a second is %d records in %d requests a second", (rate, items, requests) => {
    const { limits } = paced(scriptedSink("a"), rate);
    expect(limits).toMatchObject({ itemsPerRequest: items, requestsPerSecond: requests });
  });

  test("is never faster than the sink's own limits", () => {
    const sink = scriptedSink("a");
    const slow = { ...sink, limits: { ...sink.limits, requestsPerSecond: 2 } };
    expect(paced(slow, 1_000).limits).toMatchObject({ itemsPerRequest: 10, requestsPerSecond: 2 });
    expect(paced(slow, 10).limits).toMatchObject({ itemsPerRequest: 5, requestsPerSecond: 2 });
  });
});

describe("days", () => {
  test("of the books are whole ones, in UTC", () => {
    const day = Date.UTC(2026, 10, 21);
    expect(periodOf({ day: "today" }, now)).toEqual({ since: day, until: day + 24 * hour });
    expect(periodOf({ day: "yesterday" }, now)).toEqual({ since: day - 24 * hour, until: day });
    expect(periodOf({ day: "2026-11-20" }, now)).toEqual({ since: day - 24 * hour, until: day });
    expect(periodOf({}, now)).toEqual({});
    expect(() => periodOf({ day: "today", since: "2h" }, now)).toThrow("--day stands alone");
  });
});

describe("what is printed", () => {
  test("is never 100 % unless it is", () => {
    expect([1, 0.99999, 0.5, 0, undefined].map(percent)).toEqual([
      "100 %",
      "99.99 %",
      "50.00 %",
      "0.00 %",
      "-",
    ]);
  });

  test("is no wider than the screen, and nothing is cut off", () => {
    const text = `words and ${"x".repeat(150)} words`;
    const lines = wrap(text, 60, "  says ").split("\n");
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(60);
    expect(
      lines
        .map((line) => line.slice(7))
        .join("")
        .replaceAll(" ", ""),
    ).toBe(text.replaceAll(" ", ""));
    const screen = { colors: false, columns: 60 };
    const table = fittingTable({ head: ["sink", "code"] }, [["s".repeat(50), "CODE".repeat(20)]], screen);
    for (const line of table.split("\n")) expect(line.length).toBeLessThanOrEqual(60);
    expect(table.match(/s/g)).toHaveLength(50 + 1);
    expect(table.match(/CODE|[CODE]/g)?.join("").length).toBe(80);
  });

  test("moves no cursor and changes no colour, whatever a record holds", () => {
    expect(printable("a\u001b[31mb\u009bc\r\u2028\nd")).toBe("a\\u001b[31mb\\u009bc\\u000d\\u2028\nd");
    expect(wrap("a\u001b[2Jb", 80)).toBe("a\\u001b[2Jb");
  });

  test("says how long in words that one can hold", () => {
    expect([0, 59_499, 60_000, hour, 2.5 * hour, 49 * hour].map(duration)).toEqual([
      "0 s",
      "59 s",
      "1 min",
      "1 h",
      "2 h 30 min",
      "2 d 1 h",
    ]);
  });

  test("of a replay's progress says how much is done, and when it may end", () => {
    const line = { total: 1000, done: 250, refused: 3, seconds: 10, ending: false };
    expect(progressText(line, 0)).toBe("25 % · 250 of 1,000 · 3 refused · 25/s · 30 s left");
    expect(progressText(line, 200)).toMatch(/^█+░+ 25 %/);
    expect(progressText({ ...line, done: 0 }, 0)).toContain("… left");
    expect(progressText({ ...line, ending: true }, 0)).toMatch(/^Ending, Ctrl-C again/);
  });
});
