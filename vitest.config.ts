import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // By itself Vitest leaves one core to itself, which on two cores is half of the machine.
    maxWorkers: "100%",
    // A promise that is never kept must fail the suite, not hang it.
    testTimeout: 20_000,
  },
});
