/** The idempotency records in SQL: compare and set in one statement. @internal */
import * as Effect from "effect/Effect"
import type { Change, Expected, IdempotencyRecord, RecordId } from "../store/IdempotencyRecord.ts"
import { fromFields } from "../store/IdempotencyRecord.ts"
import type { IdempotencyStore, Options, RecordTable, Written } from "../store/IdempotencyStore.ts"
import { over } from "../store/IdempotencyStore.ts"
import type { Place } from "../store/StoreError.ts"
import { StoreError } from "../store/StoreError.ts"
import type { Now, Request, SqlDatabase } from "./SqlDatabase.ts"

interface Row {
  readonly [column: string]: unknown
  readonly now: number
}

const place = (operation: string): Place => ({ store: "idempotency", operation })

const recordOf = (operation: string, row: Row): IdempotencyRecord | StoreError =>
  fromFields(place(operation), {
    scope: row["scope"],
    key: row["key"],
    state: row["state"],
    fingerprint: row["fingerprint"],
    fence: row["fence"],
    leaseUntil: row["lease_until"],
    firstSentAt: row["first_sent_at"],
    changedAt: row["changed_at"],
    expiresAt: row["expires_at"],
    payloadVersion: row["payload_version"],
    payload: row["payload"]
  })

const orFail = <A>(value: A | StoreError): Effect.Effect<A, StoreError> =>
  value instanceof StoreError ? Effect.fail(value) : Effect.succeed(value)

const written = (operation: string, applied: boolean, row: Row): Effect.Effect<Written, StoreError> =>
  Effect.map(orFail(recordOf(operation, row)), (record) => ({ applied, row: record, now: row.now }))

/** A number or NULL of which PostgreSQL knows the type wherever it stands. */
const numberIn = ({ sql }: SqlDatabase, value: number | undefined) => sql`CAST(${value ?? null} AS double precision)`

const sentAt = (database: SqlDatabase, change: Change, now: Now) => {
  const { sql } = database
  if (change.firstSentAt === "keep") return sql`first_sent_at`
  if (change.firstSentAt !== "now") return numberIn(database, change.firstSentAt)
  return change.claimedFor === undefined ? sql`COALESCE(first_sent_at, ${now})` : now
}

const table = (database: SqlDatabase): RecordTable => {
  const { alone, sql } = database
  const records = database.table("idempotency")
  const isIt = ({ key, scope }: RecordId) => sql`scope = ${scope} AND key = ${key}`
  const span = (now: Now, millis: number | undefined) => sql`${now} + ${numberIn(database, millis)}`

  const insert = (id: RecordId, change: Change, now: Now) => sql<Row>`
    INSERT INTO ${records} (scope, key, state, fingerprint, fence, lease_until, first_sent_at, changed_at, expires_at, payload_version, payload)
    VALUES (${id.scope}, ${id.key}, ${change.state}, ${change.claimedFor ?? ""}, ${now}, ${span(now, change.leaseMillis)},
      ${change.firstSentAt === "now" ? now : sql`NULL`}, ${now}, ${span(now, change.keepMillis)}, NULL, NULL)
    ON CONFLICT (scope, key) DO NOTHING
    RETURNING *, ${now} AS now`

  const lease = ({ lease }: Expected, now: Now) => {
    if (lease === undefined) return sql``
    return lease === "live" ? sql` AND lease_until > ${now}` : sql` AND lease_until <= ${now}`
  }
  const update = (id: RecordId, expected: Expected, change: Change, now: Now) => sql<Row>`
    UPDATE ${records} SET
      state = ${change.state},
      ${change.claimedFor === undefined ? sql`` : sql`fingerprint = ${change.claimedFor}, fence = fence + 1,`}
      lease_until = ${span(now, change.leaseMillis)},
      first_sent_at = ${sentAt(database, change, now)},
      changed_at = ${now},
      expires_at = ${span(now, change.keepMillis)},
      payload_version = ${change.payload?.version ?? null},
      payload = ${change.payload?.json ?? null}
    WHERE ${isIt(id)} AND fence = ${expected.fence} AND state IN ${sql.in(expected.states)}${lease(expected, now)}
    RETURNING *, ${now} AS now`

  const read = (id: RecordId, operation: string, now: Now): Request<Written> =>
    Effect.flatMap(sql<Row>`SELECT *, ${now} AS now FROM ${records} WHERE ${isIt(id)}`, ([row]) =>
      row === undefined ? Effect.succeed({ applied: false, row: undefined, now: 0 }) : written(operation, false, row)
    )
  return {
    write: (id, expected, change, operation) =>
      alone(place(operation), (now) =>
        Effect.flatMap(expected === undefined ? insert(id, change, now) : update(id, expected, change, now), ([row]) =>
          row === undefined ? read(id, operation, now) : written(operation, true, row)
        )
      ),
    get: (id) =>
      Effect.map(
        alone(place("get"), (now) => read(id, "get", now)),
        ({ row }) => row
      ),
    list: ({ limit, scope, states }) =>
      alone(place("list"), (now) => {
        const inScope = scope === undefined ? sql`` : sql` AND scope = ${scope}`
        const found = sql<Row>`SELECT *, ${now} AS now FROM ${records}
          WHERE state IN ${sql.in(states)}${inScope} ORDER BY changed_at LIMIT ${limit}`
        return Effect.flatMap(found, (rows) => Effect.forEach(rows, (row) => orFail(recordOf("list", row))))
      }),
    purge: (limit) =>
      alone(place("purge"), (now) =>
        Effect.map(
          sql`DELETE FROM ${records} WHERE (scope, key) IN (
            SELECT scope, key FROM ${records} WHERE expires_at <= ${now} LIMIT ${limit} ${database.skipLocked}) RETURNING 1 AS gone`,
          ({ length }) => length
        )
      )
  }
}

/** The records in the tables of a database. @category constructors @since 0.1.0 */
export const make = (database: SqlDatabase, options?: Options): IdempotencyStore["Service"] =>
  over(table(database), options)
