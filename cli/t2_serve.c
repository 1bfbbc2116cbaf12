#include "cli/t2_serve.h"

#include "cli/t2_names.h"
#include "pipit/server.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTION_BYTES = 256, TEXT_BYTES = 4096 };

static void show_log(void *context, pipit_log_level level, const char *text)
{
    (void)context;
    if (level <= PIPIT_LOG_INFO)
        (void)printf("%s\n", text);
}

/* Until told to end. */
static const char *run_server(const pipit_server_source *source)
{
    static char wrong[512]; /* there is one command a process */
    pipit_server *server = NULL;
    sigset_t ends;
    int signal_number;
    pipit_err err;

    (void)sigemptyset(&ends);
    (void)sigaddset(&ends, SIGINT);
    (void)sigaddset(&ends, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &ends, NULL); /* before there are threads; cannot fail */
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    err = pipit_server_new_from(&server, source, show_log, NULL, wrong, sizeof(wrong));
    if (!err)
        err = pipit_server_start(server);
    if (!err)
        (void)sigwait(&ends, &signal_number); /* fails for a bad set only */
    pipit_server_free(server);
    if (!err)
        return NULL;
    return *wrong ? wrong : pipit_strerror(err);
}

/* Can it stand between quotes in a configuration as it is? */
static bool is_quotable(const char *path)
{
    return path && *path && !strpbrk(path, "\"\\\n$");
}

/* As the original has it, who connects must show a certificate, too. NULL, or what is wrong. */
static const char *configure_tls(const struct cli_t2_tls *tls, char *text)
{
    int len;

    if (!tls->ca || !tls->cert)
        return "to serve on tls: give --ca, --cert and --key";
    if (!is_quotable(tls->ca) || !is_quotable(tls->cert) || !is_quotable(tls->key))
        return "names of certificates must not have quotes, backslashes or $ in them";
    len = snprintf(
        text, TEXT_BYTES,
        "t2 { tls { cert_file: \"%s\", key_file: \"%s\", ca_file: \"%s\", verify: true } }",
        tls->cert, tls->key, tls->ca);
    return len < TEXT_BYTES ? NULL : "names of certificates are too long";
}

/* As an option. NULL, or what is wrong. */
static const char *add(const char *given, char *option, bool *inout_tls)
{
    const char *wrong = NULL;
    char *address = cli_t2_resolve(given, &wrong);
    int len;

    if (!address)
        return wrong;
    *inout_tls |= strncmp(address, "tls:", 4) == 0;
    len = snprintf(option, OPTION_BYTES, "--t2=%s", address);
    free(address);
    return len < OPTION_BYTES ? NULL : "the address is too long";
}

const char *cli_t2_serve(int count, char **addresses, const struct cli_t2_tls *tls)
{
    char given[CLI_T2_ADDRESSES_MAX][OPTION_BYTES], text[TEXT_BYTES] = "";
    /* NATS clients have a port of 127.0.0.1 that nobody else has. */
    const char *options[CLI_T2_ADDRESSES_MAX + 2] = {"--addr=127.0.0.1", "--port=-1"};
    pipit_server_source source = {.options = options, .option_count = (size_t)count + 2};
    const char *wrong = NULL;
    bool has_tls = false;

    for (int i = 0; i < count && !wrong; i++) {
        wrong = add(addresses[i], given[i], &has_tls);
        options[2 + i] = given[i];
    }
    if (!wrong && has_tls)
        wrong = configure_tls(tls, text);
    if (wrong)
        return wrong;
    if (has_tls) {
        source.text = text;
        source.text_bytes = strlen(text);
    }
    return run_server(&source);
}
