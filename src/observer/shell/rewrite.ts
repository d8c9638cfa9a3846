/**
 * What is typed at the prompt, as code that can be run: the prompt's own notation is made JavaScript.
 *
 * - A pid as it is shown, `<1.77.0>`, is that pid: two numbers beside each other are no JavaScript, so nothing else can be meant.
 * - Declarations at the top become assignments to the prompt's variables, so that their value is printed, as in Erlang, and
 *   the name can be forgotten and bound again.
 * - A full stop after the last parenthesis is left out, since fingers type it.
 * - `await` at the top makes the whole an async function that returns the value of its last expression.
 *
 * Pure. The parser is acorn's, so a string that holds any of this is left alone.
 */
import { type Node, type Options, type Program, parse, tokenizer, tokTypes } from 'acorn'
import { PID_PATTERN } from '../print/pids.ts'

/** Code to run, or why there is none. */
export type Rewritten =
  | {
      readonly tag: 'code'
      readonly code: string
      readonly isAsync: boolean
      /** Variables that it assigns at the top. */
      readonly names: readonly string[]
    }
  /** The input goes on, on the next line. */
  | { readonly tag: 'incomplete' }
  | { readonly tag: 'error'; readonly message: string }

const OPTIONS: Options = {
  ecmaVersion: 'latest',
  sourceType: 'script',
  allowAwaitOutsideFunction: true,
  allowReturnOutsideFunction: false,
}

/** Rewrites one input. */
export function rewrite(input: string): Rewritten {
  const source = withPids(input.replace(/\)\s*\.\s*$/, ')').trim())
  // `{ a: 1 }` is an object here, not a block with a label.
  const literal = source.startsWith('{') && !source.endsWith(';') ? parsed(`(${source}\n)`) : undefined
  if (literal?.tag === 'program') return codeOf(literal.program, `(${source}\n)`)
  const result = parsed(source)
  return result.tag === 'program' ? codeOf(result.program, source) : result
}

/** The source with `pid(1,77,0)` where it has `<1.77.0>`. */
export function withPids(source: string): string {
  let text = ''
  let from = 0
  try {
    for (const token of tokenizer(source, OPTIONS)) {
      if (token.type !== tokTypes.relational || token.start < from) continue
      PID_PATTERN.lastIndex = token.start
      const pid = PID_PATTERN.exec(source)
      if (pid === null) continue
      text += `${source.slice(from, token.start)}pid(${pid[1]},${pid[2]},${pid[3]})`
      from = PID_PATTERN.lastIndex
    }
  } catch {
    // What is no JavaScript so far is told by the parser.
  }
  return text + source.slice(from)
}

type Parsed = { readonly tag: 'program'; readonly program: Program } | Exclude<Rewritten, { readonly tag: 'code' }>

function parsed(source: string): Parsed {
  try {
    return { tag: 'program', program: parse(source, OPTIONS) }
  } catch (error) {
    const { message, pos, raisedAt } = error as SyntaxError & { readonly pos?: number; readonly raisedAt?: number }
    if (isIncomplete(source, message, pos, raisedAt)) return { tag: 'incomplete' }
    return { tag: 'error', message: message.replace(/ \(\d+:\d+\)$/, '') }
  }
}

/** The parser has come to the end and wanted more. */
function isIncomplete(source: string, message: string, pos = 0, raisedAt = 0): boolean {
  if (/^Unterminated (?:template|comment)/.test(message)) return true
  if (message.startsWith('Unterminated string')) return /\\$/.test(source)
  return /^Unexpected token/.test(message) && (pos >= source.length || raisedAt > source.length)
}

type Statement = Program['body'][number]

function codeOf(program: Program, source: string): Extract<Rewritten, { readonly tag: 'code' }> {
  const isAsync = program.body.some(awaits)
  const names = program.body.flatMap(assignedNames)
  const statements = program.body.map((statement) => assigned(statement, source))
  const last = program.body.at(-1)
  if (!isAsync) return { tag: 'code', code: statements.join('\n'), isAsync, names }
  const value = last !== undefined && isExpression(last) ? statements.pop()!.replace(/;$/, '') : undefined
  const body = [...statements, ...(value === undefined ? [] : [`return (${value}\n)`])].join('\n')
  return { tag: 'code', code: `(async () => {\n${body}\n})()`, isAsync, names }
}

function isExpression({ type }: Statement): boolean {
  return ['ExpressionStatement', 'VariableDeclaration', 'FunctionDeclaration', 'ClassDeclaration'].includes(type)
}

function assignedNames(statement: Statement): string[] {
  if (statement.type === 'VariableDeclaration') {
    return statement.declarations.flatMap(({ id }) => (id.type === 'Identifier' ? id.name : []))
  }
  const expression = statement.type === 'ExpressionStatement' ? statement.expression : undefined
  const isAssignment = expression?.type === 'AssignmentExpression' && expression.left.type === 'Identifier'
  return isAssignment ? [(expression.left as { readonly name: string }).name] : []
}

/** A statement, a declaration among them as an assignment. */
function assigned(statement: Statement, source: string): string {
  const textOf = ({ start, end }: Node): string => source.slice(start, end)
  switch (statement.type) {
    case 'VariableDeclaration':
      return `${statement.declarations
        .map(({ id, init }) => `(${textOf(id)} = ${init ? textOf(init) : 'undefined'})`)
        .join(', ')};`
    case 'FunctionDeclaration':
    case 'ClassDeclaration':
      return `(${textOf(statement.id)} = ${textOf(statement)});`
    default:
      return textOf(statement)
  }
}

/** Whether there is an `await` that belongs to no function inside. */
function awaits(node: unknown): boolean {
  if (Array.isArray(node)) return node.some(awaits)
  if (typeof node !== 'object' || node === null) return false
  const { type, await: isForAwait } = node as { readonly type?: string; readonly await?: boolean }
  if (type === 'AwaitExpression' || (type === 'ForOfStatement' && isForAwait === true)) return true
  if (type === 'FunctionDeclaration' || type === 'FunctionExpression' || type === 'ArrowFunctionExpression')
    return false
  return Object.values(node).some(awaits)
}
