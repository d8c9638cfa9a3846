import { expect, test } from 'vitest'
import { Batch, batchOf } from '../../src/broker/message.ts'
import type { OutPacket } from '../../src/broker/process-messages.ts'
import { travellingDelivery, travellingPackets } from '../../src/broker/travel.ts'
import { structuralCopy } from '../../src/testing/structural-copy.ts'
import { message } from '../support/routing.ts'

const MATCHED = { qos: 1, noLocal: false, rap: false, ids: undefined, share: undefined } as const

function batchWithWire(): Batch {
  const batch = new Batch([message('t/1', 'a', { qos: 1 }), message('t/1', 'b', { retain: true, expiresAtMs: 5 })])
  batch.wire = new Map([[4, Buffer.from('encoded')]])
  return batch
}

test('a batch cannot leave the node as it is', () => {
  expect(() => structuralCopy(batchWithWire())).toThrow('instance of Batch')
})

test('a delivery reaches a session on another node as a batch that says the same, without encodings', () => {
  const batch = batchWithWire()
  const there = structuralCopy(travellingDelivery({ tag: 'deliver', runs: [{ batch, matched: MATCHED }] }))
  const { runs } = there as ReturnType<typeof travellingDelivery>
  const arrived = batchOf(runs[0]!.batch)
  expect(arrived).toBeInstanceOf(Batch)
  expect(arrived).toEqual(new Batch(batch.messages))
  expect(arrived.wire).toBeUndefined()
  expect(runs[0]!.matched).toEqual(MATCHED)
})

test('packets reach a connection on another node, batches as batches', () => {
  const batch = batchWithWire()
  const packets: OutPacket[] = [
    { cmd: 'puback', messageId: 3 },
    { cmd: 'batch', batch },
    { cmd: 'publish', message: batch.messages[0]!, qos: 1, retain: false, dup: false, messageId: 9, ids: undefined },
  ]
  const there = structuralCopy(travellingPackets(packets)) as OutPacket[]
  expect(there[0]).toEqual(packets[0])
  expect(there[2]).toEqual(packets[2])
  const second = there[1]!
  expect(second.cmd === 'batch' && batchOf(second.batch)).toEqual(new Batch(batch.messages))
})

test('a batch of this node stays the same object', () => {
  const batch = batchWithWire()
  expect(batchOf(batch)).toBe(batch)
})
