/** A node that has our backend: each question is one call to it. */
import type { Pid } from '../actors/pid.ts'
import type { Ref } from '../actors/ref.ts'
import { type About, type Backend, OBSERVER_BACKEND, type Problem } from './backend/backend.ts'
import type {
  Page,
  ProcessDetail,
  ProcessQuery,
  ProcessRow,
  RegisteredRow,
  TablePage,
  TableQuery,
  TableRow,
  TreeNode,
  WindowRow,
  WindowSort,
} from './rows.ts'
import type { NodeSource } from './source.ts'
import { ObserverError, type Target } from './target.ts'

export class BackendSource implements NodeSource {
  readonly product: string
  readonly isErlang = false
  readonly #target: Target

  private constructor(target: Target, { product, version }: About) {
    this.#target = target
    this.product = `${product} ${version}`
  }

  /** Undefined when the node has no backend. */
  static async of(target: Target): Promise<BackendSource | undefined> {
    try {
      return new BackendSource(target, (await target.call(OBSERVER_BACKEND, ['about'])) as About)
    } catch (error) {
      if (error instanceof ObserverError && error.reason === 'noproc') return undefined
      throw error
    }
  }

  processes(query: ProcessQuery): Promise<Page<ProcessRow>> {
    return this.#ask('processes', query)
  }

  window(by: WindowSort, limit: number, ms: number): Promise<Page<WindowRow>> {
    return this.#askWithin(this.#target.deadlineMs + ms, 'window', by, limit, ms)
  }

  process(pid: Pid): Promise<ProcessDetail | undefined> {
    return this.#ask('process', pid)
  }

  messages(pid: Pid, limit: number): Promise<Page<unknown> | undefined> {
    return this.#ask('messages', pid, limit)
  }

  registered(): Promise<Page<RegisteredRow>> {
    return this.#ask('registered')
  }

  trees(root: Pid | undefined, depth: number, width: number): Promise<TreeNode[]> {
    return this.#ask('tree', root, depth, width)
  }

  tables(): Promise<Page<TableRow>> {
    return this.#ask('tables')
  }

  table(table: string | Ref): Promise<TableRow | undefined> {
    return this.#ask('table', table)
  }

  rows(table: string | Ref, query: TableQuery): Promise<TablePage | undefined> {
    return this.#ask('rows', table, query)
  }

  load(): Promise<Readonly<Record<string, number>>> {
    return this.#ask('load')
  }

  memory(): Promise<Readonly<Record<string, number>>> {
    return this.#ask('memory')
  }

  #ask<T>(name: keyof Backend, ...args: readonly unknown[]): Promise<T> {
    return this.#askWithin(this.#target.deadlineMs, name, ...args)
  }

  async #askWithin<T>(deadlineMs: number, name: keyof Backend, ...args: readonly unknown[]): Promise<T> {
    const answer = await this.#target.call(OBSERVER_BACKEND, [name, ...args], deadlineMs)
    if (isProblem(answer)) throw new ObserverError(answer.problem, 'badarg')
    return answer as T
  }
}

function isProblem(answer: unknown): answer is Problem {
  if (typeof answer !== 'object' || answer === null || Object.keys(answer).length !== 1) return false
  return typeof (answer as Partial<Problem>).problem === 'string'
}
