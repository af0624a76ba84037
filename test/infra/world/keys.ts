// What KMS is asked when a service encrypts or decrypts for a role, where a template names a customer's key. The key's
// policy leaves the decision to the policies of the roles, as docs/deploy.md has it.
// https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html
import { fieldsOf, flatten, listOf, type Resource } from "../../../infra/template.ts";
import { type Names, region } from "./names.ts";

/** One request to KMS: `resource` is the key. */
export interface KeyUse {
  readonly action: string;
  readonly resource: string;
  readonly context: Readonly<Record<string, string>>;
}

export interface Keys {
  /** The one key of the template. */
  readonly any: string | undefined;
  /** Undefined where AWS's own key encrypts the bucket. */
  ofObjects(action: "kms:Decrypt" | "kms:GenerateDataKey", bucket: string): KeyUse | undefined;
  /** Receiving from a queue. */
  ofMessages(queue: string): KeyUse | undefined;
  /** Reading a secret, whose maker has chosen the same key. */
  ofSecret(arn: string): KeyUse | undefined;
}

export const viaService = (service: string) => ({ "kms:ViaService": `${service}.${region}.amazonaws.com` });

export function keysOf(resources: readonly Resource[], names: Names): Keys {
  const byName = new Map(
    resources.flatMap(({ id, type, properties }) => {
      const key = type === "AWS::S3::Bucket" ? bucketKey(properties) : properties["KmsMasterKeyId"];
      return key === undefined ? [] : [[names.name(id), names.resolve(flatten(key))] as const];
    }),
  );
  const [any] = byName.values();
  const use = (action: string, key: string | undefined, context: KeyUse["context"]) =>
    key === undefined ? undefined : { action, resource: key, context };
  return {
    any,
    ofObjects: (action, bucket) =>
      use(action, byName.get(bucket), {
        ...viaService("s3"),
        // Of a bucket with a key of its own: its ARN, whichever the object.
        "kms:EncryptionContext:aws:s3:arn": `arn:aws:s3:::${bucket}`,
      }),
    ofMessages: (queue) => use("kms:Decrypt", byName.get(queue), viaService("sqs")),
    ofSecret: (arn) =>
      use("kms:Decrypt", any, { ...viaService("secretsmanager"), "kms:EncryptionContext:SecretARN": arn }),
  };
}

function bucketKey(properties: Resource["properties"]): unknown {
  const [rule] = listOf(fieldsOf(properties["BucketEncryption"])["ServerSideEncryptionConfiguration"]);
  const { BucketKeyEnabled: hasOwnKey, ServerSideEncryptionByDefault: byDefault } = fieldsOf(rule);
  const { KMSMasterKeyID: key } = fieldsOf(byDefault);
  if (key !== undefined && hasOwnKey !== true)
    throw new Error("this world knows no bucket without a bucket key");
  return key;
}
