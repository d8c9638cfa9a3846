/**
 * Decides by access rules: the first rule that is about the client, the action and the topic has the say.
 *
 * A publish is to a topic name, and a rule's filter is about it when it matches. A subscription is to many topics at
 * once: a rule that allows is about it only when it allows all of them, and one that denies as soon as it denies
 * one. Differs from emqttd, which compares the two filters word by word as if the subscription were a name, so that
 * `a/#` passes where only `a/+` is allowed and a bare `+/#` where `secret/#` is denied.
 *
 * A level that stands for the client's id or user name is compared with the level as it is: a client that calls itself `#`
 * gains nothing.
 */
import { readFile } from 'node:fs/promises'
import { isInCidr, parseAddress } from '../../dist/ip.ts'
import { type AclParse, type AclRule, parseAcl, type RuleFilter, type Who } from './acl-file.ts'

/** A client, as rules see it. */
export interface AclClient {
  readonly clientId: string
  readonly username: string | undefined
  /** Of the peer, as `parseAddress` reads it; undefined when it has none. */
  readonly address: Uint8Array | undefined
}

/** Makes the client of a check; `host` is the address of its peer as text. */
export function aclClient(clientId: string, username: string | undefined, host: string): AclClient {
  return { clientId, username, address: parseAddress(host) }
}

/** What rules say about an access; 'nomatch' when no rule is about it. */
export type AclVerdict = 'allow' | 'deny' | 'nomatch'

/** The rules that hold when no file is configured: those of etc/acl.conf as shipped, which explains them. */
export const DEFAULT_ACL = `
{allow, {user, "dashboard"}, subscribe, ["$SYS/#"]}.
{allow, {'or', [{ipaddr, "127.0.0.1"}, {ipaddr, "::1"}]}, subscribe, ["$SYS/#", "#"]}.
{deny, all, subscribe, ["$SYS/#", {eq, "#"}]}.
{deny, all, publish, ["$SYS/#"]}.
{allow, all}.
`

/** The parsed `DEFAULT_ACL`. */
export function defaultRules(): readonly AclRule[] {
  const parsed = parseAcl(DEFAULT_ACL, 'built-in rules')
  if (!parsed.ok) throw new Error(parsed.errors.join('\n'))
  return parsed.rules
}

/** Reads the rules of `access.acl_file`; the built-in ones for ''. A file that cannot be read is an error like any other. */
export async function readRules(aclFile: string): Promise<AclParse> {
  if (aclFile === '') return { ok: true, rules: defaultRules() }
  try {
    return parseAcl(await readFile(aclFile, 'utf8'), aclFile)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    return { ok: false, errors: [`${aclFile}: the access rules cannot be read: ${code ?? message}`] }
  }
}

/** Asks the rules, in their order, about an access. `topic` is a topic name to publish to or a filter to subscribe. */
export function checkAcl(
  rules: readonly AclRule[],
  client: AclClient,
  action: 'publish' | 'subscribe',
  topic: string,
): AclVerdict {
  const words = topic.split('/')
  for (const rule of rules) {
    if (rule.action !== 'pubsub' && rule.action !== action) continue
    if (!isAbout(rule.who, client)) continue
    const { filters, permission } = rule
    if (filters === undefined) return permission
    if (filters.some((filter) => isAboutTopic(filter, permission, client, topic, words))) return permission
  }
  return 'nomatch'
}

function isAbout(who: Who, client: AclClient): boolean {
  switch (who.kind) {
    case 'all':
      return true
    case 'client':
      return who.id === undefined || who.id === client.clientId
    case 'user':
      return who.name === undefined ? client.username !== undefined : who.name === client.username
    case 'ipaddr':
      return client.address !== undefined && isInCidr(client.address, who.cidr)
    case 'and':
      return who.whos.every((part) => isAbout(part, client))
    case 'or':
      return who.whos.some((part) => isAbout(part, client))
  }
}

function isAboutTopic(
  filter: RuleFilter,
  permission: 'allow' | 'deny',
  client: AclClient,
  topic: string,
  words: readonly string[],
): boolean {
  if (filter.kind === 'eq') return filter.text === topic
  // For a topic name, which has no wildcard, both questions are the same: whether the filter matches it.
  return permission === 'allow' ? covers(filter.words, words, client) : overlaps(filter.words, words, client)
}

/** Whether every topic that `asked` matches is matched by the rule's filter. */
function covers(rule: readonly string[], asked: readonly string[], client: AclClient): boolean {
  if (isShielded(rule[0]!, asked[0]!)) return false
  for (const [i, word] of rule.entries()) {
    if (word === '#') return true
    if (i >= asked.length) return false
    // A bare `#` asks for topics of one level and more, which is what `+/#` allows.
    if (asked[i] === '#') return i === 0 && word === '+' && rule[1] === '#'
    if (word !== '+' && (asked[i] === '+' || !isWord(word, asked[i]!, client))) return false
  }
  return rule.length === asked.length
}

/** Whether some topic is matched by both. */
function overlaps(rule: readonly string[], asked: readonly string[], client: AclClient): boolean {
  if (isShielded(rule[0]!, asked[0]!) || isShielded(asked[0]!, rule[0]!)) return false
  for (let i = 0; ; i++) {
    // `a/#` also matches `a`.
    if (rule[i] === '#' || asked[i] === '#') return true
    if (i >= rule.length || i >= asked.length) return rule.length === asked.length
    const [word, other] = [rule[i]!, asked[i]!]
    if (word !== '+' && other !== '+' && !isWord(word, other, client)) return false
  }
}

/** A wildcard in the first level does not match topics that begin with `$` [MQTT5-4.7.2-1]. */
function isShielded(first: string, other: string): boolean {
  return (first === '+' || first === '#') && other.startsWith('$')
}

function isWord(word: string, asked: string, client: AclClient): boolean {
  if (word === '%c' || word === '$c') return asked === client.clientId
  if (word === '%u' || word === '$u') return asked === client.username
  return word === asked
}
