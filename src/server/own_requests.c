/* Requests are taken on the loop of who asks. A publish to a pattern cannot begin within the
 * publish that asks for it, so it is copied and done at the end of the turn. */
#include "server/own_requests.h"

#include "base/alloc.h"
#include "core/claim.h"
#include "core/header.h"
#include "core/subject.h"
#include "server/server.h"

#include <stdio.h>
#include <string.h>

enum { CLAIMS_MAX = 4096 }; /* of one connection */

/* --- who may ------------------------------------------------------------------------------- */

static bool is_offered_to(const pp_own_requests *own, const pp_client *from)
{
    pp_client_identity who = {0};

    if (!from) /* the program that the server is in */
        return true;
    if (from->ops->identify)
        from->ops->identify(from, &who);
    return who.nearby || (who.id && own->remote);
}

static const pp_permissions *permissions_of(const pp_client *from)
{
    const pp_scope *scope = from ? atomic_load_explicit(&from->scope, memory_order_acquire) : NULL;

    return scope ? scope->permissions : NULL;
}

/* To everything that falls under pattern? */
static bool may_publish(const pp_permissions *permissions, pp_str pattern)
{
    const pp_permission_rules *rules = permissions ? pp_permissions_publish(permissions) : NULL;
    bool allowed;

    if (!rules)
        return true;
    allowed = !rules->has_allow && !rules->responses.allowed;
    for (size_t i = 0; i < rules->allow_count && !allowed; i++)
        allowed = pp_subject_subset(pattern, rules->allow[i].subject);
    for (size_t i = 0; i < rules->deny_count && allowed; i++)
        allowed = !pp_subject_overlaps(pattern, rules->deny[i].subject);
    return allowed;
}

/* --- answers ------------------------------------------------------------------------------ */

static void answer(const pp_own_requests *own, pp_str reply, const char *text)
{
    const pipit_msg msg = {
        .subject = reply.ptr,
        .subject_bytes = reply.len,
        .payload = text,
        .payload_bytes = strlen(text),
    };

    if (reply.len)
        (void)pipit_server_publish_msg(own->server, &msg); /* who asks waits with a time limit */
}

static void answer_with(const pp_own_requests *own, pp_str reply, pipit_err err)
{
    char text[64];

    (void)snprintf(text, sizeof(text), "-ERR '%s'", pipit_strerror(err));
    answer(own, reply, err ? text : "+OK");
}

/* --- publishing to a pattern -------------------------------------------------------------- */

typedef struct errand {
    pp_task task;
    const pp_own_requests *own;
    pipit_msg msg;
    pp_str reply; /* to the request */
    char text[];
} errand;

static void on_errand(pp_task *task)
{
    errand *e = PP_CONTAINER(task, errand, task);
    char text[32];
    size_t recipients;
    pipit_err err = pipit_server_publish_matching(e->own->server, &e->msg, &recipients);

    if (err) {
        answer_with(e->own, e->reply, err);
    } else {
        (void)snprintf(text, sizeof(text), "%zu", recipients);
        answer(e->own, e->reply, text);
    }
    pp_free(e);
}

static const char *put(char **at, pp_str text)
{
    char *here = *at;

    if (text.len)
        memcpy(here, text.ptr, text.len);
    *at = here + text.len;
    return here;
}

static bool find_pattern(const pp_msg *msg, pp_str *out)
{
    pp_field field;
    size_t at = 0;

    while (msg->header_len && pp_field_next(pp_msg_header(msg), &at, &field)) {
        if (pp_str_eq_nocase(field.name, PP_STR(PP_OWN_SUBJECT_HEADER))) {
            *out = field.value;
            return true;
        }
    }
    return false;
}

static void match(const pp_own_requests *own, pp_worker *worker, const pp_msg *msg)
{
    pp_str pattern;
    errand *e;
    char *at;

    /* The message goes on as it is: to itself it would go for ever. */
    if (!find_pattern(msg, &pattern) || !pp_subject_valid(pattern) ||
        pp_str_eq(pattern, PP_STR(PP_OWN_MATCH))) {
        answer_with(own, msg->reply, PIPIT_EINVAL);
        return;
    }
    if (!may_publish(permissions_of(msg->from), pattern)) {
        answer_with(own, msg->reply, PIPIT_EDENIED);
        return;
    }
    e = pp_alloc(sizeof(*e) + pattern.len + msg->data.len + msg->reply.len);
    if (!e) {
        answer_with(own, msg->reply, PIPIT_ENOMEM);
        return;
    }
    at = e->text;
    *e = (errand){.task.run = on_errand, .own = own};
    e->msg.subject = put(&at, pattern);
    e->msg.subject_bytes = pattern.len;
    e->msg.header = put(&at, pp_msg_header(msg));
    e->msg.header_bytes = msg->header_len;
    e->msg.payload = put(&at, pp_msg_payload(msg));
    e->msg.payload_bytes = pp_msg_payload(msg).len;
    e->reply = (pp_str){put(&at, msg->reply), msg->reply.len};
    pp_loop_post(&worker->loop, &e->task);
}

/* --- claims ------------------------------------------------------------------------------- */

static pipit_err claim(const pp_own_requests *own, pp_client *from, pp_str subject)
{
    pipit_err err;
    bool is_new;

    if (!from || !pp_subject_literal(subject)) /* the program has calls for that */
        return PIPIT_EINVAL;
    if (!pp_permissions_may_subscribe(permissions_of(from), subject, PP_STR("")))
        return PIPIT_EDENIED;
    if (from->claims >= CLAIMS_MAX)
        return PIPIT_ELIMIT;
    err = pp_claim_take(own->server->global, subject, from, &is_new);
    if (!err) {
        from->claims += is_new;
        from->claims_in = own->server->global;
    }
    return err;
}

/* --- hearing ------------------------------------------------------------------------------ */

static void *outlet(pp_client *client, uint32_t router_index)
{
    return &PP_CONTAINER(client, pp_own_requests, client)->server->workers[router_index];
}

static bool take_prefix(pp_str *subject, pp_str prefix)
{
    if (!pp_str_starts(*subject, prefix))
        return false;
    *subject = (pp_str){subject->ptr + prefix.len, subject->len - prefix.len};
    return true;
}

static bool deliver(void *worker, const pp_sub *sub, pp_str head, const pp_msg *msg)
{
    const pp_own_requests *own = PP_CONTAINER(sub->client, pp_own_requests, client);
    pp_str rest = msg->subject;

    (void)head;
    if (msg->passage || !is_offered_to(own, msg->from))
        return false;
    if (pp_str_eq(rest, PP_STR(PP_OWN_MATCH))) {
        match(own, worker, msg);
    } else if (take_prefix(&rest, PP_STR(PP_OWN_CLAIM))) {
        answer_with(own, msg->reply, claim(own, msg->from, rest));
    } else if (take_prefix(&rest, PP_STR(PP_OWN_RELEASE))) {
        if (msg->from)
            msg->from->claims -= pp_claim_release(own->server->global, rest, msg->from);
        answer_with(own, msg->reply, PIPIT_OK);
    } else {
        return false;
    }
    return true;
}

static const struct pp_client_ops client_ops = {
    .outlet = outlet,
    .head = pp_client_no_head,
    .deliver = deliver,
    .hears_no_imports = true,
    .hears_no_wildcards = true,
};

/* --- life --------------------------------------------------------------------------------- */

pipit_err pp_own_requests_open(pipit_server *server)
{
    pp_own_requests *own = &server->own_requests;
    pipit_err err;

    own->client.ops = &client_ops;
    own->server = server;
    own->remote = server->options->pipit_requests;
    if (!server->options->unix_path && !own->remote)
        return PIPIT_OK;
    own->sub = pp_sub_new(&own->client, PP_STR("own"), PP_STR(""));
    if (!own->sub)
        return PIPIT_ENOMEM;
    err = pp_account_subscribe(server->global, own->sub, PP_STR("$PIPIT.>"));
    if (err) {
        pp_sub_free(own->sub);
        own->sub = NULL;
    }
    return err;
}

void pp_own_requests_close(pipit_server *server)
{
    pp_own_requests *own = &server->own_requests;

    if (!own->sub)
        return;
    pp_account_unsubscribe(server->global, own->sub);
    pp_sub_free(own->sub);
}
