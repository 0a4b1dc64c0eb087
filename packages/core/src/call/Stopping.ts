/**
 * Refuses calls that an operator has stopped, before anything is spent on them. @internal
 */
import type { AttemptFailure } from "../vocabulary/AttemptFailure.ts"
import { refusal } from "../vocabulary/AttemptFailure.ts"
import { Stopped } from "../vocabulary/RetryableReason.ts"
import type { RunningCall } from "./RunningCall.ts"

/** The refusal of a call that is stopped, or `undefined` if it may go on: one look while nothing is. @category admission @since 0.1.0 */
export const refusalOf = ({ connection, operation }: RunningCall): AttemptFailure | undefined => {
  if (connection.stops.standing === undefined) return undefined
  const { id, provider } = connection.options
  const stop = connection.stops.of({
    provider,
    connection: id,
    path: operation.path,
    isSafe: operation.safety === "safe"
  })
  return stop === undefined ? undefined : refusal(new Stopped({ by: stop.by }))
}
