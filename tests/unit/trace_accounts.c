#include "trace_accounts.h"

#include "config/options.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#define RULE(text)                                                                                 \
    {                                                                                              \
        .subject = { text, sizeof(text) - 1 }                                                      \
    }

static const pp_rule_option may_publish[] = {RULE("ok.>"), RULE("T.>"), RULE("m.>")};
static const pp_rule_option may_not_publish[] = {RULE("ok.no")};
static const pp_rule_option no_dest[] = {RULE("ok.>")};
static const pp_rule_option may_not_hear[] = {RULE("*.secret")};

static const pp_permission_options narrow = {
    .publish = {.has_allow = true,
                .allow = may_publish,
                .allow_count = 3,
                .deny = may_not_publish,
                .deny_count = 1},
};
static const pp_permission_options nowhere = {
    .publish = {.has_allow = true, .allow = no_dest, .allow_count = 1},
};
static const pp_permission_options deaf = {
    .subscribe = {.deny = may_not_hear, .deny_count = 1},
};

static const pp_user_options users[] = {
    {.name = "ann", .password = "p", .account = 1},
    {.name = "narrow", .password = "p", .account = 1, .permissions = &narrow},
    {.name = "nowhere", .password = "p", .account = 1, .permissions = &nowhere},
    {.name = "deaf", .password = "p", .account = 1, .permissions = &deaf},
    {.name = "all", .password = "p", .account = 2},
    {.name = "some", .password = "p", .account = 3},
    {.name = "all-narrow", .password = "p", .account = 2, .permissions = &nowhere},
};

static const pp_destination_option to_dst[] = {{.subject = "m.dst", .weight = 100}};
static const pp_destination_option to_denied[] = {{.subject = "ok.no", .weight = 100}};
static const pp_destination_option to_nothing[] = {{.subject = "m.lost", .weight = 0}};
static const pp_destination_option to_other[] = {{.subject = "T.other", .weight = 100}};
static const pp_mapping_option mappings[] = {
    {.source = "m.src", .destinations = to_dst, .destination_count = 1},
    {.source = "m.deny", .destinations = to_denied, .destination_count = 1},
    {.source = "m.lost", .destinations = to_nothing, .destination_count = 1},
    {.source = "T.map", .destinations = to_other, .destination_count = 1},
};

#define UNLIMITED .max_connections = -1, .max_subscriptions = -1, .max_payload_bytes = -1

static const pp_account_options account_list[] = {
    {.name = "$G", UNLIMITED},
    {.name = "A", UNLIMITED, .mappings = mappings, .mapping_count = 4},
    {.name = "ALL", UNLIMITED, .trace_dest = "T.acct", .trace_sampling = 100},
    {.name = "SOME", UNLIMITED, .trace_dest = "T.acct", .trace_sampling = 10},
};

pipit_err trace_directory_new(pp_directory **out, pp_accounts *accounts, const pp_user_key *key)
{
    const pp_options options = {.accounts = account_list,
                                .account_count = COUNT_OF(account_list),
                                .users = users,
                                .user_count = COUNT_OF(users)};

    return pp_directory_new(out, accounts, &options, key, NULL);
}
