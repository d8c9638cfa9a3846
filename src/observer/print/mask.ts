/**
 * Values that a screen should not show to whoever stands behind: payloads of messages and secrets, known by the names of their
 * properties. This is courtesy and no protection: who has the cookie can ask for anything.
 */
const MASKED = /^(?:payload|password|passwd|cookie|secret)$/i

/** Whether values of a property of this name are masked. */
export function isMasked(name: string): boolean {
  return MASKED.test(name)
}

/** What is shown of the value. */
export function masked(value: unknown): string {
  if (value === undefined || value === null) return String(value)
  if (value instanceof Uint8Array) return `<<masked, ${value.length} bytes>>`
  return typeof value === 'string' ? `<<masked, ${value.length} characters>>` : '<<masked>>'
}
