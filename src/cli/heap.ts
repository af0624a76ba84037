// Keeps the command's heap small: imported before anything else, since it counts from then on.
import { setFlagsFromString } from "node:v8";
import { keepRecordsYoung } from "../heap.ts";

keepRecordsYoung();

/**
 * V8 lets garbage pile up to several times what is alive, and most of a run's memory would be that. A young generation
 * that stays small and an old one that is collected sooner take more CPU, but beside the work, on another core: 5 MB
 * and 1 GB of JSON take the same memory in the same time (`npm run bench`).
 */
setFlagsFromString("--semi-space-growth-factor=1");
setFlagsFromString("--heap-growing-percent=10");
