// Many WebSocket clients in one process: connect, shake hands as a browser does, subscribe, and
// count the frames that arrive until standard input closes. Prints one JSON line.
//
//   sink PORT CLIENTS SYMBOL [raw]      raw: no handshake, count whatever frames come
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
    int fd;
    uint64_t frames;
    uint64_t bytes;
    uint64_t skip;             // payload bytes of the current frame still to come
    unsigned char header[10];  // a header cut off by the end of a read
    int header_length;
} Client;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void send_all(int fd, const void *data, size_t length) {
    if (send(fd, data, length, 0) != (ssize_t)length) die("send");
}

static void send_text(int fd, const char *text) {
    unsigned char frame[256] = {0x81, (unsigned char)(0x80 | strlen(text)), 0, 0, 0, 0};
    memcpy(frame + 6, text, strlen(text));  // masked with zeros
    send_all(fd, frame, 6 + strlen(text));
}

static void shake_hands(int fd, int number, const char *symbol) {
    char request[2048], reply[4096];
    int length = snprintf(
        request, sizeof request,
        "GET /ws/sink-%d HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
        "Pragma: no-cache\r\nCache-Control: no-cache\r\n"
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/140.0.0.0 Safari/537.36\r\nUpgrade: websocket\r\nOrigin: http://localhost:8002\r\n"
        "Sec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
        "Accept-Language: en-GB,en;q=0.9,en-US;q=0.8,de;q=0.7\r\n"
        "Cookie: theme=dark; consent=yes; session=0123456789abcdef0123456789abcdef\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n",
        number);
    send_all(fd, request, (size_t)length);
    size_t got = 0;
    while (got < 4 || memcmp(reply + got - 4, "\r\n\r\n", 4) != 0) {
        ssize_t n = recv(fd, reply + got, 1, 0);
        if (n <= 0 || got > sizeof reply - 2) die("handshake");
        got += (size_t)n;
    }
    if (memcmp(reply, "HTTP/1.1 101", 12) != 0) {
        fprintf(stderr, "refused: %.*s\n", (int)got, reply);
        exit(1);
    }
    char subscribe[128];
    snprintf(subscribe, sizeof subscribe, "{\"action\":\"subscribe\",\"symbol\":\"%s\"}", symbol);
    send_text(fd, subscribe);
}

static void count(Client *client, const unsigned char *data, size_t length) {
    client->bytes += length;
    while (length > 0) {
        if (client->skip > 0) {
            size_t step = client->skip < length ? client->skip : length;
            client->skip -= step;
            data += step;
            length -= step;
            continue;
        }
        client->header[client->header_length++] = *data++;
        length--;
        int have = client->header_length, small = have > 1 ? client->header[1] & 127 : 0;
        int wanted = have < 2 ? 2 : small == 126 ? 4 : small == 127 ? 10 : 2;
        if (have < wanted) continue;
        uint64_t size = (uint64_t)small;
        if (small > 125) {
            size = 0;
            for (int i = 2; i < wanted; i++) size = size << 8 | client->header[i];
        }
        client->skip = size;
        client->header_length = 0;
        client->frames++;
    }
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    int clients = atoi(argv[2]), raw = argc > 4;
    struct rlimit files = {65536, 65536};
    setrlimit(RLIMIT_NOFILE, &files);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    Client *all = calloc((size_t)clients, sizeof *all);
    int poll = epoll_create1(0);
    for (int i = 0; i < clients; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) die("connect");
        if (!raw) shake_hands(fd, i, argv[3]);
        all[i].fd = fd;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[i]};
        epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
    }
    struct epoll_event input = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(poll, EPOLL_CTL_ADD, 0, &input);
    printf("ready\n");
    fflush(stdout);
    static unsigned char buffer[1 << 18];
    struct epoll_event events[256];
    int ended = 0, lost = 0;
    while (!ended) {
        // Never asleep: waking a sleeper costs the sender, and clients elsewhere cost it nothing.
        int n = epoll_wait(poll, events, 256, 0);
        if (n == 0) sched_yield();
        for (int i = 0; i < n; i++) {
            Client *client = events[i].data.ptr;
            if (client == NULL) {
                ended = 1;
                continue;
            }
            ssize_t got = recv(client->fd, buffer, sizeof buffer, MSG_DONTWAIT);
            if (got > 0) {
                count(client, buffer, (size_t)got);
            } else if (got == 0 || errno != EAGAIN) {
                lost++;
                epoll_ctl(poll, EPOLL_CTL_DEL, client->fd, NULL);
            }
        }
    }
    uint64_t frames = 0, bytes = 0, least = UINT64_MAX;
    for (int i = 0; i < clients; i++) {
        frames += all[i].frames;
        bytes += all[i].bytes;
        if (all[i].frames < least) least = all[i].frames;
    }
    printf("{\"frames\":%lu,\"bytes\":%lu,\"least\":%lu,\"lost\":%d}\n", frames, bytes, least, lost);
    return 0;
}
