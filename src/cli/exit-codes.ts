// What a shell learns from a command.
export const exitCodes = {
  /** Everything is settled and the books close. */
  ok: 0,
  /** Something failed and was not acknowledged. */
  failed: 1,
  /** The call or the configuration is wrong. */
  wrongUse: 2,
  /** Records are pending. */
  pending: 3,
  /** Ended by Ctrl-C or SIGTERM, as shells count it: 128 + SIGINT. */
  interrupted: 130,
} as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];
