import { defineConfig } from "vitest/config";

/** Files that replace a module or the timers of Node for themselves alone, so no other file may share their process. */
const isolated = [
  "test/simulation/*.test.ts",
  "test/adapters/file-faults.test.ts",
  "test/adapters/file.test.ts",
  "test/intake/early-end.test.ts",
];

const common = {
  // By itself Vitest leaves one core to itself, which on two cores is half of the machine.
  maxWorkers: "100%",
  // A promise that is never kept must fail the suite, not hang it.
  testTimeout: 20_000,
  // Whatever a test replaced is itself again for the next file, which runs in the same process.
  restoreMocks: true,
  unstubEnvs: true,
  unstubGlobals: true,
};

export default defineConfig({
  test: {
    ...common,
    projects: [
      // One process for many files: AWS's CDK, the vendors' clients and the SDKs are loaded once a core, not once a file.
      {
        test: {
          ...common,
          name: "shared",
          include: ["test/**/*.test.ts"],
          exclude: isolated,
          isolate: false,
        },
      },
      { test: { ...common, name: "isolated", include: isolated } },
    ],
  },
});
