/* Requests, by every way to a server: one answer, several, and nobody there. */
#include "place.h"

#include <string.h>

static void answer(void *context, pipit_sub *sub, const pipit_msg *msg)
{
    unsigned times = msg->payload_bytes ? (unsigned)(*(const char *)msg->payload - '0') : 1;

    (void)sub;
    for (unsigned i = 0; i < times; i++)
        must(pipit_client_respond(context, msg, msg->payload, msg->payload_bytes), "respond");
}

struct many {
    pthread_mutex_t lock;
    pthread_cond_t grown;
    unsigned answers, ends;
    pipit_err err;
};

static void on_many(void *context, pipit_request *request, pipit_err err, const pipit_msg *msg)
{
    struct many *m = context;

    (void)request;
    (void)pthread_mutex_lock(&m->lock);
    m->answers += msg != NULL;
    m->ends += !msg;
    if (!msg)
        m->err = err;
    (void)pthread_cond_broadcast(&m->grown);
    (void)pthread_mutex_unlock(&m->lock);
}

static void gather(struct many *m, pipit_client *client, const char *times, uint32_t most,
                   int64_t timeout_ms, int64_t gap_ms)
{
    const pipit_msg msg = {"echo", 4, NULL, 0, NULL, 0, times, 1};
    pipit_request *request;

    *m = (struct many){.lock = PTHREAD_MUTEX_INITIALIZER, .grown = PTHREAD_COND_INITIALIZER};
    must(pipit_client_request_start(client, &msg, most, timeout_ms, gap_ms, on_many, m, &request),
         "request");
    (void)pthread_mutex_lock(&m->lock);
    while (!m->ends)
        (void)pthread_cond_wait(&m->grown, &m->lock);
    (void)pthread_mutex_unlock(&m->lock);
}

static void require_answers(const struct many *m, unsigned answers, pipit_err err)
{
    REQUIRE(m->ends == 1 && m->answers == answers && m->err == err, "%u answers, %s", m->answers,
            pipit_strerror(m->err));
}

static void ask_many(pipit_client *client, const char *times, uint32_t most, int64_t timeout_ms,
                     int64_t gap_ms, unsigned answers, pipit_err err)
{
    struct many m;

    gather(&m, client, times, most, timeout_ms, gap_ms);
    require_answers(&m, answers, err);
}

/* Four answers, and the time is up; again with more of it where that was too little for four. */
static void ask_until_over(pipit_client *client, int64_t timeout_ms, int64_t gap_ms)
{
    struct many m;

    gather(&m, client, "4", 0, timeout_ms, gap_ms);
    if (m.answers < 4)
        gather(&m, client, "4", 0, 5 * timeout_ms, 5 * gap_ms);
    require_answers(&m, 4, PIPIT_OK);
}

static void ask(struct place *p)
{
    pipit_client *client = come(p), *service = come(p);
    pipit_msg *reply;
    pipit_sub *sub;

    must(pipit_client_subscribe(service, "echo", NULL, answer, service, &sub), "subscribe");
    must(pipit_client_flush(service, WAIT_MS), "flush");
    for (int i = 0; i < 200; i++) {
        must(pipit_client_request(client, "echo", "1abc", 4, WAIT_MS, &reply), "request");
        REQUIRE(reply->payload_bytes == 4 && memcmp(reply->payload, "1abc", 4) == 0, "echo");
        pipit_msg_free(reply);
    }
    must(pipit_client_request(client, "echo", "1abc", 4, INT64_MAX, &reply), "with all patience");
    pipit_msg_free(reply);
    REQUIRE(pipit_client_request(client, "nobody", "", 0, WAIT_MS, &reply) == PIPIT_ENOTFOUND,
            "nobody is there");
    REQUIRE(pipit_client_request(client, "echo", "0", 1, 20, &reply) == PIPIT_ETIMEOUT,
            "no answer");
    ask_many(client, "5", 3, WAIT_MS, 0, 3, PIPIT_OK);
    ask_until_over(client, 2000, 0);
    ask_until_over(client, WAIT_MS, 1000);
    ask_many(client, "4", 4, INT64_MAX, INT64_MAX, 4, PIPIT_OK);
    ask_many(client, "0", 0, 20, 0, 0, PIPIT_ETIMEOUT);
    pipit_client_free(service);
    pipit_client_free(client);
}

/* Who hears nothing of its own is told that nobody is there all the same, and nobody else is. */
static void ask_nobody(struct place *p)
{
    pipit_client_options deaf = {.no_echo = true};
    pipit_client *client = connect_with(p, &deaf), *other = come(p);
    struct heard h;
    pipit_msg *reply;
    pipit_sub *sub;

    heard_init(&h);
    must(pipit_client_subscribe(other, "answers.>", NULL, hear, &h, &sub), "subscribe");
    must(pipit_client_flush(other, WAIT_MS), "flush");
    REQUIRE(pipit_client_request(client, "nobody", "", 0, WAIT_MS, &reply) == PIPIT_ENOTFOUND,
            "nobody is there");
    must(pipit_client_publish(client, "nobody", "answers.1", "", 0), "publish");
    must(pipit_client_publish(client, "answers.2", NULL, "", 0), "publish");
    await(&h, 1);
    REQUIRE(strcmp(h.subject, "answers.2") == 0, "heard %s", h.subject);
    pipit_client_free(other);
    pipit_client_free(client);
}

static void scenario_ask(void)
{
    each_way(ask);
    each_way(ask_nobody);
}

int main(int argc, char **argv)
{
    static const struct scenario all[] = {
        {"ask", scenario_ask, 300},
    };

    return scenarios_run(all, COUNT_OF(all), argc, argv);
}
