// What the C programs of the benchmark share: clocks, errors, browser-like handshakes, and a walk
// over WebSocket frames that looks at a frame's header and two bytes of its payload.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what) {
    perror(what);
    exit(1);
}

static double seconds_on(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static inline double now_ms(void) { return seconds_on(CLOCK_REALTIME) * 1e3; }

static void allow_many_files(void) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

// ---- Connections --------------------------------------------------------------------------------

// Connects to 127.0.0.1. Source addresses 127.0.0.(1 + from): one address has some 28,000 ports.
// receive_buffer: 0 leaves the kernel's own size.
static int connect_to(int port, int from, int receive_buffer) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (fd < 0) die("socket (ulimit -n?)");
    if (receive_buffer)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    struct sockaddr_in source = {.sin_family = AF_INET};
    source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)from);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&source, sizeof source) != 0) die("bind");
    struct sockaddr_in target = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    target.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&target, sizeof target) != 0) die("connect");
    struct timeval patience = {10, 0};  // for the handshake
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void send_all(int fd, const void *data, size_t length) {
    if (send(fd, data, length, MSG_NOSIGNAL) != (ssize_t)length) die("send");
}

// Writes a client's frame (masked with zeros, so that the text stays readable); gives its length.
static size_t put_frame(char *target, int opcode, const char *text, size_t length) {
    unsigned char *header = (unsigned char *)target;
    size_t used = 2;
    header[0] = (unsigned char)(0x80 | opcode);
    if (length < 126) {
        header[1] = (unsigned char)(0x80 | length);
    } else {
        int wide = length > 65535;
        header[1] = (unsigned char)(0x80 | (wide ? 127 : 126));
        for (int i = wide ? 8 : 2; i-- > 0;) header[used++] = (unsigned char)(length >> (8 * i));
    }
    memset(header + used, 0, 4);
    memcpy(target + used + 4, text, length);
    return used + 4 + length;
}

// Shakes hands with the headers of a browser. Empty texts leave out what they stand for.
// Gives whether compression was agreed on.
static int shake_hands(int fd, const char *path, const char *protocol, int offer_deflate) {
    char request[2048], reply[4096];
    int length = snprintf(
        request, sizeof request,
        "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
        "Pragma: no-cache\r\nCache-Control: no-cache\r\n"
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/140.0.0.0 Safari/537.36\r\nUpgrade: websocket\r\nOrigin: http://localhost:8002\r\n"
        "Sec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
        "Accept-Language: en-GB,en;q=0.9,en-US;q=0.8,de;q=0.7\r\n"
        "Cookie: theme=dark; consent=yes; session=0123456789abcdef0123456789abcdef\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s%s%s%s\r\n",
        path, *protocol ? "Sec-WebSocket-Protocol: " : "", protocol, *protocol ? "\r\n" : "",
        offer_deflate ? "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
                      : "");
    send_all(fd, request, (size_t)length);
    for (int looks = 0;; looks++) {  // look, without taking what follows the answer
        ssize_t got = recv(fd, reply, sizeof reply - 1, MSG_PEEK);
        if (got <= 0) die("handshake");
        reply[got] = 0;
        char *end = strstr(reply, "\r\n\r\n");
        if (end == NULL && got < (ssize_t)sizeof reply - 1 && looks < 10000) {
            usleep(100);
            continue;
        }
        if (end == NULL || strncmp(reply, "HTTP/1.1 101", 12) != 0) {
            fprintf(stderr, "refused: %s\n", reply);
            exit(1);
        }
        end[2] = 0;
        recv(fd, reply + 2048, (size_t)(end + 4 - reply), 0);
        return strcasestr(reply, "permessage-deflate") != NULL;
    }
}

// ---- Frames -------------------------------------------------------------------------------------

enum { KIND_AT = 9, HEAD_SIZE = 320 };  // {"type":"X…  has its X at 9

typedef struct {
    uint64_t size, left;       // of the payload, and what of it is still to come
    char *head;                // where the payload's beginning is kept, or NULL
    uint16_t head_length;
    unsigned char header[10], header_length;
    unsigned char inside;      // the header is complete
    char kind[2];              // the payload's bytes KIND_AT and KIND_AT + 1, or 0
} Frames;

static inline int frame_opcode(const Frames *frames) { return frames->header[0] & 15; }
static inline int frame_compressed(const Frames *frames) { return frames->header[0] & 0x40; }

// Takes bytes up to the end of a frame, or all; gives how many. *ended: a frame is complete.
static inline size_t take_frame(Frames *f, const unsigned char *data, size_t length, int *ended) {
    const unsigned char *start = data, *end = data + length;
    *ended = 0;
    while (!f->inside) {
        if (data == end) return length;
        f->header[f->header_length++] = *data++;
        int have = f->header_length, small = have > 1 ? f->header[1] & 127 : 0;
        int wanted = small == 126 ? 4 : small == 127 ? 10 : 2;
        if (have < wanted) continue;
        f->size = (uint64_t)small;
        if (small > 125) {
            f->size = 0;
            for (int i = 2; i < wanted; i++) f->size = f->size << 8 | f->header[i];
        }
        f->left = f->size;
        f->inside = 1;
        // A ping's payload goes back with the pong.
        if (f->head == NULL && (f->header[0] & 15) > 2) f->head = malloc(HEAD_SIZE + 1);
        f->kind[0] = f->kind[1] = 0;
        f->head_length = 0;
    }
    uint64_t offset = f->size - f->left, step = f->left;
    if (step > (uint64_t)(end - data)) step = (uint64_t)(end - data);
    if (offset <= KIND_AT + 1) {
        if (offset <= KIND_AT && offset + step > KIND_AT) f->kind[0] = (char)data[KIND_AT - offset];
        if (offset + step > KIND_AT + 1) f->kind[1] = (char)data[KIND_AT + 1 - offset];
    }
    if (f->head != NULL && f->head_length < HEAD_SIZE) {
        size_t room = (size_t)(HEAD_SIZE - f->head_length), some = step < room ? step : room;
        memcpy(f->head + f->head_length, data, some);
        f->head_length = (uint16_t)(f->head_length + some);
    }
    f->left -= step;
    if (f->left == 0) {
        f->inside = 0;
        *ended = 1;
    }
    return (size_t)(data - start) + step;
}

static inline uint64_t frame_bytes(const Frames *f) { return f->size + f->header_length; }

// After a frame's end has been dealt with.
static inline void next_frame(Frames *f) { f->header_length = 0; }

// ---- Options ------------------------------------------------------------------------------------

// The value of "--name VALUE" among the arguments, or otherwise.
static const char *option(int argc, char **argv, const char *name, const char *otherwise) {
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0) return argv[i + 1];
    return otherwise;
}

static double number(int argc, char **argv, const char *name, double otherwise) {
    const char *text = option(argc, argv, name, NULL);
    return text ? atof(text) : otherwise;
}

static int flag(int argc, char **argv, const char *name) {
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0) return 1;
    return 0;
}

// Symbol number i of so many: the one that was named, or US.S0000, US.S0001, …
static void symbol_name(char *target, const char *named, int i) {
    if (named != NULL) strcpy(target, named);
    else sprintf(target, "US.S%04d", i);
}

// Copies a template with each @ replaced by a text; gives the length.
static size_t fill(char *target, const char *template, const char *text) {
    size_t used = 0, length = strlen(text);
    for (; *template; template ++) {
        if (*template == '@') {
            memcpy(target + used, text, length);
            used += length;
        } else {
            target[used++] = *template;
        }
    }
    target[used] = 0;
    return used;
}
