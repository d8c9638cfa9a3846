/** PgGroups against the plainest model: a list of (scope, group, process), one for each membership. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Pid } from '../../src/actors/pid.ts'
import { PgGroups } from '../../src/dist/pg-groups.ts'
import { atom, tuple } from '../../src/dist/term.ts'

const node = { name: 'n@h', creation: 1 }
const PIDS = [1, 2, 3].map((id) => new Pid(node, id, 0))
const GROUPS = [atom('a'), 'text', tuple(atom('b'), 1)]
const SCOPES = ['here', 'there']

const pids = fc.array(fc.constantFrom(...PIDS), { maxLength: 4 })
const group = fc.constantFrom(...GROUPS)
const scope = fc.constantFrom(...SCOPES)
const step = fc.oneof(
  fc.record({ op: fc.constant('join' as const), scope, group, pids }),
  fc.record({ op: fc.constant('leave' as const), scope, group, pids }),
  fc.record({ op: fc.constant('leaveAll' as const), scope, pid: fc.constantFrom(...PIDS) }),
  fc.record({
    op: fc.constant('replace' as const),
    scope,
    memberships: fc.array(fc.record({ group, pids }), { maxLength: 3 }),
  }),
)

interface Row {
  readonly scope: string
  readonly group: unknown
  readonly pid: Pid
}

function removeOne(rows: Row[], wanted: Row): void {
  const at = rows.findIndex((row) => row.scope === wanted.scope && row.group === wanted.group && row.pid === wanted.pid)
  if (at >= 0) rows.splice(at, 1)
}

const sorted = (list: readonly Pid[]): string[] => list.map(({ key }) => key).sort()

it('has the members of the model after any steps, and each change tells of the difference', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const groups = new PgGroups()
      let rows: Row[] = []
      /** Members as they follow from the changes that were told alone. */
      const heard = new Map<unknown, Pid[]>(GROUPS.map((name) => [name, []]))
      for (const one of steps) {
        const changes = (() => {
          switch (one.op) {
            case 'join':
              rows.push(...one.pids.map((pid) => ({ scope: one.scope, group: one.group, pid })))
              return [groups.join(one.scope, one.group, one.pids)]
            case 'leave':
              for (const pid of one.pids) removeOne(rows, { scope: one.scope, group: one.group, pid })
              return [groups.leave(one.scope, one.group, one.pids)]
            case 'leaveAll':
              rows = rows.filter((row) => !(row.scope === one.scope && row.pid === one.pid))
              return groups.leaveAll(one.scope, one.pid)
            case 'replace':
              rows = rows.filter((row) => row.scope !== one.scope)
              for (const told of one.memberships) {
                rows.push(...told.pids.map((pid) => ({ scope: one.scope, group: told.group, pid })))
              }
              return groups.replace(one.scope, one.memberships)
          }
        })()
        for (const change of changes) {
          if (change === undefined) continue
          const members = heard.get(change.group)!
          if (change.change === 'join') members.push(...change.pids)
          else for (const pid of change.pids) members.splice(members.indexOf(pid), 1)
        }
        for (const name of GROUPS) {
          const wanted = sorted(rows.filter((row) => row.group === name).map(({ pid }) => pid))
          expect(sorted(groups.members(name))).toEqual(wanted)
          expect(sorted(heard.get(name)!)).toEqual(wanted)
        }
        const named = new Set(rows.map((row) => row.group))
        expect(new Set(groups.all().map((each) => each.group))).toEqual(named)
      }
    }),
    { numRuns: 300 },
  )
})
