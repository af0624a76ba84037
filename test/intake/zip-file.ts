// ZIP files for tests, written field by field: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
import { crc32, deflateRawSync } from "node:zlib";

export interface ZipEntry {
  readonly name?: string;
  readonly content: string;
  readonly method?: 0 | 8 | 99;
  /** Sizes and checksum behind the data, zeros before it: what Firehose writes. */
  readonly descriptor?: boolean | "unsigned";
  readonly crc?: number;
  readonly flags?: number;
}

export interface ZipShape {
  /** Sizes and offsets of eight bytes, as for files that need them. */
  readonly zip64?: boolean;
  readonly comment?: string;
}

export function zip(...entries: readonly ZipEntry[]): Buffer {
  return zipShaped({}, ...entries);
}

export function zipShaped(
  { zip64 = false, comment = "" }: ZipShape,
  ...entries: readonly ZipEntry[]
): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name = "data", content, method = 8, descriptor = false, flags = 0, ...more } of entries) {
    const raw = Buffer.from(content);
    const data = method === 8 ? deflateRawSync(raw) : raw;
    const crc = more.crc ?? crc32(raw);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(zip64 ? 45 : 20, 0);
    common.writeUInt16LE(flags | (descriptor === false ? 0 : 0x808), 2);
    common.writeUInt16LE(method, 4);
    common.writeUInt32LE(crc, 10);
    common.writeUInt32LE(data.length, 14);
    common.writeUInt32LE(raw.length, 18);
    common.writeUInt16LE(name.length, 22);
    const local = Buffer.from(common);
    if (descriptor !== false) local.fill(0, 10, 22);
    const sizes = zip64
      ? Buffer.concat([common.subarray(10, 14), long(data.length), long(raw.length)])
      : common.subarray(10, 22);
    const trailer = { false: [], true: [Buffer.from("PK\x07\x08"), sizes], unsigned: [sizes] }[
      `${descriptor}`
    ];
    const entry = Buffer.concat([Buffer.from("PK\x03\x04"), local, Buffer.from(name), data, ...trailer]);
    const listed = Buffer.from(common);
    const extra = zip64
      ? Buffer.concat([Buffer.from([1, 0, 24, 0]), long(raw.length), long(data.length), long(offset)])
      : Buffer.alloc(0);
    if (zip64) {
      listed.fill(0xff, 14, 22);
      listed.writeUInt16LE(extra.length, 24);
    }
    directory.push(
      Buffer.concat([
        Buffer.from("PK\x01\x02\x14\x00"),
        listed,
        Buffer.alloc(10),
        zip64 ? Buffer.alloc(4, 0xff) : long(offset).subarray(0, 4),
        Buffer.from(name),
        extra,
      ]),
    );
    parts.push(entry);
    offset += entry.length;
  }
  const central = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06");
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(zip64 ? 0xffffffff : offset, 16);
  end.writeUInt16LE(comment.length, 20);
  const record = Buffer.concat([
    Buffer.from("PK\x06\x06"),
    long(44),
    Buffer.from([45, 0, 45, 0]),
    Buffer.alloc(8),
    long(entries.length),
    long(entries.length),
    long(central.length),
    long(offset),
  ]);
  const locator = Buffer.concat([
    Buffer.from("PK\x06\x07"),
    Buffer.alloc(4),
    long(offset + central.length),
    Buffer.from([1, 0, 0, 0]),
  ]);
  return Buffer.concat([
    ...parts,
    central,
    ...(zip64 ? [record, locator] : []),
    end,
    Buffer.from(comment, "latin1"),
  ]);
}

function long(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}
