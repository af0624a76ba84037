// The steps of a write that a killed process can stand between: the words that the harness and the preload share.

/** What is written: a file of the books, or a file of dead letters. */
export type FileKind = "claim" | "receipt" | "deferral" | "letters";

/**
 * How far a write has come, in this order: an unfinished file was made and is empty, holds the first half, holds all;
 * it has its name. Deferrals are also removed: about to be, and gone.
 */
export type Phase = "empty" | "half" | "whole" | "named" | "removing" | "removed";

/** The process kills itself at the `nth` step (from 1) that has all that is asked for. */
export interface StepSpec {
  readonly phase?: Phase;
  readonly kind?: FileKind;
  readonly lane?: string;
  readonly nth: number;
}

/** What the preload reads from the environment: a {@link StepSpec} as JSON, or `{"nth":0}`, which never comes. */
export const stepVariable = "FANOUT_CRASH_STEP";

/** What it says on stderr at its first step: the process works. */
export const begunLine = "crash: begun";
