#include "cli/template.h"

#include "cli/command.h"
#include "cli/escape.h"
#include "cli/memory.h"
#include "cli/say.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum { RANDOM_MOST = 1024 * 1024, WORD_BYTES = 64 };

typedef enum place {
    TEXT,
    COUNT,
    TIMESTAMP,
    UNIX,
    UNIX_NANO,
    TIME,
    ID,
    RANDOM,
    REQUEST,
    TOKEN,
} place;

struct part {
    place kind;
    char *text; /* TEXT */
    size_t bytes;
    uint64_t min, max; /* RANDOM; TOKEN: which, from 0 */
};

struct cli_template {
    struct part *parts;
    size_t count;
};

/* A growing text. */
struct sink {
    char *text;
    size_t len, room;
};

static const struct {
    const char *name;
    place kind;
} places[] = {
    {"Count", COUNT},        {"Cnt", COUNT},     {"TimeStamp", TIMESTAMP},
    {"Unix", UNIX},          {"Time", TIME},     {"ID", ID},
    {"UnixNano", UNIX_NANO}, {"Random", RANDOM}, {"Request", REQUEST},
};

/* --- reading ------------------------------------------------------------------------------ */

static struct part *add_part(cli_template *t, place kind)
{
    t->parts = cli_realloc(t->parts, (t->count + 1) * sizeof(*t->parts));
    t->parts[t->count] = (struct part){.kind = kind};
    return &t->parts[t->count++];
}

static void add_literal(cli_template *t, const char *text, size_t bytes)
{
    struct part *part;

    if (!bytes)
        return;
    part = add_part(t, TEXT);
    part->text = cli_copy(text, bytes);
    part->bytes = bytes;
}

static bool is_number(const char *word)
{
    return *word && strlen(word) < 10 && !word[strspn(word, "0123456789")];
}

/* What stands between braces, in words. */
static bool add_place(cli_template *t, const char *text)
{
    char word[WORD_BYTES] = "", from[WORD_BYTES] = "", to[WORD_BYTES] = "", rest[2] = "";
    const char *name = word;
    struct part *part;
    int words = sscanf(text, "%63s %63s %63s %1s", word, from, to, rest);

    name += *name == '.';
    if (words == 1 && is_number(name)) {
        part = add_part(t, TOKEN);
        part->min = strtoull(name, NULL, 10);
        return true;
    }
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (strcmp(name, places[i].name) != 0)
            continue;
        if (words != (places[i].kind == RANDOM ? 3 : 1))
            return false;
        part = add_part(t, places[i].kind);
        if (part->kind != RANDOM)
            return true;
        if (!is_number(from) || !is_number(to))
            return false;
        part->min = strtoull(from, NULL, 10);
        part->max = strtoull(to, NULL, 10);
        return part->min <= part->max && part->max <= RANDOM_MOST;
    }
    return false;
}

static int refuse(const char *inside)
{
    char *shown = cli_escape(inside, strlen(inside), 60);
    int status = cli_fail(CLI_USAGE,
                          "{{%s}} is nothing to fill in: there are Count, TimeStamp, Unix, "
                          "UnixNano, Time, ID and Random MIN MAX; --no-templates takes braces as "
                          "they are",
                          shown);

    free(shown);
    return status;
}

int cli_template_read(const char *text, bool literal, cli_template **out)
{
    cli_template *t = cli_alloc(sizeof(*t));
    int status = CLI_DONE;

    while (*text && !status) {
        const char *open = literal ? NULL : strstr(text, "{{");
        const char *close = open ? strstr(open, "}}") : NULL;
        char *inside;

        if (!close) {
            add_literal(t, text, strlen(text));
            break;
        }
        add_literal(t, text, (size_t)(open - text));
        inside = cli_copy(open + 2, (size_t)(close - open - 2));
        if (!add_place(t, inside))
            status = refuse(inside);
        free(inside);
        text = close + 2;
    }
    if (status)
        cli_template_free(t);
    else
        *out = t;
    return status;
}

void cli_template_free(cli_template *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->count; i++)
        free(t->parts[i].text);
    free(t->parts);
    free(t);
}

bool cli_template_constant(const cli_template *t)
{
    return !t->count || (t->count == 1 && t->parts[0].kind == TEXT);
}

/* --- filling in --------------------------------------------------------------------------- */

static char *reserve(struct sink *s, size_t bytes)
{
    if (s->room - s->len < bytes + 1) {
        s->room = 2 * s->room + bytes + 64;
        s->text = cli_realloc(s->text, s->room);
    }
    return s->text + s->len;
}

static void add(struct sink *s, const void *text, size_t bytes)
{
    char *to = reserve(s, bytes);

    if (bytes)
        memcpy(to, text, bytes);
    s->len += bytes;
}

static void add_random(struct sink *s, uint64_t bytes)
{
    static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    char *to = reserve(s, bytes);

    for (uint64_t done = 0; done < bytes;) {
        ssize_t got = getrandom(to + done, bytes - done > 256 ? 256 : bytes - done, 0);

        done += got > 0 ? (uint64_t)got : 0; /* a signal may have come between */
    }
    for (uint64_t i = 0; i < bytes; i++)
        to[i] = letters[(unsigned char)to[i] % 62];
    s->len += bytes;
}

static uint64_t random_between(uint64_t min, uint64_t max)
{
    uint64_t value = 0;

    while (getrandom(&value, sizeof(value), 0) != sizeof(value))
        ;
    return min + value % (max - min + 1);
}

static void add_time(struct sink *s, place kind)
{
    struct timespec now;
    struct tm parts;
    char text[64] = "", zone[16] = "";

    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (kind == UNIX) {
        (void)snprintf(text, sizeof(text), "%" PRId64, (int64_t)now.tv_sec);
    } else if (kind == UNIX_NANO) {
        (void)snprintf(text, sizeof(text), "%" PRId64 "%09ld", (int64_t)now.tv_sec, now.tv_nsec);
    } else if (localtime_r(&now.tv_sec, &parts)) {
        (void)strftime(text, sizeof(text), kind == TIME ? "%I:%M%p" : "%Y-%m-%dT%H:%M:%S", &parts);
        if (kind == TIMESTAMP && strftime(zone, sizeof(zone), "%z", &parts) == 5) {
            size_t len = strlen(text);

            if (parts.tm_gmtoff == 0)
                (void)snprintf(text + len, sizeof(text) - len, "Z");
            else
                (void)snprintf(text + len, sizeof(text) - len, "%.3s:%s", zone, zone + 3);
        }
        if (kind == TIME && *text == '0') {
            add(s, text + 1, strlen(text + 1));
            return;
        }
    }
    add(s, text, strlen(text));
}

/* A token of the subject, from 0; there may be none. */
static void add_token(struct sink *s, const cli_template_values *values, uint64_t which)
{
    const char *at = values->subject, *end = at ? at + values->subject_bytes : NULL;

    for (; at && which; which--) {
        at = memchr(at, '.', (size_t)(end - at));
        at = at ? at + 1 : NULL;
    }
    if (at) {
        const char *dot = memchr(at, '.', (size_t)(end - at));

        add(s, at, (size_t)((dot ? dot : end) - at));
    }
}

static void fill_part(struct sink *s, const struct part *part, const cli_template_values *values)
{
    char number[24];

    switch (part->kind) {
    case TEXT:
        add(s, part->text, part->bytes);
        break;
    case COUNT:
        add(s, number, (size_t)snprintf(number, sizeof(number), "%" PRIu64, values->count));
        break;
    case ID:
        add_random(s, 22);
        break;
    case RANDOM:
        add_random(s, random_between(part->min, part->max));
        break;
    case REQUEST:
        add(s, values->request, values->request ? values->request_bytes : 0);
        break;
    case TOKEN:
        add_token(s, values, part->min);
        break;
    default:
        add_time(s, part->kind);
    }
}

char *cli_template_fill(const cli_template *t, const cli_template_values *values, size_t *out_bytes)
{
    struct sink s = {0};

    (void)reserve(&s, 0);
    for (size_t i = 0; i < t->count; i++)
        fill_part(&s, &t->parts[i], values);
    s.text[s.len] = '\0';
    *out_bytes = s.len;
    return s.text;
}
