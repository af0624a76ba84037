// What a sink that is not well costs the others, and what catching up costs.
import type { CoreOrder } from "../contender.ts";
import { duel, ratio } from "../duel.ts";
import { writeObject } from "../objects.ts";
import { atLeast, atMost, percent, type Section, times } from "../row.ts";
import { fourSinks } from "./four-sinks.ts";

export const faults: Section = {
  name: "faults",
  async measure({ quick, folder }) {
    const small = await writeObject(folder, {
      records: quick ? 5000 : 20_000,
      bytes: 500,
      framing: "ndjson",
    });
    const against = (file: string, first: CoreOrder, second: CoreOrder, rounds: number) =>
      duel(
        [first, second].map((core) => ({ contender: "core", file, core }) as const),
        { quick, rounds },
      );
    const healthy: CoreOrder = { sinks: fourSinks };
    const rejects: CoreOrder = { sinks: fourSinks, rejects: "mixpanel" };
    const drains: CoreOrder = { sinks: fourSinks, drains: true };
    const [none, rejecting] = await against(small, healthy, rejects, 9);
    const [first, draining] = await against(small, healthy, drains, 9);
    const rows = [
      atLeast("one sink of four rejects every record: speed", ratio(none, rejecting), 0.5, percent),
      atLeast("draining deferrals: speed of a first delivery", ratio(first, draining), 0.8, percent),
    ];
    // The reader waits once for the sink that hangs, so what is measured must last.
    if (quick) return rows;
    const large = await writeObject(folder, { records: 400_000, bytes: 500, framing: "ndjson" });
    const well = fourSinks.filter((sink) => sink !== "mixpanel");
    const [without, hanging] = await against(
      large,
      { sinks: well, hangs: "mixpanel" },
      { sinks: fourSinks, hangs: "mixpanel" },
      3,
    );
    return [
      ...rows,
      atMost("one sink of four hangs: CPU of the others", ratio(hanging, without), 1.05, times),
      atMost("one sink of four hangs: time of the others", ratio(hanging, without, "wallMs"), 1.05, times),
    ];
  },
};
