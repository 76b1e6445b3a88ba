/* The media of many calls at once, as load: browser-like legs (ICE, DTLS-SRTP, Opus or PCMU) and trunk-like ones (RTP, PCMU).

   media LEGS SECONDS CERTIFICATE KEY

   LEGS holds a line for each leg:
     LOCAL-PORT REMOTE-ADDRESS REMOTE-PORT opus|pcmu PAYLOAD-TYPE rtp
     LOCAL-PORT REMOTE-ADDRESS REMOTE-PORT opus|pcmu PAYLOAD-TYPE webrtc UFRAG PASSWORD REMOTE-UFRAG REMOTE-PASSWORD

   Prints `ready MEDIAN-MS` when every WebRTC leg has its keys, sends 50 packets a second on each leg for SECONDS, then prints
   one line of JSON. One thread: whatever it is late by is in `late_ms`, and a run that is late by much is no measurement. */
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <opus/opus.h>
#include <srtp2/srtp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FRAMES 500 /* ten seconds of 20 ms, repeated */
#define MAX_LEGS 2000

enum state { CHECKING, HANDSHAKE, READY };

struct leg {
  int descriptor, local_port, remote_port, is_opus, payload_type, is_webrtc;
  char remote[64], ufrag[64], password[64], remote_ufrag[64], remote_password[64];
  struct sockaddr_in address;
  enum state state;
  SSL *ssl;
  BIO *in, *out;
  srtp_t outbound, inbound;
  uint16_t sequence, first_received, last_received;
  uint32_t timestamp, ssrc, cycles;
  long sent, received, active, rejected;
  int64_t started, ready;
};

static struct leg legs[MAX_LEGS];
static int count;
static uint8_t opus_feed[FRAMES][400], pcmu_feed[FRAMES][160];
static int opus_length[FRAMES];
static SSL_CTX *context;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int64_t microseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- the feed: pulses through moving formants, hisses and pauses, which cost a codec about what speech does */

static uint8_t mulaw(int sample) {
  int sign = sample < 0 ? 0x80 : 0, magnitude = sign ? -sample : sample, exponent = 7;
  magnitude = (magnitude > 32635 ? 32635 : magnitude) + 132;
  for (int mask = 0x4000; exponent > 0 && !(magnitude & mask); mask >>= 1) exponent--;
  return ~(sign | exponent << 4 | (magnitude >> (exponent + 3) & 0x0F));
}

static void synthesize(float *samples, int total, int rate) {
  static const float formants[5][3] = {{730, 1090, 2440}, {270, 2290, 3010}, {300, 870, 2240}, {530, 1840, 2480}, {660, 1720, 2410}};
  float memory[3][2] = {{0}};
  unsigned seed = 12345;
  float pulse = 0;
  for (int i = 0; i < total; i++) {
    float t = (float)i / rate;
    int syllable = (int)(t / 0.18f);
    float within = t / 0.18f - syllable;
    int kind = syllable * 7 % 10; /* 0…5 voiced, 6 and 7 a hiss, 8 and 9 a pause */
    seed = seed * 1664525u + 1013904223u;
    float noise = (float)(int)(seed >> 8 & 0xFFFF) / 32768.0f - 1, source = noise * 0.02f;
    pulse += (105 + 25 * sinf(t * 2.1f)) / rate;
    if (pulse >= 1) {
      pulse -= 1;
      if (kind < 6) source += 1;
    }
    if (kind == 6 || kind == 7) source = noise * 0.25f;
    float envelope = kind >= 8 ? 0.002f : sinf(3.14159f * within), sum = 0;
    for (int f = 0; f < 3; f++) {
      float frequency = formants[syllable % 5][f] * (1 - within) + formants[(syllable + 1) % 5][f] * within;
      float radius = expf(-3.14159f * 90 / rate), angle = 6.28318f * frequency / rate;
      float out = source * 0.3f + 2 * radius * cosf(angle) * memory[f][0] - radius * radius * memory[f][1];
      memory[f][1] = memory[f][0];
      memory[f][0] = out;
      sum += out;
    }
    samples[i] = sum * envelope * 0.12f;
  }
}

static void make_feed(void) {
  int error, total = FRAMES * 960;
  float *wide = malloc(total * sizeof *wide), *narrow = malloc(FRAMES * 160 * sizeof *narrow);
  synthesize(wide, total, 48000);
  synthesize(narrow, FRAMES * 160, 8000);
  OpusEncoder *encoder = opus_encoder_create(48000, 1, OPUS_APPLICATION_VOIP, &error);
  if (error) exit(1);
  opus_encoder_ctl(encoder, OPUS_SET_BITRATE(24000));
  opus_encoder_ctl(encoder, OPUS_SET_COMPLEXITY(9)); /* what Chromium uses on a desktop */
  opus_encoder_ctl(encoder, OPUS_SET_INBAND_FEC(1));
  for (int frame = 0; frame < FRAMES; frame++) {
    opus_length[frame] = opus_encode_float(encoder, wide + frame * 960, 960, opus_feed[frame], sizeof opus_feed[frame]);
    if (opus_length[frame] < 1) exit(1);
    for (int i = 0; i < 160; i++) pcmu_feed[frame][i] = mulaw((int)(narrow[frame * 160 + i] * 32767));
  }
  opus_encoder_destroy(encoder);
  free(wide);
  free(narrow);
}

/* ---- STUN (RFC 8489): a controlling agent with one pair, which it nominates at once */

static int put(uint8_t *message, int length, int type, const void *value, int size) {
  int padded = (size + 3) & ~3;
  message[length] = type >> 8;
  message[length + 1] = type;
  message[length + 2] = size >> 8;
  message[length + 3] = size;
  memset(message + length + 4, 0, padded);
  memcpy(message + length + 4, value, size);
  return length + 4 + padded;
}

static void set_length(uint8_t *message, int length) {
  message[2] = (length - 20) >> 8;
  message[3] = length - 20;
}

static int seal(uint8_t *message, int length, const char *password) {
  uint8_t digest[20];
  unsigned size = sizeof digest;
  set_length(message, length + 24);
  HMAC(EVP_sha1(), password, strlen(password), message, length, digest, &size);
  length = put(message, length, 0x0008, digest, 20);
  set_length(message, length + 8);
  uint32_t crc = ~0u;
  for (int i = 0; i < length; i++) {
    crc ^= message[i];
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
  }
  uint32_t fingerprint = htonl(~crc ^ 0x5354554Eu);
  return put(message, length, 0x8028, &fingerprint, 4);
}

static void transmit(struct leg *leg, const void *data, int length) {
  if (send(leg->descriptor, data, length, 0) < 0 && errno != ECONNREFUSED && errno != EAGAIN) fail("send");
}

static void check(struct leg *leg) {
  uint8_t message[512] = {0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42};
  char name[140];
  uint32_t priority = htonl(1853824767u);
  uint64_t tie_breaker = 0x1122334455667788u;
  RAND_bytes(message + 8, 12);
  int length = put(message, 20, 0x0006, name, snprintf(name, sizeof name, "%s:%s", leg->remote_ufrag, leg->ufrag));
  length = put(message, length, 0x0024, &priority, 4);
  length = put(message, length, 0x802A, &tie_breaker, 8);
  length = put(message, length, 0x0025, "", 0);
  transmit(leg, message, seal(message, length, leg->remote_password));
}

static void receive_stun(struct leg *leg, const uint8_t *data, int length) {
  if (length < 20) return;
  if (data[0] == 1 && data[1] == 1) {
    if (leg->state == CHECKING) leg->state = HANDSHAKE;
    return;
  }
  if (data[0] != 0 || data[1] != 1) return;
  uint8_t message[256] = {1, 1}, mapped[8] = {0, 1};
  memcpy(message + 4, data + 4, 16);
  uint16_t port = htons(leg->remote_port ^ 0x2112);
  uint32_t address = leg->address.sin_addr.s_addr ^ htonl(0x2112A442u);
  memcpy(mapped + 2, &port, 2);
  memcpy(mapped + 4, &address, 4);
  transmit(leg, message, seal(message, put(message, 20, 0x0020, mapped, 8), leg->password));
}

/* ---- DTLS (client) and the SRTP keys from it (RFC 5764) */

static srtp_t session(const uint8_t *key, const uint8_t *salt, int is_gcm, srtp_ssrc_type_t direction) {
  uint8_t both[30];
  srtp_policy_t policy;
  srtp_t made;
  memset(&policy, 0, sizeof policy);
  memcpy(both, key, 16);
  memcpy(both + 16, salt, is_gcm ? 12 : 14);
  if (is_gcm) {
    srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtp);
    srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtcp);
  } else {
    srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy.rtp);
    srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy.rtcp);
  }
  policy.key = both;
  policy.ssrc.type = direction;
  policy.window_size = 1024;
  if (srtp_create(&made, &policy)) exit(1);
  return made;
}

static void export_keys(struct leg *leg) {
  SRTP_PROTECTION_PROFILE *profile = SSL_get_selected_srtp_profile(leg->ssl);
  int is_gcm = profile && profile->id == SRTP_AEAD_AES_128_GCM, salt = is_gcm ? 12 : 14;
  uint8_t keys[60];
  if (!profile || SSL_export_keying_material(leg->ssl, keys, 32 + 2 * salt, "EXTRACTOR-dtls_srtp", 19, NULL, 0, 0) != 1) {
    fprintf(stderr, "leg %d: no SRTP keys\n", leg->local_port);
    exit(1);
  }
  leg->outbound = session(keys, keys + 32, is_gcm, ssrc_any_outbound);
  leg->inbound = session(keys + 16, keys + 32 + salt, is_gcm, ssrc_any_inbound);
  leg->state = READY;
  leg->ready = microseconds();
}

static unsigned first_timeout(SSL *ssl, unsigned previous) {
  (void)ssl;
  return previous ? previous * 2 : 50000; /* 50 ms and doubling, as browsers do */
}

static void flush_records(struct leg *leg) {
  uint8_t data[8192];
  int length;
  while ((length = BIO_read(leg->out, data, sizeof data)) > 0)
    for (int at = 0; at + 13 <= length;) {
      int record = 13 + (data[at + 11] << 8 | data[at + 12]);
      transmit(leg, data + at, record);
      at += record;
    }
}

static void advance_handshake(struct leg *leg) {
  if (!leg->ssl) {
    leg->ssl = SSL_new(context);
    leg->in = BIO_new(BIO_s_mem());
    leg->out = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(leg->in, -1);
    SSL_set_bio(leg->ssl, leg->in, leg->out);
    SSL_set_connect_state(leg->ssl);
    SSL_set_options(leg->ssl, SSL_OP_NO_QUERY_MTU);
    DTLS_set_link_mtu(leg->ssl, 1200);
    DTLS_set_timer_cb(leg->ssl, first_timeout);
  }
  int result = SSL_do_handshake(leg->ssl);
  flush_records(leg);
  if (result == 1) export_keys(leg);
}

/* ---- RTP */

static void receive_rtp(struct leg *leg, uint8_t *data, int length) {
  if (length < 12 || (data[1] >= 192 && data[1] <= 223)) return;
  if (leg->is_webrtc && (leg->state != READY || srtp_unprotect(leg->inbound, data, &length))) {
    leg->rejected++;
    return;
  }
  int header = 12 + 4 * (data[0] & 15);
  if (data[0] & 16 && header + 4 <= length) header += 4 + 4 * (data[header + 2] << 8 | data[header + 3]);
  if (header > length || (data[1] & 127) != leg->payload_type) {
    leg->rejected++;
    return;
  }
  uint16_t sequence = data[2] << 8 | data[3];
  if (!leg->received) leg->first_received = leg->last_received = sequence;
  if ((int16_t)(sequence - leg->last_received) > 0) {
    if (sequence < leg->last_received) leg->cycles += 65536;
    leg->last_received = sequence;
  }
  leg->received++;
  if (leg->is_opus) {
    leg->active += length - header > 8;
  } else {
    int loud = 0;
    for (int i = header; i < length; i++) loud += (data[i] & 0x7F) < 0x70;
    leg->active += loud > 8;
  }
}

static void receive(struct leg *leg) {
  uint8_t data[2048];
  int length;
  while ((length = recv(leg->descriptor, data, sizeof data, MSG_DONTWAIT)) > 0 || (length < 0 && errno == ECONNREFUSED)) {
    if (length <= 0) continue;
    if (data[0] < 4) {
      receive_stun(leg, data, length);
      if (leg->state == HANDSHAKE && !leg->ssl) advance_handshake(leg);
    } else if (data[0] >= 20 && data[0] < 64) {
      if (leg->state != HANDSHAKE || !leg->ssl) continue;
      BIO_write(leg->in, data, length);
      advance_handshake(leg);
    } else if (data[0] >= 128 && data[0] < 192) {
      receive_rtp(leg, data, length);
    }
  }
}

static void send_frame(struct leg *leg, int index) {
  uint8_t packet[600];
  int frame = (leg->sent + index * 37) % FRAMES, size = leg->is_opus ? opus_length[frame] : 160, length = 12 + size;
  packet[0] = 0x80;
  packet[1] = leg->payload_type | (leg->sent ? 0 : 0x80);
  packet[2] = leg->sequence >> 8;
  packet[3] = leg->sequence;
  uint32_t timestamp = htonl(leg->timestamp);
  memcpy(packet + 4, &timestamp, 4);
  memcpy(packet + 8, &leg->ssrc, 4);
  memcpy(packet + 12, leg->is_opus ? opus_feed[frame] : pcmu_feed[frame], size);
  leg->sequence++;
  leg->timestamp += leg->is_opus ? 960 : 160;
  leg->sent++;
  if (leg->is_webrtc && srtp_protect(leg->outbound, packet, &length)) exit(1);
  transmit(leg, packet, length);
  if (leg->is_webrtc && leg->sent % 200 == 0) check(leg); /* consent, RFC 7675 */
}

/* ---- all of it */

static int poll_until(int poll, int64_t due) {
  struct epoll_event events[128];
  int64_t left = due - microseconds();
  int ready = epoll_wait(poll, events, 128, left > 1000 ? (int)(left / 1000) : 0);
  for (int i = 0; i < ready; i++) receive(&legs[events[i].data.u32]);
  return ready;
}

static void read_legs(const char *path, int poll) {
  FILE *file = fopen(path, "r");
  char line[512], codec[16], mode[16];
  if (!file) fail(path);
  while (count < MAX_LEGS && fgets(line, sizeof line, file)) {
    struct leg *leg = &legs[count];
    int fields = sscanf(
      line, "%d %63s %d %15s %d %15s %63s %63s %63s %63s", &leg->local_port, leg->remote, &leg->remote_port, codec,
      &leg->payload_type, mode, leg->ufrag, leg->password, leg->remote_ufrag, leg->remote_password);
    if (fields < 6) continue;
    leg->is_opus = !strcmp(codec, "opus");
    leg->is_webrtc = !strcmp(mode, "webrtc");
    leg->state = leg->is_webrtc ? CHECKING : READY;
    RAND_bytes((void *)&leg->ssrc, 4);
    RAND_bytes((void *)&leg->timestamp, 4);
    RAND_bytes((void *)&leg->sequence, 2);
    leg->sequence &= 0x3FFF;
    leg->descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(leg->local_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    leg->address = here;
    leg->address.sin_port = htons(leg->remote_port);
    leg->address.sin_addr.s_addr = inet_addr(leg->remote);
    if (bind(leg->descriptor, (void *)&here, sizeof here)) fail("bind");
    if (connect(leg->descriptor, (void *)&leg->address, sizeof leg->address)) fail("connect");
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = count};
    epoll_ctl(poll, EPOLL_CTL_ADD, leg->descriptor, &event);
    count++;
  }
  fclose(file);
}

static int ascending(const void *a, const void *b) {
  int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
  return left < right ? -1 : left > right;
}

/* Four legs at a time, so that the time of each is its own and not its neighbours'. Median in milliseconds. */
static double connect_all(int poll) {
  static int64_t times[MAX_LEGS];
  int next = 0, open = 0, done = 0;
  int64_t limit = microseconds() + 60000000, tick = 0;
  for (;;) {
    while (next < count && open < 4) {
      if (legs[next].is_webrtc) {
        legs[next].started = microseconds();
        check(&legs[next]);
        open++;
      }
      next++;
    }
    if (!open && next == count) break;
    poll_until(poll, microseconds() + 2000);
    int64_t now = microseconds();
    if (now > limit) {
      fprintf(stderr, "%d legs did not connect\n", open);
      exit(1);
    }
    for (int i = 0; i < next; i++) {
      struct leg *leg = &legs[i];
      if (leg->is_webrtc && leg->state == READY && leg->started) {
        times[done++] = leg->ready - leg->started;
        leg->started = 0;
        open--;
      } else if (leg->started && now - tick > 50000) {
        if (leg->state == CHECKING) check(leg);
        else if (DTLSv1_handle_timeout(leg->ssl) > 0) flush_records(leg);
      }
    }
    if (now - tick > 50000) tick = now;
  }
  qsort(times, done, sizeof *times, ascending);
  return done ? times[done / 2] / 1000.0 : 0;
}

int main(int arguments, char **argument) {
  if (arguments != 5) {
    fprintf(stderr, "usage: media LEGS SECONDS CERTIFICATE KEY\n");
    return 2;
  }
  srtp_init();
  make_feed();
  context = SSL_CTX_new(DTLS_client_method());
  if (SSL_CTX_use_certificate_file(context, argument[3], SSL_FILETYPE_PEM) != 1) fail(argument[3]);
  if (SSL_CTX_use_PrivateKey_file(context, argument[4], SSL_FILETYPE_PEM) != 1) fail(argument[4]);
  SSL_CTX_set_tlsext_use_srtp(context, "SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80");
  int poll = epoll_create1(0);
  read_legs(argument[1], poll);
  printf("ready %.2f\n", connect_all(poll));
  fflush(stdout);

  int64_t begin = microseconds() + 5000, end = begin + (int64_t)(atof(argument[2]) * 1e6), late = 0;
  for (int64_t step = 0;; step++) {
    int64_t due = begin + step * 20000 / count, now;
    if (due > end) break;
    while ((now = microseconds()) < due) {
      if (!poll_until(poll, due) && due - now > 200) {
        struct timespec nap = {0, (due - now) / 2 * 1000};
        nanosleep(&nap, NULL);
      }
    }
    if (now - due > late) late = now - due;
    send_frame(&legs[step % count], (int)(step % count));
    if (step % 8 == 0) poll_until(poll, 0);
  }
  for (end = microseconds() + 300000; microseconds() < end;) poll_until(poll, end);

  long sent = 0, received = 0, active = 0, lost = 0, rejected = 0, deaf = 0;
  for (int i = 0; i < count; i++) {
    struct leg *leg = &legs[i];
    sent += leg->sent;
    received += leg->received;
    active += leg->active;
    rejected += leg->rejected;
    if (leg->received < leg->sent / 2) deaf++;
    else lost += (long)(leg->cycles + leg->last_received - leg->first_received) + 1 - leg->received;
  }
  printf(
    "{\"legs\": %d, \"sent\": %ld, \"received\": %ld, \"active\": %ld, \"lost\": %ld, \"rejected\": %ld, \"deaf\": %ld, \"late_ms\": %.1f}\n",
    count, sent, received, active, lost, rejected, deaf, late / 1000.0);
  return 0;
}
