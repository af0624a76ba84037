// What a destroyed stack leaves behind becomes the next one's. The whole story, with functions, is in one-world.ts.
import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import path from "node:path";
import { App } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import { describe, expect, test } from "vitest";
import { AdoptionStack, type Leftovers, readLeftovers } from "../../infra/adoption.ts";
import { contextIn } from "../../infra/arguments.ts";
import type { Topology } from "../../infra/pipeline.ts";
import { readSettings } from "../../infra/settings.ts";
import { fieldsOf, type Resource, resourcesOf } from "../../infra/template.ts";
import { ConfigError } from "../../src/index.ts";
import { serveTwin } from "../../src/testing/index.ts";
import { createCloudFormationTwin } from "./cloudformation.ts";
import { synthesise } from "./synthesised.ts";
import { createCloud } from "./world/cloud.ts";
import { account, region } from "./world/names.ts";

const patienceMs = 60_000;
const root = path.resolve(import.meta.dirname, "../..");

function adoption(leftovers: Leftovers) {
  const stack = new AdoptionStack(new App({ analyticsReporting: false }), "fanout", leftovers);
  const template: unknown = Template.fromStack(stack).toJSON();
  return { template, resources: resourcesOf(template), mapping: stack.mapping };
}
const idsOf = (resources: readonly Resource[]) =>
  resources.filter(({ type }) => type === "AWS::S3::Bucket").map(({ id }) => id);

test.each<Topology>(["per-sink", "single"])(
  "the deployment of topology %s has the same buckets under the same ids, and names none of them",
  (topology) => {
    const three = adoption({ data: "a-data", books: "a-books", accessLog: "a-log" });
    const made = synthesise({ topology }).resources;
    expect(idsOf(three.resources).sort()).toEqual(idsOf(made).sort());
    // A name in a template would have to be given again and again, or there were new buckets.
    for (const { type, properties } of made) {
      if (type === "AWS::S3::Bucket") expect(properties["BucketName"]).toBeUndefined();
    }
    const two = adoption({ data: "a-data", books: "a-books" });
    expect(Object.values(two.mapping)).toEqual([{ BucketName: "a-data" }, { BucketName: "a-books" }]);
    for (const { id } of two.resources) {
      expect(fieldsOf(fieldsOf(two.template)["Resources"])[id]).toEqual({
        Type: "AWS::S3::Bucket",
        DeletionPolicy: "Retain",
        UpdateReplacePolicy: "Retain",
      });
    }
  },
  patienceMs,
);

describe("what the deployment gives to its buckets", () => {
  const made = synthesise({ sinks: ["mixpanel"] }).resources;
  /** A stack that was deployed and destroyed. */
  const destroyed = () => {
    const cloud = createCloud();
    cloud.deploy(made);
    const [accessLog = "", data = "", books = ""] = [...cloud.buckets.keys()];
    const old = cloud.topicsOf(data);
    cloud.destroy();
    return { cloud, old, leftovers: { data, books, accessLog } };
  };

  test("it gives to adopted ones: notifications, lifecycle, versions, encryption, the access log", () => {
    const { cloud, old, leftovers } = destroyed();
    const { resources, mapping } = adoption(leftovers);
    cloud.import(resources, mapping);
    // What the old stack gave them is there as before, and tells a topic that is gone.
    expect(cloud.topicsOf(leftovers.data)).toEqual([]);
    cloud.deploy(made);
    expect([...cloud.buckets.keys()].sort()).toEqual(Object.values(leftovers).sort());
    expect(cloud.topicsOf(leftovers.data)).toHaveLength(1);
    expect(cloud.topicsOf(leftovers.data)).not.toEqual(old);
    for (const { id, type, properties } of made) {
      if (type !== "AWS::S3::Bucket") continue;
      const has = cloud.buckets.get(cloud.names.name(id));
      for (const [name, value] of Object.entries(properties)) {
        expect([id, name, has?.get(name)]).toEqual([id, name, cloud.names.text(value)]);
      }
    }
  });

  test("it would not give to buckets that were imported as it wants them: S3 would go on telling the old topic", () => {
    const { cloud, leftovers } = destroyed();
    cloud.import(made, adoption(leftovers).mapping);
    cloud.deploy(made);
    expect(cloud.topicsOf(leftovers.data)).toEqual([]);
  });

  test("without an adoption it gives to new ones, and the old ones are forgotten", () => {
    const { cloud, leftovers } = destroyed();
    cloud.deploy(made);
    expect(cloud.buckets.size).toBe(6);
    expect(cloud.topicsOf(leftovers.data)).toEqual([]);
  });

  test("a bucket that is not there is not imported", () => {
    const { cloud, leftovers } = destroyed();
    const { resources, mapping } = adoption({ ...leftovers, data: "mistyped" });
    expect(() => cloud.import(resources, mapping)).toThrow("there is no bucket mistyped");
  });
});

describe("npm run adopt", () => {
  const adopt = async (args: readonly string[], deployed?: string) => {
    const twin = createCloudFormationTwin({ account, region, ...(deployed !== undefined && { deployed }) });
    const { url, close } = await serveTwin(twin.handle);
    const env = {
      PATH: process.env["PATH"],
      AWS_ENDPOINT_URL: url,
      AWS_ACCESS_KEY_ID: "test",
      AWS_SECRET_ACCESS_KEY: "test",
      AWS_REGION: region,
      AWS_EC2_METADATA_DISABLED: "true",
      CDK_DISABLE_CLI_TELEMETRY: "true",
    };
    const { promise, resolve } = Promise.withResolvers<number | null>();
    let output = "";
    const child = spawn(process.execPath, ["infra/adopt.ts", ...args], { cwd: root, env });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        output += text;
      });
    }
    child.on("close", resolve);
    const code = await promise;
    await close();
    rmSync(path.join(root, "cdk.out", "adopt"), { recursive: true, force: true });
    return { code, output, ...twin };
  };
  const names = ["-c", "dataBucket=old-data", "-c", "booksBucket=old-books"];

  test(
    "lets CDK import the two buckets into a stack that has nothing else",
    async () => {
      const { code, output, changeSets } = await adopt([...names, "-c", "stack=fanout"]);
      expect({ code, output }).toEqual({ code: 0, output: expect.stringContaining("now npm run deploy") });
      const [changeSet, ...others] = changeSets;
      expect(others).toEqual([]);
      expect(changeSet).toMatchObject({ ChangeSetType: "IMPORT", StackName: "fanout" });
      const imported = [1, 2].map((at) => {
        const of = (field: string) => changeSet?.[`ResourcesToImport.member.${at}.${field}`];
        expect([of("ResourceType"), of("ResourceIdentifier.entry.1.key")]).toEqual([
          "AWS::S3::Bucket",
          "BucketName",
        ]);
        return [of("LogicalResourceId"), { BucketName: of("ResourceIdentifier.entry.1.value") }];
      });
      const { mapping } = adoption({ data: "old-data", books: "old-books" });
      expect(imported).toEqual(Object.entries(mapping));
      // YAML: the buckets, and nothing that an import may not have.
      expect(changeSet?.["TemplateBody"]).not.toMatch(/Outputs|Parameters|Properties/);
      expect(changeSet?.["TemplateBody"]?.match(/Type: /g)).toHaveLength(2);
    },
    patienceMs,
  );

  test(
    "changes nothing of a stack that is there",
    async () => {
      const deployed = synthesise({ sinks: ["mixpanel"] }).text;
      const { code, output, changeSets } = await adopt([...names, "-c", "stack=fanout"], deployed);
      expect({ code, changeSets }).toEqual({ code: 1, changeSets: [] });
      expect(output).toMatch(/Confirm import with pending drift|Nothing was imported/);
      // Adopted before, and not deployed yet.
      const bare = JSON.stringify(adoption({ data: "others-data", books: "others-books" }).template);
      const again = await adopt([...names, "-c", "stack=fanout"], bare);
      expect({ code: again.code, changeSets: again.changeSets }).toEqual({ code: 1, changeSets: [] });
      expect(again.output).toContain("Nothing was imported, since the stack fanout has its buckets");
    },
    patienceMs,
  );

  test("refuses half of its settings before it asks AWS for anything", async () => {
    const { code, output, operations } = await adopt(["-c", "dataBucket=old-data"]);
    expect({ code, operations }).toEqual({ code: 1, operations: [] });
    expect(output).toBe(
      "-c dataBucket and -c booksBucket need each other: events without their books would be sent again, and books without their events cannot be drained\n",
    );
  });
});

describe("a setting that is wrong is one sentence, with its name", () => {
  const read = (context: Readonly<Record<string, string>>) => readLeftovers(new App({ context }).node);
  const [data, books] = ["x-fanoutstoragedata1-y", "x-fanoutstoragebooks1-y"];

  test("none is needed of the access log", () => {
    expect(read({ dataBucket: data, booksBucket: books })).toEqual({ data, books });
    const accessLog = "x-fanoutstorageaccesslog1-y";
    expect(read({ dataBucket: data, booksBucket: books, accessLogBucket: accessLog })).toEqual({
      data,
      books,
      accessLog,
    });
  });

  test.each<[string, Readonly<Record<string, string>>, string]>([
    ["none", {}, "-c dataBucket and -c booksBucket need each other"],
    ["the books alone", { booksBucket: books }, "-c dataBucket and -c booksBucket need each other"],
    ["no name", { dataBucket: "s3://x", booksBucket: books }, "-c dataBucket must be the name of a bucket"],
    ["one bucket twice", { dataBucket: data, booksBucket: data }, "each bucket must have a name of its own"],
    [
      "the wrong way round",
      { dataBucket: books, booksBucket: data },
      "-c dataBucket is x-fanoutstoragebooks1-y, which is by its name the booksBucket",
    ],
  ])("%s", (_, context, sentence) => {
    expect(() => read(context)).toThrow(ConfigError);
    expect(() => read(context)).toThrow(sentence);
  });

  test("a deployment does not pass over a setting of the adoption", () => {
    expect(() => readSettings(new App({ context: { dataBucket: data } }).node)).toThrow(
      "-c dataBucket is for npm run adopt, which comes once before the deployment",
    );
  });
});

test("settings are taken from the command line wherever they stand, and the rest goes on", () => {
  const args = [
    "--profile",
    "ops",
    "-c",
    "stack=fanout",
    "--context=tags=a=b,c=d",
    "--context",
    "sinks=",
    "-v",
  ];
  expect(contextIn(args)).toEqual({
    context: { stack: "fanout", tags: "a=b,c=d", sinks: "" },
    rest: ["--profile", "ops", "-v"],
  });
});
