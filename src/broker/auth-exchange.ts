/**
 * An enhanced authentication that is under way: the steps of one AUTH exchange of MQTT 5.0 [MQTT5-4.12].
 */
import type { AuthResult } from './protocol-state.ts'

/** One exchange with one client; what it remembers between the steps is its own. */
export interface AuthExchange {
  /** Takes the data of CONNECT or of an AUTH, and answers with the next challenge or the outcome. */
  step(data: Buffer | undefined): AuthResult | Promise<AuthResult>
}
