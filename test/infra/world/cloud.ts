// What CloudFormation does with the buckets of stacks, as its pages have it: a bucket stays when its stack goes, with
// whatever the stack gave it; an imported one is taken as it is; and of a bucket that a stack has, only that is changed in
// which a template differs from the one before.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resource-import.html
import { fieldsOf, flatten, listOf, type Resource } from "../../../infra/template.ts";
import { createNames, type Names } from "./names.ts";

/** Property of a bucket → what stands there, with real names. */
export type Configuration = ReadonlyMap<string, string>;

export interface Cloud {
  /** Name of a bucket → what S3 has of it. */
  readonly buckets: ReadonlyMap<string, Configuration>;
  /** Names of the stack's resources, of which those of a new stack differ from those of one that is gone. */
  readonly names: Names;
  /** Makes the stack, or updates it. */
  deploy(resources: readonly Resource[]): void;
  /** Makes a stack of buckets that are there. `mapping`: logical id → what identifies it. */
  import(
    resources: readonly Resource[],
    mapping: Readonly<Record<string, { readonly BucketName: string }>>,
  ): void;
  destroy(): void;
  /** The topics, of stacks that are there, that S3 tells of a new object. */
  topicsOf(bucket: string): readonly string[];
}

interface Stack {
  readonly buckets: Map<string, string>;
  template: readonly Resource[];
  names: Names;
}

export function createCloud(): Cloud {
  const buckets = new Map<string, Map<string, string>>();
  let generation = 0;
  let stack: Stack | undefined;
  const running = () => {
    if (stack === undefined) throw new Error("there is no stack");
    return stack;
  };
  const bucketsIn = (resources: readonly Resource[]) =>
    resources.filter(({ type }) => type === "AWS::S3::Bucket");
  const propertiesOf = ({ properties }: Resource, names: Names) =>
    new Map(Object.entries(properties).map(([name, value]) => [name, names.text(value)]));
  const begin = (): Stack => {
    generation++;
    const own = new Map<string, string>();
    return { buckets: own, template: [], names: createNames([], own, generation) };
  };
  return {
    buckets,
    get names() {
      return running().names;
    },
    deploy(resources) {
      stack ??= begin();
      const { buckets: own, template: before, names: namesBefore } = stack;
      for (const { id } of bucketsIn(resources)) {
        if (own.has(id)) continue;
        const name = generation === 1 ? id.toLowerCase() : `${id.toLowerCase()}-${generation}`;
        own.set(id, name);
        buckets.set(name, new Map());
      }
      const names = createNames(resources, own, generation);
      for (const bucket of bucketsIn(resources)) {
        const configuration = buckets.get(names.name(bucket.id));
        if (configuration === undefined) throw new Error(`there is no bucket ${names.name(bucket.id)}`);
        const last = bucketsIn(before).find(({ id }) => id === bucket.id);
        const old = last === undefined ? new Map<string, string>() : propertiesOf(last, namesBefore);
        const wanted = propertiesOf(bucket, names);
        for (const [name, value] of wanted) if (old.get(name) !== value) configuration.set(name, value);
        for (const name of old.keys()) if (!wanted.has(name)) configuration.delete(name);
      }
      stack = { buckets: own, template: resources, names };
    },
    import(resources, mapping) {
      if (stack !== undefined)
        throw new Error("No resource updates or deletes are allowed on import operation");
      const fresh = begin();
      for (const { id } of bucketsIn(resources)) {
        const { BucketName: name } = mapping[id] ?? {};
        if (name === undefined || !buckets.has(name)) throw new Error(`there is no bucket ${name} to import`);
        fresh.buckets.set(id, name);
      }
      stack = { ...fresh, template: resources, names: createNames(resources, fresh.buckets, generation) };
    },
    destroy() {
      running();
      stack = undefined;
    },
    topicsOf(bucket) {
      const notification: unknown = JSON.parse(buckets.get(bucket)?.get("NotificationConfiguration") ?? "{}");
      return listOf(fieldsOf(notification)["TopicConfigurations"])
        .map((each) => flatten(fieldsOf(each)["Topic"]))
        .filter((topic) => stack?.names.topics.includes(topic) ?? false);
    },
  };
}
