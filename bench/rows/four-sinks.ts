// Four sinks with real bodies over loopback, against the four vendors' SDKs; and how many requests that takes.
import type { SinkName } from "../contender.ts";
import { duel, perSecond, ratio } from "../duel.ts";
import { writeObject } from "../objects.ts";
import { atLeast, atMost, type Row, type Section, times } from "../row.ts";

export const fourSinks: readonly SinkName[] = ["timestream", "segment", "mixpanel", "hubspot-events"];

export const sinks: Section = {
  name: "sinks",
  async measure({ quick, folder }) {
    const rows: Row[] = [];
    for (const bytes of [500, 1000] as const) {
      const file = await writeObject(folder, { records: quick ? 2500 : 20_000, bytes, framing: "ndjson" });
      const [theirs, ours, plain] = await duel(
        [
          { contender: "vendor-sdks", file },
          { contender: "core", file, core: { sinks: fourSinks } },
          { contender: "plain-four", file },
        ],
        { quick, rounds: 7 },
      );
      const name = `four sinks against the four vendor SDKs, ${bytes} B`;
      rows.push(
        atLeast(
          name,
          ratio(theirs, ours),
          6,
          times,
          `${perSecond(ours)}, ${perSecond(theirs)} there; plain good code ${times(ratio(theirs, plain))}`,
        ),
      );
      if (bytes === 1000) continue;
      for (const sink of fourSinks) {
        const { sent, least } = ours?.at(-1)?.requests?.[sink] ?? { sent: Number.NaN, least: Number.NaN };
        // Each has a function of its own when it is deployed, so what it does alone is what plans are made with.
        const [alone] = await duel([{ contender: "core", file, core: { sinks: [sink] } }], {
          quick,
          rounds: 5,
        });
        const of = `${sent} of ${least}; alone ${perSecond(alone)}`;
        rows.push(atMost(`requests against the least possible, ${sink}`, sent / least, 1.02, times, of));
      }
    }
    return rows;
  },
};
