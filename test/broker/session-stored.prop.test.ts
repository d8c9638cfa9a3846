import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { OutPacket, SessionPacket } from '../../src/broker/process-messages.ts'
import type { Effect, SessionEvent } from '../../src/broker/session/session-state.ts'
import { MemoryStore } from '../../src/mnesia/store/memory-store.ts'
import { ack, client, limits, matched, message, pid, publish, run } from './session-support.ts'
import { StoredMachine, storedIn } from './stored-support.ts'

const LIMITS = limits({ maxInflight: 6, queue: { maxLength: 12, priorities: { urgent: 3 } } })
const SHARE = { group: 'g', filter: 't' }

/** A step of a history; what it does depends on the state that it meets, so that histories get somewhere. */
type Step = (machine: StoredMachine, n: number) => void

const qos = fc.constantFrom<1 | 2>(1, 2)
const id = fc.integer({ min: 1, max: 9 })
const filter = fc.constantFrom('a', 'a/+', '$share/g/t', '#', '$local/b')

const packets = (machine: StoredMachine, ...list: SessionPacket[]): void => {
  if (machine.state.connection !== undefined) machine.packets(list)
}

const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc
      .record({ qos, topic: fc.constantFrom('t', 'u', 'urgent'), ids: fc.boolean(), share: fc.boolean(), count: id })
      .map(
        ({ qos: how, topic, ids, share, count }): Step =>
          (machine, n) => {
            const messages = Array.from({ length: count }, (_, i) =>
              message({ id: `m${n}.${i}`, qos: how, topic, retain: i === 1, payload: Buffer.from(`${n}.${i}`) }),
            )
            const options = { rap: ids, ids: ids ? [n, 7] : undefined, share: share ? SHARE : undefined }
            machine.deliver(run(messages, matched(2, options)))
          },
      ),
  },
  {
    weight: 6,
    arbitrary: fc.tuple(fc.constantFrom('puback', 'pubrec', 'pubcomp'), fc.nat(5), fc.boolean()).map(
      ([cmd, at, refuses]): Step =>
        (machine) => {
          const { inflight } = machine.state
          const ids = cmd === 'pubcomp' ? inflight.pubrels() : inflight.publishes().map(({ messageId }) => messageId)
          if (ids.length > 0) packets(machine, ack(cmd, ids[at % ids.length]!, refuses && cmd === 'pubrec' ? 0x80 : 0))
        },
    ),
  },
  {
    weight: 4,
    arbitrary: fc.tuple(id, fc.boolean()).map(
      ([messageId, denied]): Step =>
        (machine) =>
          packets(machine, publish(2, messageId, { denied: denied ? 0x87 : 0 })),
    ),
  },
  {
    weight: 3,
    arbitrary: id.map(
      (messageId): Step =>
        (machine) =>
          packets(machine, ack('pubrel', messageId)),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(filter, qos, fc.boolean()).map(
      ([topic, how, nl]): Step =>
        (machine, n) => {
          if (machine.state.connection !== undefined) machine.subscribe(1, [{ topic, qos: how, nl, rh: 2 }], n + 1)
        },
    ),
  },
  {
    weight: 1,
    arbitrary: filter.map(
      (topic): Step =>
        (machine) =>
          packets(machine, { cmd: 'unsubscribe', messageId: 2, unsubscriptions: [topic] }),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.constant<Step>((machine) => {
      if (machine.state.connection !== undefined) machine.detach({ publishWill: false })
    }),
  },
  {
    weight: 3,
    arbitrary: fc.tuple(fc.constantFrom(1, 3, 65_535), fc.constantFrom<4 | 5>(4, 5)).map(
      ([receiveMaximum, protocolVersion]): Step =>
        (machine, n) =>
          machine.attach({ receiveMaximum, protocolVersion, connection: pid(200 + n) }),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.boolean().map(
      (on): Step =>
        (machine) => {
          const { connection } = machine.state
          if (connection !== undefined) machine.event({ tag: 'congested', from: connection, on })
        },
    ),
  },
)

const writes: fc.Arbitrary<Step> = fc.boolean().map(
  (all): Step =>
    (machine) =>
      machine.write(all),
)

const histories = fc.array(fc.oneof({ weight: 25, arbitrary: steps }, { weight: 5, arbitrary: writes }), {
  maxLength: 40,
})

/** What a session does from here on, as far as anybody outside can see. */
function future(machine: StoredMachine, more: readonly Step[], from: number): unknown {
  // The clients of other members went with the node.
  machine.isAlone = true
  if (machine.state.connection !== undefined) machine.detach({ publishWill: false })
  machine.isAlone = false
  const { effects, state } = machine
  effects.length = 0
  more.forEach((step, i) => {
    step(machine, from + i)
  })
  machine.attach({ receiveMaximum: 65_535, protocolVersion: 5, connection: pid(999) })
  for (let rest = state.inflight.publishes(); rest.length > 0; rest = state.inflight.publishes()) {
    for (const { messageId, qos: how } of rest) machine.packets([ack(how === 1 ? 'puback' : 'pubrec', messageId)])
  }
  const names = new Map<number, string>()
  return {
    effects: effects.map((effect) => visible(effect, names)),
    subscriptions: new Map([...state.subscriptions].sort(([a], [b]) => (a < b ? -1 : 1))),
    pubrels: state.inflight.pubrels().map((messageId) => names.get(messageId) ?? messageId),
    awaitingRel: state.awaitingRel.toArray().sort((a, b) => a - b),
    expirySec: state.expirySec,
  }
}

/**
 * An effect without tickets, numbers in the store, what waits for the disc, since that has taken more or less of it, and ids of messages that are made anew. Identifiers of messages that are sent for the first time are
 * named in their order: which ones are free is all that a restart may change.
 */
function visible(effect: Effect, names: Map<number, string>): unknown {
  const nameOf = (messageId: number) => names.get(messageId) ?? messageId
  const name = (packet: OutPacket): unknown => {
    if (packet.cmd === 'publish') {
      const { messageId, dup } = packet
      if (!dup) names.set(messageId, `new ${names.size} ${packet.message.payload}`)
      return { ...packet, messageId: nameOf(messageId) }
    }
    return packet.cmd === 'pubrel' ? { ...packet, messageId: nameOf(packet.messageId) } : packet
  }
  const named = (each: Effect): unknown => {
    if (each.tag === 'out') return { ...each, packets: each.packets.map(name) }
    if (each.tag !== 'redispatch') return each
    return { ...each, inflight: each.inflight.map((held) => ({ ...held, messageId: nameOf(held.messageId) })) }
  }
  return JSON.parse(
    JSON.stringify(named(effect), (key, value: unknown) =>
      key === 'ticket' || key === 'number' || key === 'waits' || (key === 'id' && String(value).startsWith('own'))
        ? undefined
        : value,
    ),
  )
}

describe('a session that is found again in the store', () => {
  test('goes on as the one that was lost would have', () => {
    fc.assert(
      fc.property(histories, histories, (past, more) => {
        const store = new MemoryStore()
        const lost = new StoredMachine(store, LIMITS, client({ receiveMaximum: 4 }))
        past.forEach((step, i) => {
          step(lost, i)
        })
        lost.write(true)
        const found = lost.found(copyOf(store))
        expect(future(found, more, past.length)).toEqual(future(lost, more, past.length))
      }),
      { numRuns: 300 },
    )
  })

  test('so does one that has moved to another node, be it stored or in memory', () => {
    fc.assert(
      fc.property(histories, histories, fc.boolean(), (past, more, inMemory) => {
        const left = new StoredMachine(new MemoryStore(), LIMITS, client({ receiveMaximum: 4 }))
        past.forEach((step, i) => {
          step(left, i)
        })
        if (left.state.connection !== undefined) left.event({ tag: 'leave' })
        const moved = left.moved(inMemory)
        expect(moved.state.counters).toEqual(left.state.counters)
        expect(future(moved, more, past.length)).toEqual(future(left, more, past.length))
      }),
      { numRuns: 300 },
    )
  })

  test('is in the store as it is, after each event', () => {
    fc.assert(
      fc.property(histories, (past) => {
        const machine = new StoredMachine(new MemoryStore(), LIMITS, client())
        past.forEach((step, i) => {
          step(machine, i)
          const { inflight, queue, awaitingRel } = machine.state
          const contents = machine.contents()
          expect(contents.queued.length).toBe(queue?.ackedLength ?? 0)
          expect(contents.inflight.filter(({ phase }) => phase === 'pubrel').length).toBe(inflight.awaitingComp)
          expect(contents.inflight.flatMap((each) => (each.phase === 'publish' ? [each.packet] : []))).toEqual(
            inflight.publishes(),
          )
          expect([...contents.received.keys()].sort()).toEqual(awaitingRel.toArray().sort())
        })
      }),
    )
  })

  test('knows what it has had at QoS 2, however often it was restored', () => {
    const store = new MemoryStore()
    let machine = new StoredMachine(store, LIMITS, client())
    const ids = Array.from({ length: 9 }, (_, i) => `m${i}`)
    for (const [i, id] of ids.entries()) {
      machine.deliver(run([message({ id, qos: 2 })], matched(2)))
      const [sent] = machine.state.inflight.publishes()
      machine.packets([ack('pubrec', sent!.messageId), ack('pubcomp', sent!.messageId)])
      if (i % 3 < 2) continue
      machine = machine.found(store)
      machine.attach({ connection: pid(200 + i) })
    }
    expect([...machine.state.known!].sort()).toEqual(ids)
  })

  test('remembers as many of what it has had as were the last, over restarts too', () => {
    const store = new MemoryStore()
    let machine = new StoredMachine(store, LIMITS, client())
    const counts = [200, 200].map((count) => {
      for (let i = 0; i < count; i += 1) {
        machine.deliver(run([message({ qos: 2 })], matched(2)))
        const [sent] = machine.state.inflight.publishes()
        machine.packets([ack('pubrec', sent!.messageId), ack('pubcomp', sent!.messageId)])
      }
      machine = machine.found(store)
      machine.attach({ connection: pid(200) })
      return machine.contents().done.length
    })
    expect(counts).toEqual([200, 256])
  })

  test('is none, and leaves nothing, when it was on its way to a node that has ended', () => {
    fc.assert(
      fc.property(histories, (past) => {
        const left = new StoredMachine(new MemoryStore(), LIMITS, client())
        past.forEach((step, i) => {
          step(left, i)
        })
        const store = new MemoryStore()
        left.comeTo(store)
        expect(store.spaces()).toContain('arriving')
        expect(storedIn(store)).toEqual([])
        expect(store.spaces()).toEqual(['number'])
      }),
    )
  })

  test('leaves nothing in the store when it ends but what is for its groups', () => {
    const isLast = (machine: StoredMachine, i: number) => machine.attach({ expirySec: 0, connection: pid(i) })
    const ends: Step[] = [
      (machine) => machine.event({ tag: 'discard', reasonCode: 0x98, reason: 'x' }),
      (machine) => machine.attach({ cleanStart: true, connection: pid(999) }),
      (machine) => {
        if (machine.state.connection === undefined) machine.event(EXPIRED)
        else machine.detach({ expirySec: 0 })
      },
      isLast,
    ]
    fc.assert(
      fc.property(histories, fc.constantFrom(...ends), fc.boolean(), (past, end, isFound) => {
        const store = new MemoryStore()
        const machine = new StoredMachine(store, LIMITS, client())
        past.forEach((step, i) => {
          step(machine, i)
        })
        const ending = isFound ? machine.found(store) : machine
        const { inflight, queue } = ending.state
        const queued = queue?.select(({ number, share }) => number > 0 && share !== undefined) ?? []
        const held = [...inflight.shared(), ...queued].map(({ message: { id } }) => id)
        end(ending, past.length)
        expect(store.spaces().filter((space) => space !== SPACE)).toEqual(['number'])
        const kept = [...store.entries(SPACE)].map(([id]) => id)
        // One that is not to outlive its connection has it in memory.
        if (end !== isLast) expect(kept).toEqual(expect.arrayContaining(held))
      }),
    )
  })
})

const SPACE = 'group/$share/g/t'
const EXPIRED: SessionEvent = { tag: 'timeout', timer: 'expiry' }

function copyOf(store: MemoryStore): MemoryStore {
  const copy = new MemoryStore()
  for (const space of store.spaces()) {
    for (const [key, value] of store.entries(space)) copy.commit([{ space, key, value }])
  }
  return copy
}
