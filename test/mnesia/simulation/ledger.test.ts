/** The ledger of the schedules knows what may be found. */
import { expect, test } from 'vitest'
import { Ledger, type Survivors, type Writer } from './ledger.ts'

const A: Writer = { node: 'a', cluster: 'x', epoch: 1 }
const B: Writer = { node: 'b', cluster: 'x', epoch: 1 }
const ALL_SURVIVE: Survivors = { survives: () => true, hadSettled: () => true, keptSettled: true }

test('who joins may see what had been replaced before, and write over it; what was there stays possible', () => {
  const ledger = new Ledger()
  ledger.note('t', 'r', A, 1, false, undefined)
  ledger.note('t', 'r', B, 2, false, undefined)
  ledger.settle('x', 't', 'r', 2, ALL_SURVIVE)
  const joined: Writer = { node: 'c', cluster: 'x', epoch: 1 }
  expect(ledger.note('t', 'r', joined, 3, false, 1).before?.n).toBe(1)
  const survivors = { ...ALL_SURVIVE, hadSettled: () => false }
  expect(() => ledger.settle('x', 't', 'r', 1, survivors)).toThrow('found 1, possible are 3, 2')
  ledger.settle('x', 't', 'r', 3, survivors)
})

test('what nobody wrote is an error', () => {
  const ledger = new Ledger()
  ledger.note('t', 'r', A, 1, false, undefined)
  expect(() => ledger.note('t', 'r', A, 2, false, 7)).toThrow('row 7 was never written')
})
