/** To which URLs a credential may travel. @internal */
const isLoopback = (hostname: string): boolean =>
  hostname === "localhost" || hostname === "[::1]" || /^127(?:\.\d{1,3}){3}$/u.test(hostname)

/** Whether credentials may travel to a URL: https, or http on loopback, with no user or password in it (SAFE-8). @category guards @since 0.1.0 */
export const isSecure = (url: URL): boolean =>
  url.username === "" &&
  url.password === "" &&
  (url.protocol === "https:" || (url.protocol === "http:" && isLoopback(url.hostname)))
