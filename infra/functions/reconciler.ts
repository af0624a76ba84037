// The reconciler's Lambda entry. It reads no secret and no object, so it needs no configuration of a sink.
import { openStore, s3Store, useProxies } from "../../src/index.ts";
import { createMetrics } from "../../src/lambda/metrics.ts";
import { createReconciler } from "../../src/lambda/reconciler.ts";
import { dataPrefix, errorPrefix } from "../prefixes.ts";

useProxies(process.env);
const { DATA_BUCKET: bucket = "", RECEIPTS: receipts = "", SINKS: sinks = "" } = process.env;

export const handler = createReconciler({
  // Receipts are named by version ids where the bucket keeps versions.
  source: s3Store({ bucket, listsVersions: true }),
  receipts: openStore(receipts),
  sinks: sinks.split(",").filter((name) => name !== ""),
  prefixOf(day) {
    const [date = ""] = new Date(day).toISOString().split("T");
    const [year, month, dayOfMonth] = date.split("-");
    return `${dataPrefix}year=${year}/month=${month}/day=${dayOfMonth}/`;
  },
  errorPrefix,
  metrics: createMetrics(process.env["METRICS_NAMESPACE"]),
});
