// Ten times the records: ten times the CPU. (That memory stays flat is for the rows of memory to say.)
import { duel } from "../duel.ts";
import { writeObject } from "../objects.ts";
import { median, type Row, type Section, times } from "../row.ts";

export const scale: Section = {
  name: "scale",
  async measure({ quick, folder }) {
    const records = quick ? 10_000 : 50_000;
    const files = await Promise.all(
      [records, 10 * records].map((each) =>
        writeObject(folder, { records: each, bytes: 500, framing: "ndjson" }),
      ),
    );
    const [one, ten] = await duel(
      files.map((file) => ({ contender: "core", file, core: { sinks: ["null"], fromFile: true } }) as const),
      { quick, rounds: 15 },
    );
    const cpu = median((ten ?? []).map(({ cpuMs }, round) => cpuMs / (one?.[round]?.cpuMs ?? Number.NaN)));
    const isTenfold: Row = {
      name: "ten times the records: CPU",
      target: "10 × ± 5 %",
      value: times(cpu),
      pass: Math.abs(cpu / 10 - 1) <= 0.05,
    };
    return [isTenfold];
  },
};
