/**
 * Certificates made at test time: an authority, and what it signs. Just enough of X.509 (RFC 5280) and DER for TLS on loopback.
 */
import * as Crypto from "node:crypto"

const tlv = (tag: number, ...parts: ReadonlyArray<Uint8Array>): Buffer => {
  const content = Buffer.concat(parts)
  const { length } = content
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), content])
}

const sequence = (...parts: ReadonlyArray<Uint8Array>) => tlv(0x30, ...parts)
const oid = (...bytes: ReadonlyArray<number>) => tlv(0x06, Buffer.from(bytes))
const text = (tag: number, value: string) => tlv(tag, Buffer.from(value))

const ecdsaWithSha256 = sequence(oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02))
const name = (common: string) => sequence(tlv(0x31, sequence(oid(0x55, 0x04, 0x03), text(0x0c, common))))
const validity = sequence(text(0x17, "200101000000Z"), text(0x17, "491231235959Z"))

/** basicConstraints (2.5.29.19), critical. */
const constraints = (isAuthority: boolean) =>
  sequence(
    oid(0x55, 0x1d, 0x13),
    tlv(0x01, Buffer.of(0xff)),
    tlv(0x04, sequence(...(isAuthority ? [tlv(0x01, Buffer.of(0xff))] : [])))
  )

/** subjectAltName (2.5.29.17): loopback, and the names given. */
const alternatives = (names: ReadonlyArray<string>) =>
  sequence(
    oid(0x55, 0x1d, 0x11),
    tlv(0x04, sequence(...names.map((each) => text(0x82, each)), tlv(0x87, Buffer.of(127, 0, 0, 1))))
  )

const pem = (der: Uint8Array): string =>
  `-----BEGIN CERTIFICATE-----\n${Buffer.from(der)
    .toString("base64")
    .replaceAll(/.{64}(?=.)/gu, "$&\n")}\n-----END CERTIFICATE-----\n`

interface Pair {
  readonly common: string
  readonly privateKey: Crypto.KeyObject
  readonly publicKey: Crypto.KeyObject
}

const pairOf = (common: string): Pair => ({
  common,
  ...Crypto.generateKeyPairSync("ec", { namedCurve: "prime256v1" })
})

const certificate = (subject: Pair, issuer: Pair, names: ReadonlyArray<string>): string => {
  const isAuthority = subject === issuer
  const extensions = [constraints(isAuthority), ...(isAuthority ? [] : [alternatives(names)])]
  const signed = sequence(
    tlv(0xa0, tlv(0x02, Buffer.of(2))),
    tlv(0x02, Buffer.concat([Buffer.of(1), Crypto.randomBytes(8)])),
    ecdsaWithSha256,
    name(issuer.common),
    validity,
    name(subject.common),
    subject.publicKey.export({ type: "spki", format: "der" }),
    tlv(0xa3, sequence(...extensions))
  )
  const signature = Crypto.sign("sha256", signed, issuer.privateKey)
  return pem(sequence(signed, ecdsaWithSha256, tlv(0x03, Buffer.of(0), signature)))
}

export interface Identity {
  readonly cert: string
  readonly key: string
}

export interface Authority {
  readonly ca: string
  /** A certificate for loopback and these names; its key encrypted where a passphrase is given. */
  readonly issue: (
    common: string,
    options?: { readonly names?: ReadonlyArray<string>; readonly passphrase?: string }
  ) => Identity
}

export const authority = (common: string): Authority => {
  const root = pairOf(common)
  return {
    ca: certificate(root, root, []),
    issue: (common, { names = [], passphrase } = {}) => {
      const pair = pairOf(common)
      const key = pair.privateKey.export({
        type: "pkcs8",
        format: "pem",
        ...(passphrase === undefined ? {} : { cipher: "aes-256-cbc", passphrase })
      })
      return { cert: certificate(pair, root, names), key: String(key) }
    }
  }
}
