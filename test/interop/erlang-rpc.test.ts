/** rpc, erpc and global between our node and a real Erlang node. */
import { describe, expect, it } from 'vitest'
import { Exit } from '../../src/actors/errors.ts'
import { Exports } from '../../src/dist/exports.ts'
import { ping } from '../../src/dist/net-adm.ts'
import * as rpc from '../../src/dist/rpc.ts'
import { atom, charlist, text } from '../../src/dist/term.ts'
import { hasErlang, startErl } from '../support/erlang-node.ts'
import { eventually } from '../support/eventually.ts'
import { testEpmd, testNode } from '../support/node.ts'

async function pair() {
  const epmdPort = await testEpmd()
  const exported = new Exports()
  exported.add('math', 'add', 2, (_context, a, b) => Number(a) + Number(b))
  exported.add('math', 'fail', 1, (_context, how) => {
    if (how === 1) throw new Exit('told_so')
    throw new TypeError('a mistake')
  })
  const ours = await testNode('ours@127.0.0.1', epmdPort, { exports: exported })
  const erl = await startErl({ name: 'erl@127.0.0.1', epmdPort })
  return { ours, erl, runtime: ours.runtime }
}

describe.skipIf(!hasErlang)('rpc with a real Erlang node', () => {
  it('rpc and erpc of Erlang reach what is exported', async () => {
    const { ours, erl } = await pair()
    const at = `'${ours.name}'`
    expect(await erl.eval(`rpc:call(${at}, math, add, [1, 2])`)).toBe('3')
    expect(await erl.eval(`erpc:call(${at}, math, add, [1, 2])`)).toBe('3')
    expect(await erl.eval(`erpc:multicall([node(), ${at}], erlang, node, [])`)).toBe(`[{ok,'${erl.name}'},{ok,${at}}]`)
    expect(await erl.eval(`gen_server:call({rex, ${at}}, {call, math, add, [2, 2], group_leader()})`)).toBe('4')
    expect(
      await erl.eval(`{rex, ${at}} ! {self(), {call, math, add, [3, 2], group_leader()}}, receive X -> X end`),
    ).toBe('{rex,5}')
    expect(await erl.eval(`rpc:call(${at}, erlang, nodes, [])`)).toBe(`['${erl.name}']`)
    expect(await erl.eval(`rpc:call(${at}, erlang, whereis, [rex]) =:= rpc:call(${at}, erlang, whereis, [rex])`)).toBe(
      'true',
    )
    expect(await erl.eval(`rpc:call(${at}, erlang, system_info, [process_count]) > 3`)).toBe('true')
    expect(
      await erl.eval(
        `rpc:call(${at}, erlang, process_info, [rpc:call(${at}, erlang, whereis, [rex]), registered_name])`,
      ),
    ).toBe('{registered_name,rex}')
  })

  it('what is not exported, or fails, is told as Erlang tells it, and nothing dies', async () => {
    const { ours, erl } = await pair()
    const at = `'${ours.name}'`
    expect(await erl.eval(`rpc:call(${at}, os, cmd, ["true"])`)).toBe(
      `{badrpc,{'EXIT',{undef,[{os,cmd,["true"],[]}]}}}`,
    )
    expect(await erl.eval(`rpc:call(${at}, math, fail, [1])`)).toBe(`{badrpc,{'EXIT',told_so}}`)
    expect(await erl.eval(`rpc:call(${at}, math, fail, [2])`)).toContain('{badrpc,{\'EXIT\',{<<"a mistake">>,')
    expect(await erl.eval(`rpc:call(${at}, erlang, whereis, [17])`)).toContain(`{badrpc,{'EXIT',{badarg,`)
    expect(await erl.eval(`rpc:cast(${at}, no, such, [])`)).toBe('true')
    expect(await erl.eval(`catch erpc:call(${at}, no, such, [])`)).toContain('undef')
    expect(await erl.eval(`rpc:call(${at}, math, add, [1, 1])`)).toBe('2')
  })

  it('a process that sleeps here can be monitored, linked and killed', async () => {
    const { ours, erl } = await pair()
    const at = `'${ours.name}'`
    expect(
      await erl.eval(
        `P = spawn(${at}, timer, sleep, [infinity]), M = monitor(process, P), exit(P, kill),
         receive {'DOWN', M, process, P, R} -> R end`,
      ),
    ).toBe('killed')
    expect(
      await erl.eval(
        `process_flag(trap_exit, true), P = spawn_link(${at}, timer, sleep, [10]), receive {'EXIT', P, R} -> R end`,
      ),
    ).toBe('normal')
    expect(
      await erl.eval(`{P, M} = spawn_monitor(${at}, timer, sleep, [10]), receive {'DOWN', M, process, P, R} -> R end`),
    ).toBe('normal')
  })

  it('our rpc reaches functions of Erlang', async () => {
    const { erl, runtime } = await pair()
    expect(await rpc.call(runtime, erl.name, 'lists', 'reverse', [[1, 2, 3]])).toEqual([3, 2, 1])
    expect(text(await rpc.call(runtime, erl.name, 'string', 'uppercase', [charlist('abc')]))).toBe('ABC')
    await expect(rpc.call(runtime, erl.name, 'no', 'such')).rejects.toMatchObject({
      reason: { badrpc: { EXIT: { undef: expect.anything() } } },
    })
    await expect(rpc.call(runtime, 'none@127.0.0.1', 'erlang', 'node')).rejects.toMatchObject({
      reason: { badrpc: 'nodedown' },
    })
    rpc.cast(runtime, erl.name, 'application', 'set_env', [atom('kernel'), atom('told'), 1])
    await eventually(async () => expect(await erl.eval('application:get_env(kernel, told)')).toBe('{ok,1}'))
    const results = await rpc.multicall(runtime, [erl.name, 'none@127.0.0.1'], 'erlang', 'node')
    expect(results).toEqual([
      { node: erl.name, ok: true, value: atom(erl.name) },
      { node: 'none@127.0.0.1', ok: false, reason: { badrpc: 'nodedown' } },
    ])
  })

  it('global of Erlang syncs, locks and runs transactions while we are connected', async () => {
    const { ours, erl, runtime } = await pair()
    expect(await ping(runtime, erl.name)).toBe('pong')
    expect(await erl.eval('global:sync()')).toBe('ok')
    expect(await erl.eval(`global:trans({res, self()}, fun() -> done end, [node(), '${ours.name}'])`)).toBe('done')
    expect(await erl.eval(`global:set_lock({res, me}, [node(), '${ours.name}'], 0)`)).toBe('true')
    // The process that took the lock has ended, and the lock with it.
    await eventually(async () =>
      expect(await erl.eval(`global:set_lock({res, other}, [node(), '${ours.name}'], 0)`)).toBe('true'),
    )
    const held = erl.eval(
      `register(holder, self()), true = global:set_lock({two, me}), receive go -> global:del_lock({two, me}) end`,
    )
    await eventually(async () =>
      expect(
        await erl.eval(`whereis(holder) =/= undefined andalso global:set_lock({two, you}, [node()|nodes()], 0)`),
      ).toBe('false'),
    )
    await erl.eval('holder ! go')
    expect(await held).toBe('true')
    expect(await erl.eval('global:register_name(x, self())')).toBe('yes')
  })
})
