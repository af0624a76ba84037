import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fanout } from "../support/fanout.ts";

// Every test starts processes; on two busy cores each needs a second or two.
const patience = { timeout: 60_000 };

let cwd: string;
beforeAll(async () => {
  cwd = await mkdtemp(path.join(os.tmpdir(), "fanout-config-file-"));
  await mkdir(path.join(cwd, "in"));
});
afterAll(() => rm(cwd, { recursive: true, force: true }));

const secrets = { ACME_TOKEN: "SECRET-MARKER-1", MIXPANEL_SERVICE_SECRET: "SECRET-MARKER-2" };

describe("a configuration that cannot be used: exit 2, one sentence with the file and the cause, no secret", () => {
  const cases: [string, string, string, string][] = [
    [
      "a syntax error",
      "a.ts",
      "export default {",
      "a.ts:1 cannot be used: SyntaxError: Unexpected token `<eof>`.",
    ],
    [
      "TypeScript that Node does not run",
      "b.ts",
      "\nenum A { B }\nexport default () => A.B;",
      "b.ts:2 cannot be used: SyntaxError: TypeScript enum is not supported",
    ],
    [
      "an import that does not exist",
      "c.ts",
      'import "no-such-package";\nexport default () => 1;',
      "c.ts cannot be used: Cannot find package 'no-such-package'",
    ],
    [
      "an error while it loads",
      "d.mjs",
      // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the file's own template.
      "throw new Error(`bad token ${process.env.ACME_TOKEN}, ${process.env.MIXPANEL_SERVICE_SECRET}\\nmore`);",
      "d.mjs:1 cannot be used: bad token …, …\n",
    ],
    [
      "an error while it makes the configuration",
      "e.mjs",
      "export default ({ env }) => {\n  throw new TypeError(env.ACME_TOKEN);\n};",
      "e.mjs:2 cannot be used: TypeError: …\n",
    ],
    ["something thrown that is no error", "f.mjs", 'throw "text";', "f.mjs cannot be used: text\n"],
    [
      "no function to call",
      "g.mjs",
      "export default {};",
      "g.mjs must export defineConfig(…) as its default\n",
    ],
    [
      "a file of another kind",
      "h.txt",
      "hello",
      'h.txt cannot be used: TypeError: Unknown file extension ".txt"',
    ],
  ];
  test.each(cases)("%s", patience, async (_name, file, text, sentence) => {
    await writeFile(path.join(cwd, file), text);
    const { code, stdout, stderr } = await fanout(["run", "in", "--json", "--config", file], secrets, cwd);
    expect(stderr).toContain(sentence);
    expect(stderr).toMatch(/^fanout: [^\n]+\n$/);
    expect(stderr).toContain(path.join(cwd, file));
    expect(stderr).not.toContain("SECRET-MARKER");
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  });
});

describe("--sinks", () => {
  const run = (names: string) => fanout(["run", "in", "--json", "--sinks", names], {}, cwd);
  const unknown = (name: string) =>
    `fanout: there is no sink named "${name}"; known are timestream, segment, segment-groups, mixpanel, hubspot-events, hubspot-companies, file, webhook, hubspot\n`;

  test(
    "which names nothing, or sinks that do not exist: exit 2 and one sentence each",
    patience,
    async () => {
      const cases = [
        ["", "fanout: --sinks names no sink\n"],
        [" , ", "fanout: --sinks names no sink\n"],
        ["a,,b", unknown("a") + unknown("b")],
      ] as const;
      for (const [names, stderr] of cases) expect(await run(names)).toEqual({ code: 2, stdout: "", stderr });
    },
  );

  test("takes blanks around names, empty places and doubled names", patience, async () => {
    const { code, stdout } = await run(" file ,,file");
    expect(code).toBe(0);
    expect(Object.keys(JSON.parse(stdout).sinks)).toEqual(["file"]);
  });
});
