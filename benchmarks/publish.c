// A publisher cheap enough not to be what is measured. All books are encoded beforehand, a few
// levels different each time; only the time is written into them when they go out.
//
//   publish --port N --way http|batch|socket
//     --path TEXT         where to; @ is the symbol
//     --before TEXT, --after TEXT   what stands around each book; @ is the symbol
//     --protocol TEXT     Sec-WebSocket-Protocol
//     --header TEXT       one more HTTP header
//     --symbol NAME | --symbols N   in turn
//     --count N           updates in all
//     --rate N            a second, evenly; 0: as fast as they are taken
//     --connections N     in turn
//     --window N          updates under way on a connection: sent, and not yet answered; 0: nothing
//                         is answered
//     --batch N           updates in one body (batch)
//     --first N           the updates that earlier runs published: the books go on from there
//     --levels N          of each side
//     --shape pairs|triples|objects
//
// Prints one line of JSON at the end.
#include "frames.h"
#include <sys/prctl.h>

enum { OUT_SIZE = 1 << 20, IN_SIZE = 1 << 16, FULL = 1 << 16, REQUESTS = 1 << 12, MAX_CONNECTIONS = 64 };
static const char STAMP[] = "0000000000000.000";  // as wide as the time that goes there

typedef struct {
    char *bytes;
    uint32_t length, stamp;  // stamp: where the time goes
} Piece;

typedef struct {
    int fd;
    char *out, *in;
    size_t out_length, out_sent, in_length;
    uint64_t waiting;             // updates not yet answered
    uint32_t requests[REQUESTS];  // updates in each request not yet answered (HTTP), a ring
    uint32_t first_request, last_request;
    Frames frames;
} Connection;

static enum { HTTP, BATCH, SOCKET } way;
static const char *path;
static int connections, symbols, variants;
static uint64_t count, first, window, batch, given, accepted, refused;
static double rate;
static Piece *pieces;  // variants of each symbol
static Connection all[MAX_CONNECTIONS];

// ---- Books --------------------------------------------------------------------------------------

enum { MAX_LEVELS = 100 };

typedef struct {
    int price, size, orders;  // in cents
} Level;

typedef struct {
    Level sides[2][MAX_LEVELS];  // bids, asks
    uint64_t random;
    int levels;
} Book;

static uint32_t rnd(Book *book, uint32_t below) {
    book->random ^= book->random << 13;
    book->random ^= book->random >> 7;
    book->random ^= book->random << 17;
    return (uint32_t)(book->random >> 33) % below;
}

static Level new_level(Book *book, int price) {
    return (Level){price, 1 + (int)rnd(book, 9000), 1 + (int)rnd(book, 20)};
}

static void begin_book(Book *book, int number, int levels) {
    book->random = 88172645463325252ull + (uint64_t)number * 7919;
    book->levels = levels;
    for (int side = 0; side < 2; side++)
        for (int i = 0; i < levels; i++)
            book->sides[side][i] = new_level(book, 18950 + (side ? 1 + i : -1 - i));
}

// One to three sizes change; now and then the price moves by a cent.
static void change_book(Book *book) {
    int last = book->levels - 1;
    if (rnd(book, 10) == 0) {
        int falling = (int)rnd(book, 2);  // bids move away and asks come nearer, or the reverse
        int step = falling ? -1 : 1;
        Level *leaving = book->sides[!falling], *gaining = book->sides[falling];
        memmove(leaving, leaving + 1, sizeof(Level) * (size_t)last);
        leaving[last] = new_level(book, leaving[last].price + step);
        memmove(gaining + 1, gaining, sizeof(Level) * (size_t)last);
        gaining[0] = new_level(book, gaining[0].price + step);
    }
    for (uint32_t i = 0, changes = 1 + rnd(book, 3); i < changes; i++) {
        uint32_t index = rnd(book, 4) ? rnd(book, 4) : rnd(book, (uint32_t)book->levels);
        Level *level = &book->sides[rnd(book, 2)][index % (uint32_t)book->levels];
        level->size = level->size % 9000 + 1 + (int)rnd(book, 900);
    }
}

static size_t write_side(char *target, const char *shape, const Level *side, int levels) {
    size_t used = 0;
    const char *format = shape[0] == 'o'   ? "%s{\"price\":%d.%02d,\"volume\":%d,\"orders\":%d}"
                         : shape[0] == 't' ? "%s[%d.%02d,%d,%d]"
                                           : "%s[%d.%02d,%d]";
    for (int i = 0; i < levels; i++)
        used += (size_t)sprintf(target + used, format, i ? "," : "", side[i].price / 100,
                                side[i].price % 100, side[i].size, side[i].orders);
    return used;
}

static size_t write_book(char *target, const char *shape, const Book *book) {
    size_t used = (size_t)sprintf(target, "{\"timestamp\":%s,\"bids\":[", STAMP);
    used += write_side(target + used, shape, book->sides[0], book->levels);
    used += (size_t)sprintf(target + used, "],\"asks\":[");
    used += write_side(target + used, shape, book->sides[1], book->levels);
    return used + (size_t)sprintf(target + used, "]}");
}

// ---- Pieces: what is sent for one update --------------------------------------------------------

static Piece make_piece(const char *book, const char *symbol, const char *header,
                        const char *before, const char *after) {
    static char text[1 << 16], whole[1 << 17], filled[1024];
    size_t length = fill(text, before, symbol), used;
    length += (size_t)sprintf(text + length, "%s", book);
    length += fill(text + length, after, symbol);
    if (way == SOCKET) {
        used = put_frame(whole, 1, text, length);
    } else if (way == BATCH) {
        memcpy(whole, text, length);
        used = length;
    } else {
        fill(filled, path, symbol);
        used = (size_t)sprintf(whole,
                               "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: "
                               "application/json\r\n%s%sContent-Length: %zu\r\n\r\n%s",
                               filled, header, *header ? "\r\n" : "", length, text);
    }
    Piece piece = {malloc(used), (uint32_t)used, 0};
    memcpy(piece.bytes, whole, used);
    piece.stamp = (uint32_t)((char *)memmem(piece.bytes, used, STAMP, strlen(STAMP)) - piece.bytes);
    return piece;
}

// Makes each symbol's books, one small step from each to the next.
static void make_pieces(const char *named, int levels, const char *shape, const char *header,
                        const char *before, const char *after) {
    variants = symbols > 100 ? 8 : 64;
    pieces = malloc(sizeof *pieces * (size_t)(symbols * variants));
    for (int s = 0; s < symbols; s++) {
        static char symbol[256], text[1 << 15];
        Book book;
        symbol_name(symbol, named, s);
        begin_book(&book, s, levels);
        for (int v = 0; v < variants; v++, change_book(&book)) {
            write_book(text, shape, &book);
            pieces[s * variants + v] = make_piece(text, symbol, header, before, after);
        }
    }
}

// Update number n of this run: the symbols in turn, their books forth and back, so that each is a
// small step from the one before. --first goes on where an earlier run ended.
static const Piece *piece_of(uint64_t n) {
    int period = 2 * variants - 2, step = (int)((first + n) / (uint64_t)symbols % (uint64_t)period);
    int variant = step < variants ? step : period - step;
    return &pieces[(int)((first + n) % (uint64_t)symbols) * variants + variant];
}

static void append(Connection *connection, const char *text) {
    connection->out_length += (size_t)sprintf(connection->out + connection->out_length, "%s", text);
}

static void append_piece(Connection *connection, const Piece *piece, const char *time) {
    memcpy(connection->out + connection->out_length, piece->bytes, piece->length);
    memcpy(connection->out + connection->out_length + piece->stamp, time, strlen(STAMP));
    connection->out_length += piece->length;
}

// Appends one request: an update, or a batch of them.
static void append_request(Connection *connection, uint64_t size, const char *time) {
    if (way == BATCH) {
        size_t body = strlen("{\"updates\":[]}") + size - 1;
        for (uint64_t i = 0; i < size; i++) body += piece_of(given + i)->length;
        connection->out_length += (size_t)sprintf(
            connection->out + connection->out_length,
            "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            "Content-Length: %zu\r\n\r\n{\"updates\":[",
            path, body);
    }
    for (uint64_t i = 0; i < size; i++) {
        if (i > 0) append(connection, ",");
        append_piece(connection, piece_of(given++), time);
    }
    if (way == BATCH) append(connection, "]}");
    if (window == 0) return;
    connection->waiting += size;
    connection->requests[connection->last_request++ & (REQUESTS - 1)] = (uint32_t)size;
}

// ---- Answers ------------------------------------------------------------------------------------

static void answered(Connection *connection, uint64_t updates, int well, const char *text) {
    connection->waiting -= updates < connection->waiting ? updates : connection->waiting;
    if (well) {
        accepted += updates;
    } else if ((refused += updates) == updates) {
        fprintf(stderr, "refused: %.400s\n", text);
    }
}

static void read_frames(Connection *connection) {
    Frames *frames = &connection->frames;
    const unsigned char *data = (unsigned char *)connection->in;
    size_t left = connection->in_length;
    while (left > 0) {
        int ended;
        size_t step = take_frame(frames, data, left, &ended);
        data += step;
        left -= step;
        if (!ended) continue;
        frames->head[frames->head_length] = 0;
        if (frame_opcode(frames) == 8) die("the server closed the publisher's connection");
        if (frames->kind[0] == 'p') answered(connection, 1, 1, "");            // published
        else if (frames->kind[0] == 'e') answered(connection, 1, 0, frames->head);  // error
        next_frame(frames);
    }
    connection->in_length = 0;
}

static void read_responses(Connection *connection) {
    char *text = connection->in;
    for (;;) {
        text[connection->in_length] = 0;
        char *body = strstr(text, "\r\n\r\n");
        if (body == NULL) return;
        char *length = strcasestr(text, "\r\ncontent-length:");
        size_t whole = (size_t)(body + 4 - text) +
                       (length && length < body ? strtoul(length + 17, NULL, 10) : 0);
        if (whole > connection->in_length) {
            if (whole > IN_SIZE - 1) die("an answer too long");
            return;
        }
        char kept = text[whole];
        text[whole] = 0;
        int well = strncmp(text + 8, " 2", 2) == 0 && strstr(body, "\"partial\"") == NULL;
        answered(connection, connection->requests[connection->first_request++ & (REQUESTS - 1)], well, text);
        text[whole] = kept;
        connection->in_length -= whole;
        memmove(text, text + whole, connection->in_length);
    }
}

static void receive(Connection *connection) {
    ssize_t got = recv(connection->fd, connection->in + connection->in_length,
                       IN_SIZE - 1 - connection->in_length, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN)) die("the server left the publisher");
    if (got < 0) return;
    connection->in_length += (size_t)got;
    if (way == SOCKET) read_frames(connection);
    else read_responses(connection);
}

static void flush(Connection *connection) {
    size_t left = connection->out_length - connection->out_sent;
    if (left == 0) return;
    ssize_t sent = send(connection->fd, connection->out + connection->out_sent, left,
                        MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) die("send");
    if (sent > 0) connection->out_sent += (size_t)sent;
    if (connection->out_sent == connection->out_length)
        connection->out_sent = connection->out_length = 0;
}

// ---- Sending ------------------------------------------------------------------------------------

static int may_take(const Connection *connection) {
    return connection->out_length < FULL && (window == 0 || connection->waiting + batch <= window);
}

// Gives what is due to the connections in turn, each as much as it may take.
static void give(uint64_t due, const char *time) {
    static int turn;
    for (int tried = 0; tried < connections && given < due; tried++) {
        Connection *connection = &all[turn++ % connections];
        while (given < due && may_take(connection)) {
            uint64_t size = due - given < batch ? due - given : batch;
            if (size < batch && due < count) return;  // the rest of this batch isn't due yet
            append_request(connection, size, time);
            if (rate > 0 && way != SOCKET) break;  // the next request on the next connection
        }
        flush(connection);
    }
}

// Reads and writes what can be, for so many seconds at most.
static void wait_for(double seconds) {
    struct pollfd polled[MAX_CONNECTIONS];
    for (int i = 0; i < connections; i++)
        polled[i] = (struct pollfd){all[i].fd, all[i].out_length ? POLLIN | POLLOUT : POLLIN, 0};
    struct timespec time = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    if (ppoll(polled, (nfds_t)connections, &time, NULL) <= 0) return;
    for (int i = 0; i < connections; i++) {
        if (polled[i].revents & (POLLIN | POLLHUP | POLLERR)) receive(&all[i]);
        if (polled[i].revents & POLLOUT) flush(&all[i]);
    }
}

// Publishes it all; gives by how much the most belated update was late, in seconds.
static double publish(void) {
    double began = seconds_on(CLOCK_MONOTONIC), last_given = 0, latest = 0;
    for (;;) {
        double now = seconds_on(CLOCK_MONOTONIC) - began;
        uint64_t due = rate > 0 ? (uint64_t)(now * rate) + 1 : count;
        if (due > count) due = count;
        if (given < due) {
            double late = rate > 0 ? now - (double)(given + batch - 1) / rate : 0;
            if (late > latest) latest = late;
            char time[32];
            snprintf(time, sizeof time, "%017.3f", now_ms());
            give(due, time);
            last_given = now;
        }
        uint64_t under_way = 0;
        int takers = 0;
        for (int i = 0; i < connections; i++) {
            under_way += all[i].waiting + all[i].out_length;
            takers += may_take(&all[i]);
        }
        if (given == count && (under_way == 0 || now > last_given + 10)) return latest;
        double pause = 1;  // until there is an answer, or room
        if (takers > 0 && given < count) {
            pause = (double)(given + batch - 1) / rate - (seconds_on(CLOCK_MONOTONIC) - began);
            if (rate == 0 || pause < 0) pause = 0;
        }
        wait_for(pause);
    }
}

int main(int argc, char **argv) {
    allow_many_files();
    prctl(PR_SET_TIMERSLACK, 1);
    int port = (int)number(argc, argv, "--port", 0);
    const char *name = option(argc, argv, "--way", "http");
    way = *name == 's' ? SOCKET : *name == 'b' ? BATCH : HTTP;
    static const char *paths[] = {"/broadcast/orderbook?symbol=@", "/broadcast", "/ws/publisher"};
    static const char *befores[] = {
        "",
        "{\"channel\":\"orderbook\",\"symbol\":\"@\",\"data\":",
        "{\"action\":\"publish\",\"channel\":\"orderbook\",\"symbol\":\"@\",\"data\":",
    };
    path = option(argc, argv, "--path", paths[way]);
    const char *before = option(argc, argv, "--before", befores[way]);
    const char *after = option(argc, argv, "--after", way == HTTP ? "" : "}");
    const char *protocol = option(argc, argv, "--protocol", way == SOCKET ? "bookcast.v1" : "");
    const char *named = option(argc, argv, "--symbol", NULL);
    symbols = named ? 1 : (int)number(argc, argv, "--symbols", 1);
    count = (uint64_t)number(argc, argv, "--count", 1000);
    first = (uint64_t)number(argc, argv, "--first", 0);
    rate = number(argc, argv, "--rate", 0);
    connections = (int)number(argc, argv, "--connections", 1);
    batch = way == BATCH ? (uint64_t)number(argc, argv, "--batch", 20) : 1;
    window = (uint64_t)number(argc, argv, "--window", way == SOCKET ? 256 : (double)batch);
    int levels = (int)number(argc, argv, "--levels", 10);
    if (port == 0 || connections > MAX_CONNECTIONS || levels > MAX_LEVELS) return 2;
    make_pieces(named, levels, option(argc, argv, "--shape", "triples"),
                option(argc, argv, "--header", ""), before, after);
    for (int i = 0; i < connections; i++) {
        Connection *connection = &all[i];
        connection->fd = connect_to(port, 0, 0);
        connection->out = malloc(OUT_SIZE);
        connection->in = malloc(IN_SIZE);
        connection->frames.head = malloc(HEAD_SIZE + 1);
        char own[256];
        snprintf(own, sizeof own, "%s-%d-%d", path, getpid(), i);
        if (way == SOCKET) shake_hands(connection->fd, own, protocol, 0);
    }
    double began = seconds_on(CLOCK_MONOTONIC), cpu = seconds_on(CLOCK_PROCESS_CPUTIME_ID);
    double latest = publish();
    printf("{\"published\":%lu,\"accepted\":%lu,\"refused\":%lu,\"seconds\":%.6f,\"cpu\":%.6f,"
           "\"late_ms\":%.3f}\n",
           given, accepted, refused, seconds_on(CLOCK_MONOTONIC) - began,
           seconds_on(CLOCK_PROCESS_CPUTIME_ID) - cpu, latest * 1e3);
    return 0;
}
