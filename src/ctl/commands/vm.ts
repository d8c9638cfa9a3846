/** `vm`: the JavaScript engine and the OS process, under the labels that emqttd has for Erlang's. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { memoryUsage } from 'node:process'
import { type Command, type CtlContext, done } from '../command.ts'
import { labelled } from '../format.ts'

type Entry = readonly [label: string, value: number | string]

const WIDTH = 24
const DECIMALS = 2

const SECTIONS: Readonly<Record<string, (context: CtlContext) => readonly Entry[]>> = {
  load: () => [1, 5, 15].map((minutes, index) => [`cpu/load${minutes}`, loadavg()[index]!.toFixed(DECIMALS)]),
  memory: () => {
    const { rss, heapTotal, heapUsed, external, arrayBuffers } = memoryUsage()
    return [
      ['memory/total', rss],
      ['memory/heap', heapTotal],
      ['memory/heap_used', heapUsed],
      ['memory/external', external],
      ['memory/binary', arrayBuffers],
    ]
  },
  process: ({ runtime }) => [['process/count', runtime.processes.count]],
  io: () => [
    ['io/max_fds', maxFiles()],
    ['io/active_fds', openFiles()],
  ],
  ports: ({ services }) => [['ports/count', services.connections.count]],
}

export const vm: Command = {
  name: 'vm',
  usages: [
    { syntax: 'vm all', text: 'All of the following' },
    { syntax: 'vm load', text: 'Load of the machine' },
    { syntax: 'vm memory', text: 'Memory of the OS process, in bytes' },
    { syntax: 'vm process', text: 'Number of processes of the node' },
    { syntax: 'vm io', text: 'Open files, and how many there may be' },
    { syntax: 'vm ports', text: 'Number of sockets of clients' },
  ],
  run(context, [section = 'all', ...more]) {
    if (more.length > 0 || (section !== 'all' && !Object.hasOwn(SECTIONS, section))) return undefined
    const names = section === 'all' ? Object.keys(SECTIONS) : [section]
    const entries = names.flatMap((name) => SECTIONS[name]!(context))
    return done(labelled(WIDTH, entries), Object.fromEntries(entries))
  },
}

/** The soft limit of the OS process; `undefined`, as emqttd prints it, where the system does not tell. */
function maxFiles(): number | string {
  if (!existsSync('/proc/self/limits')) return 'undefined'
  const limit = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))
  return limit === null ? 'undefined' : Number(limit[1])
}

function openFiles(): number | string {
  return existsSync('/proc/self/fd') ? readdirSync('/proc/self/fd').length : 'undefined'
}
