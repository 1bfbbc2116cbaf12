/* $SYS.REQ.CLAIMS: tokens of accounts are shown, replaced and deleted by messages in the system
 * account. The work on files is a clerk's; the answer is written on the home loop.
 * Source: NATS authentication, section 6, and nats-server 2.15 for texts. */
#include "base/alloc.h"
#include "base/json.h"
#include "core/subject.h"
#include "server/operators/operators.h"
#include "server/server.h"
#include "server/system/answer.h"
#include "server/system/identity.h"
#include "server/system/publish.h"

#include <stdio.h>
#include <string.h>

enum {
    ANSWER_MAX = 64 * 1024 * 1024,
    REASON_BYTES = 512,
    CODE_DONE = 200,
    CODE_FAILED = 500,
};

struct work {
    pp_clerk_job job;
    pp_operators *operators;
    pp_request *request;
    char key[PP_NKEY_TEXT_BYTES];
    pp_buf text; /* a token, or what is answered */
    char reason[REASON_BYTES];
    pipit_err err;
    bool kept;
    size_t deleted;
    pp_claim_list keys; /* of a deletion, in jwt */
    pp_jwt jwt;
};

/* --- answers ------------------------------------------------------------------------------- */

/* The server with {"data":...} or {"error":...}, as tools expect it. */
static void answer(pp_request *request, const char *key, int code, const char *message,
                   const char *error)
{
    bool failed = error != NULL;
    char text[REASON_BYTES + 64];
    pp_buf out;
    pp_json json;

    if (failed)
        (void)snprintf(text, sizeof(text), "%s - %s", message, error);
    pp_buf_init(&out, ANSWER_MAX);
    pp_json_init(&json, &out, 0);
    pp_json_begin_object(&json, NULL);
    pp_identity_write(request->system, &json, "server");
    pp_json_begin_object(&json, failed ? "error" : "data");
    if (*key)
        pp_json_text(&json, "account", pp_str_of(key));
    pp_json_i64(&json, "code", code);
    if (failed)
        pp_json_text(&json, "description", pp_str_of(text));
    else
        pp_json_text(&json, "message", pp_str_of(message));
    pp_json_end_object(&json);
    pp_json_end_object(&json);
    if (pp_json_finish(&json))
        pp_request_drop(request);
    else
        pp_request_answer_text(request, pp_buf_str(&out));
    pp_buf_fini(&out);
}

static struct work *work_new(pp_request *request)
{
    struct work *work = pp_calloc(1, sizeof(*work));

    if (!work) {
        pp_request_drop(request);
        return NULL;
    }
    work->operators = request->system->server->operators;
    work->request = request;
    pp_buf_init(&work->text, ANSWER_MAX);
    return work;
}

static void work_free(struct work *work)
{
    pp_jwt_fini(&work->jwt);
    pp_buf_fini(&work->text);
    pp_free(work);
}

static void give(struct work *work, void (*run)(pp_clerk_job *job), void (*done)(pp_task *task))
{
    work->job.work = run;
    work->job.done.run = done;
    pp_clerk_give(&work->operators->clerk, &work->job);
}

static struct work *work_of(pp_clerk_job *job)
{
    return PP_CONTAINER(job, struct work, job);
}

/* Back on the home loop; false: it was not worked on, and is gone. */
static bool is_done(struct work *work)
{
    if (!work->job.dropped && work->request->system->running)
        return true;
    pp_request_drop(work->request);
    work_free(work);
    return false;
}

/* --- update -------------------------------------------------------------------------------- */

/* The account of $SYS.REQ.ACCOUNT.<key>.CLAIMS.UPDATE and of $SYS.ACCOUNT.<key>.CLAIMS.UPDATE;
 * empty for $SYS.REQ.CLAIMS.UPDATE. */
static pp_str key_in(pp_str subject)
{
    pp_str before = {"", 0}, token = {"", 0};

    while (subject.len) {
        before = token;
        token = pp_subject_next_token(&subject);
        if (pp_str_eq(before, PP_STR("ACCOUNT")))
            return token;
    }
    return PP_STR("");
}

static const char *failure_text(pipit_err err)
{
    return err == PIPIT_ELIMIT ? "jwt store is full" : pipit_strerror(err);
}

static void keep_token(pp_clerk_job *job)
{
    struct work *work = work_of(job);

    work->err = pp_token_store_save(work->operators->store, pp_buf_str(&work->text), &work->jwt,
                                    pp_operators_now_s(), false, &work->kept);
    if (work->kept)
        pp_operators_note_end(work->operators, work->jwt.expires_s);
}

/* Put in force what is in use. Of a cache, what is not in use is not kept, either. */
static void on_kept(pp_task *task)
{
    struct work *work = PP_CONTAINER(task, struct work, job.done);
    pp_operators *operators = work->operators;
    bool cache = operators->kind == PP_RESOLVER_CACHE;
    char reason[PP_JWT_REASON_BYTES];

    if (!is_done(work))
        return;
    pp_operators_schedule(operators);
    if (work->err) {
        answer(work->request, work->key, CODE_FAILED,
               cache ? "jwt update cache resulted in error" : "jwt update resulted in error",
               failure_text(work->err));
    } else {
        if (pp_operators_know(operators, pp_str_of(work->key)) &&
            pp_operators_install(operators, pp_str_of(work->key), pp_buf_str(&work->text), reason))
            pp_log_write(&operators->server->log, PP_LOG_WARN,
                         "Account %s: its new token is kept, but not in force: %s", work->key,
                         *reason ? reason : "out of memory");
        answer(work->request, work->key, CODE_DONE, cache ? "jwt updated cache" : "jwt updated",
               NULL);
    }
    work_free(work);
}

/* Without a store: only what is in use, and only until the server ends. */
static void update_in_memory(struct work *work)
{
    char reason[PP_JWT_REASON_BYTES] = "";

    if (!pp_operators_know(work->operators, pp_str_of(work->key)))
        answer(work->request, work->key, CODE_DONE, "jwt update skipped", NULL);
    else if (pp_operators_install(work->operators, pp_str_of(work->key), pp_buf_str(&work->text),
                                  reason))
        answer(work->request, work->key, CODE_FAILED, "jwt update resulted in error",
               *reason ? reason : "out of memory");
    else
        answer(work->request, work->key, CODE_DONE, "jwt updated", NULL);
    work_free(work);
}

/* Is it a token of an account that makes sense? work gets it. */
static pipit_err read_token(struct work *work, pp_str token, const char **out_message)
{
    char reason[PP_JWT_REASON_BYTES];
    pp_tenant_claims *claims;
    pipit_err err;

    *out_message = "jwt update resulted in error";
    (void)snprintf(work->key, sizeof(work->key), "n/a");
    err = pp_jwt_decode(&work->jwt, token, reason);
    if (!err && (work->jwt.type != PP_JWT_ACCOUNT ||
                 pp_nkey_decode(work->jwt.subject, PP_NKEY_ACCOUNT, NULL))) {
        (void)snprintf(reason, sizeof(reason), "not account claim");
        err = PIPIT_EINVAL;
    }
    if (!err) {
        (void)snprintf(work->key, sizeof(work->key), "%.*s", PP_STR_ARGS(work->jwt.subject));
        *out_message = "jwt validation failed";
        err = pp_tenant_claims_new(&claims, token, pp_operators_now_s(), reason);
        if (!err)
            pp_tenant_claims_let_go(claims);
    }
    if (!err)
        err = pp_buf_add(&work->text, token.ptr, token.len);
    if (err)
        (void)snprintf(work->reason, sizeof(work->reason), "%s",
                       err == PIPIT_EINVAL ? reason : pipit_strerror(err));
    return err;
}

static pp_str trimmed(pp_str text)
{
    while (text.len && (unsigned char)*text.ptr <= ' ')
        text = (pp_str){text.ptr + 1, text.len - 1};
    while (text.len && (unsigned char)text.ptr[text.len - 1] <= ' ')
        text.len--;
    return text;
}

void pp_answer_token_update(pp_request *request)
{
    struct work *work = work_new(request);
    pp_str key = key_in(pp_request_subject(request));
    const char *message;

    if (!work)
        return;
    if (read_token(work, trimmed(pp_request_body(request)), &message)) {
        answer(request, work->key, CODE_FAILED, message, work->reason);
    } else if (key.len && !pp_str_eq(key, work->jwt.subject)) {
        (void)snprintf(work->key, sizeof(work->key), "%.*s", PP_STR_ARGS(key));
        answer(request, work->key, CODE_FAILED, "jwt update resulted in error",
               "subject does not match jwt content");
    } else if (!work->operators->store) {
        update_in_memory(work);
        return;
    } else if (work->operators->kind == PP_RESOLVER_CACHE &&
               !pp_operators_know(work->operators, work->jwt.subject)) {
        answer(request, work->key, CODE_DONE, "jwt update cache skipped", NULL);
    } else {
        give(work, keep_token, on_kept);
        return;
    }
    work_free(work);
}

/* --- delete -------------------------------------------------------------------------------- */

static void delete_tokens(pp_clerk_job *job)
{
    struct work *work = work_of(job);

    for (size_t i = 0; i < work->keys.count; i++) {
        pipit_err err = pp_token_store_delete(work->operators->store, work->keys.items[i]);

        if (!err)
            work->deleted++;
        else if (err != PIPIT_ENOTFOUND)
            work->err = err;
    }
}

static void on_deleted(pp_task *task)
{
    struct work *work = PP_CONTAINER(task, struct work, job.done);
    char message[64];

    if (!is_done(work))
        return;
    for (size_t i = 0; i < work->keys.count; i++)
        pp_operators_end(work->operators, work->keys.items[i]);
    (void)snprintf(message, sizeof(message), "deleted %zu accounts", work->deleted);
    if (work->err)
        answer(work->request, "", CODE_FAILED, message, pipit_strerror(work->err));
    else
        answer(work->request, "", CODE_DONE, message, NULL);
    work_free(work);
}

static bool is_operator(pp_operators *operators, pp_str key)
{
    bool trusted;

    (void)pthread_mutex_lock(&operators->lock);
    trusted = pp_trust_find(&operators->plan->trust, key) != NULL;
    (void)pthread_mutex_unlock(&operators->lock);
    return trusted;
}

static bool is_system_account(pp_operators *operators, pp_str key)
{
    const char *system;
    bool is;

    (void)pthread_mutex_lock(&operators->lock);
    system = operators->plan->system_account;
    is = system && pp_str_eq(key, pp_str_of(system));
    (void)pthread_mutex_unlock(&operators->lock);
    return is;
}

/* NULL: it may be done. */
static const char *refusal_of(struct work *work, pp_str token)
{
    char reason[PP_JWT_REASON_BYTES];
    pp_deletion_claims claims;

    if (!work->operators->allow_delete)
        return "delete must be enabled in server config";
    if (pp_jwt_decode(&work->jwt, token, reason) ||
        pp_deletion_claims_read(&claims, &work->jwt, reason))
        return "malformed request";
    if (!pp_str_eq(work->jwt.issuer, work->jwt.subject))
        return "not self signed";
    if (!is_operator(work->operators, work->jwt.issuer))
        return "not trusted";
    if (work->jwt.expires_s > 0 && pp_operators_now_s() > work->jwt.expires_s)
        return "claim is expired";
    for (size_t i = 0; i < claims.accounts.count; i++) {
        if (pp_nkey_decode(claims.accounts.items[i], PP_NKEY_ACCOUNT, NULL))
            return "malformed request";
        if (is_system_account(work->operators, claims.accounts.items[i]))
            return "not allowed to delete system account";
    }
    work->keys = claims.accounts;
    return NULL;
}

void pp_answer_token_delete(pp_request *request)
{
    struct work *work = work_new(request);
    char message[128];
    const char *refusal;

    if (!work)
        return;
    refusal = refusal_of(work, trimmed(pp_request_body(request)));
    if (!refusal) {
        give(work, delete_tokens, on_deleted);
        return;
    }
    (void)snprintf(message, sizeof(message), "delete accounts request by %.*s failed",
                   (int)(work->jwt.subject.len < 64 ? work->jwt.subject.len : 64),
                   work->jwt.subject.len ? work->jwt.subject.ptr : "");
    answer(request, "", CODE_FAILED, message, refusal);
    work_free(work);
}

/* --- list, look up ------------------------------------------------------------------------- */

static void add_key(const char *key, void *arg)
{
    pp_json_text(arg, NULL, pp_str_of(key));
}

static void list_tokens(pp_clerk_job *job)
{
    struct work *work = work_of(job);
    pp_json json;

    pp_json_init(&json, &work->text, 0);
    pp_json_begin_array(&json, NULL);
    pp_token_store_each(work->operators->store, add_key, &json);
    pp_json_end_array(&json);
    work->err = pp_json_finish(&json);
}

static void on_listed(pp_task *task)
{
    struct work *work = PP_CONTAINER(task, struct work, job.done);

    if (!is_done(work))
        return;
    if (work->err)
        pp_request_drop(work->request);
    else
        pp_request_answer(work->request, pp_buf_str(&work->text));
    work_free(work);
}

void pp_answer_token_list(pp_request *request)
{
    struct work *work = work_new(request);

    if (work)
        give(work, list_tokens, on_listed);
}

static void look_up(pp_clerk_job *job)
{
    struct work *work = work_of(job);

    work->err =
        pp_token_store_load(work->operators->store, key_in(pp_request_subject(work->request)),
                            pp_operators_now_s(), &work->text);
}

static void on_looked_up(pp_task *task)
{
    struct work *work = PP_CONTAINER(task, struct work, job.done);

    if (!is_done(work))
        return;
    pp_request_answer_text(work->request, work->err ? PP_STR("") : pp_buf_str(&work->text));
    work_free(work);
}

void pp_answer_token_lookup(pp_request *request)
{
    struct work *work = work_new(request);

    if (work)
        give(work, look_up, on_looked_up);
}

/* --- pack ---------------------------------------------------------------------------------- */

struct packing {
    struct work *work;
    pp_token_store *store;
};

/* "<key>|<token>" and a zero byte, which is in neither. */
static void pack_one(const char *key, void *arg)
{
    struct packing *packing = arg;
    struct work *work = packing->work;
    size_t before = work->text.len;
    pipit_err err;

    if (work->err)
        return;
    err = pp_buf_addf(&work->text, "%s|", key);
    if (!err)
        err =
            pp_token_store_load(packing->store, pp_str_of(key), pp_operators_now_s(), &work->text);
    if (!err)
        err = pp_buf_add(&work->text, "", 1);
    if (err == PIPIT_ENOMEM || err == PIPIT_ETOOBIG)
        work->err = err;
    if (err)
        work->text.len = before;
}

static void pack(pp_clerk_job *job)
{
    struct work *work = work_of(job);
    struct packing packing = {work, work->operators->store};
    uint8_t hash[PP_TOKEN_STORE_HASH_BYTES];
    pp_str asked = pp_request_body(work->request);

    pp_token_store_hash(work->operators->store, hash);
    if (asked.len == sizeof(hash) && memcmp(asked.ptr, hash, sizeof(hash)) == 0)
        return;
    pp_token_store_each(work->operators->store, pack_one, &packing);
}

/* One message for each account, then an empty one. */
static void on_packed(pp_task *task)
{
    struct work *work = PP_CONTAINER(task, struct work, job.done);
    pp_request *request = work->request;
    pp_system *system = request->system;
    pp_str rest = pp_buf_str(&work->text);

    if (!is_done(work))
        return;
    while (!work->err && request->reply_len && rest.len) {
        pp_str line = {rest.ptr, strlen(rest.ptr)};
        pp_audience audience;

        rest = (pp_str){rest.ptr + line.len + 1, rest.len - line.len - 1};
        if (!pp_audience_find(system, pp_request_account(request), pp_request_reply(request),
                              &audience))
            break;
        (void)pp_audience_tell(system, &audience, pp_request_reply(request), line, 0);
    }
    if (work->err)
        pp_request_drop(request);
    else
        pp_request_answer_text(request, PP_STR(""));
    work_free(work);
}

void pp_answer_token_pack(pp_request *request)
{
    struct work *work = work_new(request);

    if (work)
        give(work, pack, on_packed);
}
