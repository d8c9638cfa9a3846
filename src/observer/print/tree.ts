/** Trees of supervisors, drawn with lines: a node is an id, what it is, and its children. */
import type { Pid } from '../../actors/pid.ts'
import type { TreeNode } from '../rows.ts'
import { cut, safe } from './text.ts'

/** The lines of some trees, one below the other. */
export function tree(
  value: unknown,
  { columns, pid }: { readonly columns: number; readonly pid: (pid: Pid) => string },
): string {
  const lines: string[] = []
  const draw = (node: TreeNode, first: string, rest: string): void => {
    lines.push(cut(first + describe(node, pid), columns))
    const { children = [], count = 0 } = node
    const more = node.children === undefined ? 0 : count - children.length
    for (const [at, child] of children.entries()) {
      const isLast = at === children.length - 1 && more === 0
      draw(child, rest + (isLast ? '└─ ' : '├─ '), rest + (isLast ? '   ' : '│  '))
    }
    if (more > 0) lines.push(`${rest}└─ … ${more} more`)
  }
  for (const node of value as readonly TreeNode[]) draw(node, '', '')
  return lines.join('\n')
}

function describe({ id, pid, type, count, children, problem }: TreeNode, write: (pid: Pid) => string): string {
  const parts = [safe(id)]
  if (pid !== undefined) parts.push(write(pid))
  if (type !== 'worker') parts.push(type)
  if (count !== undefined && children === undefined) parts.push(`${count} children`)
  if (problem !== undefined) parts.push(problem)
  return parts.join('  ')
}
