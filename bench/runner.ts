// The process of one contender: makes it, then runs a round whenever it is told to.
import type { Contender, MakeContender, Measured, Order } from "./contender.ts";
import { costNow } from "./contender.ts";

// The parent gives an Order as the only argument; the module is one of ours, and each exports a MakeContender.
const order = JSON.parse(process.argv[2] ?? "") as Order;
const { default: make } = (await import(`./contenders/${order.contender}.ts`)) as { default: MakeContender };
const contender = await make(order);

process.on("message", () => {
  measure(contender).then(
    (measured) => process.send?.(measured),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
process.on("disconnect", () => process.exit());
process.send?.("ready");

async function measure(each: Contender): Promise<Measured> {
  await each.prepare?.();
  const start = costNow();
  const result = await each.round();
  const { cpuMs, wallMs } = result.over ?? costNow();
  return {
    ...result,
    cpuMs: cpuMs - start.cpuMs,
    wallMs: wallMs - start.wallMs,
    peakRssMb: process.resourceUsage().maxRSS / 1000,
  };
}
