/** The ledger of the schedules knows what may be found. */
import { expect, test } from 'vitest'
import { Ledger, type Survivors, type Writer } from './ledger.ts'

const A: Writer = { node: 'a', cluster: 'x', epoch: 1 }
const B: Writer = { node: 'b', cluster: 'x', epoch: 1 }
const wrote = (n: number, found: number | undefined) => ({ n, isDelete: false, found, isNew: false })
const ALL_SURVIVE: Survivors = { survives: () => true, hadSettled: () => true, keptSettled: true }

test('who joins may see what had been replaced before, and write over it; what was there stays possible', () => {
  const ledger = new Ledger()
  ledger.note('t', 'r', A, wrote(1, undefined))
  ledger.note('t', 'r', B, wrote(2, undefined))
  ledger.settle('x', 't', 'r', 2, ALL_SURVIVE)
  expect(() => ledger.note('t', 'r', A, wrote(3, 1))).toThrow('a cannot have row 1')
  const joined: Writer = { node: 'c', cluster: 'x', epoch: 1 }
  expect(ledger.note('t', 'r', joined, { ...wrote(3, 1), isNew: true }).before?.n).toBe(1)
  const survivors = { ...ALL_SURVIVE, hadSettled: () => false }
  expect(() => ledger.settle('x', 't', 'r', 1, survivors)).toThrow('found 1, possible are 3, 2')
  ledger.settle('x', 't', 'r', 3, survivors)
})

test('what nobody wrote is an error', () => {
  const ledger = new Ledger()
  ledger.note('t', 'r', A, wrote(1, undefined))
  expect(() => ledger.note('t', 'r', A, wrote(2, 7))).toThrow('a cannot have row 7')
})
