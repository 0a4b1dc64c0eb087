/**
 * Open circuits in Redis: the ends of what was told in a sorted set, and what was told in a hash, both by the server's clock. Both keys are gone when the last of it is over. @internal
 */
import * as Effect from "effect/Effect"
import type { CircuitStore, Told } from "../store/CircuitStore.ts"
import { limits, make as circuitStore, place } from "../store/CircuitStore.ts"
import type { RedisDatabase } from "./RedisDatabase.ts"
import { script } from "./RedisDatabase.ts"

type Row = readonly [who: string, leftMillis: string, finding: string | null]

/** A circuit and a member are one field, with a line end between them, which neither can have. The findings are four values each, after the names of what is closed. */
const exchange = script<ReadonlyArray<Row>>(`
local ends, findings = KEYS[1], KEYS[2]
local function forget(fields)
  for _, field in ipairs(fields) do
    redis.call('ZREM', ends, field)
    redis.call('HDEL', findings, field)
  end
end
forget(redis.call('ZRANGEBYSCORE', ends, '-inf', text(now)))
local first = 3 + tonumber(ARGV[2])
if first > 3 then
  local closed = {}
  for index = 3, first - 1 do closed[ARGV[index]] = true end
  for _, field in ipairs(redis.call('ZRANGE', ends, 0, -1)) do
    if closed[string.match(field, '^(.*)\\n')] then forget({ field }) end
  end
end
for index = first, #ARGV, 4 do
  local field = ARGV[index] .. '\\n' .. ARGV[index + 1]
  redis.call('ZADD', ends, text(now + tonumber(ARGV[index + 2])), field)
  redis.call('HSET', findings, field, ARGV[index + 3])
end
local beyond = redis.call('ZCARD', ends) - tonumber(ARGV[1])
if beyond > 0 then forget(redis.call('ZRANGE', ends, 0, beyond - 1)) end
local rows, kept = {}, redis.call('ZRANGE', ends, 0, -1, 'WITHSCORES')
for index = 1, #kept, 2 do
  rows[#rows + 1] = { kept[index], text(kept[index + 1] - now), redis.call('HGET', findings, kept[index]) }
end
if #kept > 0 then
  redis.call('PEXPIREAT', ends, kept[#kept])
  redis.call('PEXPIREAT', findings, kept[#kept])
end
return rows`)

const parts = /^(?<incident>\d+)\n(?<reason>.*)$/u

/** Nothing for a row that somebody else has written. */
const toldOf = ([who, leftMillis, finding]: Row): ReadonlyArray<Told> => {
  const [circuit = "", member = ""] = who.split("\n")
  const { incident, reason = "" } = parts.exec(finding ?? "")?.groups ?? {}
  return incident === undefined
    ? []
    : [{ circuit, member, incident: Number(incident), reason, leftMillis: Number(leftMillis) }]
}

/** The open circuits in the keys of a database. @category constructors @since 0.1.0 */
export const make = (database: RedisDatabase): CircuitStore["Service"] => {
  const keys = [database.key("circuit", "ends"), database.key("circuit", "findings")]
  return circuitStore(({ closed, opened }) => {
    const tellings = opened.flatMap(({ circuit, incident, member, openMillis, reason }) => [
      circuit,
      member,
      Math.ceil(openMillis),
      `${incident}\n${reason}`
    ])
    const values = [limits.findings, closed.length, ...closed, ...tellings]
    return Effect.map(database.run(place, exchange, { keys, values }), (rows) => rows.flatMap(toldOf))
  })
}
