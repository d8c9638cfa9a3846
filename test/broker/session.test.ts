import { describe, expect, test } from 'vitest'
import { sys } from '../../src/actors/index.ts'
import type { FromManager, ToManager } from '../../src/broker/session/session-messages.ts'
import type { SessionSnapshot } from '../../src/broker/session/session-snapshot.ts'
import { SessionNode } from './session-node.ts'
import { ack, limits, message, publish, will } from './session-support.ts'

describe('publishing from one session to another', () => {
  test.each([0, 1, 2] as const)('a message of QoS %i arrives and is acknowledged', async (qos) => {
    const node = await new SessionNode(1).start()
    const subscriber = await node.connected({ clientId: 's' })
    subscriber.subscribe('t', qos)
    const publisher = await node.connected({ clientId: 'p' })
    publisher.publish('t', 'hello', qos)
    await node.run()
    expect(subscriber.payloads()).toEqual(['hello'])
    const expected = [[], [{ cmd: 'puback', messageId: 1 }], [{ cmd: 'pubrec', messageId: 1 }]][qos]
    expect(publisher.received).toEqual(expected)
  })

  test('who publishes after SUBACK reaches the subscriber', async () => {
    for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
      const node = await new SessionNode(seed).start()
      const subscriber = await node.connected({ clientId: 's' })
      const publisher = await node.connected({ clientId: 'p' })
      subscriber.subscribe('t', 1)
      while (subscriber.received.length === 0) await node.run()
      publisher.publish('t', 'hello', 1)
      await node.run()
      expect(subscriber.payloads()).toEqual(['hello'])
    }
  })

  test('a client gets its own messages', async () => {
    const node = await new SessionNode(1).start()
    const connection = await node.connected()
    connection.subscribe('t', 1)
    connection.publish('t', 'self', 1)
    await node.run()
    connection.publish('t', 'self', 1)
    await node.run()
    expect(connection.payloads()).toContain('self')
  })

  test('a connection that takes itself for that of a session which has let it go is closed', async () => {
    const node = await new SessionNode(1).start()
    const stale = await node.connected({ clientId: 's', expirySec: 100 })
    const { session } = stale.session
    node.runtime.send(session, {
      tag: 'detach',
      from: stale.pid,
      publishWill: false,
      expirySec: undefined,
      reason: 'lost',
    })
    await node.run()
    expect(stale.closed).toBeUndefined()
    // As one on another node does, whose link was lost and made anew while it was told of its session.
    stale.packets()
    await node.run()
    expect(stale.closed).toMatchObject({ reasonCode: 0x88 })
  })

  test('a connection that another home asks for once more is not taken over by itself', async () => {
    const node = await new SessionNode(1).start()
    const connection = await node.connected()
    const told: string[] = []
    node.runtime.spawn({ receive: (message) => void told.push((message as ToManager).tag) }, { name: 'home' })
    const home = { name: 'home', node: node.runtime.node.name }
    const open: FromManager = { tag: 'open', home, client: connection.info }
    node.runtime.send(connection.session.session, open)
    await node.run()
    expect([connection.isAlive, told]).toEqual([true, ['opened']])
  })

  test('what the full socket of a former connection says does not hold up the one that has taken its place', async () => {
    const node = await new SessionNode(1).start()
    const former = await node.connected({ clientId: 's', expirySec: 100 })
    const { session } = former.session
    const present = await node.connected({ clientId: 's', expirySec: 100 })
    present.subscribe('t', 1)
    node.runtime.send(session, { tag: 'congested', from: former.pid, on: true })
    await node.run()
    const publisher = await node.connected({ clientId: 'p' })
    publisher.publish('t', 'hello', 1)
    await node.run()
    expect(present.payloads()).toEqual(['hello'])
  })

  test('nobody subscribes: the publisher is told, and the message is counted', async () => {
    const node = await new SessionNode(1).start()
    const publisher = await node.connected()
    publisher.packets(publish(1, 1), publish(1, 2), publish(0, 0))
    await node.run()
    expect(publisher.received).toEqual([
      { cmd: 'puback', messageId: 1, reasonCode: 0x10 },
      { cmd: 'puback', messageId: 2, reasonCode: 0x10 },
    ])
    expect(node.environment.metrics['messages/dropped/no_subscribers']).toBe(3)
  })

  test('a hook may change and drop messages; the publisher is acknowledged in either case', async () => {
    const node = await new SessionNode(1).start()
    const subscriber = await node.connected({ clientId: 's' })
    subscriber.subscribe('#', 1)
    const publisher = await node.connected({ clientId: 'p' })
    await node.run()
    node.environment.hooks.on('message.publish', (each) => {
      if (each.topic === 'secret') return 'drop'
      return { ...each, payload: Buffer.from('changed') }
    })
    publisher.packets(publish(1, 1, { topic: 'secret' }), publish(1, 2), publish(1, 3, { topic: '$x' }))
    await node.run()
    expect(subscriber.payloads()).toEqual(['changed'])
    expect(publisher.received).toEqual([
      { cmd: 'puback', messageId: 1 },
      { cmd: 'puback', messageId: 2 },
      { cmd: 'puback', messageId: 3, reasonCode: 0x10 },
    ])
  })
})

describe('retained messages', () => {
  test('reach a later subscriber, a page at a time, all of them', async () => {
    const node = await new SessionNode(1, limits({ queue: { maxLength: 100 } })).start()
    for (let i = 0; i < 700; i += 1) {
      node.publish(message({ topic: `r/${i}`, retain: true, payload: Buffer.from(String(i)) }))
    }
    const subscriber = await node.connected()
    subscriber.subscribe('r/+', 0)
    await node.run()
    expect(new Set(subscriber.payloads()).size).toBe(700)
    expect(subscriber.publishes().every(({ retain }) => retain)).toBe(true)
  })
})

describe('the will', () => {
  test('is published when the connection dies without a word', async () => {
    const node = await new SessionNode(1).start()
    const watcher = await node.connected({ clientId: 'watcher' })
    watcher.subscribe('will/#')
    const client = await node.connected({ will: will() })
    client.crash()
    await node.run()
    expect(watcher.payloads()).toEqual(['gone'])
  })

  test('waits for its delay, and is not published when the client returns before', async () => {
    const node = await new SessionNode(1).start()
    const watcher = await node.connected({ clientId: 'watcher' })
    watcher.subscribe('will/#')
    ;(await node.connected({ will: will({ delaySec: 30 }) })).crash()
    await node.simulation.advance('29s')
    const back = await node.connected({ will: will({ delaySec: 30 }) })
    await node.simulation.advance('10s')
    expect(watcher.payloads()).toEqual([])
    back.crash()
    await node.simulation.advance('31s')
    expect(watcher.payloads()).toEqual(['gone'])
  })
})

describe('shared subscriptions', () => {
  test('each message goes to one member, and those of a member that goes to the others', async () => {
    const node = await new SessionNode(1).start()
    const workers = []
    for (const clientId of ['w1', 'w2']) {
      const worker = await node.connected({ clientId })
      worker.subscribe('$share/g/t', 1)
      workers.push(worker)
    }
    await node.run()
    for (let i = 0; i < 10; i += 1) node.publish(message({ qos: 1, payload: Buffer.from(String(i)) }))
    await node.run()
    const [first, second] = workers
    expect(first!.payloads().length + second!.payloads().length).toBe(10)
    expect(first!.payloads().length).toBeGreaterThan(0)
    // It acknowledged one of them.
    first!.packets(ack('puback', 1))
    await node.run()
    const lost = first!.payloads().slice(1)
    first!.disconnect()
    await node.run()
    expect(second!.payloads()).toEqual(expect.arrayContaining(lost))
    expect(first!.payloads().length + second!.payloads().length).toBe(10 + lost.length)
  })

  test('what comes to a member that has ended, as long as the groups do not know that, goes to others', async () => {
    const node = await new SessionNode(1).start()
    const stays = await node.connected({ clientId: 'stays' })
    const goes = await node.connected({ clientId: 'goes', expirySec: 0 })
    for (const member of [stays, goes]) member.subscribe('$share/g/t', 1)
    await node.run()
    const payloads = ['1', '2', '3', '4']
    node.environment.hooks.on('session.terminated', () => {
      for (const payload of payloads) node.publish(message({ qos: 1, payload: Buffer.from(payload) }))
    })
    goes.disconnect()
    await node.run()
    expect(stays.payloads().sort()).toEqual(payloads)
    expect(goes.payloads()).toEqual([])
  })

  test('no message is lost when members come and go while messages come', async () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const node = await new SessionNode(seed).start()
      const stays = await node.connected({ clientId: 'stays' })
      stays.subscribe('$share/g/t', 1)
      const goes = await node.connected({ clientId: 'goes', expirySec: 0 })
      goes.subscribe('$share/g/t', 1)
      await node.run()
      for (let i = 0; i < 20; i += 1) {
        node.publish(message({ qos: 1, payload: Buffer.from(String(i)) }))
        if (i === 10) goes.disconnect()
      }
      await node.run()
      expect(new Set(stays.payloads().concat(goes.payloads())).size).toBe(20)
      // Nothing was acknowledged, so all must have reached the one that is left.
      expect(new Set(stays.payloads()).size).toBe(20)
      expect(node.livingSessions()).toHaveLength(1)
    }
  })

  test('the only member keeps its messages while it is away', async () => {
    const node = await new SessionNode(1).start()
    const worker = await node.connected()
    worker.subscribe('$share/g/t', 1)
    await node.run()
    node.publish(message({ qos: 1, payload: Buffer.from('1') }))
    await node.run()
    worker.disconnect()
    await node.run()
    node.publish(message({ qos: 1, payload: Buffer.from('2') }))
    await node.run()
    const back = await node.connected()
    expect(back.payloads()).toEqual(['1', '2'])
    expect(back.publishes().map(({ dup }) => dup)).toEqual([true, false])
  })
})

describe('the router', () => {
  test('that is restarted is asked again by those who wait for it', async () => {
    const node = await new SessionNode(1).start()
    const subscriber = await node.connected()
    node.runtime.exit(node.runtime.whereis('router')!, 'kill')
    await node.run()
    subscriber.subscribe('t', 1)
    await node.run()
    expect(subscriber.received).toEqual([])
    await node.startRouter()
    await node.simulation.advance('1s')
    expect(subscriber.received).toMatchObject([{ cmd: 'suback', granted: [1] }])
  })

  test('that dies with a request is asked again', async () => {
    const node = await new SessionNode(1).start()
    const subscriber = await node.connected()
    node.runtime.processes.get(node.runtime.whereis('router')!)!.hold(new Promise(() => {}))
    subscriber.subscribe('t', 1)
    await node.run()
    node.runtime.exit(node.runtime.whereis('router')!, 'kill')
    await node.startRouter()
    await node.simulation.advance('1s')
    expect(subscriber.received).toMatchObject([{ cmd: 'suback', granted: [1] }])
    node.publish(message({ qos: 1, payload: Buffer.from('x') }))
    await node.run()
    expect(subscriber.payloads()).toEqual(['x'])
  })
})

test('the route of a session is durable as long as the session outlives its connection', async () => {
  const node = await new SessionNode(1).start()
  const durable = () => node.routing.global.routes.read('t').map((row) => row.durable)
  const first = await node.connected({ expirySec: 100 })
  first.subscribe('t', 1)
  await node.run()
  expect(durable()).toEqual([true])
  const second = await node.connected({ expirySec: 0 })
  expect(second.session.present).toBe(true)
  expect(durable()).toEqual([false])
  await node.run()
  second.crash()
  await node.run()
  expect(durable()).toEqual([])
})

test('hooks and counters tell what happens to a session', async () => {
  const node = await new SessionNode(1).start()
  const { hooks, metrics } = node.environment
  const seen: string[] = []
  hooks.on('session.created', ({ clientId }) => void seen.push(`created ${clientId}`))
  hooks.on('session.resumed', ({ clientId }) => void seen.push(`resumed ${clientId}`))
  hooks.on('session.takenover', (clientId) => void seen.push(`takenover ${clientId}`))
  hooks.on('session.discarded', (clientId) => void seen.push(`discarded ${clientId}`))
  hooks.on('session.terminated', (clientId, reason) => void seen.push(`terminated ${clientId} ${reason}`))
  hooks.on('session.subscribed', (clientId, { topic }) => void seen.push(`subscribed ${clientId} ${topic}`))
  hooks.on('session.unsubscribed', (clientId, filter) => void seen.push(`unsubscribed ${clientId} ${filter}`))
  hooks.on('message.delivered', (clientId, { qos }) => void seen.push(`delivered ${clientId} ${qos}`))
  hooks.on('message.acked', (clientId, { qos }) => void seen.push(`acked ${clientId} ${qos}`))
  hooks.on('delivery.dropped', (clientId, _message, reason) => void seen.push(`dropped ${clientId} ${reason}`))
  await node.connected()
  const connection = await node.connected()
  connection.subscribe('t', 1)
  await node.run()
  node.publish(message({ qos: 0 }))
  node.publish(message({ qos: 1 }))
  node.publish(message({ qos: 1, expiresAtMs: 1 }))
  await node.run()
  connection.packets(ack('puback', 1), { cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['t'] })
  await node.run()
  await node.connected({ cleanStart: true })
  expect(seen).toEqual([
    'created c',
    'takenover c',
    'resumed c',
    'subscribed c t',
    'delivered c 0',
    'delivered c 1',
    'dropped c expired',
    'acked c 1',
    'unsubscribed c t',
    'discarded c',
    'terminated c discarded',
    'created c',
  ])
  expect(metrics).toMatchObject({
    'session/created': 2,
    'session/resumed': 1,
    'session/takenover': 1,
    'session/discarded': 1,
    'session/terminated': 1,
    'messages/delivered': 2,
    'messages/acked': 1,
    'delivery/dropped': 1,
    'delivery/dropped/expired': 1,
  })
})

test('sys shows a session as a snapshot', async () => {
  const node = await new SessionNode(1).start()
  const connection = await node.connected()
  connection.subscribe('t', 1)
  await node.run()
  const state = sys.getState(node.runtime, connection.session.session)
  await node.run()
  expect((await state) as SessionSnapshot).toMatchObject({ clientId: 'c', connected: true, subscriptions: [['t', 1]] })
})

test('a slow client costs bounded memory, and others are not held up', async () => {
  const node = await new SessionNode(1, limits({ queue: { maxLength: 100 } })).start()
  const slow = await node.connected({ clientId: 'slow' })
  const quick = await node.connected({ clientId: 'quick' })
  slow.subscribe('t', 0)
  quick.subscribe('t', 0)
  await node.run()
  node.runtime.send(slow.session.session, { tag: 'congested', from: slow.pid, on: true })
  for (let i = 0; i < 1000; i += 1) node.publish(message({ payload: Buffer.from(String(i)) }))
  await node.run()
  expect(quick.payloads()).toHaveLength(1000)
  expect(slow.payloads()).toEqual([])
  node.runtime.send(slow.session.session, { tag: 'congested', from: slow.pid, on: false })
  await node.run()
  expect(slow.payloads()).toEqual(Array.from({ length: 100 }, (_, i) => String(900 + i)))
  expect(node.environment.metrics['delivery/dropped/queue_full']).toBe(900)
})
