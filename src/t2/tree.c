#include "t2/tree.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"

#include <string.h>

/* --- nodes -------------------------------------------------------------------------------- */

static uint64_t node_hash(const pp_t2_tree *tree, const pp_t2_node *parent, pp_str fragment)
{
    return pp_hash(fragment.ptr, fragment.len, tree->seed ^ (uint64_t)(uintptr_t)parent);
}

static pp_t2_node *child_of(const pp_t2_tree *tree, const pp_t2_node *parent, pp_str fragment)
{
    uint64_t hash;

    if (pp_t2_is_star(fragment))
        return parent->star;
    if (pp_t2_is_double_star(fragment))
        return parent->double_star;
    if (!parent->first_child)
        return NULL;
    hash = node_hash(tree, parent, fragment);
    for (pp_table_entry *e = pp_table_first(&tree->nodes, hash); e; e = e->next) {
        pp_t2_node *node = PP_CONTAINER(e, pp_t2_node, entry);

        if (e->hash == hash && node->parent == parent && node->len == fragment.len &&
            memcmp(node->fragment, fragment.ptr, fragment.len) == 0)
            return node;
    }
    return NULL;
}

static pp_t2_node *node_new(pp_str fragment)
{
    pp_t2_node *node = pp_calloc(1, sizeof(*node) + fragment.len + 1);

    if (!node)
        return NULL;
    pp_list_init(&node->subs);
    node->len = (uint16_t)fragment.len;
    memcpy(node->fragment, fragment.ptr, fragment.len);
    return node;
}

static pp_t2_node *add_child(pp_t2_tree *tree, pp_t2_node *parent, pp_str fragment)
{
    pp_t2_node *node = node_new(fragment);

    if (!node)
        return NULL;
    node->parent = parent;
    node->entry.hash = node_hash(tree, parent, fragment);
    if (pp_table_add(&tree->nodes, &node->entry)) {
        pp_free(node);
        return NULL;
    }
    node->next_sibling = parent->first_child;
    if (parent->first_child)
        parent->first_child->prev_sibling = node;
    parent->first_child = node;
    if (pp_t2_is_star(fragment))
        parent->star = node;
    else if (pp_t2_is_double_star(fragment))
        parent->double_star = node;
    return node;
}

static void remove_child(pp_t2_tree *tree, pp_t2_node *node)
{
    pp_t2_node *parent = node->parent;

    if (node->prev_sibling)
        node->prev_sibling->next_sibling = node->next_sibling;
    else
        parent->first_child = node->next_sibling;
    if (node->next_sibling)
        node->next_sibling->prev_sibling = node->prev_sibling;
    if (parent->star == node)
        parent->star = NULL;
    if (parent->double_star == node)
        parent->double_star = NULL;
    pp_table_remove(&tree->nodes, &node->entry);
    pp_free(node);
}

/* Nodes that nothing needs any more, from there up. */
static void prune(pp_t2_tree *tree, pp_t2_node *node)
{
    while (node->parent && !node->first_child && pp_list_empty(&node->subs)) {
        pp_t2_node *parent = node->parent;

        remove_child(tree, node);
        node = parent;
    }
}

/* The node of a topic, made if it is not there. */
static pp_t2_node *reach(pp_t2_tree *tree, const pp_t2_topic *topic)
{
    pp_t2_node *node = tree->root;

    for (unsigned i = 0; i < topic->count; i++) {
        pp_t2_node *next = child_of(tree, node, topic->fragments[i]);

        if (!next)
            next = add_child(tree, node, topic->fragments[i]);
        if (!next) {
            prune(tree, node);
            return NULL;
        }
        node = next;
    }
    return node;
}

/* --- subscriptions ------------------------------------------------------------------------ */

pipit_err pp_t2_tree_init(pp_t2_tree *tree, uint64_t seed)
{
    *tree = (pp_t2_tree){.seed = seed};
    tree->root = node_new(PP_STR(""));
    return tree->root ? PIPIT_OK : PIPIT_ENOMEM;
}

void pp_t2_tree_fini(pp_t2_tree *tree)
{
    PP_ASSERT(tree->nodes.count == 0 && tree->subs.count == 0);
    pp_table_fini(&tree->nodes);
    pp_table_fini(&tree->subs);
    pp_free(tree->root);
    tree->root = NULL;
}

static uint64_t sub_hash(const pp_t2_tree *tree, const pp_t2_node *node, const void *owner)
{
    const void *key[2] = {node, owner};

    return pp_hash(key, sizeof(key), tree->seed);
}

static pp_t2_sub *find_at(const pp_t2_tree *tree, const pp_t2_node *node, const void *owner)
{
    uint64_t hash = sub_hash(tree, node, owner);

    for (pp_table_entry *e = pp_table_first(&tree->subs, hash); e; e = e->next) {
        pp_t2_sub *sub = PP_CONTAINER(e, pp_t2_sub, entry);

        if (sub->node == node && sub->owner == owner)
            return sub;
    }
    return NULL;
}

pp_t2_sub *pp_t2_tree_find(const pp_t2_tree *tree, const pp_t2_topic *topic, const void *owner)
{
    const pp_t2_node *node = tree->root;

    for (unsigned i = 0; node && i < topic->count; i++)
        node = child_of(tree, node, topic->fragments[i]);
    return node ? find_at(tree, node, owner) : NULL;
}

pipit_err pp_t2_tree_add(pp_t2_tree *tree, const pp_t2_topic *topic, pp_t2_sub *sub)
{
    pp_t2_node *node = reach(tree, topic);

    if (!node)
        return PIPIT_ENOMEM;
    sub->node = node;
    sub->entry.hash = sub_hash(tree, node, sub->owner);
    if (pp_table_add(&tree->subs, &sub->entry)) {
        prune(tree, node);
        return PIPIT_ENOMEM;
    }
    pp_list_append(&node->subs, &sub->of_node);
    return PIPIT_OK;
}

void pp_t2_tree_remove(pp_t2_tree *tree, pp_t2_sub *sub)
{
    pp_table_remove(&tree->subs, &sub->entry);
    pp_list_remove(&sub->of_node);
    prune(tree, sub->node);
    sub->node = NULL;
}

size_t pp_t2_sub_topic(const pp_t2_sub *sub, char out[PP_T2_TOPIC_MAX])
{
    size_t len = 0, at;

    for (const pp_t2_node *node = sub->node; node->parent; node = node->parent)
        len += node->len + 1u;
    PP_ASSERT(len > 1 && len <= PP_T2_TOPIC_MAX + 1u);
    at = --len; /* one slash less than fragments */
    for (const pp_t2_node *node = sub->node; node->parent; node = node->parent) {
        at -= node->len;
        memcpy(out + at, node->fragment, node->len);
        if (at)
            out[--at] = '/';
    }
    return len;
}

/* --- matching ----------------------------------------------------------------------------- */

typedef struct walk {
    pp_t2_tree *tree;
    const pp_t2_topic *p;
    pipit_err (*visit)(void *arg, pp_t2_sub *sub);
    void *arg;
    size_t steps;
    pipit_err err; /* ends it */
} walk;

static void go(walk *w, pp_t2_node *node, unsigned j, bool d);

static void go_if(walk *w, pp_t2_node *node, unsigned j, bool d)
{
    if (node)
        go(w, node, j, d);
}

static void go_to_children(walk *w, pp_t2_node *node, unsigned j, bool d)
{
    for (pp_t2_node *child = node->first_child; child && !w->err; child = child->next_sibling)
        go(w, child, j, d);
}

/* Has this been tried from here? Notes that it is now. */
static bool tried(walk *w, pp_t2_node *node, unsigned j, bool d)
{
    uint64_t bit = UINT64_C(1) << j;

    if (node->serial != w->tree->serial) {
        node->serial = w->tree->serial;
        node->seen[0] = node->seen[1] = 0;
    }
    if (node->seen[d] & bit)
        return true;
    node->seen[d] |= bit;
    return false;
}

static void visit_subs(walk *w, pp_t2_node *node)
{
    for (pp_link *link = node->subs.next; link != &node->subs && !w->err; link = link->next)
        w->err = w->visit(w->arg, PP_CONTAINER(link, pp_t2_sub, of_node));
}

/* The rules of t2/topic.h, for all subscriptions at once: a node is what has been dropped of S. It
 * goes no deeper than the fragments of both sides together. */
static void go(walk *w, pp_t2_node *node, unsigned j, bool d)
{
    pp_str first;

    if (w->err || tried(w, node, j, d))
        return;
    if (++w->steps > PP_T2_STEPS_MAX) {
        w->err = PIPIT_ELIMIT;
        return;
    }
    if (j == w->p->count) {
        /* With and without D alike, but only once. */
        if (!(node->seen[!d] & UINT64_C(1) << j))
            visit_subs(w, node);
        return;
    }
    first = w->p->fragments[j];
    if (pp_t2_is_double_star(first)) {
        go(w, node, j + 1, d);
        go_to_children(w, node, j, d);
    }
    if (d) {
        go(w, node, j + 1, true);
        go_if(w, child_of(w->tree, node, first), j + 1, false);
    } else if (pp_t2_is_star(first)) {
        go_to_children(w, node, j + 1, false);
    } else {
        go_if(w, child_of(w->tree, node, first), j + 1, false);
        go_if(w, node->star, j + 1, false);
        go_if(w, node->double_star, j + 1, true);
    }
}

pipit_err pp_t2_tree_match(pp_t2_tree *tree, const pp_t2_topic *published,
                           pipit_err (*visit)(void *arg, pp_t2_sub *sub), void *arg)
{
    walk w = {.tree = tree, .p = published, .visit = visit, .arg = arg};

    tree->serial++;
    go(&w, tree->root, 0, false);
    tree->steps = w.steps;
    return w.err;
}
