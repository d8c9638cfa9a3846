/** A model of a store, and random use of one. */
import fc from 'fast-check'
import { expect } from 'vitest'
import type { Store, StoreOperation } from '../../src/mnesia/store/store.ts'

const space = fc.constantFrom('a', 'b', 'retained_message')
const key = fc.oneof(
  fc.constantFrom(
    '',
    'k',
    'k1',
    'k2',
    'z',
    '\u0000',
    '\u007f',
    '\u0080',
    '\u07ff',
    '\u0800',
    '\uffff',
    '\ud800',
    '\udc00x',
  ),
  fc.string({ maxLength: 6 }),
  fc.string({ unit: 'binary', maxLength: 4 }),
  fc.constantFrom(
    '\u{1f600}',
    '\ue000',
    't'.repeat(1900),
    't'.repeat(1978),
    `${'t'.repeat(2000)}a`,
    `${'t'.repeat(2000)}b`,
    '√'.repeat(5000),
  ),
)
const value = fc.uint8Array({ maxLength: 300 })

const operation: fc.Arbitrary<StoreOperation> = fc.record(
  { space, key, value: fc.option(value, { nil: undefined }) },
  { noNullPrototype: true },
)

export type StoreStep =
  | { readonly do: 'commit'; readonly operations: readonly StoreOperation[] }
  | { readonly do: 'clear'; readonly space: string }
  | { readonly do: 'flushed' | 'wait' | 'reopen' }

export const storeSteps: fc.Arbitrary<StoreStep[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.array(operation, { maxLength: 8 }).map((operations) => ({ do: 'commit' as const, operations })),
    },
    { weight: 1, arbitrary: space.map((of) => ({ do: 'clear' as const, space: of })) },
    { weight: 2, arbitrary: fc.constantFrom({ do: 'flushed' as const }, { do: 'wait' as const }) },
    { weight: 1, arbitrary: fc.constant({ do: 'reopen' as const }) },
  ),
  { maxLength: 25 },
)

/** What a store should hold. */
export class StoreModel {
  readonly #spaces = new Map<string, Map<string, Uint8Array>>()

  apply(step: StoreStep): void {
    if (step.do === 'clear') this.#spaces.delete(step.space)
    if (step.do !== 'commit') return
    for (const { space: name, key: at, value: bytes } of step.operations) {
      const rows = this.#spaces.get(name) ?? new Map<string, Uint8Array>()
      this.#spaces.set(name, rows)
      if (bytes === undefined) rows.delete(at)
      else rows.set(at, bytes)
      if (rows.size === 0) this.#spaces.delete(name)
    }
  }

  check(store: Store): void {
    expect(store.spaces()).toEqual([...this.#spaces.keys()].sort())
    for (const name of ['a', 'b', 'retained_message']) {
      const rows = this.#spaces.get(name) ?? new Map<string, Uint8Array>()
      expect(store.count(name)).toBe(rows.size)
      const keys = [...rows.keys()].sort()
      expect([...store.entries(name)].map(([at, bytes]) => [at, Buffer.from(bytes)])).toEqual(
        keys.map((at) => [at, Buffer.from(rows.get(at)!)]),
      )
      for (const at of [...keys, 'none']) {
        const found = store.get(name, at)
        expect(found && Buffer.from(found)).toEqual(rows.get(at) && Buffer.from(rows.get(at)!))
      }
    }
  }
}
