/**
 * `mnesia`: the tables of this node, as `mnesia:info/0` shows them: each with its rows and where its copies are, then the system.
 *
 * Nothing is shown that this node does not have: transactions are counted nowhere, and there are no disc_only_copies.
 */
import { join } from 'node:path'
import type { SystemInfo, TableInfo } from '../../mnesia/info.ts'
import { type Command, done } from '../command.ts'
import { atomList, atomText } from '../format.ts'

const NAME_WIDTH = 26
const SIZE_WIDTH = 8
const LABEL_WIDTH = 18

export const mnesia: Command = {
  name: 'mnesia',
  usages: [{ syntax: 'mnesia', text: 'Tables of this node, their copies, rows and state' }],
  run({ services, program }, words) {
    if (words.length > 0) return undefined
    const info = services.mnesia.systemInfo()
    const { stopped } = services.mnesia.status()
    const lines = [
      '---> Active tables <---',
      ...info.tables.map(tableLine),
      `===> System info in version "${services.version}", debug level = none <===`,
      program === undefined || !info.isDurable
        ? 'ram only. Nothing is kept on disc.'
        : `opt_disc. Directory "${join(program.dataDir, 'tables')}" is used.`,
      label('running db nodes', atomList(info.running)),
      label('stopped db nodes', atomList(stopped)),
      label(
        'remote',
        namesOf(info, ({ copy }) => copy === 'none'),
      ),
      label(
        'ram_copies',
        namesOf(info, ({ copy }) => copy === 'ram_copies'),
      ),
      label(
        'disc_copies',
        namesOf(info, ({ copy }) => copy === 'disc_copies'),
      ),
      label(
        'local_content',
        namesOf(info, ({ replication }) => replication === 'local_content'),
      ),
      ...placesOf(info.tables),
    ]
    return done(lines, { ...info, stopped })
  },
}

function tableLine({ name, size, type, replication, copies, loadState, stale }: TableInfo): string {
  const rows = `with ${String(size ?? '-').padEnd(SIZE_WIDTH)} records`
  const places = Object.entries(copies)
    .filter(([, nodes]) => nodes.length > 0)
    .map(([kind, nodes]) => `${kind} on ${nodes.join(',')}`)
  const state = stale.length === 0 ? loadState : `${loadState}, stale: ${stale.join(',')} may have newer rows`
  return `${name.padEnd(NAME_WIDTH)}: ${rows} ${[type, replication, ...places, state].join(', ')}`
}

function label(name: string, value: string): string {
  return `${name.padEnd(LABEL_WIDTH)} = ${value}`
}

function namesOf({ tables }: SystemInfo, is: (table: TableInfo) => boolean): string {
  return atomList(tables.filter(is).map(({ name }) => name))
}

/** `[{'n1@h',ram_copies},{'n2@h',ram_copies}] = [route,session]`: which tables have their copies there. */
function placesOf(tables: readonly TableInfo[]): string[] {
  const places = new Map<string, string[]>()
  for (const { name, copies } of tables) {
    const place = Object.entries(copies).flatMap(([kind, nodes]) => nodes.map((node) => `{${atomText(node)},${kind}}`))
    const key = `[${place.sort().join(',')}]`
    places.set(key, [...(places.get(key) ?? []), name])
  }
  return [...places].map(([key, names]) => `${key} = ${atomList(names)}`)
}
