// How a replay or a drop is told to have ended.
import { expect, test } from "vitest";
import type { DlqCommand } from "../../src/cli/dlq-options.ts";
import { type Again, tellResult } from "../../src/cli/dlq-result.ts";
import type { ReplayResult } from "../../src/dead-letter/replay.ts";

const result: ReplayResult = {
  outcome: "interrupted",
  selected: { letters: 5, pending: 0, stays: 0, fails: 0 },
  tally: {
    tried: 1,
    delivered: 1,
    filtered: 0,
    refused: 0,
    dropped: 0,
    drained: 0,
    requests: 1,
    retries: 0,
  },
  refused: new Map(),
  left: new Map(),
  busy: 0,
  failures: [],
};

function tell(more: Partial<ReplayResult>, again: Again): string {
  let text = "";
  const stdout = { isTTY: false, write: (written: string) => (text += written) };
  // Only these of a command are used where there is no terminal.
  const command = { clock: { now: () => 1000 }, json: false, stdout } as unknown as DlqCommand;
  tellResult(command, { result: { ...result, ...more }, key: undefined, startedAt: 0, again });
  return text;
}

test("what was interrupted goes on by the command that it was, never by another one", () => {
  expect(tell({}, () => "drop --sink a --reason why")).toContain(
    "For the rest, run it again: fanout dlq drop --sink a --reason why\n",
  );
});

test("what passed in the canary goes on by the same command, for those causes alone", () => {
  const canary = { letters: 2, passed: ["aa", "bb"], returned: ["cc"] };
  const again: Again = (fingerprints) => `replay --tenant t --only ${fingerprints?.join("+")}`;
  expect(tell({ outcome: "halted", canary }, again)).toContain("fanout dlq replay --tenant t --only aa+bb\n");
});
