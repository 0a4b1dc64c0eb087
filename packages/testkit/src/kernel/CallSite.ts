/**
 * Where in the user's own code something was done, told from the stack. @since 0.1.0
 */

/** @category models @since 0.1.0 */
export interface Frame {
  readonly file: string
  /** `file:line:column`. */
  readonly location: string
}

/** Frames that are looked at: Effect's own may be many before the user's first. */
const maxDepth = 200

const place =
  /(?:\(|\s|@)(?<url>(?:file:\/\/)?(?<file>(?:node:|\/|[A-Za-z]:[\\/])[^()\s]*?)):(?<line>\d+):(?<column>\d+)\)?$/u

const frameOf = (text: string): ReadonlyArray<Frame> => {
  const found = place.exec(text)?.groups
  const { column, file, line } = found ?? {}
  return file === undefined ? [] : [{ file, location: `${file}:${line}:${column}` }]
}

/** The frames above the caller of this function, the innermost first. Each costs. @category constructors @since 0.1.0 */
export const capture = (depth = maxDepth): ReadonlyArray<Frame> => {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = depth
  const { stack = "" } = new Error("where")
  Error.stackTraceLimit = stackTraceLimit
  return stack.split("\n").slice(2).flatMap(frameOf)
}

interface StackFrame {
  readonly getFileName: () => string | null | undefined
}

/**
 * The files of the innermost frames, the innermost first: much cheaper than the frames. Empty where the engine gives no structured stack.
 * @category constructors @since 0.1.0
 */
export const files = (depth: number): ReadonlyArray<string> => {
  const { stackTraceLimit } = Error
  const prepare = Reflect.get<typeof Error, "prepareStackTrace">(Error, "prepareStackTrace")
  Error.stackTraceLimit = depth
  Error.prepareStackTrace = (_error, frames: ReadonlyArray<StackFrame>) =>
    frames.map((frame) => frame.getFileName() ?? "")
  const { stack } = new Error("where") as { readonly stack?: unknown }
  Error.stackTraceLimit = stackTraceLimit
  Error.prepareStackTrace = prepare
  return Array.isArray(stack) ? (stack as ReadonlyArray<string>).map(withoutScheme) : []
}

const withoutScheme = (file: string): string => file.replace(/^file:\/\//u, "")

const here = frameOf(` ${import.meta.url}:1:1`)[0]?.file ?? ""
/** The folder of the testkit's sources, or of what was built from them. */
const testkit = here.slice(0, here.lastIndexOf("/kernel/") + 1)

const isOurs = ({ file }: Frame): boolean => testkit !== "" && file.startsWith(testkit)

const isLibrary = ({ file }: Frame): boolean => file.startsWith("node:") || /[\\/]node_modules[\\/]/u.test(file)

/** Whether a frame is Effect's own. @category guards @since 0.1.0 */
export const isEffect = ({ file }: Pick<Frame, "file">): boolean => /[\\/]node_modules[\\/]effect[\\/]/u.test(file)

/** Whether a frame belongs to Node or to what runs the tests, which tell the time for their own sake. @category guards @since 0.1.0 */
export const isRunner = ({ file }: Frame): boolean =>
  file.startsWith("node:") || /[\\/]node_modules[\\/](?:@?vitest|vite|@jest|jest[^\\/]*|mocha|tinyspy)[\\/]/u.test(file)

/** Who called into the simulation's substitutes. @category accessors @since 0.1.0 */
export const caller = (frames: ReadonlyArray<Frame>): Frame | undefined => frames.find((frame) => !isOurs(frame))

/** `file:line:column` of the innermost frame that is neither a library's nor ours. @category accessors @since 0.1.0 */
export const userLocation = (frames: ReadonlyArray<Frame>): string | undefined =>
  frames.find((frame) => !isOurs(frame) && !isLibrary(frame))?.location
