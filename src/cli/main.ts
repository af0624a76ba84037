#!/usr/bin/env node
import "./heap.ts";
import { runProgram } from "./process.ts";
import { createProgram } from "./program.ts";

await runProgram(createProgram(process.env));
