// Many WebSocket clients in one process, cheap enough not to be what is measured: they connect and
// shake hands as browsers do, subscribe, and count frames by looking at headers only. A few sampled
// ones also read the publisher's time in each update, which gives the latency.
//
//   sink --port N --clients N          how many, and where
//     --path TEXT                      the same for all; otherwise each has an id of its own
//     --protocol TEXT                  Sec-WebSocket-Protocol
//     --offer-deflate                  as browsers do
//     --no-handshake                   the other side sends frames at once (floor.c)
//     --subscribe TEXT                 sent after the handshake, @ is a symbol: one message for each;
//                                      @@ is a list of all of them: one message
//     --symbol NAME | --symbols N      the symbol, or US.S0000 … as many
//     --pick K --seed N                each client takes K random ones of the N
//     --unconfirmed                    subscriptions are not answered
//     --any                            each text counts as an update, whatever its type
//     --samples N                      clients that measure latency
//     --stall N                        the last N clients stop reading at the command stall
//     --addresses N                    source addresses 127.0.0.1 … to spread over
//     --spin                           never sleep: waking a sleeper costs the sender, and clients
//                                      elsewhere on a network cost it nothing
//
// Prints {"ready":…} when all is connected and confirmed; then takes lines on standard input:
// mark (count from here), report, stall, quit; each but the last is answered with a line of JSON.
#include "frames.h"
#include <sched.h>
#include <sys/epoll.h>

enum { RING = 1 << 12, BUCKETS = 64 * 40, STALLING_BUFFER = 16 * 1024 };

typedef struct {
    uint32_t symbol;  // a hash; 0: nothing here
    uint64_t seq;
} Seen;

typedef struct {
    int fd;
    unsigned char sampled, stalls;
    Frames frames;
    uint64_t updates;
    Seen *seen;  // of a sampled one: the last seq of each symbol
} Client;

static Client *all;
static int clients, reading, any_is_update, spin;
// Since the mark:
static uint64_t update_bytes, wire_bytes, confirmed, others, errors, gaps, breaks, closed, samples;
static uint64_t histogram[BUCKETS], slowest_us;
static int close_code;
static double marked_at, marked_cpu, busy;

// ---- Latency ------------------------------------------------------------------------------------

// Buckets of 1 us below 128 us, then 64 to each power of two: within 1.6 % everywhere.
static int bucket_of(uint64_t us) {
    if (us < 128) return (int)us;
    int shift = 63 - __builtin_clzll(us) - 6;
    int bucket = shift * 64 + (int)(us >> shift);
    return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

static double bucket_ms(int bucket) {
    if (bucket < 128) return bucket / 1e3;
    int shift = bucket / 64 - 1;
    return (double)((uint64_t)(bucket - shift * 64) << shift) / 1e3;
}

static double quantile(double q) {
    uint64_t wanted = (uint64_t)((double)samples * q), sum = 0;
    for (int i = 0; i < BUCKETS; i++) {
        sum += histogram[i];
        if (sum > wanted) return bucket_ms(i);
    }
    return 0;
}

static const char *after(const char *text, const char *what) {
    const char *found = strstr(text, what);
    return found ? found + strlen(what) : NULL;
}

// "A client can prove that it missed nothing": prev_seq is what it was last sent.
static void check_sequence(Client *client, const char *text) {
    const char *symbol = after(text, "\"symbol\":\""), *seq = after(text, "\"seq\":");
    const char *previous = after(text, "\"prev_seq\":");
    if (!symbol || !seq) return;
    uint32_t hash = 2166136261u;
    for (; *symbol && *symbol != '"'; symbol++) hash = (hash ^ (unsigned char)*symbol) * 16777619u;
    hash |= 1u << 31;
    for (uint32_t i = hash % RING, tries = 0; tries < RING; i = (i + 1) % RING, tries++) {
        Seen *seen = &client->seen[i];
        if (seen->symbol != 0 && seen->symbol != hash) continue;
        if (seen->symbol == hash && previous && strtoull(previous, NULL, 10) != seen->seq) breaks++;
        seen->symbol = hash;
        seen->seq = strtoull(seq, NULL, 10);
        return;
    }
}

static void sample(Client *client, double received_ms) {
    char *text = client->frames.head;
    text[client->frames.head_length] = 0;
    check_sequence(client, text);
    const char *time = after(text, "\"ts\":[");  // the exchange's time comes first
    if (time == NULL) time = after(text, "\"timestamp\":");
    if (time == NULL || *time < '0' || *time > '9') return;
    double ms = received_ms - strtod(time, NULL);
    if (ms < 0) ms = 0;
    if (ms > 1e6) return;  // not a time of this run
    uint64_t us = (uint64_t)(ms * 1e3);
    if (us > slowest_us) slowest_us = us;
    histogram[bucket_of(us)]++;
    samples++;
}

// ---- Counting -----------------------------------------------------------------------------------

static void answer_ping(Client *client) {
    char frame[160];
    int length = client->frames.head ? client->frames.head_length : 0;
    size_t used = put_frame(frame, 10, client->frames.head, (size_t)length);
    send(client->fd, frame, used, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void control(Client *client) {
    const Frames *frames = &client->frames;
    if (frame_opcode(frames) == 9) answer_ping(client);
    if (frame_opcode(frames) == 8 && frames->head && frames->head_length > 1)
        close_code = (unsigned char)frames->head[0] << 8 | (unsigned char)frames->head[1];
    others++;
}

static void finish(Client *client, double received_ms) {
    const Frames *frames = &client->frames;
    if (frame_opcode(frames) > 2) {
        control(client);
        return;
    }
    char kind = any_is_update || frame_compressed(frames) ? 'o' : frames->kind[0];
    switch (kind) {
        case 'o':  // orderbook_update, orderbook_delta
            client->updates++;
            update_bytes += frame_bytes(frames);
            if (client->sampled) sample(client, received_ms);
            break;
        case 's':
            if (frames->kind[1] == 'u') confirmed++;  // subscription_confirmed
            else others++;                            // status
            break;
        case 'e':
            if (errors++ == 0 && frames->head)
                fprintf(stderr, "error: %.*s\n", frames->head_length, frames->head);
            break;
        case 'g':
            gaps++;
            break;
        default:
            others++;
    }
}

static void count(Client *client, const unsigned char *data, size_t length, double received_ms) {
    Frames *frames = &client->frames;
    wire_bytes += length;
    while (length > 0) {
        int ended;
        size_t step = take_frame(frames, data, length, &ended);
        data += step;
        length -= step;
        if (ended) {
            finish(client, received_ms);
            next_frame(frames);
        }
    }
}

static void mark(void) {
    for (int i = 0; i < clients; i++) all[i].updates = 0;
    update_bytes = wire_bytes = confirmed = others = errors = gaps = breaks = closed = samples = 0;
    slowest_us = 0;
    memset(histogram, 0, sizeof histogram);
    marked_at = seconds_on(CLOCK_MONOTONIC);
    marked_cpu = seconds_on(CLOCK_PROCESS_CPUTIME_ID);
    busy = 0;
}

static void report(void) {
    uint64_t updates = 0, stalled = 0, least = UINT64_MAX, most = 0;
    for (int i = 0; i < clients; i++) {
        if (all[i].stalls) {
            stalled += all[i].updates;
            continue;
        }
        updates += all[i].updates;
        if (all[i].updates < least) least = all[i].updates;
        if (all[i].updates > most) most = all[i].updates;
    }
    printf("{\"updates\":%lu,\"least\":%lu,\"most\":%lu,\"stalled_updates\":%lu,"
           "\"update_bytes\":%lu,\"wire_bytes\":%lu,\"confirmed\":%lu,\"others\":%lu,"
           "\"errors\":%lu,\"gaps\":%lu,\"breaks\":%lu,\"closed\":%lu,\"close_code\":%d,"
           "\"seconds\":%.6f,\"cpu\":%.6f,\"busy\":%.6f,"
           "\"samples\":%lu,\"p50\":%.3f,\"p99\":%.3f,\"p999\":%.3f,\"max\":%.3f}\n",
           updates, least == UINT64_MAX ? 0 : least, most, stalled, update_bytes, wire_bytes,
           confirmed, others, errors, gaps, breaks, closed, close_code,
           seconds_on(CLOCK_MONOTONIC) - marked_at,
           seconds_on(CLOCK_PROCESS_CPUTIME_ID) - marked_cpu,
           spin ? busy : seconds_on(CLOCK_PROCESS_CPUTIME_ID) - marked_cpu, samples,
           quantile(0.5), quantile(0.99), quantile(0.999), (double)slowest_us / 1e3);
}

// Does what a line on standard input says; gives 0 at the end.
static int obey(int poll) {
    char line[256];
    ssize_t length = read(0, line, sizeof line - 1);
    line[length > 0 ? length : 0] = 0;
    if (strncmp(line, "report", 6) == 0) {
        report();
    } else if (strncmp(line, "mark", 4) == 0) {
        mark();
        printf("{}\n");
    } else if (strncmp(line, "stall", 5) == 0) {
        for (int i = reading; i < clients; i++) epoll_ctl(poll, EPOLL_CTL_DEL, all[i].fd, NULL);
        printf("{}\n");
    } else {
        return 0;
    }
    fflush(stdout);
    return 1;
}

// ---- Connecting ---------------------------------------------------------------------------------

// Sends the subscriptions of one client: all of the symbols, or a random choice.
static int subscribe(Client *client, const char *template, const char *named, int symbols, int pick,
                     unsigned seed) {
    static char message[1 << 17], frame[sizeof message + 14], list[1 << 16];
    int *order = malloc(sizeof *order * (size_t)symbols);
    for (int i = 0; i < symbols; i++) order[i] = i;
    for (int i = 0; i < pick && pick < symbols; i++) {
        int other = i + rand_r(&seed) % (symbols - i), kept = order[i];
        order[i] = order[other];
        order[other] = kept;
    }
    int one_message = strstr(template, "@@") != NULL;
    char one[256];
    size_t used = 0;
    for (int i = 0; i < pick; i++) {
        symbol_name(one, named, order[i]);
        if (one_message) {
            used += (size_t)sprintf(list + used, "%s\"%s\"", i ? "," : "", one);
        } else {
            size_t length = fill(message, template, one);
            send_all(client->fd, frame, put_frame(frame, 1, message, length));
        }
    }
    if (one_message) {
        const char *at = strstr(template, "@@");
        size_t length = (size_t)sprintf(message, "%.*s%s%s", (int)(at - template), template, list,
                                        at + 2);
        send_all(client->fd, frame, put_frame(frame, 1, message, length));
    }
    free(order);
    return pick;
}

int main(int argc, char **argv) {
    allow_many_files();
    int port = (int)number(argc, argv, "--port", 0);
    clients = (int)number(argc, argv, "--clients", 1);
    const char *path = option(argc, argv, "--path", NULL);
    const char *protocol = option(argc, argv, "--protocol", "");
    const char *subscription = option(argc, argv, "--subscribe", "");
    int symbols = (int)number(argc, argv, "--symbols", 1);
    const char *named = option(argc, argv, "--symbol", NULL);
    int pick = (int)number(argc, argv, "--pick", symbols);
    unsigned seed = (unsigned)number(argc, argv, "--seed", 1);
    int sampled = (int)number(argc, argv, "--samples", 0);
    int stalling = (int)number(argc, argv, "--stall", 0);
    int addresses = (int)number(argc, argv, "--addresses", 1);
    int offer = flag(argc, argv, "--offer-deflate");
    spin = flag(argc, argv, "--spin");
    int no_handshake = flag(argc, argv, "--no-handshake");
    any_is_update = flag(argc, argv, "--any");
    if (port == 0) return 2;
    all = calloc((size_t)clients, sizeof *all);
    int deflate = 0;
    reading = clients - stalling;
    uint64_t expected = 0;
    for (int i = 0; i < clients; i++) {
        Client *client = &all[i];
        client->stalls = i >= reading;
        // Evenly spread: who comes late in the server's loop gets each update later.
        client->sampled = !client->stalls && sampled > 0 && i % (reading / sampled + 1) == 0;
        // With browsers' generous buffers a stalled client would hide from the server for minutes.
        client->fd = connect_to(port, i % addresses, client->stalls ? STALLING_BUFFER : 0);
        if (client->sampled || i == 0) client->frames.head = malloc(HEAD_SIZE + 1);
        if (client->sampled) client->seen = calloc(RING, sizeof *client->seen);
        if (!no_handshake) {
            char own[64];
            snprintf(own, sizeof own, "/ws/sink-%d-%d", getpid(), i);
            deflate += shake_hands(client->fd, path ? path : own, protocol, offer);
        }
        if (*subscription)
            expected += (uint64_t)subscribe(client, subscription, named, symbols, pick,
                                            seed * 1000003u + (unsigned)i);
    }
    if (flag(argc, argv, "--unconfirmed") || any_is_update) expected = 0;
    int poll = epoll_create1(0);
    for (int i = 0; i < clients; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[i]};
        epoll_ctl(poll, EPOLL_CTL_ADD, all[i].fd, &event);
    }
    struct epoll_event input = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(poll, EPOLL_CTL_ADD, 0, &input);
    mark();
    static unsigned char buffer[1 << 18];
    struct epoll_event events[256];
    int ended = 0, said_ready = 0, was_busy = 0;
    double began = seconds_on(CLOCK_MONOTONIC), heard = began, busy_since = 0;
    while (!ended) {
        int n = epoll_wait(poll, events, 256, !said_ready ? 20 : spin ? 0 : -1);
        if (!said_ready) {
            // All are confirmed (compressed answers can't be told apart), and nothing more comes.
            double now = seconds_on(CLOCK_MONOTONIC);
            if (n > 0) heard = now;
            int complete = confirmed >= expected || deflate > 0;
            if ((complete && (now - heard > 0.3 || now - began > 3)) || now - began > 30) {
                printf("{\"ready\":%s,\"confirmed\":%lu,\"expected\":%lu,\"deflate\":%d}\n",
                       complete ? "true" : "false", confirmed, expected, deflate);
                fflush(stdout);
                said_ready = 1;
                mark();
                continue;
            }
        } else if (spin && (n > 0) != was_busy) {
            // Polling in vain is no work: only with it left out can one see how busy this was.
            double cpu = seconds_on(CLOCK_THREAD_CPUTIME_ID);
            if (was_busy) busy += cpu - busy_since;
            else busy_since = cpu;
            was_busy = n > 0;
        }
        if (n == 0 && said_ready) sched_yield();
        for (int i = 0; i < n; i++) {
            Client *client = events[i].data.ptr;
            if (client == NULL) {
                ended = !obey(poll);
                continue;
            }
            ssize_t got = recv(client->fd, buffer, sizeof buffer, MSG_DONTWAIT);
            if (got > 0) {
                count(client, buffer, (size_t)got, client->sampled ? now_ms() : 0);
            } else if (got == 0 || errno != EAGAIN) {
                closed++;
                epoll_ctl(poll, EPOLL_CTL_DEL, client->fd, NULL);
            }
        }
    }
    return 0;
}
