/* Subscribing: each is a subscription of the core to the channel's subject. */
#include "core/permission.h"
#include "core/sublist.h"
#include "proto/fanout/session.h"
#include "proto/fanout/subject.h"

enum { SUB_BYTES = 160 }; /* about, with what the index holds for it */

static void free_sub(pp_retired *retired)
{
    pp_sub_free(PP_CONTAINER(retired, pp_sub, retired));
}

static void refuse(pp_fanout_session *s)
{
    pp_count(&s->context->counters.refused, 1);
}

/* Put it into the index. */
static pipit_err insert(pp_fanout_session *s, pp_sub *sub, pp_str subject)
{
    pipit_err err = pp_fanout_subs_add(&s->subs, sub);

    if (err)
        return err;
    err = pp_account_subscribe(s->account, sub, subject);
    if (err)
        pp_fanout_subs_remove(&s->subs, sub);
    return err;
}

/* Without memory it would wait for messages in vain, so it is closed and may try again. */
static void subscribe_new(pp_fanout_session *s, pp_str channel, pp_str subject)
{
    pp_fanout_context *context = s->context;
    pp_loop *loop = s->conn->loop;
    pipit_err err = pp_fanout_channels_enter(&context->door->channels, channel,
                                             context->settings->all_channels_max);
    pp_sub *sub = err ? NULL : pp_sub_new(&s->client, channel, PP_STR(""));

    if (err == PIPIT_ELIMIT) {
        refuse(s);
        return;
    }
    if (!err && (!sub || insert(s, sub, subject))) {
        pp_fanout_channels_leave(&context->door->channels, channel);
        pp_sub_free(sub);
        err = PIPIT_ENOMEM;
    }
    if (err) {
        pp_conn_close(s->conn, PP_CLOSE_NO_MEMORY, true);
        return;
    }
    pp_count(&context->counters.subscribes, 1);
    pp_count(&loop->counters->subs_inserted, 1);
    pp_count(&s->account->counters[loop->index].subs_inserted, 1);
}

/* A subscription to nothing that is there, or beyond a limit, is ignored like all that a client
 * cannot have. Source: fanout, wire protocol, sections 4.3 and 8. */
void pp_fanout_subscribe(pp_fanout_session *s, pp_str channel)
{
    const pp_fanout_settings *settings = s->context->settings;
    const pp_permissions *permissions = settings->scope->permissions;
    char subject[PP_FANOUT_SUBJECT_BYTES(PP_FANOUT_NAME_MAX)];
    pp_str name = {subject, 0};

    if (channel.len > settings->name_max || s->subs.count >= settings->channels_max) {
        if (!pp_fanout_subs_find(&s->subs, channel))
            refuse(s);
        return;
    }
    if (pp_fanout_subs_find(&s->subs, channel))
        return;
    name.len = pp_fanout_subject(channel, subject);
    s->context->router->in_vain += pp_permissions_subscribe_cost(permissions);
    if (!pp_permissions_may_subscribe(permissions, name, PP_STR(""))) {
        refuse(s);
        return;
    }
    if (PP_UNLIKELY(s->conn->loop->pressed)) {
        pp_count(&s->conn->loop->counters->memory_refusals, 1);
        pp_conn_close(s->conn, PP_CLOSE_MEMORY, true);
        return;
    }
    subscribe_new(s, channel, name);
}

/* Other loops may be delivering to it; they are waited for. */
static void end(pp_fanout_session *s, pp_sub *sub)
{
    pp_fanout_context *context = s->context;
    pp_loop *loop = s->conn->loop;

    pp_fanout_subs_remove(&s->subs, sub);
    pp_fanout_channels_leave(&context->door->channels, pp_sub_sid(sub));
    pp_account_unsubscribe(s->account, sub);
    pp_reclaim_retire(&loop->reclaimer, &sub->retired, free_sub);
    pp_count(&context->counters.unsubscribes, 1);
    pp_count(&loop->counters->subs_removed, 1);
    pp_count(&s->account->counters[loop->index].subs_removed, 1);
    pp_loop_note_litter(loop, SUB_BYTES);
}

void pp_fanout_unsubscribe(pp_fanout_session *s, pp_str channel)
{
    pp_sub *sub = pp_fanout_subs_find(&s->subs, channel);

    if (sub)
        end(s, sub);
}

void pp_fanout_end_subs(pp_fanout_session *s)
{
    while (s->subs.count)
        end(s, s->subs.row[s->subs.count - 1]);
}

void pp_fanout_check_subs(pp_fanout_session *s)
{
    const pp_permissions *permissions = s->context->settings->scope->permissions;

    for (uint32_t i = s->subs.count; i > 0; i--) {
        pp_sub *sub = s->subs.row[i - 1];

        if (!pp_permissions_may_subscribe(permissions, pp_sublist_pattern(sub), PP_STR("")))
            end(s, sub);
    }
}
