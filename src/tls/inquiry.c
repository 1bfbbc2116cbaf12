/* What is asked about one chain, and what is made of the answers.
 *
 * In doubt it says no: who cannot be asked about, or of whom nothing valid is said, is not good
 * unless the rules have it otherwise. Source: nats-server 2.15, which decides in the same order. */
#include "tls/inquirer.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { NOTE_BYTES = 256 };

static const char refused[] = "client not OCSP valid";

/* One certificate, while it is looked at. */
struct link {
    pp_tls_inquiry *inquiry;
    X509 *certificate, *issuer;
    AUTHORITY_INFO_ACCESS *named; /* NULL: nobody */
    pp_tls_standing_key key;
    bool may_wait, can_ask;
    bool was_revoked; /* said an answer whose time is over */
    OCSP_CERTID *id;  /* with may_wait */
    char *question;
};

/* --- life ----------------------------------------------------------------------------------- */

pp_tls_inquiry *pp_tls_inquiry_ref(pp_tls_inquiry *inquiry)
{
    (void)atomic_fetch_add_explicit(&inquiry->refs, 1, memory_order_relaxed);
    return inquiry;
}

void pp_tls_inquiry_unref(pp_tls_inquiry *inquiry)
{
    if (!inquiry || atomic_fetch_sub_explicit(&inquiry->refs, 1, memory_order_acq_rel) > 1)
        return;
    sk_X509_pop_free(inquiry->chain, X509_free);
    pp_free(inquiry);
}

/* --- whom to ask ---------------------------------------------------------------------------- */

static bool is_http(pp_str url)
{
    return (url.len >= 7 && strncasecmp(url.ptr, "http://", 7) == 0) ||
           (url.len >= 8 && strncasecmp(url.ptr, "https://", 8) == 0);
}

/* Errors: PIPIT_EPROTO the extension is there, but it makes no sense, is there twice, or there is
 * no memory for it. Somebody may be named then, so that does not count as nobody. */
static pipit_err read_named(struct link *link)
{
    int critical = -1; /* it stays if there is no such extension */

    link->named = X509_get_ext_d2i(link->certificate, NID_info_access, &critical, NULL);
    return link->named || critical == -1 ? PIPIT_OK : PIPIT_EPROTO;
}

/* The i-th who is named; without bytes behind the last. */
static pp_str url_of(const struct link *link, size_t i)
{
    for (int at = 0; at < sk_ACCESS_DESCRIPTION_num(link->named); at++) {
        const ACCESS_DESCRIPTION *access = sk_ACCESS_DESCRIPTION_value(link->named, at);
        const ASN1_STRING *text = access->location->d.ia5;
        pp_str url;

        if (OBJ_obj2nid(access->method) != NID_ad_OCSP || access->location->type != GEN_URI)
            continue;
        url = (pp_str){(const char *)ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text)};
        if (is_http(url) && i-- == 0)
            return url;
    }
    return PP_STR("");
}

/* --- saying so ------------------------------------------------------------------------------ */

static pp_tls_standings *standings_of(const struct link *link)
{
    return pp_tls_inquirer_standings(link->inquiry->inquirer);
}

static void note(const struct link *link, const char *text)
{
    pp_tls_inquirer_log(link->inquiry->inquirer, PP_LOG_WARN, link->certificate, text);
}

/* It is not good, for that reason; and what follows from that. PIPIT_OK: nothing. */
static pipit_err fail(const struct link *link, const char *what, const char *reason)
{
    const pp_tls_inquiry *inquiry = link->inquiry;
    const pp_tls_inquirer_hooks *hooks = pp_tls_inquirer_hooks_of(inquiry->inquirer);
    char text[NOTE_BYTES];

    (void)snprintf(text, sizeof(text), "%s%s", what,
                   inquiry->rules.warn_only ? ", but WarnOnly is true so allowing" : "");
    note(link, text);
    if (inquiry->rules.warn_only)
        return PIPIT_OK;
    hooks->on_refusal(hooks->context, sk_X509_value(inquiry->chain, 0), link->certificate, reason);
    return PIPIT_EPROTO;
}

/* --- what follows from what is said --------------------------------------------------------- */

static int64_t now_s(void)
{
    return pp_clock_wall_ns() / PP_NS_PER_S;
}

static bool holds(const struct link *link, const pp_tls_finding *finding)
{
    const pp_tls_peer_rules *rules = &link->inquiry->rules;

    return pp_tls_finding_holds(finding, now_s(), rules->skew_s, rules->ttl_s);
}

static pipit_err obey(const struct link *link, pp_tls_standing standing)
{
    const char *text = pp_tls_standing_text(standing);
    char what[NOTE_BYTES], reason[NOTE_BYTES];

    if (standing == PP_TLS_GOOD ||
        (standing == PP_TLS_UNKNOWN && link->inquiry->rules.unknown_is_good))
        return PIPIT_OK;
    (void)snprintf(what, sizeof(what), "OCSP verify fail, CA status [%s]", text);
    (void)snprintf(reason, sizeof(reason), "Invalid OCSP response status: %s", text);
    return fail(link, what, reason);
}

/* What may be wrong with it cannot be found out, for want of something here. That is nobody's fault
 * but ours, and so no reason to let somebody in. */
static pipit_err give_up(const struct link *link, const char *why)
{
    char what[2 * NOTE_BYTES];

    (void)snprintf(what, sizeof(what), "OCSP cannot be asked: %s", why);
    return fail(link, what, "Failed OCSP response fetch");
}

/* Nobody has answered. */
static pipit_err do_without(const struct link *link, const char *why)
{
    static const char reason[] = "Failed OCSP response fetch";
    const pp_tls_peer_rules *rules = &link->inquiry->rules;
    char what[2 * NOTE_BYTES];

    (void)snprintf(what, sizeof(what), "Failed to obtain OCSP CA response: %s", why);
    if (rules->warn_only || !rules->unreachable_is_good)
        return fail(link, what, reason);
    if (link->was_revoked) {
        (void)snprintf(
            what, sizeof(what),
            "Failed to obtain OCSP CA response: %s; cached revocation exists so rejecting", why);
        return fail(link, what, reason);
    }
    (void)snprintf(what, sizeof(what),
                   "Failed to obtain OCSP CA response: %s; AllowWhenCAUnreachable set, no cached "
                   "revocation so allowing",
                   why);
    note(link, what);
    return PIPIT_OK;
}

/* --- what is known -------------------------------------------------------------------------- */

/* Look at the signature of an answer from the file. False: it is none. */
static bool check_known(struct link *link, pp_str answer, pp_tls_known *known)
{
    pp_tls_ocsp_read(answer, link->issuer, link->id, &known->finding);
    if (known->finding.wrong) {
        pp_tls_standings_drop(standings_of(link), &link->key, false);
        return false;
    }
    pp_tls_standings_check(standings_of(link), &link->key, &known->finding);
    return true;
}

/* PIPIT_ENOTFOUND: it is not known. PIPIT_EAGAIN: that cannot be said without waiting. */
static pipit_err look_up(struct link *link, pp_tls_standing *out)
{
    pp_tls_known known;
    pipit_err err = PIPIT_ENOTFOUND;
    pp_buf answer;

    pp_buf_init(&answer, PP_TLS_OCSP_ANSWER_MAX);
    if (!pp_tls_standings_find(standings_of(link), &link->key, &known,
                               link->may_wait ? &answer : NULL))
        goto out;
    err = PIPIT_EAGAIN;
    if (!link->may_wait && (!known.checked || !holds(link, &known.finding)))
        goto out;
    err = PIPIT_ENOTFOUND;
    if (!known.checked && !check_known(link, pp_buf_str(&answer), &known))
        goto out;
    if (holds(link, &known.finding)) {
        *out = known.finding.standing;
        err = PIPIT_OK;
    } else {
        link->was_revoked = known.finding.standing == PP_TLS_REVOKED;
        pp_tls_standings_drop(standings_of(link), &link->key, true);
    }
out:
    pp_buf_fini(&answer);
    return err;
}

/* --- asking --------------------------------------------------------------------------------- */

/* Does nobody want to know any more? */
static bool is_over(const pp_tls_inquiry *inquiry)
{
    return atomic_load(&inquiry->abandoned) ||
           atomic_load(pp_tls_inquirer_stopped(inquiry->inquirer));
}

/* Has he who was asked not answered? Otherwise he has not been asked. */
static bool is_silence(pipit_err err)
{
    return err == PIPIT_EIO || err == PIPIT_ENOTFOUND || err == PIPIT_ETIMEOUT ||
           err == PIPIT_ETOOBIG;
}

static pipit_err fetch_from(const struct link *link, pp_str named, pp_buf *out,
                            char why[NOTE_BYTES])
{
    pp_tls_inquiry *inquiry = link->inquiry;
    const pp_tls_inquirer_hooks *hooks = pp_tls_inquirer_hooks_of(inquiry->inquirer);
    char url[PP_TLS_OCSP_URLS_MAX + 1];
    pipit_err err = PIPIT_EINVAL;

    memcpy(url, named.ptr, named.len);
    url[named.len] = '\0';
    out->len = 0;
    if (strlen(url) == named.len)
        err = hooks->fetch(hooks->context, url, link->question, inquiry->rules.timeout_ns,
                           pp_tls_inquirer_stopped(inquiry->inquirer), out);
    if (err)
        (void)snprintf(why, NOTE_BYTES, "%.150s: %s", url, pipit_strerror(err));
    return err;
}

/* Whoever answers first, of those who are not named too far behind. why: of the last who did not.
 */
static pipit_err fetch(const struct link *link, pp_buf *out, char why[NOTE_BYTES])
{
    size_t room = PP_TLS_OCSP_URLS_MAX;
    pp_str url = url_of(link, 0);
    pipit_err err = PIPIT_EIO;

    (void)snprintf(why, NOTE_BYTES, "who is named is named at too great length");
    for (size_t i = 1; is_silence(err) && url.len && url.len <= room; i++) {
        if (is_over(link->inquiry))
            break;
        err = fetch_from(link, url, out, why);
        room -= url.len;
        url = url_of(link, i);
    }
    return err;
}

static pipit_err ask(const struct link *link)
{
    pp_tls_finding finding;
    char why[NOTE_BYTES], what[NOTE_BYTES];
    pipit_err err;
    pp_buf answer;

    if (!link->can_ask)
        return give_up(link, "too many questions are under way");
    pp_buf_init(&answer, PP_TLS_OCSP_ANSWER_MAX);
    err = fetch(link, &answer, why);
    if (err && is_over(link->inquiry)) {
        pp_buf_fini(&answer);
        return PIPIT_ECLOSED;
    }
    if (!err)
        pp_tls_ocsp_read(pp_buf_str(&answer), link->issuer, link->id, &finding);
    if (err) {
        err = is_silence(err) ? do_without(link, why) : give_up(link, why);
    } else if (finding.wrong) {
        (void)snprintf(what, sizeof(what), "Could not parse OCSP CA response: %s", finding.wrong);
        err = fail(link, what, "Failed OCSP response parse");
    } else if (!holds(link, &finding)) {
        err = fail(link, "New OCSP CA response obtained but not current",
                   "OCSP response not in effectivity window");
    } else {
        pp_tls_standings_put(standings_of(link), &link->key, &finding, pp_buf_str(&answer));
        err = obey(link, finding.standing);
    }
    pp_buf_fini(&answer);
    return err;
}

/* --- one after another ---------------------------------------------------------------------- */

static pipit_err look_at(struct link *link)
{
    pp_tls_standing standing;
    pipit_err err;

    if (!X509_digest(link->certificate, EVP_sha256(), link->key.bytes, NULL))
        return PIPIT_ENOMEM;
    if (link->may_wait) {
        err = pp_tls_ocsp_ask(link->certificate, link->issuer, &link->id, &link->question);
        if (err)
            return err;
    }
    err = look_up(link, &standing);
    if (err == PIPIT_ENOTFOUND && !link->may_wait)
        return PIPIT_EAGAIN;
    if (err == PIPIT_EAGAIN)
        return err;
    pp_tls_standings_count(standings_of(link), err == PIPIT_OK);
    return err ? ask(link) : obey(link, standing);
}

/* Errors: PIPIT_EAGAIN, without may_wait: somebody has to be asked. All others: it is not good. */
static pipit_err look_at_next(pp_tls_inquiry *inquiry, bool may_wait, bool can_ask)
{
    struct link link = {
        .inquiry = inquiry,
        .certificate = sk_X509_value(inquiry->chain, (int)inquiry->at),
        .issuer = sk_X509_value(inquiry->chain, (int)inquiry->at + 1),
        .may_wait = may_wait,
        .can_ask = can_ask,
    };
    pipit_err err = PIPIT_OK;

    if (read_named(&link))
        err = give_up(&link, "whom it names cannot be told");
    else if (url_of(&link, 0).len)
        err = look_at(&link);
    if (err == PIPIT_ENOMEM)
        err = give_up(&link, "out of memory");
    AUTHORITY_INFO_ACCESS_free(link.named);
    OCSP_CERTID_free(link.id);
    pp_free(link.question);
    return err;
}

/* Errors: PIPIT_EAGAIN, as above. */
static pipit_err go_on(pp_tls_inquiry *inquiry, bool may_wait, bool can_ask)
{
    const pp_tls_inquirer_hooks *hooks = pp_tls_inquirer_hooks_of(inquiry->inquirer);
    int count = sk_X509_num(inquiry->chain); /* -1: there is none */
    pipit_err err = count < 1 ? PIPIT_ENOTFOUND : PIPIT_OK;

    /* The last one is trusted by itself. */
    while (!err && (int)inquiry->at < count - 1) {
        err = look_at_next(inquiry, may_wait, can_ask);
        if (!err)
            inquiry->at++;
    }
    ERR_clear_error();
    if (err == PIPIT_EAGAIN)
        return err;
    if (err) {
        inquiry->refused = refused;
        if (count > 0 && err != PIPIT_ECLOSED)
            hooks->on_refusal(hooks->context, sk_X509_value(inquiry->chain, 0), NULL, refused);
    }
    return PIPIT_OK;
}

pipit_err pp_tls_inquiry_new(pp_tls_inquiry **out, pp_tls_inquirer *inquirer,
                             const pp_tls_peer_rules *rules, STACK_OF(X509) * chain)
{
    pp_tls_inquiry *inquiry = pp_calloc(1, sizeof(*inquiry));

    if (!inquiry)
        return PIPIT_ENOMEM;
    atomic_init(&inquiry->refs, 1);
    inquiry->inquirer = inquirer;
    inquiry->rules = *rules;
    inquiry->chain = chain ? X509_chain_up_ref(chain) : NULL;
    *out = inquiry;
    return go_on(inquiry, false, false);
}

void pp_tls_inquiry_finish(pp_tls_inquiry *inquiry, bool can_ask)
{
    if (is_over(inquiry))
        inquiry->refused = refused;
    else
        (void)go_on(inquiry, true, can_ask);
}
