/** The outbox in SQL: commands are added in the transaction of the app, and claimed by one statement that passes over what others hold. @internal */
import * as Effect from "effect/Effect"
import type {
  BatchRequest,
  Command,
  CommandClaim,
  CommandQuery,
  Ending,
  Note,
  Options,
  Row,
  State
} from "../store/OutboxStore.ts"
import { defaults, keyTaken, noteOf, OutboxStore, place, rowsOf, states } from "../store/OutboxStore.ts"
import * as Payloads from "../store/Payload.ts"
import { make as storeError, StaleClaim, StoreError } from "../store/StoreError.ts"
import type { Now, Request, SqlDatabase } from "./SqlDatabase.ts"

interface Columns {
  readonly sequence: number | bigint
  readonly queue: string
  readonly key: string
  readonly ordering_key: string | null
  readonly state: string
  readonly fence: number
  readonly attempts: number
  readonly due_at: number
  readonly added_at: number
  readonly sent_at: number | null
  readonly unknown: number
  readonly note: string | null
  readonly payload_version: number
  readonly payload: string
}

const isState = (state: string): state is State => states.some((each) => each === state)

const commandOf = (operation: string, row: Columns): Command | StoreError => {
  const { state } = row
  if (!isState(state)) return storeError(place(operation), "newer", `the state "${state.slice(0, 40)}" is not known`)
  const payload = Payloads.decode(place(operation), { version: row.payload_version, json: row.payload })
  if (payload instanceof StoreError) return payload
  return {
    sequence: Number(row.sequence),
    queue: row.queue,
    key: row.key,
    orderingKey: row.ordering_key ?? undefined,
    state,
    fence: row.fence,
    attempts: row.attempts,
    dueAt: row.due_at,
    addedAt: row.added_at,
    sentAt: row.sent_at ?? undefined,
    isUnknown: row.unknown === 1,
    note: row.note ?? undefined,
    payload
  }
}

const commandsOf = (
  operation: string,
  rows: ReadonlyArray<Columns>
): Effect.Effect<ReadonlyArray<Command>, StoreError> =>
  Effect.forEach(rows, (row) => {
    const command = commandOf(operation, row)
    if (!(command instanceof StoreError)) return Effect.succeed(command)
    // Whoever looks has to see what is broken, and what stands beside it.
    const asItIs =
      command.problem === "corrupt" ? commandOf(operation, { ...row, payload: JSON.stringify(row.payload) }) : command
    return asItIs instanceof StoreError ? Effect.fail(asItIs) : Effect.succeed(asItIs)
  })

/** Rows in one statement: what both dialects have parameters for. */
const rowsAtOnce = 500

const chunksOf = <A>(values: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> =>
  Array.from({ length: Math.ceil(values.length / rowsAtOnce) }, (_, index) =>
    values.slice(index * rowsAtOnce, (index + 1) * rowsAtOnce)
  )

const adding = (database: SqlDatabase) => {
  const { joined, sql } = database
  const outbox = database.table("outbox")

  const insert = (rows: ReadonlyArray<Row>, now: Now) => {
    const values = rows.map(
      ({ delayMillis, key, maybeSent, orderingKey, payload, queue }) => sql`(${queue}, ${key}, ${orderingKey ?? null},
        ${delayMillis === undefined ? "Ready" : "Scheduled"}, 0, 0, ${now} + CAST(${delayMillis ?? 0} AS double precision), ${now}, ${maybeSent === true ? sql`${now} - 1` : sql`CAST(NULL AS double precision)`}, NULL,
        ${payload.version}, ${payload.json})`
    )
    return sql`INSERT INTO ${outbox}
      (queue, key, ordering_key, state, fence, attempts, due_at, added_at, sent_at, note, payload_version, payload)
      VALUES ${sql.csv(values)} ON CONFLICT (queue, key) DO NOTHING RETURNING 1 AS added`
  }
  const doubt = (sequence: number | bigint, now: Now) =>
    sql`UPDATE ${outbox} SET sent_at = ${now} - 1 WHERE sequence = ${sequence} AND sent_at IS NULL
      AND state IN ('Ready', 'Scheduled', 'Claimed', 'Dead')`
  /** That what is there under the same keys is the same; what may have been done elsewhere may have been done here, too. */
  const compare = Effect.fnUntraced(function* (rows: ReadonlyArray<Row>, now: Now) {
    for (const { key, maybeSent, orderingKey, payload, queue } of rows) {
      const found = yield* sql<Columns>`SELECT * FROM ${outbox} WHERE queue = ${queue} AND key = ${key}`
      const [there] = found
      const isSame =
        there === undefined || (there.payload === payload.json && there.ordering_key === (orderingKey ?? null))
      if (!isSame) return yield* keyTaken()
      if (maybeSent === true && there !== undefined) yield* doubt(there.sequence, now)
    }
  })
  const all = Effect.fnUntraced(function* (rows: ReadonlyArray<Row>, now: Now) {
    let count = 0
    for (const chunk of chunksOf(rows)) {
      const { length } = yield* insert(chunk, now)
      if (length < chunk.length) yield* compare(chunk, now)
      count += length
    }
    return count
  })
  return (rows: ReadonlyArray<Row>) =>
    joined(place("add"), (now): Request<number> => sql.withTransaction(all(rows, now)))
}

const claiming = (database: SqlDatabase) => {
  const { joined, sql } = database
  const outbox = database.table("outbox")
  const waits = sql`state IN ('Ready', 'Scheduled', 'Claimed')`

  // A command whose transaction committed later than its successor's may come behind one that is at work: hence the second condition.
  const claim = ({ leaseMillis, limit, queue }: BatchRequest, now: Now) => sql<Columns>`
    WITH due AS MATERIALIZED (
      SELECT sequence FROM ${outbox} AS this
      WHERE queue = ${queue} AND ${waits} AND due_at <= ${now}
        AND (ordering_key IS NULL OR NOT EXISTS (
          SELECT 1 FROM ${outbox} AS other
          WHERE other.queue = this.queue AND other.ordering_key = this.ordering_key
            AND other.state IN ('Ready', 'Scheduled', 'Claimed', 'Dead')
            AND (other.sequence < this.sequence OR (other.sequence > this.sequence AND other.state = 'Claimed' AND other.due_at > ${now}))
        ))
      ORDER BY due_at, sequence LIMIT ${limit} ${database.skipLocked}
    )
    UPDATE ${outbox} SET state = 'Claimed', fence = fence + 1, attempts = attempts + 1, sent_at = COALESCE(sent_at, ${now}),
      due_at = ${now} + CAST(${leaseMillis} AS double precision)
    WHERE sequence IN (SELECT sequence FROM due)
    RETURNING *`

  const bury = (row: Columns) =>
    sql`UPDATE ${outbox} SET state = 'Dead', note = 'the payload is not JSON' WHERE sequence = ${row.sequence} AND fence = ${row.fence}`

  /** One command that cannot be read must not hold up the others: it is put away as it is. */
  const readable = (rows: ReadonlyArray<Columns>): Request<ReadonlyArray<Command>> => {
    const commands = rows.map((row) => commandOf("claim", row))
    const broken = rows.filter((_, index) => commands[index] instanceof StoreError)
    const sound = commands.filter((command): command is Command => !(command instanceof StoreError))
    const inOrder = sound.toSorted((a, b) => a.sequence - b.sequence)
    return Effect.as(Effect.forEach(broken, bury, { discard: true }), inOrder)
  }
  return (request: BatchRequest) => joined(place("claim"), (now) => Effect.flatMap(claim(request, now), readable))
}

const nameOf = ({ fence, sequence }: CommandClaim): string => `${sequence}:${fence}`

/** What a worker says of its claims. */
const settling = (database: SqlDatabase, retentionMillis: number) => {
  const { joined, sql } = database
  const outbox = database.table("outbox")
  const span = (now: Now, millis: number) => sql`${now} + CAST(${millis} AS double precision)`
  const are = (claims: ReadonlyArray<CommandClaim>, state: State) => sql`
    sequence IN ${sql.in(claims.map(({ sequence }) => sequence))} AND state = ${state}
    AND (sequence || ':' || fence) IN ${sql.in(claims.map(nameOf))}`
  const names = sql`sequence || ':' || fence AS name`
  const without = (claims: ReadonlyArray<CommandClaim>, rows: ReadonlyArray<{ readonly name: string }>) => {
    const kept = new Set(rows.map(({ name }) => name))
    return claims.filter((claim) => !kept.has(nameOf(claim)))
  }
  type Named = { readonly name: string }

  /** Those that the change did not reach. */
  const changeAll = (
    operation: string,
    claims: ReadonlyArray<CommandClaim>,
    change: (chunk: ReadonlyArray<CommandClaim>, now: Now) => Request<ReadonlyArray<CommandClaim>>
  ): Effect.Effect<ReadonlyArray<CommandClaim>, StoreError> =>
    Effect.map(
      Effect.forEach(chunksOf(claims), (chunk) => joined(place(operation), (now) => change(chunk, now))),
      (lost) => lost.flat()
    )
  const complete = Effect.fnUntraced(function* (claims: ReadonlyArray<CommandClaim>, now: Now) {
    const done = yield* sql<Named>`UPDATE ${outbox} SET state = 'Done', due_at = ${span(now, retentionMillis)}
      WHERE ${are(claims, "Claimed")} RETURNING ${names}`
    const lost = without(claims, done)
    if (lost.length === 0) return lost
    // Asked again after a lost answer: they may be done by this very claim.
    return without(lost, yield* sql<Named>`SELECT ${names} FROM ${outbox} WHERE ${are(lost, "Done")}`)
  })
  const one = (operation: string, claim: CommandClaim, state: State, afterMillis: number, ending: Ending | undefined) =>
    joined(place(operation), (now): Request<StaleClaim | undefined> =>
      Effect.gen(function* () {
        const changed =
          yield* sql`UPDATE ${outbox} SET state = ${state}, due_at = ${span(now, afterMillis)}, note = ${noteOf(ending)},
            unknown = ${ending?.sent === "unknown" ? 1 : 0}, sent_at = ${ending?.sent === "no" ? sql`NULL` : sql`sent_at`}
          WHERE ${are([claim], "Claimed")} RETURNING 1 AS changed`
        if (changed.length > 0) return undefined
        const found = yield* sql<Columns>`SELECT * FROM ${outbox} WHERE sequence = ${claim.sequence}`
        const [there] = found
        const isDone = there?.state === state && there.fence === claim.fence
        return isDone ? undefined : new StaleClaim({ ...place(operation), fence: claim.fence, current: there?.fence })
      })
    ).pipe(Effect.flatMap((stale) => (stale === undefined ? Effect.void : Effect.fail(stale))))
  return {
    complete: (claims: ReadonlyArray<CommandClaim>) => changeAll("complete", claims, complete),
    renew: (claims: ReadonlyArray<CommandClaim>, leaseMillis: number) =>
      changeAll("renew", claims, (chunk, now) =>
        Effect.map(
          sql<Named>`UPDATE ${outbox} SET due_at = ${span(now, leaseMillis)} WHERE ${are(chunk, "Claimed")} RETURNING ${names}`,
          (rows) => without(chunk, rows)
        )
      ),
    reschedule: (claim: CommandClaim, { afterMillis, ...ending }: Ending & { readonly afterMillis: number }) =>
      one("reschedule", claim, "Scheduled", afterMillis, ending),
    bury: (claim: CommandClaim, ending?: Ending) => one("bury", claim, "Dead", 0, ending)
  }
}

/** What an operator sees and does. */
const operating = (database: SqlDatabase, retentionMillis: number) => {
  const { joined, sql } = database
  const outbox = database.table("outbox")
  const isOne = ({ length }: ReadonlyArray<unknown>): boolean => length > 0
  return {
    get: (queue: string, key: string) =>
      joined(place("get"), () =>
        Effect.flatMap(sql<Columns>`SELECT * FROM ${outbox} WHERE queue = ${queue} AND key = ${key}`, (rows) =>
          Effect.map(commandsOf("get", rows), ([command]): Command | undefined => command)
        )
      ),
    list: ({ after = 0, limit, queue, states }: CommandQuery) =>
      joined(place("list"), () =>
        Effect.flatMap(
          sql<Columns>`SELECT * FROM ${outbox} WHERE queue = ${queue} AND sequence > ${after} AND state IN ${sql.in(states)}
            ORDER BY sequence LIMIT ${limit}`,
          (rows) => commandsOf("list", rows)
        )
      ),
    counts: (queue: string) =>
      joined(place("counts"), () =>
        Effect.map(
          sql<{ readonly state: State; readonly count: number | bigint }>`
            SELECT state, count(*) AS count FROM ${outbox} WHERE queue = ${queue} GROUP BY state`,
          (rows) => {
            const found = new Map(rows.map(({ count, state }) => [state, Number(count)]))
            return Object.fromEntries(states.map((state) => [state, found.get(state) ?? 0])) as Record<State, number>
          }
        )
      ),
    redrive: (sequence: number) =>
      joined(place("redrive"), (now) =>
        Effect.map(
          sql`UPDATE ${outbox} SET state = 'Ready', attempts = 0, sent_at = NULL, unknown = 0, due_at = ${now}
            WHERE sequence = ${sequence} AND state IN ('Dead', 'Discarded') RETURNING 1 AS changed`,
          isOne
        )
      ),
    discard: (sequence: number, note?: Note) =>
      joined(place("discard"), (now) =>
        Effect.map(
          sql`UPDATE ${outbox} SET state = 'Discarded', due_at = ${now} + CAST(${retentionMillis} AS double precision),
              note = COALESCE(CAST(${noteOf(note)} AS text), note)
            WHERE sequence = ${sequence} AND state IN ('Ready', 'Scheduled', 'Dead') RETURNING 1 AS changed`,
          isOne
        )
      ),
    purge: (limit: number) =>
      joined(place("purge"), (now) =>
        Effect.map(
          sql`DELETE FROM ${outbox} WHERE sequence IN (
            SELECT sequence FROM ${outbox} WHERE state IN ('Done', 'Discarded') AND due_at <= ${now} LIMIT ${limit} ${database.skipLocked})
            RETURNING 1 AS gone`,
          ({ length }) => length
        )
      )
  }
}

/** The outbox in the tables of a database. @category constructors @since 0.1.0 */
export const make = (database: SqlDatabase, options?: Options): OutboxStore["Service"] => {
  const maxBytes = options?.maxPayloadBytes ?? defaults.maxPayloadBytes
  const retentionMillis = options?.retentionMillis ?? defaults.retentionMillis
  const add = adding(database)
  return OutboxStore.of({
    add: (commands) =>
      Effect.suspend(() => {
        const rows = rowsOf(commands, maxBytes)
        return rows instanceof StoreError ? Effect.fail(rows) : add(rows)
      }),
    claim: claiming(database),
    ...settling(database, retentionMillis),
    ...operating(database, retentionMillis)
  })
}
