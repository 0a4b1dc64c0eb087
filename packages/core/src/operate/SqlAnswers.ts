/** Answers in SQL. @internal */
import * as Effect from "effect/Effect"
import type { Entry, Options, StoredAnswer } from "../store/AnswerStore.ts"
import { answerOf, AnswerStore, defaults, entryOf } from "../store/AnswerStore.ts"
import type { Place } from "../store/StoreError.ts"
import { StoreError } from "../store/StoreError.ts"
import type { Now, Request, SqlDatabase } from "./SqlDatabase.ts"

const place = (operation: string): Place => ({ store: "answer", operation })

interface Row {
  readonly payload_version: number
  readonly payload: string
  readonly age: number
}

/** So often the table is looked through for what is over, and so many rows then go at most. */
const sweep = { every: 1000, limit: 2000 }

const writing = ({ sql, table }: SqlDatabase) => {
  const [answers, tags] = [table("answer"), table("answer_tag")]
  const upsert = (key: string, { keepMillis, payload }: Entry, now: Now) => sql`
    INSERT INTO ${answers} (key, payload_version, payload, stored_at, expires_at)
    VALUES (${key}, ${payload.version}, ${payload.json}, ${now}, ${now} + CAST(${keepMillis} AS double precision))
    ON CONFLICT (key) DO UPDATE SET payload_version = excluded.payload_version, payload = excluded.payload,
      stored_at = excluded.stored_at, expires_at = excluded.expires_at`
  return (key: string, entry: Entry, now: Now): Request<unknown> => {
    // A tag that an earlier answer of this key had stays: that it goes once too often does no harm.
    if (entry.tags.length === 0) return upsert(key, entry, now)
    const rows = entry.tags.map((tag) => sql`(${tag}, ${key})`)
    const tagged = sql`INSERT INTO ${tags} (tag, key) VALUES ${sql.csv(rows)} ON CONFLICT (tag, key) DO NOTHING`
    return sql.withTransaction(Effect.andThen(tagged, upsert(key, entry, now)))
  }
}

const purging = ({ skipLocked, sql, table }: SqlDatabase, capacity: number) => {
  const [answers, tags] = [table("answer"), table("answer_tag")]
  return Effect.fnUntraced(function* (limit: number, now: Now) {
    const over = yield* sql`DELETE FROM ${answers} WHERE key IN (
      SELECT key FROM ${answers} WHERE expires_at <= ${now} LIMIT ${limit} ${skipLocked}) RETURNING 1 AS gone`
    const [counted] = yield* sql<{ readonly count: number | bigint }>`SELECT count(*) AS count FROM ${answers}`
    const tooMany = Math.min(limit - over.length, Number(counted?.count ?? 0) - capacity)
    const oldest =
      tooMany <= 0
        ? []
        : yield* sql`DELETE FROM ${answers} WHERE key IN (
            SELECT key FROM ${answers} ORDER BY stored_at LIMIT ${tooMany} ${skipLocked}) RETURNING 1 AS gone`
    // Each of the answers that went may have had many.
    for (let round = 0; round <= defaults.maxTags; round++) {
      const gone = yield* sql`DELETE FROM ${tags} WHERE (tag, key) IN (
        SELECT tag, key FROM ${tags} WHERE NOT EXISTS (SELECT 1 FROM ${answers} AS a WHERE a.key = ${tags}.key) LIMIT ${limit})
        RETURNING 1 AS gone`
      if (gone.length < limit) break
    }
    return over.length + oldest.length
  })
}

/** The answers in the tables of a database. @category constructors @since 0.1.0 */
export const make = (database: SqlDatabase, options?: Options): AnswerStore["Service"] => {
  const { alone, sql, table } = database
  const [answers, tags] = [table("answer"), table("answer_tag")]
  const maxBytes = options?.maxEntryBytes ?? defaults.maxEntryBytes
  const write = writing(database)
  const sweepAt = purging(database, options?.capacity ?? defaults.storedCapacity)
  const purge = (limit: number) => alone(place("purge"), (now) => sweepAt(limit, now))
  let writes = 0

  const get = (key: string, version: number): Effect.Effect<StoredAnswer | undefined, StoreError> =>
    alone(place("get"), (now) =>
      Effect.map(
        sql<Row>`SELECT payload_version, payload, ${now} - stored_at AS age FROM ${answers} WHERE key = ${key} AND expires_at > ${now}`,
        ([row]) =>
          row === undefined
            ? undefined
            : answerOf({ version: row.payload_version, json: row.payload }, version, row.age)
      )
    )
  return AnswerStore.of({
    get,
    set: (key, answer) =>
      Effect.suspend(() => {
        const entry = entryOf(key, answer, maxBytes)
        if (entry instanceof StoreError) return Effect.fail(entry)
        const set = Effect.asVoid(alone(place("set"), (now) => write(key, entry, now)))
        return ++writes % sweep.every === 0 ? Effect.andThen(set, Effect.asVoid(purge(sweep.limit))) : set
      }),
    delete: (key) => Effect.asVoid(alone(place("delete"), () => sql`DELETE FROM ${answers} WHERE key = ${key}`)),
    invalidate: (tag) =>
      alone(place("invalidate"), () =>
        sql.withTransaction(
          Effect.gen(function* () {
            const gone =
              yield* sql`DELETE FROM ${answers} WHERE key IN (SELECT key FROM ${tags} WHERE tag = ${tag}) RETURNING 1 AS gone`
            yield* sql`DELETE FROM ${tags} WHERE tag = ${tag}`
            return gone.length
          })
        )
      ),
    purge
  })
}
