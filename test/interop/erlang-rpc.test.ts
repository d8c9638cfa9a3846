/** rpc, erpc and Erlang's tools on our node, and our calls to a real Erlang node. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { genServer, ok } from '../../src/actors/gen-server.ts'
import { child, supervisor } from '../../src/actors/supervisor.ts'
import * as erpc from '../../src/dist/erpc.ts'
import { ErlangError } from '../../src/dist/exports.ts'
import * as rpc from '../../src/dist/rpc.ts'
import { atom, charlist, tuple } from '../../src/dist/term.ts'
import { hasErlang, startErl } from '../support/erl.ts'
import { eventually } from '../support/eventually.ts'
import { testEpmd, testNode } from '../support/node.ts'

const OURS = 'ours@127.0.0.1'
const ERL = 'erl@127.0.0.1'

async function pair() {
  const epmdPort = await testEpmd()
  const ours = await testNode(OURS, epmdPort)
  const erl = await startErl({ name: ERL, epmdPort })
  return { ours, erl, epmdPort, runtime: ours.runtime }
}

const idle = genServer({ label: 'idle', init: () => ok({ secret: 'of state', answer: 42 }) })
const tree = supervisor({
  strategy: 'one_for_one',
  children: () => [child('first', idle, [undefined, { name: 'idle_process' }]), child('second', idle, [])],
})

/** Where a command of Erlang is, whose folder may not be on the path. */
async function commandPath(name: string): Promise<string | undefined> {
  try {
    const find = `command -v ${name} || ls -d "$(dirname "$(readlink -f "$(command -v erl)")")"/../lib/erl_interface-*/bin/${name}`
    const { stdout } = await promisify(execFile)('sh', ['-c', find])
    return stdout.trim().split('\n')[0]
  } catch {
    return undefined
  }
}

describe.skipIf(!hasErlang)('rpc from Erlang', () => {
  it('rpc:call, block_call, multicall and erpc:call reach what is exported', async () => {
    const { erl } = await pair()
    expect(await erl.eval(`rpc:call('${OURS}', erlang, node, [])`)).toBe(`'${OURS}'`)
    expect(await erl.eval(`rpc:block_call('${OURS}', erlang, nodes, [])`)).toBe(`['${ERL}']`)
    expect(await erl.eval(`erpc:call('${OURS}', erlang, nodes, [[this, visible]], 1000)`)).toBe(`['${OURS}','${ERL}']`)
    expect(await erl.eval(`rpc:multicall(['${OURS}', node(), nobody@nowhere], erlang, node, [], 4000)`)).toBe(
      `{['${OURS}','${ERL}'],[nobody@nowhere]}`,
    )
    expect(await erl.eval(`erpc:multicall(['${OURS}', node()], erlang, whereis, [nobody])`)).toBe(
      '[{ok,undefined},{ok,undefined}]',
    )
  })

  it('what is not exported is undef, and takes nothing with it', async () => {
    const { erl, runtime } = await pair()
    expect(await erl.eval(`rpc:call('${OURS}', os, cmd, ["id"])`)).toBe(
      `{badrpc,{'EXIT',{undef,[{os,cmd,["id"],[]}]}}}`,
    )
    expect(await erl.eval(`catch erpc:call('${OURS}', init, stop, [])`)).toMatch(/undef,\[\{init,stop,\[\],\[\]\}\]/)
    expect(await erl.eval(`gen_server:call({rex, '${OURS}'}, {call, erlang, get_cookie, [], group_leader()})`)).toBe(
      `{badrpc,{'EXIT',{undef,[{erlang,get_cookie,[],[]}]}}}`,
    )
    expect(
      await erl.eval(
        `{P, R} = spawn_monitor('${OURS}', file, read_file, ["/etc/passwd"]), receive {'DOWN', R, _, P, W} -> W end`,
      ),
    ).toBe('{undef,[{file,read_file,["/etc/passwd"],[]}]}')
    expect(await erl.eval(`rpc:cast('${OURS}', os, cmd, ["id"]), erpc:cast('${OURS}', os, cmd, ["id"])`)).toBe('ok')
    expect(await erl.eval(`rpc:call('${OURS}', erlang, node, [])`)).toBe(`'${OURS}'`)
    expect(runtime.whereis('rex')).toBeDefined()
  })

  it('exceptions of a function have the class and reason that they have in Erlang', async () => {
    const { erl, ours } = await pair()
    ours.exports.register('ours', {
      'throw/1': (_context, term) => {
        throw new ErlangError('throw', term)
      },
      'exit/1': async (_context, term) => {
        throw new ErlangError('exit', term)
      },
      'crash/0': () => {
        throw new TypeError('a fault')
      },
    })
    const caught = (expression: string): Promise<string> => erl.eval(`try ${expression} catch C:E -> {C, E} end`)
    expect(await caught(`erpc:call('${OURS}', ours, throw, [ball])`)).toBe('{throw,ball}')
    expect(await caught(`erpc:call('${OURS}', ours, exit, [{bye, 1}])`)).toBe('{exit,{exception,{bye,1}}}')
    expect(await caught(`erpc:call('${OURS}', erlang, whereis, ["x"])`)).toBe(
      '{error,{exception,badarg,[{erlang,whereis,["x"],[]}]}}',
    )
    expect(await caught(`erpc:call('${OURS}', ours, crash, [])`)).toBe(
      `{error,{exception,{'TypeError',<<"a fault">>},[{ours,crash,0,[]}]}}`,
    )
    expect(await erl.eval(`rpc:call('${OURS}', ours, throw, [ball])`)).toBe('ball')
    expect(await erl.eval(`rpc:call('${OURS}', ours, exit, [bye])`)).toBe(`{badrpc,{'EXIT',bye}}`)
    for (const how of ['call', 'block_call']) {
      const request = (name: string, args: string): string =>
        `gen_server:call({rex, '${OURS}'}, {${how}, ours, ${name}, ${args}, user})`
      expect(await erl.eval(request('throw', '[ball]'))).toBe('ball')
      expect(await erl.eval(request('exit', '[bye]'))).toBe(`{badrpc,{'EXIT',bye}}`)
    }
  })

  it('a call that takes too long times out, and one whose process is killed is told by a signal', async () => {
    const { erl, runtime } = await pair()
    expect(await erl.eval(`rpc:call('${OURS}', timer, sleep, [60000], 50)`)).toBe('{badrpc,timeout}')
    expect(await erl.eval(`catch erpc:call('${OURS}', timer, sleep, [60000], 50)`)).toMatch(/\{erpc,timeout\}/)
    const killed = erl.eval(
      `{P, R} = spawn_monitor('${OURS}', timer, sleep, [infinity]), exit(P, kill), receive {'DOWN', R, _, P, W} -> W end`,
    )
    expect(await killed).toBe('killed')
    const linked = `process_flag(trap_exit, true), P = spawn_link('${OURS}', timer, sleep, [20]), receive {'EXIT', P, W} -> W end`
    expect(await erl.eval(linked)).toBe('normal')
    const sleepers = [...runtime.processes].filter(({ label }) => label === 'timer:sleep/1')
    expect(sleepers).toHaveLength(2)
    const call = erl.eval(`try erpc:call('${OURS}', timer, sleep, [infinity]) catch C:E -> {C, E} end`)
    await eventually(() => [...runtime.processes].filter(({ label }) => label === 'timer:sleep/1').length === 3)
    for (const { pid, label } of runtime.processes) if (label === 'timer:sleep/1') runtime.exit(pid, 'stopped')
    expect(await call).toBe('{exit,{signal,stopped}}')
  })

  it('supervisor and sys functions answer in OTP’s shapes', async () => {
    const { erl, runtime } = await pair()
    await tree.startLink(runtime, undefined, { name: 'top' })
    expect(
      await erl.eval(
        `[{I, is_pid(P), T, M} || {I, P, T, M} <- rpc:call('${OURS}', supervisor, which_children, [top])]`,
      ),
    ).toBe('[{second,true,worker,[]},{first,true,worker,[]}]')
    expect(await erl.eval(`supervisor:count_children({top, '${OURS}'})`)).toBe(
      '[{specs,2},{active,2},{supervisors,0},{workers,2}]',
    )
    expect(await erl.eval(`rpc:call('${OURS}', supervisor, count_children, [top])`)).toBe(
      '[{specs,2},{active,2},{supervisors,0},{workers,2}]',
    )
    expect(await erl.eval(`maps:get(answer, rpc:call('${OURS}', sys, get_state, [idle_process]))`)).toBe('42')
    const status = `{status, _, {module, gen_server}, [PD, running, Parent, [], Misc]} = rpc:call('${OURS}', sys, get_status, [idle_process]), {is_list(PD), is_pid(Parent), length(Misc)}`
    expect(await erl.eval(status)).toBe('{true,true,3}')
    expect(await erl.eval(`rpc:call('${OURS}', sys, get_state, [nobody])`)).toBe(
      `{badrpc,{'EXIT',{noproc,{sys,get_state,[nobody]}}}}`,
    )
    expect(await erl.eval(`rpc:call('${OURS}', supervisor, count_children, [nobody])`)).toBe(
      `{badrpc,{'EXIT',{noproc,{gen_server,call,[nobody,count_children,infinity]}}}}`,
    )
  })

  it('process_info tells of our processes', async () => {
    const { erl, runtime } = await pair()
    await tree.startLink(runtime, undefined, { name: 'top' })
    const info = (item: string): Promise<string> =>
      erl.eval(
        `P = rpc:call('${OURS}', erlang, whereis, [idle_process]), rpc:call('${OURS}', erlang, process_info, [P, ${item}])`,
      )
    expect(await info('[registered_name, status, trap_exit, message_queue_len, current_function]')).toBe(
      '[{registered_name,idle_process},{status,waiting},{trap_exit,false},{message_queue_len,0},{current_function,{gen_server,loop,7}}]',
    )
    expect(await info('nonsense')).toMatch(/^\{badrpc,\{'EXIT',\{badarg,/)
    expect(
      await erl.eval(`P = rpc:call('${OURS}', erlang, whereis, [idle_process]), proc_lib:translate_initial_call(P)`),
    ).toBe('{idle,init,1}')
    expect(await erl.eval(`lists:member(rex, rpc:call('${OURS}', erlang, registered, []))`)).toBe('true')
  })

  it('net_adm, net_kernel, application and code answer', async () => {
    const { erl } = await pair()
    expect(await erl.eval(`lists:sort([N || {N, _} <- element(2, rpc:call('${OURS}', net_adm, names, []))])`)).toBe(
      '["erl","ours"]',
    )
    expect(await erl.eval(`rpc:call('${OURS}', net_adm, ping, [node()])`)).toBe('pong')
    expect(await erl.eval(`rpc:call('${OURS}', net_kernel, connect_node, ['nobody@127.0.0.1'])`)).toBe('false')
    expect(await erl.eval(`rpc:call('${OURS}', application, which_applications, [])`)).toBe('[]')
    expect(await erl.eval(`[rpc:call('${OURS}', code, ensure_loaded, [M]) || M <- [observer_backend, shell]]`)).toBe(
      '[{module,observer_backend},{error,nofile}]',
    )
  })

  it('global:sync returns, and locks are granted, refused and given back', async () => {
    const { erl, runtime } = await pair()
    expect(await erl.eval(`net_adm:ping('${OURS}'), global:sync()`)).toBe('ok')
    expect(await erl.eval(`global:trans({res, self()}, fun() -> done end)`)).toBe('done')
    const ask = (what: string, id: string): string =>
      `gen_server:call({global_name_server, '${OURS}'}, {${what}, ${id}})`
    expect(
      await erl.eval(`[${ask('set_lock', '{r, a}')}, ${ask('set_lock', '{r, b}')}, ${ask('set_lock', '{r, a}')}]`),
    ).toBe('[true,false,true]')
    // The process that held the lock has ended.
    const state = () => runtime.process(runtime.whereis('global_name_server')!)!.behaviour.state
    await eventually(() => expect(state()).toEqual({ locks: 0 }))
    expect(
      await erl.eval(`[${ask('set_lock', '{r, b}')}, ${ask('del_lock', '{r, b}')}, ${ask('set_lock', '{r, c}')}]`),
    ).toBe('[true,true,true]')
    expect(await erl.eval(`global:whereis_name(nobody)`)).toBe('undefined')
    expect(await erl.eval(`gen_server:call({global_name_server, '${OURS}'}, nonsense, 1000)`)).toMatch(/error/)
  })

  it('etop shows our processes as text', async ({ skip }) => {
    const { erl, runtime, epmdPort } = await pair()
    if ((await erl.eval('code:which(etop)')) === 'non_existing') return skip()
    await tree.startLink(runtime, undefined, { name: 'top' })
    const eval_ = `etop:start([{node, '${OURS}'}, {output, text}, {tracing, off}, {interval, 1}])`
    const child = execFile(
      'erl',
      ['-name', 'etop@127.0.0.1', '-setcookie', 'secret', '-hidden', '-noshell', '-eval', eval_],
      {
        env: { ...process.env, ERL_EPMD_PORT: String(epmdPort) },
      },
    )
    let text = ''
    child.stdout!.on('data', (chunk) => {
      text += String(chunk)
    })
    try {
      await eventually(() => expect(text).toMatch(/idle_process +'-'.*gen_server:loop\/7/))
      expect(text).toContain(OURS)
    } finally {
      child.kill('SIGKILL')
    }
    expect(await erl.eval(`rpc:call('${OURS}', erlang, node, [])`)).toBe(`'${OURS}'`)
  })

  it('erl_call runs an exported function', async ({ skip }) => {
    const { epmdPort } = await pair()
    const command = await commandPath('erl_call')
    if (command === undefined) return skip()
    const env = { ...process.env, ERL_EPMD_PORT: String(epmdPort) }
    const { stdout } = await promisify(execFile)(
      command,
      ['-name', OURS, '-c', 'secret', '-timeout', '10', '-a', 'erlang node []'],
      { env },
    )
    expect(stdout).toContain(OURS)
  })
})

describe.skipIf(!hasErlang)('rpc to Erlang', () => {
  it('erpc.call resolves with the value, and rejects with the exception', async () => {
    const { runtime } = await pair()
    expect(await erpc.call(runtime, ERL, 'erlang', 'node')).toBe(atom(ERL))
    expect(await erpc.call(runtime, ERL, 'lists', 'reverse', [[1, 2, atom('x')]])).toEqual([atom('x'), 2, 1])
    const failure = (name: string, args: unknown[]) => erpc.call(runtime, ERL, 'erlang', name, args)
    await expect(failure('throw', [atom('ball')])).rejects.toMatchObject({ class: 'throw', reason: atom('ball') })
    await expect(failure('exit', [atom('bye')])).rejects.toMatchObject({
      class: 'exit',
      reason: tuple(atom('exception'), atom('bye')),
    })
    await expect(failure('error', [atom('oops')])).rejects.toMatchObject({ class: 'error' })
    await expect(erpc.call(runtime, ERL, 'timer', 'sleep', [60_000], 30)).rejects.toMatchObject({
      reason: tuple(atom('erpc'), atom('timeout')),
    })
    await expect(erpc.call(runtime, 'nobody@127.0.0.1', 'erlang', 'node')).rejects.toMatchObject({
      reason: tuple(atom('erpc'), atom('noconnection')),
    })
  })

  it('rpc.call, cast and multicall give OTP’s results', async () => {
    const { runtime, erl } = await pair()
    expect(await rpc.call(runtime, ERL, 'erlang', 'list_to_atom', [charlist('abc')])).toEqual({
      ok: true,
      value: atom('abc'),
    })
    expect(await rpc.call(runtime, ERL, 'nomod', 'nofun')).toEqual({
      ok: false,
      reason: { EXIT: { undef: [tuple(atom('nomod'), atom('nofun'), [], [])] } },
    })
    expect(await rpc.call(runtime, 'nobody@127.0.0.1', 'erlang', 'node')).toEqual({ ok: false, reason: 'nodedown' })
    expect(await rpc.call(runtime, ERL, 'timer', 'sleep', [60_000], 30)).toEqual({ ok: false, reason: 'timeout' })
    expect(await rpc.multicall(runtime, [OURS, 'nobody@127.0.0.1', ERL], 'erlang', 'node')).toEqual({
      results: [
        { ok: true, value: atom(OURS) },
        { ok: true, value: atom(ERL) },
      ],
      badNodes: ['nobody@127.0.0.1'],
    })
    const later = rpc.asyncCall(runtime, ERL, 'timer', 'sleep', [200])
    expect(await later.nbYield(0)).toBeUndefined()
    expect(await later.yield()).toEqual({ ok: true, value: atom('ok') })
    expect(await later.nbYield(1000)).toEqual({ ok: true, value: atom('ok') })
    rpc.cast(runtime, ERL, 'application', 'set_env', [atom('kernel'), atom('seen'), 1])
    await eventually(async () => expect(await erl.eval('application:get_env(kernel, seen)')).toBe('{ok,1}'))
  })

  it('a call ends when its node dies', async () => {
    const { runtime, erl } = await pair()
    await erpc.call(runtime, ERL, 'erlang', 'node')
    const call = rpc.call(runtime, ERL, 'timer', 'sleep', [atom('infinity')])
    await eventually(async () =>
      expect(
        await erl.eval(
          'length([P || P <- processes(), {timer, sleep, 1} == element(2, process_info(P, current_function))])',
        ),
      ).toBe('1'),
    )
    erl.kill()
    expect(await call).toEqual({ ok: false, reason: 'nodedown' })
  })
})
