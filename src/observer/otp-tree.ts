/** Trees of supervisors by OTP's functions: a question for each supervisor, after the one how many children it has. */
import { Pid } from '../actors/pid.ts'
import { atom, atomName, isTuple } from '../dist/term.ts'
import { numbers } from './otp-terms.ts'
import type { TreeNode } from './rows.ts'
import { ObserverError, type Target, textOf } from './target.ts'

const MAX_NODES = 500
/** More children than this are counted and not asked for: the answer has all of them. */
const MAX_ASKED = 5000

interface Look {
  readonly target: Target
  readonly width: number
  readonly budget: { nodes: number }
}

/** The trees of all applications, or the one below a supervisor. */
export async function otpTrees(
  target: Target,
  root: Pid | undefined,
  depth: number,
  width: number,
): Promise<TreeNode[]> {
  const look: Look = { target, width, budget: { nodes: MAX_NODES } }
  if (root !== undefined) return [await supervisorNode(look, await nameOf(target, root), root, depth)]
  const running = await target.rpc('application', 'which_applications')
  const trees: TreeNode[] = []
  for (const application of Array.isArray(running) ? (running as unknown[]).reverse() : []) {
    const name = isTuple(application) ? application.elements[0] : undefined
    const master = await target.rpc('application_controller', 'get_master', [name])
    // Libraries have no processes.
    if (!(master instanceof Pid)) continue
    const child = await target.rpc('application_master', 'get_child', [master])
    const top = isTuple(child, 2) ? child.elements[0] : child
    const children = top instanceof Pid ? [await supervisorNode(look, await nameOf(target, top), top, depth)] : []
    trees.push({ id: atomName(name)!, pid: master, type: 'application', count: children.length, children })
  }
  return trees
}

async function supervisorNode(look: Look, id: string, pid: Pid, depth: number): Promise<TreeNode> {
  const { target, width, budget } = look
  budget.nodes--
  const node = { id, pid, type: 'supervisor' } as const
  let count: number
  let children: readonly unknown[]
  try {
    const counts = numbers(await target.rpc('supervisor', 'count_children', [pid]))
    count = (counts.supervisors ?? 0) + (counts.workers ?? 0)
    if (depth < 1 || count > MAX_ASKED) return { ...node, count }
    children = (await target.rpc('supervisor', 'which_children', [pid])) as readonly unknown[]
  } catch (error) {
    if (!(error instanceof ObserverError)) throw error
    return { ...node, problem: error.reason === 'timeout' ? 'busy' : 'gone' }
  }
  const shown: TreeNode[] = []
  for (const child of children.slice(-width).reverse()) {
    if (budget.nodes < 1) break
    shown.push(await childNode(look, child, depth - 1))
  }
  return { ...node, count, children: shown }
}

async function childNode(look: Look, child: unknown, depth: number): Promise<TreeNode> {
  const [id, pid, type] = isTuple(child, 4) ? child.elements : []
  look.budget.nodes--
  if (!(pid instanceof Pid)) {
    return { id: textOf(id), pid: undefined, type: atomName(pid) === 'restarting' ? 'restarting' : 'not running' }
  }
  const name = id === undefined ? await nameOf(look.target, pid) : textOf(id)
  return atomName(type) === 'supervisor' ? supervisorNode(look, name, pid, depth) : { id: name, pid, type: 'worker' }
}

/** The registered name, else the pid. */
async function nameOf(target: Target, pid: Pid): Promise<string> {
  const info = await target.rpc('erlang', 'process_info', [pid, atom('registered_name')])
  return isTuple(info, 2) ? textOf(info.elements[1]) : String(pid)
}
