/**
 * Who the client of one connection is and what it may do: the connection's side of authentication.
 *
 * Answers of the authentication chain come whenever they come, and reach the connection as a message to itself. What an
 * enhanced authentication remembers from step to step is kept here for whoever knows the method.
 */
import type { ProcessContext } from '../actors/process.ts'
import type { Credentials } from './access-control.ts'
import type { Authorizer, ConnectionEnvironment, ConnectionMessage } from './connection-environment.ts'
import type { ConnectPacket } from './packet.ts'
import type { AuthResult, OpeningClient } from './protocol-state.ts'
import { RC } from './reason-codes.ts'

const FAILED: AuthResult = {
  outcome: 'refuse',
  reasonCode: RC.server_unavailable,
  reason: 'authentication failed',
}

/** What a client shows in CONNECT; `clientId` is the one that it is to have. */
export function credentialsOf(connect: ConnectPacket, clientId: string, host: string): Credentials {
  const { username, password, protocolVersion } = connect
  return { clientId, username, password, host, protocolVersion }
}

/** Authentication and rights of one client. */
export class ClientAuth {
  readonly #environment: ConnectionEnvironment
  readonly #host: string
  readonly #self: ProcessContext
  #credentials: Credentials | undefined = undefined
  /** What the enhanced authentication that is under way remembers. */
  #exchange: Record<string, unknown> | undefined = undefined
  #hasMethod = false
  /** Made with the first question; gone when the client has authenticated again. */
  #authorizer: Authorizer | undefined = undefined

  constructor(environment: ConnectionEnvironment, host: string, self: ProcessContext) {
    this.#environment = environment
    this.#host = host
    this.#self = self
  }

  /** Asks who the sender of a CONNECT is. */
  authenticate(connect: ConnectPacket, clientId: string): void {
    this.#credentials = credentialsOf(connect, clientId, this.#host)
    const { authenticationMethod, authenticationData } = connect.properties ?? {}
    this.#hasMethod = authenticationMethod !== undefined
    if (authenticationMethod === undefined) this.#await(this.#environment.authenticate(this.#credentials))
    else this.step(authenticationMethod, authenticationData, true, false)
  }

  /** Takes the next step of an enhanced authentication, or the first of a new one. */
  step(method: string, data: Buffer | undefined, isFirst: boolean, reauthenticate: boolean): void {
    if (isFirst || this.#exchange === undefined) this.#exchange = {}
    const credentials = this.#credentials!
    const exchange = this.#exchange
    this.#await(this.#environment.authStep({ credentials, method, data, isFirst, reauthenticate, exchange }))
  }

  /** Notes what was answered: the rights may have changed with who the client is. */
  answered(result: AuthResult): void {
    this.#authorizer = undefined
    if (result.outcome !== 'continue') this.#exchange = undefined
  }

  /** CONNECT has been answered: only a client with a method authenticates again, and never by its password. */
  forget(): void {
    const credentials = this.#credentials
    this.#credentials =
      this.#hasMethod && credentials !== undefined ? { ...credentials, password: undefined } : undefined
  }

  isAllowed(client: OpeningClient, action: 'publish' | 'subscribe', topic: string): boolean {
    this.#authorizer ??= this.#environment.authorizer(client.clientId, client.username, this.#host)
    return this.#authorizer.isAllowed(action, topic)
  }

  #await(result: AuthResult | Promise<AuthResult>): void {
    if (!(result instanceof Promise)) {
      this.#answer(result)
      return
    }
    result.then(
      (settled) => this.#answer(settled),
      (error: unknown) => {
        this.#self.runtime.logger.error({ err: error }, 'authentication failed')
        this.#answer(FAILED)
      },
    )
  }

  #answer(result: AuthResult): void {
    const { pid, runtime } = this.#self
    runtime.send(pid, { tag: 'auth', result } satisfies ConnectionMessage)
  }
}
