/* SPDX-License-Identifier: MIT
 *
 * Tokens and ids: an open-addressed table over one pool of characters.
 */
#include "text/vocab.h"

#include "base/memory.h"
#include "io/json.h"

#include <string.h>

typedef struct token {
    size_t offset, length; // in the pool
    int32_t id;
} token;

struct sdi_vocab {
    const char *name;
    char *pool;
    size_t pool_used, pool_capacity;
    token *tokens;
    uint32_t count, capacity;
    uint32_t *slots; // index + 1 of the token, 0: free; a power of two, at most half full
    uint32_t slot_count;
    int32_t size;
};

sdiff_status sdi_vocab_new(const sdi_env *env, const char *name, sdi_vocab **out)
{
    *out = sdi_zalloc(env, 1, sizeof **out);
    if (!*out)
        return SDIFF_ERROR_NO_MEMORY;
    (*out)->name = name;
    return SDIFF_OK;
}

void sdi_vocab_free(const sdi_env *env, sdi_vocab *vocab)
{
    if (!vocab)
        return;
    sdi_free(env, vocab->pool);
    sdi_free(env, vocab->tokens);
    sdi_free(env, vocab->slots);
    sdi_free(env, vocab);
}

/* FNV-1a. */
static uint32_t hash(const char *text, size_t length)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < length; i++)
        h = (h ^ (unsigned char)text[i]) * 16777619u;
    return h;
}

/* The slot that holds the token, or the free one where it belongs. */
static uint32_t *find_slot(const sdi_vocab *vocab, const char *text, size_t length)
{
    uint32_t i = hash(text, length);
    for (;; i++) {
        uint32_t *slot = &vocab->slots[i & (vocab->slot_count - 1)];
        if (*slot == 0)
            return slot;
        const token *t = &vocab->tokens[*slot - 1];
        if (t->length == length && memcmp(vocab->pool + t->offset, text, length) == 0)
            return slot;
    }
}

static sdiff_status rehash(const sdi_env *env, sdi_vocab *vocab)
{
    const uint32_t slot_count = SDI_MAX(1024, 2 * vocab->slot_count);
    uint32_t *slots = sdi_zalloc(env, slot_count, sizeof *slots);
    if (!slots)
        return SDIFF_ERROR_NO_MEMORY;
    sdi_free(env, vocab->slots);
    vocab->slots = slots;
    vocab->slot_count = slot_count;
    for (uint32_t i = 0; i < vocab->count; i++) {
        const token *t = &vocab->tokens[i];
        *find_slot(vocab, vocab->pool + t->offset, t->length) = i + 1;
    }
    return SDIFF_OK;
}

static sdiff_status reserve(const sdi_env *env, sdi_vocab *vocab, size_t length)
{
    if (vocab->pool_used + length > vocab->pool_capacity) {
        const size_t capacity = SDI_MAX(vocab->pool_used + length, 2 * vocab->pool_capacity + 4096);
        char *pool = sdi_realloc(env, vocab->pool, capacity, 1);
        if (!pool)
            return SDIFF_ERROR_NO_MEMORY;
        vocab->pool = pool;
        vocab->pool_capacity = capacity;
    }
    if (vocab->count == vocab->capacity) {
        const uint32_t capacity = 2 * vocab->capacity + 512;
        token *tokens = sdi_realloc(env, vocab->tokens, capacity, sizeof *tokens);
        if (!tokens)
            return SDIFF_ERROR_NO_MEMORY;
        vocab->tokens = tokens;
        vocab->capacity = capacity;
    }
    return 2 * vocab->count >= vocab->slot_count ? rehash(env, vocab) : SDIFF_OK;
}

static sdiff_status add(const sdi_env *env, sdi_vocab *vocab, const char *text, size_t length,
                        int32_t id)
{
    enum { MOST_TOKENS = 1 << 24 };
    if (vocab->count >= MOST_TOKENS)
        return sdi_fail(env, SDIFF_ERROR_LIMIT, "%s: more than %d tokens", vocab->name,
                        MOST_TOKENS);
    SDI_TRY(reserve(env, vocab, length));
    uint32_t *slot = find_slot(vocab, text, length);
    if (*slot != 0)
        return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: token '%.*s' stands there twice", vocab->name,
                        (int)SDI_MIN(length, 100), text);
    token *t = &vocab->tokens[vocab->count++];
    *t = (token){vocab->pool_used, length, id};
    if (length)
        memcpy(vocab->pool + t->offset, text, length);
    vocab->pool_used += length;
    *slot = vocab->count;
    vocab->size = SDI_MAX(vocab->size, id + 1);
    return SDIFF_OK;
}

sdiff_status sdi_vocab_append(const sdi_env *env, sdi_vocab *vocab, const char *token_text,
                              size_t length)
{
    return add(env, vocab, token_text, length, vocab->size);
}

/* Ids are dense in every vocabulary that fits a network, so they are bounded by the number of
 * tokens with room for a few holes; a table of flags then finds ids that are used twice. */
static sdiff_status check_ids(const sdi_env *env, const sdi_vocab *vocab)
{
    unsigned char *used = sdi_zalloc(env, (uint64_t)vocab->size, 1);
    if (!used)
        return SDIFF_ERROR_NO_MEMORY;
    sdiff_status status = SDIFF_OK;
    for (uint32_t i = 0; i < vocab->count && status == SDIFF_OK; i++) {
        const token *t = &vocab->tokens[i];
        if (used[t->id]++)
            status =
                sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: two tokens have id %d, one is '%.*s'",
                         vocab->name, t->id, (int)SDI_MIN(t->length, 100), vocab->pool + t->offset);
    }
    sdi_free(env, used);
    return status;
}

static sdiff_status add_object(const sdi_env *env, sdi_vocab *vocab, json_t *object)
{
    const char *key = NULL;
    json_t *value = NULL;
    const json_int_t limit = 2 * (json_int_t)json_object_size(object) + 65536;
    json_object_foreach(object, key, value)
    {
        const json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
        if (id < 0 || id >= limit)
            return sdi_fail(env, SDIFF_ERROR_FORMAT,
                            "%s: the id of token '%.100s' must be a number from 0 to %lld",
                            vocab->name, key, (long long)limit - 1);
        SDI_TRY(add(env, vocab, key, strlen(key), (int32_t)id));
    }
    return check_ids(env, vocab);
}

sdiff_status sdi_vocab_from_json(const sdi_env *env, const char *name, const char *text,
                                 size_t size, sdi_vocab **out)
{
    *out = NULL;
    json_t *object = NULL;
    SDI_TRY(sdi_json_parse(env, name, text, size, &object));
    sdi_vocab *vocab = NULL;
    sdiff_status status = SDIFF_OK;
    if (!json_is_object(object) || json_object_size(object) == 0)
        status = sdi_fail(env, SDIFF_ERROR_FORMAT,
                          "%s: a vocabulary is an object of tokens with their ids", name);
    else
        status = sdi_vocab_new(env, name, &vocab);
    if (status == SDIFF_OK)
        status = add_object(env, vocab, object);
    json_decref(object);
    if (status != SDIFF_OK) {
        sdi_vocab_free(env, vocab);
        return status;
    }
    *out = vocab;
    return SDIFF_OK;
}

int32_t sdi_vocab_find(const sdi_vocab *vocab, const char *text, size_t length)
{
    if (vocab->slot_count == 0)
        return -1;
    const uint32_t slot = *find_slot(vocab, text, length);
    return slot ? vocab->tokens[slot - 1].id : -1;
}

int32_t sdi_vocab_size(const sdi_vocab *vocab)
{
    return vocab->size;
}

const char *sdi_vocab_name(const sdi_vocab *vocab)
{
    return vocab->name;
}
