import { describe, expect, test } from 'vitest'
import { RC } from '../../src/broker/reason-codes.ts'
import { snapshot } from '../../src/broker/session/session-snapshot.ts'
import { NEVER_SEC } from '../../src/broker/session/session-state.ts'
import {
  ack,
  client,
  limits,
  Machine,
  matched,
  message,
  only,
  pid,
  publish,
  publishes,
  run,
  sent,
  will,
} from './session-support.ts'

describe('opening and resuming', () => {
  test('the first connection finds no session, a later one does [MQTT5-3.2.2-2, 3]', () => {
    const machine = new Machine()
    expect(only(machine.effects, 'attached')).toMatchObject([{ present: false, takenOver: false }])
    machine.detach()
    expect(only(machine.attach(), 'attached')).toMatchObject([{ present: true, takenOver: false }])
  })

  test('the answer to the connection comes before any packet for it', () => {
    const machine = new Machine()
    machine.deliver(run([message({ qos: 1 })], matched(1)))
    machine.detach()
    const tags = machine.attach().map(({ tag }) => tag)
    expect(tags.indexOf('attached')).toBeLessThan(tags.indexOf('out'))
  })

  test('a take-over closes the former connection with 0x8E, before the new one is told [MQTT5-3.1.4-3] [MQTT311-3.1.4-2]', () => {
    const machine = new Machine()
    const effects = machine.attach({ connection: pid(200) })
    expect(only(effects, 'close')).toEqual([
      { tag: 'close', to: pid(100), reasonCode: RC.session_taken_over, reason: 'session_taken_over' },
    ])
    expect(only(effects, 'attached')).toMatchObject([{ present: true, takenOver: true }])
    expect(effects.findIndex(({ tag }) => tag === 'close')).toBeLessThan(
      effects.findIndex(({ tag }) => tag === 'attached'),
    )
  })

  test('what a connection says that has been let go is ignored', () => {
    const machine = new Machine()
    machine.attach({ connection: pid(200) })
    const from = pid(100)
    expect(machine.event({ tag: 'packets', from, packets: [publish(1, 1)], sync: true })).toEqual([])
    expect(machine.event({ tag: 'congested', from, on: true })).toEqual([])
    expect(machine.event({ tag: 'detach', from, publishWill: true, expirySec: 0, reason: 'x' })).toEqual([])
    expect(machine.state.connection).toEqual(pid(200))
  })

  test('a clean start ends the session that is there [MQTT5-3.1.2-4] [MQTT311-3.1.2-6]', () => {
    const machine = new Machine()
    machine.detach()
    expect(only(machine.attach({ cleanStart: true }), 'ended')).toEqual([{ tag: 'ended', reason: 'discarded' }])
    expect(machine.deliver(run([message()], matched(0)))).toEqual([])
  })

  test('a session without expiry is not resumed by a take-over, whatever the new connection asks for', () => {
    const machine = new Machine(limits(), client({ expirySec: 0, will: will({ delaySec: 100 }) }))
    const effects = machine.attach({ connection: pid(200), expirySec: 3600 })
    expect(only(effects, 'close')).toMatchObject([{ to: pid(100), reasonCode: RC.session_taken_over }])
    // Its session ends, so its will is due at once.
    expect(only(effects, 'publish')).toMatchObject([{ messages: [{ topic: 'will/c' }] }])
    expect(only(effects, 'ended')).toHaveLength(1)
    expect(only(effects, 'attached')).toEqual([])
  })
})

describe('expiry', () => {
  test('a session with expiry 0 ends with its connection [MQTT5-3.1.2-23]', () => {
    const machine = new Machine(limits(), client({ expirySec: 0 }))
    expect(only(machine.detach(), 'ended')).toEqual([{ tag: 'ended', reason: 'disconnected' }])
  })

  test('a session waits for its expiry and then ends', () => {
    const machine = new Machine(limits(), client({ expirySec: 60 }))
    expect(only(machine.detach(), 'start_timer')).toEqual([{ tag: 'start_timer', timer: 'expiry', delayMs: 60_000 }])
    expect(only(machine.event({ tag: 'timeout', timer: 'expiry' }), 'ended')).toEqual([
      { tag: 'ended', reason: 'expired' },
    ])
  })

  test('0xFFFFFFFF never expires [MQTT5-3.1.2.11.2]', () => {
    const machine = new Machine(limits(), client({ expirySec: NEVER_SEC }))
    const effects = machine.detach()
    expect(only(effects, 'start_timer')).toEqual([])
    expect(only(effects, 'detached')).toHaveLength(1)
  })

  test('DISCONNECT may change the expiry, to 0 as well', () => {
    const machine = new Machine(limits(), client({ expirySec: 60 }))
    expect(only(machine.detach({ expirySec: 5 }), 'start_timer')).toMatchObject([{ delayMs: 5000 }])
    machine.attach({ expirySec: 60 })
    expect(only(machine.detach({ expirySec: 0 }), 'ended')).toHaveLength(1)
  })

  test('DISCONNECT cannot give a session without expiry one [MQTT5-3.14.2-2]', () => {
    const machine = new Machine(limits(), client({ expirySec: 0 }))
    expect(only(machine.detach({ expirySec: 60 }), 'ended')).toHaveLength(1)
  })

  test('a return stops the expiry, and a late timer does nothing', () => {
    const machine = new Machine()
    machine.detach()
    expect(only(machine.attach(), 'cancel_timer')).toMatchObject([{ timer: 'expiry' }])
    expect(machine.event({ tag: 'timeout', timer: 'expiry' })).toEqual([])
  })

  test('messages that wait when a session ends are counted as lost', () => {
    const machine = new Machine()
    machine.detach()
    machine.deliver(run([message({ qos: 1 }), message()], matched(1)))
    const effects = machine.event({ tag: 'timeout', timer: 'expiry' })
    expect(only(effects, 'dropped')).toMatchObject([{ reason: 'session_ended' }])
    expect(machine.state.counters.dropped).toBe(2)
  })
})

describe('the will', () => {
  const withWill = (changes = {}, info = {}) => new Machine(limits(), client({ will: will(changes), ...info }))

  test('is published when the connection ends otherwise than by DISCONNECT [MQTT5-3.1.2-8] [MQTT311-3.1.2-8]', () => {
    const machine = withWill({ retain: true, expirySec: 10 })
    machine.nowMs = 5000
    expect(only(machine.detach({ publishWill: true }), 'publish')).toMatchObject([
      {
        ticket: 0,
        messages: [{ topic: 'will/c', from: 'c', qos: 1, retain: true, publishedAtMs: 5000, expiresAtMs: 15_000 }],
      },
    ])
  })

  test('is not published after DISCONNECT, and never later [MQTT5-3.1.2-10] [MQTT311-3.1.2-10]', () => {
    const machine = withWill()
    expect(only(machine.detach({ publishWill: false }), 'publish')).toEqual([])
    expect(only(machine.event({ tag: 'timeout', timer: 'expiry' }), 'publish')).toEqual([])
  })

  test('waits for its delay [MQTT5-3.1.3-9]', () => {
    const machine = withWill({ delaySec: 30 })
    const effects = machine.detach()
    expect(only(effects, 'publish')).toEqual([])
    expect(only(effects, 'start_timer')).toContainEqual({ tag: 'start_timer', timer: 'will', delayMs: 30_000 })
    expect(only(machine.event({ tag: 'timeout', timer: 'will' }), 'publish')).toHaveLength(1)
    expect(only(machine.event({ tag: 'timeout', timer: 'expiry' }), 'publish')).toEqual([])
  })

  test('is published at the end of the session when that comes before the delay is over [MQTT5-3.1.3-9]', () => {
    const machine = withWill({ delaySec: 30 }, { expirySec: 10 })
    expect(only(machine.detach(), 'start_timer')).toContainEqual({ tag: 'start_timer', timer: 'will', delayMs: 10_000 })
    expect(only(machine.event({ tag: 'timeout', timer: 'expiry' }), 'publish')).toHaveLength(1)
    const transient = withWill({ delaySec: 30 }, { expirySec: 0 })
    expect(only(transient.detach(), 'publish')).toHaveLength(1)
  })

  test('is not published when the client returns within the delay [MQTT5-3.1.3-9]', () => {
    const machine = withWill({ delaySec: 30 })
    machine.detach()
    const effects = machine.attach({ will: undefined })
    expect(only(effects, 'publish')).toEqual([])
    expect(only(effects, 'cancel_timer')).toContainEqual({ tag: 'cancel_timer', timer: 'will' })
    expect(only(machine.detach(), 'publish')).toEqual([])
  })

  test('with a delay is not published at a take-over that resumes the session; without one it is', () => {
    expect(only(withWill({ delaySec: 30 }).attach({ connection: pid(200) }), 'publish')).toEqual([])
    expect(only(withWill().attach({ connection: pid(200) }), 'publish')).toHaveLength(1)
  })

  test('is published when a clean start ends its session, though its delay is not over', () => {
    const taken = withWill({ delaySec: 30 })
    expect(only(taken.attach({ connection: pid(200), cleanStart: true }), 'publish')).toHaveLength(1)
    const away = withWill({ delaySec: 30 })
    away.detach()
    expect(only(away.attach({ cleanStart: true }), 'publish')).toHaveLength(1)
  })

  test('of a new connection replaces that of the former one', () => {
    const machine = withWill({ delaySec: 30 })
    machine.attach({ connection: pid(200), will: will({ topic: 'will/new' }) })
    expect(only(machine.detach(), 'publish')).toMatchObject([{ messages: [{ topic: 'will/new' }] }])
  })
})

describe('an administrator', () => {
  test('closes the connection, and the session waits as its expiry says', () => {
    const machine = new Machine()
    const effects = machine.event({ tag: 'kick', reasonCode: RC.administrative_action, reason: 'kicked' })
    expect(only(effects, 'close')).toMatchObject([{ to: pid(100), reasonCode: RC.administrative_action }])
    // Until the connection has gone, what comes for the client waits.
    expect(sent(machine.deliver(run([message({ qos: 1 })], matched(1))))).toEqual([])
    machine.detach()
    expect(publishes(machine.attach())).toHaveLength(1)
  })

  test('ends a session', () => {
    const effects = new Machine().event({ tag: 'discard', reasonCode: RC.administrative_action, reason: 'discarded' })
    expect(only(effects, 'close')).toHaveLength(1)
    expect(only(effects, 'ended')).toEqual([{ tag: 'ended', reason: 'kicked' }])
  })
})

test('a snapshot shows what the session holds', () => {
  const machine = new Machine(limits({ maxInflight: 2 }), client({ receiveMaximum: 10 }))
  machine.subscribe(1, [{ topic: 'a/#', qos: 1 }])
  machine.manual = true
  machine.packets([publish(2, 7)])
  machine.deliver(run([message({ qos: 1 }), message({ qos: 2 }), message({ qos: 2 })], matched(2)))
  machine.packets([ack('pubrec', 2)])
  expect(snapshot(machine.state)).toMatchObject({
    clientId: 'c',
    cleanSess: false,
    connected: true,
    maxInflight: 2,
    inflightQueue: 2,
    messageQueue: 1,
    messageDropped: 0,
    awaitingRel: 1,
    awaitingAck: 1,
    awaitingComp: 1,
    subscriptions: [['a/#', 1]],
    deliverMsg: 2,
    enqueueMsg: 1,
  })
  expect(structuredClone(snapshot(machine.state))).toEqual(snapshot(machine.state))
})
