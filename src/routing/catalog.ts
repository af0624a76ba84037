// The catalog: all metrics, loaded from their folder and checked, so that what is wrong is told before the first event.
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { ConfigError } from "../config.ts";
import { type CatalogEntry, checkCatalog } from "./catalog-check.ts";
import type { Metric } from "./metric.ts";

/** What a bundle carries in the place of the folder: `JSON.stringify(catalog)`, for metrics are nothing but data. */
export const packedCatalog = "catalog.json";

/**
 * Every `.ts` or `.js` file of the folder but the index, in the order of their names; or the packed catalog, if the
 * folder has one.
 *
 * @throws {ConfigError} with every problem of every file.
 */
export async function loadCatalog(folder: URL): Promise<readonly Metric[]> {
  const directory = fileURLToPath(folder);
  const where = path.relative(process.cwd(), directory) || ".";
  const names = await readdir(directory).catch((): string[] => []);
  if (names.includes(packedCatalog)) {
    const packed: unknown = JSON.parse(await readFile(path.join(directory, packedCatalog), "utf8"));
    const metrics: readonly unknown[] = Array.isArray(packed) ? packed : [packed];
    return checkCatalog(
      metrics.map((metric, index) => ({ file: `${packedCatalog}, entry ${index + 1}`, metric })),
    );
  }
  const files = names.filter((name) => /^(?!index\.)(?!.*\.d\.ts$).*\.(?:ts|js)$/.test(name)).sort();
  if (files.length === 0) throw new ConfigError([`${where} holds no metric: declare one, a file each`]);
  const problems: string[] = [];
  const entries: CatalogEntry[] = [];
  for (const name of files) {
    const file = path.join(where, name);
    try {
      const module: unknown = await import(pathToFileURL(path.join(directory, name)).href);
      const metric =
        typeof module === "object" && module !== null && "default" in module ? module.default : undefined;
      entries.push({ file, metric });
    } catch (error) {
      const [why = ""] = (error instanceof Error ? error.message : String(error)).split("\n");
      problems.push(`${file}: it cannot be loaded: ${why}`);
    }
  }
  return checkCatalog(entries, problems);
}
