/** Processes that share a rate: each has connections and randomness of its own, and all have one store. */
import { Call, Fleet, Health } from "@breakwater/core"
import type { Observed } from "@breakwater/core/Connections"
import { Connections } from "@breakwater/core/Connections"
import type { Beat, PresenceStore } from "@breakwater/core/PresenceStore"
import { memory } from "@breakwater/core/PresenceStore"
import * as Presence from "@breakwater/core/PresenceStore"
import { make as storeError } from "@breakwater/core/StoreError"
import { Effect, Exit, Layer, Random, Scope } from "effect"

/** A store that can be asked to fail, and what it was asked. */
export class Board {
  readonly beats: Array<string> = []
  readonly left: Array<string> = []
  isDown = false
  /** Milliseconds until a beat is answered. */
  takes = 0
  private inner = memory()
  readonly store: PresenceStore["Service"] = {
    beat: (beat: Beat) =>
      Effect.suspend(() => {
        this.beats.push(`${beat.group} ${beat.member}`)
        const failed = storeError(Presence.place("beat"), "unavailable")
        const answer = this.isDown ? Effect.fail(failed) : this.inner.beat(beat)
        return this.takes === 0 ? answer : Effect.delay(answer, this.takes)
      }),
    leave: (presence) =>
      Effect.suspend(() => {
        this.left.push(`${presence.group} ${presence.member}`)
        return this.isDown
          ? Effect.fail(storeError(Presence.place("leave"), "unavailable"))
          : this.inner.leave(presence)
      })
  }

  /** As a server that was started anew. */
  forgetAll(): void {
    this.inner = memory()
  }
}

let drawn = 0

/** One process, whose connections have 10 a second each; it lives until its scope is closed. */
export class Peer {
  private readonly open = new Set<Observed>()
  readonly scope = Scope.makeUnsafe()
  readonly member: string
  private readonly random: Random.Random

  constructor() {
    const share = ++drawn / 1024
    this.member = Math.floor(share * 2 ** 52).toString(36)
    this.random = { nextDoubleUnsafe: () => share, nextIntUnsafe: () => 0 }
  }

  run<A, E>(effect: Effect.Effect<A, E, Scope.Scope>): Effect.Effect<A, E> {
    return effect.pipe(
      Scope.provide(this.scope),
      Effect.provideService(Connections, this.open),
      Effect.provideService(Random.Random, this.random)
    )
  }

  join({ store }: Board, options?: Fleet.Options): Effect.Effect<void> {
    const presence = Layer.succeed(Presence.PresenceStore, store)
    return this.run(Effect.asVoid(Layer.build(Layer.provide(Fleet.layer(options), presence))))
  }

  connect(provider = "wallet") {
    return this.run(Effect.orDie(Call.connect({ provider, rate: { limit: 10, window: "1 second" } })))
  }

  /** The share of each of its connections. */
  get shares(): Effect.Effect<ReadonlyArray<number | null>> {
    return this.run(Effect.map(Health.snapshot, ({ connections }) => connections.map((each) => each.rateBudget.share)))
  }

  get leave(): Effect.Effect<void> {
    return Effect.asVoid(Scope.close(this.scope, Exit.void))
  }
}
