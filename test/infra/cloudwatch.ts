// CloudWatch's alarms as its documentation describes them: the state of each alarm of a template at a time, from figures.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
import { fieldsOf, flatten, listOf, type Resource } from "../../infra/template.ts";

export interface Point {
  readonly namespace: string;
  readonly name: string;
  readonly dimensions: Readonly<Record<string, string>>;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly value: number;
}

export type State = "OK" | "ALARM" | "INSUFFICIENT_DATA";

/** The state of every alarm and composite alarm, by its logical id. */
export function statesOf(
  resources: readonly Resource[],
  points: readonly Point[],
  now: number,
): ReadonlyMap<string, State> {
  const states = new Map<string, State>();
  for (const { id, type, properties } of resources) {
    if (type === "AWS::CloudWatch::Alarm") states.set(id, stateOf(properties, points, now));
  }
  for (const { id, type, properties } of resources) {
    if (type !== "AWS::CloudWatch::CompositeAlarm") continue;
    const rule = flatten(properties["AlarmRule"]);
    const terms = [...rule.matchAll(/ALARM\("?<(\w+)\.Arn>"?\)/g)].map(([, child = ""]) => child);
    if (rule.replaceAll(/ALARM\("?<\w+\.Arn>"?\)|\(|\)|OR|\s/g, "") !== "")
      throw new Error(`this world does not know the rule ${rule}`);
    states.set(id, terms.some((child) => states.get(child) === "ALARM") ? "ALARM" : "OK");
  }
  return states;
}

const minute = 60_000;

type Properties = Resource["properties"];

function stateOf(properties: Properties, points: readonly Point[], now: number): State {
  const periods = Number(properties["EvaluationPeriods"]);
  const wanted = Number(properties["DatapointsToAlarm"] ?? periods);
  const { period, valueAt } = figureOf(properties, points);
  // Without an EvaluationWindow the periods slide: each minute they are counted back from then.
  const end = Math.floor(now / minute) * minute + minute;
  const values = Array.from({ length: periods }, (_, back) => valueAt(end - (back + 1) * period));
  const missing = String(properties["TreatMissingData"]);
  const threshold = Number(properties["Threshold"]);
  const breaches = (value: number | undefined): boolean => {
    if (value === undefined) return missing === "breaching";
    const operator = String(properties["ComparisonOperator"]);
    if (operator === "GreaterThanThreshold") return value > threshold;
    if (operator === "LessThanThreshold") return value < threshold;
    throw new Error(`this world does not know ${operator}`);
  };
  if (missing !== "breaching" && missing !== "notBreaching") {
    throw new Error(`this world does not know how ${missing} treats what is missing`);
  }
  return values.filter(breaches).length >= wanted ? "ALARM" : "OK";
}

interface Figure {
  /** Milliseconds. */
  readonly period: number;
  /** Of the period that begins then. */
  readonly valueAt: (start: number) => number | undefined;
}

function figureOf(properties: Properties, points: readonly Point[]): Figure {
  const queries = listOf(properties["Metrics"]).map(fieldsOf);
  if (queries.length === 0) return metricOf(properties, points);
  const metrics = new Map(
    queries
      .filter(({ MetricStat: stat }) => stat !== undefined)
      .map(({ Id: id, MetricStat: stat }) => {
        const { Metric: metric, Period: period, Stat: statistic } = fieldsOf(stat);
        const own = { ...fieldsOf(metric), Period: period, Statistic: statistic };
        return [String(id), metricOf(own, points)] as const;
      }),
  );
  const [math] = queries.filter(({ Expression: expression }) => expression !== undefined);
  const expression = String(math?.["Expression"]);
  const [, came = "", passed = ""] =
    /^IF\(FILL\((\w+), 0\) > 0 AND FILL\((\w+), 0\) < 1, 1, 0\)$/.exec(expression) ?? [];
  const terms = (passed === "" ? expression : `FILL(${came}, 0) + FILL(${passed}, 0)`)
    .split(" + ")
    .map((term) => /^FILL\((\w+), 0\)$/.exec(term)?.[1]);
  const [first] = metrics.values();
  if (first === undefined) throw new Error("an expression has no figure");
  return {
    period: first.period,
    valueAt(start) {
      const values = terms.map((term) => {
        const metric = metrics.get(term ?? "");
        if (metric === undefined) throw new Error(`this world does not know ${expression}`);
        return metric.valueAt(start);
      });
      // FILL has nothing to fill where no figure has any point.
      if (values.every((value) => value === undefined)) return undefined;
      if (passed !== "") return (values[0] ?? 0) > 0 && (values[1] ?? 0) < 1 ? 1 : 0;
      return values.reduce<number>((sum, value) => sum + (value ?? 0), 0);
    },
  };
}

function metricOf(fields: Properties, points: readonly Point[]): Figure {
  const period = Number(fields["Period"]) * 1000;
  const dimensions = Object.fromEntries(
    listOf(fields["Dimensions"])
      .map(fieldsOf)
      .map(({ Name: name, Value: value }) => [String(name), flatten(value)]),
  );
  const own = points.filter(
    (point) =>
      point.namespace === fields["Namespace"] &&
      point.name === fields["MetricName"] &&
      JSON.stringify(Object.entries(point.dimensions).sort()) ===
        JSON.stringify(Object.entries(dimensions).sort()),
  );
  const statistic = statistics[String(fields["Statistic"])];
  if (statistic === undefined) throw new Error(`this world does not know ${String(fields["Statistic"])}`);
  return {
    period,
    valueAt(start) {
      const values = own.filter(({ at }) => at >= start && at < start + period).map(({ value }) => value);
      return values.length === 0 ? undefined : statistic(values);
    },
  };
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
const statistics: Readonly<Record<string, (values: readonly number[]) => number>> = {
  Sum: sum,
  Average: (values) => sum(values) / values.length,
  Minimum: (values) => Math.min(...values),
  Maximum: (values) => Math.max(...values),
};

/** The figures in a line of a function's log, which CloudWatch takes from it. Empty for any other line.
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html */
export function pointsIn(line: string): readonly Point[] {
  if (!line.includes('"_aws"')) return [];
  const document = fieldsOf(JSON.parse(line));
  const { Timestamp: at, CloudWatchMetrics: directives } = fieldsOf(document["_aws"]);
  return listOf(directives)
    .map(fieldsOf)
    .flatMap(({ Namespace: namespace, Dimensions: sets, Metrics: metrics }) =>
      listOf(metrics)
        .map(fieldsOf)
        .flatMap(({ Name: name }) =>
          listOf(sets).map((set) => ({
            namespace: String(namespace),
            name: String(name),
            dimensions: Object.fromEntries(
              listOf(set).map((key) => [String(key), String(document[String(key)])]),
            ),
            at: Number(at),
            value: Number(document[String(name)]),
          })),
        ),
    );
}
