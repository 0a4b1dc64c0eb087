/**
 * What a request is, in a few characters, for telling whether a key is used for another one: SHA-256 of the operation's method and path and of the body as it is sent. At once, on any
 * runtime, since the platform's own digest is asynchronous.
 * @see https://nvlpubs.nist.gov/nistpubs/FIPS/NIST.FIPS.180-4.pdf (read 2026-11-21)
 * @since 0.1.0
 */
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
const byteAt = (bytes: Uint8Array, index: number): number => bytes[index] ?? 0

/** The words of one block of 64 bytes, and those that follow from them. */
const expand = (bytes: Uint8Array, offset: number): void => {
  for (let index = 0, byte = offset; index < 16; index++, byte += 4) {
    const high = (byteAt(bytes, byte) << 24) | (byteAt(bytes, byte + 1) << 16)
    schedule[index] = high | (byteAt(bytes, byte + 2) << 8) | byteAt(bytes, byte + 3)
  }
  for (let index = 16; index < 64; index++) {
    const early = at(schedule, index - 15)
    const late = at(schedule, index - 2)
    const small = rotated(early, 7) ^ rotated(early, 18) ^ (early >>> 3)
    const large = rotated(late, 17) ^ rotated(late, 19) ^ (late >>> 10)
    schedule[index] = at(schedule, index - 16) + small + at(schedule, index - 7) + large
  }
}

const mix = (state: Int32Array): void => {
  let a = at(state, 0)
  let b = at(state, 1)
  let c = at(state, 2)
  let d = at(state, 3)
  let e = at(state, 4)
  let f = at(state, 5)
  let g = at(state, 6)
  let h = at(state, 7)
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

const state = new Int32Array(8)

/** Of a message with room behind it for a one, zeros, and its length in bits, up to the end of a block of 64 bytes. */
const digest = (bytes: Uint8Array, length: number): Int32Array => {
  bytes[length] = 0x80
  const bits = bytes.length - 8
  const high = Math.floor(length / 2 ** 29)
  const low = length << 3
  for (let byte = 0; byte < 4; byte++) {
    bytes[bits + byte] = high >>> (24 - 8 * byte)
    bytes[bits + 4 + byte] = low >>> (24 - 8 * byte)
  }
  state.set(start)
  for (let offset = 0; offset < bytes.length; offset += 64) {
    expand(bytes, offset)
    mix(state)
  }
  return state
}

const encoder = new TextEncoder()

/** Most messages fit in here; a longer one has its own. */
const scratch = new Uint8Array(4096)

/** Room for a message of this length and its end, zeros behind the message. */
const roomFor = (length: number): Uint8Array => {
  const size = Math.ceil((length + 9) / 64) * 64
  return size <= scratch.length ? scratch.subarray(0, size).fill(0, length) : new Uint8Array(size)
}

const decoder = new TextDecoder()
const digits = encoder.encode("0123456789abcdef")
const written = new Uint8Array(64)

/** Decoded in one piece: a text that is put together holds on to its pieces for as long as it is kept, which costs several times as much. */
const inHex = (words: Int32Array): string => {
  let place = 0
  for (const word of words)
    for (let shift = 28; shift >= 0; shift -= 4) written[place++] = byteAt(digits, (word >>> shift) & 0xf)
  return decoder.decode(written)
}

/** Of two parts, one after the other. */
const hashed = (head: string, body: Uint8Array | undefined): string => {
  const room = encoder.encodeInto(head, scratch)
  const isWhole = room.read === head.length
  const bytesOfHead = isWhole ? scratch.subarray(0, room.written) : encoder.encode(head)
  const length = bytesOfHead.length + (body?.length ?? 0)
  const bytes = roomFor(length)
  if (bytes.buffer !== bytesOfHead.buffer) bytes.set(bytesOfHead)
  if (body !== undefined) bytes.set(body, bytesOfHead.length)
  return inHex(digest(bytes, length))
}

/** SHA-256 of a text in UTF-8: 64 hexadecimal digits. @category constructors @since 0.1.0 */
export const ofText = (text: string): string => hashed(text, undefined)

/** The fingerprint of a request: 64 hexadecimal digits. Two requests have the same one only if they are the same. @category constructors @since 0.1.0 */
export const of = ({ body, method, path }: Sent): string => hashed(`${method} ${path}\n`, body)
