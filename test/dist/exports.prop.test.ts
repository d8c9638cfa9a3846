/** Whatever terms other nodes call with, the exported functions answer with a term or an exception, and nothing else happens. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { genServer, ok } from '../../src/actors/gen-server.ts'
import { Pid } from '../../src/actors/pid.ts'
import { Ref } from '../../src/actors/ref.ts'
import { encode } from '../../src/dist/etf-encode.ts'
import { otpExports } from '../../src/dist/exports/all.ts'
import { ErlangError } from '../../src/dist/exports.ts'
import { globalNameServer } from '../../src/dist/global-name-server.ts'
import { RemoteCalls } from '../../src/dist/remote-calls.ts'
import { rpcServer } from '../../src/dist/rpc-server.ts'
import { atom, BitBinary, charlist, ImproperList, Tuple, tuple } from '../../src/dist/term.ts'
import { eventually } from '../support/eventually.ts'
import { testRuntime } from '../support/runtime.ts'

const FUNCTIONS: Readonly<Record<string, readonly string[]>> = {
  erlang: [
    'node/0 nodes/0 nodes/1 whereis/1 registered/0 processes/0 is_process_alive/1 process_info/1 process_info/2',
    'system_info/1 memory/0 memory/1 statistics/1 function_exported/3 disconnect_node/1 garbage_collect/0 garbage_collect/1',
  ],
  timer: ['sleep/1'],
  application: ['which_applications/0'],
  supervisor: ['which_children/1 count_children/1'],
  sys: ['get_state/1 get_state/2 get_status/1 get_status/2'],
  gen_event: ['which_handlers/1'],
  proc_lib: ['translate_initial_call/1'],
  ets: ['info/1 info/2'],
  mnesia: ['table_info/2'],
  appmon_info: ['start_link2/3'],
  net_adm: ['names/0 ping/1'],
  net_kernel: ['connect_node/1'],
  code: ['ensure_loaded/1'],
  observer_backend: [
    'vsn/0 sys_info/0 get_port_list/0 get_socket_list/0 get_table_list/2 procs_info/1 etop_collect/1 fetch_stats/2',
    'socket_info/0 get_table/3',
  ],
}
const SIGNATURES = Object.entries(FUNCTIONS).flatMap(([module, lines]) =>
  lines.flatMap((line) => line.split(' ').map((signature) => ({ module, signature }))),
)

const WORDS = [
  'ok',
  'server',
  'nobody',
  'registered_name',
  'messages',
  'memory',
  'total',
  'io',
  'ets',
  'mnesia',
  'known',
  'wordsize',
  'internal',
]

const idle = genServer({ label: 'idle', init: () => ok({ answer: 42 }) })

function terms(pids: readonly Pid[]): fc.Arbitrary<unknown> {
  const foreign = { name: 'other@host', creation: 1 }
  return fc.letrec<{ term: unknown }>((tie) => ({
    term: fc.oneof(
      { depthSize: 'small', maxDepth: 3 },
      fc.constantFrom(...WORDS).map(atom),
      fc.constantFrom(true, false, undefined, null),
      fc.constantFrom(...pids, new Pid(foreign, 5, 1)),
      fc.constant(new Ref(foreign, [1, 2, 3])),
      fc.integer({ min: -3, max: 20 }),
      fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e3, max: 0 }),
      fc.bigInt({ min: -(2n ** 70n), max: -1n }),
      fc.string().map((text) => Buffer.from(text)),
      fc.string().map(charlist),
      fc.constant(new BitBinary(Buffer.from([160]), 3)),
      fc.array(tie('term'), { maxLength: 4 }),
      fc.array(tie('term'), { maxLength: 4 }).map((elements) => new Tuple(elements)),
      tie('term').map((term) => new ImproperList([term], atom('tail'))),
      fc.dictionary(fc.constantFrom(...WORDS), tie('term'), { maxKeys: 3 }),
    ),
  })).term
}

async function world() {
  const { runtime } = testRuntime()
  const server = await idle.start(runtime, undefined, { name: 'server' })
  const dead = runtime.spawn({ receive: () => {} })
  runtime.exit(dead, 'kill')
  return { runtime, exports: otpExports(), pids: [server, dead] }
}

describe('exported functions', () => {
  it('are those of the list, and no others of these modules', async () => {
    const { exports } = await world()
    for (const { module, signature } of SIGNATURES) {
      const [name, arity] = signature.split('/') as [string, string]
      expect(exports.has(module, name, Number(arity)), `${module}:${signature}`).toBe(true)
    }
    for (const [module, name, arity] of [
      ['erlang', 'apply', 3],
      ['erlang', 'halt', 0],
      ['erlang', 'get_cookie', 0],
      ['init', 'stop', 0],
      ['os', 'cmd', 1],
      ['file', 'read_file', 1],
      ['sys', 'replace_state', 2],
      ['erlang', 'constructor', 0],
    ] as const) {
      expect(exports.has(module, name, arity), `${module}:${name}/${arity}`).toBe(false)
    }
  })

  it('answer any arguments with a term that can be sent or with an exception', async () => {
    const { runtime, exports, pids } = await world()
    const server = pids[0]!
    const call = fc.record({
      fn: fc.constantFrom(...SIGNATURES),
      args: fc.array(terms(pids), { minLength: 3, maxLength: 3 }),
    })
    await fc.assert(
      fc.asyncProperty(call, async ({ fn: { module, signature }, args }) => {
        const [name, arity] = signature.split('/') as [string, string]
        const outcome = await new Promise<unknown>((resolve) => {
          const pid = runtime.spawn(async (self) => {
            try {
              resolve(await exports.apply(self, atom(module), atom(name), args.slice(0, Number(arity))))
            } catch (thrown) {
              resolve(thrown)
            }
          })
          // Those that wait for ever, as sleep and fetch_stats may, are ended from outside, as a peer would.
          setTimeout(() => {
            runtime.exit(pid, 'kill')
            resolve(atom('ended'))
          }, 150)
        })
        const term = outcome instanceof ErlangError ? outcome.reason : outcome
        expect(outcome instanceof Error && !(outcome instanceof ErlangError)).toBe(false)
        expect(encode(term).length).toBeGreaterThan(0)
        expect(runtime.whereis('server')).toBeDefined()
      }),
      {
        numRuns: 400,
        examples: [[{ fn: { module: 'appmon_info', signature: 'start_link2/3' }, args: [1, server, []] }]],
      },
    )
    // What looks on in the name of a process is there as long as that.
    runtime.exit(server, 'kill')
    // The question for applications starts their controller.
    const left = (): (string | undefined)[] => Array.from(runtime.processes, ({ label }) => label).sort()
    await eventually(() => expect(left()).toEqual(['application_controller', 'init']))
  })

  it('rex and global_name_server survive any message', async () => {
    const { runtime, exports, pids } = await world()
    const calls = new RemoteCalls(runtime, exports)
    const rex = await rpcServer.start(runtime, calls, { name: 'rex' })
    const names = await globalNameServer.start(runtime, undefined, { name: 'global_name_server' })
    const from = { pid: pids[0]!, tag: atom('tag'), alias: undefined }
    const request = fc.tuple(
      fc.constantFrom('call', 'block_call', 'cast', 'set_lock', 'del_lock', 'init_connect', 'whereis', 'get_known'),
      terms(pids),
      terms(pids),
      terms(pids),
      terms(pids),
    )
    const message = fc.oneof(
      terms(pids),
      request.map((parts) => ({ tag: '$gen_call', from, request: parts })),
      request.map((parts) => ({ tag: '$gen_cast', request: parts })),
      request.map(([name, ...args]) => tuple(pids[0], new Tuple([atom(name), ...args]))),
      terms(pids).map((term) => tuple(atom('whereis'), term, tuple(pids[0], term))),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(message, { minLength: 1, maxLength: 20 }), async (messages) => {
        for (const one of messages) {
          runtime.send(rex, one)
          runtime.send(names, one)
        }
        expect(await globalNameServer.call(runtime, names, 'get_protocol_version')).toBe(8)
        expect(runtime.whereis('rex')).toBe(rex)
        expect(runtime.whereis('global_name_server')).toBe(names)
      }),
      { numRuns: 60 },
    )
  })

  it('a peer starts no more processes than allowed, and none that runs for ever in a call', async () => {
    const { runtime, exports } = await world()
    const calls = new RemoteCalls(runtime, exports, { maxProcesses: 2, maxCallMs: 30 })
    const sleep = (): Promise<unknown> =>
      new Promise((resolve) => calls.call(atom('timer'), atom('sleep'), [atom('infinity')], undefined, resolve))
    const [first, second, third] = [sleep(), sleep(), sleep()]
    expect(await third).toEqual({ ok: false, signal: 'system_limit' })
    expect(await Promise.all([first, second])).toEqual([
      { ok: false, signal: 'timeout' },
      { ok: false, signal: 'timeout' },
    ])
    expect(calls.running).toBe(0)
  })
})
