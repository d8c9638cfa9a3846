import { describe, expect, test } from 'vitest'
import { readKept } from '../../src/broker/group/rows.ts'
import type { AckPacket } from '../../src/broker/packet.ts'
import type { SessionSnapshot } from '../../src/broker/session/session-snapshot.ts'
import { SHARED_SUBSCRIPTION } from '../../src/broker/tables.ts'
import { pidOf } from '../support/routing.ts'
import { type Connection, SessionNode } from './session-node.ts'
import { ack, LIMITS, message } from './session-support.ts'

/** A node whose disc takes 10 ms for a flush. */
async function storing(): Promise<SessionNode> {
  return new SessionNode(1, LIMITS, 1000, true).start()
}

async function subscriber(node: SessionNode, clientId = 'sub', topic = 't', qos: 1 | 2 = 1): Promise<Connection> {
  const connection = node.connect({ clientId })
  await node.pass('50ms')
  connection.subscribe(topic, qos)
  await node.pass('50ms')
  return connection
}

const cmds = ({ received }: Connection) => received.map(({ cmd }) => cmd)
const acks = ({ received }: Connection) =>
  received.filter((packet): packet is AckPacket => packet.cmd.startsWith('pub'))

/** Acknowledges all that has come. */
function acknowledge(connection: Connection): void {
  connection.packets(...connection.publishes().map(({ messageId }) => ack('puback', messageId)))
}

/** Rows of all messages that the disc holds. */
function messagesOnDisc(node: SessionNode): string[] {
  const { contents } = node.stored!.disc
  const spaces = contents.spaces().filter((space) => space.startsWith('m/'))
  return spaces.flatMap((space) =>
    [...contents.entries(space)].map(([, value]) => Buffer.from(value).toString('latin1')),
  )
}

/** Groups for which the disc holds messages. */
function leftOnDisc(node: SessionNode): string[] {
  return [...node.stored!.disc.contents.spaces()].filter((space) => space.startsWith('group/'))
}

function shown(node: SessionNode, clientId: string): SessionSnapshot {
  const { pid } = node.sessions.lookup(clientId)!
  return node.runtime.process(pid)!.behaviour.state as SessionSnapshot
}

describe('what waits for the disc', () => {
  test('CONNACK of a session that is stored, and of one whose predecessor was', async () => {
    const node = await storing()
    const first = node.connect({ clientId: 'c' })
    const transient = node.connect({ clientId: 'd', expirySec: 0 })
    await node.run()
    expect([first.answer, transient.answer?.tag]).toEqual([undefined, 'opened'])
    await node.pass('30ms')
    expect(first.session.present).toBe(false)
    const clean = node.connect({ clientId: 'c', cleanStart: true, expirySec: 0 })
    await node.run()
    expect(clean.answer).toBe(undefined)
    await node.pass('30ms')
    expect(clean.session.present).toBe(false)
    expect(node.stored!.disc.contents.spaces()).toEqual(['number'])
  })

  test('a connection that is taken over before its CONNACK is refused', async () => {
    const node = await storing()
    const first = node.connect({ clientId: 'c' })
    await node.run()
    const second = node.connect({ clientId: 'c' })
    await node.pass('30ms')
    expect([first.answer?.tag, first.closed, second.session.present]).toEqual(['refused', undefined, true])
  })

  test('SUBACK and UNSUBACK', async () => {
    const node = await storing()
    const connection = node.connect({ clientId: 'c' })
    await node.pass('30ms')
    connection.subscribe('t', 1)
    await node.run()
    expect(cmds(connection)).toEqual([])
    await node.pass('30ms')
    connection.packets({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['t'] })
    await node.run()
    expect(cmds(connection)).toEqual(['suback'])
    await node.pass('30ms')
    expect(cmds(connection)).toEqual(['suback', 'unsuback'])
  })

  test('a message that comes behind SUBACK, whatever its QoS', async () => {
    const node = await storing()
    const sub = await subscriber(node)
    sub.subscribe('u')
    await node.run()
    node.publish(message({ topic: 't' }))
    node.publish(message({ topic: 't', qos: 1 }))
    await node.run()
    expect(cmds(sub)).toEqual(['suback'])
    await node.pass('50ms')
    expect(cmds(sub)).toEqual(['suback', 'suback', 'batch', 'publish'])
  })

  test('PUBACK for a message to a stored session; the message itself goes at once', async () => {
    const node = await storing()
    const sub = await subscriber(node)
    const pub = node.connect({ clientId: 'pub', expirySec: 0 })
    await node.run()
    pub.publish('t', 'x', 1)
    await node.run()
    expect([sub.payloads(), acks(pub)]).toEqual([['x'], []])
    await node.pass('30ms')
    expect(acks(pub)).toEqual([{ cmd: 'puback', messageId: 1 }])
  })

  test('no PUBACK for a message that its client has acknowledged, which then is never on disc', async () => {
    const node = await storing()
    const sub = await subscriber(node)
    const pub = node.connect({ clientId: 'pub', expirySec: 0 })
    await node.run()
    pub.publish('t', 'x', 1)
    await node.run()
    acknowledge(sub)
    await node.run()
    expect(acks(pub)).toEqual([{ cmd: 'puback', messageId: 1 }])
    await node.pass('1s')
    expect(messagesOnDisc(node)).toEqual([])
  })

  test('no PUBACK for a message that its client acknowledges while the disc writes it, and PUBACK for those before it and behind', async () => {
    const node = await storing()
    const sub = await subscriber(node)
    const pub = node.connect({ clientId: 'pub', expirySec: 0 })
    await node.run()
    for (const text of ['x', 'y', 'z']) pub.publish('t', text, 1)
    await node.pass('5ms')
    sub.packets(ack('puback', sub.publishes()[1]!.messageId))
    await node.run()
    expect(acks(pub)).toEqual([])
    acknowledge(sub)
    await node.run()
    expect(acks(pub).map(({ messageId }) => messageId)).toEqual([1, 2, 3])
    await node.pass('1s')
    expect(messagesOnDisc(node)).toEqual([])
  })

  test('a message out of the queue, as long as the disc may have it as one that waits', async () => {
    const node = await storing()
    const sub = node.connect({ clientId: 'sub', receiveMaximum: 1 })
    await node.pass('50ms')
    sub.subscribe('t', 1)
    await node.pass('50ms')
    const pub = node.connect({ clientId: 'pub', expirySec: 0 })
    await node.run()
    for (const text of ['x', 'y', 'z']) pub.publish('t', text, 1)
    await node.run()
    acknowledge(sub)
    await node.run()
    expect(sub.payloads()).toEqual(['x', 'y'])
    await node.pass('30ms')
    acknowledge(sub)
    await node.run()
    expect(sub.payloads()).toEqual(['x', 'y'])
    await node.pass('30ms')
    expect(sub.payloads()).toEqual(['x', 'y', 'z'])
  })

  test('every step of an exchange at QoS 2, on both sides', async () => {
    const node = await storing()
    const sub = await subscriber(node, 'sub', 't', 2)
    const pub = node.connect({ clientId: 'pub' })
    await node.pass('30ms')
    const steps = [
      () => pub.publish('t', 'x', 2),
      () => pub.packets(ack('pubrel', 1)),
      () => sub.packets(ack('pubrec', 1)),
    ]
    const before: string[][] = []
    const after: string[][] = []
    for (const step of steps) {
      const from = [sub.received.length, pub.received.length] as const
      const news = () => [...cmds(sub).slice(from[0]), ...cmds(pub).slice(from[1])]
      step()
      await node.run()
      before.push(news())
      await node.pass('50ms')
      after.push(news())
    }
    expect(before).toEqual([[], [], []])
    expect(after).toEqual([['publish', 'pubrec'], ['pubcomp'], ['pubrel']])
  })

  test('a message at QoS 2, whatever else its client acknowledges meanwhile', async () => {
    const node = await storing()
    const sub = await subscriber(node)
    sub.subscribe('u', 2)
    const pub = node.connect({ clientId: 'pub', expirySec: 0 })
    await node.pass('50ms')
    const exchange = async () => {
      pub.publish('t', 'x', 1)
      await node.run()
      acknowledge(sub)
      await node.pass('1ms')
    }
    await exchange()
    pub.publish('u', 'once', 2)
    for (let ms = 0; ms < 100 && !sub.payloads().includes('once'); ms += 1) await exchange()
    const { message } = sub.publishes().find(({ qos }) => qos === 2)!
    expect(message.payload.toString()).toBe('once')
    expect(messagesOnDisc(node).filter((row) => row.includes('once')).length).toBe(1)
  })

  test('nothing of a session that is not stored', async () => {
    const node = await storing()
    const sub = node.connect({ clientId: 'sub', expirySec: 0 })
    const pub = node.connect({ clientId: 'pub', expirySec: 0 })
    await node.run()
    sub.subscribe('t', 2)
    await node.run()
    pub.publish('t', 'x', 2)
    await node.run()
    expect([cmds(sub), cmds(pub)]).toEqual([['suback', 'publish'], ['pubrec']])
  })
})

describe('in a cluster', () => {
  /** A client whose session is stored, and one that is not and gets what that publishes. */
  async function publisher(others: { readonly hasOthers: boolean }) {
    const node = new SessionNode(1, LIMITS, 1000, true)
    Object.assign(node.environment, { homes: others })
    await node.start()
    const watcher = node.connect({ clientId: 'watcher', expirySec: 0 })
    const client = node.connect({ clientId: 'c' })
    await node.pass('50ms')
    watcher.subscribe('t', 2)
    await node.run()
    return { node, watcher, client }
  }

  test('what a client publishes at QoS 2 waits for the disc, and what is behind it, before it leaves the node', async () => {
    const alone = await publisher({ hasOthers: false })
    alone.client.publish('t', 'a', 2)
    await alone.node.run()
    expect(alone.watcher.payloads()).toEqual(['a'])
    const { node, watcher, client } = await publisher({ hasOthers: true })
    client.publish('t', 'a', 1)
    client.publish('t', 'b', 2)
    client.publish('t', 'c', 1)
    await node.run()
    expect(watcher.payloads()).toEqual(['a'])
    await node.pass('50ms')
    expect(watcher.payloads()).toEqual(['a', 'b', 'c'])
  })

  test('what waits like that is published when the session ends', async () => {
    const { node, watcher, client } = await publisher({ hasOthers: true })
    client.publish('t', 'a', 2)
    client.disconnect(false, 0)
    await node.run()
    expect(watcher.payloads()).toEqual(['a'])
  })

  /** A member of a group with a message that the disc does not have yet, its publisher, and what of groups is on disc. */
  async function leaving() {
    const node = await storing()
    const member = await subscriber(node, 'c', '$share/g/t')
    member.subscribe('u')
    const publisher = node.connect({ clientId: 'p', expirySec: 0 })
    await node.pass('50ms')
    publisher.publish('t', 'a', 1)
    await node.run()
    const other = pidOf(1, { name: 'b@sim', creation: 1 })
    const options = { qos: 1 as const, rap: false, id: undefined, durable: true, online: true }
    const there = node.tables.member('b@sim').open(SHARED_SUBSCRIPTION)
    there.write({ filter: 't', group: 'g', pid: other, clientId: 'o', ...options })
    node.tables.settle()
    expect([member.payloads(), acks(publisher)]).toEqual([['a'], []])
    return { node, member, publisher, other, left: () => leftOnDisc(node) }
  }

  test('PUBACK, when the client of a member of a group goes, for what it leaves to another', async () => {
    const { node, member, publisher, left } = await leaving()
    member.crash()
    await node.run()
    // It looks at what waits when it has taken something.
    node.publish(message({ topic: 'u', qos: 1 }))
    await node.run()
    expect([acks(publisher), left()]).toEqual([[], []])
    await node.pass('50ms')
    expect([acks(publisher).length, left()]).toEqual([1, ['group/$share/g/t']])
  })

  test('PUBACK, when the session of a member of a group ends, for what it leaves to another', async () => {
    const { node, publisher, left } = await leaving()
    node.connect({ clientId: 'c', cleanStart: true })
    await node.run()
    // The other member knows that it has left the group.
    node.tables.settle()
    await node.run()
    expect([acks(publisher), left()]).toEqual([[], []])
    await node.pass('50ms')
    expect([acks(publisher).length, left()]).toEqual([1, ['group/$share/g/t']])
  })

  test('what is kept for a group goes from the disc when a member has it there', async () => {
    const { node, member, other, left } = await leaving()
    member.crash()
    await node.pass('50ms')
    const { contents } = node.stored!.disc
    const [[, row]] = [...contents.entries(left()[0]!)] as [[string, Uint8Array]]
    expect(messagesOnDisc(node)).toEqual([])
    const { message: kept } = readKept(row)
    const { pubsub } = node.environment
    pubsub.give(kept, pubsub.memberFor(kept, { group: 'g', filter: 't' }, other)!)
    await node.pass('50ms')
    expect([messagesOnDisc(node).length, left()]).toEqual([1, []])
  })
})

describe('while the disc refuses', () => {
  test('sessions go on in memory, and publishers are told that nothing is safe: 5.0 by 0x80, 3.1.1 by the end of the connection', async () => {
    const node = await storing()
    const sub = await subscriber(node)
    const [new5, old] = [
      node.connect({ clientId: 'new', expirySec: 0 }),
      node.connect({ clientId: 'old', expirySec: 0, protocolVersion: 4 }),
    ]
    await node.run()
    node.stored!.disc.setFull(true)
    new5.publish('t', 'a', 1)
    old.publish('t', 'b', 1)
    await node.pass('1s')
    expect(sub.payloads()).toEqual(['a', 'b'])
    expect(acks(new5)).toEqual([{ cmd: 'puback', messageId: 1, reasonCode: 0x80 }])
    expect([acks(old), old.closed?.reasonCode]).toEqual([[], 0x80])
    // What it is asked for itself it grants.
    sub.subscribe('u', 1)
    const another = node.connect({ clientId: 'another' })
    await node.pass('1s')
    expect([cmds(sub).at(-1), another.session.present]).toEqual(['suback', false])
    expect([node.stored!.failures.length, node.stored!.recoveries]).toEqual([1, 0])
  })

  test('what was put down meanwhile is on disc when it takes again, and publishers are acknowledged', async () => {
    const node = await storing()
    const sub = await subscriber(node)
    const pub = node.connect({ clientId: 'pub', expirySec: 0 })
    await node.run()
    node.stored!.disc.setFull(true)
    sub.crash()
    pub.publish('t', 'a', 1)
    await node.pass('1s')
    node.stored!.disc.setFull(false)
    await node.pass('1s')
    expect(node.stored!.recoveries).toBe(1)
    pub.publish('t', 'b', 1)
    await node.pass('1s')
    expect(acks(pub)).toEqual([
      { cmd: 'puback', messageId: 1, reasonCode: 0x80 },
      { cmd: 'puback', messageId: 2 },
    ])
    const { contents } = node.stored!.disc
    expect(contents.count(contents.spaces().find((space) => space.startsWith('m/'))!)).toBe(2)
  })

  test('a QoS 2 message that was refused may be published again', async () => {
    const node = await storing()
    const sub = await subscriber(node)
    const pub = node.connect({ clientId: 'pub', expirySec: 0 })
    await node.run()
    node.stored!.disc.setFull(true)
    pub.publish('t', 'a', 2)
    await node.pass('1s')
    expect(acks(pub)).toEqual([{ cmd: 'pubrec', messageId: 1, reasonCode: 0x80 }])
    expect(shown(node, 'pub').awaitingRel).toBe(0)
    expect(sub.payloads()).toEqual(['a'])
  })
})

describe('a stored session whose process crashes', () => {
  test('is there again, with its messages and its subscriptions', async () => {
    const node = await storing()
    const sub = await subscriber(node)
    sub.crash()
    node.publish(message({ topic: 't', qos: 1, payload: Buffer.from('a') }))
    await node.pass('50ms')
    const before = node.sessions.lookup('sub')!.pid
    node.runtime.exit(before, 'kill')
    await node.pass('50ms')
    expect(node.sessions.lookup('sub')!.pid.equals(before)).toBe(false)
    expect(shown(node, 'sub')).toMatchObject({ messageQueue: 1, connected: false, subscriptions: [['t', 1]] })
    node.publish(message({ topic: 't', qos: 1, payload: Buffer.from('b') }))
    const again = node.connect({ clientId: 'sub' })
    await node.pass('50ms')
    expect([again.session.present, again.payloads()]).toEqual([true, ['a', 'b']])
  })

  test('is found by a client that comes before it is', async () => {
    const node = await storing()
    const sub = await subscriber(node)
    node.runtime.exit(sub.session.session, 'kill')
    const again = node.connect({ clientId: 'sub' })
    await node.pass('50ms')
    expect(again.session.present).toBe(true)
    expect(node.livingSessions().length).toBe(1)
  })

  test('again and again is given up and told of; its client then gets another, and nothing of it stays', async () => {
    const node = await storing()
    await subscriber(node)
    for (let crashes = 0; crashes < 4; crashes += 1) {
      node.runtime.exit(node.sessions.lookup('sub')!.pid, 'kill')
      await node.pass('50ms')
    }
    expect(node.sessions.lookup('sub')).toBe(undefined)
    expect(node.stored!.unreadable).toMatchObject([{ clientId: 'sub', space: 'session' }])
    const again = node.connect({ clientId: 'sub' })
    await node.pass('50ms')
    expect(again.session.present).toBe(false)
    expect(node.stored!.disc.contents.count('session')).toBe(1)
  })
})
