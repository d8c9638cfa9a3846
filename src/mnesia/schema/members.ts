/** Members of a cluster, as rows of the schema: `member/NODE`. */
import type { Registry, RegistryRow } from './registry.ts'

/** `left`: by its own wish. `removed`: by another's. Either may join again. */
export type MemberStatus = 'member' | 'left' | 'removed'

export function memberKey(node: string): string {
  return `${PREFIX}${node}`
}

const PREFIX = 'member/'

/** Undefined for a node that has never been a member. A status of a later version counts as none that is a member's. */
export function statusIn(rows: Pick<Registry, 'get'>, node: string): MemberStatus | undefined {
  return statusOf(rows.get(memberKey(node))?.status)
}

/** As `statusIn`, among the rows of another node. */
export function statusAmong(rows: readonly RegistryRow[], node: string): MemberStatus | undefined {
  const key = memberKey(node)
  return statusOf(rows.find((row) => row.key === key)?.value.status)
}

/** Names of the members, sorted. */
export function membersIn(rows: Pick<Registry, 'under'>): string[] {
  return rows
    .under(PREFIX)
    .filter(({ value }) => value.status === 'member')
    .map(({ key }) => key.slice(PREFIX.length))
}

function statusOf(status: unknown): MemberStatus | undefined {
  if (status === undefined) return undefined
  return status === 'member' || status === 'left' ? status : 'removed'
}
