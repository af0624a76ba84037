#!/usr/bin/env node
import "./heap.ts";

// Loaded once the heap is told to stay small: loading them makes it grow.
const [{ runProgram }, { createProgram }, { useProxies }] = await Promise.all([
  import("./process.ts"),
  import("./program.ts"),
  import("../delivery/proxy.ts"),
]);
useProxies(process.env);
await runProgram(createProgram(process.env));
