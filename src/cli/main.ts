#!/usr/bin/env node
import "./heap.ts";

// Loaded once the heap is told to stay small: loading them makes it grow.
const [{ runProgram }, { createProgram }] = await Promise.all([
  import("./process.ts"),
  import("./program.ts"),
]);
await runProgram(createProgram(process.env));
