// Numbers, times and sentences as the commands print them.
import { stripVTControlCharacters } from "node:util";
import { describe, expect, test } from "vitest";
import { fittingTable, painter, type Screen } from "../../src/cli/words.ts";

describe("a table", () => {
  const options = { head: ["sink", "code", "letters"], colAligns: ["left", "left", "right"] as const };
  const render = (screen: Screen) => {
    const paint = painter(screen);
    const rows = [
      ["mixpanel", paint("yellow", "the sink is not ready for others"), paint("red", "3,004")],
      ["segment", "-", paint("red", "4")],
    ];
    return fittingTable({ ...options, colAligns: [...options.colAligns] }, rows, screen);
  };

  test.each([100, 60, 42])("reads the same in colours as without them, at %i columns", (columns) => {
    const plain = render({ colors: false, columns });
    const colored = render({ colors: true, columns });
    expect(colored).toContain("\u001b[31m3,004\u001b[39m");
    expect(stripVTControlCharacters(colored)).toBe(plain);
    for (const line of plain.split("\n")) expect(line.length).toBeLessThanOrEqual(columns);
  });

  test("wraps a cell in colours at its blanks, and cuts nothing off", () => {
    const text = stripVTControlCharacters(render({ colors: true, columns: 42 }));
    expect(text).toMatch(/│ the sink is not +│/);
    expect(text).not.toContain("…");
  });
});
