// The core alone, with a sink that takes everything at once, against the bound.
import { duel, perSecond, ratio } from "../duel.ts";
import { writeObject } from "../objects.ts";
import { atLeast, percent, type Row, type Section } from "../row.ts";

const targets = { ndjson: 0.8, concatenated: 0.72 } as const;
const names = { ndjson: "NDJSON", concatenated: "concatenated" } as const;

export const core: Section = {
  name: "core",
  async measure({ quick, folder }) {
    const rows: Row[] = [];
    for (const framing of ["ndjson", "concatenated"] as const) {
      for (const bytes of [500, 1000] as const) {
        const records = quick ? 8_000 : 40_000;
        const file = await writeObject(folder, { records, bytes, framing });
        const [ideal, ours, lines] = await duel(
          [
            { contender: "ideal", file },
            { contender: "core", file },
            ...(framing === "ndjson" ? [{ contender: "lines", file } as const] : []),
          ],
          { quick, rounds: 21 },
        );
        // What is left of the bound when each line is parsed by itself, and nothing else is done.
        const parsed = lines === undefined ? "" : `, lines alone ${percent(ratio(ideal, lines))}`;
        const name = `core with a null sink against inflate + JSON.parse, ${names[framing]}, ${bytes} B`;
        rows.push(
          atLeast(name, ratio(ideal, ours), targets[framing], percent, `${perSecond(ours)}${parsed}`),
        );
      }
    }
    return rows;
  },
};
