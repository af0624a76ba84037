import { stripVTControlCharacters } from "node:util";
import { expect, test } from "vitest";
import { emptyRun, emptySink } from "../../src/books/report.ts";
import { type RunSummary, renderRun } from "../../src/cli/table.ts";

const summary: RunSummary = {
  report: {
    ...emptyRun,
    objects: 1,
    records: 1_001,
    valid: 1_000,
    invalid: 1,
    sinks: {
      mixpanel: { ...emptySink, valid: 1_000, delivered: 1_000, requests: 2 },
      "hubspot-events": {
        ...emptySink,
        valid: 1_000,
        delivered: 600,
        deadLettered: 1,
        pending: 399,
        requests: 9,
        retries: 4,
        pendingReason: "HubSpot answered 503",
      },
    },
  },
  sinks: ["mixpanel", "hubspot-events"],
  failed: 0,
  left: 0,
  seconds: 1.25,
  deadLetters: "s3://books/letters",
  colors: false,
  columns: 100,
};

test("a row a sink, the books, the letters, and what is left to do", () => {
  expect(renderRun(summary).split("\n")).toEqual([
    "┌────────────────┬───────┬───────────┬──────────┬───────────────┬─────────┬──────────┬─────────┐",
    "│ sink           │ valid │ delivered │ filtered │ dead-lettered │ pending │ requests │ retries │",
    "├────────────────┼───────┼───────────┼──────────┼───────────────┼─────────┼──────────┼─────────┤",
    "│ mixpanel       │ 1,000 │     1,000 │        0 │             0 │       0 │        2 │       0 │",
    "│ hubspot-events │ 1,000 │       600 │        0 │             1 │     399 │        9 │       4 │",
    "└────────────────┴───────┴───────────┴──────────┴───────────────┴─────────┴──────────┴─────────┘",
    "1 object, 1,001 records in 1.3 s: 1,000 valid + 1 invalid",
    "The books close: every event is delivered, filtered, dead-lettered or pending.",
    "2 dead letters under s3://books/letters",
    "399 deliveries are pending: run the same command again.",
    "  hubspot-events: HubSpot answered 503",
    "",
  ]);
});

test("a terminal too narrow for the table gets a list, which leaves out the zeros", () => {
  const [list] = renderRun({ ...summary, columns: 60 }).split("\n1 object, ");
  expect(list?.split("\n")).toEqual([
    "mixpanel",
    "  valid: 1,000",
    "  delivered: 1,000",
    "  requests: 2",
    "hubspot-events",
    "  valid: 1,000",
    "  delivered: 600",
    "  dead-lettered: 1",
    "  pending: 399",
    "  requests: 9",
    "  retries: 4",
  ]);
});

test("colours change nothing but the colours, in both forms", () => {
  for (const columns of [60, 100]) {
    const painted = renderRun({ ...summary, columns, colors: true });
    expect(painted).toContain("\u001b[");
    expect(stripVTControlCharacters(painted)).toBe(renderRun({ ...summary, columns }));
  }
});

test("what an interrupted run has not read or not begun is named, and so is what failed", () => {
  const report = { ...summary.report, unread: 1 };
  const text = renderRun({ ...summary, report, left: 2, failed: 1 });
  expect(text).toContain("\n1 object is not read to the end: run the same command again.\n");
  expect(text).toContain("\n2 objects are not begun: run the same command again.\n");
  expect(text).toContain(
    "\n1 object could not be processed to the end: run the same command again for what is missing of it.\n",
  );
});

test("books that do not close are not said to", () => {
  expect(renderRun({ ...summary, report: { ...summary.report, valid: 1 } })).toContain(
    "The books do not close.",
  );
});
