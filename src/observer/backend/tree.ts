/**
 * The tree of supervisors below an application or a supervisor, as far down and as wide as is asked for.
 *
 * Supervisors are asked as any caller asks them, so one that is busy starting a child is shown as busy and not waited for.
 */
import { runningApplications } from '../../actors/application-controller.ts'
import { Exit } from '../../actors/errors.ts'
import { call } from '../../actors/gen.ts'
import type { Pid } from '../../actors/pid.ts'
import type { Process } from '../../actors/process.ts'
import type { Runtime } from '../../actors/runtime.ts'
import type { ChildInfo } from '../../actors/supervisor/children.ts'
import type { TreeNode } from '../rows.ts'

/** Nodes of a tree in all. */
const MAX_NODES = 500

/** How long a supervisor is waited for. */
const PATIENCE_MS = 1000

export interface TreeQuery {
  /** A supervisor; all applications when it is left out. */
  readonly root: Pid | undefined
  readonly depth: number
  /** Children that are shown of each supervisor. */
  readonly width: number
}

/** The trees, one for each application or the one that was asked for. */
export async function treesOf(runtime: Runtime, { root, depth, width }: TreeQuery): Promise<TreeNode[]> {
  const budget = { nodes: MAX_NODES }
  const look = { runtime, width, budget }
  if (root !== undefined) return [await nodeOf(look, idOf(runtime.process(root), root), root, 'supervisor', depth)]
  const trees: TreeNode[] = []
  for (const { name, master } of runningApplications(runtime)) {
    budget.nodes--
    const top = topSupervisor(runtime, master)
    const children =
      top === undefined ? [] : [await nodeOf(look, idOf(runtime.process(top), top), top, 'supervisor', depth)]
    trees.push({ id: name, pid: master, type: 'application', count: children.length, children })
  }
  return trees
}

interface Look {
  readonly runtime: Runtime
  readonly width: number
  readonly budget: { nodes: number }
}

async function nodeOf(
  look: Look,
  id: string,
  pid: Pid,
  type: 'worker' | 'supervisor',
  depth: number,
): Promise<TreeNode> {
  look.budget.nodes--
  if (type === 'worker') return { id, pid, type }
  let infos: readonly ChildInfo[]
  try {
    infos = (await call(look.runtime, pid, ['which_children'], PATIENCE_MS)) as readonly ChildInfo[]
  } catch (error) {
    const isBusy = error instanceof Exit && error.reason === 'timeout'
    return { id, pid, type, problem: isBusy ? 'busy' : 'gone' }
  }
  if (!Array.isArray(infos)) return { id, pid, type: 'worker' }
  const count = infos.length
  if (depth < 1) return { id, pid, type, count }
  const children: TreeNode[] = []
  // The one started last comes first; people read them in the order of their start.
  const first = infos.slice(-look.width).reverse()
  for (const child of first) {
    if (look.budget.nodes < 1) break
    children.push(await childNode(look, child, depth))
  }
  return { id, pid, type, count, children }
}

async function childNode(look: Look, { id, child, type }: ChildInfo, depth: number): Promise<TreeNode> {
  if (child === undefined || child === 'restarting') {
    look.budget.nodes--
    return { id: id ?? 'undefined', pid: undefined, type: child ?? 'not running' }
  }
  const process = look.runtime.process(child)
  return nodeOf(look, id ?? process?.name ?? process?.label ?? String(child), child, type, depth - 1)
}

function idOf(process: Process | undefined, pid: Pid): string {
  return process?.name ?? process?.label ?? String(pid)
}

/** The one process that a master has started. */
function topSupervisor(runtime: Runtime, master: Pid): Pid | undefined {
  for (const pid of runtime.process(master)?.links ?? []) {
    if (runtime.process(pid)?.parent?.equals(master)) return pid
  }
  return undefined
}
