// Addresses and networks as event patterns compare them: as texts of hexadecimal digits, 8 of IPv4 and 32 of IPv6.

/** The digits of an address; undefined when the text is none. An IPv4 address mapped into IPv6 counts as IPv4. */
export function addressDigits(text: string): string | undefined {
  const digits = text.includes(":") ? sixDigits(text) : fourDigits(text);
  return digits?.startsWith(mappedFour) ? digits.slice(mappedFour.length) : digits;
}

const mappedFour = `${"0".repeat(20)}ffff`;
/** Characters of a dotted address, leading zeros included. */
const longestFour = 15;

function fourDigits(text: string): string | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || text.length > longestFour || !parts.every((part) => /^\d+$/.test(part))) return;
  const bytes = parts.map(Number);
  return bytes.some((byte) => byte > 0xff) ? undefined : bytes.map((byte) => hex(byte, 2)).join("");
}

function sixDigits(text: string): string | undefined {
  const [head = "", tail, ...more] = text.split("::");
  if (more.length > 0) return undefined;
  const [before, after] = [groupsOf(head), groupsOf(tail ?? "")];
  const missing = 8 - before.length - after.length;
  // "::" stands for one group at least.
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  const groups = [...before, ...Array<string>(missing).fill("0"), ...after];
  if (!groups.every((group) => /^[\da-f]+$/i.test(group) && Number.parseInt(group, 16) <= 0xffff)) return;
  return groups.map((group) => hex(Number.parseInt(group, 16), 4)).join("");
}

function groupsOf(text: string): readonly string[] {
  return text === "" ? [] : text.split(":");
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}

export interface IpRange {
  readonly bottom: string;
  readonly top: string;
}

/**
 * A network, as its lowest and highest address; or what is wrong with it. A network of a single address is refused by
 * EventBridge: the address itself says the same.
 */
export function networkRange(text: string): IpRange | { readonly fault: string } {
  const [address = "", bits, ...more] = text.split("/");
  if (bits === undefined || more.length > 0) return { fault: "must be an address, / and a number of bits" };
  const digits = addressDigits(address);
  if (digits === undefined) return { fault: `must begin with an IP address, and ${address} is none` };
  const most = digits.length * 4 - 1;
  const fixed = /^[+-]?\d+$/.test(bits) ? Number(bits) : Number.NaN;
  if (!(fixed >= 0 && fixed <= most)) return { fault: `must end in a number of bits from 0 to ${most}` };
  const free = BigInt(digits.length * 4 - Number(fixed));
  const lowest = (BigInt(`0x${digits}`) >> free) << free;
  const text16 = (value: bigint) => value.toString(16).padStart(digits.length, "0");
  return { bottom: text16(lowest), top: text16(lowest | ((1n << free) - 1n)) };
}

/**
 * EventBridge compares digit by digit, and decides as soon as a digit lies between those of the bounds. So an address
 * of the other version is inside when its leading digits are.
 */
export function isInRange({ bottom, top }: IpRange, digits: string): boolean {
  const common = Math.min(bottom.length, digits.length);
  const [head, low, high] = [digits, bottom, top].map((each) => each.slice(0, common));
  if (head === undefined || low === undefined || high === undefined) return false;
  return digits.length < bottom.length ? low < head && head < high : low <= head && head <= high;
}
