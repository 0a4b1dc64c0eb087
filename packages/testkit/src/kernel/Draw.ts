/**
 * Numbers drawn from texts: the same text draws the same number in every run, and no draw depends on another, so that a decision left out of a plan changes
 * no other value. @since 0.1.0
 */

/** FNV-1a over the UTF-16 code units of a text, going on from `basis`. @category hashing @since 0.1.0 */
export const hashOf = (text: string, basis = 0x811c9dc5): number => {
  let hash = basis
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  return hash >>> 0
}

/** Goes on from a hash with a number. @category hashing @since 0.1.0 */
export const hashOfNumber = (number: number, basis: number): number =>
  Math.imul(mixed(basis ^ Math.imul(number | 0, 0x9e3779b9)), 0x01000193) >>> 0

/** The finalizer of MurmurHash3, so that neighbours do not resemble each other. */
const mixed = (value: number): number => {
  let hash = value
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** From 0 to below 1, in 53 bits. @category drawing @since 0.1.0 */
export const fraction = (hash: number): number =>
  ((mixed(hash) >>> 6) * 0x800_0000 + (mixed(hash ^ 0x5bd1e995) >>> 5)) / 2 ** 53

/** From 0 to below 1, in 32 bits: enough to tell whether a fault strikes. @category drawing @since 0.1.0 */
export const coarse = (hash: number): number => mixed(hash) / 2 ** 32

/** Eight lower-case hexadecimal digits. @category hashing @since 0.1.0 */
export const hexOf = (hash: number): string => hash.toString(16).padStart(8, "0")
