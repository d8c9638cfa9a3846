import { expect, test } from 'vitest'
import { BinaryWriter } from '../../../src/mnesia/binary.ts'
import { type AnyFeedIn, FeedIn } from '../../../src/mnesia/owned/feed-in.ts'
import { OwnedWorld, SET, shown } from './owned-world.ts'

test('of a batch that was interrupted by a snapshot nothing is left', () => {
  const world = new OwnedWorld({ seed: 1, definitions: [SET] })
  const { replication } = world.start('a')
  const table = world.table('a', SET)
  const { form } = table.of('a')!.held
  const writer = new BinaryWriter()
  form.putEntry(writer, [form.write({ k: 'k', id: 1, v: 1 })])
  const body = writer.take()
  writer.blob(body)
  const entry = writer.take()
  const peer = { node: 'b', epoch: 9, protocol: 1, send: () => {} }
  const events = { begun: () => {}, repaired: () => {} }
  const feed = new FeedIn(replication.core, table, 'b', peer, 1, events) as AnyFeedIn
  feed.receive({ tag: 'snapshot', id: 1, epoch: 9, seq: 0 })
  feed.receive({ tag: 'complete', id: 1, seq: 0 })
  feed.receive({ tag: 'entries', id: 1, bytes: entry.subarray(0, 3) })
  feed.receive({ tag: 'snapshot', id: 1, epoch: 9, seq: 5 })
  feed.receive({ tag: 'complete', id: 1, seq: 5 })
  feed.receive({ tag: 'entries', id: 1, bytes: entry })
  expect([table.of('b')?.seq, shown(table.rowsOf('b'))]).toEqual([6, ['k/1/1']])
})
