import { expect } from 'vitest'

/** As `expect(found).toEqual(expected)` for plain data that nearly always is the same, and is looked at millions of times. */
export function same(found: unknown, expected: unknown): void {
  if (JSON.stringify(found) !== JSON.stringify(expected)) expect(found).toEqual(expected)
}
