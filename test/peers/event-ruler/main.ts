// Compares our matcher of event patterns with EventBridge's own, https://github.com/aws/event-ruler: which patterns are
// refused, and which events match. Needs Java 17 and Maven, which fetches the matcher once; nothing of it is kept here.
//
//   npm run peer:event-ruler -- [--seed 1] [--rounds 500]
//
// Some answers of the peer depend on what else is in its machine: on a number where an address is asked, on wildcards
// beside equals-ignore-case of one field, on anything-but beside numbers in branches of $or. They are counted as
// contradictory, and are no disagreements when ours is the answer of each condition by itself.
//
// Exit code: 0 without a disagreement, 1 with one, 2 when Java or Maven is missing.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { matchesPattern } from "../../../src/routing/event-pattern.ts";
import { patternProblems } from "../../../src/routing/event-pattern-check.ts";
import { type Case, cases } from "./cases.ts";

interface Answer {
  readonly refused: string | null;
  readonly matches: readonly boolean[];
  /** The same with each condition in a machine of its own, where no other one disturbs it. */
  readonly apart: readonly boolean[];
}

const mostShown = 20;
/** Bytes of the peer's answers that we hold. */
const longestAnswer = 1 << 30;
const mostMs = 300_000;

/** What EventBridge's matcher says, case by case. */
function askPeer(asked: readonly Case[]): readonly Answer[] {
  const folder = mkdtempSync(path.join(tmpdir(), "event-ruler-"));
  try {
    const here = import.meta.dirname;
    run("mvn", [
      ...["-q", "-B", "-f", path.join(here, "pom.xml"), "dependency:copy-dependencies"],
      `-DoutputDirectory=${folder}`,
    ]);
    const input = asked.map(({ pattern, events }) =>
      JSON.stringify({
        pattern: JSON.stringify(pattern),
        events: events.map((event) => JSON.stringify(event)),
        ours: events.map((event) => matchesPattern(pattern, event)),
      }),
    );
    const output = run(
      "java",
      ["-Xmx1g", "-cp", `${folder}/*`, path.join(here, "Peer.java")],
      `${input.join("\n")}\n`,
    );
    // Peer.java writes nothing else.
    return output.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line) as Answer]));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function run(command: string, args: readonly string[], input = ""): string {
  const { error, status, stdout, stderr } = spawnSync(command, args, {
    input,
    encoding: "utf8",
    maxBuffer: longestAnswer,
    timeout: mostMs,
  });
  if (error !== undefined || status !== 0) {
    const why = error?.message ?? `${stdout}${stderr}`.trim();
    process.stderr.write(`${command} failed, and the comparison needs Java 17 and Maven: ${why}\n`);
    process.exit(2);
  }
  return stdout;
}

interface Figures {
  patterns: number;
  refused: number;
  pairs: number;
  matching: number;
  /** Where the peer contradicts itself, and we agree with what it says of each condition apart. */
  contradictory: number;
  wrong: number;
}

const none: Figures = { patterns: 0, refused: 0, pairs: 0, matching: 0, contradictory: 0, wrong: 0 };

function main(): void {
  const { values } = parseArgs({ options: { seed: { type: "string" }, rounds: { type: "string" } } });
  const asked = [...cases(Number(values.seed ?? 1), Number(values.rounds ?? 500))];
  const answers = askPeer(asked);
  const families = new Map<string, Figures>();
  const disagreements: string[] = [];
  const contradictions: string[] = [];
  for (const [index, { family, pattern, events }] of asked.entries()) {
    const answer = answers[index];
    if (answer === undefined) throw new Error(`the peer answered ${answers.length} of ${asked.length} cases`);
    const figures = families.get(family) ?? { ...none };
    families.set(family, figures);
    const [problem] = patternProblems(pattern);
    figures.patterns++;
    if (answer.refused !== null) figures.refused++;
    if ((problem !== undefined) !== (answer.refused !== null)) {
      figures.wrong++;
      const [ours, theirs] = [problem?.message ?? "takes it", answer.refused?.split("\n")[0] ?? "takes it"];
      disagreements.push(`${JSON.stringify(pattern)}: we: ${ours}; they: ${theirs}`);
      continue;
    }
    for (const [place, theirs] of answer.matches.entries()) {
      const event = events[place];
      if (event === undefined) throw new Error("the peer answers event by event");
      figures.pairs++;
      if (theirs) figures.matching++;
      const ours = matchesPattern(pattern, event);
      if (ours === theirs) continue;
      const told = `${JSON.stringify(pattern)} on ${JSON.stringify(event)}: they say that it ${theirs ? "matches" : "does not match"}`;
      if (ours === answer.apart[place]) {
        figures.contradictory++;
        contradictions.push(told);
      } else {
        figures.wrong++;
        disagreements.push(told);
      }
    }
  }
  const rows = [
    ["", ...Object.keys(none)],
    ...[...families].map(([name, figures]) => [name, ...Object.values(figures)]),
  ];
  for (const [name, ...row] of rows) {
    say([`${name}`.padEnd(28), ...row.map((cell) => `${cell}`.padStart(13))].join(" "));
  }
  const shown = (lines: string[]) =>
    lines.sort((one, other) => one.length - other.length).slice(0, mostShown);
  for (const line of shown(contradictions)) say(`contradictory: ${line}`);
  for (const line of shown(disagreements)) say(line);
  say(`${disagreements.length} disagreements`);
  process.exitCode = disagreements.length === 0 ? 0 : 1;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

main();
