#include "core/token_map.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"
#include "core/node.h"
#include "core/subject.h"

enum {
    CAP_MIN = 3,          /* slots; with malloc's word they fill 32 bytes */
    CAP_DIVIDE = 4096,    /* a table this long is divided, not grown */
    COUNT_UNITE = 1024,   /* a divided map with fewer edges becomes a table again */
    FIRST_SHIFT = 64 - 8, /* the byte of the hash that chooses the part, at level 0 */
    PREFETCH_AHEAD = 8,
};

/* Tags use the hash's lowest 16 bits, divisions one byte each from the top. */
static_assert(FIRST_SHIFT - 8 * (PP_TOKEN_MAP_LEVELS - 1) >= 16, "parts and tags are independent");

static bool is_divided(const pp_token_map *map)
{
    return map->cap == PP_TOKEN_MAP_DIVIDED;
}

static pp_token_map *part_of(const pp_token_map *map, uint64_t hash, unsigned level)
{
    return &map->parts[(hash >> (FIRST_SHIFT - 8 * level)) % PP_TOKEN_MAP_PARTS];
}

/* The place a tag asks for: tags are spread over the table in their order. */
static uint32_t home(uint16_t tag, uint32_t cap)
{
    return (uint32_t)(((uint64_t)tag * cap) >> 16);
}

static uint32_t after(uint32_t pos, uint32_t cap)
{
    return pos + 1 == cap ? 0 : pos + 1;
}

/* How far from its home the edge at pos had to go. */
static uint32_t distance(pp_edge edge, uint32_t pos, uint32_t cap)
{
    uint32_t wanted = home(pp_edge_tag(edge), cap);

    return pos >= wanted ? pos - wanted : pos + cap - wanted;
}

/* One slot in eight stays empty, and at least one. */
static bool has_room(const pp_token_map *map)
{
    return map->count < map->cap - map->cap / 8 - (map->cap > 0);
}

static uint32_t cap_for(uint32_t count)
{
    uint64_t cap = ((uint64_t)count + count / 2) | 1;

    PP_ASSERT(cap < PP_TOKEN_MAP_DIVIDED);
    return cap < CAP_MIN ? CAP_MIN : (uint32_t)cap;
}

/* Does an edge with tag that has gone so far from its home come before the one at pos? Those with
 * one home stand in the order of their tags, and so the whole table does. */
static bool comes_before(uint16_t tag, uint32_t gone, pp_edge edge, uint32_t pos, uint32_t cap)
{
    uint32_t other = distance(edge, pos, cap);

    return other < gone || (other == gone && pp_edge_tag(edge) > tag);
}

/* Put an edge, tag and all, into a table that has an empty slot. */
static void put(pp_edge *slots, uint32_t cap, pp_edge edge)
{
    uint16_t tag = pp_edge_tag(edge);
    uint32_t pos = home(tag, cap);
    uint32_t gone = 0;

    while (slots[pos] && !comes_before(tag, gone, slots[pos], pos, cap)) {
        pos = after(pos, cap);
        gone++;
    }
    while (slots[pos]) { /* the rest of the run moves up by one */
        pp_edge moved = slots[pos];

        slots[pos] = edge;
        edge = moved;
        pos = after(pos, cap);
    }
    slots[pos] = edge;
}

static bool has_token(pp_edge edge, uint32_t at, pp_str token)
{
    const pp_pattern *sample = pp_edge_sample(edge);
    uint32_t left = sample->len - at;

    return left >= token.len && memcmp(sample->text + at, token.ptr, token.len) == 0 &&
           (left == token.len || sample->text[at + token.len] == '.');
}

pp_edge *pp_token_map_find(const pp_token_map *map, const pp_token_key *key)
{
    uint16_t tag = (uint16_t)key->hash;
    uint32_t pos, gone;
    pp_edge edge;

    for (unsigned level = 0; is_divided(map); level++)
        map = part_of(map, key->hash, level);
    if (map->count == 0)
        return NULL;
    pos = home(tag, map->cap);
    for (gone = 0; (edge = map->slots[pos]); gone++) {
        if (pp_edge_tag(edge) == tag) {
            if (has_token(edge, key->at, key->token))
                return &map->slots[pos];
        } else if (pp_edge_tag(edge) > tag && comes_before(tag, gone, edge, pos, map->cap)) {
            return NULL;
        }
        pos = after(pos, map->cap);
    }
    return NULL;
}

/* Move a table's edges to one of another length. They come in the order of their tags, but for
 * the greatest ones, which may have gone around the end: those are left to put(). */
static pipit_err resize(pp_token_map *map, uint32_t cap)
{
    pp_edge *slots = pp_calloc(cap, sizeof(*slots));
    uint32_t around = 0, next = 0;

    if (!slots)
        return PIPIT_ENOMEM;
    while (around < map->cap && map->slots[around] &&
           home(pp_edge_tag(map->slots[around]), map->cap) > around)
        around++;
    for (uint32_t i = around; i < map->cap; i++) {
        pp_edge edge = map->slots[i];
        uint32_t pos;

        if (!edge)
            continue;
        pos = home(pp_edge_tag(edge), cap);
        if (pos < next)
            pos = next;
        if (pos == cap) { /* this table's run goes around, too */
            put(slots, cap, edge);
            continue;
        }
        slots[pos] = edge;
        next = pos + 1;
    }
    for (uint32_t i = 0; i < around; i++)
        put(slots, cap, map->slots[i]);
    pp_free(map->slots);
    map->slots = slots;
    map->cap = cap;
    return PIPIT_OK;
}

static uint64_t hash_of(pp_edge edge, const pp_token_key *key)
{
    const pp_pattern *sample = pp_edge_sample(edge);
    const char *token = sample->text + key->at;

    return pp_hash(token, pp_subject_dot(token, sample->len - key->at), key->seed);
}

/* Keys are far apart in memory: ask for them early, for a node's sample in a second step. */
static void prefetch(const pp_token_map *map, uint32_t i)
{
    if (i + 2 * PREFETCH_AHEAD < map->cap)
        __builtin_prefetch(pp_edge_address(map->slots[i + 2 * PREFETCH_AHEAD]));
    if (i + PREFETCH_AHEAD < map->cap && map->slots[i + PREFETCH_AHEAD])
        __builtin_prefetch(pp_edge_sample(map->slots[i + PREFETCH_AHEAD]));
}

/* Turn a table into parts, each with room for one edge more. */
static pipit_err divide(pp_token_map *map, unsigned level, const pp_token_key *key)
{
    pp_token_map divided = {.cap = PP_TOKEN_MAP_DIVIDED};
    uint8_t *choice = pp_alloc(map->cap); /* of each slot's edge */
    pipit_err err = PIPIT_ENOMEM;

    divided.parts = pp_calloc(PP_TOKEN_MAP_PARTS, sizeof(*divided.parts));
    if (!choice || !divided.parts)
        goto out;
    for (uint32_t i = 0; i < map->cap; i++) {
        prefetch(map, i);
        if (map->slots[i]) {
            pp_token_map *part = part_of(&divided, hash_of(map->slots[i], key), level);

            choice[i] = (uint8_t)(part - divided.parts);
            part->count++;
        }
    }
    for (unsigned i = 0; i < PP_TOKEN_MAP_PARTS; i++) {
        pp_token_map *part = &divided.parts[i];
        uint32_t cap = cap_for(part->count + 1);

        part->slots = pp_calloc(cap, sizeof(*part->slots));
        if (!part->slots)
            goto out;
        part->cap = cap;
    }
    for (uint32_t i = 0; i < map->cap; i++) {
        if (map->slots[i])
            put(divided.parts[choice[i]].slots, divided.parts[choice[i]].cap, map->slots[i]);
    }
    divided.count = map->count;
    pp_free(map->slots);
    *map = divided;
    divided = (pp_token_map){0}; /* handed over */
    err = PIPIT_OK;
out:
    if (divided.parts)
        pp_token_map_fini(&divided);
    pp_free(choice);
    return err;
}

/* Extend the path from its level down to the table for hash; returns that one's level. */
static unsigned descend(pp_token_map **path, unsigned level, uint64_t hash)
{
    for (; is_divided(path[level]); level++)
        path[level + 1] = part_of(path[level], hash, level);
    return level;
}

pipit_err pp_token_map_add(pp_token_map *map, const pp_token_key *key, pp_edge edge)
{
    pp_token_map *path[PP_TOKEN_MAP_LEVELS + 1];
    unsigned level = 0;

    path[0] = map;
    for (;;) {
        pipit_err err;

        level = descend(path, level, key->hash);
        map = path[level];
        if (has_room(map))
            break;
        if (map->cap >= CAP_DIVIDE && level < PP_TOKEN_MAP_LEVELS)
            err = divide(map, level, key);
        else
            err = resize(map, cap_for(map->cap));
        if (err)
            return err;
    }
    put(map->slots, map->cap, pp_edge_tagged(edge, (uint16_t)key->hash));
    for (unsigned i = 0; i <= level; i++)
        path[i]->count++;
    return PIPIT_OK;
}

/* Move the rest of the run down by one over the edge at pos. */
static void close_gap(pp_token_map *map, uint32_t pos)
{
    uint32_t next = after(pos, map->cap);

    while (map->slots[next] && home(pp_edge_tag(map->slots[next]), map->cap) != next) {
        map->slots[pos] = map->slots[next];
        pos = next;
        next = after(next, map->cap);
    }
    map->slots[pos] = 0;
}

static void put_visit(void *ctx, pp_edge edge)
{
    pp_token_map *table = ctx;

    put(table->slots, table->cap, edge);
}

/* Make a divided map one table again. Without memory it stays as it is. */
static void unite(pp_token_map *map)
{
    pp_token_map table = {.count = map->count, .cap = cap_for(map->count)};

    if (map->count) {
        table.slots = pp_calloc(table.cap, sizeof(*table.slots));
        if (!table.slots)
            return;
    } else {
        table.cap = 0;
    }
    pp_token_map_each(map, put_visit, &table);
    pp_token_map_fini(map);
    *map = table;
}

static void shrink(pp_token_map *map)
{
    if (map->count == 0)
        pp_token_map_fini(map);
    else if (map->count < map->cap / 8 * 3 && cap_for(map->count) < map->cap)
        (void)resize(map, cap_for(map->count)); /* no memory: it stays longer than needed */
}

void pp_token_map_remove(pp_token_map *map, const pp_token_key *key, pp_edge *slot)
{
    pp_token_map *path[PP_TOKEN_MAP_LEVELS + 1];
    unsigned level;

    path[0] = map;
    level = descend(path, 0, key->hash);
    map = path[level];
    PP_ASSERT(map->count > 0 && slot >= map->slots && slot < map->slots + map->cap);
    close_gap(map, (uint32_t)(slot - map->slots));
    for (unsigned i = 0; i <= level; i++)
        path[i]->count--;
    for (unsigned i = 0; i < level; i++) {
        if (path[i]->count < COUNT_UNITE) {
            unite(path[i]);
            return;
        }
    }
    shrink(map);
}

pp_edge pp_token_map_any(const pp_token_map *map)
{
    PP_ASSERT(map->count > 0);
    while (is_divided(map)) {
        const pp_token_map *part = map->parts;

        while (part->count == 0)
            part++;
        map = part;
    }
    for (const pp_edge *slot = map->slots;; slot++) {
        if (*slot)
            return *slot;
    }
}

void pp_token_map_each(const pp_token_map *map, void (*visit)(void *ctx, pp_edge edge), void *ctx)
{
    if (is_divided(map)) { /* no deeper than PP_TOKEN_MAP_LEVELS */
        for (unsigned i = 0; i < PP_TOKEN_MAP_PARTS; i++)
            pp_token_map_each(&map->parts[i], visit, ctx);
        return;
    }
    for (uint32_t i = 0; i < map->cap; i++) {
        if (map->slots[i])
            visit(ctx, map->slots[i]);
    }
}

void pp_token_map_fini(pp_token_map *map)
{
    if (is_divided(map)) {
        for (unsigned i = 0; i < PP_TOKEN_MAP_PARTS; i++)
            pp_token_map_fini(&map->parts[i]);
        pp_free(map->parts);
    } else {
        pp_free(map->slots);
    }
    *map = (pp_token_map){0};
}
