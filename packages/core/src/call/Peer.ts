/** Who is at the other end, as OpenTelemetry names it: host and port of an origin. @internal */

/** @category models @since 0.1.0 */
export interface Peer {
  /** Without the brackets of an IPv6 address. */
  readonly address: string
  readonly port: number
  readonly scheme: string
}

/** @category constructors @since 0.1.0 */
export const of = (origin: string): Peer | undefined => {
  if (!URL.canParse(origin)) return undefined
  const { hostname, port, protocol } = new URL(origin)
  const scheme = protocol.slice(0, -1)
  return {
    address: hostname.replace(/^\[(.*)\]$/u, "$1"),
    port: port === "" ? (scheme === "https" ? 443 : 80) : Number(port),
    scheme
  }
}
