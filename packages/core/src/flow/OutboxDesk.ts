/** What a worker of an outbox has on its desk: the commands that it claimed and has not settled, and who waits for which change. @internal */
import * as Latch from "effect/Latch"
import type { Command } from "../store/OutboxStore.ts"

/** A command that a worker holds. Instants by the clock of this process. @category models @since 0.1.0 */
export interface Held {
  readonly command: Command
  /** When it was asked for, so at the latest when it was claimed. */
  readonly claimedAt: number
  /** The store's clock less ours, when it was claimed. */
  readonly ahead: number
  leaseUntil: number
  /** Somebody else has it. */
  isLost: boolean
}

/** @category models @since 0.1.0 */
export class Desk {
  /** What is held, by sequence. */
  readonly held = new Map<number, Held>()
  /** What is done, and the store does not know. */
  done: Array<Held> = []
  /** Something is done. */
  readonly finished = Latch.makeUnsafe()
  /** There is room for a claim. */
  readonly room = Latch.makeUnsafe()
  /** Nothing is held. */
  readonly empty = Latch.makeUnsafe()
  /** There may be something to claim. */
  readonly wake = Latch.makeUnsafe()
  /** What the store was asked for last in vain. */
  readonly refused = new Set<string>()
  private readonly lowWater: number

  constructor(lowWater: number) {
    this.lowWater = lowWater
  }

  take(commands: ReadonlyArray<Command>, askedAt: number, leaseMillis: number): ReadonlyArray<Held> {
    // What was held when it was asked for may have ended since.
    if (commands.length > 0) this.empty.closeUnsafe()
    return commands.map((command) => {
      const ahead = command.dueAt - leaseMillis - askedAt
      const held: Held = { command, claimedAt: askedAt, ahead, leaseUntil: askedAt + leaseMillis, isLost: false }
      this.held.set(command.sequence, held)
      return held
    })
  }

  /** How many more can be claimed. */
  free(limit: number): number {
    this.room.closeUnsafe()
    return this.held.size <= this.lowWater ? limit - this.held.size : 0
  }

  finish(held: Held): void {
    this.done.push(held)
    this.finished.openUnsafe()
  }

  /** It is no longer ours. */
  drop(held: Held): void {
    const { orderingKey, sequence } = held.command
    // When its lease had ended, it may have been claimed again here.
    if (this.held.get(sequence) === held) this.held.delete(sequence)
    if (this.held.size <= this.lowWater) this.room.openUnsafe()
    if (this.held.size === 0) this.empty.openUnsafe()
    // What stood behind it may be claimed now.
    if (orderingKey !== undefined) this.wake.openUnsafe()
  }
}
