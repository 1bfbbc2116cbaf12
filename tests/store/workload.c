#include "workload.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/random.h"
#include "core/subject.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { LARGE_BYTES = 90000 };

static const char *const subjects[MODEL_SUBJECTS] = {"a",        "a.b",     "a.c",     "a.b.c",
                                                     "orders",   "o.1.new", "o.2.new", "o.1.paid",
                                                     "o.2.paid", "x",       "x.y.z",   "a.b.c.d"};
static const char *const filters[] = {">", "a",     "a.*",   "a.>",  "o.*.new",  "o.1.*",
                                      "*", "x.y.z", "*.b.>", "none", "o.2.paid", "a.b.c"};
enum { FILTERS = sizeof(filters) / sizeof(filters[0]) };

#define CHECK(cond, ...)                                                                           \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            (void)fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #cond);                       \
            (void)fprintf(stderr, __VA_ARGS__);                                                    \
            (void)fputc('\n', stderr);                                                             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static uint32_t below(struct workload *load, uint32_t bound)
{
    return pp_random_below(&load->random, bound);
}

void workload_set_variant(struct pp_store_options *options, unsigned variant)
{
    static const struct pp_store_keys rings[] = {{2, {"the first", "the second"}},
                                                 {2, {"the second", "the first"}}};

    options->compress = variant & VARIANT_COMPRESSED;
    if (variant & VARIANT_SEALED)
        options->keys = &rings[variant & VARIANT_ROTATED ? 1 : 0];
}

void workload_init(struct workload *load, uint64_t seed)
{
    *load = (struct workload){.random = seed * 2 + 1};
    (void)pp_random_next(&load->random);
    load->model.now_ns = 1000000000;
}

void workload_fini(struct workload *load)
{
    free(load->model.items);
}

void workload_choose_limits(struct workload *load)
{
    struct pp_store_limits *limits = &load->model.limits;

    *limits = (struct pp_store_limits){0};
    if (below(load, 2))
        limits->messages = 5 + below(load, 100);
    if (below(load, 3) == 0)
        limits->bytes = 2000 + below(load, 30000);
    if (below(load, 3) == 0)
        limits->per_subject = 1 + below(load, 8);
    if (below(load, 3) == 0)
        limits->age_ns = 1 + below(load, 100000);
    if (below(load, 4) == 0)
        limits->discard = PP_STORE_DISCARD_NEW;
    limits->discard_new_per_subject = below(load, 2);
}

static uint64_t content_of(pp_str subject, pp_str headers, pp_str payload)
{
    uint64_t hash = pp_hash(subject.ptr, subject.len, 1);

    hash = pp_hash(headers.ptr, headers.len, hash);
    return pp_hash(payload.ptr, payload.len, hash);
}

static uint64_t mix(uint64_t hash, uint64_t seq, int64_t time_ns, int64_t expires_ns,
                    uint64_t content)
{
    uint64_t all[5] = {hash, seq, (uint64_t)time_ns, (uint64_t)expires_ns, content};

    return pp_hash(all, sizeof(all), 7);
}

uint64_t model_digest(const struct model *model)
{
    uint64_t hash = model->last_seq;

    for (size_t i = 0; i < model->count; i++)
        hash = mix(hash, model->items[i].seq, model->items[i].time_ns, model->items[i].expires_ns,
                   model->items[i].content);
    return hash;
}

uint64_t store_digest(pp_store *store)
{
    struct pp_store_message message;
    struct pp_store_state state;
    uint64_t hash, seq = 0;
    pipit_err err;

    pp_store_state(store, &state);
    hash = state.last_seq;
    while ((err = pp_store_next(store, PP_STR(">"), seq, &message)) == PIPIT_OK) {
        hash = mix(hash, message.seq, message.time_ns, message.expires_ns,
                   content_of(message.subject, message.headers, message.payload));
        seq = message.seq + 1;
        state.messages--;
    }
    CHECK(err == PIPIT_ENOTFOUND && state.messages == 0, "next: %d, %" PRIu64 " are not read", err,
          state.messages);
    return hash;
}

static void remove_at(struct model *model, size_t at)
{
    model->bytes -= model->items[at].counted;
    model->count--;
    memmove(model->items + at, model->items + at + 1, (model->count - at) * sizeof(*model->items));
}

static size_t find(const struct model *model, uint64_t seq)
{
    for (size_t i = 0; i < model->count; i++)
        if (model->items[i].seq == seq)
            return i;
    return SIZE_MAX;
}

static bool falls(const struct model_item *item, const char *filter)
{
    return strcmp(filter, ">") == 0 ||
           pp_subject_matches(pp_str_of(subjects[item->subject]), pp_str_of(filter));
}

/* How many of a subject; *out_first is where the first is. */
static size_t count_of(const struct model *model, uint32_t subject, size_t *out_first)
{
    size_t count = 0;

    for (size_t i = 0; i < model->count; i++)
        if (model->items[i].subject == subject && count++ == 0)
            *out_first = i;
    return count;
}

static void enforce(struct model *model)
{
    while (model->count && ((model->limits.messages && model->count > model->limits.messages) ||
                            (model->limits.bytes && model->bytes > model->limits.bytes)))
        remove_at(model, 0);
}

/* With discard new: is it refused? evicted: there is one that its subject's limit lets go. */
static bool refused(const struct model *model, uint32_t counted, bool evicted, size_t first)
{
    const struct pp_store_limits *limits = &model->limits;

    if (limits->discard != PP_STORE_DISCARD_NEW)
        return false;
    if (evicted && limits->discard_new_per_subject)
        return true;
    if (limits->messages && model->count >= limits->messages && !evicted)
        return true;
    return limits->bytes && model->bytes + counted > limits->bytes &&
           !(evicted && model->items[first].counted >= counted);
}

static void push(struct model *model, struct model_item item)
{
    if (model->count == model->room) {
        model->room = 2 * model->room + 64;
        model->items = realloc(model->items, model->room * sizeof(item));
        PP_ASSERT(model->items);
    }
    model->items[model->count++] = item;
    model->bytes += item.counted;
    model->last_seq = item.seq;
}

static pipit_err step_append(struct workload *load)
{
    static char bytes[LARGE_BYTES + 64];
    struct model *model = &load->model;
    struct pp_store_message message = {.time_ns = model->now_ns += below(load, 1000)};
    struct model_item item = {.subject = below(load, MODEL_SUBJECTS), .time_ns = message.time_ns};
    uint32_t headers = below(load, 4) ? 0 : below(load, 60), payload = below(load, 400);
    size_t first = 0, same;
    bool evicted;
    uint64_t seq = 0;
    pipit_err err;

    if (load->large && below(load, load->large) == 0)
        payload = below(load, LARGE_BYTES);
    for (uint32_t i = 0; i < headers + payload; i += 8) {
        uint64_t chance = pp_random_next(&load->random);

        if (model->now_ns & 1) /* every other one can be compressed */
            chance &= 0x0101010101010101u;
        memcpy(bytes + i, &chance, 8);
    }
    if (below(load, 10) == 0)
        message.seq = model->last_seq + 1 + below(load, below(load, 20) ? 5 : 1000000);
    if (below(load, 6) == 0)
        message.expires_ns = below(load, 4) ? model->now_ns + 1 + below(load, 20000) : INT64_MAX;
    message.subject = pp_str_of(subjects[item.subject]);
    message.headers = (pp_str){bytes, headers};
    message.payload = (pp_str){bytes + headers, payload};
    err = pp_store_append(load->store, &message, below(load, 5) ? PP_STORE_ANY : model->last_seq,
                          &seq);
    if (err && err != PIPIT_ELIMIT)
        return err;
    item.seq = message.seq ? message.seq : model->last_seq + 1;
    item.expires_ns = message.expires_ns;
    item.content = content_of(message.subject, message.headers, message.payload);
    item.counted = (uint32_t)(model->memory ? 16 + message.subject.len + headers + payload
                                            : 30 + message.subject.len + payload +
                                                  (headers ? 4 + headers : 0));
    same = count_of(model, item.subject, &first);
    evicted = model->limits.per_subject && same >= model->limits.per_subject;
    CHECK((err == PIPIT_ELIMIT) == refused(model, item.counted, evicted, first),
          "append of %" PRIu64 " answered %d", item.seq, err);
    if (err)
        return err;
    CHECK(seq == item.seq, "%" PRIu64 " and not %" PRIu64, seq, item.seq);
    if (evicted)
        remove_at(model, first);
    push(model, item);
    enforce(model);
    return PIPIT_OK;
}

static pipit_err step_delete(struct workload *load)
{
    struct model *model = &load->model;
    uint64_t seq = model->count && below(load, 4)
                       ? model->items[below(load, (uint32_t)model->count)].seq
                       : below(load, (uint32_t)(model->last_seq % 1000000) + 2);
    size_t at = find(model, seq);
    pipit_err err = pp_store_delete(load->store, seq, below(load, 3) == 0);

    if (at == SIZE_MAX) {
        CHECK(err != PIPIT_OK, "%" PRIu64 " was deleted", seq);
        return err;
    }
    CHECK(err != PIPIT_ENOTFOUND, "%" PRIu64 " is not found", seq);
    if (!err)
        remove_at(model, at);
    return err;
}

static pipit_err step_purge(struct workload *load)
{
    struct model *model = &load->model;
    const char *filter = filters[below(load, FILTERS)];
    uint64_t before = 0, keep = 0, count = 0, expected = 0;
    pipit_err err;

    if (model->count && below(load, 2))
        before = model->items[below(load, (uint32_t)model->count)].seq + below(load, 2);
    else if (below(load, 3))
        keep = below(load, 10);
    err = pp_store_purge(load->store, pp_str_of(filter), before, keep, &count);
    if (err)
        return err;
    if (!before)
        before = UINT64_MAX;
    for (size_t i = 0; i < model->count; i++)
        expected += falls(&model->items[i], filter) && model->items[i].seq < before;
    expected = expected > keep ? expected - keep : 0;
    CHECK(count == expected, "%" PRIu64 " of %s went, not %" PRIu64, count, filter, expected);
    for (size_t i = 0; expected;) {
        if (falls(&model->items[i], filter)) {
            remove_at(model, i);
            expected--;
        } else {
            i++;
        }
    }
    return PIPIT_OK;
}

static pipit_err step_truncate(struct workload *load)
{
    struct model *model = &load->model;
    uint64_t back = below(load, 30), seq = model->last_seq > back ? model->last_seq - back : 0;
    pipit_err err = pp_store_truncate(load->store, seq);

    if (err)
        return err;
    while (model->count && model->items[model->count - 1].seq > seq)
        remove_at(model, model->count - 1);
    model->last_seq = seq;
    return PIPIT_OK;
}

static pipit_err step_skip(struct workload *load)
{
    uint64_t seq = load->model.last_seq + 1 + below(load, 20);
    pipit_err err = pp_store_skip(load->store, seq);

    if (!err)
        load->model.last_seq = seq;
    return err;
}

static int64_t due_of(const struct model *model, const struct model_item *item)
{
    int64_t by_age = model->limits.age_ns && item->expires_ns != INT64_MAX
                         ? item->time_ns + model->limits.age_ns
                         : INT64_MAX;

    if (item->expires_ns && item->expires_ns < by_age)
        return item->expires_ns;
    return by_age;
}

static pipit_err step_expire(struct workload *load)
{
    struct model *model = &load->model;
    int64_t now_ns = model->now_ns;
    uint32_t count = 0;
    uint64_t seq;
    pipit_err err;

    if (load->simple) { /* one, whichever the store thinks */
        err = pp_store_due(load->store, now_ns, &seq);
        if (err)
            return err;
        CHECK(find(model, seq) != SIZE_MAX &&
                  due_of(model, &model->items[find(model, seq)]) <= now_ns,
              "%" PRIu64 " is not due", seq);
        err = pp_store_delete(load->store, seq, false);
        if (!err)
            remove_at(model, find(model, seq));
        return err;
    }
    err = pp_store_expire(load->store, now_ns, UINT32_MAX, &count);
    if (err)
        return err;
    for (size_t i = 0; i < model->count;) {
        if (due_of(model, &model->items[i]) <= now_ns) {
            remove_at(model, i);
            count--;
        } else {
            i++;
        }
    }
    CHECK(count == 0, "%" PRIu32 " more or less expired", count);
    return PIPIT_OK;
}

pipit_err workload_step(struct workload *load)
{
    uint32_t what = below(load, 100);

    if (what < 70)
        return step_append(load);
    if (what < 85)
        return step_delete(load);
    if (what < 90)
        return step_purge(load);
    if (what < 94)
        return step_expire(load);
    if (what < 97)
        return step_skip(load);
    return step_truncate(load);
}

static void compare_subjects(struct workload *load)
{
    const struct model *model = &load->model;

    for (uint32_t i = 0; i < MODEL_SUBJECTS; i++) {
        struct pp_store_subject told = {0};
        size_t first = 0, count = count_of(model, i, &first), last = model->count;
        pipit_err err = pp_store_subject(load->store, pp_str_of(subjects[i]), &told);

        CHECK((err == PIPIT_OK) == (count > 0), "%s: %d with %zu", subjects[i], err, count);
        if (!count)
            continue;
        while (model->items[--last].subject != i)
            continue;
        CHECK(told.messages == count && told.first_seq == model->items[first].seq &&
                  told.last_seq == model->items[last].seq,
              "%s: %" PRIu64 " from %" PRIu64 " to %" PRIu64, subjects[i], told.messages,
              told.first_seq, told.last_seq);
    }
}

static void compare_message(const struct model_item *item, const struct pp_store_message *message)
{
    CHECK(message->seq == item->seq && message->time_ns == item->time_ns &&
              message->expires_ns == item->expires_ns &&
              content_of(message->subject, message->headers, message->payload) == item->content,
          "message %" PRIu64 " is %" PRIu64 " or of other content", item->seq, message->seq);
}

static void compare_filters(struct workload *load)
{
    const struct model *model = &load->model;
    const char *filter = filters[below(load, FILTERS)];
    struct pp_store_message message;
    uint64_t seq = 0;
    size_t last = SIZE_MAX;
    pipit_err err;

    for (size_t i = 0; i < model->count; i++) {
        if (!falls(&model->items[i], filter))
            continue;
        err = pp_store_next(load->store, pp_str_of(filter), seq, &message);
        CHECK(err == PIPIT_OK, "next of %s from %" PRIu64 ": %d", filter, seq, err);
        compare_message(&model->items[i], &message);
        seq = message.seq + 1;
        last = i;
    }
    err = pp_store_next(load->store, pp_str_of(filter), seq, &message);
    CHECK(err == PIPIT_ENOTFOUND, "%s has more from %" PRIu64, filter, seq);
    err = pp_store_prev(load->store, pp_str_of(filter), UINT64_MAX, &message);
    CHECK((err == PIPIT_OK) == (last != SIZE_MAX), "last of %s: %d", filter, err);
    if (!err)
        compare_message(&model->items[last], &message);
}

static void compare_times(struct workload *load)
{
    const struct model *model = &load->model;
    int64_t time_ns = model->now_ns - below(load, 100000);
    uint64_t seq = 0, expected = model->last_seq + 1;

    for (size_t i = model->count; i-- > 0 && model->items[i].time_ns >= time_ns;)
        expected = model->items[i].seq;
    CHECK(pp_store_at_time(load->store, time_ns, &seq) == PIPIT_OK, "at time");
    CHECK(seq == expected, "at time: %" PRIu64 ", not %" PRIu64, seq, expected);
}

static void count_range(void *ctx, uint64_t first, uint64_t last)
{
    *(uint64_t *)ctx += last - first + 1;
}

/* Which messages are on one side only. */
static void tell_difference(struct workload *load)
{
    struct pp_store_message message;
    uint64_t seq = 0;
    size_t i = 0;

    while (pp_store_next(load->store, PP_STR(">"), seq, &message) == PIPIT_OK) {
        for (; i < load->model.count && load->model.items[i].seq < message.seq; i++)
            (void)fprintf(stderr, "only in the model: %" PRIu64 "\n", load->model.items[i].seq);
        if (i < load->model.count && load->model.items[i].seq == message.seq)
            i++;
        else
            (void)fprintf(stderr, "only in the store: %" PRIu64 "\n", message.seq);
        seq = message.seq + 1;
    }
    for (; i < load->model.count; i++)
        (void)fprintf(stderr, "only in the model: %" PRIu64 "\n", load->model.items[i].seq);
}

void workload_compare(struct workload *load)
{
    const struct model *model = &load->model;
    struct pp_store_message message;
    struct pp_store_state state;
    uint64_t deleted = 0, due_seq;
    int64_t due = INT64_MAX;

    pp_store_state(load->store, &state);
    if (state.messages != model->count)
        tell_difference(load);
    CHECK(state.messages == model->count, "%" PRIu64 " messages, not %zu", state.messages,
          model->count);
    CHECK(state.bytes == model->bytes, "%" PRIu64 " bytes, not %" PRIu64, state.bytes,
          model->bytes);
    CHECK(state.last_seq == model->last_seq, "last %" PRIu64 ", not %" PRIu64, state.last_seq,
          model->last_seq);
    CHECK(state.first_seq == (model->count ? model->items[0].seq : model->last_seq + 1),
          "first %" PRIu64, state.first_seq);
    CHECK(state.lost == 0, "%" PRIu64 " lost", state.lost);
    pp_store_deleted(load->store, count_range, &deleted);
    CHECK(deleted == state.deleted, "%" PRIu64 " deleted, told %" PRIu64, deleted, state.deleted);
    for (size_t i = 0; i < model->count; i++) {
        pipit_err err = pp_store_read(load->store, model->items[i].seq, &message);

        CHECK(err == PIPIT_OK, "read of %" PRIu64 ": %d", model->items[i].seq, err);
        compare_message(&model->items[i], &message);
        if (due_of(model, &model->items[i]) < due)
            due = due_of(model, &model->items[i]);
    }
    CHECK(pp_store_read(load->store, model->last_seq + 1, &message) == PIPIT_ENOTFOUND,
          "one beyond the end");
    CHECK(pp_store_next_due(load->store) == due, "next due");
    CHECK((pp_store_due(load->store, model->now_ns, &due_seq) == PIPIT_OK) ==
              (due <= model->now_ns),
          "due");
    compare_subjects(load);
    compare_filters(load);
    compare_times(load);
}
