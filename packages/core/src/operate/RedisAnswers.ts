/**
 * Answers in Redis: a string each, which Redis itself forgets in time, and for each tag its keys by the end of their time. How many there may be is the server's business: its `maxmemory-policy` should be
 * one that evicts keys with an expiry. @internal
 */
import * as Effect from "effect/Effect"
import type { Options } from "../store/AnswerStore.ts"
import { answerOf, AnswerStore, defaults, entryOf } from "../store/AnswerStore.ts"
import type { Place } from "../store/StoreError.ts"
import { StoreError } from "../store/StoreError.ts"
import type { RedisDatabase } from "./RedisDatabase.ts"
import { script } from "./RedisDatabase.ts"

const place = (operation: string): Place => ({ store: "answer", operation })

/** The version, when it was stored, and the payload, in lines. */
const set = script<number>(`
local payload, version, millis, key = unpack(ARGV)
redis.call('SET', KEYS[1], version .. '\\n' .. text(now) .. '\\n' .. payload, 'PX', millis)
for index = 2, #KEYS do
  redis.call('ZREMRANGEBYSCORE', KEYS[index], '-inf', text(now))
  redis.call('ZADD', KEYS[index], text(now + tonumber(millis)), key)
  if redis.call('PTTL', KEYS[index]) < tonumber(millis) then redis.call('PEXPIRE', KEYS[index], millis) end
end
return 1`)

const get = script<readonly [value: string, now: string] | null>(`
local value = redis.call('GET', KEYS[1])
if not value then return nil end
return { value, text(now) }`)

const remove = script<number>(`return redis.call('DEL', KEYS[1])`)

const invalidate = script<number>(`
local count = 0
for _, key in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do count = count + redis.call('DEL', ARGV[1] .. key) end
redis.call('DEL', KEYS[1])
return count`)

const parts = /^(?<version>\d+)\n(?<storedAt>\d+)\n(?<json>[\s\S]*)$/u

const read = (value: string, now: number, version: number) => {
  const found = parts.exec(value)?.groups
  if (found === undefined) return undefined
  const { json = "", storedAt, version: written } = found
  return answerOf({ version: Number(written), json }, version, now - Number(storedAt))
}

/** The answers in the keys of a database. @category constructors @since 0.1.0 */
export const make = (database: RedisDatabase, options?: Pick<Options, "maxEntryBytes">): AnswerStore["Service"] => {
  const prefix = database.key("answer", "")
  const maxBytes = options?.maxEntryBytes ?? defaults.maxEntryBytes
  const tagOf = (tag: string) => database.key("answer-tag", tag)
  return AnswerStore.of({
    get: (key, version) =>
      Effect.map(database.run(place("get"), get, { keys: [prefix + key], values: [] }), (found) =>
        found === null ? undefined : read(found[0], Number(found[1]), version)
      ),
    set: (key, answer) =>
      Effect.suspend(() => {
        const entry = entryOf(key, answer, maxBytes)
        if (entry instanceof StoreError) return Effect.fail(entry)
        const { keepMillis, payload, tags } = entry
        const request = {
          keys: [prefix + key, ...tags.map(tagOf)],
          values: [payload.json, payload.version, Math.max(1, Math.ceil(keepMillis)), key]
        }
        return Effect.asVoid(database.run(place("set"), set, request))
      }),
    delete: (key) => Effect.asVoid(database.run(place("delete"), remove, { keys: [prefix + key], values: [] })),
    invalidate: (tag) => database.run(place("invalidate"), invalidate, { keys: [tagOf(tag)], values: [prefix] }),
    purge: () => Effect.succeed(0)
  })
}
