/** A session that comes from another node: what is published for it while it comes. */
import { expect, onTestFinished, test } from 'vitest'
import type { Pid } from '../../src/actors/pid.ts'
import { Batch, type Message } from '../../src/broker/message.ts'
import type { OutPacket } from '../../src/broker/process-messages.ts'
import type { SessionEnvironment } from '../../src/broker/publish.ts'
import type { Repeated } from '../../src/broker/routing/pubsub.ts'
import type { FromRouter, ToRouter } from '../../src/broker/routing/router.ts'
import { movingOf } from '../../src/broker/session/moving/departure.ts'
import { session } from '../../src/broker/session/session.ts'
import { SessionNode } from './session-node.ts'
import { client, Machine, message } from './session-support.ts'

/** A session without messages that subscribes `t` at QoS 2, on its way to a node whose router is the test. */
async function coming() {
  const node = new SessionNode(1)
  onTestFinished(() => node.simulation.stop())
  const { runtime, routing, environment } = node
  const { pubsub } = environment
  const requests: Extract<ToRouter, { tag: 'subscribe' }>[] = []
  const routerPid = runtime.spawn({ receive: (request) => void requests.push(request as (typeof requests)[number]) })
  const said: string[] = []
  const from = runtime.spawn({ receive: (saying) => void said.push((saying as { tag: string }).tag) })
  const leaver = new Machine()
  leaver.subscribe(1, [{ topic: 't', qos: 2 }])
  leaver.detach()
  const pid: Pid = await session.start(runtime, {
    environment: { ...environment, routers: { of: () => routerPid } } as unknown as SessionEnvironment,
    manager: { name: 'sm', node: runtime.node.name },
    arrive: { tag: 'arrive', from, move: 1, moving: movingOf(leaver.state) },
  })
  const tell = (telling: object) => {
    runtime.send(pid, telling)
    return node.pass('1s')
  }
  const mark = () => environment.nextMessageId(runtime.clock.now())
  return {
    /** A QoS 2 message comes to the node; returns it as it is when it comes once more. */
    comes(id: string): Repeated {
      const come: Message = message({ id, topic: 't', qos: 2 })
      const arrival = mark()
      pubsub.dispatch([new Batch([come])])
      return { message: come, arrival }
    },
    comeOnceMore: (...repeated: Repeated[]) => void pubsub.dispatch([], 'all', repeated),
    /** What was kept for the node has come. */
    fenced: () => tell({ tag: 'fenced', fence: -1, isPassed: true }),
    /** The router has the subscription, and has not answered. */
    subscribe() {
      const { clientId, durable, subscriptions } = requests[0]!
      const { subscriber } = routing.admit(pid, clientId, durable)
      for (const subscription of subscriptions) routing.subscribe(subscriber, subscription)
      void routing.flush({})
    },
    async answer() {
      await tell({ tag: 'subscribed', ticket: requests[0]!.ticket, codes: undefined } satisfies FromRouter)
      expect(said).toEqual(['arrival_ready'])
    },
    /** It becomes the session; returns ids of what its client gets from then on. */
    async moveIn() {
      const received: string[] = []
      const receive = (got: unknown) => {
        const { packets = [] } = got as { packets?: readonly OutPacket[] }
        for (const packet of packets) if (packet.cmd === 'publish') received.push(packet.message.id)
      }
      const to = client({ connection: runtime.spawn({ receive }) })
      await tell({ tag: 'move_in', from, homes: [{ name: 'sm', node: runtime.node.name }], client: to })
      expect(said).toEqual(['arrival_ready', 'moved_in'])
      return received
    },
    pass: () => node.pass('1s'),
  }
}

test('what has come to its node after it was made, but before it was subscribed, comes to it when it is published again', async () => {
  const arrival = await coming()
  const early = arrival.comes('early')
  await arrival.fenced()
  const late = arrival.comes('late')
  arrival.subscribe()
  await arrival.answer()
  arrival.comeOnceMore(early)
  const received = await arrival.moveIn()
  arrival.comeOnceMore(late)
  await arrival.pass()
  expect(received).toEqual(['early', 'late'])
})

test('what has come to it before the router has answered does not come again when it is published again', async () => {
  const arrival = await coming()
  await arrival.fenced()
  arrival.subscribe()
  const [first, second] = [arrival.comes('first'), arrival.comes('second')]
  await arrival.answer()
  arrival.comeOnceMore(first)
  const received = await arrival.moveIn()
  arrival.comeOnceMore(first, second)
  await arrival.pass()
  expect(received).toEqual(['first', 'second'])
})
