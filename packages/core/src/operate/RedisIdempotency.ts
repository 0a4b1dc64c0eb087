/**
 * The idempotency records in Redis: each a hash, compared and set by one script.
 *
 * **Gotchas** A server that answers before the write is on its disk, or on a replica, forgets it when it dies or fails over, and with it that something was sent. Where that must not be,
 * keep these records in SQL. @internal
 */
import * as Effect from "effect/Effect"
import type { Change, Expected, IdempotencyRecord, RecordId } from "../store/IdempotencyRecord.ts"
import { fromFields } from "../store/IdempotencyRecord.ts"
import type { IdempotencyStore, Options, RecordTable, Written } from "../store/IdempotencyStore.ts"
import { over } from "../store/IdempotencyStore.ts"
import type { Place } from "../store/StoreError.ts"
import { StoreError } from "../store/StoreError.ts"
import type { RedisDatabase } from "./RedisDatabase.ts"
import { script } from "./RedisDatabase.ts"

const place = (operation: string): Place => ({ store: "idempotency", operation })

/** Whether it was applied, the server's time, and the fields of the hash as name and value in turn. */
type Answer = readonly [applied: number, now: string, fields: ReadonlyArray<string>]

const answer = `local function answer(applied) return { applied, text(now), redis.call('HGETALL', KEYS[1]) } end`

/**
 * The hash, the unsettled ids by the time of their last change, and the settled ones by the end of their time. Redis itself forgets a settled hash; here its id is.
 */
const write = script<Answer>(`${answer}
local fence, states, lease, state, claimed, fingerprint, leaseMillis, sent, keepMillis, version, payload, scope, key, id = unpack(ARGV)
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', text(now))
local row = redis.call('HMGET', KEYS[1], 'state', 'fence', 'leaseUntil', 'firstSentAt')
if fence == '' then
  if row[1] then return answer(0) end
else
  if not row[1] or tonumber(row[2]) ~= tonumber(fence) then return answer(0) end
  if not string.find(states, '|' .. row[1] .. '|', 1, true) then return answer(0) end
  local isLive = tonumber(row[3] or '0') > now
  if lease == 'live' and not isLive then return answer(0) end
  if lease == 'ended' and isLive then return answer(0) end
end
local function put(field, value)
  if value == '' then redis.call('HDEL', KEYS[1], field) else redis.call('HSET', KEYS[1], field, value) end
end
local function span(millis) if millis == '' then return '' end return text(now + tonumber(millis)) end
redis.call('HSET', KEYS[1], 'scope', scope, 'key', key, 'state', state, 'changedAt', text(now))
if claimed == '1' then
  redis.call('HSET', KEYS[1], 'fingerprint', fingerprint, 'fence', text(row[1] and tonumber(row[2]) + 1 or now))
end
put('leaseUntil', span(leaseMillis))
if sent == 'now' then
  if claimed == '1' or not row[4] then put('firstSentAt', text(now)) end
elseif sent ~= 'keep' then put('firstSentAt', sent) end
put('expiresAt', span(keepMillis))
put('payloadVersion', version)
put('payload', payload)
if keepMillis == '' then
  redis.call('PERSIST', KEYS[1])
  redis.call('ZADD', KEYS[2], text(now), id)
  redis.call('ZREM', KEYS[3], id)
else
  redis.call('PEXPIREAT', KEYS[1], span(keepMillis))
  redis.call('ZREM', KEYS[2], id)
  redis.call('ZADD', KEYS[3], span(keepMillis), id)
end
return answer(1)`)

const get = script<Answer>(`${answer}
return answer(0)`)

/** Looks at so many ids at most, or Redis would stand still. */
const list = script<ReadonlyArray<ReadonlyArray<string>>>(`
local states, scope, limit, prefix = unpack(ARGV)
local found = {}
for index = 1, 2 do
  for _, id in ipairs(redis.call('ZRANGE', KEYS[index], 0, 9999)) do
    if #found >= tonumber(limit) then return found end
    local row = redis.call('HMGET', prefix .. id, 'state', 'scope')
    if row[1] and string.find(states, '|' .. row[1] .. '|', 1, true) and (scope == '' or scope == row[2]) then
      found[#found + 1] = redis.call('HGETALL', prefix .. id)
    end
  end
end
return found`)

const purge = script<number>(`
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', text(now), 'LIMIT', 0, ARGV[1])
for _, id in ipairs(ids) do
  redis.call('DEL', ARGV[2] .. id)
  redis.call('ZREM', KEYS[1], id)
end
return #ids`)

const fieldsOf = (flat: ReadonlyArray<string>): Readonly<Record<string, string>> =>
  Object.fromEntries(flat.flatMap((name, index) => (index % 2 === 0 ? [[name, flat[index + 1] ?? ""]] : [])))

const recordOf = (operation: string, flat: ReadonlyArray<string>): Effect.Effect<IdempotencyRecord, StoreError> => {
  const record = fromFields(place(operation), fieldsOf(flat))
  return record instanceof StoreError ? Effect.fail(record) : Effect.succeed(record)
}

const written = (operation: string, [applied, now, flat]: Answer): Effect.Effect<Written, StoreError> =>
  flat.length === 0
    ? Effect.succeed({ applied: applied === 1, row: undefined, now: Number(now) })
    : Effect.map(recordOf(operation, flat), (row) => ({ applied: applied === 1, row, now: Number(now) }))

const textOf = (value: number | string | undefined): string => (value === undefined ? "" : String(value))

const barred = (states: ReadonlyArray<string>): string => `|${states.join("|")}|`

/** In what no scope has, since it is a control character. */
const idOf = ({ key, scope }: RecordId): string => `${scope}\n${key}`

const valuesOf = (id: RecordId, expected: Expected | undefined, change: Change): ReadonlyArray<string> => [
  textOf(expected?.fence),
  barred(expected?.states ?? []),
  textOf(expected?.lease),
  change.state,
  change.claimedFor === undefined ? "" : "1",
  textOf(change.claimedFor),
  textOf(change.leaseMillis),
  textOf(change.firstSentAt),
  textOf(change.keepMillis),
  textOf(change.payload?.version),
  textOf(change.payload?.json),
  id.scope,
  id.key,
  idOf(id)
]

const table = (database: RedisDatabase): RecordTable => {
  const prefix = database.key("idempotency", "")
  const [open, settled] = [database.key("idempotency-open"), database.key("idempotency-settled")]
  return {
    write: (id, expected, change, operation) =>
      Effect.flatMap(
        database.run(place(operation), write, {
          keys: [prefix + idOf(id), open, settled],
          values: valuesOf(id, expected, change)
        }),
        (answer) => written(operation, answer)
      ),
    get: (id) =>
      database.run(place("get"), get, { keys: [prefix + idOf(id)], values: [] }).pipe(
        Effect.flatMap((answer) => written("get", answer)),
        Effect.map(({ row }) => row)
      ),
    list: ({ limit, scope, states }) =>
      database
        .run(place("list"), list, { keys: [open, settled], values: [barred(states), scope ?? "", limit, prefix] })
        .pipe(Effect.flatMap((rows) => Effect.forEach(rows, (flat) => recordOf("list", flat)))),
    purge: (limit) => database.run(place("purge"), purge, { keys: [settled], values: [limit, prefix] })
  }
}

/** The records in the keys of a database. @category constructors @since 0.1.0 */
export const make = (database: RedisDatabase, options?: Options): IdempotencyStore["Service"] =>
  over(table(database), options)
