/* What a consumer has been given: cases by hand, and many at random beside a model that looks
 * through a plain row each time. */
#include "consumer/consumer.h"

#include "base/alloc.h"
#include "base/fault.h"
#include "base/random.h"
#include "seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const pp_consumer_rules plain = {
    .max_deliver = 3, .max_outstanding = 8, .ack_wait_ns = 100, .late_delay_ns = 50};

static void test_consumer_acknowledged_is_done(void **state)
{
    pp_consumer c;
    uint32_t count;
    uint64_t seq;

    (void)state;
    pp_consumer_init(&c, &plain, 5);
    assert_int_equal(pp_consumer_floor(&c), 4);
    assert_int_equal(pp_consumer_due(&c), INT64_MAX);
    assert_int_equal(pp_consumer_deliver_new(&c, 7, 1000), PIPIT_OK);
    assert_int_equal(c.next_seq, 8);
    assert_int_equal(pp_consumer_floor(&c), 6);
    assert_int_equal(pp_consumer_due(&c), 1100);
    assert_int_equal(pp_consumer_turn(&c, 1099, &seq), PP_CONSUMER_NOTHING);
    assert_true(pp_consumer_ack(&c, 7));
    assert_false(pp_consumer_ack(&c, 7));
    assert_int_equal(pp_consumer_floor(&c), 7);
    assert_int_equal(pp_consumer_again(&c, &count), 0);
    assert_int_equal(pp_consumer_due(&c), INT64_MAX);
    pp_consumer_fini(&c);
}

/* Source: message-broker, section 7.4: so many times, each after timeout and delay. */
static void test_consumer_silence_ends_after_the_last_time(void **state)
{
    pp_consumer c;
    int64_t now_ns = 0;
    uint32_t count;
    uint64_t seq;

    (void)state;
    pp_consumer_init(&c, &plain, 1);
    assert_int_equal(pp_consumer_deliver_new(&c, 1, now_ns), PIPIT_OK);
    for (uint32_t nth = 1; nth < 3; nth++) {
        now_ns += 100;
        assert_int_equal(pp_consumer_turn(&c, now_ns, &seq), PP_CONSUMER_LATE);
        assert_int_equal(seq, 1);
        assert_int_equal(pp_consumer_turn(&c, now_ns + 49, &seq), PP_CONSUMER_NOTHING);
        now_ns += 50;
        assert_int_equal(pp_consumer_turn(&c, now_ns, &seq), PP_CONSUMER_READY);
        assert_int_equal(pp_consumer_again(&c, &count), 1);
        assert_int_equal(count, nth);
        pp_consumer_deliver_again(&c, now_ns);
    }
    now_ns += 100;
    assert_int_equal(pp_consumer_turn(&c, now_ns, &seq), PP_CONSUMER_DROPPED);
    assert_int_equal(c.outstanding, 0);
    assert_int_equal(pp_consumer_floor(&c), 1);
    pp_consumer_fini(&c);
}

static void test_consumer_nack_waits_its_delay_only(void **state)
{
    pp_consumer c;
    uint32_t count;
    uint64_t seq;

    (void)state;
    pp_consumer_init(&c, &plain, 1);
    assert_int_equal(pp_consumer_deliver_new(&c, 1, 0), PIPIT_OK);
    assert_int_equal(pp_consumer_nack(&c, 2, 30, 10), PP_CONSUMER_NOTHING);
    assert_int_equal(pp_consumer_nack(&c, 1, 30, 10), PP_CONSUMER_LATE);
    assert_int_equal(pp_consumer_nack(&c, 1, 30, 10), PP_CONSUMER_NOTHING); /* not in flight */
    assert_int_equal(pp_consumer_due(&c), 40);
    assert_int_equal(pp_consumer_turn(&c, 40, &seq), PP_CONSUMER_READY);
    assert_int_equal(pp_consumer_nack(&c, 1, 0, 50), PP_CONSUMER_NOTHING);
    pp_consumer_deliver_again(&c, 50);
    assert_int_equal(pp_consumer_nack(&c, 1, 0, 60), PP_CONSUMER_LATE); /* READY at once */
    assert_int_equal(pp_consumer_again(&c, &count), 1);
    assert_true(pp_consumer_ack(&c, 1));
    assert_int_equal(pp_consumer_again(&c, &count), 0);
    pp_consumer_fini(&c);
}

static void test_consumer_has_a_limit(void **state)
{
    pp_consumer c;

    (void)state;
    pp_consumer_init(&c, &plain, 1);
    for (uint64_t seq = 1; seq <= 8; seq++)
        assert_int_equal(pp_consumer_deliver_new(&c, seq, 0), PIPIT_OK);
    assert_int_equal(pp_consumer_deliver_new(&c, 9, 0), PIPIT_ELIMIT);
    assert_int_equal(c.next_seq, 9);
    assert_true(pp_consumer_ack(&c, 3));
    assert_int_equal(pp_consumer_deliver_new(&c, 9, 0), PIPIT_OK);
    pp_consumer_fini(&c);
}

static void test_consumer_may_wait_for_ever(void **state)
{
    const pp_consumer_rules patient = {.ack_wait_ns = INT64_MAX, .late_delay_ns = INT64_MAX};
    pp_consumer c;
    uint64_t seq;

    (void)state;
    pp_consumer_init(&c, &patient, 1);
    assert_int_equal(pp_consumer_deliver_new(&c, 1, 1000), PIPIT_OK);
    assert_int_equal(pp_consumer_due(&c), INT64_MAX);
    assert_int_equal(pp_consumer_turn(&c, 2000, &seq), PP_CONSUMER_NOTHING);
    assert_int_equal(pp_consumer_nack(&c, 1, INT64_MAX, 2000), PP_CONSUMER_LATE);
    assert_int_equal(pp_consumer_turn(&c, 3000, &seq), PP_CONSUMER_NOTHING);
    assert_true(pp_consumer_ack(&c, 1));
    pp_consumer_fini(&c);
}

static void test_consumer_survives_each_allocation_failing(void **state)
{
    int64_t live = pp_alloc_live();
    bool fired = true;

    (void)state;
    for (uint64_t nth = 1; fired; nth++) {
        pp_consumer c;
        uint64_t given = 0;

        pp_consumer_init(&c, &plain, 1);
        pp_fault_arm("alloc", nth);
        for (uint64_t seq = 1; seq <= 8; seq++)
            given += pp_consumer_deliver_new(&c, c.next_seq, 0) == PIPIT_OK;
        fired = pp_fault_disarm();
        assert_int_equal(c.outstanding, given);
        assert_int_equal(given, fired ? 7 : 8);
        for (uint64_t seq = 1; seq <= given; seq++)
            assert_true(pp_consumer_ack(&c, seq));
        pp_consumer_fini(&c);
    }
    assert_int_equal(pp_alloc_live(), live);
}

/* --- the model ---------------------------------------------------------------------------- */

enum { ROWS_MAX = 64, STEPS = 400, SEQUENCES = 3000 };

typedef enum place { GONE, FLYING, WAITS, COMES } place;

struct row {
    uint64_t seq;
    place place;
    int64_t due_ns;
    uint32_t count;
    uint64_t order; /* in which it became READY */
};

struct model {
    struct row rows[ROWS_MAX];
    size_t count;
    pp_consumer_rules rules;
    uint64_t next_seq, order;
};

static struct row *row_of(struct model *m, uint64_t seq)
{
    for (size_t i = 0; i < m->count; i++) {
        if (m->rows[i].seq == seq)
            return &m->rows[i];
    }
    return NULL;
}

static void remove_row(struct model *m, struct row *row)
{
    memmove(row, row + 1, (size_t)(m->rows + m->count - (row + 1)) * sizeof(*row));
    m->count--;
}

static pp_consumer_event fail_row(struct model *m, struct row *row, int64_t delay_ns,
                                  int64_t now_ns)
{
    if (m->rules.max_deliver && row->count >= m->rules.max_deliver) {
        remove_row(m, row);
        return PP_CONSUMER_DROPPED;
    }
    row->place = delay_ns > 0 ? WAITS : COMES;
    row->due_ns = now_ns + delay_ns;
    row->order = m->order++;
    return PP_CONSUMER_LATE;
}

static int64_t model_due(const struct model *m)
{
    int64_t due_ns = INT64_MAX;

    for (size_t i = 0; i < m->count; i++) {
        if (m->rows[i].place != COMES && m->rows[i].due_ns < due_ns)
            due_ns = m->rows[i].due_ns;
    }
    return due_ns;
}

static struct row *model_again(struct model *m)
{
    struct row *first = NULL;

    for (size_t i = 0; i < m->count; i++) {
        if (m->rows[i].place == COMES && (!first || m->rows[i].order < first->order))
            first = &m->rows[i];
    }
    return first;
}

static void same(struct model *m, const pp_consumer *c)
{
    struct row *again = model_again(m);
    uint32_t count = 0, flying = 0;

    for (size_t i = 0; i < m->count; i++)
        flying += m->rows[i].place == FLYING;
    assert_int_equal(c->outstanding, m->count);
    assert_int_equal(c->in_flight, flying);
    assert_int_equal(pp_consumer_due(c), model_due(m));
    assert_int_equal(pp_consumer_floor(c), (m->count ? m->rows[0].seq : m->next_seq) - 1);
    assert_int_equal(pp_consumer_again(c, &count), again ? again->seq : 0);
    assert_int_equal(count, again ? again->count : 0);
}

/* What is due: the consumer says which comes first where several are due at the same time. */
static void turn(struct model *m, pp_consumer *c, int64_t now_ns)
{
    pp_consumer_event event, expected = PP_CONSUMER_READY;
    uint64_t seq;

    while ((event = pp_consumer_turn(c, now_ns, &seq))) {
        struct row *row = row_of(m, seq);

        assert_non_null(row);
        assert_true(row->place == FLYING || row->place == WAITS);
        assert_int_equal(row->due_ns, model_due(m));
        assert_true(row->due_ns <= now_ns);
        if (row->place == FLYING) {
            expected = fail_row(m, row, m->rules.late_delay_ns, now_ns);
        } else {
            row->place = COMES;
            row->order = m->order++;
            expected = PP_CONSUMER_READY;
        }
        assert_int_equal(event, expected);
        same(m, c);
    }
    assert_true(model_due(m) > now_ns);
}

static uint64_t some_seq(const struct model *m, uint64_t *random)
{
    if (m->count && pp_random_below(random, 8))
        return m->rows[pp_random_below(random, (uint32_t)m->count)].seq;
    return pp_random_below(random, (uint32_t)m->next_seq + 2);
}

static void step(struct model *m, pp_consumer *c, uint64_t *random, int64_t *now_ns)
{
    struct row *row;
    int64_t delay_ns;
    uint64_t seq;

    switch (pp_random_below(random, 6)) {
    case 0:
    case 1:
        seq = m->next_seq + (pp_random_below(random, 4) ? 0 : pp_random_below(random, 1000));
        if (pp_consumer_deliver_new(c, seq, *now_ns) == PIPIT_ELIMIT) {
            assert_int_equal(m->count, m->rules.max_outstanding);
            break;
        }
        m->rows[m->count++] = (struct row){seq, FLYING, *now_ns + m->rules.ack_wait_ns, 1, 0};
        m->next_seq = seq + 1;
        break;
    case 2:
        row = model_again(m);
        if (row) {
            pp_consumer_deliver_again(c, *now_ns);
            row->place = FLYING;
            row->count++;
            row->due_ns = *now_ns + m->rules.ack_wait_ns;
        }
        break;
    case 3:
        seq = some_seq(m, random);
        row = row_of(m, seq);
        assert_int_equal(pp_consumer_ack(c, seq), row != NULL);
        if (row)
            remove_row(m, row);
        break;
    case 4:
        seq = some_seq(m, random);
        row = row_of(m, seq);
        delay_ns = pp_random_below(random, 3) ? (int64_t)pp_random_below(random, 80) : 0;
        if (row && row->place == FLYING)
            assert_int_equal(pp_consumer_nack(c, seq, delay_ns, *now_ns),
                             fail_row(m, row, delay_ns, *now_ns));
        else
            assert_int_equal(pp_consumer_nack(c, seq, delay_ns, *now_ns), PP_CONSUMER_NOTHING);
        break;
    default:
        *now_ns += (int64_t)pp_random_below(random, 60);
        turn(m, c, *now_ns);
        break;
    }
    same(m, c);
}

static void test_consumer_is_as_its_model(void **state)
{
    uint64_t random = test_seed("consumer");
    int64_t live = pp_alloc_live();

    (void)state;
    for (int i = 0; i < SEQUENCES; i++) {
        struct model m = {.next_seq = 1 + pp_random_below(&random, 100)};
        int64_t now_ns = 0;
        pp_consumer c;

        m.rules = (pp_consumer_rules){
            .max_deliver = (uint32_t)pp_random_below(&random, 4),
            .max_outstanding = 1 + (uint32_t)pp_random_below(&random, ROWS_MAX),
            .ack_wait_ns = 1 + (int64_t)pp_random_below(&random, 100),
            .late_delay_ns = (int64_t)pp_random_below(&random, 50),
        };
        pp_consumer_init(&c, &m.rules, m.next_seq);
        for (int at = 0; at < STEPS; at++)
            step(&m, &c, &random, &now_ns);
        pp_consumer_fini(&c);
    }
    assert_int_equal(pp_alloc_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_consumer_acknowledged_is_done),
        cmocka_unit_test(test_consumer_silence_ends_after_the_last_time),
        cmocka_unit_test(test_consumer_nack_waits_its_delay_only),
        cmocka_unit_test(test_consumer_has_a_limit),
        cmocka_unit_test(test_consumer_may_wait_for_ever),
        cmocka_unit_test(test_consumer_survives_each_allocation_failing),
        cmocka_unit_test(test_consumer_is_as_its_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
