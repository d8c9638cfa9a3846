/**
 * What our node answers to OTP's functions has the shape of what a real node answers to the same call.
 *
 * Erlang itself compares: keys of property lists and of maps, sizes and tags of tuples, and the types of all values; an empty list
 * is any list. The list of differences has to be empty.
 */
import { describe, expect, it } from 'vitest'
import { start } from '../../src/actors/application.ts'
import { genServer, ok } from '../../src/actors/gen-server.ts'
import { child, supervisor } from '../../src/actors/supervisor.ts'
import { hasErlang, startErl } from '../support/erl.ts'
import { testEpmd, testNode } from '../support/node.ts'

const OURS = 'ours@127.0.0.1'

// Diff(Path, Theirs, Ours) is the list of the paths where they differ. A process dictionary has no order of its own.
const DIFF = `
  Kind = fun(X) when is_integer(X); is_float(X) -> number; (X) when is_boolean(X) -> boolean; (X) when is_atom(X) -> atom;
            (X) when is_pid(X) -> pid; (X) when is_port(X) -> port; (X) when is_reference(X) -> reference;
            (X) when is_binary(X) -> binary; (X) when is_list(X) -> list; (X) when is_tuple(X) -> tuple; (X) when is_map(X) -> map end,
  IsProps = fun(L) -> L =/= [] andalso lists:all(fun({K, _}) when is_atom(K) -> true; (_) -> false end, L) end,
  Ordered = fun(L) -> case lists:keymember('$ancestors', 1, L) of true -> lists:sort(L); false -> L end end,
  Diff = fun Diff(Path, A0, B0) ->
    A = case Kind(A0) of list -> Ordered(A0); _ -> A0 end,
    B = case Kind(B0) of list -> Ordered(B0); _ -> B0 end,
    case {Kind(A), Kind(B)} of
      {list, list} when A =:= []; B =:= [] -> [];
      {list, list} ->
        case IsProps(A) andalso IsProps(B) of
          true ->
            KA = [K || {K, _} <- A], KB = [K || {K, _} <- B],
            case KA of
              KB -> lists:append([Diff([K | Path], VA, VB) || {{K, VA}, {_, VB}} <- lists:zip(A, B)]);
              _ -> [{lists:reverse(Path), keys, KA -- KB, KB -- KA}]
            end;
          false -> Diff([hd | Path], hd(A), hd(B))
        end;
      {tuple, tuple} when tuple_size(A) =/= tuple_size(B) -> [{lists:reverse(Path), A, B}];
      {tuple, tuple} ->
        lists:append([Diff([N | Path], element(N, A), element(N, B)) || N <- lists:seq(1, tuple_size(A))]);
      {map, map} ->
        case lists:sort(maps:keys(A)) =:= lists:sort(maps:keys(B)) of
          true -> lists:append([Diff([K | Path], maps:get(K, A), maps:get(K, B)) || K <- maps:keys(A)]);
          false -> [{lists:reverse(Path), A, B}]
        end;
      {K, K} -> [];
      _ -> [{lists:reverse(Path), A, B}]
    end
  end,
  Both = fun(M, F, Args) -> lists:append([Diff([{M, F, A}], rpc:call(node(), M, F, A), rpc:call('${OURS}', M, F, A)) || A <- Args]) end,`

async function pair() {
  const epmdPort = await testEpmd()
  const ours = await testNode(OURS, epmdPort)
  const erl = await startErl({ name: 'erl@127.0.0.1', epmdPort })
  /** Differences between the two nodes' answers. */
  const both = (module: string, name: string, ...args: string[]): Promise<string> =>
    erl.eval(`${DIFF} Both(${module}, ${name}, [${args.join(', ')}])`)
  return { ours, erl, runtime: ours.runtime, both }
}

const idle = genServer({ label: 'idle', init: () => ok({ answer: 42 }) })
const tree = supervisor({ strategy: 'one_for_one', children: () => [child('only', idle, [])] })

const PROCESS_ITEMS = [
  'registered_name, current_function, initial_call, status, message_queue_len, messages, links, monitors, monitored_by',
  'dictionary, trap_exit, error_handler, priority, group_leader, total_heap_size, heap_size, stack_size, reductions',
  'garbage_collection, memory, binary, suspending, current_location, catchlevel, last_calls, min_heap_size',
  'min_bin_vheap_size, max_heap_size, message_queue_data, sequential_trace_token, trace, fullsweep_after, parent',
].join(', ')

const SYSTEM_ITEMS = [
  'process_count, otp_release, version, system_architecture, schedulers, schedulers_online, wordsize, process_limit',
  'port_count, port_limit, atom_count, atom_limit, ets_count, ets_limit, creation, logical_processors',
  'logical_processors_online, logical_processors_available, multi_scheduling, kernel_poll, smp_support, threads',
  'thread_pool_size, {wordsize, internal}, {wordsize, external}, alloc_util_allocators, dist_buf_busy_limit, os_type',
  'system_version, machine, compat_rel, heap_type, build_type, emu_type, emu_flavor, message_queue_data, scheduler_id',
].join(', ')

describe.skipIf(!hasErlang)('shapes of answers, beside a real node', () => {
  it('of the module erlang', async () => {
    const { both } = await pair()
    expect(await both('erlang', 'node', '[]')).toBe('[]')
    expect(await both('erlang', 'nodes', '[]', '[this]', '[[known, hidden]]', '[nonsense]')).toBe('[]')
    expect(await both('erlang', 'whereis', '[init]', '[nobody]', '["text"]')).toBe('[]')
    expect(await both('erlang', 'registered', '[]')).toBe('[]')
    expect(await both('erlang', 'processes', '[]')).toBe('[]')
    expect(await both('erlang', 'is_process_alive', '[nonsense]')).toBe('[]')
    expect(await both('erlang', 'function_exported', '[erlang, node, 0]', '[erlang, node, -1]', '[1, 2, 3]')).toBe('[]')
    expect(await both('erlang', 'memory', '[]', '[total]', '[[total, ets]]', '[nonsense]')).toBe('[]')
    const system = SYSTEM_ITEMS.split(/, (?![^{]*\})/).map((item) => `[${item}]`)
    expect(await both('erlang', 'system_info', ...system, '[nonsense]', '[{a, b, c}]')).toBe('[]')
    const statistics = [
      'reductions',
      'exact_reductions',
      'wall_clock',
      'runtime',
      'run_queue',
      'io',
      'context_switches',
    ]
    const more = [
      'garbage_collection',
      'run_queue_lengths',
      'total_run_queue_lengths',
      'total_active_tasks',
      'nonsense',
    ]
    expect(await both('erlang', 'statistics', ...[...statistics, ...more].map((item) => `[${item}]`))).toBe('[]')
  })

  it('of process_info, for a server and for a process without a name', async () => {
    const { erl, runtime } = await pair()
    await tree.startLink(runtime, undefined, { name: 'top' })
    const info = (args: string): string => `
      lists:append([begin
        PA = whereis(kernel_sup), PB = rpc:call('${OURS}', erlang, whereis, [top]),
        Diff([process_info], rpc:call(node(), erlang, process_info, [PA | Args]), rpc:call('${OURS}', erlang, process_info, [PB | Args]))
      end || Args <- [${args}]])`
    expect(await erl.eval(`${DIFF} ${info('[], [[]], [nonsense], [[status, nonsense]]')}`)).toBe('[]')
    expect(
      await erl.eval(
        `${DIFF} ${info(
          PROCESS_ITEMS.split(', ')
            .map((item) => `[${item}]`)
            .join(', '),
        )}`,
      ),
    ).toBe('[]')
    expect(await erl.eval(`${DIFF} ${info(`[[${PROCESS_ITEMS}]]`)}`)).toBe('[]')
    const bare = `
      PA = spawn(timer, sleep, [infinity]), PB = spawn('${OURS}', timer, sleep, [infinity]),
      lists:append([Diff([A], rpc:call(node(), erlang, process_info, [PA | A]), rpc:call('${OURS}', erlang, process_info, [PB | A]))
        || A <- [[], [registered_name], [[registered_name, dictionary]], [initial_call]]])`
    expect(await erl.eval(`${DIFF} ${bare}`)).toBe('[]')
    const dead = `P = spawn('${OURS}', erlang, node, []), timer:sleep(50),
      [rpc:call('${OURS}', erlang, process_info, [P | A]) || A <- [[], [status], [[status]]]]`
    expect(await erl.eval(dead)).toBe('[undefined,undefined,undefined]')
  })

  it('of the other modules', async () => {
    const { both, erl, runtime } = await pair()
    await start(runtime, { name: 'some_application', description: 'of a test', version: '1.2' })
    await tree.startLink(runtime, undefined, { name: 'top' })
    expect(await both('timer', 'sleep', '[0]', '[-1]', '[nonsense]')).toBe('[]')
    expect(await both('application', 'which_applications', '[]')).toBe('[]')
    expect(await both('net_adm', 'names', '[]')).toBe('[]')
    expect(await both('net_adm', 'ping', '[node()]', "['nobody@127.0.0.1']")).toBe('[]')
    expect(await both('net_kernel', 'connect_node', '[node()]', "['nobody@127.0.0.1']")).toBe('[]')
    expect(await both('code', 'ensure_loaded', '[erlang]', '[nobody]')).toBe('[]')
    for (const name of ['which_children', 'count_children']) {
      const ask = (node: string, of: string): string => `rpc:call(${node}, supervisor, ${name}, [${of}])`
      expect(await erl.eval(`${DIFF} Diff([], ${ask('node()', 'kernel_sup')}, ${ask(`'${OURS}'`, 'top')})`)).toBe('[]')
      expect(await both('supervisor', name, '[nobody]', "[{nobody, 'nobody@127.0.0.1'}]")).toBe('[]')
    }
    expect(await both('sys', 'get_state', '[nobody]')).toBe('[]')
    expect(await both('sys', 'get_status', '[rex]')).toMatch(/^\[(\{\[\{sys,get_status,\[rex\]\},4,hd\],keys,.*)?\]$/)
  })

  it('of observer_backend', async () => {
    const { both, erl, ours } = await pair()
    const { runtime } = ours
    const owner = runtime.init
    runtime.ets.create(owner, 'a_table', { key: 'id', named: true })
    ours.exports.showSockets(() => [
      {
        owner: owner.pid,
        local: { address: '127.0.0.1', port: 1 },
        remote: { address: '::1', port: 2 },
        bytesIn: 3,
        bytesOut: 4,
        queuedBytes: 5,
      },
    ])
    expect(await both('observer_backend', 'vsn', '[]')).toBe('[]')
    // Each node has allocators of its own; erlang-observer.test.ts looks at ours.
    const sysInfo = (node: string): string =>
      `[P || P <- rpc:call(${node}, observer_backend, sys_info, []), element(1, P) =/= alloc_info]`
    expect(await erl.eval(`${DIFF} Diff([], ${sysInfo('node()')}, ${sysInfo(`'${OURS}'`)})`)).toBe('[]')
    expect(await both('observer_backend', 'get_socket_list', '[]')).toBe('[]')
    expect(await both('observer_backend', 'get_table_list', '[mnesia, []]', '[nonsense, []]')).toBe('[]')
    const tables = `Named = fun(Node) -> hd([T || T <- rpc:call(Node, observer_backend, get_table_list, [ets, [{sys_hidden, false}]]),
      lists:member({id, ignore}, T)]) end, Diff([], Named(node()), Named('${OURS}'))`
    expect(await erl.eval(`${DIFF} ${tables}`)).toBe('[]')
    const ports = `Tcp = fun(Node) -> hd([P || P <- rpc:call(Node, observer_backend, get_port_list, []), {name, "tcp_inet"} <- P,
      lists:keymember(remote_port, 1, proplists:get_value(inet, P))]) end,
      Keys = fun(L) -> [K || {K, _} <- L, K =/= statistics, K =/= options] end,
      A = Tcp(node()), B = Tcp('${OURS}'),
      {Keys(A) -- Keys(B), Keys(B) -- Keys(A), Keys(proplists:get_value(inet, B))}`
    expect(await erl.eval(ports)).toBe('{[],[],[remote_address,remote_port,local_address,local_port]}')
    await idle.start(runtime, undefined)
    const spawned = (name: string, args: string, receive: string): string => `
      Unnamed = fun(L) -> [P || P <- L, is_tuple(element(5, P))] end,
      Ask = fun(Node) -> S = self(), P = spawn_link(Node, observer_backend, ${name}, ${args}), receive ${receive} after 5000 -> timeout end end,
      A = Ask(node()), B = Ask('${OURS}'), {A =/= timeout, Diff([], A, B)}`
    expect(await erl.eval(`${DIFF} ${spawned('procs_info', '[S]', '{procs_info, P, L} -> Unnamed(L)')}`)).toBe(
      '{true,[]}',
    )
    const etop = spawned('etop_collect', '[S]', '{P, I} -> setelement(9, I, Unnamed(element(9, I)))')
    // The first time etop asks Erlang, scheduler times are not measured yet.
    expect(await erl.eval(`${DIFF} ${etop}, Ask(node()), Diff([], Ask(node()), B)`)).toBe('[]')
    expect(await erl.eval(`${DIFF} ${spawned('fetch_stats', '[S, 100]', '{stats, 1, T, Io, M} -> {T, Io, M}')}`)).toBe(
      '{true,[]}',
    )
  })
})
