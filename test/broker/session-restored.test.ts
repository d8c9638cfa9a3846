/** A session that was stored: what goes on, from where it was, when its node is there again. */
import { expect, test } from 'vitest'
import { takingOf } from '../../src/broker/session/hand-over.ts'
import type { Effect } from '../../src/broker/session/session-state.ts'
import { MemoryStore } from '../../src/mnesia/store/memory-store.ts'
import { client, LIMITS, message, only, pid, publish, will } from './session-support.ts'
import { StoredMachine } from './stored-support.ts'

/** Its client was there until 2000, and the node is there again at 12,000. */
function restored(changes: Parameters<typeof client>[0], willWasPublished = false) {
  const store = new MemoryStore()
  const lost = new StoredMachine(store, LIMITS, client(changes))
  lost.subscribe(1, [{ topic: 't', qos: 2 }])
  lost.nowMs = 2000
  lost.detach()
  if (willWasPublished) lost.event({ tag: 'will_settled' })
  lost.nowMs = 12_000
  return lost.found(store)
}

const timers = (machine: StoredMachine) =>
  only(machine.effects, 'start_timer').map(({ timer, delayMs }) => [timer, delayMs] as const)

test('the will and the expiry are due when they were', () => {
  const machine = restored({ expirySec: 60, will: will({ delaySec: 30 }) })
  expect(timers(machine)).toEqual([
    ['will', 20_000],
    ['expiry', 50_000],
  ])
})

test('they are due at once when their time has passed', () => {
  const machine = restored({ expirySec: 9, will: will({ delaySec: 8 }) })
  expect(timers(machine)).toEqual([
    ['will', 0],
    ['expiry', 0],
  ])
})

test('a will that was published is not due again', () => {
  const machine = restored({ expirySec: 60, will: will({ delaySec: 30 }) }, true)
  expect(timers(machine)).toEqual([['expiry', 50_000]])
})

test('what has come at QoS 2 since the node started has come to it, and is not taken from another session', () => {
  const { state } = restored({})
  const messages = ['known', 'new'].map((id) => message({ id, qos: 2 }))
  const arrivalOf = ({ id }: { id: string }) => (id === 'known' ? '1' : undefined)
  const { runs } = takingOf(state, { messages, connectedAtMs: 0 }, arrivalOf)
  expect(runs.flatMap(({ batch }) => batch.messages.map(({ id }) => id))).toEqual(['new'])
})

test('a QoS 2 message of the client that may not have reached all is published again, under the id that it had', () => {
  const store = new MemoryStore()
  const lost = new StoredMachine(store, LIMITS, client())
  // Nobody says that it has.
  lost.manual = true
  lost.packets([publish(2, 1)])
  const machine = lost.found(store)
  machine.attach({ connection: pid(200) })
  machine.packets([publish(2, 1)])
  const ids = (effects: readonly Effect[]) =>
    only(effects, 'publish').flatMap(({ messages }) => messages.map(({ id }) => id))
  expect(ids(machine.effects)).toEqual(ids(lost.effects))
  machine.packets([publish(2, 1)])
  expect(ids(machine.effects)).toHaveLength(1)
})
