// What the kernel alone costs: accept CLIENTS connections, then send each of them JOIN frames of
// SIZE bytes with one send(), RATE times a second, asleep in between. No server that sends to so
// many sockets by system calls of its own can cost less.
//
//   floor --clients N --size BYTES --rate N --seconds N [--join N]
//
// Prints its port, and at the end one line of JSON.
#include "frames.h"

int main(int argc, char **argv) {
    allow_many_files();
    int clients = (int)number(argc, argv, "--clients", 0), one = 1;
    int size = (int)number(argc, argv, "--size", 0), join = (int)number(argc, argv, "--join", 1);
    double rate = number(argc, argv, "--rate", 100), seconds = number(argc, argv, "--seconds", 5);
    if (clients == 0 || size < 100 || size > 65535) return 2;

    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 4096)) die("listen");
    getsockname(listener, (struct sockaddr *)&address, &length);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    int *peers = malloc(sizeof *peers * (size_t)clients);
    for (int i = 0; i < clients; i++) {
        peers[i] = accept(listener, NULL, NULL);
        setsockopt(peers[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    char line[8];
    if (read(0, line, sizeof line) <= 0) return 1;  // the receivers are ready

    // A frame as servers send it, with the time in its text, so that latency can be told as well.
    static const char begin[] = "{\"type\":\"orderbook_update\",\"timestamp\":";
    size_t joined = (size_t)(size * join);
    char *frames = malloc(joined);
    memset(frames, ' ', joined);
    for (int i = 0; i < join; i++) {
        unsigned char *frame = (unsigned char *)frames + i * size;
        int payload = size > 129 ? size - 4 : size - 2;
        frame[0] = 0x81;
        frame[1] = (unsigned char)(size > 129 ? 126 : payload);
        if (size > 129) {
            frame[2] = (unsigned char)(payload >> 8);
            frame[3] = (unsigned char)payload;
        }
        memcpy(frame + size - payload, begin, strlen(begin));
    }
    double cpu = seconds_on(CLOCK_PROCESS_CPUTIME_ID), began = seconds_on(CLOCK_MONOTONIC);
    uint64_t sent = 0;
    for (int i = 0; i < (int)(rate * seconds); i++) {
        double due = began + i / rate;
        struct timespec time = {(time_t)due, (long)((due - (double)(time_t)due) * 1e9)};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
        char stamp[32];
        snprintf(stamp, sizeof stamp, "%017.3f", now_ms());
        for (int j = 0; j < join; j++)
            memcpy(frames + j * size + (size > 129 ? 4 : 2) + strlen(begin), stamp, 17);
        for (int j = 0; j < clients; j++)
            if (send(peers[j], frames, joined, MSG_NOSIGNAL) == (ssize_t)joined)
                sent += (uint64_t)join;
    }
    printf("{\"sent\":%lu,\"cpu\":%.6f,\"seconds\":%.6f}\n", sent,
           seconds_on(CLOCK_PROCESS_CPUTIME_ID) - cpu, seconds_on(CLOCK_MONOTONIC) - began);
    fflush(stdout);
    while (read(0, line, sizeof line) > 0) continue;  // until the receivers have counted
    return 0;
}
