/** What is kept for groups, against a list of what was added. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { GroupLog } from '../../src/broker/group/group-log.ts'
import { groupSpace, keeping, releasing } from '../../src/broker/group/rows.ts'
import type { Share } from '../../src/broker/session/delivery.ts'
import { MemoryStore } from '../../src/mnesia/store/memory-store.ts'
import { message } from '../support/routing.ts'

const MAX_AGE_MS = 100
const SHARES: readonly Share[] = [
  { group: 'g', filter: 't/+' },
  { group: 'g', filter: 't/+', local: true },
  { group: 'h', filter: 't/+' },
]

class Fixture {
  readonly store = new MemoryStore()
  nowMs = 1000
  dropped = 0
  readonly unreadable: string[] = []

  open(maxBytes = 1_000_000): GroupLog {
    return new GroupLog({
      store: this.store,
      catchUp: () => {},
      maxBytes,
      maxAgeMs: MAX_AGE_MS,
      now: () => this.nowMs,
      onDropped: (messages) => {
        this.dropped += messages
      },
      onUnreadable: (space, id, reason) => {
        this.unreadable.push(`${space} ${id}: ${reason}`)
      },
    })
  }
}

function numbered(id: number) {
  return { ...message('t/1', 'x'), id: String(id).padStart(4, '0'), qos: 1 as const }
}

const share = fc.constantFrom(...SHARES)
const steps = fc.array(
  fc.oneof(
    fc.record({ do: fc.constantFrom('add' as const, 'leave' as const), share, count: fc.integer({ min: 1, max: 3 }) }),
    fc.record({ do: fc.constantFrom('remove' as const, 'take' as const), share, place: fc.nat() }),
    fc.constant({ do: 'restart' as const }),
  ),
  { maxLength: 60 },
)

test('what was kept for a group is there, in order, until a member has it, over restarts', () => {
  fc.assert(
    fc.property(steps, (all) => {
      const fixture = new Fixture()
      let log = fixture.open()
      let last = 0
      const expected = new Map<string, string[]>(SHARES.map((each) => [groupSpace(each), []]))
      for (const step of all) {
        if (step.do === 'restart') {
          log = fixture.open()
          continue
        }
        const ids = expected.get(groupSpace(step.share))!
        if ('count' in step) {
          const messages = Array.from({ length: step.count }, (_, i) => numbered(last + 1 + i))
          last += step.count
          ids.push(...messages.map(({ id }) => id))
          if (step.do === 'add') void log.add(step.share, messages)
          else {
            // As a session does it.
            fixture.store.commit(messages.map((each) => keeping(step.share, { message: each, keptAtMs: 1000 })))
            log.found(
              step.share,
              messages.map(({ id }) => id),
            )
          }
        } else if (ids.length > 0) {
          const [id] = ids.splice(step.place % ids.length, 1)
          if (step.do === 'remove') log.remove(step.share, id!)
          else {
            fixture.store.commit([releasing(step.share, id!)])
            log.settle(step.share, id!)
          }
        }
      }
      for (const each of SHARES) {
        const ids = [...log.idsFor(each)]
        expect(ids).toEqual(expected.get(groupSpace(each)))
        for (const id of ids) expect(log.read(each, id)?.message).toEqual(numbered(Number(id)))
      }
      const kept = SHARES.filter((each) => expected.get(groupSpace(each))!.length > 0).map(groupSpace)
      expect(log.shares().map(groupSpace).sort()).toEqual(kept.sort())
      expect(fixture.dropped).toBe(0)
    }),
  )
})

test('the oldest go first when it is too much, and all when they are too old; both are counted', () => {
  const fixture = new Fixture()
  const [g] = SHARES as [Share]
  const log = fixture.open(200)
  for (let id = 1; id <= 20; id += 1) void log.add(g, [numbered(id)])
  const left = [...log.idsFor(g)]
  expect(left.at(-1)).toBe('0020')
  expect([left.length < 20, fixture.dropped]).toEqual([true, 20 - left.length])
  fixture.nowMs += MAX_AGE_MS + 1
  expect(left.map((id) => log.read(g, id))).toEqual(left.map(() => undefined))
  expect([fixture.dropped, log.isEmpty, fixture.store.spaces()]).toEqual([20, true, []])
})

test('which node may have a message is known after a restart, and that one that has come back is kept anew', () => {
  const fixture = new Fixture()
  const [g] = SHARES as [Share]
  void fixture.open().add(g, [numbered(1)])
  const log = fixture.open()
  const kept = log.read(g, '0001')!
  void log.mark(g, kept, 'b@sim')
  expect(fixture.open().read(g, '0001')?.mayHave).toBe('b@sim')
  fixture.store.commit([keeping(g, { message: numbered(1), keptAtMs: 1001 })])
  log.remove(g, '0001', kept)
  expect(log.read(g, '0001')).toMatchObject({ keptAtMs: 1001, mayHave: undefined })
})

test('a row that cannot be read is told of and left where it is', () => {
  const fixture = new Fixture()
  const [g] = SHARES as [Share]
  fixture.store.commit([{ space: groupSpace(g), key: 'x', value: Buffer.from([99]) }])
  const log = fixture.open()
  expect([log.read(g, 'x'), log.isEmpty]).toEqual([undefined, true])
  expect(fixture.unreadable).toEqual(['group/$share/g/t/+ x: form 99; this version reads 1'])
  expect(fixture.store.get(groupSpace(g), 'x')).toBeDefined()
})
