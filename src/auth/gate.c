#include "auth/gate.h"

#include "auth/certificate.h"
#include "base/alloc.h"
#include "base/assert.h"
#include "base/list.h"

#include <string.h>

struct pp_gate {
    const pp_users *users;
    pp_hasher *hasher;
    struct proxy {
        uint8_t raw[PP_NKEY_RAW_BYTES];
        char key[PP_NKEY_TEXT_BYTES];
    } * proxies;
    size_t proxy_count;
    pp_authority *operators;
    pp_authority *callout;
    atomic_int_fast64_t waiting; /* logins */
};

enum step { ASK_PROXY, ASK_WHO, AWAIT_WHO, CHECK_PROXY, ASK_CALLOUT, AWAIT_CALLOUT, DECIDED };

/* A password under way to a hasher. */
struct hashing {
    pp_hash_job job;
    pp_login *login;
    const pp_user *user; /* who it is if it fits; NULL: it will not */
};

pipit_err pp_gate_new(pp_gate **out_gate, const pp_gate_setup *setup)
{
    pp_gate *gate = pp_calloc(1, sizeof(*gate));

    if (!gate)
        return PIPIT_ENOMEM;
    gate->proxies = pp_calloc(setup->proxy_count + 1, sizeof(*gate->proxies));
    if (!gate->proxies) {
        pp_free(gate);
        return PIPIT_ENOMEM;
    }
    for (size_t i = 0; i < setup->proxy_count; i++) {
        struct proxy *proxy = &gate->proxies[gate->proxy_count];
        uint8_t kind; /* any will do, as it does for nats-server */

        if (pp_nkey_decode_any(pp_str_of(setup->proxies[i]), &kind, proxy->raw))
            continue;
        pp_nkey_format(kind, proxy->raw, proxy->key);
        gate->proxy_count++;
    }
    gate->users = setup->users;
    gate->hasher = setup->hasher;
    gate->operators = setup->operators;
    gate->callout = setup->callout;
    *out_gate = gate;
    return PIPIT_OK;
}

void pp_gate_free(pp_gate *gate)
{
    if (!gate)
        return;
    PP_ASSERT(pp_gate_idle(gate));
    pp_free(gate->proxies);
    pp_free(gate);
}

static atomic_int_fast64_t *waiting_of(const pp_gate *gate)
{
    return &((pp_gate *)gate)->waiting;
}

bool pp_gate_idle(const pp_gate *gate)
{
    return atomic_load(waiting_of(gate)) == 0;
}

/* --- what everybody is told --------------------------------------------------------------- */

bool pp_gate_required(const pp_gate *gate, pp_entrance entrance)
{
    return gate->operators || gate->callout || pp_users_required(gate->users, entrance);
}

bool pp_gate_announced(const pp_gate *gate, pp_entrance entrance)
{
    return gate->operators || pp_users_announced(gate->users, entrance) ||
           (gate->callout && !pp_users_required(gate->users, entrance));
}

bool pp_gate_wants_nonce(const pp_gate *gate)
{
    return gate->operators || gate->proxy_count || pp_users_have_nkeys(gate->users);
}

bool pp_gate_trusts(const pp_gate *gate, const char *proxy)
{
    for (size_t i = 0; i < gate->proxy_count; i++) {
        if (strcmp(gate->proxies[i].key, proxy) == 0)
            return true;
    }
    return false;
}

static bool may_come(const pp_user *user, uint16_t connection_type, bool proxied)
{
    return (user->connection_types & connection_type) && (proxied || !user->proxy_required);
}

/* Whom the kernel has named on the other end of a Unix socket. */
static const pp_user *find_peer(const pp_gate *gate, const pp_login_shown *shown)
{
    return shown->has_peer ? pp_users_find_peer(gate->users, shown->uid, shown->gid) : NULL;
}

const pp_user *pp_gate_anybody(const pp_gate *gate, const pp_login_shown *shown)
{
    const pp_user *user;

    if (gate->operators || gate->callout)
        return NULL;
    if (!pp_users_required(gate->users, shown->entrance))
        return pp_users_nameless(gate->users, shown->entrance);
    if (pp_users_mapped(gate->users, shown->entrance))
        return NULL;
    user = find_peer(gate, shown);
    if (!user)
        user = pp_users_no_auth(gate->users, shown->entrance);
    /* Who is known by a key must say so, or that it shows nothing. */
    if (!user || user->nkey || !may_come(user, shown->connection_type, false))
        return NULL;
    if (user == find_peer(gate, shown) || !*user->name)
        return user;
    return pp_users_secret(gate->users, user)->bcrypt ? NULL : user;
}

/* --- the table ---------------------------------------------------------------------------- */

static pipit_err admit(pp_login *login, const pp_user *user)
{
    pp_user_hold(user);
    pp_login_admit(login, user);
    return PIPIT_OK;
}

static pipit_err refuse(pp_login *login)
{
    pp_login_refuse(login, PP_LOGIN_DENIED, NULL);
    return PIPIT_OK;
}

static void on_hashed(pp_hash_job *job)
{
    pp_login_wake(PP_CONTAINER(job, struct hashing, job)->login);
}

static pipit_err begin_hashing(pp_login *login, const char *hash, pp_str shown, const pp_user *user)
{
    struct hashing *hashing = pp_calloc(1, sizeof(*hashing));
    pipit_err err;

    if (!hashing)
        return PIPIT_ENOMEM;
    hashing->job = (pp_hash_job){
        .hash = hash, .shown = shown, .abandoned = &login->abandoned, .done = on_hashed};
    hashing->login = login;
    hashing->user = user;
    login->work = hashing;
    login->hashing = true; /* before somebody wakes it */
    err =
        login->gate->hasher ? pp_hasher_submit(login->gate->hasher, &hashing->job) : PIPIT_ECLOSED;
    if (!err)
        return PIPIT_EAGAIN;
    login->work = NULL;
    login->hashing = false;
    pp_free(hashing);
    pp_login_refuse(login, PP_LOGIN_BUSY, "too many passwords are being compared");
    return PIPIT_OK;
}

static pipit_err end_hashing(pp_login *login)
{
    struct hashing *hashing = login->work;
    const pp_user *user = hashing->job.fits ? hashing->user : NULL;

    login->work = NULL;
    login->hashing = false;
    pp_free(hashing);
    return user ? admit(login, user) : refuse(login);
}

/* Where some secrets take long to compare, all refusals do: otherwise the time would tell which
 * names there are. */
static pipit_err refuse_slowly(pp_login *login, pp_str shown)
{
    const char *dummy = pp_users_dummy(login->gate->users);

    return dummy ? begin_hashing(login, dummy, shown, NULL) : refuse(login);
}

static pipit_err compare(pp_login *login, const pp_user *user, const pp_secret *secret,
                         pp_str shown)
{
    if (secret->bcrypt)
        return begin_hashing(login, secret->bcrypt, shown, user);
    if (pp_secret_fits(secret, pp_users_key(login->gate->users), shown))
        return admit(login, user);
    return refuse_slowly(login, shown);
}

static pipit_err compare_password(pp_login *login, const pp_user *user)
{
    return compare(login, user, pp_users_secret(login->gate->users, user), login->shown.pass);
}

static pipit_err check_signature(pp_login *login, const pp_user *user)
{
    const pp_login_shown *shown = &login->shown;
    uint8_t key[PP_NKEY_RAW_BYTES], signature[PP_NKEY_SIGNATURE_BYTES];

    if (!shown->nonce.len || pp_nkey_signature_decode(shown->sig, signature) ||
        pp_nkey_decode(pp_str_of(user->nkey), PP_NKEY_USER, key) ||
        !pp_nkey_verify(key, shown->nonce, signature))
        return refuse(login);
    return admit(login, user);
}

/* The certificate says who it is, whatever else is shown; but a password it has is asked for. */
static pipit_err ask_certificate(pp_login *login)
{
    const pp_login_shown *shown = &login->shown;
    const pp_user *user = NULL;

    if (shown->certificate)
        user = pp_certificate_find_user(shown->certificate, login->gate->users,
                                        shown->connection_type);
    return user ? compare_password(login, user) : refuse_slowly(login, shown->pass);
}

static bool shows_nothing(const pp_login_shown *shown)
{
    return !shown->user.len && !shown->pass.len && !shown->token.len;
}

/* Nothing is shown, and nothing needs to be. But who is given a hashed password has to show it:
 * nats-server compares it even then. */
static pipit_err admit_without(pp_login *login, const pp_user *user)
{
    const pp_users *users = login->gate->users;

    if (!(user->connection_types & login->shown.connection_type))
        return refuse(login);
    if (*user->name && pp_users_secret(users, user)->bcrypt &&
        user != find_peer(login->gate, &login->shown))
        return compare_password(login, user);
    return admit(login, user);
}

static pipit_err ask_named(pp_login *login)
{
    const pp_users *users = login->gate->users;
    const pp_login_shown *shown = &login->shown;
    const pp_user *user = NULL, *no_auth = pp_users_no_auth(users, shown->entrance);

    if (pp_users_mapped(users, shown->entrance))
        return ask_certificate(login);
    if (shows_nothing(shown) && !shown->nkey.len)
        user = find_peer(login->gate, shown);
    if (!user && shows_nothing(shown) && no_auth && !no_auth->nkey)
        user = no_auth;
    if (user)
        return admit_without(login, user);
    user = pp_users_find(users, shown->user);
    if (!user || !(user->connection_types & shown->connection_type) ||
        pp_users_known_otherwise(users, user))
        return refuse_slowly(login, shown->pass);
    return compare_password(login, user);
}

/* The token, or else the one user. */
static pipit_err ask_single(pp_login *login)
{
    const pp_users *users = login->gate->users;
    const pp_login_shown *shown = &login->shown;
    const pp_secret *token = pp_users_token(users, shown->entrance);
    const pp_user *single = pp_users_single(users, shown->entrance);

    if (token)
        return compare(login, pp_users_nameless(users, shown->entrance), token, shown->token);
    if (!single)
        return refuse(login);
    if (!pp_str_eq(pp_str_of(single->name), shown->user))
        return refuse_slowly(login, shown->pass);
    return compare_password(login, single);
}

static pipit_err ask_table(pp_login *login)
{
    const pp_users *users = login->gate->users;
    const pp_login_shown *shown = &login->shown;
    const pp_user *no_auth = pp_users_no_auth(users, shown->entrance), *user;

    if (!pp_users_required(users, shown->entrance))
        return admit(login, pp_users_nameless(users, shown->entrance));
    if (pp_users_have_nkeys(users)) {
        user = pp_users_find_nkey(users, shown->nkey);
        if (!shown->nkey.len && shows_nothing(shown) && no_auth && no_auth->nkey)
            user = no_auth;
        if (user == no_auth && user)
            return admit_without(login, user); /* whatever is said to be its signature */
        if (shown->nkey.len)
            return user && (user->connection_types & shown->connection_type)
                       ? check_signature(login, user)
                       : refuse(login);
    }
    if (no_auth == pp_users_nameless(users, shown->entrance) && shows_nothing(shown))
        return admit(login, no_auth);
    if (pp_users_have_names(users))
        return ask_named(login);
    return ask_single(login);
}

/* --- proxies ------------------------------------------------------------------------------ */

static pipit_err ask_proxy(pp_login *login)
{
    const pp_gate *gate = login->gate;
    const pp_login_shown *shown = &login->shown;
    uint8_t signature[PP_NKEY_SIGNATURE_BYTES];

    if (!shown->proxy_sig.len || !gate->proxy_count)
        return PIPIT_OK;
    if (shown->nonce.len && !pp_nkey_signature_decode_url(shown->proxy_sig, signature)) {
        for (size_t i = 0; i < gate->proxy_count && !login->proxy; i++) {
            if (pp_nkey_verify(gate->proxies[i].raw, shown->nonce, signature))
                login->proxy = gate->proxies[i].key;
        }
    }
    if (login->proxy)
        return PIPIT_OK;
    pp_login_refuse(login, PP_LOGIN_PROXY_NOT_TRUSTED, "proxy is not trusted");
    login->step = DECIDED;
    return PIPIT_OK;
}

static void forget_verdict(pp_login *login)
{
    if (login->verdict.user)
        pp_user_let_go(login->verdict.user);
    login->verdict = (pp_login_verdict){0};
}

static void check_proxy(pp_login *login)
{
    if (!login->verdict.user || login->proxy || !login->verdict.user->proxy_required)
        return;
    forget_verdict(login);
    pp_login_refuse(login, PP_LOGIN_PROXY_REQUIRED, "proxy required");
}

/* --- one login ---------------------------------------------------------------------------- */

/* One step; EAGAIN: and somebody works on the next. */
static pipit_err take_step(pp_login *login)
{
    const pp_gate *gate = login->gate;

    switch ((enum step)login->step) {
    case ASK_PROXY:
        login->step = ASK_WHO;
        return ask_proxy(login);
    case ASK_WHO:
        login->step = AWAIT_WHO;
        return gate->operators ? gate->operators->ask(gate->operators, login) : ask_table(login);
    case AWAIT_WHO:
        login->step = CHECK_PROXY;
        return login->hashing ? end_hashing(login) : PIPIT_OK;
    case CHECK_PROXY:
        login->step = ASK_CALLOUT;
        check_proxy(login);
        return PIPIT_OK;
    case ASK_CALLOUT:
        login->step = AWAIT_CALLOUT;
        return gate->callout ? gate->callout->ask(gate->callout, login) : PIPIT_OK;
    case AWAIT_CALLOUT:
    case DECIDED:
        login->step = DECIDED;
        return PIPIT_OK;
    }
    return PIPIT_OK;
}

static pipit_err proceed(pp_login *login)
{
    while (login->step != DECIDED) {
        pipit_err err = take_step(login);

        if (err == PIPIT_EAGAIN)
            return err;
        if (err) {
            forget_verdict(login);
            pp_login_refuse(login, PP_LOGIN_NO_MEMORY, NULL);
            login->step = DECIDED;
        }
    }
    return PIPIT_OK;
}

pipit_err pp_gate_ask(const pp_gate *gate, pp_login *login)
{
    pipit_err err;

    login->gate = gate;
    login->step = ASK_PROXY;
    login->proxy = NULL;
    login->timed = false;
    /* It may be woken, on another thread, before this returns: but it goes on here. */
    (void)atomic_fetch_add(waiting_of(gate), 1);
    err = proceed(login);
    if (err != PIPIT_EAGAIN)
        (void)atomic_fetch_sub(waiting_of(gate), 1);
    return err;
}

pipit_err pp_gate_go_on(pp_login *login)
{
    pipit_err err = proceed(login);

    if (err != PIPIT_EAGAIN)
        (void)atomic_fetch_sub(waiting_of(login->gate), 1);
    return err;
}

void pp_gate_drop(pp_login *login)
{
    if (login->hashing)
        (void)end_hashing(login);
    forget_verdict(login);
    if (login->step != DECIDED) {
        login->step = DECIDED;
        (void)atomic_fetch_sub(waiting_of(login->gate), 1);
    }
}

/* --- after a reload ----------------------------------------------------------------------- */

const pp_user *pp_gate_renew(const pp_gate *gate, const pp_user *old, uint16_t connection_type,
                             bool proxied, pp_departure *out_why)
{
    const pp_user *user = NULL;
    bool gone = false;

    *out_why = PP_DEPARTURE_DENIED;
    if (!old->table) {
        pp_authority *authority = gate->operators ? gate->operators : gate->callout;

        return authority ? authority->renew(authority, old, out_why) : NULL;
    }
    if (!gate->operators)
        user = pp_users_renew(gate->users, old, &gone);
    if (gone)
        *out_why = PP_DEPARTURE_GONE;
    if (user && !may_come(user, connection_type, proxied))
        user = NULL;
    if (user)
        pp_user_hold(user);
    return user;
}
