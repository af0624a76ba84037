// Which addresses belong to the internet at large: what a customer's address must not lead to is everything else.
import dns from "node:dns";
import net, { BlockList, type LookupFunction } from "node:net";

/**
 * Not globally reachable, or no single host: https://www.iana.org/assignments/iana-ipv4-special-registry and
 * https://www.iana.org/assignments/multicast-addresses
 */
const special4 = [
  ..."0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24".split(" "),
  ..."192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24".split(" "),
  ..."224.0.0.0/4 240.0.0.0/4".split(" "),
];

/**
 * The same of https://www.iana.org/assignments/iana-ipv6-special-registry, tunnels (6to4, Teredo) among them, since
 * they lead to an address that stands elsewhere, and IPv4-translated addresses (RFC 2765, 2.1). Mapped IPv4 is judged as the IPv4 address that it is.
 */
const special6 = [
  ..."::/96 ::ffff:0:0:0/96 64:ff9b:1::/48 100::/64 2001::/23 2001:db8::/32 2002::/16 3fff::/20 5f00::/16".split(
    " ",
  ),
  ..."fc00::/7 fe80::/10 fec0::/10 ff00::/8".split(" "),
];

/** NAT64 (RFC 6052, 2.1): the last 32 bits are an IPv4 address, to which the network translates. */
const nat64 = "64:ff9b::";

const blocked = new BlockList();
for (const [network = "", prefix] of special4.map((range) => range.split("/"))) {
  blocked.addSubnet(network, Number(prefix), "ipv4");
  blocked.addSubnet(`${nat64}${network}`, 96 + Number(prefix), "ipv6");
}
for (const [network = "", prefix] of special6.map((range) => range.split("/"))) {
  blocked.addSubnet(network, Number(prefix), "ipv6");
}

/** @param address An IP address, without brackets. What is none is not public. */
export function isPublicAddress(address: string): boolean {
  const family = net.isIP(address);
  return family !== 0 && !blocked.check(address, family === 6 ? "ipv6" : "ipv4");
}

/** A host has an address that is not public; nothing was sent. */
export class NotPublic extends Error {
  override readonly name = "NotPublic";
}

/**
 * Resolves for one connection, and refuses it when any address of the host is not public. Since the connection goes to
 * what was resolved here, a name that resolves to something else the next time gains nothing by it.
 */
export function publicLookup(lookup: LookupFunction = dns.lookup): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      const addresses = Array.isArray(found) ? found : [];
      const [first] = addresses;
      if (error !== null || first === undefined) {
        callback(error ?? Object.assign(new Error("no address"), { code: dns.NOTFOUND }), []);
      } else if (!addresses.every(({ address }) => isPublicAddress(address))) {
        callback(new NotPublic("the host has an address that is not public"), []);
      } else if (options.all === true) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}
