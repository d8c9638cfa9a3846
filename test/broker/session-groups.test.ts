/** What comes to a session that has ended, as the member of a group. */
import { expect, test } from 'vitest'
import type { ProcessContext } from '../../src/actors/process.ts'
import { createMetrics } from '../../src/broker/monitor/metrics.ts'
import type { SessionEnvironment } from '../../src/broker/publish.ts'
import { PubSub } from '../../src/broker/routing/pubsub.ts'
import { Routing } from '../../src/broker/routing/routing.ts'
import { SessionGroups } from '../../src/broker/session/session-groups.ts'
import { flush, Mailboxes, message, pidOf, request } from '../support/routing.ts'
import { TestTables } from '../support/tables.ts'

/** A member of a group that has ended, and perhaps another one, both of which keep their messages on disc. */
function ended(filter: string, hasOther: boolean) {
  const routing = new Routing('a@sim', new TestTables())
  routing.subscribers.areStored = true
  const boxes = new Mailboxes()
  const pubsub = new PubSub({ routing, send: boxes.send, random: () => 0 })
  const member = (id: number) => {
    const { subscriber } = routing.admit(pidOf(id), `c${id}`, true)
    routing.subscribe(subscriber, request(filter, { qos: 1 }))
    flush(routing)
    return subscriber
  }
  const one = member(1)
  pubsub.publish([message('t', 'x', { qos: 1 })])
  const receipt = pubsub.takeReceipt()!
  const [delivered] = boxes.of(one.pid)
  const other = hasOther ? member(2) : undefined
  const metrics = createMetrics()
  const environment = {
    pubsub,
    metrics,
    hooks: { chains: { 'delivery.dropped': [] } },
  } as unknown as SessionEnvironment
  const self = { pid: one.pid, runtime: { whereis: () => undefined } } as unknown as ProcessContext
  new SessionGroups(self, environment).passOn('c1', delivered!)
  return { one, other, boxes, receipt, delivered: delivered!, metrics }
}

test.each(['$share/g/t', '$local/$share/g/t'])(
  'goes to another member of %s, for which whoever has published it waits',
  (filter) => {
    const { one, other, boxes, receipt, delivered } = ended(filter, true)
    expect(boxes.ids(other!.pid)).toEqual(['x'])
    one.taken(delivered)
    expect(receipt.isDone).toBe(false)
    other!.taken(boxes.of(other!.pid)[0]!)
    expect(receipt.isDone).toBe(true)
  },
)

test('is dropped, and counted, when there is no other member', () => {
  const { one, receipt, delivered, metrics } = ended('$share/g/t', false)
  expect(metrics['delivery/dropped/session_ended']).toBe(1)
  one.taken(delivered)
  expect(receipt.isDone).toBe(true)
})
