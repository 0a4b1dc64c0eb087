/** A simulated SendGrid. @since 0.1.0 */
export * as SimulatedSendGrid from "./SendGrid.ts"
