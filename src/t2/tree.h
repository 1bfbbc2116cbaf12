/* t2/tree.h -- who subscribes to which topics, and who of them hears a publish.
 *
 * A subscription is a member of the set of (owner, topic). Nodes are fragments below each other; a
 * node without subscriptions and without children goes. Not safe between threads by itself. */
#ifndef PP_T2_TREE_H
#define PP_T2_TREE_H

#include "base/err.h"
#include "base/list.h"
#include "base/table.h"
#include "t2/topic.h"

typedef struct pp_t2_node {
    pp_table_entry entry; /* in the tree's nodes, by parent and fragment */
    struct pp_t2_node *parent;
    struct pp_t2_node *first_child, *next_sibling, *prev_sibling;
    struct pp_t2_node *star, *double_star; /* among the children */
    pp_link subs;                          /* pp_t2_sub.of_node */
    /* During a match: which places of the published topic have been here, without and with the
     * flag D of t2/topic.h; good if the serial is that of the match. */
    uint64_t serial;
    uint64_t seen[2];
    uint16_t len;
    char fragment[];
} pp_t2_node;

/* Made by its owner, zeroed. */
typedef struct pp_t2_sub {
    pp_table_entry entry; /* in the tree's subs, by node and owner */
    pp_link of_node;
    pp_link of_owner; /* the owner's own */
    pp_t2_node *node;
    void *owner;
} pp_t2_sub;

typedef struct pp_t2_tree {
    pp_t2_node *root;
    pp_table nodes;
    pp_table subs;
    uint64_t seed;
    uint64_t serial; /* of the last match */
    size_t steps;    /* that it took */
} pp_t2_tree;

enum { PP_T2_STEPS_MAX = 1 << 20 }; /* what one match may take, in steps */

/* Errors: PIPIT_ENOMEM. */
pipit_err pp_t2_tree_init(pp_t2_tree *tree, uint64_t seed);
/* Only when it is empty, or was never made. */
void pp_t2_tree_fini(pp_t2_tree *tree);

/* The subscription of owner to exactly that topic; NULL: it has none. */
pp_t2_sub *pp_t2_tree_find(const pp_t2_tree *tree, const pp_t2_topic *topic, const void *owner);

/* Put in sub for its owner, who has none to that topic. Errors: PIPIT_ENOMEM; nothing has changed.
 */
pipit_err pp_t2_tree_add(pp_t2_tree *tree, const pp_t2_topic *topic, pp_t2_sub *sub);
void pp_t2_tree_remove(pp_t2_tree *tree, pp_t2_sub *sub);

/* Write the topic of sub, up to PP_T2_TOPIC_MAX bytes; returns its length. */
size_t pp_t2_sub_topic(const pp_t2_sub *sub, char out[PP_T2_TOPIC_MAX]);

/* Visit every subscription that hears what is published, each once. An error of visit ends the
 * walk. Errors: PIPIT_ELIMIT it takes too many steps; those of visit. */
pipit_err pp_t2_tree_match(pp_t2_tree *tree, const pp_t2_topic *published,
                           pipit_err (*visit)(void *arg, pp_t2_sub *sub), void *arg);

#endif
