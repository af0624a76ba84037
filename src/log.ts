// Where the core tells what it does. Fields never hold a payload or a secret.

export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

export const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };
