/**
 * The normative statements of MQTT 3.1.1 (OASIS Standard, 29 October 2014, appendix B), in our own words.
 *
 * One line per statement: `id | whom it binds | what it says`, and a fourth field, the reason, when no test of a running
 * server can show it. The form is read by `statements.ts`.
 */
export const MQTT311_STATEMENTS = `
1.5.3-1 | both | Strings are well-formed UTF-8 without surrogates; a packet with an ill-formed string closes the connection
1.5.3-2 | both | Strings hold no U+0000; a packet with one closes the connection
1.5.3-3 | both | The bytes EF BB BF in a string are U+FEFF and are kept, wherever they stand
2.2.2-1 | both | Reserved flag bits of the fixed header have their listed values
2.2.2-2 | both | A packet with invalid flags closes the connection
2.3.1-1 | client | SUBSCRIBE, UNSUBSCRIBE and PUBLISH above QoS 0 carry a packet identifier other than 0
2.3.1-2 | client | A new packet takes a packet identifier that is not in use | client's duty
2.3.1-3 | client | A packet that is sent again keeps its packet identifier, which is free after the acknowledgement | client's duty; the server's side is 2.3.1-4
2.3.1-4 | server | The server follows the same rules for the packet identifiers of what it publishes
2.3.1-5 | both | A PUBLISH at QoS 0 has no packet identifier
2.3.1-6 | both | PUBACK, PUBREC and PUBREL carry the packet identifier of their PUBLISH
2.3.1-7 | server | SUBACK and UNSUBACK carry the packet identifier of what they answer
3.1.0-1 | client | The first packet of a connection is CONNECT; the server takes no other
3.1.0-2 | server | A second CONNECT is a protocol violation and ends the connection
3.1.2-1 | server | A CONNECT with another protocol name is not processed as MQTT 3.1.1
3.1.2-2 | server | An unsupported protocol level is answered with return code 1 (levels above 5 as MQTT 5.0 does), then the connection is closed
3.1.2-3 | server | A CONNECT whose reserved flag is set closes the connection
3.1.2-4 | both | Without clean session the session of this client id is resumed, or a new one is made and outlives the connection
3.1.2-5 | server | QoS 1 and 2 messages for a disconnected session are stored for it
3.1.2-6 | both | With clean session nothing of an earlier session is reused, and this one ends with its connection
3.1.2.7 | server | Retained messages are not part of a session and stay when it ends
3.1.2-8 | server | A will is stored with the connection and published when it closes without a DISCONNECT
3.1.2-9 | both | With the will flag, will topic and will message are in the payload and will QoS and retain are used
3.1.2-10 | server | A will is forgotten once published or after a DISCONNECT
3.1.2-11 | both | Without the will flag, will QoS and will retain are 0 and the payload has no will fields
3.1.2-12 | server | Without the will flag no will is published
3.1.2-13 | both | Without the will flag, will QoS is 0
3.1.2-14 | both | With the will flag, will QoS is 0, 1 or 2, never 3
3.1.2-15 | both | Without the will flag, will retain is 0
3.1.2-16 | server | A will without will retain is published as a message that is not retained
3.1.2-17 | server | A will with will retain is published as a retained message
3.1.2-18 | both | Without the user name flag the payload has no user name
3.1.2-19 | both | With the user name flag the payload has a user name
3.1.2-20 | both | Without the password flag the payload has no password
3.1.2-21 | both | With the password flag the payload has a password
3.1.2-22 | both | Without the user name flag the password flag is 0
3.1.2-23 | client | A client lets no keep alive interval pass in silence, if need be by PINGREQ | client's duty
3.1.2-24 | server | A client that is silent for one and a half times its keep alive is disconnected
3.1.3-1 | client | Payload fields come in the order client id, will topic, will message, user name, password
3.1.3-2 | both | The client id identifies the session
3.1.3-3 | client | The client id is the first field of the payload
3.1.3-4 | client | The client id is a UTF-8 string
3.1.3-5 | server | Client ids of 1 to 23 bytes of digits and letters are accepted
3.1.3-6 | server | An empty client id, if accepted, is replaced by a unique one
3.1.3-7 | client | An empty client id comes with clean session
3.1.3-8 | server | An empty client id without clean session is refused with return code 2 and closed
3.1.3-9 | server | A client id that the server rejects is refused with return code 2 and closed
3.1.3-10 | client | The will topic is a UTF-8 string
3.1.3-11 | client | The user name is a UTF-8 string
3.1.4-1 | server | A CONNECT that does not have the form of section 3.1 closes the connection without a CONNACK
3.1.4-2 | server | A CONNECT with the client id of a connected client disconnects that client
3.1.4-3 | server | The server handles clean session as section 3.1.2.4 says
3.1.4-4 | server | An accepted CONNECT is answered with return code 0
3.1.4-5 | server | What follows a refused CONNECT is not processed
3.2.0-1 | server | The first packet from the server is CONNACK
3.2.2-1 | server | With clean session, session present is 0
3.2.2-2 | server | Without clean session and with a stored session, session present is 1
3.2.2-3 | server | Without a stored session, session present is 0
3.2.2-4 | server | With a return code other than 0, session present is 0
3.2.2-5 | server | After a return code other than 0 the connection is closed
3.2.2-6 | server | When no return code applies, the connection is closed without CONNACK
3.3.1-1 | both | A PUBLISH that is sent again has DUP set
3.3.1-2 | both | DUP is 0 at QoS 0
3.3.1-3 | server | DUP of an outgoing PUBLISH is not taken from the incoming one
3.3.1-4 | both | A PUBLISH with both QoS bits set closes the connection
3.3.1-5 | server | A PUBLISH with RETAIN is stored with its QoS for later subscribers
3.3.1-6 | server | A new subscription gets the last retained message of every matching topic
3.3.1-7 | server | A retained QoS 0 message replaces or discards the earlier one
3.3.1-8 | server | A message sent because of a new subscription has RETAIN set
3.3.1-9 | server | A message sent because of an established subscription has RETAIN cleared
3.3.1-10 | server | An empty retained message is delivered and removes the retained one
3.3.1-11 | server | An empty message is never stored as retained
3.3.1-12 | server | A message without RETAIN neither is stored nor removes or replaces a retained one
3.3.2-1 | both | The topic name is the first field of the variable header and a UTF-8 string
3.3.2-2 | both | A topic name holds no wildcards
3.3.2-3 | server | The topic name of a delivered message matches the subscription's filter
3.3.4-1 | both | A PUBLISH is answered as its QoS demands
3.3.5-1 | server | With overlapping subscriptions the message comes at the greatest of their QoS
3.3.5-2 | server | A PUBLISH that is not authorised is acknowledged all the same, or the connection is closed
3.6.1-1 | both | PUBREL with flags other than 0010 closes the connection
3.8.1-1 | both | SUBSCRIBE with flags other than 0010 closes the connection
3.8.3-1 | client | Topic filters of SUBSCRIBE are UTF-8 strings
3.8.3-2 | server | A server without wildcard filters refuses them
3.8.3-3 | client | SUBSCRIBE has at least one filter and QoS
3-8.3-4 | server | SUBSCRIBE with reserved bits set, or QoS 3, closes the connection
3.8.4-1 | server | SUBSCRIBE is answered with SUBACK
3.8.4-2 | server | SUBACK has the packet identifier of its SUBSCRIBE
3.8.4-3 | server | A filter that is subscribed again replaces the subscription, re-sends retained messages and interrupts nothing
3.8.4-4 | server | A SUBSCRIBE with several filters works as several SUBSCRIBEs with one SUBACK
3.8.4-5 | server | SUBACK has one return code per filter, the granted QoS or a failure
3.8.4-6 | server | A message is delivered at the lesser of its QoS and the granted one
3.9.3-1 | server | Return codes are in the order of the filters
3.9.3-2 | server | Only the return codes 0, 1, 2 and 0x80 are used
3.10.1-1 | both | UNSUBSCRIBE with flags other than 0010 closes the connection
3.10.3-1 | client | Topic filters of UNSUBSCRIBE are UTF-8 strings
3.10.3-2 | client | UNSUBSCRIBE has at least one filter
3.10.4-1 | server | Filters of UNSUBSCRIBE are compared character by character, and a subscription that matches is deleted
3.10.4-2 | server | A deleted subscription gets no new messages
3.10.4-3 | server | What is under way at QoS 1 or 2 is finished after UNSUBSCRIBE
3.10.4-4 | server | UNSUBSCRIBE is answered with UNSUBACK of the same packet identifier
3.10.4-5 | server | UNSUBACK comes also when nothing was deleted
3.10.4-6 | server | An UNSUBSCRIBE with several filters works as several with one UNSUBACK
3.12.4-1 | server | PINGREQ is answered with PINGRESP
3.14.1-1 | server | DISCONNECT with reserved bits set closes the connection
3.14.4-1 | client | A client closes the connection after DISCONNECT | client's duty
3.14.4-2 | client | A client sends nothing after DISCONNECT | client's duty
3.14.4-3 | server | DISCONNECT discards the will
4.1.0-1 | both | Session state is kept for the whole session
4.1.0-2 | both | A session lasts at least as long as its connection
4.3.1-1 | both | At QoS 0 the sender sends PUBLISH with QoS 0 and DUP 0
4.3.2-1 | both | At QoS 1 the sender uses a free packet identifier, QoS 1 and DUP 0, and awaits PUBACK
4.3.2-2 | both | At QoS 1 the receiver answers PUBACK with that identifier, after which the identifier means a new message
4.3.3-1 | both | At QoS 2 the sender uses a free packet identifier, QoS 2 and DUP 0, awaits PUBREC, sends PUBREL, awaits PUBCOMP and never sends the PUBLISH again after PUBREL
4.3.3-2 | both | At QoS 2 the receiver answers PUBREC, repeats it for the same identifier without a second delivery until PUBREL, answers PUBREL with PUBCOMP, after which the identifier means a new message
4.4.0-1 | both | On reconnection without clean session, unacknowledged PUBLISH and PUBREL packets are sent again with their identifiers
4.5.0-1 | server | A message whose ownership was taken is added to the session of every matching client
4.5.0-2 | client | A client acknowledges every PUBLISH that it receives | client's duty
4.6.0-1 | both | What is sent again keeps the original order
4.6.0-2 | both | PUBACKs have the order of the PUBLISH packets
4.6.0-3 | both | PUBRECs have the order of the PUBLISH packets
4.6.0-4 | both | PUBRELs have the order of the PUBRECs
4.6.0-5 | server | Every topic is ordered by default
4.6.0-6 | server | Messages of one client on one topic and QoS are delivered in the order of their arrival
4.7.1-1 | client | Wildcards stand in filters only, never in topic names
4.7.1-2 | client | The multi-level wildcard is a whole level and the last one
4.7.1-3 | client | The single-level wildcard is a whole level
4.7.2-1 | server | A filter that begins with a wildcard does not match a topic that begins with $
4.7.3-1 | both | Topic names and filters have at least one character
4.7.3-2 | both | Topic names and filters hold no U+0000
4.7.3-3 | both | Topic names and filters have at most 65,535 bytes
4.7.3-4 | server | Topics are matched without normalisation or substitution
4.8.0-1 | both | A protocol violation closes the connection
4.8.0-2 | both | A transient error while handling a packet closes the connection | no transient error can be provoked from outside; the crash tests of the connection process cover it
6.0.0-1 | both | MQTT over WebSocket comes in binary frames; another frame closes the connection | the broker has no WebSocket listener yet
6.0.0-2 | both | A WebSocket frame may hold several or partial packets | the broker has no WebSocket listener yet
6.0.0-3 | client | A client offers the WebSocket sub-protocol mqtt | client's duty
6.0.0-4 | server | The server selects the WebSocket sub-protocol mqtt | the broker has no WebSocket listener yet
7.0.0-1 | both | A server that also connects to other servers obeys the rules for clients too | this server opens no MQTT connection
7.0.0-2 | both | No extension outside the standard is required to interoperate
7.1.1-1 | server | The server offers at least one ordered, lossless, two-way byte stream
7.1.2-1 | client | The client uses at least one ordered, lossless, two-way byte stream | client's duty
`
