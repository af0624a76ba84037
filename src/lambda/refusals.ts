// What operators are told beside each code of the transform: records that never come to the bucket's events.
import type { RefusalAdvice } from "../delivery/sink.ts";
import type { CatalogRefusal } from "../routing/record-check.ts";
import type { DirectoryDown } from "../tenants/directory.ts";

/** What the transform itself gives, beside the codes of the catalog and those of the intake. */
export type TransformCode = "EMPTY_RECORD" | "NO_DATA" | "ANSWER_TOO_LARGE" | DirectoryDown["code"];

/** Complete: a code without advice does not compile. */
export const transformRefusals: Readonly<Record<CatalogRefusal["code"] | TransformCode, RefusalAdvice>> = {
  METRIC_UNKNOWN: {
    meaning: "metric_name is not in the catalog that the transform was deployed with.",
    action: "Declare the metric, or correct its name at the producer; deploy, then put the records back.",
  },
  FIELD_MISSING: {
    meaning: "A field that its metric requires is missing, null or empty text.",
    action:
      "Repair the producer or the path of the field in its rule; or declare the field as optional, deploy and put the " +
      "records back.",
  },
  FIELD_INVALID: {
    meaning:
      "A field is not of its declared type, none of its declared values, or an event_id that is no text.",
    action: "Repair the producer, or widen the declaration, deploy and put the records back.",
  },
  FIELD_UNDECLARED: {
    meaning:
      "The record has a field that its metric does not declare; nobody has said who may see it, so it goes nowhere.",
    action: "Declare the field, deploy and put the records back; or let the producer leave it out.",
  },
  EMPTY_RECORD: {
    meaning: "The record holds no event: nothing, or white space alone.",
    action: "Look for who puts empty records into the stream; there is nothing to put back.",
  },
  NO_DATA: {
    meaning: "Firehose called the transform with a record that has no data.",
    action: "See who calls the function: Firehose never does so.",
  },
  DIRECTORY_DOWN: {
    meaning:
      "The tenant directory did not say in time who the tenant is, and `TENANT_DIRECTORY_DOWN` is `fail`.",
    action: "Repair the directory, then put the records back; or let events go on without a name: `pass`.",
  },
  ANSWER_TOO_LARGE: {
    meaning: "With this record the transform's answer would be larger than Lambda takes, 6 MB.",
    action: "Put the records back: in another batch they fit. If it is frequent, let the stream buffer less.",
  },
};
