/* cli/graph.h -- a rate over time: drawn anew each second on a terminal, else a line each second.
 */
#ifndef CLI_GRAPH_H
#define CLI_GRAPH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef struct cli_graph cli_graph;

/* Owner: the caller, for cli_graph_free. what is counted, "messages". */
cli_graph *cli_graph_new(const char *title, const char *what);
void cli_graph_free(cli_graph *graph);

void cli_graph_count(cli_graph *graph, uint64_t messages, uint64_t bytes);

/* When the next second is over, and showing what it has brought. */
int64_t cli_graph_due_ns(const cli_graph *graph);
void cli_graph_show(cli_graph *graph, FILE *out);

#endif
