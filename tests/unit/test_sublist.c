#include "core/sublist.h"

#include "base/alloc.h"
#include "base/fault.h"
#include "base/hash.h"
#include "core/subject.h"
#include "seed.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

enum { LIST_SEED = 4711 };

static char client_body; /* the index never looks at clients */
static struct pp_client *const client = (struct pp_client *)(void *)&client_body;

static pp_sublist *new_list(void)
{
    pp_sublist *list = NULL;

    assert_int_equal(pp_sublist_new(&list, LIST_SEED), PIPIT_OK);
    assert_non_null(list);
    return list;
}

static pp_sub *new_sub(const char *queue)
{
    pp_sub *sub = pp_sub_new(client, PP_STR("1"), pp_str_of(queue));

    assert_non_null(sub);
    return sub;
}

static pp_sub *subscribe(pp_sublist *list, pp_str subject, const char *queue)
{
    pp_sub *sub = new_sub(queue);

    assert_int_equal(pp_sublist_insert(list, sub, subject), PIPIT_OK);
    assert_true(pp_str_eq(pp_sublist_pattern(sub), subject));
    return sub;
}

static void unsubscribe(pp_sublist *list, pp_sub *sub)
{
    pp_sublist_remove(list, sub);
    assert_null(sub->pattern);
    pp_sub_free(sub);
}

static bool set_has(const pp_sub_set *set, const pp_sub *sub)
{
    for (size_t i = 0; i < set->count; i++) {
        if (set->subs[i] == sub)
            return true;
    }
    return false;
}

static size_t match_count(pp_sublist *list, pp_str subject)
{
    pp_sub_set set = {0};
    size_t count;

    assert_int_equal(pp_sublist_match(list, subject, &set), PIPIT_OK);
    count = set.count;
    pp_sub_set_fini(&set);
    return count;
}

static pp_sublist_gen gen_of(const pp_sublist *list, pp_str subject)
{
    return pp_sublist_gen_read(pp_sublist_generations(list),
                               pp_hash(subject.ptr, subject.len, pp_sublist_seed(list)));
}

static bool same_gen(pp_sublist_gen a, pp_sublist_gen b)
{
    return a.wild == b.wild && a.slot == b.slot;
}

/* Which of the patterns match, as letters: the first is a. */
static void test_sublist_match_finds_what_covers(void **state)
{
    static const pp_str patterns[] = {
        {"foo", 3},     {"foo.bar", 7}, {"foo.*", 5},     {"foo.>", 5},   {"*", 1},
        {"*.*", 3},     {">", 1},       {"*.bar", 5},     {"foo.*.z", 7}, {"foo*", 4},
        {"foo.b>", 6},  {"*.>", 3},     {"foo.bar.z", 9}, {"*.*.*", 5},   {"f\0o.\0", 5},
        {"foo.bar", 7}, {"foo*.*", 6},  {"x.*y.>z.>", 9},
    };
    static const struct {
        pp_str subject;
        const char *matches;
    } cases[] = {
        {{"foo", 3}, "aeg"},
        {{"foo.bar", 7}, "bcdfghlp"},
        {{"foo.bar.z", 9}, "dgilmn"},
        {{"foo.baz.z", 9}, "dgiln"},
        {{"foo.bar.z.y", 11}, "dgl"},
        {{"bar", 3}, "eg"},
        {{"bar.bar", 7}, "fghl"},
        {{"fo", 2}, "eg"},
        {{"fooo", 4}, "eg"},
        {{"foo*", 4}, "egj"},
        {{"foo*.x", 6}, "fglq"},
        {{"foo.b>", 6}, "cdfgkl"},
        {{"x.*y.>z.t", 9}, "glr"},
        {{"x.ay.>z.t", 9}, "gl"},
        {{"x.*y.z.t", 8}, "gl"},
        /* wildcards in what is published are text */
        {{"*", 1}, "eg"},
        {{">", 1}, "eg"},
        {{"foo.*", 5}, "cdfgl"},
        {{"foo.>", 5}, "cdfgl"},
        {{"*.*", 3}, "fgl"},
        {{"*.>", 3}, "fgl"},
        {{"*.bar", 5}, "fghl"},
        {{">.bar", 5}, "fghl"},
        {{"foo.*.z", 7}, "dgiln"},
        /* any byte may occur */
        {{"f\0o.\0", 5}, "fglo"},
        {{"f\0o.\1", 5}, "fgl"},
        {{"f", 1}, "eg"},
        /* an empty token matches nothing */
        {{"", 0}, ""},
        {{NULL, 0}, ""},
        {{".", 1}, ""},
        {{".foo", 4}, ""},
        {{"foo.", 4}, ""},
        {{"foo..bar", 8}, ""},
        {{"foo.bar.", 8}, ""},
        {{"foo.bar..z", 10}, ""},
    };
    pp_sublist *list = new_list();
    pp_sub *subs[COUNT_OF(patterns)];
    pp_sub_set set = {0};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(patterns); i++)
        subs[i] = subscribe(list, patterns[i], i % 2 ? "group" : "");
    assert_int_equal(pp_sublist_count(list), COUNT_OF(patterns));
    for (size_t c = 0; c < COUNT_OF(cases); c++) {
        assert_int_equal(pp_sublist_match(list, cases[c].subject, &set), PIPIT_OK);
        for (size_t i = 0; i < COUNT_OF(patterns); i++) {
            bool expected = strchr(cases[c].matches, (char)('a' + i));

            if (set_has(&set, subs[i]) != expected)
                fail_msg("case %zu: '%.*s' under '%.*s' is not %d", c,
                         PP_STR_ARGS(cases[c].subject), PP_STR_ARGS(patterns[i]), expected);
        }
        assert_int_equal(set.count, strlen(cases[c].matches)); /* each once */
    }
    for (size_t i = 0; i < COUNT_OF(patterns); i++)
        unsubscribe(list, subs[i]);
    pp_sub_set_fini(&set);
    pp_sublist_free(list);
}

static void test_sublist_refuses_bad_subjects(void **state)
{
    static const pp_str bad[] = {{NULL, 0},      {"", 0},         {".", 1},  {"foo.", 4},
                                 {".foo", 4},    {"foo..bar", 8}, {">.", 2}, {">.foo", 5},
                                 {"foo.>.b", 7}, {">.>", 3}};
    pp_sublist *list = new_list();
    pp_sub *sub = new_sub("");
    int64_t live = pp_alloc_live();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(pp_sublist_insert(list, sub, bad[i]), PIPIT_EINVAL);
        assert_null(sub->pattern);
        assert_int_equal(pp_sublist_count(list), 0);
        assert_int_equal(pp_alloc_live(), live);
    }
    assert_int_equal(gen_of(list, PP_STR("foo")).wild, 0);
    assert_int_equal(pp_sublist_insert(list, sub, PP_STR("foo")), PIPIT_OK); /* still usable */
    unsubscribe(list, sub);
    pp_sublist_free(list);
}

static void test_sublist_keeps_subscriptions_of_one_pattern_apart(void **state)
{
    pp_sublist *list = new_list();
    int64_t live = pp_alloc_live();
    pp_sub_set set = {0};
    pp_sub *subs[40];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(subs); i++)
        subs[i] = subscribe(list, PP_STR("a.*"), i % 3 ? "" : "q");
    for (size_t gone = 0; gone <= COUNT_OF(subs); gone++) {
        assert_int_equal(pp_sublist_match(list, PP_STR("a.b"), &set), PIPIT_OK);
        assert_int_equal(set.count, COUNT_OF(subs) - gone);
        assert_int_equal(pp_sublist_count(list), COUNT_OF(subs) - gone);
        for (size_t i = 0; i < COUNT_OF(subs); i++)
            assert_int_equal(set_has(&set, subs[(i * 7) % COUNT_OF(subs)]), i >= gone);
        if (gone < COUNT_OF(subs)) { /* now one from the front, now one from the middle */
            pp_sublist_remove(list, subs[(gone * 7) % COUNT_OF(subs)]);
        }
    }
    for (size_t i = 0; i < COUNT_OF(subs); i++)
        pp_sub_free(subs[i]);
    pp_sub_set_fini(&set);
    assert_int_equal(pp_alloc_live(), live);
    pp_sublist_free(list);
}

static void test_sublist_takes_subjects_of_thousands_of_tokens(void **state)
{
    enum { TOKENS = 2048 };
    static char text[2 * TOKENS];
    pp_str subject = {text, 2 * TOKENS - 1};
    pp_sublist *list = new_list();
    pp_sub_set set = {0};
    pp_sub *subs[5];
    int64_t live;

    (void)state;
    for (size_t i = 0; i < TOKENS; i++)
        (void)memcpy(text + 2 * i, "a.", 2);
    subs[0] = subscribe(list, subject, "");
    text[2 * TOKENS - 2] = '*';
    subs[1] = subscribe(list, subject, "");
    text[2 * TOKENS - 2] = '>';
    subs[2] = subscribe(list, subject, "");
    text[2] = '*';
    subs[3] = subscribe(list, subject, "");
    subs[4] = subscribe(list, PP_STR("a.>"), "");
    text[2 * TOKENS - 2] = 'a';
    text[2] = 'a';
    live = pp_alloc_live();
    assert_int_equal(pp_sublist_match(list, subject, &set), PIPIT_OK);
    assert_int_equal(set.count, 5);
    text[2 * TOKENS - 2] = 'b';
    assert_int_equal(match_count(list, subject), 4);
    text[2] = 'b';
    assert_int_equal(match_count(list, subject), 2);
    assert_int_equal(match_count(list, (pp_str){text, subject.len - 2}), 1);
    text[2 * TOKENS - 3] = 'b'; /* two dots together at the far end */
    text[2 * TOKENS - 4] = '.';
    text[2 * TOKENS - 5] = '.';
    assert_int_equal(match_count(list, subject), 0);
    pp_sub_set_fini(&set);
    assert_int_equal(pp_alloc_live(), live);
    for (size_t i = 0; i < COUNT_OF(subs); i++)
        unsubscribe(list, subs[i]);
    pp_sublist_free(list);
}

static void test_sublist_takes_long_tokens(void **state)
{
    static char text[3000];
    pp_sublist *list = new_list();
    pp_sub *subs[6];

    (void)state;
    memset(text, 'x', sizeof(text));
    subs[0] = subscribe(list, (pp_str){text, sizeof(text)}, "");
    subs[1] = subscribe(list, (pp_str){text, sizeof(text) - 1}, "");
    text[1000] = '.';
    subs[2] = subscribe(list, (pp_str){text, sizeof(text)}, "");
    subs[3] = subscribe(list, (pp_str){text, sizeof(text) - 1}, "");
    text[1002] = '.';
    text[1001] = '*';
    subs[4] = subscribe(list, (pp_str){text, sizeof(text)}, "");
    text[1001] = 'y';
    subs[5] = subscribe(list, (pp_str){text, sizeof(text)}, "");
    assert_int_equal(match_count(list, (pp_str){text, sizeof(text)}), 2);
    text[1001] = text[1002] = 'x';
    assert_int_equal(match_count(list, (pp_str){text, sizeof(text)}), 1);
    assert_int_equal(match_count(list, (pp_str){text, sizeof(text) - 2}), 0);
    text[1000] = 'x';
    assert_int_equal(match_count(list, (pp_str){text, sizeof(text) - 1}), 1);
    for (size_t i = 0; i < COUNT_OF(subs); i++)
        unsubscribe(list, subs[i]);
    pp_sublist_free(list);
}

/* Enough tokens at one node that its table is divided; half of them go on below. */
static void test_sublist_holds_many_tokens_at_one_node(void **state)
{
    enum { MANY = 12000 };
    static pp_sub *subs[MANY];
    pp_sublist *list = new_list();
    int64_t live = pp_alloc_live();
    char text[32];

    (void)state;
    for (int pass = 0; pass < 3; pass++) { /* fill, check, empty */
        for (int i = 0; i < MANY; i++) {
            int number = i % 2 ? i - 1 : i;
            pp_str subject = {
                text, (size_t)snprintf(text, sizeof(text), "m.%d.%s", number, i % 2 ? "x" : "y")};

            if (pass == 0) {
                subs[i] = subscribe(list, subject, "");
            } else if (pass == 1) {
                assert_int_equal(match_count(list, subject), 1);
                text[subject.len - 1] = 'z';
                assert_int_equal(match_count(list, subject), 0);
            } else {
                unsubscribe(list, subs[i]);
                assert_int_equal(match_count(list, subject), 0);
            }
        }
    }
    assert_int_equal(pp_alloc_live(), live);
    pp_sublist_free(list);
}

/* ---- the index against the definition ---- */

enum { MODEL_SUBS = 400, MODEL_TOKENS_MAX = 5, MODEL_TEXT_MAX = 128 };

struct model {
    pp_sublist *list;
    uint64_t random;
    size_t count;
    struct model_sub {
        pp_sub *sub;
        size_t len;
        char text[MODEL_TEXT_MAX];
    } subs[MODEL_SUBS];
};

static size_t random_subject(uint64_t *random, char *out, bool wildcards)
{
    static const char *const words[] = {"a",  "b", "aa", "ab", "*b", "a\tlong-ish-token",
                                        "a*", ">b"};
    unsigned tokens = 1 + pp_random_below(random, MODEL_TOKENS_MAX);
    size_t len = 0;

    for (unsigned i = 0; i < tokens; i++) {
        unsigned dice = pp_random_below(random, 100);
        const char *word = words[pp_random_below(random, pp_random_below(random, 8) + 1)];

        if (wildcards && dice < 25)
            word = "*";
        else if (wildcards && dice < 40 && i + 1 == tokens)
            word = ">";
        else if (!wildcards && dice < 3)
            word = dice ? "*" : ">"; /* as text */
        if (i)
            out[len++] = '.';
        len += (size_t)snprintf(out + len, MODEL_TEXT_MAX - len, "%s", word);
        assert_true(len + 1 < MODEL_TEXT_MAX);
    }
    return len;
}

static void model_insert(struct model *model)
{
    struct model_sub *sub = &model->subs[model->count];

    if (model->count && pp_random_below(&model->random, 4) == 0) { /* a second of the same */
        const struct model_sub *twin =
            &model->subs[pp_random_below(&model->random, (uint32_t)model->count)];

        sub->len = twin->len;
        memcpy(sub->text, twin->text, twin->len);
    } else {
        sub->len = random_subject(&model->random, sub->text, true);
    }
    sub->sub = subscribe(model->list, (pp_str){sub->text, sub->len},
                         pp_random_below(&model->random, 3) ? "" : "workers");
    model->count++;
}

static void model_remove(struct model *model)
{
    size_t i = pp_random_below(&model->random, (uint32_t)model->count);

    unsubscribe(model->list, model->subs[i].sub);
    model->subs[i] = model->subs[--model->count];
}

static void model_check(struct model *model, pp_sub_set *set)
{
    char text[MODEL_TEXT_MAX];
    pp_str subject = {text, random_subject(&model->random, text, false)};
    size_t expected = 0;

    assert_int_equal(pp_sublist_match(model->list, subject, set), PIPIT_OK);
    for (size_t i = 0; i < model->count; i++) {
        const struct model_sub *sub = &model->subs[i];
        bool matches = pp_subject_matches(subject, (pp_str){sub->text, sub->len});

        if (matches != set_has(set, sub->sub))
            fail_msg("'%.*s' under '%.*s' is not %d", PP_STR_ARGS(subject), (int)sub->len,
                     sub->text, matches);
        expected += matches;
    }
    assert_int_equal(set->count, expected);
    assert_int_equal(pp_sublist_count(model->list), model->count);
}

static void test_sublist_agrees_with_the_definition(void **state)
{
    enum { STEPS = 20000 };
    static struct model model;
    pp_sub_set set = {0};
    int64_t live;

    (void)state;
    model = (struct model){.list = new_list(), .random = test_seed("sublist")};
    live = pp_alloc_live();
    for (unsigned step = 0; step < STEPS; step++) {
        /* The number of subscriptions swings between none and all that there is room for. */
        bool filling = step / 1500 % 2 == 0;
        bool insert = (pp_random_below(&model.random, 10) < (filling ? 8u : 2u));

        if (insert && model.count < MODEL_SUBS)
            model_insert(&model);
        else if (model.count)
            model_remove(&model);
        model_check(&model, &set);
    }
    while (model.count) {
        model_remove(&model);
        model_check(&model, &set);
    }
    pp_sub_set_fini(&set);
    assert_int_equal(pp_alloc_live(), live);
    pp_sublist_free(model.list);
}

/* ---- generations ---- */

static void test_sublist_literal_changes_its_own_slot(void **state)
{
    pp_sublist *list = new_list();
    pp_str foo = PP_STR("foo.bar");
    pp_sublist_gen before = gen_of(list, foo), after;
    pp_sub *first, *second;

    (void)state;
    first = subscribe(list, foo, "");
    after = gen_of(list, foo);
    assert_int_equal(after.wild, before.wild);
    assert_int_not_equal(after.slot, before.slot);

    before = after;
    second = subscribe(list, foo, "q"); /* a second under the same pattern counts, too */
    after = gen_of(list, foo);
    assert_int_equal(after.wild, before.wild);
    assert_int_not_equal(after.slot, before.slot);

    before = after;
    unsubscribe(list, first); /* the pattern stays */
    after = gen_of(list, foo);
    assert_int_equal(after.wild, before.wild);
    assert_int_not_equal(after.slot, before.slot);

    before = after;
    unsubscribe(list, second);
    after = gen_of(list, foo);
    assert_int_equal(after.wild, before.wild);
    assert_int_not_equal(after.slot, before.slot);
    pp_sublist_free(list);
}

static void test_sublist_wildcard_changes_all(void **state)
{
    static const char *const patterns[] = {"*", ">", "foo.*", "foo.>", "*.bar.x"};
    pp_sublist *list = new_list();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(patterns); i++) {
        pp_sublist_gen before = gen_of(list, PP_STR("foo.bar"));
        pp_sub *sub = subscribe(list, pp_str_of(patterns[i]), "");
        pp_sublist_gen after = gen_of(list, PP_STR("foo.bar"));

        assert_int_not_equal(after.wild, before.wild);
        assert_int_equal(after.slot, before.slot);
        before = after;
        unsubscribe(list, sub);
        after = gen_of(list, PP_STR("foo.bar"));
        assert_int_not_equal(after.wild, before.wild);
        assert_int_equal(after.slot, before.slot);
    }
    pp_sublist_free(list);
}

static unsigned slot_of(const pp_sublist *list, pp_str subject)
{
    return (unsigned)(pp_hash(subject.ptr, subject.len, pp_sublist_seed(list)) % PP_SUBLIST_SLOTS);
}

static void test_sublist_churn_of_literals_leaves_other_slots(void **state)
{
    pp_sublist *list = new_list();
    pp_str route = PP_STR("orders.new");
    pp_sublist_gen before = gen_of(list, route);
    unsigned own = slot_of(list, route), same = 0, others = 0;
    char text[32];

    (void)state;
    for (int i = 0; i < 1000; i++) {
        pp_str inbox = {text, (size_t)snprintf(text, sizeof(text), "_INBOX.%d", i)};
        pp_sublist_gen after;

        unsubscribe(list, subscribe(list, inbox, ""));
        after = gen_of(list, route);
        assert_int_equal(after.wild, before.wild);
        assert_int_equal(after.slot != before.slot, slot_of(list, inbox) == own);
        if (slot_of(list, inbox) == own)
            same++;
        else
            others++;
        before = after;
    }
    assert_true(same > 0 && others > 900); /* the test has seen both */
    pp_sublist_free(list);
}

static void test_sublist_match_and_refusal_change_no_generation(void **state)
{
    pp_sublist *list = new_list();
    pp_sub *kept = subscribe(list, PP_STR("foo"), ""), *sub = new_sub("");
    pp_sublist_gen before = gen_of(list, PP_STR("foo"));
    pp_buf out;

    (void)state;
    pp_buf_init(&out, 1000);
    assert_int_equal(match_count(list, PP_STR("foo")), 1);
    assert_int_equal(pp_sublist_dump(list, &out), PIPIT_OK);
    assert_int_equal(pp_sublist_insert(list, sub, PP_STR("foo.")), PIPIT_EINVAL);
    pp_fault_arm("*", 1);
    assert_int_equal(pp_sublist_insert(list, sub, PP_STR("*")), PIPIT_ENOMEM);
    assert_true(pp_fault_disarm());
    assert_true(same_gen(gen_of(list, PP_STR("foo")), before));
    pp_buf_fini(&out);
    pp_sub_free(sub);
    unsubscribe(list, kept);
    pp_sublist_free(list);
}

static void test_sublist_touch_changes_like_an_insert(void **state)
{
    pp_sublist *list = new_list();
    pp_sub *literal = subscribe(list, PP_STR("foo"), "");
    pp_sub *wild = subscribe(list, PP_STR("fo.*"), "");
    pp_sublist_gen before = gen_of(list, PP_STR("foo")), after;

    (void)state;
    pp_sublist_touch(list, literal);
    after = gen_of(list, PP_STR("foo"));
    assert_int_equal(after.wild, before.wild);
    assert_int_not_equal(after.slot, before.slot);
    before = after;
    pp_sublist_touch(list, wild);
    after = gen_of(list, PP_STR("foo"));
    assert_int_not_equal(after.wild, before.wild);
    assert_int_equal(after.slot, before.slot);
    pp_sublist_remove(list, literal);
    before = gen_of(list, PP_STR("foo"));
    pp_sublist_touch(list, literal); /* removed: nothing to tell */
    assert_true(same_gen(gen_of(list, PP_STR("foo")), before));
    pp_sub_free(literal);
    unsubscribe(list, wild);
    pp_sublist_free(list);
}

/* ---- memory that is refused ---- */

static void test_sublist_new_without_memory(void **state)
{
    int64_t live = pp_alloc_live();

    (void)state;
    for (uint64_t nth = 1;; nth++) {
        pp_sublist *list = NULL;
        pipit_err err;

        pp_fault_arm("*", nth);
        err = pp_sublist_new(&list, LIST_SEED);
        if (!pp_fault_disarm()) {
            assert_int_equal(err, PIPIT_OK);
            pp_sublist_free(list);
            break;
        }
        assert_int_equal(err, PIPIT_ENOMEM);
        assert_null(list);
        assert_int_equal(pp_alloc_live(), live);
    }
    pp_sublist_free(NULL);
    assert_int_equal(pp_alloc_live(), live);
}

/* Insert with every allocation refused in turn; what is seen from outside stays as it was. */
static pp_sub *subscribe_with_faults(pp_sublist *list, pp_str subject, pp_str probe)
{
    pp_sub *sub = new_sub("");
    size_t found = match_count(list, probe);

    for (uint64_t nth = 1;; nth++) {
        pp_sublist_gen gen = gen_of(list, subject);
        size_t count = pp_sublist_count(list);
        int64_t live = pp_alloc_live();
        pipit_err err;

        pp_fault_arm("*", nth);
        err = pp_sublist_insert(list, sub, subject);
        if (!pp_fault_disarm()) {
            assert_int_equal(err, PIPIT_OK);
            return sub;
        }
        assert_int_equal(err, PIPIT_ENOMEM);
        assert_null(sub->pattern);
        assert_int_equal(pp_alloc_live(), live);
        assert_int_equal(pp_sublist_count(list), count);
        assert_int_equal(match_count(list, probe), found);
        assert_true(same_gen(gen_of(list, subject), gen));
    }
}

static void test_sublist_insert_without_memory_changes_nothing(void **state)
{
    enum { MANY = 6000 };
    static pp_sub *subs[MANY];
    pp_sublist *list = new_list();
    int64_t live = pp_alloc_live();
    char text[32];

    (void)state;
    for (int i = 0; i < MANY; i++) { /* new ways, partings, growing and divided tables */
        const char *tail = i % 3 == 0 ? ".*" : i % 3 == 1 ? ".>" : "";
        pp_str subject = {text, (size_t)snprintf(text, sizeof(text), "a.%d%s", i / 3, tail)};

        if (i == MANY / 2)
            subject = PP_STR("*.x");
        subs[i] = subscribe_with_faults(list, subject, PP_STR("a.x"));
    }
    for (int i = 0; i < MANY; i++)
        unsubscribe(list, subs[i]);
    for (int i = 0; i < MANY; i++) { /* and one node with all of them */
        pp_str subject = {text, (size_t)snprintf(text, sizeof(text), "a.%d", i)};

        subs[i] = subscribe_with_faults(list, subject, PP_STR("a.5"));
    }
    for (int i = 0; i < MANY; i++)
        unsubscribe(list, subs[i]);
    assert_int_equal(pp_alloc_live(), live);
    pp_sublist_free(list);
}

static void test_sublist_remove_needs_no_memory(void **state)
{
    enum { MANY = 6000 };
    static pp_sub *subs[MANY];
    pp_sublist *list = new_list();
    int64_t live = pp_alloc_live();
    char text[32];

    (void)state;
    for (int i = 0; i < MANY; i++)
        subs[i] =
            subscribe(list, (pp_str){text, (size_t)snprintf(text, sizeof(text), "a.%d.b", i)}, "");
    pp_fault_arm_from("*", 1);
    for (int i = 0; i < MANY; i++)
        unsubscribe(list, subs[i]);
    (void)pp_fault_disarm();
    assert_int_equal(pp_alloc_live(), live);
    pp_sublist_free(list);
}

static void test_sublist_match_without_memory(void **state)
{
    static char deep[2 * 100];
    pp_sublist *list = new_list();
    pp_sub *subs[100];
    int64_t live;

    (void)state;
    for (size_t i = 0; i < sizeof(deep) / 2; i++)
        (void)memcpy(deep + 2 * i, "a.", 2);
    for (size_t i = 0; i < COUNT_OF(subs); i++)
        subs[i] = subscribe(list, PP_STR("a.>"), "");
    live = pp_alloc_live();
    for (uint64_t nth = 1;; nth++) {
        pp_sub_set set = {0};
        pipit_err err;

        pp_fault_arm("*", nth);
        err = pp_sublist_match(list, (pp_str){deep, sizeof(deep) - 1}, &set);
        if (!pp_fault_disarm()) {
            assert_int_equal(err, PIPIT_OK);
            assert_int_equal(set.count, COUNT_OF(subs));
            pp_sub_set_fini(&set);
            break;
        }
        assert_int_equal(err, PIPIT_ENOMEM);
        assert_int_equal(set.count, 0);
        pp_sub_set_fini(&set);
        assert_int_equal(pp_alloc_live(), live);
    }
    for (size_t i = 0; i < COUNT_OF(subs); i++)
        unsubscribe(list, subs[i]);
    pp_sublist_free(list);
}

/* ---- the rest ---- */

static void test_sub_set_is_reused(void **state)
{
    pp_sublist *list = new_list();
    pp_sub *sub = subscribe(list, PP_STR("a"), "");
    pp_sub_set set = {0};
    pp_sub **storage;

    (void)state;
    assert_int_equal(pp_sublist_match(list, PP_STR("a"), &set), PIPIT_OK);
    assert_int_equal(set.count, 1);
    storage = set.subs;
    assert_int_equal(pp_sublist_match(list, PP_STR("b"), &set), PIPIT_OK);
    assert_int_equal(set.count, 0);
    assert_int_equal(pp_sublist_match(list, PP_STR("a"), &set), PIPIT_OK);
    assert_int_equal(set.count, 1);
    assert_ptr_equal(set.subs, storage);
    pp_sub_set_fini(&set);
    assert_null(set.subs);
    assert_int_equal(set.count, 0);
    pp_sub_set_fini(&set);
    unsubscribe(list, sub);
    pp_sublist_free(list);
}

static void test_sublist_dump_counts(void **state)
{
    pp_sublist *list = new_list();
    pp_sub *subs[] = {
        subscribe(list, PP_STR("orders.*.new"), ""),
        subscribe(list, PP_STR("orders.7.new"), "q"),
        subscribe(list, PP_STR("orders.7.new"), ""),
        subscribe(list, PP_STR("orders.7.paid"), ""),
        subscribe(list, PP_STR(">"), ""),
    };
    int64_t live = pp_alloc_live();
    pp_buf out;

    (void)state;
    pp_buf_init(&out, 200);
    for (uint64_t nth = 1;; nth++) {
        pipit_err err;

        pp_fault_arm("*", nth);
        err = pp_sublist_dump(list, &out);
        if (!pp_fault_disarm()) {
            assert_int_equal(err, PIPIT_OK);
            break;
        }
        assert_int_equal(err, PIPIT_ENOMEM);
        assert_int_equal(pp_alloc_live(), live);
    }
    assert_true(pp_str_eq(pp_buf_str(&out),
                          PP_STR("subscriptions=5 patterns=4 nodes=2 depth=3 widest=2\n")));
    pp_buf_fini(&out);
    for (size_t i = 0; i < COUNT_OF(subs); i++)
        unsubscribe(list, subs[i]);
    pp_sublist_free(list);
}

static void test_sublist_generations_have_lines_of_their_own(void **state)
{
    pp_sublist *list = new_list();

    (void)state;
    assert_int_equal((uintptr_t)pp_sublist_generations(list) % 64, 0);
    assert_int_equal(pp_sublist_seed(list), LIST_SEED);
    pp_sublist_free(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sublist_match_finds_what_covers),
        cmocka_unit_test(test_sublist_refuses_bad_subjects),
        cmocka_unit_test(test_sublist_keeps_subscriptions_of_one_pattern_apart),
        cmocka_unit_test(test_sublist_takes_subjects_of_thousands_of_tokens),
        cmocka_unit_test(test_sublist_takes_long_tokens),
        cmocka_unit_test(test_sublist_holds_many_tokens_at_one_node),
        cmocka_unit_test(test_sublist_agrees_with_the_definition),
        cmocka_unit_test(test_sublist_literal_changes_its_own_slot),
        cmocka_unit_test(test_sublist_wildcard_changes_all),
        cmocka_unit_test(test_sublist_churn_of_literals_leaves_other_slots),
        cmocka_unit_test(test_sublist_match_and_refusal_change_no_generation),
        cmocka_unit_test(test_sublist_touch_changes_like_an_insert),
        cmocka_unit_test(test_sublist_new_without_memory),
        cmocka_unit_test(test_sublist_insert_without_memory_changes_nothing),
        cmocka_unit_test(test_sublist_remove_needs_no_memory),
        cmocka_unit_test(test_sublist_match_without_memory),
        cmocka_unit_test(test_sub_set_is_reused),
        cmocka_unit_test(test_sublist_dump_counts),
        cmocka_unit_test(test_sublist_generations_have_lines_of_their_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
