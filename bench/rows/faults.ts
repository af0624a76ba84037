// What a sink that is not well costs the others, and what catching up costs.
import type { CoreOrder } from "../contender.ts";
import { duel, ratio } from "../duel.ts";
import { writeObject } from "../objects.ts";
import { atLeast, atMost, percent, type Section, times } from "../row.ts";
import { fourSinks } from "./four-sinks.ts";

export const faults: Section = {
  name: "faults",
  async measure({ quick, folder }) {
    const small = await writeObject(folder, { records: 20_000, bytes: 500, framing: "ndjson" });
    const against = (file: string, first: CoreOrder, second: CoreOrder, rounds: number) =>
      duel(
        [first, second].map((core) => ({ contender: "core", file, core }) as const),
        { rounds },
      );

    // The reader waits once for the sink that hangs, so what is measured must last.
    const large = await writeObject(folder, {
      records: quick ? 100_000 : 250_000,
      bytes: 500,
      framing: "ndjson",
    });
    const well = fourSinks.filter((sink) => sink !== "mixpanel");
    const [without, hanging] = await against(
      large,
      { sinks: well, hangs: "mixpanel" },
      { sinks: fourSinks, hangs: "mixpanel" },
      quick ? 1 : 3,
    );
    const healthy: CoreOrder = { sinks: fourSinks };
    const [none, rejecting] = await against(
      small,
      healthy,
      { sinks: fourSinks, rejects: "mixpanel" },
      quick ? 3 : 9,
    );
    const [first, draining] = await against(
      small,
      healthy,
      { sinks: fourSinks, drains: true },
      quick ? 3 : 9,
    );
    return [
      atMost("one sink of four hangs: CPU of the others", ratio(hanging, without), 1.05, times),
      atMost("one sink of four hangs: time of the others", ratio(hanging, without, "wallMs"), 1.05, times),
      atLeast("one sink of four rejects every record: speed", ratio(none, rejecting), 0.5, percent),
      atLeast("draining deferrals: speed of a first delivery", ratio(first, draining), 0.8, percent),
    ];
  },
};
