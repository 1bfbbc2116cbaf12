/* websocket.c -- see websocket.h. */
#include "websocket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "fatal.h"

#define ANSWER_BYTES_MAX 4096

static const unsigned char key[4] = {0x37, 0xfa, 0x21, 0x3d};

void bench_websocket_ask(int fd, const char *host)
{
    char text[ANSWER_BYTES_MAX];
    int len = snprintf(text, sizeof text,
                       "GET / HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                       "Sec-WebSocket-Version: 13\r\n\r\n",
                       host);
    size_t got = 0;

    if (send(fd, text, (size_t)len, MSG_NOSIGNAL) != len)
        bench_fatal("send: %s", strerror(errno));
    while (got < 4 || memcmp(text + got - 4, "\r\n\r\n", 4) != 0) {
        if (got == sizeof text || recv(fd, text + got, 1, 0) != 1)
            bench_fatal("the server did not answer the upgrade");
        got++;
    }
    if (memcmp(text, "HTTP/1.1 101 ", 13) != 0)
        bench_fatal("the server refused the upgrade: %.30s", text);
}

size_t bench_websocket_head_bytes(size_t len)
{
    return (len < 126 ? 2 : len < 65536 ? 4 : 10) + sizeof key;
}

size_t bench_websocket_frame(char *out, const void *bytes, size_t len)
{
    const unsigned char *from = bytes;
    size_t head = bench_websocket_head_bytes(len);
    size_t length_bytes = head - 2 - sizeof key;

    out[0] = (char)0x82;
    out[1] = (char)(0x80 | (length_bytes == 0 ? len : length_bytes == 2 ? 126 : 127));
    for (size_t i = 0; i < length_bytes; i++)
        out[2 + i] = (char)(len >> 8 * (length_bytes - 1 - i));
    memcpy(out + head - sizeof key, key, sizeof key);
    for (size_t i = 0; i < len; i++)
        out[head + i] = (char)(from[i] ^ key[i % sizeof key]);
    return head + len;
}

static void take_head(bench_websocket *self, unsigned char byte)
{
    size_t need = 2;
    uint64_t len;

    self->head[self->head_bytes++] = byte;
    if (self->head_bytes < 2)
        return;
    if (self->head[0] != 0x82)
        bench_fatal("the server sent a frame that is no message: %02x", self->head[0]);
    len = self->head[1];
    if (len >= 126)
        need += len == 126 ? 2 : 8;
    if (self->head_bytes < need)
        return;
    if (len >= 126) {
        len = 0;
        for (size_t i = 2; i < need; i++)
            len = len << 8 | self->head[i];
    }
    self->left = len;
    self->head_bytes = 0;
}

size_t bench_websocket_strip(bench_websocket *self, char *bytes, size_t len)
{
    size_t at = 0, kept = 0;

    while (at < len) {
        size_t n = len - at < self->left ? len - at : (size_t)self->left;

        if (n == 0) {
            take_head(self, (unsigned char)bytes[at++]);
            continue;
        }
        memmove(bytes + kept, bytes + at, n);
        kept += n;
        at += n;
        self->left -= n;
    }
    return kept;
}
