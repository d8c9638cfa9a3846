/** A node of ours and one of Elixir: what an Elixir developer types works on our processes, and our calls on theirs. */
import { describe, expect, it } from 'vitest'
import { call, cast } from '../../src/actors/gen.ts'
import { genEvent, keepHandler } from '../../src/actors/gen-event.ts'
import { genServer, noreply, ok, reply } from '../../src/actors/gen-server.ts'
import type { Pid } from '../../src/actors/pid.ts'
import { child, supervisor } from '../../src/actors/supervisor.ts'
import * as erpc from '../../src/dist/erpc.ts'
import { ping } from '../../src/dist/net-adm.ts'
import { monitorNodes, nodes } from '../../src/dist/net-kernel.ts'
import { atom, text, tuple } from '../../src/dist/term.ts'
import { startElixir } from '../support/erl.ts'
import { eventually } from '../support/eventually.ts'
import { testEpmd, testNode } from '../support/node.ts'
import { notes } from '../support/pair.ts'

const OURS = 'n1@127.0.0.1'
const ELIXIR = 'ex@127.0.0.1'

const counter = genServer<
  { n: number },
  { get: () => number; add: (by: number) => number },
  { set: (n: number) => void },
  number
>({
  label: 'counter',
  init: (n) => ok({ n }),
  calls: {
    get: ({ state }) => reply(state.n, state),
    add: ({ state }, by) => reply(state.n + by, { n: state.n + by }),
  },
  casts: { set: (_context, n) => noreply({ n }) },
})

async function pair() {
  const epmdPort = await testEpmd()
  const [ours, elixir] = await Promise.all([testNode(OURS, epmdPort), startElixir({ name: ELIXIR, epmdPort })])
  return { ours, elixir, runtime: ours.runtime, epmdPort }
}

describe('with a real Elixir node', () => {
  it('Node.connect, Node.ping and Node.list see ours, and ours sees it', async () => {
    const { elixir, runtime } = await pair()
    expect(await elixir.eval(`Node.connect(:"${OURS}")`)).toBe('true')
    expect(await elixir.eval(`Node.ping(:"${OURS}")`)).toBe(':pong')
    expect(await elixir.eval('Node.list()')).toBe(`[:"${OURS}"]`)
    expect(nodes(runtime)).toEqual([ELIXIR])
    expect(await ping(runtime, ELIXIR)).toBe('pong')
    expect(await elixir.eval(`Node.disconnect(:"${OURS}")`)).toBe('true')
    expect(await elixir.eval(`Node.ping(:"nobody@127.0.0.1")`)).toBe(':pang')
  })

  it('GenServer.call, cast, multi_call and stop work on a server of ours', async () => {
    const { elixir, runtime } = await pair()
    const pid = await counter.start(runtime, 40, { name: 'counter' })
    const at = `{:counter, :"${OURS}"}`
    expect(await elixir.eval(`GenServer.call(${at}, {:add, 2})`)).toBe('42')
    expect(await elixir.eval(`GenServer.cast(${at}, {:set, 5}); GenServer.call(${at}, :get, :infinity)`)).toBe('5')
    expect(await elixir.eval(`GenServer.multi_call([:"${OURS}"], :counter, :get)`)).toBe(`{["${OURS}": 5], []}`)
    expect(await elixir.eval(`:sys.get_state(${at})`)).toBe('%{n: 5}')
    expect(
      await elixir.eval(`try do GenServer.call({:nobody, :"${OURS}"}, :get) catch :exit, {reason, _} -> reason end`),
    ).toBe(':noproc')
    expect(await elixir.eval(`GenServer.whereis(${at})`)).toBe(`{:counter, :"${OURS}"}`)
    expect(await elixir.eval(`GenServer.stop(${at}, :shutdown)`)).toBe(':ok')
    expect(runtime.isAlive(pid)).toBe(false)
  })

  it('Process.monitor, Process.link, Node.monitor and Process.exit work across', async () => {
    const { elixir, ours, runtime } = await pair()
    const start = () => runtime.spawn(async (self) => self.stop(await self.receive()), { name: 'mortal' })
    start()
    const told = elixir.eval(`Process.flag(:trap_exit, true);
      pid = :rpc.call(:"${OURS}", :erlang, :whereis, [:mortal]); Process.link(pid);
      ref = Process.monitor(pid); name = Process.monitor({:mortal, :"${OURS}"}); send({:mortal, :"${OURS}"}, {:shutdown, :bye});
      for _ <- 1..3 do receive do {:DOWN, ^ref, :process, ^pid, r} -> {:pid, r}; {:DOWN, ^name, :process, o, r} -> {o, r}; {:EXIT, ^pid, r} -> {:exit, r} end end |> Enum.sort()`)
    expect(await told).toBe(
      `[{:exit, {:shutdown, :bye}}, {:pid, {:shutdown, :bye}}, {{:mortal, :"${OURS}"}, {:shutdown, :bye}}]`,
    )
    const pid = start()
    expect(await elixir.eval(`Process.exit(:rpc.call(:"${OURS}", :erlang, :whereis, [:mortal]), :kill)`)).toBe('true')
    await eventually(() => !runtime.isAlive(pid))
    const down = elixir.eval(
      `Node.monitor(:"${OURS}", true); Process.register(self(), :waits); receive do {:nodedown, node} -> node end`,
    )
    await eventually(async () => (await elixir.eval('Process.whereis(:waits) != nil')) === 'true')
    ours.distribution.disconnect(ELIXIR)
    expect(await down).toBe(`:"${OURS}"`)
  })

  it('our processes hear of the ends of theirs, and of the node', async () => {
    const { elixir, runtime } = await pair()
    const { messages, process } = notes(runtime, 'box')
    monitorNodes(process)
    await elixir.eval(`{:ok, agent} = Agent.start(fn -> 1 end, name: :agent); send({:box, :"${OURS}"}, agent)`)
    await eventually(() => messages.length === 2)
    const agent = messages[1] as Pid
    const ref = process.monitor({ name: 'agent', node: ELIXIR })
    process.link(agent)
    await elixir.eval('Agent.stop(:agent, :shutdown)')
    await eventually(() => messages.length === 4)
    expect(messages.slice(2)).toContainEqual({ tag: 'EXIT', from: agent, reason: 'shutdown' })
    expect(messages.slice(2)).toContainEqual({
      tag: 'DOWN',
      ref,
      type: 'process',
      pid: { name: 'agent', node: ELIXIR },
      reason: 'shutdown',
    })
    elixir.kill()
    await eventually(() => messages.length === 5)
    expect(messages[4]).toEqual({ tag: 'nodedown', node: ELIXIR, nodeType: 'visible', reason: 'connection_closed' })
  })

  it('strings, nil, structs, charlists and keyword lists arrive as what they are', async () => {
    const { elixir, runtime } = await pair()
    const { messages } = notes(runtime, 'box')
    await elixir.eval(
      `send({:box, :"${OURS}"}, {"héllo", nil, true, 'abc', [a: 1, b: "x"], %{:__struct__ => Some.Thing, name: "n"}, 1..3, 1.0, <<1::3>>})`,
    )
    await eventually(() => messages.length === 1)
    const [string, nil, yes, charlist, keywords, struct, range, float] = (messages[0] as ReturnType<typeof tuple>)
      .elements
    expect(text(string)).toBe('héllo')
    expect([nil, yes, text(charlist), float]).toEqual([atom('nil'), true, 'abc', 1])
    expect(keywords).toEqual([tuple(atom('a'), 1), tuple(atom('b'), Buffer.from('x'))])
    expect(struct).toEqual({ __struct__: atom('Elixir.Some.Thing'), name: Buffer.from('n') })
    expect(range).toMatchObject({ __struct__: atom('Elixir.Range'), first: 1, last: 3 })
  })

  it('our calls reach a GenServer, whose crash is told, and its modules by erpc', async () => {
    const { elixir, runtime } = await pair()
    await elixir.eval(`defmodule Stack do
      use GenServer
      ; def init(list), do: {:ok, list}
      ; def handle_call(:pop, _from, [head | tail]), do: {:reply, head, tail}
      ; def handle_call({:die, why}, _from, list), do: {:stop, why, list}
      ; def handle_cast({:push, item}, list), do: {:noreply, [item | list]}
    end; GenServer.start(Stack, [:first], name: Stack)`)
    const at = { name: 'Elixir.Stack', node: ELIXIR }
    cast(runtime, at, ['push', 'second'])
    expect(text(await call(runtime, at, ['pop']))).toBe('second')
    expect(await call(runtime, at, ['pop'])).toBe(atom('first'))
    await expect(call(runtime, at, ['die', atom('tired')])).rejects.toMatchObject({ reason: 'tired' })
    expect(text(await erpc.call(runtime, ELIXIR, 'Elixir.String', 'upcase', ['héllo']))).toBe('HÉLLO')
    await expect(erpc.call(runtime, ELIXIR, 'Elixir.String', 'nothing', [])).rejects.toMatchObject({ class: 'error' })
  })

  it(':erpc, :rpc, Supervisor and :gen_event work on ours', async () => {
    const { elixir, runtime } = await pair()
    const tree = supervisor({ children: () => [child('counter', counter, [1, { name: 'counter' }])] })
    await tree.startLink(runtime, undefined, { name: 'top' })
    const events: unknown[] = []
    const bus = genEvent<unknown>()
    await bus.start(runtime, undefined, { name: 'bus' })
    await bus.addHandler(
      runtime,
      'bus',
      { name: 'seen', init: () => 0, handleEvent: (event, n: number) => keepHandler(events.push(event) + n * 0) },
      undefined,
    )
    expect(await elixir.eval(`:erpc.call(:"${OURS}", :erlang, :node, [])`)).toBe(`:"${OURS}"`)
    expect(await elixir.eval(`:erpc.multicall([:"${OURS}", node()], :erlang, :node, [])`)).toBe(
      `[ok: :"${OURS}", ok: :"${ELIXIR}"]`,
    )
    expect(await elixir.eval(`:rpc.call(:"${OURS}", File, :rm, ["x"]) |> elem(0)`)).toBe(':badrpc')
    expect(await elixir.eval(`Node.spawn(:"${OURS}", :timer, :sleep, [0]) |> node()`)).toBe(`:"${OURS}"`)
    expect(await elixir.eval(`Supervisor.which_children({:top, :"${OURS}"}) |> Enum.map(&elem(&1, 0))`)).toBe(
      '[:counter]',
    )
    expect(await elixir.eval(`Supervisor.count_children({:top, :"${OURS}"})`)).toBe(
      '%{active: 1, specs: 1, supervisors: 0, workers: 1}',
    )
    expect(await elixir.eval(`:gen_event.sync_notify({:bus, :"${OURS}"}, {:hello, "you"})`)).toBe(':ok')
    expect(events).toEqual([tuple(atom('hello'), Buffer.from('you'))])
    expect(await elixir.eval(`:global.trans({:res, self()}, fn -> :done end)`)).toBe(':done')
    expect(
      await elixir.eval(`Task.async(fn -> GenServer.call({:counter, :"${OURS}"}, {:add, 1}) end) |> Task.await()`),
    ).toBe('2')
  })
})
