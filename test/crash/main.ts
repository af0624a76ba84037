// `npm run crash -- --kills 100 [--seed s]`: real processes, killed over and over; a table of what it cost.
import { parseArgs } from "node:util";
import Table from "cli-table3";
import type { KillVerdict } from "./judge.ts";
import { moments } from "./moments.ts";
import { killsPerStory, type Story, tellStory } from "./story.ts";

const { values } = parseArgs({
  options: { kills: { type: "string", default: "10" }, seed: { type: "string", default: "1" } },
});
const kills = Number(values.kills);
const firstSeed = Number(values.seed);
if (!(Number.isInteger(kills) && kills > 0 && Number.isInteger(firstSeed) && firstSeed > 0)) {
  process.stderr.write("crash: --kills and --seed are whole numbers from 1 on\n");
  process.exit(2);
}

const started = performance.now();
const stories: Story[] = [];
const count = Math.ceil(kills / killsPerStory);
for (let number = 0; number < count; number++) {
  const seed = firstSeed + number;
  const ofStory = Math.min(killsPerStory, kills - number * killsPerStory);
  const story = await tellStory(seed, ofStory);
  stories.push(story);
  const done = stories.reduce((sum, each) => sum + each.kills.length, 0);
  process.stderr.write(`${done} of ${kills} kills, seed ${seed}: ${story.seconds.toFixed(1)} s\n`);
  if (story.violations.length === 0) continue;
  for (const violation of story.violations.slice(0, 20)) process.stderr.write(`  ${violation}\n`);
  if (story.violations.length > 20) process.stderr.write(`  and ${story.violations.length - 20} more\n`);
  process.stderr.write(`  again: npm run crash -- --kills ${ofStory} --seed ${seed}\n`);
}

const all = stories.flatMap((story) => story.kills);
const sum = <T>(list: readonly T[], of: (each: T) => number) =>
  list.reduce((total, each) => total + of(each), 0);
const row = (list: readonly KillVerdict[]) => [
  list.length,
  sum(list, ({ unfinished }) => unfinished),
  sum(list, ({ lost }) => lost),
  sum(list, ({ duplicates }) => duplicates),
  sum(list, ({ bound }) => bound),
];
const table = new Table({
  head: ["killed", "kills", "objects unfinished", "lost", "duplicates", "bound"],
  colAligns: ["left", "right", "right", "right", "right", "right"],
  style: { head: [], border: [] },
});
for (const name of new Set(moments.map((moment) => moment.name))) {
  const ofMoment = all.filter(({ moment }) => moment === name);
  if (ofMoment.length > 0) table.push([name, ...row(ofMoment)]);
}
table.push(["in all", ...row(all)]);

const violations = sum(stories, (story) => story.violations.length);
process.stdout.write(
  `${table.toString()}
${sum(stories, ({ runs }) => runs)} processes, ${sum(stories, ({ records }) => records)} records, ` +
    `${sum(stories, ({ requests }) => requests)} requests with records in ` +
    `${((performance.now() - started) / 1000).toFixed(0)} s. Left, and in nobody's way: ` +
    `${sum(stories, ({ left }) => left.unfinishedFiles)} unfinished files, ` +
    `${sum(stories, ({ left }) => left.letterFiles)} letter files without a receipt, ` +
    `${sum(stories, ({ left }) => left.deferrals)} void deferrals.
Violations: ${violations}
`,
);
process.exitCode = violations === 0 ? 0 : 1;
