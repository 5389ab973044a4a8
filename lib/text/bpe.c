/* SPDX-License-Identifier: MIT
 *
 * Byte-pair encoding. The rules are a hash table from a pair of ids to rank and merged id; a word
 * is a linked list of ids, and a heap holds the pairs that can be merged, lowest rank first and
 * leftmost first among equals.
 */
#include "text/bpe.h"

#include "base/memory.h"
#include "text/unicode.h"

#include <string.h>

static const char word_end[] = "</w>";

typedef struct rule {
    int32_t left, right; // left -1: free
    int32_t rank, merged;
} rule;

struct sdi_bpe {
    int32_t inner[256], last[256]; // id of each byte inside and at the end of a word
    rule *rules;
    uint32_t count, mask;
};

static int prints(int byte)
{
    return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

size_t sdi_bpe_symbol(unsigned char byte, unsigned char utf8[4])
{
    int32_t code = byte;
    if (!prints(byte)) {
        code = 256;
        for (int b = 0; b < byte; b++)
            code += !prints(b);
    }
    return sdi_utf8_encode(code, utf8);
}

void sdi_bpe_byte_order(unsigned char order[256])
{
    int n = 0;
    for (int pass = 1; pass >= 0; pass--)
        for (int b = 0; b < 256; b++)
            if (prints(b) == pass)
                order[n++] = (unsigned char)b;
}

static uint32_t hash(int32_t left, int32_t right)
{
    const uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    return (uint32_t)((key * 0x9e3779b97f4a7c15u) >> 32);
}

/* The rule for a pair, or the free place where it belongs. */
static rule *find_rule(const sdi_bpe *bpe, int32_t left, int32_t right)
{
    for (uint32_t i = hash(left, right);; i++) {
        rule *r = &bpe->rules[i & bpe->mask];
        if (r->left < 0 || (r->left == left && r->right == right))
            return r;
    }
}

static sdiff_status grow(const sdi_env *env, sdi_bpe *bpe)
{
    const uint32_t old_slots = bpe->rules ? bpe->mask + 1 : 0;
    if (2 * bpe->count < old_slots)
        return SDIFF_OK;
    const uint32_t slots = SDI_MAX(1024, 2 * old_slots);
    rule *old = bpe->rules;
    rule *rules = sdi_alloc(env, slots, sizeof *rules);
    if (!rules)
        return SDIFF_ERROR_NO_MEMORY;
    memset(rules, 0xff, slots * sizeof *rules);
    bpe->rules = rules;
    bpe->mask = slots - 1;
    for (uint32_t i = 0; i < old_slots; i++)
        if (old[i].left >= 0)
            *find_rule(bpe, old[i].left, old[i].right) = old[i];
    sdi_free(env, old);
    return SDIFF_OK;
}

typedef struct building {
    sdi_bpe *bpe;
    const sdi_vocab *vocab;
    const sdi_merges *merges;
    sdi_strbuf joined; // both tokens of a rule
} building;

static sdiff_status find_token(const sdi_env *env, const building *b, const sdi_merge *merge,
                               const char *token, size_t length, int32_t *id)
{
    *id = sdi_vocab_find(b->vocab, token, length);
    if (*id >= 0)
        return SDIFF_OK;
    return sdi_fail(env, SDIFF_ERROR_FORMAT,
                    "%s: rule %d (%.*s %.*s) needs token '%.*s', which %s lacks", b->merges->name,
                    merge->rank + 1, (int)SDI_MIN(merge->left_length, 60), merge->left,
                    (int)SDI_MIN(merge->right_length, 60), merge->right, (int)SDI_MIN(length, 120),
                    token, sdi_vocab_name(b->vocab));
}

static sdiff_status add_rule(const sdi_env *env, void *user, const sdi_merge *merge)
{
    building *b = user;
    rule r = {.rank = merge->rank};
    SDI_TRY(find_token(env, b, merge, merge->left, merge->left_length, &r.left));
    SDI_TRY(find_token(env, b, merge, merge->right, merge->right_length, &r.right));
    SDI_TRY(sdi_merge_join(merge, &b->joined));
    SDI_TRY(find_token(env, b, merge, b->joined.text, b->joined.length, &r.merged));
    SDI_TRY(grow(env, b->bpe));
    rule *place = find_rule(b->bpe, r.left, r.right);
    b->bpe->count += place->left < 0;
    *place = r; // a rule that is given twice counts where it stands last, as in the originals
    return SDIFF_OK;
}

static void set_bytes(sdi_bpe *bpe, const sdi_vocab *vocab, int32_t unknown)
{
    for (int b = 0; b < 256; b++) {
        char symbol[4 + sizeof word_end];
        const size_t length = sdi_bpe_symbol((unsigned char)b, (unsigned char *)symbol);
        memcpy(symbol + length, word_end, sizeof word_end);
        const int32_t inner = sdi_vocab_find(vocab, symbol, length);
        const int32_t last = sdi_vocab_find(vocab, symbol, length + strlen(word_end));
        bpe->inner[b] = inner < 0 ? unknown : inner;
        bpe->last[b] = last < 0 ? unknown : last;
    }
}

sdiff_status sdi_bpe_new(const sdi_env *env, const sdi_vocab *vocab, const sdi_merges *merges,
                         int32_t unknown, sdi_bpe **out)
{
    *out = NULL;
    building b = {.vocab = vocab, .merges = merges};
    b.bpe = sdi_zalloc(env, 1, sizeof *b.bpe);
    if (!b.bpe)
        return SDIFF_ERROR_NO_MEMORY;
    sdi_strbuf_init(&b.joined, env);
    set_bytes(b.bpe, vocab, unknown);
    sdiff_status status = grow(env, b.bpe);
    if (status == SDIFF_OK)
        status = sdi_merges_walk(env, merges, add_rule, &b);
    sdi_strbuf_free(&b.joined);
    if (status != SDIFF_OK) {
        sdi_bpe_free(env, b.bpe);
        return status;
    }
    *out = b.bpe;
    return SDIFF_OK;
}

void sdi_bpe_free(const sdi_env *env, sdi_bpe *bpe)
{
    if (!bpe)
        return;
    sdi_free(env, bpe->rules);
    sdi_free(env, bpe);
}

int32_t sdi_bpe_last_id(const sdi_bpe *bpe, unsigned char byte)
{
    return bpe->last[byte];
}

/* --- encoding ------------------------------------------------------------------------------- */

typedef struct node {
    int32_t id;             // -1: was merged into the one before
    int32_t previous, next; // -1: none
} node;

/* A pair that was seen: the node on its left, and the rank of its rule then. */
typedef struct candidate {
    int32_t rank, at;
} candidate;

typedef struct word {
    const sdi_bpe *bpe;
    node *nodes;
    candidate *heap;
    size_t heap_count;
} word;

void sdi_bpe_scratch_free(const sdi_env *env, sdi_bpe_scratch *scratch)
{
    sdi_free(env, scratch->memory);
    memset(scratch, 0, sizeof *scratch);
}

/* A word of n bytes starts with n - 1 pairs, and each of at most n - 1 merges makes two new. */
static sdiff_status reserve(const sdi_env *env, sdi_bpe_scratch *scratch, size_t length, word *w)
{
    enum { PER_BYTE = sizeof(node) + 3 * sizeof(candidate) };
    if (length > scratch->capacity) {
        const size_t capacity = SDI_MAX(length, 256);
        void *memory = sdi_alloc(env, capacity, PER_BYTE);
        if (!memory)
            return SDIFF_ERROR_NO_MEMORY;
        sdi_free(env, scratch->memory);
        scratch->memory = memory;
        scratch->capacity = capacity;
    }
    w->nodes = scratch->memory;
    w->heap = (candidate *)(w->nodes + scratch->capacity);
    return SDIFF_OK;
}

static int before(candidate a, candidate b)
{
    return a.rank < b.rank || (a.rank == b.rank && a.at < b.at);
}

static void push(word *w, candidate c)
{
    size_t i = w->heap_count++;
    for (; i > 0 && before(c, w->heap[(i - 1) / 2]); i = (i - 1) / 2)
        w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = c;
}

static candidate pop(word *w)
{
    const candidate top = w->heap[0], last = w->heap[--w->heap_count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= w->heap_count)
            break;
        if (child + 1 < w->heap_count && before(w->heap[child + 1], w->heap[child]))
            child++;
        if (!before(w->heap[child], last))
            break;
        w->heap[i] = w->heap[child];
        i = child;
    }
    w->heap[i] = last;
    return top;
}

/* The rule for the node at `at` and the next one, or NULL. */
static const rule *rule_at(const word *w, int32_t at)
{
    if (at < 0 || w->nodes[at].id < 0 || w->nodes[at].next < 0)
        return NULL;
    const rule *r = find_rule(w->bpe, w->nodes[at].id, w->nodes[w->nodes[at].next].id);
    return r->left < 0 ? NULL : r;
}

static void consider(word *w, int32_t at)
{
    const rule *r = rule_at(w, at);
    if (r)
        push(w, (candidate){r->rank, at});
}

static void merge_at(word *w, int32_t at, const rule *r)
{
    node *left = &w->nodes[at], *right = &w->nodes[left->next];
    left->id = r->merged;
    left->next = right->next;
    right->id = -1;
    if (left->next >= 0)
        w->nodes[left->next].previous = at;
    consider(w, left->previous);
    consider(w, at);
}

sdiff_status sdi_bpe_encode(const sdi_env *env, const sdi_bpe *bpe, sdi_bpe_scratch *scratch,
                            const unsigned char *bytes, size_t length, sdi_ids *out)
{
    if (length == 0)
        return SDIFF_OK;
    word w = {.bpe = bpe};
    SDI_TRY(reserve(env, scratch, length, &w));
    for (size_t i = 0; i < length; i++) {
        const int final = i + 1 == length;
        w.nodes[i] = (node){final ? bpe->last[bytes[i]] : bpe->inner[bytes[i]], (int32_t)i - 1,
                            final ? -1 : (int32_t)i + 1};
    }
    for (size_t i = 0; i + 1 < length; i++)
        consider(&w, (int32_t)i);
    while (w.heap_count > 0) {
        const candidate c = pop(&w);
        const rule *r = rule_at(&w, c.at);
        if (r && r->rank == c.rank) // else one of the two has been merged meanwhile
            merge_at(&w, c.at, r);
    }
    for (int32_t i = 0; i >= 0; i = w.nodes[i].next)
        SDI_TRY(sdi_ids_push(env, out, w.nodes[i].id));
    return SDIFF_OK;
}
