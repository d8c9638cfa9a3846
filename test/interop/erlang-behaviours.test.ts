/** OTP's behaviours across nodes: servers, state machines, event managers and supervisors, called from Erlang and from here. */
import { describe, expect, it } from 'vitest'
import { call, cast } from '../../src/actors/gen.ts'
import { genEvent, keepHandler } from '../../src/actors/gen-event.ts'
import { genServer, noreply, ok, reply } from '../../src/actors/gen-server.ts'
import { genStatem, keepState, nextState, postpone, replyAction, started } from '../../src/actors/gen-statem.ts'
import { child, countChildren, supervisor, terminateChild, whichChildren } from '../../src/actors/supervisor.ts'
import * as sys from '../../src/actors/sys.ts'
import { atom, charlist, tuple } from '../../src/dist/term.ts'
import { eventually } from '../support/eventually.ts'
import { ERL, erlPair, notes, OURS } from '../support/pair.ts'

type CounterCalls = { read: () => number; add: (by: number) => number; slow: () => never }
type CounterCasts = { set: (n: number) => void }

const counter = genServer<{ n: number }, CounterCalls, CounterCasts, number>({
  label: 'counter',
  init: (n) => ok({ n }),
  calls: {
    read: ({ state }) => reply(state.n, state),
    add: ({ state }, by) => reply(state.n + by, { n: state.n + by }),
    slow: ({ state }) => noreply(state),
  },
  casts: { set: (_context, n) => noreply({ n }) },
})

type DoorCalls = { push: () => string; code: (digits: unknown) => string; opened: () => string }

/** A door that opens to 1234; a question whether it is open is kept until it is. */
const door = genStatem<'locked' | 'open', { tries: number }, DoorCalls, { lock: () => void }>({
  label: 'door',
  init: () => started('locked', { tries: 0 }),
  states: {
    locked: (event, data) => {
      if (event.type !== 'call') return keepState(data)
      if (event.name === 'opened') return keepState(data, postpone())
      if (event.name !== 'code') return keepState(data, replyAction(event.from, atom('locked')))
      const [digits] = event.args
      if (digits === 1234) return nextState('open', data, replyAction(event.from, atom('ok')))
      return keepState({ tries: data.tries + 1 }, replyAction(event.from, atom('wrong')))
    },
    open: (event, data) => {
      if (event.type === 'cast') return nextState('locked', data)
      if (event.type === 'call') return keepState(data, replyAction(event.from, atom('open')))
      return keepState(data)
    },
  },
})

const bus = genEvent<unknown>({ label: 'bus' })

function collector(events: unknown[]) {
  return {
    name: 'collector',
    init: (start: number) => start,
    handleEvent: (event: unknown, count: number) => {
      events.push(event)
      return keepHandler(count + 1)
    },
    handleCall: (request: unknown, count: number) => {
      if (request === atom('crash')) throw new Error('told to')
      return { reply: tuple(atom('answer'), request, count) }
    },
  }
}

const MACHINE = `
-behaviour(gen_statem).
-export([start/0, init/1, callback_mode/0, locked/3, open/3]).
start() -> gen_statem:start({local, machine}, ?MODULE, [], []).
callback_mode() -> state_functions.
init([]) -> {ok, locked, #{tries => 0}}.
locked({call, F}, {code, 1234}, D) -> {next_state, open, D, [{reply, F, ok}]};
locked({call, F}, {code, _}, #{tries := N} = D) -> {keep_state, D#{tries := N + 1}, [{reply, F, wrong}]};
locked(cast, _, D) -> {keep_state, D}.
open({call, F}, push, D) -> {keep_state, D, [{reply, F, open}]};
open(cast, lock, D) -> {next_state, locked, D}.`

const HANDLER = `
-behaviour(gen_event).
-export([start/0, init/1, handle_event/2, handle_call/2]).
start() -> {ok, P} = gen_event:start({local, manager}), ok = gen_event:add_handler(P, ?MODULE, []), ok = gen_event:add_handler(P, {?MODULE, 2}, [start]), {ok, P}.
init(L) -> {ok, L}.
handle_event(boom, _) -> exit(boom);
handle_event(E, L) -> {ok, [E | L]}.
handle_call(crash, _) -> exit(crash);
handle_call(seen, L) -> {ok, L, L}.`

const SERVER = `
-behaviour(gen_server).
-export([start/0, init/1, handle_call/3, handle_cast/2]).
start() -> gen_server:start({local, server}, ?MODULE, 5, []).
init(N) -> {ok, N}.
handle_call(read, _, N) -> {reply, N, N};
handle_call({add, By}, _, N) -> {reply, N + By, N + By};
handle_call({die, Why}, _, N) -> {stop, Why, N};
handle_call(never, _, N) -> {noreply, N}.
handle_cast({set, N}, _) -> {noreply, N}.`

describe('a gen_server of ours', () => {
  it('takes every kind of call that Erlang has', async () => {
    const { erl, runtime } = await erlPair()
    const pid = await counter.start(runtime, 5, { name: 'counter' })
    const at = `{counter, '${OURS}'}`
    expect(await erl.eval(`gen_server:call(${at}, {add, 2}, infinity)`)).toBe('7')
    expect(
      await erl.eval(
        `P = rpc:call('${OURS}', erlang, whereis, [counter]), {gen_server:call(P, read), gen_server:cast(P, {set, 9}), gen_server:call(P, read)}`,
      ),
    ).toBe('{7,ok,9}')
    expect(await erl.eval(`gen_server:multi_call([node(), '${OURS}', nobody@nowhere], counter, read)`)).toBe(
      `{[{'${OURS}',9}],['${ERL}',nobody@nowhere]}`,
    )
    expect(await erl.eval(`gen_server:abcast(['${OURS}'], counter, {set, 3}), gen_server:call(${at}, read)`)).toBe('3')
    expect(
      await erl.eval(
        `R = gen_server:send_request(${at}, {add, 1}), {gen_server:wait_response(R, 1000), gen_server:receive_response(gen_server:send_request(${at}, read), 1000)}`,
      ),
    ).toBe('{{reply,4},{reply,4}}')
    expect(await erl.eval(`try gen_server:call(${at}, slow, 50) catch C:R -> {C, R} end`)).toBe(
      `{exit,{timeout,{gen_server,call,[${at.replace(' ', '')},slow,50]}}}`,
    )
    expect(await erl.eval(`gen_server:call(${at}, nonsense)`)).toContain('unknown_call')
    expect(await erl.eval(`gen_server:stop(${at}, {shutdown, enough}, 1000)`)).toBe('ok')
    expect(runtime.isAlive(pid)).toBe(false)
  })

  it('is asked and steered by sys from Erlang', async () => {
    const { erl, runtime } = await erlPair()
    const pid = await counter.start(runtime, 5, { name: 'counter' })
    const at = `{counter, '${OURS}'}`
    expect(await erl.eval(`sys:get_state(${at})`)).toBe('#{n => 5}')
    expect(await erl.eval(`sys:suspend(${at})`)).toBe('ok')
    expect(await erl.eval(`catch gen_server:call(${at}, read, 50)`)).toContain('timeout')
    expect(await erl.eval(`lists:nth(2, element(4, sys:get_status(${at})))`)).toBe('suspended')
    expect(await erl.eval(`sys:resume(${at}), gen_server:call(${at}, read)`)).toBe('5')
    expect(
      await erl.eval(`sys:statistics(${at}, true), gen_server:call(${at}, read), gen_server:call(${at}, read),
      {ok, L} = sys:statistics(${at}, get), sys:statistics(${at}, false), proplists:get_value(messages_in, L)`),
    ).toBe('2')
    expect(await erl.eval(`sys:trace(${at}, true), sys:trace(${at}, false)`)).toBe('ok')
    // Code of others does not run here.
    const refused = await erl.eval(`catch sys:replace_state(${at}, fun(S) -> S end)`)
    expect(refused).toMatch(/unknown_system_msg/)
    expect(await erl.eval(`catch sys:install(${at}, {fun(S, _, _) -> S end, 0})`)).toMatch(/unknown_system_msg/)
    expect(await erl.eval(`catch sys:change_code(${at}, m, v, e)`)).toMatch(/unknown_system_msg/)
    expect(await erl.eval(`gen_server:call(${at}, read)`)).toBe('5')
    expect(await erl.eval(`sys:terminate(${at}, {shutdown, told})`)).toBe('ok')
    await eventually(() => !runtime.isAlive(pid))
  })
})

describe('a gen_statem of ours', () => {
  it('is called, cast to, asked and stopped from Erlang', async () => {
    const { erl, runtime } = await erlPair()
    const pid = await door.start(runtime, undefined, { name: 'door' })
    const at = `{door, '${OURS}'}`
    expect(await erl.eval(`gen_statem:call(${at}, push)`)).toBe('locked')
    expect(await erl.eval(`gen_statem:call(${at}, {code, 1}, 1000)`)).toBe('wrong')
    expect(await erl.eval(`sys:get_state(${at})`)).toBe('{locked,#{tries => 1}}')
    const waiting = erl.eval(`gen_statem:call(${at}, opened, {clean_timeout, 5000})`)
    expect(await erl.eval(`gen_statem:call(${at}, {code, 1234}, {dirty_timeout, 1000})`)).toBe('ok')
    expect(await waiting).toBe('open')
    expect(await erl.eval(`gen_statem:cast(${at}, lock), gen_statem:call(${at}, push)`)).toBe('locked')
    expect(
      await erl.eval(
        `{status, _, {module, gen_statem}, [_, running, _, [], Misc]} = sys:get_status(${at}), proplists:get_value("State", element(2, lists:last(Misc)))`,
      ),
    ).toBe('{locked,#{tries => 1}}')
    expect(await erl.eval(`gen_statem:stop(${at})`)).toBe('ok')
    expect(runtime.isAlive(pid)).toBe(false)
    expect(await erl.eval(`try gen_statem:call(${at}, push) catch C:{R, _} -> {C, R} end`)).toBe('{exit,noproc}')
  })
})

describe('a gen_event of ours', () => {
  it('gets the events of Erlang, and answers what Erlang asks of it', async () => {
    const { erl, runtime } = await erlPair()
    const pid = await bus.start(runtime, undefined, { name: 'bus' })
    const events: unknown[] = []
    await bus.addHandler(runtime, 'bus', collector(events), 0)
    await bus.addHandler(runtime, 'bus', collector([]), 10, '7')
    const at = `{bus, '${OURS}'}`
    expect(await erl.eval(`gen_event:notify(${at}, {hello, 1})`)).toBe('ok')
    expect(await erl.eval(`gen_event:sync_notify(${at}, second)`)).toBe('ok')
    expect(events).toEqual([tuple(atom('hello'), 1), atom('second')])
    expect(await erl.eval(`gen_event:which_handlers(${at})`)).toBe('[{collector,7},collector]')
    expect(await erl.eval(`gen_event:call(${at}, collector, question)`)).toBe('{answer,question,2}')
    expect(await erl.eval(`gen_event:call(${at}, {collector, 7}, question, 1000)`)).toBe('{answer,question,12}')
    expect(await erl.eval(`gen_event:call(${at}, nobody, question)`)).toBe('{error,bad_module}')
    expect(await erl.eval(`sys:get_state(${at})`)).toBe('[{collector,7,12},{collector,false,2}]')
    const status = `{status, _, {module, gen_event}, [_, running, _, [], Misc]} = sys:get_status(${at}), lists:last(Misc)`
    expect(await erl.eval(status)).toBe(
      '{items,{"Installed handlers",[{handler,collector,7,12,false},{handler,collector,false,2,false}]}}',
    )
    expect(
      await erl.eval(`R = gen_event:send_request(${at}, collector, later), gen_event:receive_response(R, 1000)`),
    ).toBe('{reply,{answer,later,2}}')
    expect(await erl.eval(`gen_event:call(${at}, collector, crash)`)).toMatch(/^\{error,\{'EXIT',\{\{'Error',/)
    expect(await erl.eval(`gen_event:which_handlers(${at})`)).toBe('[{collector,7}]')
    expect(await erl.eval(`gen_event:delete_handler(${at}, {collector, 7}, bye)`)).toBe('undefined')
    expect(await erl.eval(`gen_event:delete_handler(${at}, {collector, 7}, bye)`)).toBe('{error,module_not_found}')
    expect(await erl.eval(`gen_event:stop(${at}, normal, 1000)`)).toBe('ok')
    expect(runtime.isAlive(pid)).toBe(false)
  })

  it('takes no handler of another node, whose code is not here, and loses none by it', async () => {
    const { erl, runtime } = await erlPair()
    await bus.start(runtime, undefined, { name: 'bus' })
    await bus.addHandler(runtime, 'bus', collector([]), 0)
    const at = `{bus, '${OURS}'}`
    expect(await erl.eval(`gen_event:add_handler(${at}, theirs, [])`)).toMatch(/^\{'EXIT',\{undef,/)
    expect(await erl.eval(`gen_event:add_sup_handler(${at}, theirs, [])`)).toMatch(/^\{'EXIT',\{undef,/)
    expect(await erl.eval(`gen_event:swap_handler(${at}, {collector, bye}, {theirs, []})`)).toMatch(/'EXIT',\{undef,/)
    expect(await erl.eval(`gen_event:which_handlers(${at})`)).toBe('[collector]')
  })
})

describe('a supervisor of ours', () => {
  it('is asked and told by Erlang', async () => {
    const { erl, runtime } = await erlPair()
    const inner = supervisor({ children: () => [] })
    const tree = supervisor({
      children: () => [
        child('counter', counter, [3, { name: 'counter' }]),
        child('inner', inner, [], { type: 'supervisor' }),
      ],
    })
    await tree.startLink(runtime, undefined, { name: 'top' })
    const at = `{top, '${OURS}'}`
    expect(
      await erl.eval(`lists:sort([{I, is_pid(P), T, M} || {I, P, T, M} <- supervisor:which_children(${at})])`),
    ).toBe('[{counter,true,worker,[]},{inner,true,supervisor,[supervisor]}]')
    expect(await erl.eval(`supervisor:terminate_child(${at}, counter)`)).toBe('ok')
    expect(await erl.eval(`lists:keyfind(counter, 1, supervisor:which_children(${at}))`)).toBe(
      '{counter,undefined,worker,[]}',
    )
    expect(await erl.eval(`supervisor:count_children(${at})`)).toBe(
      '[{specs,2},{active,1},{supervisors,1},{workers,1}]',
    )
    expect(await erl.eval(`{ok, P} = supervisor:restart_child(${at}, counter), gen_server:call(P, read)`)).toBe('3')
    expect(await erl.eval(`supervisor:restart_child(${at}, counter)`)).toBe('{error,running}')
    expect(await erl.eval(`supervisor:delete_child(${at}, counter)`)).toBe('{error,running}')
    expect(await erl.eval(`supervisor:terminate_child(${at}, nobody)`)).toBe('{error,not_found}')
    expect(await erl.eval(`{ok, S} = supervisor:get_childspec(${at}, counter), maps:get(shutdown, S)`)).toBe('5000')
    expect(await erl.eval(`supervisor:terminate_child(${at}, counter), supervisor:delete_child(${at}, counter)`)).toBe(
      'ok',
    )
    expect(await erl.eval(`[I || {I, _, _, _} <- supervisor:which_children(${at})]`)).toBe('[inner]')
    expect(await erl.eval(`catch supervisor:start_child(${at}, #{id => x, start => {os, cmd, ["true"]}})`)).toMatch(
      /error/,
    )
    expect(await erl.eval(`is_pid(rpc:call('${OURS}', erlang, whereis, [top]))`)).toBe('true')
  })
})

describe('behaviours of Erlang, from here,', () => {
  it('a gen_server answers calls and casts, and its end is told', async () => {
    const { erl, runtime } = await erlPair()
    await erl.load('server', SERVER)
    await erl.eval('server:start()')
    const at = { name: 'server', node: ERL }
    expect(await call(runtime, at, ['read'])).toBe(5)
    expect(await call(runtime, at, ['add', 2])).toBe(7)
    cast(runtime, at, ['set', 40])
    expect(await call(runtime, at, ['read'], 'infinity')).toBe(40)
    await expect(call(runtime, at, ['never'], 50)).rejects.toMatchObject({ reason: 'timeout' })
    expect(await sys.getState(runtime, at)).toBe(40)
    expect(await sys.getStatus(runtime, at)).toMatchObject({ behaviour: 'gen_server', module: 'server', state: 40 })
    await sys.suspend(runtime, at)
    await expect(call(runtime, at, ['read'], 50)).rejects.toMatchObject({ reason: 'timeout' })
    await sys.resume(runtime, at)
    expect(await call(runtime, at, ['read'])).toBe(40)
    await sys.statistics(runtime, at, true)
    await call(runtime, at, ['read'])
    expect(await sys.statistics(runtime, at, 'get')).toMatchObject({ messagesIn: 1 })
    await expect(call(runtime, at, ['die', tuple(atom('shutdown'), 1)])).rejects.toMatchObject({
      reason: { shutdown: 1 },
    })
    await expect(call(runtime, at, ['read'])).rejects.toMatchObject({ reason: 'noproc' })
  })

  it('a gen_statem answers, and shows its state', async () => {
    const { erl, runtime } = await erlPair()
    await erl.load('machine', MACHINE)
    await erl.eval('machine:start()')
    const at = { name: 'machine', node: ERL }
    const client = genStatem<'x', null, DoorCalls, { lock: () => void }>({
      init: () => started('x', null),
      states: { x: () => {} },
    })
    expect(await client.call(runtime, at, 'code', 1)).toBe(atom('wrong'))
    expect(await sys.getState(runtime, at)).toEqual(tuple(atom('locked'), { tries: 1 }))
    expect(await client.call(runtime, at, 'code', 1234)).toBe(atom('ok'))
    expect(await client.call(runtime, at, 'push')).toBe(atom('open'))
    expect(await sys.getStatus(runtime, at)).toMatchObject({
      behaviour: 'gen_statem',
      state: { state: 'open', data: { tries: 1 } },
    })
    client.cast(runtime, at, 'lock')
    expect(await client.call(runtime, at, 'code', 9)).toBe(atom('wrong'))
    await sys.terminate(runtime, at, 'normal')
    await eventually(async () => (await erl.eval('whereis(machine)')) === 'undefined')
  })

  it('a gen_event gets our events, answers our calls and tells of its handlers', async () => {
    const { erl, runtime } = await erlPair()
    await erl.load('handler', HANDLER)
    await erl.eval('handler:start()')
    const at = { name: 'manager', node: ERL }
    bus.notify(runtime, at, atom('first'))
    await bus.syncNotify(runtime, at, tuple(atom('second'), 2))
    expect(await bus.whichHandlers(runtime, at)).toEqual(['handler/2', 'handler'])
    expect(await bus.call(runtime, at, 'handler', atom('seen'))).toEqual({
      ok: true,
      value: [tuple(atom('second'), 2), atom('first')],
    })
    expect(await bus.call(runtime, at, { name: 'handler', id: '2' }, atom('seen'))).toEqual({
      ok: true,
      value: [tuple(atom('second'), 2), atom('first'), atom('start')],
    })
    expect(await bus.call(runtime, at, 'nobody', atom('seen'))).toEqual({ ok: false, reason: 'bad_module' })
    expect(await bus.call(runtime, at, 'handler', atom('crash'))).toEqual({ ok: false, reason: 'crash' })
    expect((await sys.getStatus(runtime, at)).state).toEqual({
      'handler/2': [tuple(atom('second'), 2), atom('first'), atom('start')],
    })
    expect(await bus.deleteHandler(runtime, at, 'nobody', 1)).toEqual({ ok: false, reason: 'module_not_found' })
    expect(await bus.deleteHandler(runtime, at, 'handler/2', 1)).toMatchObject({ ok: true })
    expect(await bus.whichHandlers(runtime, at)).toEqual([])
    await bus.stop(runtime, at)
    await eventually(async () => (await erl.eval('whereis(manager)')) === 'undefined')
  })

  it('a supervisor tells of its children and ends them', async () => {
    const { erl, runtime } = await erlPair()
    await erl.load('server', SERVER)
    await erl.load(
      'tree',
      `-export([start/0, init/1]).
       start() -> {ok, P} = supervisor:start_link({local, tree}, ?MODULE, []), unlink(P), {ok, P}.
       init([]) -> {ok, {#{}, [#{id => server, start => {server, start, []}}]}}.`,
    )
    await erl.eval('tree:start()')
    const at = { name: 'tree', node: ERL }
    expect(await whichChildren(runtime, at)).toEqual([
      { id: 'server', child: expect.objectContaining({ node: ERL }), type: 'worker' },
    ])
    expect(await countChildren(runtime, at)).toEqual({ specs: 1, active: 1, supervisors: 0, workers: 1 })
    expect(await terminateChild(runtime, at, 'server')).toEqual({ ok: true })
    expect(await whichChildren(runtime, at)).toEqual([{ id: 'server', child: undefined, type: 'worker' }])
    expect(await sys.getStatus(runtime, at)).toMatchObject({ behaviour: 'gen_server', module: 'tree' })
  })

  it('a message that only looks like one of theirs stays what it is', async () => {
    const { erl, runtime } = await erlPair()
    const { messages, pid } = notes(runtime, 'box')
    await erl.eval(
      `{box, '${OURS}'} ! {notify, event}, P = self(), {box, '${OURS}'} ! {P, {P, make_ref()}, which_handlers}`,
    )
    await eventually(() => messages.length === 2)
    expect(messages[0]).toEqual(tuple(atom('notify'), atom('event')))
    expect(messages[1]).toMatchObject({ elements: [{ node: ERL }, {}, atom('which_handlers')] })
    await erl.eval(`register(echo, spawn(fun() -> receive M -> {box, '${OURS}'} ! {got, M} end end))`)
    bus.notify(runtime, { name: 'echo', node: ERL }, charlist('x'))
    await eventually(() => messages.length === 3)
    expect(messages[2]).toEqual(tuple(atom('got'), tuple(atom('notify'), charlist('x'))))
    expect(runtime.isAlive(pid)).toBe(true)
  })
})
