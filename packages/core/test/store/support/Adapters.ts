/** The stores that every contract is run against. Each file of tests has names of its own on the servers, and cleans up. */
import * as Stores from "@breakwater/core/node/Stores"
import { Effect, Layer } from "effect"
import { Redis } from "effect/persistence"
import { SqlClient } from "effect/sql"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { inject } from "vitest"
import { postgresClient, redisClient } from "./Clients.ts"

export interface Adapter<A> {
  readonly name: string
  readonly layer: Layer.Layer<A, unknown>
  /** The server that it needs does not answer. */
  readonly skip: boolean
}

/** A folder that goes with the scope. */
export const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "breakwater-store-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

export const inFile = (options?: Stores.StoreOptions) =>
  Layer.unwrap(Effect.map(folder, (path) => Stores.layerSqlite({ filename: join(path, "stores.sqlite"), ...options })))

const tables = ["idempotency", "outbox", "answer", "answer_tag", "lease", "link", "migrations"]

const dropTables = (prefix: string) =>
  Layer.effectDiscard(
    Effect.flatMap(SqlClient.SqlClient, (sql) =>
      Effect.addFinalizer(() =>
        Effect.ignore(
          Effect.forEach(tables, (table) => sql.unsafe(`DROP TABLE IF EXISTS ${prefix}_${table}`), { discard: true })
        )
      )
    )
  )

/** All stores in PostgreSQL, and the client that they use. */
export const inPostgres = (prefix: string, options?: Stores.StoreOptions) =>
  Layer.merge(Stores.layerPostgres({ prefix, ...options }), dropTables(prefix)).pipe(Layer.provideMerge(postgresClient))

const deleteKeys = (prefix: string) =>
  Layer.effectDiscard(
    Effect.flatMap(Redis.Redis, (redis) =>
      Effect.addFinalizer(() =>
        Effect.ignore(
          Effect.flatMap(redis.send<ReadonlyArray<string>>("KEYS", `${prefix}:*`), (keys) =>
            Effect.forEach(keys, (key) => redis.send("DEL", key), { discard: true })
          )
        )
      )
    )
  )

export const inRedis = (prefix: string, options?: Stores.StoreOptions) =>
  Layer.merge(Stores.layerRedis({ prefix, ...options }), deleteKeys(prefix)).pipe(Layer.provideMerge(redisClient))

/** The adapters that have every store. */
export const complete = (name: string, options?: Stores.StoreOptions): ReadonlyArray<Adapter<Stores.Stores>> => [
  { name: "memory", layer: Stores.layerMemory(options), skip: false },
  { name: "SQLite in memory", layer: Stores.layerSqlite({ filename: ":memory:", ...options }), skip: false },
  { name: "SQLite in a file", layer: inFile(options), skip: false },
  { name: "PostgreSQL", layer: inPostgres(`t_${name}_${process.pid}`, options), skip: !inject("postgres") }
]

/** Those, and the ones without an outbox. */
export const shared = (name: string, options?: Stores.StoreOptions): ReadonlyArray<Adapter<Stores.Shared>> => [
  ...complete(name, options),
  { name: "Redis", layer: inRedis(`t_${name}_${process.pid}`, options), skip: !inject("redis") }
]
