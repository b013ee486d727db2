// What the kernel alone costs: accept CLIENTS connections, then send a frame of SIZE bytes to each,
// RATE times a second for SECONDS, one send() a frame. Prints one JSON line.
//
//   floor CLIENTS SIZE RATE SECONDS
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
           (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv) {
    if (argc < 5) return 2;
    int clients = atoi(argv[1]), size = atoi(argv[2]), rate = atoi(argv[3]), seconds = atoi(argv[4]);
    struct rlimit files = {65536, 65536};
    setrlimit(RLIMIT_NOFILE, &files);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    socklen_t length = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 4096)) return 1;
    getsockname(listener, (struct sockaddr *)&address, &length);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    int *peers = malloc(sizeof(int) * (size_t)clients), one = 1;
    for (int i = 0; i < clients; i++) {
        peers[i] = accept(listener, NULL, NULL);
        setsockopt(peers[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    unsigned char *frame = calloc(1, (size_t)size);
    frame[0] = 0x81;
    frame[1] = 126;
    frame[2] = (unsigned char)((size - 4) >> 8);
    frame[3] = (unsigned char)((size - 4) & 255);
    double before = cpu_seconds();
    struct timespec next;
    clock_gettime(CLOCK_MONOTONIC, &next);
    uint64_t sent = 0;
    for (int i = 0; i < rate * seconds; i++) {
        next.tv_nsec += 1000000000L / rate;
        if (next.tv_nsec >= 1000000000L) {
            next.tv_nsec -= 1000000000L;
            next.tv_sec++;
        }
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
        for (int j = 0; j < clients; j++)
            if (send(peers[j], frame, (size_t)size, 0) == size) sent++;
    }
    printf("{\"sent\":%lu,\"cpu\":%.6f}\n", sent, cpu_seconds() - before);
    return 0;
}
