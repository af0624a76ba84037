// A part of a store as a store of its own: everything under one prefix.
import type { ObjectInfo, ObjectStore } from "./object-store.ts";

/** The objects of `store` whose keys begin with `prefix/`, under keys without it. `""` is the store itself. */
export function subStore(store: ObjectStore, prefix: string): ObjectStore {
  const folder = prefix.replace(/\/+$/, "");
  if (folder === "") return store;
  const full = (key: string) => `${folder}/${key}`;
  const short = <T extends ObjectInfo>(info: T): T => ({ ...info, key: info.key.slice(folder.length + 1) });

  return {
    location: `${store.location}/${folder}`,
    async look(key, options) {
      const info = await store.look(full(key), options);
      return info && short(info);
    },
    read: (key, options) => store.read(full(key), options),
    put: (key, bytes) => store.put(full(key), bytes),
    putIfAbsent: (key, bytes) => store.putIfAbsent(full(key), bytes),
    delete: (key) => store.delete(full(key)),
    async *list(start) {
      for await (const info of store.list(full(start))) yield short(info);
    },
  };
}
