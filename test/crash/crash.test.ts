import { expect, test } from "vitest";
import { killsPerStory, tellStory } from "./story.ts";

// Ten kills are a dozen processes one after the other; on two busy cores each needs a second or two.
test("ten times killed with SIGKILL, nothing is lost, and no more is sent twice than what was unfinished", {
  timeout: 120_000,
}, async () => {
  const stories = await Promise.all([1, 2].map((seed) => tellStory(seed)));
  for (const { seed, violations, kills } of stories) {
    expect(violations, `again: npm run crash -- --kills ${killsPerStory} --seed ${seed}`).toEqual([]);
    expect(kills).toHaveLength(killsPerStory);
    for (const { lost } of kills) expect(lost).toBe(0);
  }
  // Without duplicates the kills would have hit nothing.
  const kills = stories.flatMap((story) => story.kills);
  const duplicates = kills.reduce((sum, kill) => sum + kill.duplicates, 0);
  expect(duplicates).toBeGreaterThan(0);
  expect(duplicates).toBeLessThanOrEqual(kills.reduce((sum, kill) => sum + kill.bound, 0));
});
