/* cli/inquiry_http.h -- the pages of monitoring ports, as answers to requests look (inquiry.h). */
#ifndef CLI_INQUIRY_HTTP_H
#define CLI_INQUIRY_HTTP_H

#include "cli/command.h"

#include <jansson.h>

typedef struct cli_inquiry_http cli_inquiry_http;

/* urls: one or several, separated by commas; "host:port" is "http://host:port". Returns the exit
 * status; what is wrong has been said. */
int cli_inquiry_http_open(cli_inquiry_http **out_http, const char *urls, const cli_call *call);
void cli_inquiry_http_close(cli_inquiry_http *http);

/* As cli_inquiry_ask; options are borrowed, and translated. */
json_t *cli_inquiry_http_ask(cli_inquiry_http *http, const char *page, const json_t *options,
                             int *out_status);
json_t *cli_inquiry_http_try(cli_inquiry_http *http, const char *page, const json_t *options);

#endif
