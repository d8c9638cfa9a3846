/** Statements of the reference manual of `gen_statem` and of the chapter "gen_statem Behaviour" of OTP's design principles. */
import { beforeEach, describe, expect, test } from 'vitest'
import { Exit, type ExitReason } from '../../src/actors/errors.ts'
import type { From } from '../../src/actors/gen.ts'
import { ignore, initStop } from '../../src/actors/gen-server.ts'
import * as statem from '../../src/actors/gen-statem.ts'
import type { Pid } from '../../src/actors/pid.ts'
import { child, supervisor, whichChildren } from '../../src/actors/supervisor.ts'
import * as sys from '../../src/actors/sys.ts'
import { World } from './world.ts'

const { cancelTimeout, eventTimeout, genericTimeout, genStatem, keepState, keepStateAndData, nextEvent, nextState } =
  statem
const { postpone, repeatState, replyAction, started, stateTimeout, stopStatem, stopStatemAndReply, updateTimeout } =
  statem

let world: World
let seen: string[]

beforeEach(() => {
  world = new World()
  seen = []
})

type Casts = { go: (what: string) => void }
type Calls = { ask: (what: string) => string }
type State = 'a' | 'b' | 'c'
type Event = statem.StatemEvent<Calls, Casts> | statem.EnterEvent<State>
type Result = statem.StatemResult<State, number> | undefined
type Handler = (event: Event, data: number) => Result | Promise<Result>

/** `go x` · `ask x` · `internal x` · `state_timeout x` · `generic_timeout name x` · `enter a` */
function text(event: Event): string {
  switch (event.type) {
    case 'cast':
      return `go ${event.args[0]}`
    case 'call':
      return `ask ${event.args[0]}`
    case 'enter':
      return `enter ${event.oldState}`
    case 'generic_timeout':
      return `generic_timeout ${event.name} ${event.content}`
    default:
      return `${event.type} ${event.content}`
  }
}

/** A machine that notes its events as `state: event`, and does what the handlers of its states say. */
function machine(
  handlers: Partial<Record<State, Handler>>,
  options: { actions?: statem.Action[]; stateEnter?: boolean; terminate?: (reason: ExitReason) => unknown } = {},
) {
  const handle =
    (state: State): Handler =>
    (event, data) => {
      seen.push(`${state}: ${text(event)}`)
      return handlers[state]?.(event, data)
    }
  const { terminate } = options
  return genStatem<State, number, Calls, Casts>({
    init: () => started<State, number>('a', 0, ...(options.actions ?? [])),
    states: { a: handle('a'), b: handle('b'), c: handle('c') },
    ...(options.stateEnter === undefined ? {} : { stateEnter: options.stateEnter }),
    ...(terminate === undefined ? {} : { terminate: (reason) => terminate(reason) }),
  })
}

async function run(built: ReturnType<typeof machine>, ...events: string[]): Promise<Pid> {
  const pid = await world.run(built.start(world.runtime, undefined))
  for (const event of events) built.cast(world.runtime, pid, 'go', event)
  await world.settle()
  return pid
}

function isGo(event: Event, what: string): boolean {
  return event.type === 'cast' && event.args[0] === what
}

async function stateOf(pid: Pid): Promise<unknown> {
  return world.run(sys.getState(world.runtime, pid))
}

describe('a state machine', () => {
  test('in mode state_functions calls the function of its state', async () => {
    await run(machine({ a: (_, data) => nextState('b', data + 1) }), 'x', 'y')
    expect(seen).toEqual(['a: go x', 'b: go y'])
  })

  test('in mode handle_event_function calls one function, and a state is any term', async () => {
    const door = genStatem<{ open: boolean }, number, Calls, Casts>({
      init: () => started({ open: false }, 0),
      handleEvent: (event, state, data) => {
        seen.push(`${state.open}: ${text(event as Event)}`)
        return nextState({ open: !state.open }, data)
      },
    })
    const pid = await world.run(door.start(world.runtime, undefined))
    door.cast(world.runtime, pid, 'go', 'x')
    door.cast(world.runtime, pid, 'go', 'y')
    await world.settle()
    expect(seen).toEqual(['false: go x', 'true: go y'])
  })

  test('answers calls by a reply action, at once or in another state', async () => {
    let waiting: From | undefined
    const built = machine({
      a: (event, data) => {
        if (event.type !== 'call') return undefined
        if (event.args[0] === 'now') return keepStateAndData(replyAction(event.from, 'here'))
        waiting = event.from
        return nextState('b', data)
      },
      b: () => nextState('a', 1, replyAction(waiting!, 'late')),
    })
    const pid = await run(built)
    expect(await world.run(built.call(world.runtime, pid, 'ask', 'now'))).toBe('here')
    const late = built.call(world.runtime, pid, 'ask', 'later')
    built.cast(world.runtime, pid, 'go', 'x')
    expect(await world.run(late)).toBe('late')
  })

  test('is called by processes and by code outside alike', async () => {
    const built = machine({
      a: (event) => (event.type === 'call' ? keepStateAndData(replyAction(event.from, 'yes')) : undefined),
    })
    const pid = await run(built)
    let answer: unknown
    world.runtime.spawn(async (self) => {
      answer = await built.call(self, pid, 'ask', 'x')
    })
    await world.settle()
    expect(answer).toBe('yes')
  })

  test('takes any other message as an info event', async () => {
    const pid = await run(machine({}))
    world.runtime.send(pid, 'hello')
    await world.settle()
    expect(seen).toEqual(['a: info hello'])
  })

  test('keeps state and data when a callback returns nothing', async () => {
    const pid = await run(machine({}), 'x')
    expect(await stateOf(pid)).toEqual({ state: 'a', data: 0 })
  })

  test('waits for an async callback before the next event', async () => {
    const built = machine({
      a: async (event, data) => {
        await Promise.resolve()
        seen.push(`${text(event)} done`)
        return keepState(data + 1)
      },
    })
    const pid = await run(built, 'x', 'y')
    expect(seen).toEqual(['a: go x', 'go x done', 'a: go y', 'go y done'])
    expect(await stateOf(pid)).toEqual({ state: 'a', data: 2 })
  })
})

describe('init', () => {
  test('that declines or fails makes the start fail', async () => {
    const declining = genStatem<'a', number>({ init: () => ignore(), states: { a: () => {} } })
    const failing = genStatem<'a', number>({ init: () => initStop('cannot'), states: { a: () => {} } })
    await expect(world.run(declining.start(world.runtime, undefined))).rejects.toMatchObject({ reason: 'ignore' })
    await expect(world.run(failing.start(world.runtime, undefined))).rejects.toMatchObject({ reason: 'cannot' })
  })

  test('may return actions, which are done before any message', async () => {
    await run(machine({}, { actions: [nextEvent('first'), stateTimeout(0, 'due')] }), 'x')
    expect(seen).toEqual(['a: internal first', 'a: state_timeout due', 'a: go x'])
  })
})

describe('postpone', () => {
  const postponing: Handler = (event, data) =>
    isGo(event, 'change') ? nextState('b', data) : keepStateAndData(postpone())

  test('retries the events after a state change, oldest first, before later ones', async () => {
    await run(machine({ a: postponing }), 'x', 'y', 'change', 'z')
    expect(seen).toEqual(['a: go x', 'a: go y', 'a: go change', 'b: go x', 'b: go y', 'b: go z'])
  })

  test('does not retry while the state stays', async () => {
    const pid = await run(
      machine({ a: (event) => (isGo(event, 'x') ? keepStateAndData(postpone()) : keepState(1)) }),
      'x',
      'y',
      'z',
    )
    expect(seen).toEqual(['a: go x', 'a: go y', 'a: go z'])
    expect(world.runtime.process(pid)!.behaviour.saved).toHaveLength(1)
  })

  test('of the event that changes the state retries it too, after the older ones', async () => {
    await run(
      machine({
        a: (event, data) => (isGo(event, 'y') ? nextState('b', data, postpone()) : keepStateAndData(postpone())),
      }),
      'x',
      'y',
    )
    expect(seen).toEqual(['a: go x', 'a: go y', 'b: go x', 'b: go y'])
  })

  test('can be repeated in every state', async () => {
    await run(
      machine({
        a: postponing,
        b: (event, data) => (isGo(event, 'x') ? keepStateAndData(postpone()) : nextState('c', data)),
      }),
      'x',
      'change',
      'on',
    )
    expect(seen).toEqual(['a: go x', 'a: go change', 'b: go x', 'b: go on', 'c: go x'])
  })
})

describe('next_event', () => {
  test('inserts events before all that wait, in their order', async () => {
    const built = machine({
      a: (event) => (isGo(event, 'x') ? keepStateAndData(nextEvent(1), nextEvent(2)) : undefined),
    })
    await run(built, 'x', 'y')
    expect(seen).toEqual(['a: go x', 'a: internal 1', 'a: internal 2', 'a: go y'])
  })

  test('comes before postponed events after a state change', async () => {
    const built = machine({
      a: (event, data) => (isGo(event, 'x') ? keepStateAndData(postpone()) : nextState('b', data, nextEvent('n'))),
    })
    await run(built, 'x', 'y')
    expect(seen).toEqual(['a: go x', 'a: go y', 'b: internal n', 'b: go x'])
  })
})

describe('the state timeout', () => {
  test('fires when the state was not left in time', async () => {
    await run(machine({ a: () => keepStateAndData(stateTimeout(100, 't')) }), 'x')
    await world.advance(99)
    expect(seen).toEqual(['a: go x'])
    await world.advance(1)
    expect(seen).toEqual(['a: go x', 'a: state_timeout t'])
  })

  test('is cancelled by a state change, not by other events', async () => {
    const built = machine({
      a: (event, data) =>
        isGo(event, 'leave')
          ? nextState('b', data)
          : isGo(event, 'set')
            ? keepStateAndData(stateTimeout(100))
            : undefined,
    })
    const pid = await run(built, 'set', 'other')
    expect(world.pendingTimers).toBe(1)
    built.cast(world.runtime, pid, 'go', 'leave')
    await world.settle()
    expect(world.pendingTimers).toBe(0)
  })

  test('set together with a state change is that of the new state', async () => {
    await run(machine({ a: (_, data) => nextState('b', data, stateTimeout(10, 't')) }), 'x')
    await world.advance(10)
    expect(seen).toEqual(['a: go x', 'b: state_timeout t'])
  })

  test('set again starts anew; infinity and cancel end it', async () => {
    const actions = [stateTimeout(30, 2), stateTimeout('infinity'), cancelTimeout('state_timeout')]
    const built = machine({
      a: (event) => (event.type === 'cast' ? keepStateAndData(actions[Number(event.args[0])]!) : undefined),
    })
    const pid = await run(built, '0')
    await world.advance(20)
    built.cast(world.runtime, pid, 'go', '0')
    await world.advance(20)
    expect(seen).not.toContain('a: state_timeout 2')
    built.cast(world.runtime, pid, 'go', '1')
    await world.settle()
    expect(world.pendingTimers).toBe(0)
    built.cast(world.runtime, pid, 'go', '0')
    built.cast(world.runtime, pid, 'go', '2')
    await world.settle()
    expect(world.pendingTimers).toBe(0)
  })

  test('of 0 ms comes after the events inserted and before those not yet received', async () => {
    await run(
      machine({
        a: (event, data) => (isGo(event, 'x') ? nextState('b', data, stateTimeout(0, 't'), nextEvent('n')) : undefined),
      }),
      'x',
      'y',
    )
    expect(seen).toEqual(['a: go x', 'b: internal n', 'b: state_timeout t', 'b: go y'])
  })

  test('can be given another content while it runs', async () => {
    const built = machine({
      a: (event) => {
        if (isGo(event, 'x')) return keepStateAndData(stateTimeout(50, 'old'))
        return isGo(event, 'y') ? keepStateAndData(updateTimeout('state_timeout', 'new')) : undefined
      },
    })
    await run(built, 'x', 'y')
    await world.advance(50)
    expect(seen[2]).toBe('a: state_timeout new')
  })
})

describe('the event timeout', () => {
  test('is cancelled by any event', async () => {
    const built = machine({ a: (event) => (isGo(event, 'set') ? keepStateAndData(eventTimeout(100, 't')) : undefined) })
    const pid = await run(built, 'set')
    await world.advance(50)
    built.cast(world.runtime, pid, 'go', 'other')
    await world.advance(200)
    expect(seen).toEqual(['a: go set', 'a: go other'])
    built.cast(world.runtime, pid, 'go', 'set')
    await world.advance(100)
    expect(seen.at(-1)).toBe('a: timeout t')
  })

  test('of 0 ms comes only when no event waits', async () => {
    const built = machine({
      a: (event) =>
        isGo(event, 'x')
          ? keepStateAndData(eventTimeout(0, 't'), nextEvent('n'))
          : isGo(event, 'y')
            ? keepStateAndData(eventTimeout(0, 'u'))
            : undefined,
    })
    await run(built, 'x', 'y')
    expect(seen).toEqual(['a: go x', 'a: internal n', 'a: go y', 'a: timeout u'])
  })

  test('is not cancelled by a state change alone', async () => {
    await run(machine({ a: (_, data) => nextState('b', data, eventTimeout(10, 't')) }), 'x')
    await world.advance(10)
    expect(seen).toEqual(['a: go x', 'b: timeout t'])
  })
})

describe('generic timeouts', () => {
  test('run side by side by name, across state changes and events', async () => {
    const built = machine({
      a: (_, data) => nextState('b', data, genericTimeout('one', 10, 1), genericTimeout('two', 20, 2)),
    })
    await run(built, 'x', 'y')
    await world.advance(20)
    expect(seen).toEqual(['a: go x', 'b: go y', 'b: generic_timeout one 1', 'b: generic_timeout two 2'])
  })

  test('are started anew and cancelled by their own name only', async () => {
    const built = machine({
      a: () =>
        keepStateAndData(genericTimeout('one', 10), genericTimeout('two', 10), cancelTimeout({ generic: 'one' })),
    })
    await run(built, 'x')
    expect(world.pendingTimers).toBe(1)
  })
})

describe('state enter calls', () => {
  test('come for the initial state, with itself as the old one, and at every state change', async () => {
    await run(
      machine(
        { a: (event, data) => (event.type === 'enter' ? undefined : nextState('b', data)) },
        { stateEnter: true },
      ),
      'x',
      'y',
    )
    expect(seen).toEqual(['a: enter a', 'a: go x', 'b: enter a', 'b: go y'])
  })

  test('come before postponed and inserted events', async () => {
    const built = machine(
      {
        a: (event, data) =>
          event.type === 'enter'
            ? undefined
            : isGo(event, 'x')
              ? keepStateAndData(postpone())
              : nextState('b', data, nextEvent('n')),
      },
      { stateEnter: true },
    )
    await run(built, 'x', 'y')
    expect(seen).toEqual(['a: enter a', 'a: go x', 'a: go y', 'b: enter a', 'b: internal n', 'b: go x'])
  })

  test('may set timeouts and data', async () => {
    const pid = await run(
      machine(
        { a: (event) => (event.type === 'enter' ? keepState(7, stateTimeout(10, 't')) : undefined) },
        { stateEnter: true },
      ),
    )
    await world.advance(10)
    expect(seen).toEqual(['a: enter a', 'a: state_timeout t'])
    expect(await stateOf(pid)).toEqual({ state: 'a', data: 7 })
  })

  test('do not come for the same state, but again at repeat_state', async () => {
    const built = machine(
      {
        a: (event, data) =>
          event.type === 'enter' ? undefined : isGo(event, 'same') ? nextState('a', data) : repeatState(data),
      },
      { stateEnter: true },
    )
    await run(built, 'same', 'repeat')
    expect(seen).toEqual(['a: enter a', 'a: go same', 'a: go repeat', 'a: enter a'])
  })

  test.each([
    ['changes the state', () => nextState<State, number>('b', 0)],
    ['postpones', () => keepStateAndData(postpone())],
    ['inserts an event', () => keepStateAndData(nextEvent(1))],
  ])('that %s is an error', async (_, result) => {
    const pid = await run(
      machine({ a: (event) => (event.type === 'enter' ? result() : undefined) }, { stateEnter: true }),
    )
    expect(world.runtime.isAlive(pid)).toBe(false)
    expect(world.log).toContainEqual(expect.objectContaining({ report: 'crash' }))
  })
})

describe('the end of a state machine', () => {
  async function reasonAfter(built: ReturnType<typeof machine>, act: (pid: Pid) => void): Promise<ExitReason> {
    const pid = await run(built)
    let reason: ExitReason
    world.runtime.process(pid)!.onExit((why) => {
      reason = why
    })
    act(pid)
    await world.settle()
    return reason
  }

  test('by stop runs terminate, and other events are not handled any more', async () => {
    const ends: ExitReason[] = []
    const built = machine({ a: () => stopStatem('normal') }, { terminate: (reason) => ends.push(reason) })
    const reason = await reasonAfter(built, (pid) => {
      built.cast(world.runtime, pid, 'go', 'x')
      built.cast(world.runtime, pid, 'go', 'y')
    })
    expect(reason).toBe('normal')
    expect(ends).toEqual(['normal'])
    expect(seen).toEqual(['a: go x'])
    expect(world.log).toEqual([])
  })

  test('by stop_and_reply answers first', async () => {
    const built = machine({
      a: (event) =>
        event.type === 'call' ? stopStatemAndReply('normal', [replyAction(event.from, 'bye')]) : undefined,
    })
    const pid = await run(built)
    expect(await world.run(built.call(world.runtime, pid, 'ask', 'x'))).toBe('bye')
    expect(world.runtime.isAlive(pid)).toBe(false)
  })

  test.each([
    [
      'throws',
      () => {
        throw new Exit('boom')
      },
    ],
    ['rejects', () => Promise.reject(new Exit('boom'))],
  ])('comes with a crash report when a callback %s', async (_, handler) => {
    const built = machine({ a: handler })
    const reason = await reasonAfter(built, (pid) => built.cast(world.runtime, pid, 'go', 'x'))
    expect(reason).toBe('boom')
    expect(world.log).toContainEqual(
      expect.objectContaining({ report: 'crash', reason: 'boom', state: { state: 'a', data: 0 } }),
    )
  })

  test('comes with what terminate throws', async () => {
    const built = machine(
      { a: () => stopStatem('normal') },
      {
        terminate: () => {
          throw new Exit('worse')
        },
      },
    )
    expect(await reasonAfter(built, (pid) => built.cast(world.runtime, pid, 'go', 'x'))).toBe('worse')
  })

  test('rejects the calls that wait, with its reason', async () => {
    const built = machine({ a: () => stopStatem('gone') })
    const pid = await run(built)
    await expect(world.run(built.call(world.runtime, pid, 'ask', 'x'))).rejects.toMatchObject({ reason: 'gone' })
  })

  test('leaves no timer', async () => {
    const built = machine({
      a: (event) =>
        isGo(event, 'x') ? keepStateAndData(genericTimeout('g', 99), stateTimeout(99)) : stopStatem('normal'),
    })
    await run(built, 'x', 'y')
    expect(world.pendingTimers).toBe(0)
  })
})

describe('a state machine as a process', () => {
  test('answers system messages: state, status, replacement', async () => {
    const pid = await run(machine({}))
    expect(await world.run(sys.getStatus(world.runtime, pid))).toMatchObject({
      behaviour: 'gen_statem',
      status: 'running',
    })
    await world.run(sys.replaceState(world.runtime, pid, () => ({ state: 'b', data: 5 })))
    expect(await stateOf(pid)).toEqual({ state: 'b', data: 5 })
  })

  test('keeps events and timeouts while it is suspended', async () => {
    const built = machine({ a: (event) => (isGo(event, 'x') ? keepStateAndData(genericTimeout('g', 10)) : undefined) })
    const pid = await run(built, 'x')
    await world.run(sys.suspend(world.runtime, pid))
    built.cast(world.runtime, pid, 'go', 'y')
    await world.advance(10)
    expect(seen).toEqual(['a: go x'])
    await world.run(sys.resume(world.runtime, pid))
    await world.settle()
    expect(seen).toEqual(['a: go x', 'a: go y', 'a: generic_timeout g undefined'])
  })

  test('is a child of a supervisor like any other', async () => {
    const built = machine({ a: () => stopStatem('boom') })
    const pid = await world.run(
      supervisor({ children: () => [child('m', built, [])] }).startLink(world.runtime, undefined),
    )
    const [before] = await world.run(whichChildren(world.runtime, pid))
    built.cast(world.runtime, before!.child as Pid, 'go', 'x')
    await world.settle()
    const [after] = await world.run(whichChildren(world.runtime, pid))
    expect(after!.child).not.toBe(before!.child)
    expect(world.runtime.isAlive(after!.child as Pid)).toBe(true)
  })

  test('ends when its parent ends it, through terminate, if it traps exits', async () => {
    const ends: ExitReason[] = []
    const trapping = genStatem<'a', number>({
      init: (_, self) => {
        self.processFlag('trap_exit', true)
        return started('a', 0)
      },
      states: { a: () => {} },
      terminate: (reason) => ends.push(reason),
    })
    const pid = await world.run(trapping.startLink(world.runtime, undefined))
    world.runtime.exit(pid, 'shutdown')
    await world.settle()
    expect(ends).toEqual(['shutdown'])
  })
})
