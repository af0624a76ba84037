// What CloudFormation would call the resources of a template, so that policies and variables mean real names.
import { flatten, type Resource, type Statement } from "../../../infra/template.ts";

export const account = "123456789012";
export const region = "us-east-1";

/** Text of a template with its references resolved; a reference that this world does not know stays as it is. */
export interface Names {
  readonly resolve: (text: string) => string;
  readonly statement: (statement: Statement) => Statement;
  /** The name of a bucket, queue, function, role or stream. */
  readonly name: (id: string) => string;
  readonly arn: (id: string) => string;
  /** A value of the template as JSON, with its references resolved. */
  readonly text: (value: unknown) => string;
  /** ARNs of all topics. */
  readonly topics: readonly string[];
}

/**
 * `buckets`: logical id → name. `generation`: 1 for the first stack, 2 for the one after it is destroyed. Topics of each
 * have other names, as CloudFormation gives them; buckets that stay may still name those of a stack that is gone.
 */
export function createNames(
  resources: readonly Resource[],
  buckets: ReadonlyMap<string, string>,
  generation: number,
): Names {
  const types = new Map(resources.map(({ id, type }) => [id, type]));
  const name = (id: string) => {
    const isTopic = types.get(id) === "AWS::SNS::Topic";
    return buckets.get(id) ?? (isTopic && generation > 1 ? `${id}-${generation}` : id);
  };
  const arn = (id: string): string => {
    const make = arns[types.get(id) ?? ""];
    if (make === undefined) throw new Error(`this world has no ARN for ${id}, ${types.get(id)}`);
    return make(name(id));
  };
  const reference = (id: string): string => {
    if (id in pseudo) return pseudo[id as keyof typeof pseudo];
    const type = types.get(id);
    if (type === "AWS::SQS::Queue") return `https://sqs.${region}.amazonaws.com/${account}/${id}`;
    if (type === "AWS::SNS::Topic") return arn(id);
    return name(id);
  };
  const resolve = (text: string) =>
    text.replaceAll(/<([A-Za-z0-9:]+)(?:\.(\w+))?>/g, (_, id: string, attribute: string | undefined) =>
      attribute === "Arn" || attribute === "QueueArn" ? arn(id) : reference(id),
    );
  return {
    resolve,
    name,
    arn,
    text: (value) => JSON.stringify(resolved(value, resolve)),
    topics: resources.filter(({ type }) => type === "AWS::SNS::Topic").map(({ id }) => arn(id)),
    statement: (each) => ({
      ...each,
      resources: each.resources.map(resolve),
      principal: resolved(each.principal, resolve),
      conditions: resolved(each.conditions, resolve),
    }),
  };
}

const pseudo = {
  "AWS::AccountId": account,
  "AWS::Region": region,
  "AWS::Partition": "aws",
  "AWS::StackName": "fanout",
  "AWS::URLSuffix": "amazonaws.com",
} as const;

const regional =
  (service: string, between = "") =>
  (name: string) =>
    `arn:aws:${service}:${region}:${account}:${between}${name}`;

const arns: Readonly<Record<string, (name: string) => string>> = {
  "AWS::S3::Bucket": (name) => `arn:aws:s3:::${name}`,
  "AWS::SQS::Queue": regional("sqs"),
  "AWS::SNS::Topic": regional("sns"),
  "AWS::Lambda::Function": regional("lambda", "function:"),
  "AWS::KinesisFirehose::DeliveryStream": regional("firehose", "deliverystream/"),
  // The ARN of a log group ends in ":*", which stands for its streams.
  "AWS::Logs::LogGroup": (name) => regional("logs", "log-group:")(`${name}:*`),
  "AWS::IAM::Role": (name) => `arn:aws:iam::${account}:role/${name}`,
  "AWS::IAM::ManagedPolicy": (name) => `arn:aws:iam::${account}:policy/${name}`,
  "AWS::CloudWatch::Alarm": regional("cloudwatch", "alarm:"),
};

/** The same value with all texts resolved; what CloudFormation fills in becomes text. */
function resolved<T>(value: T, resolve: (text: string) => string): T {
  const walk = (each: unknown): unknown => {
    if (typeof each === "string") return resolve(each);
    if (Array.isArray(each)) return each.map(walk);
    if (typeof each !== "object" || each === null) return each;
    const keys = Object.keys(each);
    if (keys.length === 1 && /^(Ref|Fn::)/.test(keys[0] ?? "")) return resolve(flatten(each));
    return Object.fromEntries(Object.entries(each).map(([key, inner]) => [key, walk(inner)]));
  };
  // The walk changes texts and references alone, so the shape stays.
  return walk(value) as T;
}
