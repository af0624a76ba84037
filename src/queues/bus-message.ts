// A bus event that EventBridge could not hand to the stream: what it is, and the record that it was to become.
import type { JsonObject } from "../event.ts";
import { applyRule } from "../routing/apply-rule.ts";
import type { EventRule } from "../routing/event-rules.ts";
import { oneLine, upperSnake } from "./aws-error.ts";
import type { QueueMessage } from "./messages.ts";
import type { DeliveryStream } from "./put-records.ts";
import type { QueueEntry } from "./queue.ts";

export interface BusMessage {
  readonly stream: DeliveryStream;
  readonly record: Uint8Array | Unready;
}

/** Why there is no record to put. */
export interface Unready {
  readonly code: "NOT_JSON" | "RULE_UNKNOWN" | "RULE_AMBIGUOUS" | "CATALOG_MISSING";
  /** Without any value of the event. */
  readonly reason: string;
}

/**
 * Undefined when the message does not tell that EventBridge could not reach a delivery stream.
 *
 * The message is the event as it was on the bus, before the rule's input transformer, which is applied here, as the
 * catalog of today says it. Nobody promises that it will never be the transformed input: a record of the unified
 * schema goes on as it is.
 *
 * @param rules Of the catalog; undefined when there is none.
 * https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html: the attributes.
 */
export function readBusMessage(
  { attributes, body }: QueueMessage,
  rules: readonly EventRule[] | undefined,
): BusMessage | undefined {
  const { RULE_ARN: ruleArn, TARGET_ARN: targetArn = "" } = attributes;
  const [, region, name] = /^arn:[^:]*:firehose:([a-z0-9-]+):\d*:deliverystream\/(.+)$/.exec(targetArn) ?? [];
  if (ruleArn === undefined || region === undefined || name === undefined) return undefined;
  return { stream: { name, region }, record: recordOf(body, ruleArn, rules) };
}

function recordOf(
  body: string,
  ruleArn: string,
  rules: readonly EventRule[] | undefined,
): Uint8Array | Unready {
  const event = objectIn(body);
  if (event === undefined) return { code: "NOT_JSON", reason: "the message is no JSON object" };
  if ("metric_name" in event && !("detail" in event)) return Buffer.from(body);
  if (rules === undefined) {
    return {
      code: "CATALOG_MISSING",
      reason: "the configuration has no catalog, so nothing says what the rule makes of the event",
    };
  }
  const rule = ruleIn(ruleArn);
  const texts = rules.flatMap(({ name, busName, ...applied }) => {
    const text = busName === rule.bus ? applyRule(applied, event) : undefined;
    return text === undefined ? [] : [{ name, text }];
  });
  const [only] = texts.length > 1 ? named(texts, rule.name) : texts;
  if (only !== undefined) return Buffer.from(only.text);
  return texts.length === 0
    ? { code: "RULE_UNKNOWN", reason: "no metric of the catalog is made of such an event of that bus" }
    : {
        code: "RULE_AMBIGUOUS",
        reason:
          "several metrics are made of the event, and the rule's name does not tell which one was meant",
      };
}

/** What the list shows. The reasons are EventBridge's own sentences. */
export function describeBusMessage(
  message: QueueMessage,
): Pick<QueueEntry, "code" | "reason" | "action" | "attempts" | "firstAt" | "lastAt"> {
  const { attributes, body, sentAt } = message;
  const code = upperSnake(attributes["ERROR_CODE"] ?? "");
  const condition = attributes["EXHAUSTED_RETRY_CONDITION"];
  const why = oneLine(attributes["ERROR_MESSAGE"] ?? "EventBridge does not say why");
  const time = objectIn(body)?.["time"];
  const begun = typeof time === "string" ? Date.parse(time) : Number.NaN;
  const retries = Number(attributes["RETRY_ATTEMPTS"] ?? 0);
  return {
    code,
    reason: condition === undefined ? why : `${why} (given up by ${oneLine(condition)})`,
    action: actions[code] ?? "See to what the reason names, then put the events back.",
    attempts: Number.isSafeInteger(retries) && retries >= 0 ? retries + 1 : 1,
    firstAt: begun <= sentAt ? begun : sentAt,
    lastAt: sentAt,
  };
}

/** By EventBridge's codes: the page above. */
const actions: Readonly<Record<string, string>> = {
  NO_PERMISSIONS: "Allow the rule's role firehose:PutRecord on the stream, then put the events back.",
  NO_RESOURCE: "Make the stream that the rule names, or correct the rule, then put the events back.",
  RESOURCE_LIMIT_EXCEEDED: "Raise the stream's quota, then put the events back, slowly.",
  THROTTLING: "Raise the stream's quota, then put the events back, slowly.",
};

/** `arn:…:rule/<name>` on the default bus, `arn:…:rule/<bus>/<name>` on others; a partner's bus has slashes itself. */
function ruleIn(arn: string): { readonly bus: string; readonly name: string } {
  const parts = arn.slice(arn.indexOf(":rule/") + ":rule/".length).split("/");
  return { name: parts.at(-1) ?? "", bus: parts.length === 1 ? "default" : parts.slice(0, -1).join("/") };
}

/**
 * CloudFormation makes a rule's name of the stack's, the construct's and a hash, each without its `_` and `-`. Of two
 * metrics, one of whose names begins like the other's, the longer one is meant.
 */
function named<T extends { readonly name: string }>(texts: readonly T[], ruleName: string): readonly T[] {
  const plain = (name: string) => name.replaceAll(/[^A-Za-z0-9]/g, "").toLowerCase();
  const found = texts.filter(({ name }) => plain(ruleName).includes(plain(name)));
  const longest = Math.max(...found.map(({ name }) => name.length));
  const best = found.filter(({ name }) => name.length === longest);
  return best.length === 1 ? best : [];
}

function objectIn(body: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(body);
    // What JSON.parse gives that is an object and no list has text for names and JSON for values.
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as JsonObject)
      : undefined;
  } catch {
    return undefined;
  }
}
