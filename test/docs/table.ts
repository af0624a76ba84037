// Reads the tables of a page in Markdown.

export interface Row {
  /** From 1. */
  readonly line: number;
  readonly cells: readonly string[];
}

/** The rows of all tables, without their heads. A `|` in a cell is written `\|`. */
export function rowsOf(page: string): Row[] {
  const rows: Row[] = [];
  let isBody = false;
  for (const [index, line] of page.split("\n").entries()) {
    if (!line.startsWith("|")) isBody = false;
    else if (/^\|[-|: ]+\|$/.test(line)) isBody = true;
    else if (isBody) {
      const cells = line.slice(1, -1).split(/(?<!\\)\|/);
      rows.push({ line: index + 1, cells: cells.map((cell) => cell.trim().replaceAll("\\|", "|")) });
    }
  }
  return rows;
}
