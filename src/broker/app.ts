/** The broker as an OTP application: what `application:which_applications/0` shows, and what stops with the node in order. */
import type { Application } from '../actors/application.ts'
import type { Services } from './services.ts'
import { brokerSup } from './sup.ts'

/** Name of the application. */
export const BROKER = 'agner'

/** Registered name of its top supervisor. */
export const BROKER_SUP = 'broker_sup'

/** The application of one broker; its top supervisor is `broker_sup`. */
export function brokerApplication(services: Services): Application {
  return {
    name: BROKER,
    description: 'MQTT broker',
    version: services.version,
    start: (self) => brokerSup.starter(services, { name: BROKER_SUP })(self),
  }
}
