/** Erlang's `global` stays well beside nodes of ours, which take no part in it: nothing of it hangs, and names and locks work on. */
import { describe, expect, it } from 'vitest'
import { disconnectNode, nodes } from '../../src/dist/net-kernel.ts'
import { startErl } from '../support/erl.ts'
import { eventually } from '../support/eventually.ts'
import { OurNode } from '../support/fault-cluster.ts'
import { testEpmd, testNode } from '../support/node.ts'
import { ERL, erlPair, OURS } from '../support/pair.ts'

const OTHER = 'other@127.0.0.1'

/** Two Erlang nodes and one of ours, all connected. */
async function trio() {
  const epmdPort = await testEpmd()
  const [ours, erl, other] = await Promise.all([
    testNode(OURS, epmdPort),
    startErl({ name: ERL, epmdPort }),
    startErl({ name: OTHER, epmdPort }),
  ])
  for (const peer of [OURS, OTHER]) expect(await erl.eval(`net_adm:ping('${peer}')`)).toBe('pong')
  expect(await other.eval(`net_adm:ping('${OURS}')`)).toBe('pong')
  return { ours, erl, other, runtime: ours.runtime, epmdPort }
}

describe('global of Erlang', () => {
  it('syncs, and registers, finds and unregisters names, with a node of ours among the nodes', async () => {
    const { erl, other } = await trio()
    expect(await erl.eval('global:sync()')).toBe('ok')
    expect(await other.eval('global:sync()')).toBe('ok')
    expect(await erl.eval(`global:register_name(shop, spawn(timer, sleep, [infinity]))`)).toBe('yes')
    expect(await other.eval(`node(global:whereis_name(shop))`)).toBe(`'${ERL}'`)
    expect(await other.eval(`global:register_name(shop, self())`)).toBe('no')
    expect(await other.eval(`global:re_register_name(shop, spawn(timer, sleep, [infinity]))`)).toBe('yes')
    expect(await erl.eval(`node(global:whereis_name(shop))`)).toBe(`'${OTHER}'`)
    expect(await erl.eval(`global:unregister_name(shop), global:registered_names()`)).toBe('[]')
    expect(await erl.eval(`gen_server:start({global, server}, supervisor_bridge, [], []), ok`)).toBe('ok')
  })

  it('locks a resource on all nodes, ours included, for one at a time', async () => {
    const { erl, other } = await trio()
    const holder = `S = self(), register(holder, spawn(fun() -> S ! global:set_lock({res, first}), receive stop -> ok end end)), receive X -> X end`
    expect(await erl.eval(holder)).toBe('true')
    expect(await other.eval('global:set_lock({res, second}, [node() | nodes()], 0)')).toBe('false')
    // A lock ends with the process that has it.
    await erl.eval('holder ! stop')
    expect(await other.eval('global:set_lock({res, second}, [node() | nodes()], 20)')).toBe('true')
    const both = await Promise.all(
      [erl, other].map((node) => node.eval('global:trans({res2, self()}, fun() -> timer:sleep(20), node() end)')),
    )
    expect(both).toEqual([`'${ERL}'`, `'${OTHER}'`])
    expect(await erl.eval(`global:set_lock({res3, me}, ['${OURS}']), global:del_lock({res3, me}, ['${OURS}'])`)).toBe(
      'true',
    )
    expect(await other.eval(`global:set_lock({res3, you}, ['${OURS}'], 0)`)).toBe('true')
  })

  it('gets a lock back whose holder has died with its node', async () => {
    const { erl, other, ours } = await trio()
    await other.eval(`register(holder, spawn(fun() -> global:set_lock({res, other}), receive never -> ok end end))`)
    const state = (): unknown => ours.runtime.process(ours.runtime.whereis('global_name_server')!)!.behaviour.state
    await eventually(() => expect(state()).toEqual({ locks: 1 }))
    expect(await erl.eval(`global:set_lock({res, mine}, [node() | nodes()], 0)`)).toBe('false')
    other.kill()
    await eventually(() => expect(state()).toEqual({ locks: 0 }))
    expect(await erl.eval(`global:set_lock({res, mine})`)).toBe('true')
  })

  it('syncs again with a node of ours that has come back, and with one that has just gone', async () => {
    const epmdPort = await testEpmd()
    const erl = await startErl({ name: ERL, epmdPort })
    for (let i = 0; i < 3; i++) {
      const node = await OurNode.start({ name: OURS, epmdPort, join: [ERL] })
      await eventually(async () => (await erl.eval('nodes()')) === `['${OURS}']`)
      expect(await erl.eval('global:sync()')).toBe('ok')
      expect(await erl.eval(`global:trans({res, self()}, fun() -> done end)`)).toBe('done')
      node.signal('SIGKILL')
      expect(await erl.eval(`global:trans({res, self()}, fun() -> done end)`)).toBe('done')
      await eventually(async () => (await erl.eval('nodes()')) === '[]')
    }
  })

  it('parts no nodes for our sake: a connection of ours that is lost leaves all others as they are', async () => {
    const { erl, other, runtime } = await trio()
    await erl.eval('global:sync()')
    disconnectNode(runtime, ERL)
    await eventually(async () => (await erl.eval('nodes()')) === `['${OTHER}']`)
    // What global would do for a lost node of its own, it would have done by the time that it has synced again.
    expect(await erl.eval('global:sync()')).toBe('ok')
    expect(await other.eval('global:sync(), lists:sort(nodes())')).toBe(`['${ERL}','${OURS}']`)
    expect(nodes(runtime)).toEqual([OTHER])
    expect(await erl.eval(`erlang:disconnect_node('${OTHER}')`)).toBe('true')
    expect(await other.eval('global:sync()')).toBe('ok')
    expect(nodes(runtime)).toEqual([OTHER])
  })

  it('is answered whatever it asks: no request is left without one', async () => {
    const { erl } = await erlPair()
    const at = `{global_name_server, '${OURS}'}`
    for (const [request, answer] of [
      ['get_known', /^\[\]$/],
      ['get_synced', /^\[\]$/],
      ['get_names_ext', /^\[\]$/],
      ['get_protocol_version', /^8$/],
      ['{whereis, nobody}', /error/],
      ['{registrar, fun() -> ok end}', /error/],
      ['{high_level_trace_start, node()}', /error/],
      ['{set_lock, no_pair}', /false/],
    ] as const) {
      expect(await erl.eval(`gen_server:call(${at}, ${request}, 2000)`), request).toMatch(answer)
    }
  })
})
