/**
 * The normative statements of MQTT 5.0 (OASIS Standard, 7 March 2019, appendix B), in our own words.
 *
 * One line per statement: `id | whom it binds | what it says`, and a fourth field, the reason, when no test of a running
 * server can show it. The form is read by `statements.ts`.
 */
export const MQTT5_STATEMENTS = `
1.5.4-1 | both | Strings are well-formed UTF-8 without surrogates
1.5.4-2 | both | Strings hold no U+0000
1.5.4-3 | both | The bytes EF BB BF in a string are U+FEFF and are kept, wherever they stand
1.5.5-1 | both | A variable byte integer has its shortest form
1.5.7-1 | both | Both strings of a string pair are valid strings
2.1.3-1 | both | Reserved flag bits of the fixed header have their listed values
2.2.1-2 | both | A PUBLISH at QoS 0 has no packet identifier
2.2.1-3 | client | SUBSCRIBE, UNSUBSCRIBE and PUBLISH above QoS 0 carry a free packet identifier other than 0
2.2.1-4 | server | A new PUBLISH above QoS 0 of the server carries a free packet identifier other than 0
2.2.1-5 | both | PUBACK, PUBREC, PUBREL and PUBCOMP carry the packet identifier of their PUBLISH
2.2.1-6 | server | SUBACK and UNSUBACK carry the packet identifier of what they answer
2.2.2-1 | both | A packet without properties says so by a property length of 0
3.1.0-1 | client | The first packet of a connection is CONNECT; the server takes no other
3.1.0-2 | server | A second CONNECT is a protocol error and ends the connection
3.1.2-1 | server | A CONNECT with another protocol name ends the connection, possibly after reason code 0x84
3.1.2-2 | server | An unsupported protocol version ends the connection, possibly after reason code 0x84
3.1.2-3 | server | A CONNECT whose reserved flag is set is malformed
3.1.2-4 | both | Clean start discards an existing session and starts a new one
3.1.2-5 | server | Without clean start an existing session is resumed
3.1.2-6 | server | Without clean start and without a session a new one is made
3.1.2-7 | server | A will is stored with the session
3.1.2-8 | server | The will is published after the connection closed and its delay passed or the session ended, unless it was deleted by DISCONNECT or a new connection came in time
3.1.2-9 | both | With the will flag, will properties, topic and payload are in the payload
3.1.2-10 | server | A will is forgotten once published or after DISCONNECT with reason code 0
3.1.2-11 | both | Without the will flag, will QoS is 0
3.1.2-12 | both | With the will flag, will QoS is 0, 1 or 2, never 3
3.1.2-13 | both | Without the will flag, will retain is 0
3.1.2-14 | server | A will without will retain is published as a message that is not retained
3.1.2-15 | server | A will with will retain is published as a retained message
3.1.2-16 | both | Without the user name flag the payload has no user name
3.1.2-17 | both | With the user name flag the payload has a user name
3.1.2-18 | both | Without the password flag the payload has no password
3.1.2-19 | both | With the password flag the payload has a password
3.1.2-20 | client | A client lets no keep alive interval pass in silence, if need be by PINGREQ | client's duty
3.1.2-21 | client | A client uses the server keep alive of CONNACK | client's duty
3.1.2-22 | server | A client that is silent for one and a half times its keep alive is disconnected
3.1.2-23 | both | A session with an expiry interval above 0 is stored after its connection closes
3.1.2-24 | server | The server sends no packet above the client's maximum packet size
3.1.2-25 | server | A message that is too large is dropped, and the rest goes on as if it had been sent
3.1.2-26 | server | The server sends no topic alias above the client's topic alias maximum
3.1.2-27 | server | Without a topic alias maximum the server sends no topic alias
3.1.2-28 | server | Request response information 0 forbids response information in CONNACK
3.1.2-29 | server | Request problem information 0 forbids reason strings and user properties but in PUBLISH, CONNACK and DISCONNECT
3.1.2-30 | client | With an authentication method, a client sends only AUTH and DISCONNECT before CONNACK
3.1.3-1 | client | Payload fields come in the order client id, will properties, will topic, will payload, user name, password
3.1.3-2 | both | The client id identifies the session
3.1.3-3 | client | The client id is the first field of the payload
3.1.3-4 | client | The client id is a UTF-8 string
3.1.3-5 | server | Client ids of 1 to 23 bytes of digits and letters are accepted
3.1.3-6 | server | An empty client id, if accepted, is replaced by a unique one
3.1.3-7 | server | An assigned client id is used for the CONNECT and returned in CONNACK
3.1.3-8 | server | A rejected client id may be answered with reason code 0x85; the connection is closed
3.1.3-9 | server | A new connection within the will delay keeps the will from being sent
3.1.3-10 | server | User properties of a will keep their order
3.1.3-11 | client | The will topic is a UTF-8 string
3.1.3-12 | client | The user name is a UTF-8 string
3.1.4-1 | server | A CONNECT that does not have the form of section 3.1 closes the connection
3.1.4-2 | server | A CONNECT that fails further checks closes the connection
3.1.4-3 | server | The connected client with the same client id gets DISCONNECT 0x8E and is closed
3.1.4-4 | server | The server handles clean start as section 3.1.2.4 says
3.1.4-5 | server | An accepted CONNECT is answered with CONNACK 0x00
3.1.4-6 | server | What follows a refused CONNECT is not processed
3.2.0-1 | server | CONNACK 0x00 comes before any packet but AUTH
3.2.0-2 | server | There is at most one CONNACK in a connection
3.2.2-1 | server | Bits 7 to 1 of the CONNACK flags are 0
3.2.2-2 | server | With clean start, session present is 0
3.2.2-3 | server | Without clean start, session present says whether there is a session
3.2.2-4 | client | A client without a session closes on session present 1 | client's duty
3.2.2-5 | client | A client with a session drops it on session present 0 | client's duty
3.2.2-6 | server | With a reason code other than 0, session present is 0
3.2.2-7 | server | After a reason code of 0x80 or more the connection is closed
3.2.2-8 | server | CONNACK uses one of the listed reason codes
3.2.2-9 | server | A server without QoS 1 or 2 says so by maximum QoS
3.2.2-10 | server | A server without QoS 1 or 2 still accepts subscriptions of any QoS
3.2.2-11 | client | A client keeps to maximum QoS | client's duty
3.2.2-12 | server | A will QoS above the server's maximum is refused
3.2.2-13 | server | A retained will is refused by a server without retained messages
3.2.2-14 | client | A client does not retain where that is not available | client's duty
3.2.2-15 | client | A client keeps to the server's maximum packet size
3.2.2-16 | server | An empty client id gets an assigned one that no session uses
3.2.2-17 | client | A client keeps to the server's topic alias maximum | client's duty; the server's answer to a breach is 3.3.2-9
3.2.2-18 | client | A client sends no alias when the maximum is absent or 0 | client's duty; the server's answer to a breach is 3.3.2-9
3.2.2-19 | server | A reason string that would make CONNACK too large is left out
3.2.2-20 | server | User properties that would make CONNACK too large are left out
3.2.2-21 | client | A client uses the server keep alive; the server does
3.2.2-22 | server | Without a server keep alive the server uses the client's
3.3.1-1 | both | A PUBLISH that is sent again has DUP set
3.3.1-2 | both | DUP is 0 at QoS 0
3.3.1-3 | server | DUP of an outgoing PUBLISH is not taken from the incoming one
3.3.1-4 | both | A PUBLISH with both QoS bits set is malformed
3.3.1-5 | server | A PUBLISH with RETAIN replaces the retained message of its topic
3.3.1-6 | server | An empty PUBLISH with RETAIN is delivered and removes the retained message
3.3.1-7 | server | An empty message is never stored as retained
3.3.1-8 | server | A message without RETAIN neither is stored nor removes or replaces a retained one
3.3.1-9 | server | Retain handling 0 sends the retained messages
3.3.1-10 | server | Retain handling 1 sends the retained messages only to a new subscription
3.3.1-11 | server | Retain handling 2 sends no retained messages
3.3.1-12 | server | Without retain as published, RETAIN of a forwarded message is 0
3.3.1-13 | server | With retain as published, RETAIN is forwarded as it came
3.3.2-1 | both | The topic name is the first field of the variable header and a UTF-8 string
3.3.2-2 | both | A topic name holds no wildcards
3.3.2-3 | server | The topic name of a delivered message matches the subscription's filter
3.3.2-4 | server | The payload format indicator is forwarded unaltered
3.3.2-5 | server | A message that expired before its delivery began is dropped for that subscriber
3.3.2-6 | server | A forwarded message expiry interval is what came less the time spent waiting
3.3.2-7 | both | Topic aliases do not outlive their connection
3.3.2-8 | both | A topic alias is never 0
3.3.2-9 | client | A client sends no alias above the server's maximum; the server refuses one with 0x94
3.3.2-10 | client | A client accepts all aliases up to its maximum | client's duty
3.3.2-11 | server | The server sends no alias above the client's maximum
3.3.2-12 | server | The server accepts all aliases from 1 to its maximum
3.3.2-13 | both | The response topic is a UTF-8 string
3.3.2-14 | both | The response topic holds no wildcards
3.3.2-15 | server | The response topic is forwarded unaltered
3.3.2-16 | server | Correlation data is forwarded unaltered
3.3.2-17 | server | User properties are forwarded unaltered
3.3.2-18 | server | User properties are forwarded in their order
3.3.2-19 | both | The content type is a UTF-8 string
3.3.2-20 | server | The content type is forwarded unaltered
3.3.4-1 | both | A PUBLISH is answered as its QoS demands
3.3.4-2 | server | With overlapping subscriptions the message comes at the greatest of their QoS
3.3.4-3 | server | Subscription identifiers of the matching subscriptions come with the message
3.3.4-4 | server | A single copy carries the identifiers of all matching subscriptions
3.3.4-5 | server | Several copies carry each its subscription's identifier | this server sends one copy for overlapping subscriptions
3.3.4-6 | client | A client sends no subscription identifier in PUBLISH
3.3.4-7 | client | A client keeps to the server's receive maximum
3.3.4-8 | client | A client delays nothing but PUBLISH at its send quota | client's duty
3.3.4-9 | server | The server keeps to the client's receive maximum
3.3.4-10 | server | The server delays nothing but PUBLISH at its send quota
3.4.2-1 | both | PUBACK uses one of its reason codes
3.4.2-2 | both | A reason string that would make PUBACK too large is left out
3.4.2-3 | both | User properties that would make PUBACK too large are left out | this server sends no user properties of its own
3.5.2-1 | both | PUBREC uses one of its reason codes
3.5.2-2 | both | A reason string that would make PUBREC too large is left out
3.5.2-3 | both | User properties that would make PUBREC too large are left out | this server sends no user properties of its own
3.6.1-1 | both | PUBREL with flags other than 0010 is malformed
3.6.2-1 | both | PUBREL uses one of its reason codes
3.6.2-2 | both | A reason string that would make PUBREL too large is left out | this server sends no reason string in PUBREL
3.6.2-3 | both | User properties that would make PUBREL too large are left out | this server sends no user properties of its own
3.7.2-1 | both | PUBCOMP uses one of its reason codes
3.7.2-2 | both | A reason string that would make PUBCOMP too large is left out
3.7.2-3 | both | User properties that would make PUBCOMP too large are left out | this server sends no user properties of its own
3.8.1-1 | both | SUBSCRIBE with flags other than 0010 is malformed
3.8.3-1 | client | Topic filters of SUBSCRIBE are UTF-8 strings
3.8.3-2 | client | SUBSCRIBE has at least one filter with options
3.8.3-3 | server | With no local, a message does not go back to the client id that published it
3.8.3-4 | both | No local on a shared subscription is a protocol error
3.8.3-5 | server | SUBSCRIBE with reserved option bits set is malformed
3.8.4-1 | server | SUBSCRIBE is answered with SUBACK
3.8.4-2 | server | SUBACK has the packet identifier of its SUBSCRIBE
3.8.4-3 | server | A filter that is subscribed again replaces the subscription
3.8.4-4 | server | With retain handling 0 the replacement re-sends retained messages, and no message is lost by it
3.8.4-5 | server | A SUBSCRIBE with several filters works as several SUBSCRIBEs with one SUBACK
3.8.4-6 | server | SUBACK has one reason code per filter
3.8.4-7 | server | Each reason code is the granted QoS or a failure
3.8.4-8 | server | A message is delivered at the lesser of its QoS and the granted one
3.9.2-1 | server | A reason string that would make SUBACK too large is left out
3.9.2-2 | server | User properties that would make SUBACK too large are left out | this server sends no user properties of its own
3.9.3-1 | server | Reason codes are in the order of the filters
3.9.3-2 | server | SUBACK uses the listed reason codes
3.10.1-1 | both | UNSUBSCRIBE with flags other than 0010 is malformed
3.10.3-1 | client | Topic filters of UNSUBSCRIBE are UTF-8 strings
3.10.3-2 | client | UNSUBSCRIBE has at least one filter
3.10.4-1 | server | Filters of UNSUBSCRIBE are compared character by character, and a subscription that matches is deleted
3.10.4-2 | server | A deleted subscription gets no new messages
3.10.4-3 | server | What is under way at QoS 1 or 2 is finished after UNSUBSCRIBE
3.10.4-4 | server | UNSUBSCRIBE is answered with UNSUBACK
3.10.4-5 | server | UNSUBACK has the packet identifier of its UNSUBSCRIBE and comes also when nothing was deleted
3.10.4-6 | server | An UNSUBSCRIBE with several filters works as several with one UNSUBACK
3.11.2-1 | server | A reason string that would make UNSUBACK too large is left out
3.11.2-2 | server | User properties that would make UNSUBACK too large are left out | this server sends no user properties of its own
3.11.3-1 | server | Reason codes are in the order of the filters
3.11.3-2 | server | UNSUBACK uses the listed reason codes
3.12.4-1 | server | PINGREQ is answered with PINGRESP
3.14.0-1 | server | The server sends no DISCONNECT before a CONNACK below 0x80
3.14.1-1 | both | DISCONNECT with reserved bits set is malformed (0x81)
3.14.2-1 | both | DISCONNECT uses one of its reason codes
3.14.2-2 | server | The server sends no session expiry interval in DISCONNECT
3.14.2-3 | both | A reason string that would make DISCONNECT too large is left out
3.14.2-4 | both | User properties that would make DISCONNECT too large are left out | this server sends no user properties of its own
3.14.4-1 | both | Nothing is sent after DISCONNECT
3.14.4-2 | both | The sender of DISCONNECT closes the connection
3.14.4-3 | server | DISCONNECT with reason code 0 discards the will
3.15.1-1 | both | AUTH with flags other than 0000 is malformed
3.15.2-1 | both | AUTH uses one of its reason codes
3.15.2-2 | both | A reason string that would make AUTH too large is left out
3.15.2-3 | both | User properties that would make AUTH too large are left out | this server sends no user properties of its own
4.1.0-1 | both | Session state is kept while the connection is open
4.1.0-2 | server | Session state is discarded when its expiry interval has passed after the connection closed
4.2-1 | both | The server offers at least one ordered, lossless byte stream
4.3.1-1 | both | At QoS 0 the sender sends PUBLISH with QoS 0 and DUP 0
4.3.2-1 | both | At QoS 1 a new message takes a free packet identifier
4.3.2-2 | both | At QoS 1 the PUBLISH has that identifier, QoS 1 and DUP 0
4.3.2-3 | both | At QoS 1 the PUBLISH is unacknowledged until its PUBACK
4.3.2-4 | both | At QoS 1 the receiver answers PUBACK with that identifier
4.3.2-5 | both | After PUBACK the same identifier means a new message, whatever its DUP
4.3.3-1 | both | At QoS 2 a new message takes a free packet identifier
4.3.3-2 | both | At QoS 2 the PUBLISH has that identifier, QoS 2 and DUP 0
4.3.3-3 | both | At QoS 2 the PUBLISH is unacknowledged until its PUBREC
4.3.3-4 | both | PUBREC below 0x80 is answered with PUBREL of the same identifier
4.3.3-5 | both | PUBREL is unacknowledged until its PUBCOMP
4.3.3-6 | both | After PUBREL the PUBLISH is not sent again
4.3.3-7 | both | A PUBLISH that has been sent does not expire
4.3.3-8 | both | At QoS 2 the receiver answers PUBREC with that identifier
4.3.3-9 | both | After PUBREC of 0x80 or more the same identifier means a new message
4.3.3-10 | both | Until PUBREL, the same identifier gets PUBREC again without a second delivery
4.3.3-11 | both | PUBREL is answered with PUBCOMP of the same identifier
4.3.3-12 | both | After PUBCOMP the same identifier means a new message
4.3.3-13 | both | The acknowledgement sequence goes on although the message expired
4.4.0-1 | both | On reconnection to a session, unacknowledged PUBLISH and PUBREL packets are sent again with their identifiers, and at no other time
4.4.0-2 | both | PUBACK or PUBREC of 0x80 or more settles the PUBLISH, which is not sent again
4.5.0-1 | server | A message whose ownership was taken is added to the session of every matching client
4.5.0-2 | client | A client acknowledges every PUBLISH that it receives | client's duty
4.6.0-1 | client | What a client sends again keeps the original order
4.6.0-2 | client | A client's PUBACKs have the order of the PUBLISH packets | client's duty
4.6.0-3 | client | A client's PUBRECs have the order of the PUBLISH packets | client's duty
4.6.0-4 | client | A client's PUBRELs have the order of the PUBRECs | client's duty
4.6.0-5 | server | Messages of one client on one ordered topic and QoS are delivered in the order of their arrival
4.6.0-6 | server | Every topic is ordered by default for subscriptions that are not shared
4.7.0-1 | both | Wildcards stand in filters only, never in topic names
4.7.1-1 | both | The multi-level wildcard is a whole level and the last one
4.7.1-2 | both | The single-level wildcard is a whole level
4.7.2-1 | server | A filter that begins with a wildcard does not match a topic that begins with $
4.7.3-1 | both | Topic names and filters have at least one character
4.7.3-2 | both | Topic names and filters hold no U+0000
4.7.3-3 | both | Topic names and filters have at most 65,535 bytes
4.7.3-4 | server | Topics are matched without normalisation or substitution
4.8.2-1 | both | A shared subscription is $share/ and a share name of at least one character
4.8.2-2 | both | A share name holds none of / + # and is followed by / and a filter
4.8.2-3 | server | A shared subscription respects the QoS granted to the client that gets the message
4.8.2-4 | server | A QoS 2 delivery to a member that breaks off is completed with that member when it reconnects
4.8.2-5 | server | When that member's session ends first, the message goes to no other member
4.8.2-6 | server | A message that its member refuses with 0x80 or more is discarded and sent to no other member
4.9.0-1 | both | The initial send quota is above 0 and at most the receive maximum
4.9.0-2 | both | At a send quota of 0 no PUBLISH above QoS 0 is sent
4.9.0-3 | both | All other packets are processed at a send quota of 0
4.12.0-1 | server | An authentication method that is not supported ends the connection, possibly after 0x8C or 0x87
4.12.0-2 | server | An AUTH that asks for more has reason code 0x18
4.12.0-3 | client | A client continues with AUTH 0x18 | client's duty
4.12.0-4 | server | A rejected authentication ends the connection, possibly after a CONNACK of 0x80 or more
4.12.0-5 | both | AUTH and CONNACK repeat the authentication method of CONNECT
4.12.0-6 | server | Without an authentication method in CONNECT there is none in CONNACK, and no AUTH
4.12.0-7 | client | Without an authentication method a client sends no AUTH
4.12.1-1 | client | Re-authentication is AUTH 0x19 with the original method
4.12.1-2 | both | A failed re-authentication ends the connection
4.13.1-1 | server | A malformed packet or protocol error closes the connection
4.13.2-1 | both | A reason code of 0x80 or more in CONNACK or DISCONNECT closes the connection
6.0.0-1 | both | MQTT over WebSocket comes in binary frames; another frame closes the connection | the broker has no WebSocket listener yet
6.0.0-2 | both | A WebSocket frame may hold several or partial packets | the broker has no WebSocket listener yet
6.0.0-3 | client | A client offers the WebSocket sub-protocol mqtt | client's duty
6.0.0-4 | server | The server selects the WebSocket sub-protocol mqtt | the broker has no WebSocket listener yet
`
