/** SendGrid: e-mails. @since 0.1.0 */
export * from "./Activity.ts"
export * from "./Api.ts"
export * from "./Errors.ts"
export * from "./Model.ts"
export { SendGrid, regions } from "./SendGrid.ts"
