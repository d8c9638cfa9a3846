/**
 * What the read-only shell understands: calls of commands with literal arguments, and no JavaScript beyond that.
 *
 *     nodes()    i({ limit: 5 })    processInfo(whereis('router'), 'links')    at('n2').top('reds', 3)    v(2)    <0.12.0>
 *
 * An expression is parsed and walked, never run: numbers, strings, true, false, null, undefined, lists, objects, pids as they are
 * shown, calls of commands and of the functions that make terms, and `at(node)` before a command. A bare word as an
 * argument is a name, since Erlang's fingers type `whereis(router)`. Nothing can be assigned, and no property is read.
 */
import { type Expression, type Node, type ObjectExpression, parseExpressionAt, type SpreadElement } from 'acorn'
import { withPids } from '../shell/rewrite.ts'
import { ObserverError } from '../target.ts'

/** What an expression may call. */
export interface Callable {
  /** A command; undefined when there is none of that name. */
  command(name: string): ((node: string | undefined, args: readonly unknown[]) => Promise<unknown>) | undefined
  /** A function that makes or reads terms. */
  term(name: string): ((...args: unknown[]) => unknown) | undefined
}

/** Evaluates one line. Rejects with `ObserverError` for what is none of the above. */
export async function evaluateExpression(line: string, callable: Callable): Promise<unknown> {
  const source = withPids(line.trim().replace(/\.$/, ''))
  let expression: Expression
  try {
    expression = parseExpressionAt(source, 0, { ecmaVersion: 'latest', allowAwaitOutsideFunction: true })
  } catch (error) {
    throw refused(`syntax: ${(error as Error).message.replace(/ \(\d+:\d+\)$/, '')}`)
  }
  const rest = source.slice(expression.end).trim()
  if (rest !== '' && rest !== ';') throw refused(`one command a line; what is ${rest.slice(0, 20)}?`)
  return new Walker(source, callable).value(expression)
}

function refused(message: string): ObserverError {
  return new ObserverError(message, 'badarg')
}

class Walker {
  readonly #source: string
  readonly #callable: Callable

  constructor(source: string, callable: Callable) {
    this.#source = source
    this.#callable = callable
  }

  async value(node: Expression | SpreadElement): Promise<unknown> {
    switch (node.type) {
      case 'Literal':
        if ('regex' in node && node.regex !== undefined) break
        return node.value
      case 'TemplateLiteral':
        if (node.expressions.length > 0) break
        return node.quasis[0]!.value.cooked
      case 'UnaryExpression': {
        const value = node.operator === '-' ? await this.value(node.argument) : undefined
        if (typeof value !== 'number' && typeof value !== 'bigint') break
        return -value
      }
      case 'Identifier':
        return node.name === 'undefined' ? undefined : node.name
      case 'ArrayExpression':
        return this.#all(node.elements.map((element) => element ?? fail(this.#text(node))))
      case 'ObjectExpression':
        return this.#object(node)
      case 'CallExpression':
        return this.#call(node)
      case 'AwaitExpression':
        return this.value(node.argument)
      case 'ParenthesizedExpression':
        return this.value(node.expression)
    }
    throw fail(this.#text(node))
  }

  async #call({ callee, arguments: given }: Extract<Expression, { type: 'CallExpression' }>): Promise<unknown> {
    const { name, node } = await this.#callee(callee)
    const term = node === undefined ? this.#callable.term(name) : undefined
    const command = this.#callable.command(name)
    if (term === undefined && command === undefined) {
      throw refused(`there is no command ${name} here, where everything is read-only: help() lists them`)
    }
    const args = await this.#all(given)
    return term === undefined ? command!(node, args) : term(...args)
  }

  /** `name`, `module.name`, and either after `at(node)`. */
  async #callee(callee: Node): Promise<{ readonly name: string; readonly node: string | undefined }> {
    const names: string[] = []
    let at = callee as Expression
    while (at.type === 'MemberExpression' && !at.computed && at.property.type === 'Identifier') {
      names.unshift(at.property.name)
      at = at.object as Expression
    }
    if (at.type === 'Identifier') return { name: [at.name, ...names].join('.'), node: undefined }
    if (
      at.type === 'CallExpression' &&
      at.callee.type === 'Identifier' &&
      at.callee.name === 'at' &&
      names.length > 0
    ) {
      const [node] = await this.#all(at.arguments)
      if (typeof node !== 'string') throw refused("at takes the name of a node: at('n2')")
      return { name: names.join('.'), node }
    }
    throw fail(this.#text(callee))
  }

  async #object({ properties }: ObjectExpression): Promise<unknown> {
    const object: Record<string, unknown> = {}
    for (const property of properties) {
      if (property.type !== 'Property' || property.computed || property.kind !== 'init')
        throw fail(this.#text(property))
      const { key, value } = property
      const name = key.type === 'Identifier' ? key.name : key.type === 'Literal' ? String(key.value) : undefined
      if (name === undefined || name === '__proto__') throw fail(this.#text(property))
      object[name] = await this.value(value)
    }
    return object
  }

  async #all(nodes: readonly (Expression | SpreadElement)[]): Promise<unknown[]> {
    const values: unknown[] = []
    for (const node of nodes) values.push(await this.value(node))
    return values
  }

  #text({ start, end }: Node): string {
    return this.#source.slice(start, end)
  }
}

function fail(text: string): never {
  throw refused(
    `only commands with literal arguments run here, not ${text.length > 40 ? `${text.slice(0, 39)}…` : text}`,
  )
}
