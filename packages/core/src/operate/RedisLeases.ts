/** Leases in Redis: a hash each, by the server's clock. @internal */
import * as Effect from "effect/Effect"
import type { Lease } from "../store/LeaseStore.ts"
import { LeaseStore, problemOf, staleLease } from "../store/LeaseStore.ts"
import type { Place } from "../store/StoreError.ts"
import type { RedisDatabase } from "./RedisDatabase.ts"
import { script } from "./RedisDatabase.ts"

const place = (operation: string): Place => ({ store: "lease", operation })

type Held = readonly [fence: string, until: string] | null

/** A name is forgotten a day after its lease ended: by then the clock is above its fence. */
const put = `
local function put(fence)
  local ending = now + tonumber(ARGV[1])
  redis.call('HSET', KEYS[1], 'fence', text(fence), 'until', text(ending))
  redis.call('PEXPIREAT', KEYS[1], text(ending + 86400000))
  return { text(fence), text(ending) }
end
local held = redis.call('HMGET', KEYS[1], 'fence', 'until')
local isLive = held[2] and tonumber(held[2]) > now`

const acquire = script<Held>(`${put}
if isLive then return nil end
return put(held[1] and math.max(tonumber(held[1]) + 1, now) or now)`)

const renew = script<Held>(`${put}
if not isLive or tonumber(held[1]) ~= tonumber(ARGV[2]) then return nil end
return put(tonumber(held[1]))`)

const release = script<number>(`${put}
if isLive and tonumber(held[1]) == tonumber(ARGV[2]) then redis.call('HSET', KEYS[1], 'until', text(now)) end
return 1`)

const leaseOf = (name: string, held: Held): Lease | undefined =>
  held === null ? undefined : { name, fence: Number(held[0]), until: Number(held[1]) }

/** The leases in the keys of a database. @category constructors @since 0.1.0 */
export const make = (database: RedisDatabase): LeaseStore["Service"] => {
  const keys = (name: string) => [database.key("lease", name)]
  return LeaseStore.of({
    acquire: (name, millis) => {
      const problem = problemOf(name)
      if (problem !== undefined) return Effect.fail(problem)
      const held = database.run(place("acquire"), acquire, { keys: keys(name), values: [millis] })
      return Effect.map(held, (found) => leaseOf(name, found))
    },
    renew: (lease, millis) =>
      Effect.flatMap(
        database.run(place("renew"), renew, { keys: keys(lease.name), values: [millis, lease.fence] }),
        (held) => {
          const renewed = leaseOf(lease.name, held)
          return renewed === undefined ? Effect.fail(staleLease(lease, undefined)) : Effect.succeed(renewed)
        }
      ),
    release: ({ fence, name }) =>
      Effect.asVoid(database.run(place("release"), release, { keys: keys(name), values: [0, fence] }))
  })
}
