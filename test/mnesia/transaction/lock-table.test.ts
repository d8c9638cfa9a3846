/** Locks: who holds, who waits, who begins again. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type LockMode,
  LockTable,
  type Resource,
  type TransactionId,
} from '../../../src/mnesia/transaction/lock-table.ts'

const id = (age: number): TransactionId => ({ startedAtMs: age, node: 'n', number: age })
const row = (key: string): Resource => ({ table: 't', key })
const TABLE: Resource = { table: 't', key: undefined }

/** Asks for a lock and keeps what came of it: `granted`, `waits`, `restart`. */
function ask(locks: LockTable, who: TransactionId, resource: Resource, mode: LockMode): { state: string } {
  const request = { state: 'asked' }
  const answer = locks.request(
    who,
    resource,
    mode,
    () => {
      request.state = 'granted'
    },
    () => {
      request.state = 'restart'
    },
  )
  if (request.state === 'asked') request.state = answer
  return request
}

describe('a lock', () => {
  it('is held by any number of readers, or by one writer', () => {
    const locks = new LockTable()
    expect(ask(locks, id(3), row('a'), 'read').state).toBe('granted')
    expect(ask(locks, id(2), row('a'), 'read').state).toBe('granted')
    expect(ask(locks, id(1), row('a'), 'write').state).toBe('waits')
    expect(ask(locks, id(1), row('b'), 'write').state).toBe('granted')
  })

  it('has an older transaction wait for a younger one, and a younger one begin again', () => {
    const locks = new LockTable()
    ask(locks, id(2), row('a'), 'write')
    const older = ask(locks, id(1), row('a'), 'write')
    expect(older.state).toBe('waits')
    expect(ask(locks, id(3), row('a'), 'read').state).toBe('restart')
    locks.release(id(2))
    expect(older.state).toBe('granted')
  })

  it('of a row excludes one of its table, and the other way round', () => {
    const locks = new LockTable()
    ask(locks, id(2), row('a'), 'write')
    const table = ask(locks, id(1), TABLE, 'read')
    expect(table.state).toBe('waits')
    locks.release(id(2))
    expect(table.state).toBe('granted')
    expect(ask(locks, id(3), row('b'), 'write').state).toBe('restart')
    expect(ask(locks, id(3), row('b'), 'read').state).toBe('granted')
    expect(ask(locks, id(4), { table: 'other', key: 'b' }, 'write').state).toBe('granted')
  })

  it('that is held for reading becomes one for writing when no other holds it', () => {
    const locks = new LockTable()
    ask(locks, id(1), row('a'), 'read')
    ask(locks, id(2), row('a'), 'read')
    const upgrade = ask(locks, id(1), row('a'), 'write')
    expect(upgrade.state).toBe('waits')
    // Both want it: the younger one gives way, or they would wait for each other for ever.
    expect(ask(locks, id(2), row('a'), 'write').state).toBe('restart')
    locks.release(id(2))
    expect(upgrade.state).toBe('granted')
    expect(locks.holds(id(1), row('a'), 'write')).toBe(true)
  })

  it('does not let readers that come later overtake a writer that waits', () => {
    const locks = new LockTable()
    ask(locks, id(5), row('a'), 'read')
    ask(locks, id(2), row('a'), 'write')
    expect(ask(locks, id(6), row('a'), 'read').state).toBe('restart')
    expect(ask(locks, id(1), row('a'), 'read').state).toBe('waits')
  })

  it('that is waited for is refused when the transaction gives up', () => {
    const locks = new LockTable()
    ask(locks, id(2), row('a'), 'write')
    const waiting = ask(locks, id(1), row('a'), 'write')
    locks.release(id(1))
    expect(waiting.state).toBe('restart')
    locks.release(id(2))
    expect([locks.size, locks.waiting]).toEqual([0, 0])
  })
})

type Step =
  | { readonly tag: 'ask'; readonly age: number; readonly key: string | undefined; readonly mode: LockMode }
  | { readonly tag: 'end'; readonly age: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    tag: fc.constant('ask' as const),
    age: fc.integer({ min: 1, max: 5 }),
    key: fc.constantFrom('a', 'b', 'c', undefined),
    mode: fc.constantFrom<LockMode>('read', 'write'),
  }),
  fc.record({ tag: fc.constant('end' as const), age: fc.integer({ min: 1, max: 5 }) }),
)

describe('whatever transactions ask for', () => {
  it('no two of them hold what excludes each other, and none waits for ever', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const locks = new LockTable()
        const requests = new Map<number, { resource: Resource; mode: LockMode; request: { state: string } }[]>()
        const end = (age: number): void => {
          requests.delete(age)
          locks.release(id(age))
        }
        const check = (): void => {
          const held = [...requests].flatMap(([age, all]) =>
            all
              .filter(({ request }) => request.state === 'granted')
              .map(({ resource, mode }) => ({ age, resource, mode })),
          )
          for (const one of held) {
            for (const other of held) {
              if (one.age === other.age || (one.mode === 'read' && other.mode === 'read')) continue
              const [a, b] = [one.resource.key, other.resource.key]
              expect(a !== undefined && b !== undefined && a !== b).toBe(true)
            }
          }
          // One that has to begin again gives back what it has, which may be what others wait for.
          for (const [age, all] of [...requests]) if (all.some(({ request }) => request.state === 'restart')) end(age)
        }
        for (const each of steps) {
          if (each.tag === 'end') end(each.age)
          else if (requests.get(each.age)?.some(({ request }) => request.state === 'waits') !== true) {
            const resource = { table: 't', key: each.key }
            const request = ask(locks, id(each.age), resource, each.mode)
            requests.set(each.age, [...(requests.get(each.age) ?? []), { resource, mode: each.mode, request }])
          }
          check()
        }
        // Whoever waits for nobody ends; in the end all have.
        while (requests.size > 0) {
          const free = [...requests].find(([, all]) => all.every(({ request }) => request.state === 'granted'))
          expect(free).toBeDefined()
          end(free![0])
          check()
        }
        expect([locks.size, locks.waiting]).toEqual([0, 0])
      }),
      { numRuns: 2000 },
    )
  })
})
