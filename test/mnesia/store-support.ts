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

  check(store: Store, names: readonly string[] = ['a', 'b', 'retained_message']): void {
    expect(store.spaces()).toEqual([...this.#spaces.keys()].sort())
    for (const name of names) expect(this.#differences(store, name)).toEqual([])
  }

  /** What is wrong with a space. Bytes are compared here: `expect` looks at each of them as at a field of an object. */
  #differences(store: Store, name: string): string[] {
    const rows = this.#spaces.get(name) ?? new Map<string, Uint8Array>()
    const keys = [...rows.keys()].sort()
    const found = [...store.entries(name)]
    const wrong: string[] = []
    if (store.count(name) !== rows.size) wrong.push(`count ${store.count(name)} instead of ${rows.size}`)
    for (let i = 0; i < Math.max(keys.length, found.length); i++) {
      const [at, bytes] = found[i] ?? []
      if (at !== keys[i]) wrong.push(`${name} has ${at} where ${keys[i]} should be`)
      else if (Buffer.compare(bytes!, rows.get(at!)!) !== 0) wrong.push(`${name} has something else at ${at}`)
    }
    for (const at of [...keys, 'none']) {
      const got = store.get(name, at)
      const expected = rows.get(at)
      const isSame =
        got === undefined || expected === undefined ? got === expected : Buffer.compare(got, expected) === 0
      if (!isSame) wrong.push(`${name} gives something else for ${at}`)
    }
    return wrong.slice(0, 5)
  }
}
