import { expect, test } from 'vitest'
import { Batch, batchOf } from '../../src/broker/message.ts'
import type { ClientInfo, OutPacket, ToSession } from '../../src/broker/process-messages.ts'
import { arrivedClient, arrivedPackets, travellingPackets, travellingRun } from '../../src/broker/session/travel.ts'
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
  const there = structuralCopy({ tag: 'deliver', runs: [travellingRun({ batch, matched: MATCHED })] })
  const { runs } = there as Extract<ToSession, { tag: 'deliver' }>
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
  const parts = structuralCopy(travellingPackets(packets)) as OutPacket[][]
  expect(parts).toHaveLength(1)
  const there = parts[0]!
  expect(there[0]).toEqual(packets[0])
  expect(there[2]).toEqual(packets[2])
  const second = there[1]!
  expect(second.cmd === 'batch' && batchOf(second.batch)).toEqual(new Batch(batch.messages))
})

test('a batch of this node stays the same object', () => {
  const batch = batchWithWire()
  expect(batchOf(batch)).toBe(batch)
})

test('what is much for one message goes in parts, in order', () => {
  const large = (id: string) => message('t', id, { payload: Buffer.alloc(100_000) })
  const publish = (id: string): OutPacket => {
    return { cmd: 'publish', message: large(id), qos: 1, retain: false, dup: false, messageId: 1, ids: undefined }
  }
  const ids = Array.from({ length: 7 }, (_, i) => String(i))
  const packets: OutPacket[] = [{ cmd: 'puback', messageId: 1 }, ...ids.map(publish)]
  const parts = travellingPackets(packets)
  expect(parts.map((part) => part.length)).toEqual([4, 3, 1])
  expect(parts.flat()).toEqual(packets)
  const batches = [0, 1].map((): OutPacket => ({ cmd: 'batch', batch: new Batch(ids.map(large)) }))
  expect(travellingPackets(batches).map((part) => part.length)).toEqual([1, 1])
})

test('what has arrived and is kept holds none of the chunk in which it came', () => {
  const chunk = Buffer.alloc(65_536)
  const view = chunk.subarray(100, 110)
  const isFree = (bytes: Buffer) => bytes.equals(view) && bytes.buffer !== chunk.buffer
  const properties = () => ({ correlationData: view })
  const kept = batchOf({ messages: [message('t', 'm', { payload: view, qos: 1, properties: properties() })] }).messages
  expect(isFree(kept[0]!.payload)).toBe(true)
  expect(isFree(kept[0]!.properties!.correlationData!)).toBe(true)
  const passing = batchOf({ messages: [message('t', 'm', { payload: view })] }).messages
  expect(passing[0]!.payload).toBe(view)
  const publish = { cmd: 'publish', topic: 't', payload: view, qos: 0, retain: false, dup: false, denied: 0 } as const
  const [packet] = arrivedPackets([{ ...publish, properties: properties() }])
  expect(packet?.cmd === 'publish' && isFree(packet.properties!.correlationData!)).toBe(true)
  const will = { topic: 't', payload: view, qos: 0, retain: false, delaySec: 0, expirySec: undefined } as const
  const client = { clientId: 'c', will: { ...will, properties: properties() } } as unknown as ClientInfo
  const arrived = arrivedClient(client).will!
  expect(isFree(arrived.payload)).toBe(true)
  expect(isFree(arrived.properties!.correlationData!)).toBe(true)
})
