/** Who is there, in Redis: a sorted set for each group, of members by the time at which they are gone, by the server's clock. It goes with its last member. @internal */
import * as Effect from "effect/Effect"
import { full, place, PresenceStore, problemOf } from "../store/PresenceStore.ts"
import type { RedisDatabase } from "./RedisDatabase.ts"
import { script } from "./RedisDatabase.ts"

/** Members of one group; beyond it a new one is refused. */
const maxMembers = 10_000

const beat = script<number>(`
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', text(now))
local isNew = not redis.call('ZSCORE', KEYS[1], ARGV[1])
if isNew and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return -1 end
redis.call('ZADD', KEYS[1], text(now + tonumber(ARGV[2])), ARGV[1])
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')
redis.call('PEXPIREAT', KEYS[1], text(tonumber(last[2])))
return redis.call('ZCARD', KEYS[1])`)

const leave = script<number>(`return redis.call('ZREM', KEYS[1], ARGV[1])`)

/** Who is there, in the keys of a database. @category constructors @since 0.1.0 */
export const make = (database: RedisDatabase): PresenceStore["Service"] => {
  const keys = (group: string) => [database.key("presence", group)]
  return PresenceStore.of({
    beat: ({ group, member, ttlMillis }) => {
      const problem = problemOf(place("beat"), { group, member }, ttlMillis)
      if (problem !== undefined) return Effect.fail(problem)
      const members = database.run(place("beat"), beat, { keys: keys(group), values: [member, ttlMillis, maxMembers] })
      return Effect.flatMap(members, (count) => (count < 0 ? Effect.fail(full()) : Effect.succeed(count)))
    },
    leave: ({ group, member }) => {
      const problem = problemOf(place("leave"), { group, member })
      if (problem !== undefined) return Effect.fail(problem)
      return Effect.asVoid(database.run(place("leave"), leave, { keys: keys(group), values: [member] }))
    }
  })
}
