/**
 * Randomness of a run: each fiber draws from a sequence of its own, so that what one fiber does or leaves changes no number that another one draws. @since 0.1.0
 */
import * as SecureRandoms from "effect/crypto/SecureRandom"
import type { Random } from "effect/Random"
import { fraction, hashOf, hashOfNumber } from "./Draw.ts"
import type { FiberRecord } from "./FiberRecord.ts"

/** @category models @since 0.1.0 */
export interface Options {
  readonly seed: number
  /** The fiber that runs now. */
  readonly owner: () => FiberRecord
  /** Which of a fiber's two sequences. */
  readonly of: "draws" | "secureDraws"
}

const bases = { draws: 0x1b873593, secureDraws: 0x3c6ef372 }

/** Gives the next number from 0 to below 1 of the fiber that runs now. @category constructors @since 0.1.0 */
export const draws = ({ of, owner, seed }: Options): (() => number) => {
  const basis = hashOfNumber(seed, bases[of])
  return () => {
    const record = owner()
    return fraction(hashOfNumber(record[of]++, hashOf(record.name, basis)))
  }
}

const span = Number.MAX_SAFE_INTEGER - Number.MIN_SAFE_INTEGER + 1

/** Effect's `Random`. @category constructors @since 0.1.0 */
export const random = (draw: () => number): Random => ({
  nextDoubleUnsafe: draw,
  nextIntUnsafe: () => Math.floor(draw() * span) + Number.MIN_SAFE_INTEGER
})

/** Fills an array with bytes that are as good as random, and secret to nobody. @category constructors @since 0.1.0 */
export const fill = (bytes: Uint8Array, draw: () => number): void => {
  for (let index = 0; index < bytes.length; index++) bytes[index] = Math.floor(draw() * 256)
}

export {
  /** The service that Effect's secure random numbers come from. @category services @since 0.1.0 */
  SecureRandom
} from "effect/crypto/SecureRandom"

/** Secure random numbers for tests only. @category constructors @since 0.1.0 */
export const secure = (draw: () => number): SecureRandoms.SecureRandom["Service"] =>
  SecureRandoms.make((size) => {
    const bytes = new Uint8Array(size)
    fill(bytes, draw)
    return bytes
  })

/** An UUID of version 4 from the same draws. @category constructors @since 0.1.0 */
export const uuid = (draw: () => number): `${string}-${string}-${string}-${string}-${string}` => {
  const bytes = new Uint8Array(16)
  fill(bytes, draw)
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}
