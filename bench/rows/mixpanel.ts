// Mixpanel with real bodies over loopback, against code that is only fast, and against a tutorial's.
import { duel, perSecond, ratio } from "../duel.ts";
import { writeObject } from "../objects.ts";
import { atLeast, type Row, type Section, times } from "../row.ts";

export const mixpanel: Section = {
  name: "mixpanel",
  async measure({ quick, folder }) {
    const rows: Row[] = [];
    for (const bytes of [500, 1000] as const) {
      const file = await writeObject(folder, { records: quick ? 5_000 : 40_000, bytes, framing: "ndjson" });
      const [plain, ours] = await duel(
        [
          { contender: "plain-mixpanel", file },
          { contender: "core", file, core: { sinks: ["mixpanel"] } },
        ],
        { quick, rounds: 15 },
      );
      const name = `Mixpanel against plain good code, ${bytes} B`;
      rows.push(atLeast(name, ratio(plain, ours), 1, times, perSecond(ours)));
    }
    const large = await writeObject(folder, {
      records: quick ? 5_000 : 40_000,
      bytes: 500,
      framing: "ndjson",
    });
    const [without, with_] = await duel(
      [
        { contender: "core", file: large, core: { sinks: ["mixpanel"] } },
        { contender: "core", file: large, core: { sinks: ["mixpanel"], gzip: true } },
      ],
      { quick, rounds: 7 },
    );
    // A quarter of the work, for a tenth of the bytes; a network slower than loopback gives more back than that.
    rows.push(
      atLeast(
        "Mixpanel with gzip against without, 500 B",
        ratio(without, with_),
        0.7,
        times,
        perSecond(with_),
      ),
    );
    const file = await writeObject(folder, { records: 2000, bytes: 500, framing: "ndjson" });
    const [tutorial, ours] = await duel(
      [
        { contender: "tutorial-mixpanel", file },
        { contender: "core", file, core: { sinks: ["mixpanel"] } },
      ],
      { quick, rounds: 7 },
    );
    const name = "Mixpanel against one request a record with p-retry, 500 B";
    rows.push(atLeast(name, ratio(tutorial, ours), 10, times, `${perSecond(tutorial)} there`));
    return rows;
  },
};
