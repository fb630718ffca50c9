/* tropism_bridge.h - the game side of the Tropism bridge protocol 1.0, in one file of C99.

   Makes a simulation an environment in which agents learn: they reset it, step it, and see what it
   shows, over TCP, a Unix socket, or shared memory. Needs libc and POSIX, nothing else; a
   little-endian machine. In one file of your program, before any other #include:

       #define TROPISM_BRIDGE_IMPLEMENTATION
       #include "tropism_bridge.h"

   and elsewhere only the #include. The whole of a game:

       tb_spec *spec = tb_spec_new("my-game");
       tb_agent(spec, "agent");
       tb_box(spec, TB_F4, TB_SHAPE(3), -1, 1);              // what the agent observes
       tb_discrete(spec, 5, 0);                              // what it does
       tb_game *game = tb_open(spec, NULL);                  // dials TROPISM_BRIDGE_ADDR
       tb_request request;
       while (tb_next(game, &request, TB_FOREVER) == TB_OK) {
           if (request.type == TB_RESET) restart(request.has_seed ? request.seed : 0);
           else if (request.type == TB_STEP) advance(*(const int64_t *)tb_action(game, 0));
           else continue;
           memcpy(tb_observation(game, 0), senses, sizeof senses);
           tb_outcome(game, 0, reward, terminated, truncated);
           tb_observe(game, NULL);
       }
       tb_free(game);

   README.md beside this file explains; docs/bridge-protocol.md is the protocol. MIT licence. */

#ifndef TROPISM_BRIDGE_H
#define TROPISM_BRIDGE_H

#if defined(TROPISM_BRIDGE_IMPLEMENTATION) && !defined(_POSIX_C_SOURCE) && !defined(_GNU_SOURCE)
#define _POSIX_C_SOURCE 200809L /* sockets, poll, mmap under -std=c99 */
#endif
#if defined(__APPLE__) && !defined(_DARWIN_C_SOURCE)
#define _DARWIN_C_SOURCE 1
#endif

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Types of the elements of arrays: kind, and size in bytes. */
typedef enum {
    TB_B1, TB_I1, TB_I2, TB_I4, TB_I8, TB_U1, TB_U2, TB_U4, TB_U8, TB_F2, TB_F4, TB_F8
} tb_type;

typedef enum {
    TB_OK = 0,
    TB_TIMEOUT,  /* nothing came in the time given; ask again */
    TB_CLOSED,   /* the agent ended the session: nothing is wrong */
    TB_LOST,     /* the connection ended without a word, or no agent was found */
    TB_REFUSED,  /* the agent answered ERROR */
    TB_PROTOCOL, /* the agent broke the protocol */
    TB_AUTH,     /* one side does not know the secret */
    TB_VERSION,  /* the two have no version in common */
    TB_USAGE,    /* a call that makes no sense; your program is to be mended */
    TB_SYSTEM,   /* memory, files, sockets */
    TB__AGAIN    /* never returned: nothing for the game, go on */
} tb_result;

enum { TB_RESET = 16, TB_STEP = 17, TB_ACTION = 19, TB_EVENT = 20, TB_CALL = 21 }; /* requests */
enum { TB_CAN_SEED = 1, TB_CAN_LATEST = 2, TB_CAN_CALL = 4, TB_CAN_RENDER = 8 }; /* abilities */
enum { TB_STARTING, TB_READY, TB_RUNNING, TB_TERMINATED, TB_TRUNCATED, TB_RESETTING, TB_CLOSING };
enum { TB_FOREVER = -1, TB_STATUS_AUTO = -1 };

typedef struct tb_spec tb_spec;
typedef struct tb_game tb_game;

/* ---- what the game is: called once, in order ------------------------------------------------

   tb_agent begins an agent; exactly two spaces follow, what it observes and what it does. A
   container (tb_dict, tb_tuple, tb_seq, tb_oneof, tb_graph) is ended by tb_end. Every function
   returns the offset of its first byte in the observation (or action) of its agent: that is where
   to write (or read) it. Mistakes are remembered, and told by tb_next and tb_error. */

tb_spec *tb_spec_new(const char *name);
void tb_spec_free(tb_spec *spec); /* only of one that was not given to tb_open */
void tb_agent(tb_spec *spec, const char *id);

#define TB_SHAPE(...)                                                 \
    (int)(sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t)), \
        (const uint32_t[]) { __VA_ARGS__ }
#define TB_SCALAR 0, NULL

/* An array. Bounds may be infinite; those of integers are cut to what the type holds. */
size_t tb_box(tb_spec *, tb_type, int dims, const uint32_t *shape, double low, double high);
/* The same with a bound for each element: arrays of the box's own type and shape. */
size_t tb_box_of(tb_spec *, tb_type, int dims, const uint32_t *shape, const void *low,
                 const void *high);
size_t tb_discrete(tb_spec *, int64_t n, int64_t start); /* one int64_t in [start, start + n) */
/* int64_t each; `start` may be NULL. */
size_t tb_multidiscrete(tb_spec *, int dims, const uint32_t *shape, const int64_t *nvec,
                        const int64_t *start);
size_t tb_multibinary(tb_spec *, int dims, const uint32_t *shape); /* one byte each, 0 or 1 */
/* uint32_t bytes, then UTF-8; lengths in characters; `chars` NULL: letters and digits. */
size_t tb_text(tb_spec *, uint32_t min, uint32_t max, const char *chars);
size_t tb_dict(tb_spec *);                 /* then tb_key and a space, again and again */
void tb_key(tb_spec *, const char *name);
size_t tb_tuple(tb_spec *);                /* then spaces */
size_t tb_seq(tb_spec *, uint32_t max, int stack); /* then one space; uint32_t count, elements at + 8 */
size_t tb_oneof(tb_spec *);                /* then spaces; uint32_t which, the chosen one at + 8 */
/* then nodes and perhaps edges (tb_box or tb_discrete). uint32_t nodes, uint32_t edges at + 8. */
size_t tb_graph(tb_spec *, uint32_t max_nodes, uint32_t max_edges);
size_t tb_end(tb_spec *); /* returns the size of what it ends; of a sequence, of one element; of a
                             graph, the offset of its links (int32_t pairs) */

void tb_spec_hold(tb_spec *);                                     /* an action lasts until the next */
void tb_spec_render(tb_spec *, uint32_t height, uint32_t width);
void tb_spec_about(tb_spec *, const char *json);                  /* an object */
const char *tb_spec_json(tb_spec *); /* what will be sent; NULL after a mistake. Ends building. */

/* ---- the session ------------------------------------------------------------------------------ */

typedef struct {
    const char *dial;    /* address of the agent; NULL: TROPISM_BRIDGE_ADDR */
    const char *listen;  /* or where to wait for one: "tcp://127.0.0.1:0", "unix:///run/x.sock" */
    const char *token;   /* 64 hexadecimal digits; NULL: TROPISM_BRIDGE_TOKEN; "": none */
    const char *session; /* NULL: TROPISM_BRIDGE_SESSION */
    const char *version; /* of your game */
    unsigned can;        /* TB_CAN_... */
    int reconnect;       /* 1: tb_next goes on with the next agent when one has gone */
    int connect_ms;      /* patience when dialling; 0: 30 s; with `reconnect` for ever */
    int spin_us;         /* where it pays, look so long before sleeping; 0: 30, -1: never */
    int checksum;        /* 1: send checksums if the agent takes them */
    int no_shm;          /* 1: refuse shared memory */
} tb_options;

typedef struct {
    int type; /* TB_RESET, TB_STEP, TB_ACTION (latest frame), TB_EVENT, TB_CALL */
    uint32_t seq, episode;
    int has_seed;
    uint64_t seed;    /* of RESET, below 2^53 */
    const char *name; /* of EVENT and CALL */
    const char *json; /* options of RESET, data of EVENT, args of CALL; NULL if none or null */
} tb_request;         /* strings and actions are valid until the next tb_next */

/* Takes the spec; NULL options: all defaults. NULL only without memory. */
tb_game *tb_open(tb_spec *spec, const tb_options *options);
/* The next request, connecting first if need be. Anything but TB_OK and TB_TIMEOUT ends it. */
tb_result tb_next(tb_game *, tb_request *, int timeout_ms);
/* A session if there is none yet: for a game that wants to know before its first frame. */
tb_result tb_connect(tb_game *, int timeout_ms);
/* A session over a connected stream socket, which is taken. `dialled`: this side connected it. */
tb_result tb_attach(tb_game *, int socket, int dialled);
void tb_close(tb_game *, const char *reason); /* says CLOSE; tb_next may open another session */
void tb_free(tb_game *);                      /* closes, too */

/* The action of an agent, aligned to 8 bytes; NULL if it does not act. Discrete values, counts and
   the like have been checked, save within sequences, OneOf and graphs; bounds of boxes are not. */
const void *tb_action(const tb_game *, int agent);
/* Where to write the observation of an agent, aligned to 8 bytes. Keeps what was written last;
   room that is not used must be zero. Valid until tb_observe. */
void *tb_observation(tb_game *, int agent);
void tb_outcome(tb_game *, int agent, double reward, int terminated, int truncated);
/* Alive is set by itself: from the reset until an agent has ended. Only for those that come late. */
void tb_alive(tb_game *, int agent, int alive);
void tb_clock(tb_game *, uint64_t nanoseconds); /* the game's own time */
void tb_status(tb_game *, int status);          /* TB_STATUS_AUTO: by itself */
/* Sends the frame: the answer to RESET or STEP, or any time in latest-frame mode. `info`: JSON
   object or NULL. A connection that has broken is told by the next tb_next. */
tb_result tb_observe(tb_game *, const char *info);
tb_result tb_event(tb_game *, const char *name, const char *json);
tb_result tb_reply(tb_game *, const char *json); /* to CALL */
tb_result tb_reply_error(tb_game *, const char *text);
tb_result tb_reply_array(tb_game *, tb_type, int dims, const uint32_t *shape, const void *data);

const char *tb_error(const tb_game *);   /* what was wrong, in words; "" */
const char *tb_address(const tb_game *); /* where it listens, with the port that was found; or "" */
int tb_is_latest(const tb_game *);       /* the session is in latest-frame mode */
int tb_is_shared(const tb_game *);       /* the session uses shared memory */
uint64_t tb_skipped(const tb_game *);    /* messages of unknown types, and frames not sent in
                                            latest-frame mode because the agent does not read */

/* Members of a small JSON object, such as options: 1 if found. Strings are cut to `room`. */
int tb_json_number(const char *json, const char *key, double *value);
int tb_json_string(const char *json, const char *key, char *out, size_t room);
void tb_put_text(void *leaf, uint32_t max, const char *text); /* fills a leaf of tb_text */

#ifdef __cplusplus
}
#endif
#endif /* TROPISM_BRIDGE_H */

#ifdef TROPISM_BRIDGE_IMPLEMENTATION
#ifndef TROPISM_BRIDGE_IMPLEMENTED
#define TROPISM_BRIDGE_IMPLEMENTED

#if defined(_WIN32)
#error "tropism_bridge.h needs POSIX; on Windows build it under WSL or Cygwin"
#endif
#if defined(__BYTE_ORDER__) && defined(__ORDER_BIG_ENDIAN__)
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#error "tropism_bridge.h needs a little-endian machine"
#endif
#endif

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* SO_NOSIGPIPE does it there */
#endif

/* Shared memory needs atomics: the builtins of GCC and Clang, or those of C11. TROPISM_BRIDGE_NO_SHM
   leaves it out, TROPISM_BRIDGE_C11_ATOMICS takes those of C11 in any case. */
#if defined(__GNUC__) && !defined(TROPISM_BRIDGE_C11_ATOMICS) && !defined(TROPISM_BRIDGE_NO_SHM)
#define TB__SHM 1
#define tb__load32(p) __atomic_load_n((const uint32_t *)(p), __ATOMIC_ACQUIRE)
#define tb__load64(p) __atomic_load_n((const uint64_t *)(p), __ATOMIC_ACQUIRE)
#define tb__store32(p, v) __atomic_store_n((uint32_t *)(p), (v), __ATOMIC_RELEASE)
#define tb__store64(p, v) __atomic_store_n((uint64_t *)(p), (v), __ATOMIC_RELEASE)
#define tb__fence() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L && \
    !defined(__STDC_NO_ATOMICS__) && !defined(TROPISM_BRIDGE_NO_SHM)
#include <stdatomic.h>
#define TB__SHM 1
#define tb__load32(p) atomic_load_explicit((_Atomic uint32_t *)(void *)(p), memory_order_acquire)
#define tb__load64(p) atomic_load_explicit((_Atomic uint64_t *)(void *)(p), memory_order_acquire)
#define tb__store32(p, v) \
    atomic_store_explicit((_Atomic uint32_t *)(void *)(p), (v), memory_order_release)
#define tb__store64(p, v) \
    atomic_store_explicit((_Atomic uint64_t *)(void *)(p), (v), memory_order_release)
#define tb__fence() atomic_thread_fence(memory_order_seq_cst)
#else
#define TB__SHM 0
#define tb__load32(p) (*(const uint32_t *)(p))
#define tb__load64(p) (*(const uint64_t *)(p))
#define tb__store32(p, v) (*(uint32_t *)(p) = (v))
#define tb__store64(p, v) (*(uint64_t *)(p) = (v))
#define tb__fence() ((void)0)
#endif

enum {
    TB__HELLO = 1, TB__AUTH = 3, TB__WELCOME = 4, TB__SPEC = 5, TB__SHM_OFFER = 6, TB__SHM_ACK = 7,
    TB__READY = 8, TB__OBS = 18, TB__REPLY = 22, TB__PING = 32, TB__PONG = 33, TB__BELL = 34,
    TB__ERROR = 48, TB__CLOSE = 63
};
enum { TB__MUST = 1, TB__CRC = 2, TB__ZLIB = 4, TB__IN_SHM = 8 };
enum { TB__HEADER = 32, TB__DEPTH = 32, TB__JSON_DEPTH = 64, TB__INFO_ROOM = 4096 };
#define TB__NEVER INT64_MAX /* a deadline that does not come */
#define TB__SECOND 1000000000LL
#define TB__MOST 0x7fffffffu      /* bytes of anything the game declares */
#define TB__MAX_MESSAGE 16777216u /* until WELCOME says otherwise */
#define TB__MAX_HELLO 65536u      /* while nobody has proved anything */

/* ---- bytes, time, text ------------------------------------------------------------------------ */

static uint32_t tb__get32(const void *at) {
    uint32_t value;
    memcpy(&value, at, 4);
    return value;
}

static uint64_t tb__get64(const void *at) {
    uint64_t value;
    memcpy(&value, at, 8);
    return value;
}

static void tb__set32(uint8_t *at, uint32_t value) { memcpy(at, &value, 4); }
static void tb__set64(uint8_t *at, uint64_t value) { memcpy(at, &value, 8); }

static int64_t tb__now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * TB__SECOND + now.tv_nsec;
}

static int64_t tb__deadline(int timeout_ms) {
    return timeout_ms < 0 ? TB__NEVER : tb__now() + (int64_t)timeout_ms * 1000000;
}

/* Milliseconds until then, rounded up, as poll() wants them. */
static int tb__left(int64_t deadline) {
    int64_t left = deadline == TB__NEVER ? 0 : (deadline - tb__now() + 999999) / 1000000;
    if (deadline == TB__NEVER) return -1;
    return left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

static void tb__pause(int milliseconds) {
    struct timespec pause;
    pause.tv_sec = milliseconds / 1000;
    pause.tv_nsec = (long)(milliseconds % 1000) * 1000000L;
    nanosleep(&pause, NULL);
}

/* Text that grows; `failed` once there was no memory. */
typedef struct {
    char *data;
    size_t size, room;
    int failed;
} tb__text;

static int tb__room(tb__text *text, size_t more) {
    size_t room = text->room ? text->room : 256;
    char *data;
    if (text->failed) return 0;
    while (room - text->size <= more) room *= 2; /* one more for the final zero */
    if (room == text->room) return 1;
    data = (char *)realloc(text->data, room);
    if (!data) return text->failed = 1, 0;
    text->data = data, text->room = room;
    return 1;
}

static void tb__put(tb__text *text, const void *bytes, size_t size) {
    if (!size || !tb__room(text, size)) return;
    memcpy(text->data + text->size, bytes, size);
    text->size += size;
    text->data[text->size] = 0;
}

static void tb__puts(tb__text *text, const char *string) { tb__put(text, string, strlen(string)); }

static void tb__printf(tb__text *text, const char *format, ...) {
    char line[256];
    va_list list;
    va_start(list, format);
    vsnprintf(line, sizeof line, format, list);
    va_end(list);
    tb__puts(text, line);
}

static void tb__quote(tb__text *text, const char *string) {
    tb__puts(text, "\"");
    for (; *string; string++) {
        unsigned char c = (unsigned char)*string;
        if (c < 0x20) tb__printf(text, "\\u%04x", c);
        else if (c == '"' || c == '\\') tb__printf(text, "\\%c", c);
        else tb__put(text, string, 1);
    }
    tb__puts(text, "\"");
}

static void tb__base64(tb__text *text, const void *data, size_t size) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *bytes = (const uint8_t *)data;
    for (size_t i = 0; i < size; i += 3) {
        uint32_t group = (uint32_t)bytes[i] << 16;
        char four[4];
        if (i + 1 < size) group |= (uint32_t)bytes[i + 1] << 8;
        if (i + 2 < size) group |= bytes[i + 2];
        for (int k = 0; k < 4; k++) four[k] = digits[group >> (18 - 6 * k) & 63];
        if (i + 1 >= size) four[2] = '=';
        if (i + 2 >= size) four[3] = '=';
        tb__put(text, four, 4);
    }
}

static char *tb__copy(const char *text) {
    char *copy = (char *)malloc(strlen(text) + 1);
    return copy ? strcpy(copy, text) : NULL;
}

static void tb__hex(const uint8_t *bytes, size_t size, char *out) {
    for (size_t i = 0; i < size; i++) snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static int tb__unhex(const char *text, uint8_t *out, size_t size) {
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    if (strlen(text) != 2 * size) return 0;
    for (size_t i = 0; i < 2 * size; i++) {
        const char *found = strchr(digits, text[i]);
        if (!found) return 0;
        out[i / 2] = (uint8_t)((unsigned)out[i / 2] << 4 | (unsigned)((found - digits) & 15));
    }
    return 1;
}

/* ---- CRC-32, SHA-256 (FIPS 180-4), HMAC (RFC 2104) --------------------------------------------- */

static uint32_t tb__crc32(const uint8_t *bytes, size_t size) {
    static uint32_t table[256];
    uint32_t crc = 0xffffffffu;
    if (!table[255]) /* two threads that fill it write the same */
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t entry = i;
            for (int k = 0; k < 8; k++) entry = entry & 1 ? entry >> 1 ^ 0xedb88320u : entry >> 1;
            table[i] = entry;
        }
    while (size--) crc = crc >> 8 ^ table[(crc ^ *bytes++) & 255];
    return ~crc;
}

static uint32_t tb__rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

static void tb__sha256_block(uint32_t state[8], const uint8_t *block) {
    static const uint32_t k[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
        0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
        0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
        0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
        0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
        0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
    uint32_t w[64], s[8];
    for (int i = 0; i < 16; i++, block += 4)
        w[i] = (uint32_t)block[0] << 24 | (uint32_t)block[1] << 16 | (uint32_t)block[2] << 8 | block[3];
    for (int i = 16; i < 64; i++) {
        uint32_t a = tb__rotate(w[i - 15], 7) ^ tb__rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t b = tb__rotate(w[i - 2], 17) ^ tb__rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + a + w[i - 7] + b;
    }
    memcpy(s, state, sizeof s);
    for (int i = 0; i < 64; i++) {
        uint32_t e = tb__rotate(s[4], 6) ^ tb__rotate(s[4], 11) ^ tb__rotate(s[4], 25);
        uint32_t a = tb__rotate(s[0], 2) ^ tb__rotate(s[0], 13) ^ tb__rotate(s[0], 22);
        uint32_t t = s[7] + e + ((s[4] & s[5]) ^ (~s[4] & s[6])) + k[i] + w[i];
        uint32_t u = a + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        memmove(s + 1, s, 7 * sizeof *s);
        s[4] += t, s[0] = t + u;
    }
    for (int i = 0; i < 8; i++) state[i] += s[i];
}

/* The hash of two pieces, one after the other: enough for HMAC, and for anything else. */
static void tb__sha256(const void *one, size_t one_size, const void *two, size_t two_size,
                       uint8_t out[32]) {
    uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    uint64_t size = (uint64_t)one_size + two_size, padded = (size + 9 + 63) / 64 * 64;
    uint8_t block[64];
    for (uint64_t i = 0; i < padded; i++) {
        uint8_t byte = i == size ? 0x80 : 0;
        if (i < one_size) byte = ((const uint8_t *)one)[i];
        else if (i < size) byte = ((const uint8_t *)two)[i - one_size];
        else if (i >= padded - 8) byte = (uint8_t)(size * 8 >> (padded - 1 - i) * 8);
        block[i % 64] = byte;
        if (i % 64 == 63) tb__sha256_block(state, block);
    }
    for (int i = 0; i < 32; i++) out[i] = (uint8_t)(state[i / 4] >> (24 - i % 4 * 8));
}

static void tb__hmac(const uint8_t key[32], const char *text, uint8_t out[32]) {
    uint8_t inner[64], outer[64], hash[32];
    for (int i = 0; i < 64; i++) {
        uint8_t byte = i < 32 ? key[i] : 0;
        inner[i] = byte ^ 0x36, outer[i] = byte ^ 0x5c;
    }
    tb__sha256(inner, 64, text, strlen(text), hash);
    tb__sha256(outer, 64, hash, 32, out);
}

static int tb__same(const uint8_t *a, const uint8_t *b, size_t size) { /* in constant time */
    uint8_t different = 0;
    for (size_t i = 0; i < size; i++) different |= a[i] ^ b[i];
    return !different;
}

static int tb__random(uint8_t *out, size_t size) {
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, out, size);
    if (fd >= 0) close(fd);
    return got == (ssize_t)size;
}

/* ---- reading JSON: values are spans of the text, found without building anything --------------- */

typedef struct {
    char *at, *end;
} tb__span;

static int tb__utf8(const uint8_t *at, const uint8_t *end) {
    while (at < end) {
        uint8_t c = *at++;
        int more = c < 0x80 ? 0 : c >= 0xc2 && c < 0xe0 ? 1 : c >= 0xe0 && c < 0xf0 ? 2 : 3;
        uint8_t low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80; /* no longer than needed */
        uint8_t high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf; /* no surrogates, <= 10ffff */
        if ((c >= 0x80 && c < 0xc2) || c > 0xf4 || end - at < more) return 0;
        for (int i = 0; i < more; i++, at++) {
            if (*at < low || *at > high) return 0;
            low = 0x80, high = 0xbf;
        }
    }
    return 1;
}

static char *tb__blank(char *at, char *end) {
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')) at++;
    return at;
}

static int tb__digit(const char *at, const char *end) { return at < end && *at >= '0' && *at <= '9'; }

static char *tb__skip_digits(char *at, char *end) {
    while (tb__digit(at, end)) at++;
    return at;
}

static char *tb__skip_number(char *at, char *end) {
    if (at < end && *at == '-') at++;
    if (!tb__digit(at, end)) return NULL;
    at = *at == '0' ? at + 1 : tb__skip_digits(at, end);
    if (at < end && *at == '.') {
        if (!tb__digit(++at, end)) return NULL;
        at = tb__skip_digits(at, end);
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        if (++at < end && (*at == '+' || *at == '-')) at++;
        if (!tb__digit(at, end)) return NULL;
        at = tb__skip_digits(at, end);
    }
    return at;
}

static int tb__hex4(const char *at, const char *end) {
    int value = 0;
    if (end - at < 4) return -1;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10
                  : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

static char *tb__skip_string(char *at, char *end) {
    for (at++; at < end && *at != '"'; at++) {
        if ((unsigned char)*at < 0x20) return NULL;
        if (*at != '\\') continue;
        if (++at == end || !memchr("\"\\/bfnrtu", *at, 9)) return NULL;
        if (*at == 'u' && tb__hex4(at + 1, end) < 0) return NULL;
    }
    return at < end ? at + 1 : NULL;
}

static char *tb__skip_word(char *at, char *end, const char *word) {
    size_t size = strlen(word);
    return (size_t)(end - at) >= size && !memcmp(at, word, size) ? at + size : NULL;
}

static char *tb__skip(char *at, char *end, int depth);

/* The members of an object or the elements of an array, from behind the opening bracket. */
static char *tb__skip_inside(char *at, char *end, char closing, int depth) {
    at = tb__blank(at, end);
    if (at < end && *at == closing) return at + 1;
    for (;;) {
        if (closing == '}') {
            at = tb__blank(at, end);
            if (at == end || *at != '"' || !(at = tb__skip_string(at, end))) return NULL;
            at = tb__blank(at, end);
            if (at == end || *at++ != ':') return NULL;
        }
        if (!(at = tb__skip(at, end, depth))) return NULL;
        at = tb__blank(at, end);
        if (at < end && *at == closing) return at + 1;
        if (at == end || *at++ != ',') return NULL;
    }
}

/* Behind the JSON value that begins here, blanks before it allowed; NULL if it is none. */
static char *tb__skip(char *at, char *end, int depth) {
    at = tb__blank(at, end);
    if (at == end || depth == 0) return NULL;
    switch (*at) {
    case '{': return tb__skip_inside(at + 1, end, '}', depth - 1);
    case '[': return tb__skip_inside(at + 1, end, ']', depth - 1);
    case '"': return tb__skip_string(at, end);
    case 't': return tb__skip_word(at, end, "true");
    case 'f': return tb__skip_word(at, end, "false");
    case 'n': return tb__skip_word(at, end, "null");
    default: return tb__skip_number(at, end);
    }
}

static int tb__is_object(tb__span text) {
    char *at = tb__blank(text.at, text.end), *end;
    if (at == text.end || *at != '{' || !tb__utf8((uint8_t *)at, (uint8_t *)text.end)) return 0;
    end = tb__skip(at, text.end, TB__JSON_DEPTH);
    return end && tb__blank(end, text.end) == text.end;
}

static char *tb__put_utf8(char *out, uint32_t code) {
    if (code < 0x80) return *out = (char)code, out + 1;
    if (code < 0x800) *out++ = (char)(0xc0 | code >> 6);
    else {
        if (code < 0x10000) *out++ = (char)(0xe0 | code >> 12);
        else *out++ = (char)(0xf0 | code >> 18), *out++ = (char)(0x80 | (code >> 12 & 63));
        *out++ = (char)(0x80 | (code >> 6 & 63));
    }
    *out++ = (char)(0x80 | (code & 63));
    return out;
}

/* A \u escape, a pair of them beyond the basic plane; 0 for NUL or half a pair. `at`: behind u. */
static uint32_t tb__escape(char **at, char *end) {
    int code = tb__hex4(*at, end), second;
    *at += 4;
    if (code < 0xd800 || code > 0xdfff) return (uint32_t)code;
    if (code > 0xdbff || end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u') return 0;
    second = tb__hex4(*at + 2, end);
    if (second < 0xdc00 || second > 0xdfff) return 0;
    *at += 6;
    return 0x10000u + ((uint32_t)(code - 0xd800) << 10) + (uint32_t)(second - 0xdc00);
}

/* A string value as a C string, made in place (it is never longer); NULL if it is none. The text it
   stood in is no JSON any more: find whatever else is wanted first. */
static char *tb__string(tb__span value) {
    static const char names[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    char *at, *out = value.at;
    if (!value.at || *value.at != '"') return NULL;
    for (at = value.at + 1; at < value.end - 1;) {
        if (*at != '\\') {
            *out++ = *at++;
        } else if (at[1] == 'u') {
            uint32_t code = (at += 2, tb__escape(&at, value.end - 1));
            if (!code) return NULL;
            out = tb__put_utf8(out, code);
        } else {
            *out++ = meanings[strchr(names, at[1]) - names];
            at += 2;
        }
    }
    *out = 0;
    return value.at;
}

/* The value of a key of an object known to be JSON; {NULL, NULL} if absent. The last one counts.
   Keys are compared as written: nobody escapes the letters of ours. */
static tb__span tb__get(tb__span object, const char *key) {
    tb__span found = {NULL, NULL};
    size_t size = strlen(key);
    char *at = tb__blank(object.at, object.end) + 1;
    while ((at = tb__blank(at, object.end)) < object.end && *at == '"') {
        char *name = at, *name_end = tb__skip_string(at, object.end);
        char *value = tb__blank(tb__blank(name_end, object.end) + 1, object.end);
        char *end = tb__skip(value, object.end, TB__JSON_DEPTH);
        if ((size_t)(name_end - name) == size + 2 && !memcmp(name + 1, key, size))
            found.at = value, found.end = end;
        at = tb__blank(end, object.end) + 1;
    }
    return found;
}

static int tb__is(tb__span value, const char *word) {
    return value.at && (size_t)(value.end - value.at) == strlen(word) &&
           !memcmp(value.at, word, strlen(word));
}

/* A whole number of digits only; 0 if it is none or above `most`. */
static int tb__integer(const char *at, const char *end, uint64_t most, uint64_t *value) {
    *value = 0;
    if (!at || at == end) return 0;
    for (; at < end; at++) {
        if (!tb__digit(at, end)) return 0;
        if (*value > (most - (uint64_t)(*at - '0')) / 10) return 0;
        *value = *value * 10 + (uint64_t)(*at - '0');
    }
    return 1;
}

static int tb__cut(tb__span value, char *out, size_t room) {
    char *copy = (char *)malloc((size_t)(value.end - value.at) + 1), *string;
    tb__span whole = {copy, NULL};
    if (!copy) return 0;
    memcpy(copy, value.at, (size_t)(value.end - value.at));
    whole.end = copy + (value.end - value.at);
    string = tb__string(whole);
    if (string) snprintf(out, room, "%s", string);
    free(copy);
    return string != NULL;
}

static tb__span tb__all(const char *json) {
    tb__span text;
    text.at = (char *)(uintptr_t)json, text.end = text.at + strlen(json); /* only read */
    return text;
}

static tb__span tb__of(const char *json, const char *key) {
    tb__span none = {NULL, NULL};
    return json && tb__is_object(tb__all(json)) ? tb__get(tb__all(json), key) : none;
}

int tb_json_number(const char *json, const char *key, double *value) {
    tb__span found = tb__of(json, key);
    if (!found.at || !(tb__digit(found.at, found.end) || *found.at == '-')) return 0;
    *value = strtod(found.at, NULL);
    return 1;
}

int tb_json_string(const char *json, const char *key, char *out, size_t room) {
    tb__span found = tb__of(json, key);
    return found.at && *found.at == '"' && tb__cut(found, out, room);
}

void tb_put_text(void *leaf, uint32_t max, const char *text) {
    size_t size = strlen(text), room = (size_t)max * 4;
    if (size > room) size = room;
    memset(leaf, 0, 4 + room);
    tb__set32((uint8_t *)leaf, (uint32_t)size);
    memcpy((uint8_t *)leaf + 4, text, size);
}

/* ---- what the game is: JSON and offsets are made together ------------------------------------- */

enum { TB__DICT, TB__TUPLE, TB__SEQ, TB__ONEOF, TB__GRAPH };

typedef struct {
    int kind, children, keyed; /* keyed: a dict has been told the name of its next child */
    size_t start, largest;     /* where its children begin; OneOf: bytes of the largest so far */
    uint32_t max, edges;
} tb__frame;

typedef struct {
    char *id;
    size_t size[2], at[2]; /* of observation and action, and their place among all agents' */
} tb__agent;

typedef struct { /* `count` integers in every action that must lie in [low, high] */
    int agent, type;
    size_t at, count;
    int64_t low, high;
} tb__check;

struct tb_spec {
    char *name;
    tb__text json;
    int agents, side, depth, loose, ended; /* side: 0 observation, 1 action, 2 neither */
    tb__agent *agent;
    tb__frame stack[TB__DEPTH];
    size_t offset, checks;
    tb__check *check;
    int hold;
    uint32_t render[2];
    tb__text about;
    const char *error;
};

static const char *const tb__type_names[] = {"b1", "i1", "i2", "i4", "i8", "u1",
                                             "u2", "u4", "u8", "f2", "f4", "f8"};
static const size_t tb__type_sizes[] = {1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 4, 8};

static void tb__mistake(tb_spec *s, const char *text) {
    if (!s->error) s->error = text;
}

/* Room for one more in an array that has `count`: its new place, or NULL. */
static void *tb__grow(void *array, size_t count, size_t size) {
    if (count & (count - 1)) return array; /* grows at powers of two only */
    return realloc(array, (count ? 2 * count : 1) * size);
}

tb_spec *tb_spec_new(const char *name) {
    tb_spec *s = (tb_spec *)calloc(1, sizeof *s);
    if (!s) return NULL;
    s->side = 2;
    if (!(s->name = tb__copy(name))) tb__mistake(s, "out of memory");
    tb__puts(&s->json, "{\"name\":");
    tb__quote(&s->json, name);
    tb__puts(&s->json, ",\"agents\":[");
    return s;
}

void tb_spec_free(tb_spec *s) {
    if (!s) return;
    for (int i = 0; i < s->agents; i++) free(s->agent[i].id);
    free(s->name), free(s->agent), free(s->check), free(s->json.data), free(s->about.data), free(s);
}

void tb_agent(tb_spec *s, const char *id) {
    tb__agent *agents;
    if (!s || s->error) return;
    if (s->side != 2 || s->ended) tb__mistake(s, "tb_agent: the agent before lacks a space");
    for (int i = 0; i < s->agents; i++)
        if (!strcmp(s->agent[i].id, id)) tb__mistake(s, "tb_agent: two agents of one id");
    agents = (tb__agent *)tb__grow(s->agent, (size_t)s->agents, sizeof *agents);
    if (agents) {
        s->agent = agents;
        memset(&agents[s->agents], 0, sizeof *agents);
        agents[s->agents].id = tb__copy(id);
    }
    if (!agents || !agents[s->agents].id) { tb__mistake(s, "out of memory"); return; }
    tb__puts(&s->json, s->agents++ ? ",{\"id\":" : "{\"id\":");
    tb__quote(&s->json, id);
    tb__puts(&s->json, ",\"obs\":");
    s->side = 0, s->offset = 0;
}

static tb__frame *tb__top(tb_spec *s) { return s->depth ? &s->stack[s->depth - 1] : NULL; }

/* Before every space: it is wanted here, and separated from the one before. */
static int tb__wanted(tb_spec *s) {
    tb__frame *top = s ? tb__top(s) : NULL;
    if (!s || s->error) return 0;
    if (s->side == 2) return tb__mistake(s, "a space belongs to no agent; call tb_agent first"), 0;
    if (!top) return 1;
    if (top->kind == TB__DICT && !top->keyed) return tb__mistake(s, "tb_key is missing"), 0;
    if (top->children >= (top->kind == TB__SEQ ? 1 : top->kind == TB__GRAPH ? 2 : INT_MAX))
        return tb__mistake(s, "too many spaces in a sequence or graph"), 0;
    if (top->kind == TB__GRAPH) tb__puts(&s->json, top->children ? ",\"edges\":" : ",\"nodes\":");
    else if (top->kind != TB__DICT && top->children) tb__puts(&s->json, ",");
    if (top->kind == TB__ONEOF) s->offset = top->start; /* they share one room */
    return 1;
}

static void tb__size_of_agent(tb_spec *s) {
    s->agent[s->agents - 1].size[s->side] = s->offset;
    tb__puts(&s->json, s->side ? "}" : ",\"act\":");
    s->side++, s->offset = 0;
}

/* After every space: tell the container, or go on to the action, or be done with the agent. */
static void tb__done(tb_spec *s) {
    tb__frame *top = tb__top(s);
    if (!top) { tb__size_of_agent(s); return; }
    top->children++, top->keyed = 0;
    if (top->kind == TB__DICT) tb__puts(&s->json, "]");
    if (top->kind == TB__ONEOF && s->offset - top->start > top->largest)
        top->largest = s->offset - top->start;
}

/* The offset of a leaf of so many bytes. */
static size_t tb__leaf(tb_spec *s, uint64_t bytes) {
    tb__frame *top = tb__top(s);
    size_t at = s->offset;
    if (top && top->kind == TB__GRAPH && bytes <= TB__MOST)
        bytes *= top->children ? top->edges : top->max;
    if (bytes + at + 7 > TB__MOST) return tb__mistake(s, "a space of more than 2 GiB"), (size_t)0;
    s->offset = at + (((size_t)bytes + 7) & ~(size_t)7);
    return at;
}

static void tb__must_be(tb_spec *s, size_t at, int type, size_t count, int64_t low, int64_t high) {
    tb__check check, *checks;
    if (s->side != 1 || s->loose || s->error) return;
    check.agent = s->agents - 1, check.type = type, check.at = at, check.count = count;
    check.low = low, check.high = high;
    checks = (tb__check *)tb__grow(s->check, s->checks, sizeof check);
    if (!checks) { tb__mistake(s, "out of memory"); return; }
    s->check = checks, s->check[s->checks++] = check;
}

/* Writes "s": [...]; returns the number of elements, at most TB__MOST + 1. */
static uint64_t tb__shape(tb__text *out, int dims, const uint32_t *shape) {
    uint64_t count = 1;
    tb__puts(out, ",\"s\":[");
    for (int i = 0; i < dims; i++) {
        tb__printf(out, i ? ",%lu" : "%lu", (unsigned long)shape[i]);
        count *= shape[i];
        if (count > TB__MOST) count = (uint64_t)TB__MOST + 1;
    }
    tb__puts(out, "]");
    return count;
}

static void tb__bound(tb_spec *s, tb_type type, double value) {
    static const double most[] = {1, 127, 32767, 2147483647., 9223372036854775808.,
                                  255, 65535, 4294967295., 18446744073709551616.};
    static const double least[] = {0, -128, -32768, -2147483648., -9223372036854775808., 0, 0, 0, 0};
    char text[40], *comma;
    if (value != value) tb__mistake(s, "a bound is not a number");
    if (type < TB_F2 && value < least[type]) value = least[type];
    if (type == TB_I8 && value >= most[type]) snprintf(text, sizeof text, "9223372036854775807");
    else if (type == TB_U8 && value >= most[type]) snprintf(text, sizeof text, "18446744073709551615");
    else if (type < TB_F2) snprintf(text, sizeof text, "%.0f", value > most[type] ? most[type] : value);
    else if (isinf(value)) snprintf(text, sizeof text, value < 0 ? "\"-inf\"" : "\"inf\"");
    else snprintf(text, sizeof text, "%.17g", value);
    if ((comma = strchr(text, ',')) != NULL) *comma = '.'; /* the locale's */
    tb__puts(&s->json, text);
}

static uint64_t tb__box_head(tb_spec *s, tb_type type, int dims, const uint32_t *shape) {
    tb__printf(&s->json, "{\"t\":\"box\",\"d\":\"%s\"", tb__type_names[type]);
    return tb__shape(&s->json, dims, shape) * tb__type_sizes[type];
}

static size_t tb__box_tail(tb_spec *s, tb_type type, uint64_t bytes) {
    size_t at = tb__leaf(s, bytes);
    tb__puts(&s->json, "}");
    if (type == TB_B1) tb__must_be(s, at, TB_U1, (size_t)bytes, 0, 1);
    tb__done(s);
    return at;
}

size_t tb_box(tb_spec *s, tb_type type, int dims, const uint32_t *shape, double low, double high) {
    uint64_t bytes;
    if (!tb__wanted(s)) return 0;
    bytes = tb__box_head(s, type, dims, shape);
    tb__puts(&s->json, ",\"lo\":");
    tb__bound(s, type, low);
    tb__puts(&s->json, ",\"hi\":");
    tb__bound(s, type, high);
    return tb__box_tail(s, type, bytes);
}

size_t tb_box_of(tb_spec *s, tb_type type, int dims, const uint32_t *shape, const void *low,
                 const void *high) {
    uint64_t bytes;
    if (!tb__wanted(s)) return 0;
    bytes = tb__box_head(s, type, dims, shape);
    tb__puts(&s->json, ",\"lo\":{\"b64\":\"");
    tb__base64(&s->json, low, (size_t)bytes);
    tb__puts(&s->json, "\"},\"hi\":{\"b64\":\"");
    tb__base64(&s->json, high, (size_t)bytes);
    tb__puts(&s->json, "\"}");
    return tb__box_tail(s, type, bytes);
}

size_t tb_discrete(tb_spec *s, int64_t n, int64_t start) {
    size_t at;
    if (!tb__wanted(s)) return 0;
    if (n < 1 || start > INT64_MAX - (n - 1)) tb__mistake(s, "tb_discrete: no such numbers");
    tb__printf(&s->json, "{\"t\":\"discrete\",\"n\":%lld,\"start\":%lld}", (long long)n, (long long)start);
    at = tb__leaf(s, 8);
    if (!s->error) tb__must_be(s, at, TB_I8, 1, start, start + (n - 1));
    tb__done(s);
    return at;
}

static void tb__integers(tb_spec *s, const char *key, const int64_t *values, uint64_t count) {
    tb__printf(&s->json, ",\"%s\":[", key);
    for (uint64_t i = 0; i < count; i++)
        tb__printf(&s->json, i ? ",%lld" : "%lld", (long long)(values ? values[i] : 0));
    tb__puts(&s->json, "]");
}

size_t tb_multidiscrete(tb_spec *s, int dims, const uint32_t *shape, const int64_t *nvec,
                        const int64_t *start) {
    uint64_t count;
    size_t at;
    if (!tb__wanted(s)) return 0;
    tb__puts(&s->json, "{\"t\":\"multidiscrete\",\"d\":\"i8\"");
    count = tb__shape(&s->json, dims, shape);
    tb__integers(s, "nvec", nvec, count);
    tb__integers(s, "start", start, count);
    tb__puts(&s->json, "}");
    at = tb__leaf(s, count * 8);
    for (uint64_t i = 0; i < count && !s->error; i++) {
        int64_t first = start ? start[i] : 0;
        if (nvec[i] < 1 || first > INT64_MAX - (nvec[i] - 1))
            tb__mistake(s, "tb_multidiscrete: no such numbers");
        else tb__must_be(s, at + (size_t)i * 8, TB_I8, 1, first, first + (nvec[i] - 1));
    }
    tb__done(s);
    return at;
}

size_t tb_multibinary(tb_spec *s, int dims, const uint32_t *shape) {
    uint64_t count;
    size_t at;
    if (!tb__wanted(s)) return 0;
    tb__puts(&s->json, "{\"t\":\"multibinary\"");
    count = tb__shape(&s->json, dims, shape);
    tb__puts(&s->json, "}");
    at = tb__leaf(s, count);
    tb__must_be(s, at, TB_I1, (size_t)count, 0, 1);
    tb__done(s);
    return at;
}

size_t tb_text(tb_spec *s, uint32_t min, uint32_t max, const char *chars) {
    size_t at;
    if (!tb__wanted(s)) return 0;
    if (!chars) chars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    tb__printf(&s->json, "{\"t\":\"text\",\"min\":%lu,\"max\":%lu,\"chars\":", (unsigned long)min,
               (unsigned long)max);
    tb__quote(&s->json, chars);
    tb__puts(&s->json, "}");
    at = tb__leaf(s, 4 + 4 * (uint64_t)max);
    tb__must_be(s, at, TB_U4, 1, 0, 4 * (int64_t)max);
    tb__done(s);
    return at;
}

/* Opens a container; its children begin behind `head` bytes of its own. */
static size_t tb__open_frame(tb_spec *s, int kind, const char *json, size_t head) {
    tb__frame *top, *outer;
    size_t at;
    if (!tb__wanted(s)) return 0;
    outer = tb__top(s);
    if (outer && outer->kind == TB__GRAPH) tb__mistake(s, "a graph holds boxes or discrete numbers");
    if (s->depth == TB__DEPTH) tb__mistake(s, "spaces are nested too deep");
    if (s->error) return 0;
    tb__puts(&s->json, json);
    at = s->offset, s->offset += head;
    top = &s->stack[s->depth++];
    memset(top, 0, sizeof *top);
    top->kind = kind, top->start = s->offset;
    if (kind >= TB__SEQ) s->loose++; /* what is inside may be unused, so it is not checked */
    return at;
}

size_t tb_dict(tb_spec *s) { return tb__open_frame(s, TB__DICT, "{\"t\":\"dict\",\"of\":[", 0); }
size_t tb_tuple(tb_spec *s) { return tb__open_frame(s, TB__TUPLE, "{\"t\":\"tuple\",\"of\":[", 0); }
size_t tb_oneof(tb_spec *s) { return tb__open_frame(s, TB__ONEOF, "{\"t\":\"oneof\",\"of\":[", 8); }

void tb_key(tb_spec *s, const char *name) {
    tb__frame *top = s && !s->error ? tb__top(s) : NULL;
    if (!s || s->error) return;
    if (!top || top->kind != TB__DICT || top->keyed) { tb__mistake(s, "tb_key belongs in a dict"); return; }
    tb__puts(&s->json, top->children ? ",[" : "[");
    tb__quote(&s->json, name);
    tb__puts(&s->json, ",");
    top->keyed = 1;
}

size_t tb_seq(tb_spec *s, uint32_t max, int stack) {
    size_t at = tb__open_frame(s, TB__SEQ, stack ? "{\"t\":\"seq\",\"stack\":true,\"of\":"
                                                 : "{\"t\":\"seq\",\"stack\":false,\"of\":", 8);
    if (s && !s->error) tb__top(s)->max = max;
    return at;
}

size_t tb_graph(tb_spec *s, uint32_t max_nodes, uint32_t max_edges) {
    size_t at = tb__open_frame(s, TB__GRAPH, "{\"t\":\"graph\"", 16);
    if (s && !s->error) tb__top(s)->max = max_nodes, tb__top(s)->edges = max_edges;
    return at;
}

static size_t tb__end_seq(tb_spec *s, const tb__frame *frame) {
    size_t element = s->offset - frame->start;
    if (frame->children != 1 || !element) tb__mistake(s, "a sequence needs a space, and not an empty one");
    s->offset = frame->start;
    tb__leaf(s, (uint64_t)element * frame->max);
    tb__printf(&s->json, ",\"max\":%lu}", (unsigned long)frame->max);
    tb__must_be(s, frame->start - 8, TB_U4, 1, 0, frame->max);
    return element;
}

static size_t tb__end_graph(tb_spec *s, const tb__frame *frame) {
    uint32_t edges = frame->children == 2 ? frame->edges : 0;
    if (!frame->children) tb__mistake(s, "a graph needs a space for its nodes");
    if (frame->children == 1) tb__puts(&s->json, ",\"edges\":null");
    tb__printf(&s->json, ",\"max_nodes\":%lu,\"max_edges\":%lu}", (unsigned long)frame->max,
               (unsigned long)frame->edges);
    tb__must_be(s, frame->start - 16, TB_U4, 1, 0, frame->max);
    tb__must_be(s, frame->start - 8, TB_U4, 1, 0, edges);
    return tb__leaf(s, (uint64_t)edges * 8);
}

static size_t tb__end_list(tb_spec *s, const tb__frame *frame) {
    tb__puts(&s->json, "]}");
    if (frame->keyed) tb__mistake(s, "a key of a dict lacks its space");
    if (frame->kind == TB__ONEOF) {
        if (!frame->children) tb__mistake(s, "OneOf needs a space");
        s->offset = frame->start + frame->largest;
        tb__must_be(s, frame->start - 8, TB_U4, 1, 0, frame->children - 1);
    }
    return s->offset - frame->start;
}

size_t tb_end(tb_spec *s) {
    tb__frame frame;
    size_t result;
    if (!s || s->error) return 0;
    if (!s->depth) return tb__mistake(s, "tb_end: nothing to end"), (size_t)0;
    frame = s->stack[--s->depth];
    if (frame.kind >= TB__SEQ) s->loose--;
    result = frame.kind == TB__SEQ     ? tb__end_seq(s, &frame)
             : frame.kind == TB__GRAPH ? tb__end_graph(s, &frame)
                                       : tb__end_list(s, &frame);
    tb__done(s);
    return result;
}

void tb_spec_hold(tb_spec *s) {
    if (s) s->hold = 1;
}

void tb_spec_render(tb_spec *s, uint32_t height, uint32_t width) {
    if (s) s->render[0] = height, s->render[1] = width;
}

void tb_spec_about(tb_spec *s, const char *json) {
    if (s && !s->about.size) tb__puts(&s->about, json);
}

static void tb__places(tb_spec *s) { /* of each agent among all: observations, actions with flags */
    size_t obs = 0, act = 0;
    for (int i = 0; i < s->agents; i++) {
        s->agent[i].at[0] = obs, s->agent[i].at[1] = act + 8;
        if (s->agent[i].size[0] > TB__MOST / 2 - obs || s->agent[i].size[1] > TB__MOST / 2 - act) {
            tb__mistake(s, "the spaces are larger than 1 GiB together");
            return;
        }
        obs += s->agent[i].size[0], act += 8 + s->agent[i].size[1];
    }
}

static void tb__end_json(tb_spec *s) {
    s->ended = 1;
    if (!s->agents || s->side != 2) tb__mistake(s, "an agent lacks a space, or there is none");
    tb__printf(&s->json, "],\"hold\":%s", s->hold ? "true" : "false");
    if (s->render[0])
        tb__printf(&s->json, ",\"render\":[%lu,%lu,3]", (unsigned long)s->render[0],
                   (unsigned long)s->render[1]);
    if (s->about.size) {
        if (!tb__is_object(tb__all(s->about.data))) tb__mistake(s, "tb_spec_about: not a JSON object");
        tb__puts(&s->json, ",\"about\":");
        tb__puts(&s->json, s->about.data);
    }
    tb__puts(&s->json, "}");
    if (s->json.failed || s->about.failed) tb__mistake(s, "out of memory");
    else if (!tb__utf8((uint8_t *)s->json.data, (uint8_t *)s->json.data + s->json.size))
        tb__mistake(s, "a name in the spec is not UTF-8");
    tb__places(s);
}

const char *tb_spec_json(tb_spec *s) {
    if (!s) return NULL;
    if (!s->ended) tb__end_json(s);
    return s->error ? NULL : s->json.data;
}

/* ---- the connection ----------------------------------------------------------------------------- */

typedef struct {
    int type, flags;
    uint32_t length, seq, episode;
    uint8_t *body; /* aligned to 8 bytes */
} tb__message;

struct tb_game {
    tb_spec *spec;
    char *dial, *listen, *session, *version;
    tb_options options;
    int has_token;
    uint8_t token[32], spec_hash[32];
    char error[512], address[160], socket_path[108];
    tb_result mistake; /* of tb_open, told by the first tb_next */
    int sock, listener, spare, dialled, ever;
    int64_t spare_deadline;
    /* what the session agreed on */
    int crc, latest;
    uint32_t max_message;
    /* bytes received; the first `used` belong to the message handled last */
    uint8_t *in;
    size_t in_room, have, used;
    tb__text out;
    /* the run */
    uint32_t taken, episode, number;
    uint64_t step, skipped;
    int was_reset, pending, seed_ignored, status;
    char call_id[24];
    uint8_t *actions, *action_copy, *frame;
    size_t action_size, frame_size, frame_room;
    /* shared memory */
    uint8_t *shm;
    size_t shm_size, action_slot, obs_slot;
    uint64_t shm_number;
    unsigned looks;
    int64_t asked_at, cost[2]; /* without and with spinning */
    int asked;
};

static tb_result tb__say(tb_game *g, tb_result result, const char *format, ...) {
    va_list list;
    va_start(list, format);
    vsnprintf(g->error, sizeof g->error, format, list);
    va_end(list);
    return result;
}

static void tb__header(uint8_t *at, int type, int flags, uint32_t length, uint32_t seq,
                       uint32_t episode, uint32_t crc) {
    memcpy(at, "GBR1", 4);
    at[4] = (uint8_t)type, at[5] = (uint8_t)flags, at[6] = at[7] = 0;
    tb__set32(at + 8, length);
    tb__set32(at + 12, seq);
    tb__set64(at + 16, (uint64_t)tb__now());
    tb__set32(at + 24, episode);
    tb__set32(at + 28, crc);
}

/* A connection that does not take it is broken: reading from it will tell how, perhaps with a CLOSE
   or ERROR that the agent sent before it left, so nothing is made of it here. */
static void tb__send_all(int sock, const uint8_t *bytes, size_t size) {
    while (size) {
        ssize_t sent = send(sock, bytes, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return;
        bytes += sent, size -= (size_t)sent;
    }
}

/* Sends a message whose body lies behind 32 bytes of room for the header. */
static void tb__send_frame(tb_game *g, uint8_t *frame, int type, size_t length, uint32_t seq) {
    int crc = g->crc && g->options.checksum && length;
    tb__header(frame, type, crc ? TB__CRC : 0, (uint32_t)length, seq, g->episode,
               crc ? tb__crc32(frame + TB__HEADER, length) : 0);
    tb__send_all(g->sock, frame, TB__HEADER + length);
}

/* Begins a message in `out`; whoever calls writes the body there, then calls tb__send_out. */
static tb__text *tb__begin(tb_game *g) {
    static const char room[TB__HEADER] = {0};
    g->out.size = 0;
    tb__put(&g->out, room, TB__HEADER);
    return &g->out;
}

static tb__span tb__body(const tb__text *out) {
    tb__span text = {NULL, NULL};
    if (!out->failed) text.at = out->data + TB__HEADER, text.end = out->data + out->size;
    return text;
}

static tb_result tb__send_out(tb_game *g, int type) {
    size_t length = g->out.size - TB__HEADER;
    if (g->out.failed) return tb__say(g, TB_SYSTEM, "out of memory");
    if (length > g->max_message)
        return tb__say(g, TB_USAGE, "a message of %zu bytes; at most %lu are taken", length,
                       (unsigned long)g->max_message);
    tb__send_frame(g, (uint8_t *)g->out.data, type, length, 0);
    return TB_OK;
}

static int tb__poll(int fd, short events, int64_t deadline) {
    struct pollfd one;
    int got;
    one.fd = fd, one.events = events;
    while ((got = poll(&one, 1, tb__left(deadline))) < 0 && errno == EINTR) {}
    return got > 0;
}

static void tb__no_session(tb_game *g) {
    if (g->sock >= 0) close(g->sock);
    if (g->shm) munmap(g->shm, g->shm_size);
    g->sock = -1, g->shm = NULL, g->have = g->used = 0, g->actions = NULL;
}

/* Ends our half and reads what is still under way, for a close with unread bytes would destroy what
   we sent last before the agent has read it. */
static void tb__hang_up(tb_game *g) {
    uint8_t rest[4096];
    int64_t deadline = tb__now() + TB__SECOND / 10;
    if (g->sock < 0) return;
    shutdown(g->sock, SHUT_WR);
    while (tb__now() < deadline && tb__poll(g->sock, POLLIN, deadline) &&
           recv(g->sock, rest, sizeof rest, 0) > 0) {}
    tb__no_session(g);
}

/* ERROR if it can be sent, and the end of the session. */
static tb_result tb__fail(tb_game *g, tb_result result, const char *code, const char *text) {
    tb__text *out = tb__begin(g);
    tb__puts(out, "{\"code\":");
    tb__quote(out, code);
    tb__puts(out, ",\"text\":");
    tb__quote(out, text);
    tb__puts(out, ",\"detail\":null}");
    if (tb__poll(g->sock, POLLOUT, 0)) tb__send_out(g, TB__ERROR);
    tb__hang_up(g);
    return tb__say(g, result, "%s", text);
}

static tb_result tb__lost(tb_game *g, const char *where) {
    tb__no_session(g);
    return tb__say(g, TB_LOST, "the agent is gone%s", where);
}

/* A further client is told that we are busy, once its HELLO is here, for it might not read before. */
static void tb__turn_away(tb_game *g) {
    static const char busy[] = "{\"code\":\"busy\",\"text\":\"this game has an agent\",\"detail\":null}";
    uint8_t bytes[4096];
    if (g->spare < 0) {
        g->spare = accept(g->listener, NULL, NULL), g->spare_deadline = tb__now() + TB__SECOND;
        return;
    }
    if (recv(g->spare, bytes, sizeof bytes, 0) > 0) {
        tb__header(bytes, TB__ERROR, 0, sizeof busy - 1, 0, 0, 0);
        memcpy(bytes + TB__HEADER, busy, sizeof busy - 1);
        tb__send_all(g->spare, bytes, TB__HEADER + sizeof busy - 1);
    }
    close(g->spare), g->spare = -1;
}

/* Waits until the agent has sent something: 1, or 0 if it did not in time. */
static int tb__await(tb_game *g, int64_t deadline) {
    struct pollfd fds[2];
    for (;;) {
        int64_t until = deadline;
        if (g->spare >= 0 && g->spare_deadline < until) until = g->spare_deadline;
        fds[0].fd = g->sock, fds[1].fd = g->spare >= 0 ? g->spare : g->listener;
        fds[0].events = fds[1].events = POLLIN, fds[1].revents = 0;
        if (poll(fds, g->listener >= 0 ? 2 : 1, tb__left(until)) < 0) fds[0].revents = 0;
        if (fds[1].revents) tb__turn_away(g);
        if (g->spare >= 0 && tb__now() >= g->spare_deadline) close(g->spare), g->spare = -1;
        if (fds[0].revents) return 1;
        if (deadline != TB__NEVER && tb__now() >= deadline) return 0;
    }
}

static int tb__reserve(tb_game *g, size_t size) {
    uint8_t *in = size <= g->in_room ? g->in : (uint8_t *)realloc(g->in, size);
    if (in && size > g->in_room) g->in_room = size;
    if (in) g->in = in;
    return in != NULL;
}

/* Receives until `want` bytes of the message are here. Room grows as bytes come, not as a length
   promises them. */
static tb_result tb__fill(tb_game *g, size_t want, int64_t deadline, const char *where) {
    while (g->have < want) {
        ssize_t got;
        if (g->have == g->in_room && !tb__reserve(g, want < 2 * g->have ? want : 2 * g->have))
            return tb__fail(g, TB_SYSTEM, "internal", "out of memory");
        /* waiting for ever needs no poll, unless others may knock at the door */
        if ((deadline != TB__NEVER || g->listener >= 0) && !tb__await(g, deadline)) return TB_TIMEOUT;
        got = recv(g->sock, g->in + g->have, g->in_room - g->have, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return tb__lost(g, g->have ? where : "");
        g->have += (size_t)got;
    }
    return TB_OK;
}

static int tb__known(int type) {
    return (type >= 1 && type <= 8 && type != 2) || (type >= 16 && type <= 22) ||
           (type >= 32 && type <= 34) || type == TB__ERROR || type == TB__CLOSE;
}

/* Reads and checks a header; NULL, or what is wrong. */
static const char *tb__parse_header(const uint8_t *at, tb__message *m, int crc, int shared) {
    int allowed = TB__MUST | (crc ? TB__CRC : 0) | (shared ? TB__IN_SHM : 0);
    m->type = at[4], m->flags = at[5];
    m->length = tb__get32(at + 8), m->seq = tb__get32(at + 12), m->episode = tb__get32(at + 24);
    if (!memcmp(at, "1RBG", 4)) return "the agent sends in the wrong byte order";
    if (memcmp(at, "GBR1", 4)) return "bad magic: this is no message of the bridge";
    if (m->flags & ~allowed) return "a flag that was not granted";
    if (shared && !(m->flags & TB__IN_SHM)) return "a message in shared memory without its flag";
    if (at[6] || at[7]) return "a stream other than 0";
    if (!(m->flags & TB__CRC) && tb__get32(at + 28)) return "a checksum without its flag";
    return NULL;
}

static int tb__crc_is_bad(const tb__message *m, const uint8_t *header) {
    return (m->flags & TB__CRC) && tb__crc32(m->body, m->length) != tb__get32(header + 28);
}

static void tb__drop(tb_game *g) { /* the message handled last */
    if (g->have > g->used) memmove(g->in, g->in + g->used, g->have - g->used);
    g->have -= g->used, g->used = 0;
}

/* The next message of a known type. After TB_TIMEOUT it goes on where it was. */
static tb_result tb__receive(tb_game *g, tb__message *m, int64_t deadline) {
    for (;;) {
        const char *wrong;
        tb_result result;
        tb__drop(g);
        if ((result = tb__fill(g, TB__HEADER, deadline, " within a header")) != TB_OK) return result;
        if ((wrong = tb__parse_header(g->in, m, g->crc, 0)) != NULL)
            return tb__fail(g, TB_PROTOCOL, "protocol", wrong);
        if (m->length > g->max_message)
            return tb__fail(g, TB_PROTOCOL, "too-large", "a message longer than agreed");
        result = tb__fill(g, TB__HEADER + (size_t)m->length, deadline, " within a message");
        if (result != TB_OK) return result;
        g->used = TB__HEADER + (size_t)m->length;
        m->body = g->in + TB__HEADER;
        if (tb__crc_is_bad(m, g->in)) return tb__fail(g, TB_PROTOCOL, "protocol", "a bad checksum");
        if (tb__known(m->type)) return TB_OK;
        if (m->flags & TB__MUST)
            return tb__fail(g, TB_PROTOCOL, "unsupported", "an unknown message that must be understood");
        g->skipped++;
    }
}

static tb__span tb__text_of(const tb__message *m) {
    tb__span text;
    text.at = (char *)m->body, text.end = text.at + m->length;
    return text;
}

/* CLOSE and ERROR end every session in the same way. TB_OK: it was neither. */
static tb_result tb__farewell(tb_game *g, const tb__message *m) {
    tb__span text = tb__text_of(m);
    char *code = NULL, *words = NULL;
    if (m->type != TB__CLOSE && m->type != TB__ERROR) return TB_OK;
    if (m->type == TB__ERROR && tb__is_object(text)) {
        tb__span code_at = tb__get(text, "code"), words_at = tb__get(text, "text");
        code = tb__string(code_at), words = tb__string(words_at);
    }
    if (m->type == TB__CLOSE) tb__say(g, TB_CLOSED, "the agent closed the session");
    else tb__say(g, TB_REFUSED, "the agent answered %s: %s", code ? code : "ERROR", words ? words : "");
    tb__no_session(g);
    return m->type == TB__CLOSE ? TB_CLOSED : TB_REFUSED;
}

/* ---- the door: dialling and listening ------------------------------------------------------------ */

/* Splits tcp://host:port, ws://host:port (the same port takes both) and tcp://[::1]:port. */
static int tb__split(const char *address, char host[64], char port[8]) {
    const char *at = strstr(address, "://"), *colon = strrchr(address, ':');
    size_t size, digits;
    if (!at || colon < (at += 3)) return 0;
    digits = strspn(colon + 1, "0123456789");
    if (!digits || digits > 5 || (colon[1 + digits] && strcmp(colon + 1 + digits, "/"))) return 0;
    size = (size_t)(colon - at);
    if (size > 1 && at[0] == '[' && at[size - 1] == ']') at++, size -= 2;
    if (!size || size >= 64) return 0;
    memcpy(host, at, size), host[size] = 0;
    memcpy(port, colon + 1, digits), port[digits] = 0;
    return 1;
}

static int tb__is_unix(const char *address) { return !strncmp(address, "unix://", 7); }

static int tb__unix_name(const char *address, struct sockaddr_un *name) {
    memset(name, 0, sizeof *name);
    name->sun_family = AF_UNIX;
    if (strlen(address + 7) >= sizeof name->sun_path || address[7] != '/') return 0;
    strcpy(name->sun_path, address + 7);
    return 1;
}

static int tb__socket(int family) {
    int sock = socket(family, SOCK_STREAM, 0), one = 1;
    if (sock < 0) return sock;
    fcntl(sock, F_SETFD, FD_CLOEXEC);
    if (family != AF_UNIX) setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    return sock;
}

/* A fresh connection, dialled or accepted: small messages go at once, and none kills the program. */
static void tb__tune(int sock) {
    int one = 1;
    fcntl(sock, F_SETFD, FD_CLOEXEC);
    setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* fails on Unix sockets: fine */
#ifdef SO_NOSIGPIPE
    setsockopt(sock, SOL_SOCKET, SO_NOSIGPIPE, &one, sizeof one);
#endif
}

/* Connects, waiting no longer than until the deadline. */
static int tb__connect_to(int family, const struct sockaddr *name, socklen_t size, int64_t deadline) {
    int sock = tb__socket(family), flags, wrong = 0;
    socklen_t length = sizeof wrong;
    if (sock < 0) return -1;
    flags = fcntl(sock, F_GETFL);
    fcntl(sock, F_SETFL, flags | O_NONBLOCK);
    if (connect(sock, name, size) < 0) {
        wrong = errno;
        if (wrong == EINPROGRESS && tb__poll(sock, POLLOUT, deadline))
            getsockopt(sock, SOL_SOCKET, SO_ERROR, &wrong, &length);
    }
    fcntl(sock, F_SETFL, flags);
    if (!wrong) return tb__tune(sock), sock;
    close(sock);
    return -1;
}

static struct addrinfo *tb__resolve(const char *address, int flags) {
    char host[64], port[8];
    struct addrinfo hints, *found = NULL;
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM, hints.ai_flags = flags;
    if (!tb__split(address, host, port) || getaddrinfo(host, port, &hints, &found)) return NULL;
    return found;
}

static int tb__dial_once(const char *address, int64_t deadline) {
    int sock = -1;
    if (tb__is_unix(address)) {
        struct sockaddr_un name;
        if (tb__unix_name(address, &name))
            sock = tb__connect_to(AF_UNIX, (struct sockaddr *)&name, sizeof name, deadline);
    } else {
        struct addrinfo *found = tb__resolve(address, 0);
        for (struct addrinfo *i = found; i && sock < 0; i = i->ai_next)
            sock = tb__connect_to(i->ai_family, i->ai_addr, i->ai_addrlen, deadline);
        if (found) freeaddrinfo(found);
    }
    return sock;
}

static tb_result tb__dial(tb_game *g, int64_t deadline) {
    int64_t patience = tb__deadline(g->options.connect_ms ? g->options.connect_ms : 30000);
    for (int wait = 10;; wait = wait < 500 ? wait * 2 : 1000) {
        int64_t until = tb__now() + 5 * TB__SECOND;
        if (deadline < until) until = deadline;
        g->sock = tb__dial_once(g->dial, until);
        if (g->sock >= 0) return TB_OK;
        if (!g->options.reconnect && tb__now() + wait * 1000000LL > patience)
            return tb__say(g, TB_LOST, "no agent at %s", g->dial);
        if (deadline != TB__NEVER && tb__now() + wait * 1000000LL > deadline) {
            if (tb__left(deadline)) tb__pause(tb__left(deadline));
            return tb__say(g, TB_TIMEOUT, "no agent yet at %s", g->dial);
        }
        tb__pause(wait);
    }
}

static int tb__is_loopback(const struct sockaddr *name) {
    static const uint8_t one[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    if (name->sa_family == AF_INET6)
        return !memcmp(&((const struct sockaddr_in6 *)(const void *)name)->sin6_addr, one, 16);
    return name->sa_family == AF_INET &&
           *(const uint8_t *)&((const struct sockaddr_in *)(const void *)name)->sin_addr == 127;
}

static tb_result tb__listen_unix(tb_game *g) {
    struct sockaddr_un name;
    mode_t mask;
    int bound, other = -1;
    if (!tb__unix_name(g->listen, &name)) return tb__say(g, TB_USAGE, "%s: no such address", g->listen);
    mask = umask(0177); /* nobody else may connect */
    g->listener = tb__socket(AF_UNIX);
    bound = bind(g->listener, (struct sockaddr *)&name, sizeof name);
    if (bound < 0 && errno == EADDRINUSE) {
        other = tb__dial_once(g->listen, tb__deadline(1000));
        if (other >= 0) close(other);
        else unlink(name.sun_path); /* nobody answers: left by a game that died */
        bound = bind(g->listener, (struct sockaddr *)&name, sizeof name);
    }
    umask(mask);
    if (bound < 0) return tb__say(g, TB_SYSTEM, "%s: %s", g->listen, strerror(errno));
    strcpy(g->socket_path, name.sun_path);
    snprintf(g->address, sizeof g->address, "%s", g->listen);
    return TB_OK;
}

static void tb__tell_address(tb_game *g) { /* with the port that was found */
    struct sockaddr_storage name;
    socklen_t size = sizeof name;
    char host[64], port[8];
    getsockname(g->listener, (struct sockaddr *)&name, &size);
    getnameinfo((struct sockaddr *)&name, size, host, sizeof host, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(g->address, sizeof g->address, strchr(host, ':') ? "tcp://[%s]:%s" : "tcp://%s:%s", host,
             port);
}

static tb_result tb__listen_tcp(tb_game *g) {
    struct addrinfo *found = strncmp(g->listen, "tcp://", 6) ? NULL : tb__resolve(g->listen, AI_PASSIVE);
    tb_result result = TB_OK;
    if (!found) return tb__say(g, TB_USAGE, "%s: no such address to listen at", g->listen);
    if (!g->has_token && !tb__is_loopback(found->ai_addr))
        result = tb__say(g, TB_USAGE, "%s: without a token only loopback is served", g->listen);
    else if ((g->listener = tb__socket(found->ai_family)) < 0 ||
             bind(g->listener, found->ai_addr, found->ai_addrlen) < 0)
        result = tb__say(g, TB_SYSTEM, "%s: %s", g->listen, strerror(errno));
    freeaddrinfo(found);
    if (result == TB_OK) tb__tell_address(g);
    return result;
}

static tb_result tb__listen(tb_game *g) {
    tb_result result = tb__is_unix(g->listen) ? tb__listen_unix(g) : tb__listen_tcp(g);
    if (result == TB_OK && listen(g->listener, 16) < 0)
        result = tb__say(g, TB_SYSTEM, "%s: %s", g->listen, strerror(errno));
    return result;
}

static tb_result tb__accept(tb_game *g, int64_t deadline) {
    if (g->spare >= 0) g->sock = g->spare, g->spare = -1; /* it knocked while we were busy */
    else if (!tb__poll(g->listener, POLLIN, deadline))
        return tb__say(g, TB_TIMEOUT, "no agent yet at %s", g->address);
    else g->sock = accept(g->listener, NULL, NULL);
    if (g->sock < 0) return tb__say(g, TB_LOST, "the agent is gone before it was met");
    tb__tune(g->sock);
    return TB_OK;
}

/* ---- shared memory -------------------------------------------------------------------------------- */

enum { TB__REQUEST = 0x80, TB__AGENT_WAITS = 0xc0, TB__RESPONSE = 0x100, TB__GAME_WAITS = 0x140,
       TB__NEWEST = 0x180, TB__ACCEPTED = 0x1c0, TB__SLOTS = 0x1000 };

/* Is `a` newer than `b`, as numbers that begin anew? */
static int tb__newer(uint32_t a, uint32_t b) { return a != b && a - b < 0x80000000u; }

/* What does not fit in the head of the mapped file; NULL if all does. */
static const char *tb__check_region(tb_game *g, uint64_t nonce) {
    const uint8_t *head = g->shm;
    uint64_t action = tb__get32(head + 0x2c), obs = tb__get32(head + 0x34);
    if (memcmp(head, "GBRS", 4)) return "bad magic in shared memory";
    if (tb__get32(head + 4) != 1) return "unknown layout of shared memory";
    if (tb__get64(head + 8) != g->shm_size) return "wrong size in shared memory";
    if (tb__get64(head + 16) != nonce) return "wrong nonce in shared memory";
    if (memcmp(head + 24, g->spec_hash, 16)) return "shared memory of another spec";
    if (tb__get32(head + 0x28) != 2 || tb__get32(head + 0x30) != 3) return "wrong number of slots";
    if (action < 64 || action % 64 || obs < 64 || obs % 64) return "slots of a wrong size";
    if (TB__SLOTS + 2 * action + 3 * obs > g->shm_size) return "shared memory too small for its slots";
    g->action_slot = (size_t)action, g->obs_slot = (size_t)obs;
    return NULL;
}

static const char *tb__map(tb_game *g, const char *path, uint64_t size) {
    int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    struct stat facts;
    void *base = MAP_FAILED;
    if (fd < 0) return "cannot open the file of shared memory";
    if (size >= TB__SLOTS && size <= (uint64_t)1 << 40 && !fstat(fd, &facts) &&
        S_ISREG(facts.st_mode) && facts.st_uid == geteuid() && (uint64_t)facts.st_size == size)
        base = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (base == MAP_FAILED) return "cannot map the file of shared memory";
    g->shm = (uint8_t *)base, g->shm_size = (size_t)size;
    return NULL;
}

/* Takes the offer of shared memory, or says why not. */
static const char *tb__take_offer(tb_game *g, tb__span offer) {
    tb__span size_at = tb__get(offer, "size"), nonce_at = tb__get(offer, "nonce"), path_at;
    char *path;
    const char *wrong;
    uint64_t size, nonce;
    path_at = tb__get(offer, "path");
    if (!tb__integer(size_at.at, size_at.end, INT64_MAX, &size)) return "no size in the offer";
    if (!nonce_at.at || *nonce_at.at != '"' ||
        !tb__integer(nonce_at.at + 1, nonce_at.end - 1, UINT64_MAX, &nonce))
        return "no nonce in the offer";
    if (!(path = tb__string(path_at))) return "no path in the offer";
    if ((wrong = tb__map(g, path, size)) != NULL) return wrong;
    if ((wrong = tb__check_region(g, nonce)) != NULL) {
        munmap(g->shm, g->shm_size), g->shm = NULL;
        return wrong;
    }
    g->shm_number = 0, g->asked = 0;
    tb__store64(g->shm + TB__ACCEPTED, nonce + 1);
    return NULL;
}

static uint32_t tb__after(uint32_t seq) { return seq + 1 ? seq + 1 : 1; }

static int tb__slot_is(const uint8_t *slot, uint64_t number) {
    return tb__load64(slot) == number && tb__load64(slot + 8) == number;
}

/* Copies request `seq` out of its slot: 1, 0 if it changed meanwhile, -1 if it is no request. */
static int tb__copy_request(tb_game *g, tb__message *m, uint32_t seq) {
    const uint8_t *slot = g->shm + TB__SLOTS + (seq & 1) * g->action_slot;
    uint8_t header[TB__HEADER];
    const char *wrong;
    if (!tb__slot_is(slot, seq)) return 0;
    memcpy(header, slot + 16, TB__HEADER);
    wrong = tb__parse_header(header, m, g->crc, 1);
    if (!wrong && m->length == g->action_size && m->length <= g->action_slot - 64)
        memcpy(g->action_copy, slot + 64, m->length);
    else wrong = "";
    tb__fence();
    if (!tb__slot_is(slot, seq)) return 0;
    m->body = g->action_copy;
    if (wrong || m->seq != seq || m->type != (g->latest ? TB_ACTION : TB_STEP)) return -1;
    return tb__crc_is_bad(m, header) ? -1 : 1;
}

static tb_result tb__take_shared(tb_game *g, tb__message *m) {
    for (int tries = 0; tries < 1000; tries++) {
        int got = tb__copy_request(g, m, tb__load32(g->shm + TB__REQUEST));
        if (got > 0) return TB_OK;
        if (got < 0 || !g->latest) break;
    }
    return tb__fail(g, TB_PROTOCOL, "protocol", "a broken request in shared memory");
}

/* 0: no request here; 1: the next one; 2: one that came after others, which may lie in the socket. */
static int tb__look(const tb_game *g) {
    uint32_t seq = tb__load32(g->shm + TB__REQUEST);
    if (!seq || (g->taken && !tb__newer(seq, g->taken))) return 0;
    return seq == tb__after(g->taken) ? 1 : 2;
}

/* Does it pay to look for a while before sleeping? It spares waking up, but costs a processor that
   others may need, the agent among them. So both are tried for 128 requests each, by the time from one
   request to the next (but for long thoughts of the agent), and the better is kept for 4,096. */
static int tb__pays(tb_game *g) {
    int64_t now = tb__now(), took = now - g->asked_at;
    g->asked_at = now;
    if (g->asked == 0) g->cost[0] = g->cost[1] = 0;
    else if (g->asked <= 256) g->cost[g->asked > 128] += took < TB__SECOND / 1000 ? took : TB__SECOND / 1000;
    g->asked = g->asked < 256 + 4096 ? g->asked + 1 : 0;
    return g->asked <= 256 ? g->asked > 128 : g->cost[1] < g->cost[0] - g->cost[0] / 8;
}

static void tb__spin(tb_game *g) {
    int64_t until;
    if (g->options.spin_us < 0 || !tb__pays(g)) return;
    until = tb__now() + g->options.spin_us * 1000LL;
    do {
        for (int i = 0; i < 64; i++)
            if (tb__look(g)) return;
    } while (tb__now() < until);
}

/* The next message from wherever it comes. */
static tb_result tb__wait(tb_game *g, tb__message *m, int64_t deadline) {
    if (!g->shm) return tb__receive(g, m, deadline);
    if (++g->looks % 64 == 0 && tb__await(g, 0)) return tb__receive(g, m, deadline); /* in its turn */
    if (tb__look(g) != 1 && g->have > g->used) return tb__receive(g, m, deadline); /* already here */
    tb__spin(g);
    for (;;) {
        int news = tb__look(g), ready;
        int64_t until = tb__now() + TB__SECOND / 20;
        if (news == 1) return tb__take_shared(g, m);
        tb__store32(g->shm + TB__GAME_WAITS, 1);
        tb__fence();
        if (!news) news = tb__look(g);
        ready = tb__await(g, news ? 0 : until < deadline ? until : deadline);
        tb__store32(g->shm + TB__GAME_WAITS, 0);
        if (ready) return tb__receive(g, m, deadline);
        if (news) return tb__take_shared(g, m);
        if (tb__now() >= deadline) return TB_TIMEOUT;
    }
}

/* Puts the frame into the next slot if it fits. */
static int tb__share_frame(tb_game *g, size_t length, uint32_t seq) {
    uint64_t number = g->shm_number + 1;
    uint8_t *slot;
    if (!g->shm || length > g->obs_slot - 64) return 0;
    slot = g->shm + TB__SLOTS + 2 * g->action_slot + number % 3 * g->obs_slot;
    tb__header(g->frame, TB__OBS, TB__IN_SHM, (uint32_t)length, seq, g->episode, 0);
    tb__store64(slot, number);
    tb__fence();
    memcpy(slot + 16, g->frame, TB__HEADER);
    memcpy(slot + 64, g->frame + TB__HEADER, length);
    tb__store64(slot + 8, number);
    tb__store64(g->shm + TB__NEWEST, number);
    tb__store32(g->shm + TB__RESPONSE, seq);
    tb__fence();
    g->shm_number = number;
    if (tb__load32(g->shm + TB__AGENT_WAITS)) tb__begin(g), tb__send_out(g, TB__BELL);
    return 1;
}

/* ---- opening a session --------------------------------------------------------------------------- */

/* A message of this type whose body is a JSON object. */
static tb_result tb__expect(tb_game *g, int type, tb__span *object, int64_t deadline) {
    tb__message m;
    tb_result result = tb__receive(g, &m, deadline);
    if (result == TB_TIMEOUT)
        return tb__fail(g, TB_PROTOCOL, "timeout", "the agent does not open the session");
    if (result == TB_OK) result = tb__farewell(g, &m);
    if (result != TB_OK) return result;
    *object = tb__text_of(&m);
    if (m.type != type && (type == TB__AUTH || m.type == TB__AUTH))
        return tb__fail(g, TB_AUTH, "auth", "only one side has a token");
    if (m.type != type) return tb__fail(g, TB_PROTOCOL, "protocol", "a message out of order");
    if (!tb__is_object(*object)) return tb__fail(g, TB_PROTOCOL, "protocol", "a body that is no JSON object");
    return TB_OK;
}

static void tb__caps(const tb_game *g, tb__text *out) {
    unsigned can = g->options.can;
    tb__puts(out, "[\"crc\"");
    if (TB__SHM && !g->options.no_shm) tb__puts(out, ",\"shm\"");
    if (can & TB_CAN_SEED) tb__puts(out, ",\"seed\"");
    if (can & TB_CAN_LATEST) tb__puts(out, ",\"latest\"");
    if (can & TB_CAN_CALL) tb__puts(out, ",\"call\"");
    if (can & TB_CAN_RENDER) tb__puts(out, ",\"render\"");
    tb__puts(out, "]");
}

static tb_result tb__send_hello(tb_game *g, char nonce[65]) {
    uint8_t random[32];
    tb__text *out = tb__begin(g);
    if (!tb__random(random, 32)) return tb__fail(g, TB_SYSTEM, "internal", "no randomness");
    tb__hex(random, 32, nonce);
    tb__printf(out, "{\"proto\":[1,0],\"min_major\":1,\"role\":\"game\",\"pid\":%ld,\"name\":",
               (long)getpid());
    tb__quote(out, g->spec->name);
    tb__puts(out, ",\"version\":");
    tb__quote(out, g->version ? g->version : "");
    tb__puts(out, ",\"caps\":");
    tb__caps(g, out);
    tb__printf(out, ",\"nonce\":\"%s\",\"session\":", nonce);
    tb__quote(out, g->session ? g->session : "");
    tb__puts(out, g->has_token ? ",\"auth\":true}" : ",\"auth\":false}");
    return tb__send_out(g, TB__HELLO);
}

static tb_result tb__take_hello(tb_game *g, char nonce[65], int64_t deadline) {
    tb__span hello, proto, least, nonce_at;
    uint64_t major = 0, minimum = 0;
    uint8_t bytes[32];
    char *text, *comma;
    tb_result result = tb__expect(g, TB__HELLO, &hello, deadline);
    if (result != TB_OK) return result;
    proto = tb__get(hello, "proto"), least = tb__get(hello, "min_major");
    if (proto.at && *proto.at == '[') {
        proto.at = tb__blank(proto.at + 1, proto.end);
        comma = tb__skip_digits(proto.at, proto.end);
        tb__integer(proto.at, comma, UINT32_MAX, &major);
    }
    if (!major || !tb__integer(least.at, least.end, UINT32_MAX, &minimum))
        return tb__fail(g, TB_PROTOCOL, "protocol", "HELLO without a version");
    if (minimum > 1) { /* this client speaks 1 only, and every later major is above it */
        char words[120];
        snprintf(words, sizeof words, "this game speaks protocol 1.0, the agent %lu to %lu",
                 (unsigned long)minimum, (unsigned long)major);
        return tb__fail(g, TB_VERSION, "version", words);
    }
    if (!tb__is(tb__get(hello, "role"), "\"agent\""))
        return tb__fail(g, TB_PROTOCOL, "protocol", "the other side is no agent");
    if (tb__is(tb__get(hello, "auth"), g->has_token ? "false" : "true")) /* it may be missing */
        return tb__fail(g, TB_AUTH, "auth", "only one side has a token");
    nonce_at = tb__get(hello, "nonce");
    text = tb__string(nonce_at);
    if (!text || !tb__unhex(text, bytes, 32))
        return tb__fail(g, TB_PROTOCOL, "protocol", "HELLO without a nonce");
    strcpy(nonce, text);
    return TB_OK;
}

static void tb__mac(const tb_game *g, const char *role, const char *agent, const char *game,
                    uint8_t mac[32]) {
    char text[192];
    snprintf(text, sizeof text, "tropism-bridge-1|%s|%s|%s", role, agent, game);
    tb__hmac(g->token, text, mac);
}

static tb_result tb__send_auth(tb_game *g, const char *agent, const char *game) {
    uint8_t mac[32];
    char hex[65];
    tb__mac(g, "game", agent, game, mac);
    tb__hex(mac, 32, hex);
    tb__printf(tb__begin(g), "{\"mac\":\"%s\"}", hex);
    return tb__send_out(g, TB__AUTH);
}

static tb_result tb__take_auth(tb_game *g, const char *agent, const char *game, int64_t deadline) {
    tb__span auth, mac_at;
    uint8_t mac[32], wanted[32];
    char *text;
    tb_result result = tb__expect(g, TB__AUTH, &auth, deadline);
    if (result != TB_OK) return result;
    mac_at = tb__get(auth, "mac");
    text = tb__string(mac_at);
    tb__mac(g, "agent", agent, game, wanted);
    if (!text || !tb__unhex(text, mac, 32) || !tb__same(mac, wanted, 32))
        return tb__fail(g, TB_AUTH, "auth", "no proof of the secret");
    return TB_OK;
}

/* HELLO both ways, and proofs both ways if there is a token; the dialler speaks first. */
static tb_result tb__meet(tb_game *g, int64_t deadline) {
    char ours[65], theirs[65];
    tb_result result = g->dialled ? tb__send_hello(g, ours) : TB_OK;
    if (result == TB_OK) result = tb__take_hello(g, theirs, deadline);
    if (result == TB_OK && !g->dialled) result = tb__send_hello(g, ours);
    if (result != TB_OK || !g->has_token) return result;
    if (g->dialled) result = tb__send_auth(g, theirs, ours);
    if (result == TB_OK) result = tb__take_auth(g, theirs, ours, deadline);
    if (result == TB_OK && !g->dialled) result = tb__send_auth(g, theirs, ours);
    return result;
}

static int tb__granted(tb__span caps, const char *quoted) { /* an element of an array of strings */
    char *at = caps.at && *caps.at == '[' ? caps.at + 1 : NULL;
    while (at) {
        char *from = tb__blank(at, caps.end), *end = tb__skip(from, caps.end, TB__JSON_DEPTH);
        tb__span one;
        if (!end) return 0; /* the closing bracket */
        one.at = from, one.end = end;
        if (tb__is(one, quoted)) return 1;
        at = tb__blank(end, caps.end);
        at = *at == ',' ? at + 1 : NULL;
    }
    return 0;
}

static tb_result tb__take_welcome(tb_game *g, int64_t deadline, int *shm) {
    tb__span welcome, caps, most, mode;
    uint64_t max_message;
    tb_result result = tb__expect(g, TB__WELCOME, &welcome, deadline);
    if (result != TB_OK) return result;
    caps = tb__get(welcome, "caps"), most = tb__get(welcome, "max_message"), mode = tb__get(welcome, "mode");
    if (!tb__integer(most.at, most.end, UINT32_MAX, &max_message))
        return tb__fail(g, TB_PROTOCOL, "protocol", "WELCOME without max_message");
    g->latest = tb__is(mode, "\"latest\"");
    if (!g->latest && !tb__is(mode, "\"lockstep\""))
        return tb__fail(g, TB_PROTOCOL, "protocol", "WELCOME without a mode");
    if (g->latest && !(g->options.can & TB_CAN_LATEST))
        return tb__fail(g, TB_PROTOCOL, "unsupported", "this game waits for its agent: lock-step only");
    g->max_message = (uint32_t)max_message;
    g->crc = tb__granted(caps, "\"crc\"");
    *shm = TB__SHM && !g->options.no_shm && tb__granted(caps, "\"shm\"");
    if (g->spec->json.size > max_message || g->frame_size - TB__HEADER > max_message ||
        g->action_size > max_message)
        return tb__fail(g, TB_USAGE, "too-large", "the spaces of this game need longer messages");
    return TB_OK;
}

/* An offer of shared memory, if one comes before READY; it is taken or declined. */
static tb_result tb__maybe_share(tb_game *g, int64_t deadline) {
    const char *wrong;
    tb__span offer;
    tb_result result;
    tb__drop(g);
    if ((result = tb__fill(g, 5, deadline, "")) == TB_TIMEOUT) return TB_OK; /* told by who comes next */
    if (result != TB_OK || g->in[4] != TB__SHM_OFFER) return result;
    if ((result = tb__expect(g, TB__SHM_OFFER, &offer, deadline)) != TB_OK) return result;
    wrong = tb__take_offer(g, offer);
    if (wrong) tb__printf(tb__begin(g), "{\"ok\":false,\"reason\":\"%s\"}", wrong);
    else tb__puts(tb__begin(g), "{\"ok\":true}");
    return tb__send_out(g, TB__SHM_ACK);
}

static tb_result tb__take_ready(tb_game *g, int64_t deadline) {
    char hex[35];
    tb__span ready;
    tb_result result = tb__expect(g, TB__READY, &ready, deadline);
    if (result != TB_OK) return result;
    hex[0] = '"', tb__hex(g->spec_hash, 16, hex + 1), strcpy(hex + 33, "\"");
    if (tb__is(tb__get(ready, "spec"), hex)) return TB_OK;
    return tb__fail(g, TB_PROTOCOL, "spec", "READY for another spec");
}

static tb_result tb__handshake(tb_game *g, int dialled) {
    int64_t deadline = tb__now() + 5 * TB__SECOND;
    int shm = 0;
    tb_result result;
    g->dialled = dialled, g->crc = g->latest = 0, g->max_message = TB__MAX_HELLO;
    g->taken = g->episode = g->number = 0, g->was_reset = g->pending = 0, g->call_id[0] = 0;
    g->have = g->used = 0;
    if ((result = tb__meet(g, deadline)) != TB_OK) return result;
    g->max_message = TB__MAX_MESSAGE;
    if ((result = tb__take_welcome(g, deadline, &shm)) != TB_OK) return result;
    tb__begin(g);
    tb__put(&g->out, g->spec->json.data, g->spec->json.size);
    if ((result = tb__send_out(g, TB__SPEC)) != TB_OK) return result;
    if (shm && (result = tb__maybe_share(g, deadline)) != TB_OK) return result;
    result = tb__take_ready(g, deadline);
    if (result == TB_OK) g->ever = 1;
    return result;
}

/* ---- requests --------------------------------------------------------------------------------------- */

static tb_result tb__take_reset(tb_game *g, const tb__message *m, tb_request *request) {
    tb__span text = tb__text_of(m), seed, options;
    if (!tb__is_object(text)) return tb__fail(g, TB_PROTOCOL, "protocol", "RESET is no JSON object");
    seed = tb__get(text, "seed"), options = tb__get(text, "options");
    request->has_seed = seed.at && !tb__is(seed, "null");
    if (request->has_seed && !tb__integer(seed.at, seed.end, ((uint64_t)1 << 53) - 1, &request->seed))
        return tb__fail(g, TB_PROTOCOL, "protocol", "RESET with a seed that is no integer in [0, 2^53)");
    if (options.at && !tb__is(options, "null")) {
        if (*options.at != '{') return tb__fail(g, TB_PROTOCOL, "protocol", "options are no object");
        request->json = options.at, *options.end = 0; /* a bracket or comma stood there */
    }
    g->seed_ignored = request->has_seed && !(g->options.can & TB_CAN_SEED);
    g->episode = m->episode, g->was_reset = 1, g->pending = 1, g->step = 0;
    for (int i = 0; i < g->spec->agents; i++) {
        memset(g->frame + 64 + 16 * i, 0, 16);
        tb_alive(g, i, 1);
    }
    return TB_OK;
}

/* One integer of an action. */
static int64_t tb__value(const uint8_t *at, int type) {
    if (type == TB_I8) return (int64_t)tb__get64(at);
    if (type == TB_U4) return tb__get32(at);
    return type == TB_I1 ? (int8_t)*at : *at;
}

static const char *tb__wrong_action(const tb_game *g, const tb__message *m) {
    const tb_spec *s = g->spec;
    if (m->length != g->action_size) return "an action of a wrong size";
    if (tb__get32(m->body) != (uint32_t)s->agents || tb__get32(m->body + 4)) return "wrong number of agents";
    for (int i = 0; i < s->agents; i++)
        if (tb__get64(m->body + s->agent[i].at[1]) > 1) return "a flag that is neither 0 nor 1";
    for (const tb__check *c = s->check; c < s->check + s->checks; c++) {
        const uint8_t *acts = m->body + s->agent[c->agent].at[1], *at = acts + 8 + c->at;
        for (size_t i = 0; i < c->count && tb__get64(acts); i++, at += tb__type_sizes[c->type])
            if (tb__value(at, c->type) < c->low || tb__value(at, c->type) > c->high)
                return "an action outside its space";
    }
    return NULL;
}

static tb_result tb__take_action(tb_game *g, const tb__message *m) {
    const char *wrong;
    if (m->type != (g->latest ? TB_ACTION : TB_STEP))
        return tb__fail(g, TB_PROTOCOL, "protocol", "a request of the other mode");
    if (!g->was_reset)
        return tb__fail(g, TB_PROTOCOL, "protocol", "the first request must be RESET");
    if (m->episode != g->episode) {
        if (g->latest) return TB__AGAIN;
        return tb__fail(g, TB_PROTOCOL, "protocol", "a STEP of another episode");
    }
    if ((wrong = tb__wrong_action(g, m)) != NULL) return tb__fail(g, TB_PROTOCOL, "action", wrong);
    g->actions = m->body, g->pending = !g->latest;
    return TB_OK;
}

static tb_result tb__take_named(tb_game *g, const tb__message *m, tb_request *request) {
    tb__span text = tb__text_of(m), name, json, id;
    if (!tb__is_object(text)) return tb__fail(g, TB_PROTOCOL, "protocol", "a body that is no JSON object");
    name = tb__get(text, "name"), json = tb__get(text, m->type == TB_CALL ? "args" : "data");
    id = tb__get(text, "id");
    if (m->type == TB_CALL) {
        char *digits = id.at && *id.at == '-' ? id.at + 1 : id.at;
        if (!digits || id.end - id.at > 20 || digits == id.end || tb__skip_digits(digits, id.end) != id.end)
            return tb__fail(g, TB_PROTOCOL, "protocol", "CALL without an id");
        memcpy(g->call_id, id.at, (size_t)(id.end - id.at)), g->call_id[id.end - id.at] = 0;
    }
    if (json.at && !tb__is(json, "null")) request->json = json.at, *json.end = 0;
    request->name = tb__string(name);
    return request->name ? TB_OK : tb__fail(g, TB_PROTOCOL, "protocol", "a message without a name");
}

/* TB_OK: a request for the game; TB__AGAIN: it was for us. */
static tb_result tb__handle(tb_game *g, const tb__message *m, tb_request *request) {
    tb_result result = tb__farewell(g, m);
    if (result != TB_OK) return result;
    memset(request, 0, sizeof *request);
    request->type = m->type, request->seq = m->seq, request->episode = m->episode;
    if (m->type == TB_RESET || m->type == TB_STEP || m->type == TB_ACTION) {
        if (!m->seq || (g->taken && !tb__newer(m->seq, g->taken))) return TB__AGAIN;
        g->taken = m->seq;
        return m->type == TB_RESET ? tb__take_reset(g, m, request) : tb__take_action(g, m);
    }
    if (m->type == TB_EVENT || m->type == TB_CALL) return tb__take_named(g, m, request);
    if (m->type == TB__PING && m->length <= 64) {
        tb__put(tb__begin(g), m->body, m->length);
        tb__send_out(g, TB__PONG);
        return TB__AGAIN;
    }
    if ((m->type == TB__PONG && m->length <= 64) || m->type == TB__BELL) return TB__AGAIN;
    return tb__fail(g, TB_PROTOCOL, "protocol", "a message that an agent does not send now");
}

/* ---- what the game calls ------------------------------------------------------------------------------ */

/* An option, or else a variable of the environment; NULL if empty. */
static char *tb__option(const char *text, const char *variable) {
    if (!text && variable) text = getenv(variable);
    return text && *text ? tb__copy(text) : NULL;
}

static tb_result tb__read_options(tb_game *g, const tb_options *options) {
    char *token;
    if (options) g->options = *options;
    if (!g->options.spin_us) g->options.spin_us = 30;
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2) g->options.spin_us = -1;
    g->listen = tb__option(g->options.listen, NULL);
    g->dial = tb__option(g->options.dial, g->listen ? NULL : "TROPISM_BRIDGE_ADDR");
    g->session = tb__option(g->options.session, "TROPISM_BRIDGE_SESSION");
    g->version = tb__option(g->options.version, NULL);
    token = tb__option(g->options.token, "TROPISM_BRIDGE_TOKEN");
    g->has_token = token != NULL;
    if (token && !tb__unhex(token, g->token, 32)) {
        free(token);
        return tb__say(g, TB_USAGE, "the token is not 64 hexadecimal digits");
    }
    free(token);
    if (g->listen) return tb__listen(g);
    return TB_OK;
}

static tb_result tb__make_room(tb_game *g) {
    const tb_spec *s = g->spec;
    const char *json = tb_spec_json(g->spec);
    if (!json) return tb__say(g, TB_USAGE, "the spec: %s", s ? s->error : "out of memory");
    tb__sha256(json, s->json.size, NULL, 0, g->spec_hash);
    g->frame_size = 64 + 16 * (size_t)s->agents, g->action_size = 8;
    for (int i = 0; i < s->agents; i++)
        g->frame_size += s->agent[i].size[0], g->action_size += 8 + s->agent[i].size[1];
    g->frame_size += 8; /* the length of the info */
    g->frame_room = g->frame_size + TB__INFO_ROOM;
    g->frame = (uint8_t *)calloc(1, g->frame_room);
    g->action_copy = (uint8_t *)malloc(g->action_size);
    if (!g->frame || !g->action_copy || !tb__reserve(g, 4096)) return tb__say(g, TB_SYSTEM, "out of memory");
    tb__set32(g->frame + 60, (uint32_t)s->agents);
    return TB_OK;
}

tb_game *tb_open(tb_spec *spec, const tb_options *options) {
    tb_game *g = (tb_game *)calloc(1, sizeof *g);
    if (!g) return tb_spec_free(spec), (tb_game *)NULL;
    g->spec = spec, g->sock = g->listener = g->spare = -1, g->status = TB_STATUS_AUTO;
    g->mistake = tb__make_room(g);
    if (g->mistake == TB_OK) g->mistake = tb__read_options(g, options);
    return g;
}

void tb_free(tb_game *g) {
    if (!g) return;
    tb_close(g, "the game ends");
    if (g->spare >= 0) close(g->spare);
    if (g->listener >= 0) close(g->listener);
    if (g->socket_path[0]) unlink(g->socket_path);
    tb_spec_free(g->spec);
    free(g->dial), free(g->listen), free(g->session), free(g->version);
    free(g->in), free(g->out.data), free(g->action_copy), free(g->frame), free(g);
}

void tb_close(tb_game *g, const char *reason) {
    tb__text *out;
    if (g->sock < 0) return;
    out = tb__begin(g);
    tb__puts(out, "{\"reason\":");
    tb__quote(out, reason);
    tb__puts(out, "}");
    if (tb__poll(g->sock, POLLOUT, 0)) tb__send_out(g, TB__CLOSE);
    tb__hang_up(g);
}

tb_result tb_attach(tb_game *g, int sock, int dialled) {
    if (g->mistake != TB_OK) return g->mistake;
    tb_close(g, "another connection is taken");
    tb__tune(g->sock = sock);
    return tb__handshake(g, dialled);
}

/* May another try help? Not where the two will never agree. */
static int tb__may_retry(const tb_game *g, tb_result result) {
    if (g->listener >= 0) return result < TB_USAGE; /* there are other clients */
    return g->options.reconnect && result <= TB_PROTOCOL;
}

tb_result tb_connect(tb_game *g, int timeout_ms) {
    int64_t deadline = tb__deadline(timeout_ms);
    if (g->mistake != TB_OK) return g->mistake;
    if (g->sock < 0 && g->listener < 0 && !g->dial)
        return tb__say(g, TB_USAGE, "no address: set TROPISM_BRIDGE_ADDR, or `dial` or `listen`");
    while (g->sock < 0) {
        tb_result result = g->listener >= 0 ? tb__accept(g, deadline) : tb__dial(g, deadline);
        if (result == TB_OK) result = tb__handshake(g, g->listener < 0);
        if (result == TB_TIMEOUT || (result != TB_OK && !tb__may_retry(g, result))) return result;
        if (result != TB_OK && g->listener < 0) tb__pause(100);
    }
    return TB_OK;
}

tb_result tb_next(tb_game *g, tb_request *request, int timeout_ms) {
    int64_t deadline = tb__deadline(timeout_ms);
    g->actions = NULL;
    if (g->call_id[0]) tb_reply_error(g, "the game did not answer");
    for (;;) {
        tb__message m;
        tb_result result;
        if (g->sock < 0 && g->ever && !g->options.reconnect && !g->mistake)
            return TB_CLOSED;
        result = tb_connect(g, timeout_ms < 0 ? TB_FOREVER : tb__left(deadline));
        if (result != TB_OK) return result;
        result = tb__wait(g, &m, deadline);
        if (result == TB_OK) result = tb__handle(g, &m, request);
        if (result == TB__AGAIN) continue;
        if (result <= TB_TIMEOUT || !g->options.reconnect || result >= TB_USAGE) return result;
    }
}

const void *tb_action(const tb_game *g, int agent) {
    const uint8_t *acts;
    if (!g->actions || agent < 0 || agent >= g->spec->agents) return NULL;
    acts = g->actions + g->spec->agent[agent].at[1];
    return tb__get64(acts) ? acts + 8 : NULL;
}

static int tb__is_agent(const tb_game *g, int agent) {
    return g->mistake == TB_OK && agent >= 0 && agent < g->spec->agents;
}

void *tb_observation(tb_game *g, int agent) {
    if (!tb__is_agent(g, agent)) return NULL;
    return g->frame + 64 + 16 * (size_t)g->spec->agents + g->spec->agent[agent].at[0];
}

void tb_outcome(tb_game *g, int agent, double reward, int terminated, int truncated) {
    uint8_t *at = g->frame + 64 + 16 * (size_t)agent;
    if (!tb__is_agent(g, agent)) return;
    memcpy(at, &reward, 8);
    at[8] = terminated != 0, at[9] = truncated != 0;
}

void tb_alive(tb_game *g, int agent, int alive) {
    if (tb__is_agent(g, agent)) g->frame[64 + 16 * agent + 10] = alive != 0;
}

void tb_clock(tb_game *g, uint64_t nanoseconds) {
    if (g->mistake == TB_OK) tb__set64(g->frame + 48, nanoseconds);
}

void tb_status(tb_game *g, int status) { g->status = status; }

/* Ready after the reset, running as long as one agent goes on, then terminated or, if nobody was,
   truncated. */
static uint32_t tb__status_now(const tb_game *g) {
    int terminated = 0, truncated = 0;
    if (g->status != TB_STATUS_AUTO) return (uint32_t)g->status;
    if (!g->step) return TB_READY;
    for (int i = 0; i < g->spec->agents; i++) {
        const uint8_t *at = g->frame + 64 + 16 * i;
        if (at[10] && !at[8] && !at[9]) return TB_RUNNING;
        terminated |= at[8], truncated |= at[9];
    }
    return truncated && !terminated ? TB_TRUNCATED : TB_TERMINATED;
}

/* Writes the info behind the observations; returns the length of the body, 0 without memory. */
static size_t tb__put_info(tb_game *g, const char *info) {
    size_t size = info ? strlen(info) : 0;
    if (g->frame_size + size > g->frame_room) {
        uint8_t *frame = (uint8_t *)realloc(g->frame, g->frame_size + size);
        if (!frame) return 0;
        g->frame = frame, g->frame_room = g->frame_size + size;
    }
    tb__set32(g->frame + g->frame_size - 8, (uint32_t)size);
    if (size) memcpy(g->frame + g->frame_size, info, size);
    return g->frame_size - TB__HEADER + size;
}

/* {"seed_ignored": true}, for each agent if there are several. */
static const char *tb__seed_info(tb_game *g) {
    tb__text *out = tb__begin(g);
    for (int i = 0; i < g->spec->agents && g->spec->agents > 1; i++) {
        tb__puts(out, i ? "," : "{");
        tb__quote(out, g->spec->agent[i].id);
        tb__puts(out, ":{\"seed_ignored\":true}");
    }
    tb__puts(out, g->spec->agents > 1 ? "}" : "{\"seed_ignored\":true}");
    return out->failed ? NULL : out->data + TB__HEADER;
}

/* The reset's answer has no outcome yet; agents that are not alive have no observation. */
static void tb__tidy_frame(tb_game *g) {
    for (int i = 0; i < g->spec->agents; i++) {
        uint8_t *at = g->frame + 64 + 16 * i;
        if (!g->step) memset(at, 0, 10);
        if (!at[10]) memset(tb_observation(g, i), 0, g->spec->agent[i].size[0]);
    }
    tb__set64(g->frame + 32, g->step);
    tb__set64(g->frame + 40, g->taken);
    tb__set32(g->frame + 56, tb__status_now(g));
}

/* After a frame: nobody has a reward yet, and whoever ended is not alive any more. */
static void tb__next_frame(tb_game *g) {
    for (int i = 0; i < g->spec->agents; i++) {
        uint8_t *at = g->frame + 64 + 16 * i;
        if (at[8] || at[9]) at[10] = 0;
        memset(at, 0, 10);
    }
    g->step++, g->pending = 0;
}

/* In latest-frame mode a frame that the agent does not read is not waited for, unless it tells of a
   beginning or an end. */
static int tb__may_skip(const tb_game *g) {
    if (!g->latest || !g->step || tb__get32(g->frame + 56) != TB_RUNNING) return 0;
    for (int i = 0; i < g->spec->agents; i++)
        if (g->frame[64 + 16 * i + 8] || g->frame[64 + 16 * i + 9]) return 0;
    return 1;
}

tb_result tb_observe(tb_game *g, const char *info) {
    size_t length;
    uint32_t seq;
    if (g->mistake != TB_OK) return g->mistake;
    if (g->sock < 0) return TB_CLOSED;
    if (!g->was_reset || (!g->latest && !g->pending))
        return tb__say(g, TB_USAGE, "tb_observe: no request waits for an answer");
    if (!info && g->seed_ignored && !g->step) info = tb__seed_info(g);
    if (info && !tb__is_object(tb__all(info)))
        return tb__say(g, TB_USAGE, "tb_observe: the info is no JSON object");
    tb__tidy_frame(g);
    if (!(length = tb__put_info(g, info))) return tb__say(g, TB_SYSTEM, "out of memory");
    if (length > g->max_message) return tb__say(g, TB_USAGE, "tb_observe: the info is too long");
    seq = g->latest ? tb__after(g->number) : g->taken;
    if (!tb__share_frame(g, length, seq)) {
        if (tb__may_skip(g) && !tb__poll(g->sock, POLLOUT, 0)) return g->skipped++, TB_OK;
        tb__send_frame(g, g->frame, TB__OBS, length, seq);
    }
    g->number = seq;
    tb__next_frame(g);
    return TB_OK;
}

tb_result tb_event(tb_game *g, const char *name, const char *json) {
    tb__text *out;
    if (g->mistake != TB_OK) return g->mistake;
    if (g->sock < 0) return TB_CLOSED;
    out = tb__begin(g);
    tb__puts(out, "{\"name\":");
    tb__quote(out, name);
    tb__puts(out, ",\"data\":");
    tb__puts(out, json ? json : "null");
    tb__puts(out, "}");
    if (!tb__is_object(tb__body(out))) return tb__say(g, TB_USAGE, "tb_event: the data is no JSON");
    return tb__send_out(g, TB_EVENT);
}

/* Begins a REPLY; NULL if no CALL waits for one. */
static tb__text *tb__begin_reply(tb_game *g, const char *key) {
    tb__text *out;
    if (g->mistake != TB_OK || g->sock < 0 || !g->call_id[0]) return NULL;
    out = tb__begin(g);
    tb__printf(out, "{\"id\":%s,\"%s\":", g->call_id, key);
    return out;
}

static tb_result tb__end_reply(tb_game *g, tb__text *out) {
    if (!out) return tb__say(g, TB_USAGE, "tb_reply: no call waits for an answer");
    tb__puts(out, "}");
    if (!tb__is_object(tb__body(out))) return tb__say(g, TB_USAGE, "tb_reply: the result is no JSON");
    g->call_id[0] = 0;
    return tb__send_out(g, TB__REPLY);
}

tb_result tb_reply(tb_game *g, const char *json) {
    tb__text *out = tb__begin_reply(g, "result");
    if (out) tb__puts(out, json ? json : "null");
    return tb__end_reply(g, out);
}

tb_result tb_reply_error(tb_game *g, const char *text) {
    tb__text *out = tb__begin_reply(g, "error");
    if (out) tb__quote(out, text);
    return tb__end_reply(g, out);
}

tb_result tb_reply_array(tb_game *g, tb_type type, int dims, const uint32_t *shape, const void *data) {
    tb__text *out = tb__begin_reply(g, "result");
    if (out) {
        uint64_t count;
        tb__printf(out, "{\"d\":\"%s\"", tb__type_names[type]);
        count = tb__shape(out, dims, shape);
        tb__puts(out, ",\"b64\":\"");
        tb__base64(out, data, (size_t)count * tb__type_sizes[type]);
        tb__puts(out, "\"}");
    }
    return tb__end_reply(g, out);
}

const char *tb_error(const tb_game *g) { return g ? g->error : "out of memory"; }
const char *tb_address(const tb_game *g) { return g->address; }
int tb_is_latest(const tb_game *g) { return g->latest; }
int tb_is_shared(const tb_game *g) { return g->shm != NULL; }
uint64_t tb_skipped(const tb_game *g) { return g->skipped; }

#endif /* TROPISM_BRIDGE_IMPLEMENTED */
#endif /* TROPISM_BRIDGE_IMPLEMENTATION */
