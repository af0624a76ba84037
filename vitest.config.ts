import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // A promise that is never kept must fail the suite, not hang it.
    testTimeout: 20_000,
  },
});
