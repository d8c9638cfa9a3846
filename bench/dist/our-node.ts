/**
 * A node of ours of the distribution benchmark: the same commands and the same processes as dist_bench.erl.
 *
 * Reads a command a line, `ID NAME ARGUMENT...`, and answers with `@@ ID JSON`. It runs the built package, as production does:
 * the loader that runs TypeScript names every closure when it is made, which costs more than much of what is measured.
 */
import { createInterface } from 'node:readline'
import { genServer, ok, type Pid, reply, type ScriptContext } from 'agner/actors'
import { atom, connectNode, erpc, startNode, Tuple, tuple } from 'agner/dist'

const BATCH = 50
/** Messages that a flooding process sends before it lets others run: a loop of Erlang gives way as often. */
const SENDS_PER_MESSAGE = 100

const START = atom('start')
const DONE = atom('done')

const [name = '', cookie = '', epmdPort = ''] = process.argv.slice(2)
const started = await startNode({ name, cookie, epmdPort: Number(epmdPort) })
if (!started.ok) throw new Error(started.problem)
const { runtime } = started.node

const nowNs = (): number => Math.round(performance.now() * 1e6)

type Calls = { echo: (x: unknown) => unknown }

const server = genServer<undefined, Calls>({
  init: () => ok(undefined),
  calls: { echo: ({ state }, x) => reply(x, state) },
})
await server.start(runtime, undefined, { name: 'server' })

/** Counts what comes after `{start, From, Count}`, and tells `From` how long each chunk of it took. */
runtime.spawn(
  {
    create: (self) => {
      let left = 0
      let every = 0
      let since = 0
      let to: Pid | undefined
      let samples: number[] = []
      return {
        receive: (message) => {
          if (left === 0) {
            if (!(message instanceof Tuple) || message.elements[0] !== START) return
            to = message.elements[1] as Pid
            left = message.elements[2] as number
            every = Math.max(1, Math.floor(left / 20))
            samples = []
            since = nowNs()
            return
          }
          left--
          if (left % every === 0) {
            const now = nowNs()
            samples.push(Math.round((now - since) / every))
            since = now
          }
          if (left === 0) self.send(to!, tuple(DONE, samples))
        },
      }
    },
  },
  { name: 'sink' },
)

runtime.spawn(
  {
    create: (self) => ({
      receive: (message) => {
        const [from, body] = (message as Tuple).elements
        self.send(from as Pid, body)
      },
    }),
  },
  { name: 'echo' },
)

interface Outcome {
  readonly ns: number
  readonly samples: readonly number[]
}

function publish(): Tuple {
  const properties = { qos: 1, retain: false, from: 'client-4711', ts: 1_700_000_000_123, dup: false }
  return tuple(atom('publish'), 'sensors/building-7/room-12/temperature', Buffer.alloc(64, 'x'), 1, properties)
}

function termOf(kind: string): unknown {
  if (kind === 'small') return tuple(atom('msg'), 1)
  return kind === 'publish' ? publish() : Array.from({ length: BATCH }, publish)
}

function flood(node: string, kind: string, count: number): Promise<Outcome> {
  const to = { name: 'sink', node }
  const term = termOf(kind)
  return new Promise((resolve) => {
    runtime.spawn({
      create: (self) => {
        const from = nowNs()
        let left = count
        self.send(to, tuple(START, self.pid, count))
        self.send(self.pid, 'more')
        return {
          receive: (message) => {
            if (message === 'more') {
              for (let i = Math.min(left, SENDS_PER_MESSAGE); i > 0; i--) self.send(to, term)
              left -= SENDS_PER_MESSAGE
              if (left > 0) self.send(self.pid, 'more')
            } else {
              resolve({ ns: nowNs() - from, samples: (message as Tuple).elements[1] as number[] })
              self.stop('normal')
            }
          },
        }
      },
    })
  })
}

/** Round trips of a process, one after the other, each begun by the answer to the last. */
function trips(count: number, node: string, body: (i: number) => unknown, pauseMs = 0): Promise<Outcome> {
  const to = { name: 'echo', node }
  return new Promise((resolve) => {
    runtime.spawn({
      create: (self) => {
        const samples: number[] = []
        const from = nowNs()
        let sentAt = 0
        const send = (): void => {
          sentAt = nowNs()
          self.send(to, tuple(self.pid, body(samples.length)))
        }
        send()
        return {
          receive: (message) => {
            if (message === 'next') {
              send()
              return
            }
            samples.push(nowNs() - sentAt)
            if (samples.length < count && pauseMs === 0) send()
            else if (samples.length < count) self.sendAfter(pauseMs, self.pid, 'next')
            else {
              resolve({ ns: nowNs() - from, samples })
              self.stop('normal')
            }
          },
        }
      },
    })
  })
}

async function callers(callers: number, count: number, call: (self: ScriptContext, i: number) => Promise<unknown>) {
  const from = nowNs()
  const perCaller = Math.floor(count / callers)
  const all = await Promise.all(
    Array.from(
      { length: callers },
      () =>
        new Promise<number[]>((resolve) => {
          runtime.spawn(async (self) => {
            const samples: number[] = []
            for (let i = 0; i < perCaller; i++) {
              const sentAt = nowNs()
              await call(self, i)
              samples.push(nowNs() - sentAt)
            }
            resolve(samples)
          })
        }),
    ),
  )
  return { ns: nowNs() - from, samples: all.flat() }
}

/** Sends large messages, one after another, for `paced` to be measured beside. */
function hold(node: string, bytes: number, count: number, pauseMs: number): Promise<Outcome> {
  const body = Buffer.alloc(bytes, 7)
  return new Promise((resolve) => {
    runtime.spawn({
      create: (self) => {
        const samples: number[] = []
        const from = nowNs()
        self.send(self.pid, 'next')
        return {
          receive: () => {
            const sentAt = nowNs()
            self.send({ name: 'sink', node }, body)
            samples.push(nowNs() - sentAt)
            if (samples.length < count) self.sendAfter(pauseMs, self.pid, 'next')
            else resolve({ ns: nowNs() - from, samples })
          },
        }
      },
    })
  })
}

async function run(command: string, node: string, args: readonly string[]): Promise<unknown> {
  const [first = 0, second = 0, third = 0] = args.map(Number)
  switch (command) {
    case 'connect':
      return await connectNode(runtime, node)
    case 'flood':
      return await flood(node, args[0] ?? '', second)
    case 'pingpong':
      return await trips(first, node, (i) => i)
    case 'echo': {
      const body = Buffer.alloc(first, 7)
      return await trips(second, node, () => body)
    }
    case 'call': {
      const to = { name: 'server', node }
      return await callers(first, second, (self, i) => server.call(self, to, 'echo', i))
    }
    case 'erpc':
      return await callers(first, second, (self) => erpc.call(self, node, 'erlang', 'node'))
    case 'hold':
      return await hold(node, first, second, third)
    case 'paced':
      return await trips(first, node, (i) => i, second)
    default:
      throw new Error(`no command ${command}`)
  }
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const [id, command = '', node = '', ...args] = line.split(' ')
    void run(command, node, args).then((outcome) => process.stdout.write(`@@ ${id} ${JSON.stringify(outcome)}\n`))
  })
  .on('close', () => process.exit(0))
process.stdout.write('@@ 0 true\n')
