/**
 * What the windows of Erlang's graphical observer ask of a node of ours, asked by a real Erlang node in the same way and matched
 * with the same patterns: a wrong shape would end the whole window.
 */
import { describe, expect, it } from 'vitest'
import { start } from '../../src/actors/application.ts'
import { genServer, ok } from '../../src/actors/gen-server.ts'
import type { Runtime } from '../../src/actors/runtime.ts'
import { child, supervisor } from '../../src/actors/supervisor.ts'
import { hasErlang, startErl } from '../support/erl.ts'
import { eventually } from '../support/eventually.ts'
import { testEpmd, testNode } from '../support/node.ts'

const OURS = 'ours@127.0.0.1'

const idle = genServer({ label: 'idle', init: () => ok({ answer: 42 }) })
const workers = supervisor({
  label: 'workers',
  strategy: 'one_for_one',
  children: () => [child('left', idle, [undefined, { name: 'left' }]), child('right', idle, [])],
})
const top = supervisor({
  label: 'top',
  strategy: 'one_for_one',
  children: () => [child('workers', workers, [undefined, { name: 'workers' }], { type: 'supervisor' })],
})

async function pair() {
  const epmdPort = await testEpmd()
  const ours = await testNode(OURS, epmdPort)
  const erl = await startErl({ name: 'erl@127.0.0.1', epmdPort })
  const { runtime } = ours
  await start(runtime, {
    name: 'shop',
    description: 'of a test',
    version: '1.2',
    start: (self) => top.startLink(self, undefined, { name: 'top' }),
  })
  return { ours, erl, runtime }
}

const appmons = ({ processes }: Runtime): number =>
  Array.from(processes).filter(({ label }) => label === 'appmon_info:init/1').length

const call = (module: string, name: string, args: string): string => `rpc:call('${OURS}', ${module}, ${name}, ${args})`

/** Plays the Applications tab: what comes is in the order in which it was asked for. */
const APPMON = `
  {ok, P} = ${call('appmon_info', 'start_link2', '[self(), self(), []]')},
  App = fun(Name, On) -> gen_server:cast(P, {self(), app, Name, On, []}) end,
  Next = fun(Command) -> receive {delivery, P, Command, Aux, Data} -> {Aux, Data} after 5000 -> timeout end end,`

describe.skipIf(!hasErlang)("Erlang's observer", () => {
  it('draws the tree of an application', async () => {
    const { erl, runtime } = await pair()
    const apps = `${APPMON} gen_server:cast(P, {self(), app_ctrl, '${OURS}', true, []}),
      {_, Apps} = Next(app_ctrl), [{is_pid(M), N, I} || {M, N, I} <- Apps]`
    expect(await erl.eval(apps)).toBe('[{true,shop,{shop,"of a test","1.2"}}]')
    // As the window builds its tree: names of children by the name of their parent, each name with its pid.
    const tree = `${APPMON} App(shop, true), {shop, {Root, Names, Links, []}} = Next(app),
      Fam = sofs:to_external(sofs:relation_to_family(sofs:relation(Links))),
      ByName = gb_trees:from_orddict(lists:sort([{N, Q} || {Q, N} <- Names])),
      true = lists:all(fun({_, C}) -> is_pid(gb_trees:get(C, ByName)) end, Links),
      Pretty = fun([$< | _]) -> pid; (N) -> N end,
      lists:sort([{Pretty(A), length(Cs), lists:sort(lists:map(Pretty, Cs))} || {A, Cs} <- Fam]) ++ [Pretty(Root)]`
    expect(await erl.eval(tree)).toBe('[{pid,1,["top"]},{"top",1,["workers"]},{"workers",2,[pid,"left"]},pid]')
    expect(await erl.eval(`${APPMON} App(nobody, true), Next(app)`)).toBe('{nobody,{[],[],[],[]}}')
    await eventually(() => appmons(runtime) === 0)
  })

  it('is told when the tree has changed, and not before', async () => {
    const { erl, runtime } = await pair()
    const twice = `${APPMON} App(shop, true), {_, {_, Before, _, _}} = Next(app),
      Left = hd([Q || {Q, "left"} <- Before]), exit(Left, kill), {_, {_, After, _, _}} = Next(app),
      App(shop, false), exit(P, normal),
      {length(Before) - length(After), Left =:= hd([Q || {Q, "left"} <- After])}`
    expect(await erl.eval(twice)).toBe('{0,false}')
    await eventually(() => appmons(runtime) === 0)
  })

  it('cuts what no window can show', async () => {
    const { erl, runtime } = await pair()
    const many = supervisor({
      label: 'many',
      strategy: 'one_for_one',
      children: () => Array.from({ length: 150 }, (_, at) => child(`c${at}`, idle, [])),
    })
    await start(runtime, { name: 'large', start: (self) => many.startLink(self, undefined, { name: 'many' }) })
    const tree = `${APPMON} App(large, true), {_, {_, Names, Links, _}} = Next(app),
      {length(Links), [N || {_, "..." ++ N} <- Names]}`
    expect(await erl.eval(tree)).toBe('{102,[" 50 more of many"]}')
  })

  it('shows the rows of a table, named or not, and of tables of a layer above', async () => {
    const { erl, ours, runtime } = await pair()
    const named = runtime.ets.create<{ id: number; word: string }>(runtime.init, 'words', { key: 'id', named: true })
    for (let id = 1; id <= 450; id++) named.insert({ id, word: `w${id}` })
    const anonymous = runtime.ets.create<{ word: string; id: number }>(runtime.init, 'secretless', { key: 'word' })
    anonymous.insert({ word: 'one', id: 1 })
    runtime.ets.create<{ id: number }>(runtime.init, 'hidden', { key: 'id', named: true, protection: 'private' })
    const rows = [
      { filter: 't/+', node: 'n1' },
      { filter: 't/#', node: 'n2' },
    ]
    ours.exports.showTables(() => [
      {
        name: 'route',
        owner: runtime.init.pid,
        type: 'bag',
        size: rows.length,
        memoryBytes: 128,
        attributes: ['filter', 'node'],
        rows: () => rows[Symbol.iterator](),
      },
    ])
    const fetch = `Fetch = fun(Table, Kind) ->
        From = ${call('observer_backend', 'get_table', '[self(), Table, Kind]')},
        Get = fun G(Acc) -> receive {From, '$end_of_table'} -> Acc; {From, Rows} -> G(Acc ++ [Rows]) after 5000 -> timeout end end,
        Get([])
      end,`
    expect(
      await erl.eval(`${fetch} Parts = Fetch(words, ets), {list_to_tuple([length(R) || R <- Parts]), hd(hd(Parts))}`),
    ).toBe('{{200,200,50},[{1,{word,<<"w1">>}}]}')
    const byId = `Id = fun(Name) -> hd([proplists:get_value(id, T) || T <-
      ${call('observer_backend', 'get_table_list', '[ets, [{sys_hidden, false}, {unread_hidden, false}]]')},
      proplists:get_value(name, T) =:= Name]) end,`
    expect(await erl.eval(`${fetch} ${byId} {is_reference(Id(secretless)), Fetch(Id(secretless), ets)}`)).toBe(
      '{true,[[[{<<"one">>,{id,1}}]]]}',
    )
    expect(await erl.eval(`${fetch} ${byId} {Id(hidden), Fetch(hidden, ets), Fetch(nobody, ets)}`)).toBe(
      '{ignore,[],[]}',
    )
    expect(await erl.eval(`${fetch} Fetch(route, mnesia)`)).toBe(
      '[[{route,<<"t/+">>,<<"n1">>},{route,<<"t/#">>,<<"n2">>}]]',
    )
    expect(await erl.eval(call('mnesia', 'table_info', '[route, attributes]'))).toBe('[filter,node]')
    expect(
      await erl.eval(`${byId} [${call('ets', 'info', '[T, keypos]')} || T <- [words, Id(secretless), nobody]]`),
    ).toBe('[1,1,undefined]')
  })

  it('fills the window of a process', async () => {
    const { erl } = await pair()
    // The clauses of the State tab.
    const state = `
      Pid = ${call('erlang', 'whereis', '[left]')},
      {M, _, _} = ${call('proc_lib', 'translate_initial_call', '[Pid]')},
      {behaviour, [B]} = lists:keyfind(behaviour, 1, rpc:call('${OURS}', M, module_info, [attributes])),
      {status, Pid, {module, _}, [_, _, _, _, [{header, _}, {data, First}, {data, Second} | _]]} =
        ${call('sys', 'get_status', '[Pid, 200]')},
      {M, B, [K || {K, _} <- First], Second}`
    expect(await erl.eval(state)).toBe(
      '{idle,gen_server,["Status","Parent","Logged events"],[{"State",#{answer => 42}}]}',
    )
    const plain = `P = spawn('${OURS}', timer, sleep, [infinity]), ${call('proc_lib', 'translate_initial_call', '[P]')}`
    expect(await erl.eval(plain)).toBe('{proc_lib,init_p,5}')
    expect(
      await erl.eval(`P = ${call('erlang', 'whereis', '[left]')}, ${call('erlang', 'garbage_collect', '[P]')}`),
    ).toBe('true')
    expect(await erl.eval(call('nobody', 'module_info', '[attributes]'))).toBe(
      "{badrpc,{'EXIT',{undef,[{nobody,module_info,[attributes],[]}]}}}",
    )
    expect(await erl.eval(call('gen_event', 'which_handlers', '[error_logger]'))).toBe("{badrpc,{'EXIT',noproc}}")
  })

  it('draws the memory allocators: it divides by the size of their carriers, and wants the same ones each time', async () => {
    const { erl } = await pair()
    const allocators = `
      Sums = fun() -> [{Name, lists:sum([S || {_, [{size, S, _, _}]} <- Blocks]), Carriers} ||
        {Name, [{instance, 0, [{mbcs, [{blocks, Blocks}, {carriers_size, Carriers, _, _}]}, {sbcs, _}]}]} <-
          proplists:get_value(alloc_info, ${call('observer_backend', 'sys_info', '[]')})] end,
      First = Sums(), Second = Sums(),
      {[N || {N, _, _} <- First] =:= [N || {N, _, _} <- Second], length(First) > 5,
        lists:all(fun({_, Used, Size}) -> Size > 0 andalso Used =< Size end, First ++ Second)}`
    expect(await erl.eval(allocators)).toBe('{true,true,true}')
  })

  it('counts no sockets of its own kind, in the shape of a real node', async () => {
    const { erl } = await pair()
    const keys = (node: string): string => `[K || {K, _} <- rpc:call(${node}, observer_backend, socket_info, [])]`
    expect(await erl.eval(`${keys('node()')} =:= ${keys(`'${OURS}'`)}`)).toBe('true')
  })
})
