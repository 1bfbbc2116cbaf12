/* $SYS.REQ.ACCOUNT: what the server tells about one account. The system account may ask about any;
 * every other account only about itself, whatever its request says.
 * Source: accounts and subjects, sections 8 and 10. */
#include "base/alloc.h"
#include "core/subject.h"
#include "server/monitor/gather.h"
#include "server/monitor/page.h"
#include "server/server.h"
#include "server/system/answer.h"
#include "server/system/conns.h"
#include "server/system/question.h"

enum { ACCOUNT_AT = 3 /* the token of $SYS.REQ.ACCOUNT.<name>.<what> */ };

/* Whom a request is about. */
static pp_str account_of(const pp_request *request)
{
    pp_str rest = pp_request_subject(request), token = {NULL, 0};

    if (request->from_tenant)
        return pp_str_of(pp_request_account(request)->name);
    for (unsigned i = 0; i <= ACCOUNT_AT; i++)
        token = pp_subject_next_token(&rest);
    return token;
}

/* --- with the monitor ---------------------------------------------------------------------- */

struct search {
    pp_page *page;
    pp_json json;
    bool found;
};

static void write_detail(const pp_account_sums *sums, void *arg)
{
    struct search *search = arg;

    if (!pp_str_eq(pp_str_of(sums->name), search->page->options->account))
        return;
    search->found = true;
    pp_account_detail_write(&search->json, NULL, sums, search->page->server->config_wall_ns);
}

static pipit_err write_info(pp_page *page)
{
    struct search search = {.page = page};
    pipit_err err;

    pp_page_json(page, &search.json, 2);
    err = pp_vitals_each_account(page->server, write_detail, &search);
    if (!err && !search.found)
        return pp_page_refuse(page, 500, "Account %.*s does not exist",
                              PP_STR_ARGS(page->options->account));
    return err ? err : pp_json_finish(&search.json);
}

/* Who has nothing to report stays silent, unless everything is wanted. */
static void reply_stats(pp_request *request, const pp_monitor_answer *answer)
{
    static const pp_str nothing = {"\"account_statz\":[]}", 19};
    size_t len = answer->body_bytes;
    const char *end = answer->body ? answer->body->bytes + len : NULL;

    if (answer->body && len > nothing.len &&
        pp_str_eq((pp_str){end - nothing.len, nothing.len}, nothing) && !request->cid) {
        pp_body_unref(answer->body);
        pp_request_drop(request);
    } else {
        pp_inquiry_reply(request, answer);
    }
}

static void ask_stats(pp_request *request, bool all)
{
    pp_question question;

    if (!pp_inquiry_read(request, PP_MONITOR_ACCSTATZ, &question))
        return;
    if (!all) {
        question.options.account = account_of(request);
        question.options.only_account = true;
    }
    request->cid = question.options.unused;
    pp_inquire(request, PP_MONITOR_ACCSTATZ, &question.options, reply_stats);
    pp_question_fini(&question);
}

static void ask(pp_request *request, pp_monitor_endpoint endpoint)
{
    pp_question question;

    if (!pp_inquiry_read(request, endpoint, &question))
        return;
    question.options.account = account_of(request);
    question.options.only_account = true;
    if (endpoint == PP_MONITOR_SUBSZ && question.options.subs == PP_SUBS_NONE)
        question.options.subs = PP_SUBS_LIST;
    pp_inquire(request, endpoint, &question.options, pp_inquiry_reply);
    pp_question_fini(&question);
}

static void ask_info(pp_request *request)
{
    pp_question question;

    if (!pp_inquiry_read(request, PP_MONITOR_ENDPOINT_COUNT, &question))
        return;
    question.options.account = account_of(request);
    pp_inquire_with(request, write_info, &question.options, pp_inquiry_reply);
    pp_question_fini(&question);
}

static void refuse_streams(pp_request *request)
{
    pp_question question;

    if (!pp_inquiry_read(request, PP_MONITOR_JSZ, &question))
        return;
    pp_question_fini(&question);
    pp_request_refuse(request, 500, true, "jetstream not enabled");
}

static void ask_conns(pp_request *request)
{
    pp_str account = account_of(request);
    pp_question question;
    bool meant;

    if (!pp_inquiry_read(request, PP_MONITOR_CONNZ, &question))
        return;
    meant = !question.options.account.len || pp_str_eq(question.options.account, account);
    pp_question_fini(&question);
    if (meant)
        pp_conns_answer(request, account);
    else
        pp_request_drop(request);
}

void pp_answer_account(pp_request *request)
{
    switch (request->service->detail) {
    case PP_ACCOUNT_SUBSZ:
        ask(request, PP_MONITOR_SUBSZ);
        break;
    case PP_ACCOUNT_CONNZ:
        ask(request, PP_MONITOR_CONNZ);
        break;
    case PP_ACCOUNT_LEAFZ:
        ask(request, PP_MONITOR_LEAFZ);
        break;
    case PP_ACCOUNT_JSZ:
        refuse_streams(request);
        break;
    case PP_ACCOUNT_INFO:
        ask_info(request);
        break;
    case PP_ACCOUNT_STATZ:
        ask_stats(request, false);
        break;
    case PP_ACCOUNTS_STATZ:
        ask_stats(request, true);
        break;
    default:
        ask_conns(request);
        break;
    }
}

/* --- how many subscribe -------------------------------------------------------------------- */

static bool concerns(const void *arg, pp_str subscribed)
{
    pp_str asked = *(const pp_str *)arg;

    return pp_subject_has_wildcard(asked) ? pp_subject_subset(subscribed, asked)
                                          : pp_subject_matches(asked, subscribed);
}

/* Subscriptions of clients of the account that the subject in test concerns, those of the queue
 * group in group only, if there is one. */
static pipit_err count_subs(pp_page *page, size_t *out_count)
{
    const pp_monitor_options *options = page->options;
    pp_gathered conns = {0}, subs = {0};
    pp_gather_wish *wishes = NULL;
    size_t wish_count = 0;
    pipit_err err = pp_gather_conns(page->server, (pp_gather_conns_wish){0}, &conns);

    *out_count = 0;
    if (err)
        return err;
    wishes = pp_calloc(conns.count + 1, sizeof(*wishes));
    for (size_t i = 0; wishes && i < conns.count; i++) {
        const pp_conn_record *conn = conns.list[i];

        if (pp_str_eq(pp_conn_record_text(conn, PP_RECORD_ACCOUNT), options->account))
            wishes[wish_count++].cid = conn->cid;
    }
    err = wishes ? pp_gather_subs(page->server, wishes, wish_count, concerns, &options->test, &subs)
                 : PIPIT_ENOMEM;
    for (size_t i = 0; !err && i < subs.count; i++)
        *out_count +=
            !options->group.len || pp_str_eq(pp_sub_record_queue(subs.list[i]), options->group);
    if (!err)
        pp_gathered_fini(&subs);
    pp_free(wishes);
    pp_gathered_fini(&conns);
    return err;
}

static pipit_err write_count(pp_page *page)
{
    size_t count = 0;
    pipit_err err = PIPIT_OK;

    if (pp_subject_valid(page->options->test))
        err = count_subs(page, &count);
    return err ? err : pp_buf_addf(&page->body, "%zu", count);
}

static void reply_count(pp_request *request, const pp_monitor_answer *answer)
{
    if (answer->body && answer->status == 200)
        pp_request_answer_text(request, (pp_str){answer->body->bytes, answer->body_bytes});
    else
        pp_request_drop(request);
    pp_body_unref(answer->body);
}

/* Take a word off the front. */
static pp_str next_word(pp_str *rest)
{
    pp_str word;

    while (rest->len && (*rest->ptr == ' ' || *rest->ptr == '\t')) {
        rest->ptr++;
        rest->len--;
    }
    word = (pp_str){rest->ptr, 0};
    while (word.len < rest->len && rest->ptr[word.len] != ' ' && rest->ptr[word.len] != '\t')
        word.len++;
    rest->ptr += word.len;
    rest->len -= word.len;
    return word;
}

void pp_answer_subscribers(pp_request *request)
{
    pp_str body = pp_request_body(request);
    pp_monitor_options options = {
        .account = pp_str_of(pp_request_account(request)->name),
        .test = next_word(&body),
    };

    options.group = next_word(&body);
    if (next_word(&body).len || !options.test.len)
        pp_request_answer_text(request, PP_STR("0"));
    else
        pp_inquire_with(request, write_count, &options, reply_count);
}
