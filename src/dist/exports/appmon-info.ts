/**
 * `appmon_info`: tells the Applications tab of Erlang's observer of the applications of this node and of the trees of their
 * processes [OTP runtime_tools, appmon_info].
 *
 * In: casts `{From, app_ctrl, Node, true | false, Opts}` and `{From, app, Name, true | false, Opts}`. Out: `{delivery, Pid, Command, Aux,
 * Data}` at once, and again every two seconds when the data has changed, until it is told `false`. Each viewer gets a
 * process of its own, linked to it, where OTP has one for all. A tree follows the links from the master of the application
 * to the processes that each has started; other links are drawn across. What OTP draws whole is cut here: a broker has more
 * sessions than a window can show.
 */
import { isDeepStrictEqual } from 'node:util'
import { runningApplications } from '../../actors/application-controller.ts'
import { Pid } from '../../actors/pid.ts'
import type { Process, Script, ScriptContext } from '../../actors/process.ts'
import type { Runtime } from '../../actors/runtime.ts'
import { isExitMessage } from '../../actors/signal.ts'
import { badarg, type CallContext, type ExportedModule } from '../exports.ts'
import { atom, atomName, charlist, isTuple, type Tuple, tuple } from '../term.ts'

const PERIOD_MS = 2000
const MAX_PROCESSES = 2000
const MAX_CHILDREN = 100

const DELIVERY = atom('delivery')

/** Processes that every other is linked to or that look on. */
const LEFT_OUT: ReadonlySet<string> = new Set(['init', 'application_controller'])

export const appmonInfoExports: ExportedModule = {
  'start_link2/3': ({ self }: CallContext, _starter, client) => {
    if (!(client instanceof Pid)) throw badarg()
    const serve: Script = (server) => tell(server, client)
    return tuple(atom('ok'), self.runtime.spawn(serve, { label: 'appmon_info:init/1', trapExit: true }))
  },
}

/** What a viewer wants to be told of. */
interface Work {
  readonly from: Pid
  readonly command: string
  readonly aux: unknown
  last: unknown
}

async function tell(self: ScriptContext, client: Pid): Promise<void> {
  self.link(client)
  const works = new Map<string, Work>()
  let dueMs = self.runtime.clock.monotonic() + PERIOD_MS
  const deliver = (work: Work): void => {
    const data = dataOf(self.runtime, work)
    if (isDeepStrictEqual(data, work.last)) return
    work.last = data
    self.send(work.from, tuple(DELIVERY, self.pid, atom(work.command), work.aux, data))
  }
  for (;;) {
    const leftMs = Math.max(0, dueMs - self.runtime.clock.monotonic())
    const message = await (works.size === 0 ? self.receive() : self.receiveWithin(leftMs))
    if (isExitMessage(message)) {
      if (message.from.equals(client)) return
    } else if (message === undefined) {
      dueMs = self.runtime.clock.monotonic() + PERIOD_MS
      for (const work of works.values()) deliver(work)
    } else {
      const asked = workOf(message)
      if (asked === undefined) continue
      works.delete(asked.key)
      if (!asked.isOn) continue
      works.set(asked.key, asked.work)
      deliver(asked.work)
    }
  }
}

/** The request in a cast, whose first element is no name but the pid of who asks. */
function workOf(message: unknown): { readonly key: string; readonly isOn: boolean; readonly work: Work } | undefined {
  const { tag, request } = (message ?? {}) as { readonly tag?: unknown; readonly request?: readonly unknown[] }
  const term = request?.[0]
  if (tag !== '$gen_cast' || !isTuple(term, 5)) return undefined
  const [from, command, aux, onOff] = term.elements
  const [name, about] = [atomName(command), atomName(aux)]
  if (!(from instanceof Pid) || about === undefined || (name !== 'app' && name !== 'app_ctrl')) return undefined
  const work: Work = { from, command: name, aux, last: undefined }
  return { key: `${from.key} ${name} ${about}`, isOn: onOff === true, work }
}

function dataOf(runtime: Runtime, { command, aux }: Work): unknown {
  if (command === 'app') return treeOf(runtime, atomName(aux)!)
  return runningApplications(runtime).map(({ name, description, version, master }) =>
    tuple(master, atom(name), tuple(atom(name), charlist(description), charlist(version))),
  )
}

/** `{Root, [{Pid, Name}], [{ParentName, ChildName}], [{Name, Name}]}`; four empty lists for what does not run. */
function treeOf(runtime: Runtime, application: string): Tuple {
  const running = runningApplications(runtime).find(({ name }) => name === application)
  const master = running && runtime.process(running.master)
  if (master === undefined) return tuple([], [], [], [])
  const found = new Map<Process, string>([[master, nameOf(master)]])
  const processes: Tuple[] = []
  const links: Tuple[] = []
  const others: Tuple[] = []
  for (const [process, name] of found) {
    processes.push(tuple(process.pid, charlist(name)))
    let children = 0
    let left = 0
    for (const pid of process.links ?? []) {
      const linked = runtime.process(pid)
      if (linked === undefined || found.has(linked) || LEFT_OUT.has(linked.name ?? '')) continue
      if (!linked.parent?.equals(process.pid)) {
        others.push(tuple(charlist(name), charlist(nameOf(linked))))
      } else if (children < MAX_CHILDREN && found.size < MAX_PROCESSES) {
        children++
        found.set(linked, nameOf(linked))
        links.push(tuple(charlist(name), charlist(nameOf(linked))))
      } else {
        left++
      }
    }
    if (left === 0) continue
    const rest = charlist(`... ${left} more of ${name}`)
    processes.push(tuple(process.pid, rest))
    links.push(tuple(charlist(name), rest))
  }
  return tuple(charlist(nameOf(master)), processes, links, others)
}

function nameOf({ name, pid }: Process): string {
  return name ?? pid.toString()
}
