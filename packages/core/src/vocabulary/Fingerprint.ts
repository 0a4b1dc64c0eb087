/**
 * What a request is, in a few characters, for telling whether a key is used for another one: SHA-256 of the operation's method and path and of the body as it is sent, base64url. At once, on any
 * runtime, since the platform's own digest is asynchronous.
 * @see https://nvlpubs.nist.gov/nistpubs/FIPS/NIST.FIPS.180-4.pdf (read 2026-11-21)
 * @since 0.1.0
 */
import * as Base64Url from "effect/encoding/Base64Url"

/** @category models @since 0.1.0 */
export interface Sent {
  readonly method: string
  /** Path and query as they are sent. */
  readonly path: string
  readonly body?: Uint8Array | undefined
}

/** The first 32 bits of the fractional part of a root of a prime: a square root for the state, a cube root for the rounds. */
const fractionOf = (root: number): number => Math.floor((root - Math.floor(root)) * 2 ** 32)

const primesUpTo = (limit: number): ReadonlyArray<number> => {
  const primes: Array<number> = []
  for (let each = 2; each <= limit; each++) if (primes.every((prime) => each % prime !== 0)) primes.push(each)
  return primes
}

const primes = primesUpTo(311)
const roundConstants = Int32Array.from(primes, (prime) => fractionOf(Math.cbrt(prime)) | 0)
const start = Int32Array.from(primes.slice(0, 8), (prime) => fractionOf(Math.sqrt(prime)) | 0)

const rotated = (word: number, bits: number): number => (word >>> bits) | (word << (32 - bits))

const schedule = new Int32Array(64)
const at = (words: Int32Array, index: number): number => words[index] ?? 0

/** The words of one block of 64 bytes, and those that follow from them. */
const expand = (bytes: DataView, offset: number): void => {
  for (let index = 0; index < 16; index++) schedule[index] = bytes.getInt32(offset + index * 4)
  for (let index = 16; index < 64; index++) {
    const early = at(schedule, index - 15)
    const late = at(schedule, index - 2)
    const small = rotated(early, 7) ^ rotated(early, 18) ^ (early >>> 3)
    const large = rotated(late, 17) ^ rotated(late, 19) ^ (late >>> 10)
    schedule[index] = (at(schedule, index - 16) + small + at(schedule, index - 7) + large) | 0
  }
}

const mix = (state: Int32Array): void => {
  let [a, b, c, d] = [at(state, 0), at(state, 1), at(state, 2), at(state, 3)]
  let [e, f, g, h] = [at(state, 4), at(state, 5), at(state, 6), at(state, 7)]
  for (let round = 0; round < 64; round++) {
    const choice = (e & f) ^ (~e & g)
    const first =
      (h +
        (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) +
        choice +
        at(roundConstants, round) +
        at(schedule, round)) |
      0
    const majority = (a & b) ^ (a & c) ^ (b & c)
    const second = ((rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) + majority) | 0
    h = g
    g = f
    f = e
    e = (d + first) | 0
    d = c
    c = b
    b = a
    a = (first + second) | 0
  }
  state[0] = at(state, 0) + a
  state[1] = at(state, 1) + b
  state[2] = at(state, 2) + c
  state[3] = at(state, 3) + d
  state[4] = at(state, 4) + e
  state[5] = at(state, 5) + f
  state[6] = at(state, 6) + g
  state[7] = at(state, 7) + h
}

/** The message, a one, zeros, and its length in bits, in blocks of 64 bytes. */
const padded = (message: Uint8Array): DataView => {
  const bytes = new Uint8Array(Math.ceil((message.length + 9) / 64) * 64)
  bytes.set(message)
  bytes[message.length] = 0x80
  const view = new DataView(bytes.buffer)
  view.setUint32(bytes.length - 8, Math.floor(message.length / 2 ** 29))
  view.setUint32(bytes.length - 4, message.length << 3)
  return view
}

const sha256 = (message: Uint8Array): Uint8Array => {
  const view = padded(message)
  const state = start.slice()
  for (let offset = 0; offset < view.byteLength; offset += 64) {
    expand(view, offset)
    mix(state)
  }
  const digest = new DataView(new ArrayBuffer(32))
  state.forEach((word, index) => digest.setInt32(index * 4, word))
  return new Uint8Array(digest.buffer)
}

const encoder = new TextEncoder()

/** The fingerprint of a request: 43 characters. Two requests have the same one only if they are the same. @category constructors @since 0.1.0 */
export const of = ({ body, method, path }: Sent): string => {
  const line = encoder.encode(`${method} ${path}\n`)
  const message = new Uint8Array(line.length + (body?.length ?? 0))
  message.set(line)
  if (body !== undefined) message.set(body, line.length)
  return Base64Url.encode(sha256(message))
}
