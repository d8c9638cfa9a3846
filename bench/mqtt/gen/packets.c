/*
 * MQTT packets as the generator writes and reads them: 3.1.1 and 5.0 with empty
 * properties. A reader checks what a client must check, and stops the run on a
 * malformed packet: a broker that is fast and wrong has no figures.
 */
#include "gen.h"

#include <string.h>

static uint8_t *put_header(struct conn *c, uint8_t first, uint32_t remaining) {
  uint8_t length[4];
  int n = 0;
  for (uint32_t rest = remaining;;) {
    length[n] = rest & 127;
    rest >>= 7;
    if (!rest) break;
    length[n++] |= 128;
  }
  n++;
  uint8_t *p = conn_reserve(c, 1 + (size_t)n + remaining);
  *p++ = first;
  memcpy(p, length, (size_t)n);
  return p + n;
}

static uint8_t *put_string(uint8_t *p, const char *text, size_t bytes) {
  put16(p, (uint32_t)bytes);
  memcpy(p + 2, text, bytes);
  return p + 2 + bytes;
}

void put_connect(struct conn *c, const char *client_id) {
  size_t id = strlen(client_id);
  uint8_t *p = put_header(c, CONNECT << 4, (uint32_t)(12 + id + (opt.version == 5)));
  p = put_string(p, "MQTT", 4);
  *p++ = (uint8_t)opt.version;
  *p++ = 2; /* clean session / clean start */
  put16(p, 240);
  p += 2;
  if (opt.version == 5) *p++ = 0;
  put_string(p, client_id, id);
}

void put_subscribe(struct conn *c, uint16_t packet_id, const char *filter, int qos) {
  size_t bytes = strlen(filter);
  uint8_t *p = put_header(c, SUBSCRIBE << 4 | 2, (uint32_t)(5 + bytes + (opt.version == 5)));
  put16(p, packet_id);
  p += 2;
  if (opt.version == 5) *p++ = 0;
  p = put_string(p, filter, bytes);
  *p = (uint8_t)qos;
}

void put_unsubscribe(struct conn *c, uint16_t packet_id, const char *filter) {
  size_t bytes = strlen(filter);
  uint8_t *p = put_header(c, UNSUBSCRIBE << 4 | 2, (uint32_t)(4 + bytes + (opt.version == 5)));
  put16(p, packet_id);
  p += 2;
  if (opt.version == 5) *p++ = 0;
  put_string(p, filter, bytes);
}

void put_ack(struct conn *c, int type, uint16_t packet_id) {
  uint8_t *p = conn_reserve(c, 4);
  p[0] = (uint8_t)(type << 4 | (type == PUBREL ? 2 : 0));
  p[1] = 2;
  put16(p + 2, packet_id);
}

void put_ping(struct conn *c) {
  put_header(c, PINGREQ << 4, 0);
}

void put_publish0(struct conn *c, const char *topic, const void *payload, size_t bytes) {
  size_t topic_bytes = strlen(topic);
  uint8_t *p = put_header(c, PUBLISH << 4, (uint32_t)(2 + topic_bytes + bytes + (opt.version == 5)));
  p = put_string(p, topic, topic_bytes);
  if (opt.version == 5) *p++ = 0;
  memcpy(p, payload, bytes);
}

static uint32_t read_varint(const uint8_t **p, const uint8_t *end) {
  uint32_t value = 0;
  for (int shift = 0; *p < end && shift <= 21; shift += 7) {
    uint8_t b = *(*p)++;
    value |= (uint32_t)(b & 127) << shift;
    if (!(b & 128)) break;
  }
  return value;
}

struct publish read_publish(uint8_t header, const uint8_t *body, uint32_t length) {
  struct publish publish = {.qos = header >> 1 & 3};
  const uint8_t *end = body + length, *p = body + 2;
  if (length < 2) fail("a PUBLISH of %u bytes", length);
  publish.topic = p;
  publish.topic_bytes = get16(body);
  p += publish.topic_bytes;
  if (publish.qos) {
    if (p + 2 > end) fail("a PUBLISH ends before its packet identifier");
    publish.packet_id = (uint16_t)get16(p);
    if (!publish.packet_id) fail("a PUBLISH with packet identifier 0");
    p += 2;
  }
  if (opt.version == 5) {
    uint32_t properties = read_varint(&p, end);
    p += properties;
  }
  if (p > end || publish.qos == 3) fail("a malformed PUBLISH (header %02x, %u bytes)", header, length);
  publish.payload = p;
  publish.payload_bytes = (uint32_t)(end - p);
  return publish;
}

uint32_t read_receive_maximum(const uint8_t *body, uint32_t length) {
  const uint8_t *p = body + 2, *end = body + length;
  uint32_t bytes = read_varint(&p, end);
  if (p + bytes < end) end = p + bytes;
  while (p < end) {
    switch (*p++) {
      case 0x21: return p + 2 <= end ? get16(p) : 65535;
      case 0x11: case 0x27: p += 4; break;
      case 0x13: case 0x22: p += 2; break;
      case 0x24: case 0x25: case 0x28: case 0x29: case 0x2a: p += 1; break;
      case 0x12: case 0x15: case 0x16: case 0x1a: case 0x1c: case 0x1f: p += p + 2 <= end ? 2 + get16(p) : 2; break;
      case 0x26: /* a pair of strings */
        p += p + 2 <= end ? 2 + get16(p) : 2;
        p += p + 2 <= end ? 2 + get16(p) : 2;
        break;
      default: fail("a CONNACK with the unknown property %02x", p[-1]);
    }
  }
  return 65535;
}

uint16_t read_packet_id(const uint8_t *body, uint32_t length) {
  if (length < 2) fail("an acknowledgement of %u bytes", length);
  return (uint16_t)get16(body);
}

int read_ack_reason(int type, const uint8_t *body, uint32_t length) {
  if (type == SUBACK || type == UNSUBACK) {
    if (type == UNSUBACK && opt.version == 4) return 0;
    if (length < 3) fail("a SUBACK or UNSUBACK without a reason code");
    return body[length - 1];
  }
  return length > 2 ? body[2] : 0;
}
