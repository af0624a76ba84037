import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { tenantConfig, tokenOf } from "../../config/tenants.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "fanout-tenants-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

test("without a directory nothing is added, and nothing can be down", async () => {
  expect(await tenantConfig({ TENANT_DIRECTORY: "  " })).toEqual({
    directory: undefined,
    directoryDown: "pass",
  });
});

test("a file is read at the start", async () => {
  const file = path.join(folder, "tenants.json");
  await writeFile(file, '{"acme":{"name":"Acme"}}');
  const { directory, directoryDown } = await tenantConfig({
    TENANT_DIRECTORY: file,
    TENANT_DIRECTORY_DOWN: "fail",
  });
  expect(await directory?.find("acme", new AbortController().signal)).toEqual({ name: "Acme" });
  expect(directoryDown).toBe("fail");
});

test("an address is a directory over HTTP", async () => {
  const { directory } = await tenantConfig({
    TENANT_DIRECTORY: "https://tenants.example/{tenant_id}",
    TENANT_DIRECTORY_TOKEN: "token",
  });
  expect(directory).toBeDefined();
});

test("everything that is wrong is told at once, without a value", async () => {
  const env = {
    TENANT_DIRECTORY: "https://user:s3cret@tenants.example/",
    TENANT_DIRECTORY_TOKEN: "two words",
    TENANT_DIRECTORY_DOWN: "maybe",
  };
  await expect(tenantConfig(env)).rejects.toMatchObject({
    problems: [
      "TENANT_DIRECTORY_DOWN is not valid: it must be pass or fail",
      "TENANT_DIRECTORY_TOKEN is not valid: it must be visible ASCII characters, no space",
      "TENANT_DIRECTORY is not valid: the tenant directory's address must be an http(s) URL that holds {tenant_id}",
    ],
  });
  await expect(tenantConfig({ TENANT_DIRECTORY: path.join(folder, "none") })).rejects.toMatchObject({
    problems: ["TENANT_DIRECTORY names a file that cannot be read"],
  });
});

test("a token that no header can carry is none, whenever it is read", () => {
  expect(tokenOf({})).toBeUndefined();
  expect(tokenOf({ TENANT_DIRECTORY_TOKEN: "t0ken" })).toBe("t0ken");
  expect(() => tokenOf({ TENANT_DIRECTORY_TOKEN: "new\n" })).toThrow("TENANT_DIRECTORY_TOKEN is not valid");
});
