// Preloaded (`node --import`) into every Node process of a documented command: what documentation runs must not
// reach further than this machine.
import net from "node:net";

const local = /^(localhost|127(\.\d{1,3}){3}|::1)$/;
const connect = net.Socket.prototype.connect;

net.Socket.prototype.connect = function (...args) {
  // Node's own callers pass one normalised array, [options, callback]; others (options) or (port, host).
  const first = Array.isArray(args[0]) ? args[0][0] : args[0];
  const options =
    typeof first === "object" ? first : { host: typeof args[1] === "string" ? args[1] : undefined };
  const host = options.host ?? "localhost";
  // A path is a pipe to a process of this machine.
  if (options.path || local.test(host)) return connect.apply(this, args);
  // Later, as a real failure comes: TLS sets up its socket in between.
  process.nextTick(() =>
    this.destroy(new Error(`documented commands stay on loopback, this one connects to ${host}`)),
  );
  return this;
};
