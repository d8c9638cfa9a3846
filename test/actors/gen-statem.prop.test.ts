/** Postponed and inserted events of a state machine against a model: in which order a machine sees its events. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  type Action,
  genStatem,
  nextEvent,
  nextState,
  postpone,
  started,
  stateTimeout,
} from '../../src/actors/gen-statem.ts'
import { World } from './world.ts'

/** What the machine does with an event in a state. */
interface Rule {
  readonly next: number
  readonly postpone: boolean
  /** Events inserted, only by events from outside, so that a run ends. */
  readonly insert: number
  readonly timeout: boolean
}

const STATES = 3
const KINDS = 4

interface Entry {
  readonly kind: number
  readonly text: string
  readonly inner: boolean
}

/** The rules of gen_statem with plain lists: what is seen, as `state:event`. */
function model(rules: readonly Rule[], events: readonly number[]): string[] {
  const seen: string[] = []
  let state = 0
  let postponed: Entry[] = []
  let zeroTimeout = 0
  let timeouts = 0
  let queue: (Entry | { timeout: number })[] = []
  events.forEach((kind, n) => {
    queue.push({ kind, text: `${kind}#${n}`, inner: false })
    while (queue.length > 0) {
      const entry = queue.shift()!
      if ('timeout' in entry) {
        if (entry.timeout !== zeroTimeout) continue
        zeroTimeout = 0
        seen.push(`${state}:timeout`)
        continue
      }
      seen.push(`${state}:${entry.text}`)
      const rule = rules[state * KINDS + entry.kind]!
      const changed = rule.next !== state
      if (changed) zeroTimeout = 0
      if (rule.postpone) postponed.push(entry)
      const inserted: Entry[] = []
      for (let i = 0; i < (entry.inner ? 0 : rule.insert); i++) {
        inserted.push({ kind: i % KINDS, text: `${entry.text}+${i}`, inner: true })
      }
      const due: { timeout: number }[] = []
      if (rule.timeout) {
        zeroTimeout = ++timeouts
        due.push({ timeout: zeroTimeout })
      }
      const retried = changed ? postponed : []
      if (changed) postponed = []
      state = rule.next
      queue = [...inserted, ...retried, ...queue, ...due]
      if (seen.length > 200) return
    }
  })
  return seen
}

const ruleArbitrary = fc.record({
  next: fc.nat(STATES - 1),
  postpone: fc.boolean(),
  insert: fc.constantFrom(0, 0, 0, 1, 2),
  timeout: fc.constantFrom(false, false, true),
})

test('a state machine sees postponed, inserted and due events in the order of the model', async () => {
  const scenario = fc.record({
    rules: fc.array(ruleArbitrary, { minLength: STATES * KINDS, maxLength: STATES * KINDS }),
    events: fc.array(fc.nat(KINDS - 1), { maxLength: 12 }),
  })
  await fc.assert(
    fc.asyncProperty(scenario, async ({ rules, events }) => {
      const expected = model(rules, events)
      // Rules that postpone and change the state for ever would keep any machine busy for ever.
      fc.pre(expected.length <= 200)
      const world = new World()
      const seen: string[] = []
      const machine = genStatem<number, undefined, Record<never, never>, { event: (entry: Entry) => void }>({
        init: () => started(0, undefined),
        handleEvent: (event, state) => {
          if (event.type === 'state_timeout') {
            seen.push(`${state}:timeout`)
            return undefined
          }
          const entry = (event.type === 'cast' ? event.args[0] : (event as { content: unknown }).content) as Entry
          seen.push(`${state}:${entry.text}`)
          const rule = rules[state * KINDS + entry.kind]!
          const actions: Action[] = []
          if (rule.postpone) actions.push(postpone())
          for (let i = 0; i < (entry.inner ? 0 : rule.insert); i++) {
            actions.push(nextEvent({ kind: i % KINDS, text: `${entry.text}+${i}`, inner: true }))
          }
          if (rule.timeout) actions.push(stateTimeout(0))
          return nextState(rule.next, undefined, ...actions)
        },
      })
      const pid = await world.run(machine.start(world.runtime, undefined))
      events.forEach((kind, n) => {
        machine.cast(world.runtime, pid, 'event', { kind, text: `${kind}#${n}`, inner: false })
      })
      await world.settle()
      expect(seen).toEqual(expected)
      expect(world.pendingTimers).toBe(0)
    }),
    { numRuns: 300 },
  )
})
