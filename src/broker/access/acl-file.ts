/**
 * Reads access rules in emqttd's acl.conf format: Erlang terms, one rule each, ended by a full stop.
 *
 *     {allow, all}.   {deny, all}.
 *     {allow | deny, Who, subscribe | publish | pubsub, [Filter, ...]}.
 *     Who    = all | {client, "id" | all} | {user, "name" | all} | {ipaddr, "10.0.0.0/8"} | {'and', [Who, ...]} | {'or', [Who, ...]}
 *     Filter = "topic/filter" | {eq, "literally this filter"}
 *
 * Levels of a filter that are `%c` or `$c` stand for the client's id, `%u` or `$u` for its user name.
 * Only the terms that rules are made of are read; every mistake is reported with its line.
 */
import { type Cidr, parseCidr } from '../../dist/ip.ts'

/** Whom a rule is about. */
export type Who =
  | { readonly kind: 'all' }
  | { readonly kind: 'client'; readonly id: string | undefined }
  | { readonly kind: 'user'; readonly name: string | undefined }
  | { readonly kind: 'ipaddr'; readonly cidr: Cidr }
  | { readonly kind: 'and' | 'or'; readonly whos: readonly Who[] }

/** A filter of a rule: by its levels, or literally. */
export type RuleFilter =
  | { readonly kind: 'match'; readonly words: readonly string[] }
  | { readonly kind: 'eq'; readonly text: string }

/** One rule, as it was written. */
export interface AclRule {
  readonly permission: 'allow' | 'deny'
  readonly who: Who
  readonly action: 'subscribe' | 'publish' | 'pubsub'
  /** Undefined: every topic. */
  readonly filters: readonly RuleFilter[] | undefined
  readonly line: number
}

/** The rules of a file, or its mistakes, each a sentence that begins with `NAME:LINE:`. */
export type AclParse =
  | { readonly ok: true; readonly rules: readonly AclRule[] }
  | { readonly ok: false; readonly errors: readonly string[] }

/** Parses the text of an access file; `name` is what errors call it. A broken rule does not hide those after it. */
export function parseAcl(text: string, name: string): AclParse {
  const rules: AclRule[] = []
  const errors: string[] = []
  const reader = new TermReader(text)
  for (;;) {
    try {
      const term = reader.next()
      if (term === undefined) break
      rules.push(ruleOf(term))
    } catch (error) {
      if (!(error instanceof AclSyntaxError)) throw error
      errors.push(`${name}:${error.line}: ${error.message}`)
      if (error.fatal) reader.skipTerm()
    }
  }
  return errors.length === 0 ? { ok: true, rules } : { ok: false, errors }
}

class AclSyntaxError extends Error {
  readonly line: number
  /** The reader has lost its place: it has to look for the next rule. */
  readonly fatal: boolean
  constructor(line: number, message: string, fatal = false) {
    super(message)
    this.line = line
    this.fatal = fatal
  }
}

type Term =
  | { readonly kind: 'atom' | 'string'; readonly text: string; readonly line: number }
  | { readonly kind: 'tuple' | 'list'; readonly items: readonly Term[]; readonly line: number }

const CLOSING = { '{': '}', '[': ']' } as const
const ESCAPES: Record<string, string> = { n: '\n', t: '\t', r: '\r' }
/** Deeper than any rule needs; a file cannot exhaust the stack. */
const MAX_DEPTH = 32

class TermReader {
  readonly #text: string
  #at = 0
  #line = 1

  constructor(text: string) {
    this.#text = text
  }

  /** The next term with its full stop, or undefined at the end. */
  next(): Term | undefined {
    this.#skipBlank()
    if (this.#at >= this.#text.length) return undefined
    const term = this.#term(0)
    this.#skipBlank()
    if (this.#text[this.#at] !== '.') throw this.#error(`expected a full stop after the rule, found ${this.#found()}`)
    this.#at++
    return term
  }

  /** Goes on behind the next full stop at the end of a line. */
  skipTerm(): void {
    const end = /\.[^\S\n]*(?:%[^\n]*)?(?:\n|$)/g
    end.lastIndex = this.#at
    const to = end.exec(this.#text) ? end.lastIndex : this.#text.length
    for (; this.#at < to; this.#at++) if (this.#text[this.#at] === '\n') this.#line++
  }

  #term(depth: number): Term {
    if (depth > MAX_DEPTH) throw this.#error('the rule is nested too deeply')
    this.#skipBlank()
    const char = this.#text[this.#at]
    if (char === '{' || char === '[') return this.#sequence(char, depth)
    if (char === '"' || char === "'") return this.#quoted(char)
    const atom = /[a-z][A-Za-z0-9_@]*/y
    atom.lastIndex = this.#at
    const match = atom.exec(this.#text)
    if (!match) throw this.#error(`expected a tuple, a list, a string or a word, found ${this.#found()}`)
    this.#at = atom.lastIndex
    return { kind: 'atom', text: match[0], line: this.#line }
  }

  #sequence(opening: '{' | '[', depth: number): Term {
    const line = this.#line
    const items: Term[] = []
    const kind = opening === '{' ? 'tuple' : 'list'
    this.#at++
    this.#skipBlank()
    if (this.#text[this.#at] === CLOSING[opening]) {
      this.#at++
      return { kind, items, line }
    }
    for (;;) {
      items.push(this.#term(depth + 1))
      this.#skipBlank()
      const char = this.#text[this.#at]
      if (char !== ',' && char !== CLOSING[opening]) {
        throw this.#error(`expected , or ${CLOSING[opening]}, found ${this.#found()}`)
      }
      this.#at++
      if (char !== ',') return { kind, items, line }
    }
  }

  #quoted(quote: string): Term {
    const line = this.#line
    let text = ''
    for (this.#at++; this.#at < this.#text.length && this.#text[this.#at] !== '\n'; this.#at++) {
      const char = this.#text[this.#at]!
      if (char === quote) {
        this.#at++
        return { kind: quote === '"' ? 'string' : 'atom', text, line }
      }
      if (char !== '\\') text += char
      else {
        const escaped = this.#text[++this.#at] ?? ''
        text += ESCAPES[escaped] ?? escaped
      }
    }
    throw this.#error(`the ${quote} has no end on its line`)
  }

  #skipBlank(): void {
    for (; this.#at < this.#text.length; this.#at++) {
      const char = this.#text[this.#at]!
      if (char === '\n') this.#line++
      else if (char === '%') {
        const end = this.#text.indexOf('\n', this.#at)
        this.#at = (end < 0 ? this.#text.length : end) - 1
      } else if (char.trim() !== '' && char !== '\uFEFF') return
    }
  }

  #found(): string {
    return this.#at < this.#text.length ? JSON.stringify(this.#text[this.#at]) : 'the end of the file'
  }

  #error(message: string): AclSyntaxError {
    return new AclSyntaxError(this.#line, message, true)
  }
}

const RULE = '{allow | deny, all} or {allow | deny, Who, subscribe | publish | pubsub, [Filter, ...]}'
const WHO = `all, {client, "id"}, {user, "name"}, {ipaddr, "address/bits"}, {'and', [...]} or {'or', [...]}`

function ruleOf(term: Term): AclRule {
  const { line } = term
  if (term.kind !== 'tuple' || (term.items.length !== 2 && term.items.length !== 4)) {
    throw new AclSyntaxError(line, `a rule is ${RULE}`)
  }
  const [permission, who, action, filters] = term.items as [Term, Term, Term?, Term?]
  if (!isAtom(permission, 'allow', 'deny')) throw new AclSyntaxError(permission.line, `a rule is ${RULE}`)
  if (action === undefined || filters === undefined) {
    if (!isAtom(who, 'all')) throw new AclSyntaxError(who.line, `a rule of two parts is {${permission.text}, all}`)
    return { permission: permission.text, who: { kind: 'all' }, action: 'pubsub', filters: undefined, line }
  }
  if (!isAtom(action, 'subscribe', 'publish', 'pubsub')) {
    throw new AclSyntaxError(action.line, 'the third part of a rule must be subscribe, publish or pubsub')
  }
  if (filters.kind !== 'list' || filters.items.length === 0) {
    throw new AclSyntaxError(filters.line, 'the fourth part of a rule must be a list of topic filters')
  }
  const parsed = filters.items.map(filterOf)
  return { permission: permission.text, who: whoOf(who), action: action.text, filters: parsed, line }
}

function whoOf(term: Term): Who {
  if (isAtom(term, 'all')) return { kind: 'all' }
  const [tag, value] = term.kind === 'tuple' && term.items.length === 2 ? term.items : []
  if (tag === undefined || value === undefined) throw new AclSyntaxError(term.line, `the second part must be ${WHO}`)
  if (isAtom(tag, 'client', 'user')) {
    if (value.kind !== 'string' && !isAtom(value, 'all')) {
      throw new AclSyntaxError(value.line, `{${tag.text}, ...} takes a string or all`)
    }
    const name = value.kind === 'string' ? value.text : undefined
    return tag.text === 'client' ? { kind: 'client', id: name } : { kind: 'user', name }
  }
  if (isAtom(tag, 'ipaddr')) {
    const cidr = value.kind === 'string' ? parseCidr(value.text) : undefined
    if (cidr === undefined) throw new AclSyntaxError(value.line, '{ipaddr, ...} takes "address" or "address/bits"')
    return { kind: 'ipaddr', cidr }
  }
  if (isAtom(tag, 'and', 'or')) {
    if (value.kind !== 'list' || value.items.length === 0) {
      throw new AclSyntaxError(value.line, `{'${tag.text}', ...} takes a list of ${WHO}`)
    }
    return { kind: tag.text, whos: value.items.map(whoOf) }
  }
  throw new AclSyntaxError(tag.line, `the second part must be ${WHO}`)
}

function filterOf(term: Term): RuleFilter {
  if (term.kind === 'string') return { kind: 'match', words: wordsOf(term) }
  const [tag, value] = term.kind === 'tuple' && term.items.length === 2 ? term.items : []
  if (tag === undefined || value?.kind !== 'string' || !isAtom(tag, 'eq')) {
    throw new AclSyntaxError(term.line, 'a topic filter must be "filter" or {eq, "filter"}')
  }
  return { kind: 'eq', text: value.text }
}

function wordsOf(term: Term & { kind: 'string' | 'atom' }): readonly string[] {
  const words = term.text.split('/')
  const bad = words.some((word, i) => {
    const isWildcard = word === '+' || (word === '#' && i === words.length - 1)
    return !isWildcard && /[+#\0]/.test(word)
  })
  if (term.text === '' || bad) {
    throw new AclSyntaxError(term.line, `${JSON.stringify(term.text)} is not a topic filter`)
  }
  return words
}

function isAtom<const T extends string>(term: Term, ...texts: T[]): term is Term & { kind: 'atom'; text: T } {
  return term.kind === 'atom' && (texts as string[]).includes(term.text)
}
