// Who this process is, in a way that another process of the same machine can tell whether it is gone.
import { readFileSync, readlinkSync } from "node:fs";
import os from "node:os";
import type { Owner } from "../books/claim.ts";

/**
 * The owner of a command's claims. A claim of a process that was killed need not expire: another one on the same
 * machine sees that it is gone. Processes of another machine, boot or container are never judged.
 */
export function processOwner(): Owner {
  const machine = [
    os.hostname(),
    firstLine("/proc/sys/kernel/random/boot_id"),
    link("/proc/self/ns/pid"),
  ].join("|");
  return {
    id: `${machine}|${process.pid}|${startOf(process.pid)}`,
    isGone(id) {
      const match = /^(.*)\|(\d+)\|([^|]*)$/s.exec(id);
      if (match === null || match[1] !== machine) return false;
      const pid = Number(match[2]);
      // A number that was given to another process since has another start.
      return !isRunning(pid) || startOf(pid) !== match[3];
    },
  };
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Not allowed to signal it means that it is there.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/** The start of a process in clock ticks since boot (proc(5), field 22); empty where there is no /proc. */
function startOf(pid: number): string {
  const stat = firstLine(`/proc/${pid}/stat`);
  // The second field, the command, may hold blanks and brackets; the last bracket ends it.
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
}

function firstLine(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "";
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
