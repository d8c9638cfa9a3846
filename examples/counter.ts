/** A server, who calls it, and a plain process that watches it: `node --import tsx examples/counter.ts`. */
import { genServer, isDownMessage, noreply, ok, reply, startRuntime } from 'agner/actors'

type Calls = { read: () => number; add: (by: number) => number }
type Casts = { reset: () => void }

export const counter = genServer<{ n: number }, Calls, Casts, number>({
  label: 'counter',
  init: (start) => ok({ n: start }),
  calls: {
    read: ({ state }) => reply(state.n, state),
    add: ({ state }, by) => reply(state.n + by, { n: state.n + by }),
  },
  casts: { reset: () => noreply({ n: 0 }) },
})

const runtime = startRuntime()
const pid = await counter.start(runtime, 1, { name: 'counter' })

console.log(await counter.call(runtime, pid, 'add', 2)) // 3; 'sub' or '2' does not compile
counter.cast(runtime, 'counter', 'reset')
console.log(await counter.call(runtime, 'counter', 'read')) // 0

const ended = new Promise((resolve) => {
  runtime.spawn(async (self) => {
    self.monitor(pid)
    self.exit(pid, 'no_longer_needed')
    const down = await self.receive(isDownMessage)
    resolve(`${down.reason}`)
  })
})
console.log(await ended) // no_longer_needed

runtime.stop()
