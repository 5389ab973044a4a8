/* SPDX-License-Identifier: MIT
 *
 * The CLIP tokenizer: specials out, normalise, cut into words, byte-pair encoding.
 */
#include "text/tokenizer.h"

#include "base/memory.h"
#include "io/gunzip.h"
#include "text/bpe.h"
#include "text/clip_split.h"
#include "text/normalize.h"

#include <string.h>

struct sdi_tokenizer {
    sdi_bpe *bpe;
    int32_t vocab_size, bos, eos;
};

sdiff_status sdi_ids_push(const sdi_env *env, sdi_ids *ids, int32_t id)
{
    if (ids->count == ids->capacity) {
        if (ids->capacity > INT32_MAX / 2 - 64)
            return sdi_fail(env, SDIFF_ERROR_LIMIT, "more than %d token ids", ids->capacity);
        const int32_t capacity = 2 * ids->capacity + 64;
        int32_t *list = sdi_realloc(env, ids->ids, (uint64_t)capacity, sizeof *list);
        if (!list)
            return SDIFF_ERROR_NO_MEMORY;
        ids->ids = list;
        ids->capacity = capacity;
    }
    ids->ids[ids->count++] = id;
    return SDIFF_OK;
}

void sdi_ids_free(const sdi_env *env, sdi_ids *ids)
{
    sdi_free(env, ids->ids);
    memset(ids, 0, sizeof *ids);
}

/* --- construction --------------------------------------------------------------------------- */

static sdiff_status find_special(const sdi_env *env, const sdi_vocab *vocab, const char *token,
                                 int32_t *id)
{
    *id = sdi_vocab_find(vocab, token, strlen(token));
    if (*id >= 0)
        return SDIFF_OK;
    return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: the vocabulary lacks '%s'", sdi_vocab_name(vocab),
                    token);
}

static sdiff_status build(const sdi_env *env, const sdi_vocab *vocab, const sdi_merges *merges,
                          sdi_tokenizer *t)
{
    t->vocab_size = sdi_vocab_size(vocab);
    SDI_TRY(find_special(env, vocab, SDI_CLIP_BOS, &t->bos));
    SDI_TRY(find_special(env, vocab, SDI_CLIP_EOS, &t->eos));
    return sdi_bpe_new(env, vocab, merges, t->eos, &t->bpe); // unknown bytes are EOS, as in HF's
}

static sdiff_status new_tokenizer(const sdi_env *env, const sdi_vocab *vocab,
                                  const sdi_merges *merges, sdi_tokenizer **out)
{
    sdi_tokenizer *t = sdi_zalloc(env, 1, sizeof *t);
    if (!t)
        return SDIFF_ERROR_NO_MEMORY;
    const sdiff_status status = build(env, vocab, merges, t);
    if (status != SDIFF_OK) {
        sdi_tokenizer_free(env, t);
        return status;
    }
    *out = t;
    return SDIFF_OK;
}

sdiff_status sdi_tokenizer_new_hf(const sdi_env *env, const char *vocab_name, const char *vocab,
                                  size_t vocab_size, const char *merges_name, const char *merges,
                                  size_t merges_size, sdi_tokenizer **out)
{
    *out = NULL;
    sdi_vocab *v = NULL;
    SDI_TRY(sdi_vocab_from_json(env, vocab_name, vocab, vocab_size, &v));
    const sdi_merges rules = {.name = merges_name, .text = merges, .size = merges_size};
    const sdiff_status status = new_tokenizer(env, v, &rules, out);
    sdi_vocab_free(env, v);
    return status;
}

static sdiff_status append_bytes(const sdi_env *env, sdi_vocab *vocab, const char *suffix)
{
    unsigned char order[256];
    sdi_bpe_byte_order(order);
    for (int i = 0; i < 256; i++) {
        char token[16];
        const size_t length = sdi_bpe_symbol(order[i], (unsigned char *)token);
        memcpy(token + length, suffix, strlen(suffix));
        SDI_TRY(sdi_vocab_append(env, vocab, token, length + strlen(suffix)));
    }
    return SDIFF_OK;
}

typedef struct joining {
    sdi_vocab *vocab;
    sdi_strbuf joined;
} joining;

static sdiff_status append_merge(const sdi_env *env, void *user, const sdi_merge *merge)
{
    joining *j = user;
    SDI_TRY(sdi_merge_join(merge, &j->joined));
    return sdi_vocab_append(env, j->vocab, j->joined.text, j->joined.length);
}

/* The ids of OpenAI's file follow from its rules: the bytes, the bytes at the end of a word, what
 * the rules make in their order, the two specials. */
static sdiff_status vocab_of_rules(const sdi_env *env, const sdi_merges *rules, sdi_vocab *vocab)
{
    SDI_TRY(append_bytes(env, vocab, ""));
    SDI_TRY(append_bytes(env, vocab, "</w>"));
    joining j = {.vocab = vocab};
    sdi_strbuf_init(&j.joined, env);
    const sdiff_status status = sdi_merges_walk(env, rules, append_merge, &j);
    sdi_strbuf_free(&j.joined);
    SDI_TRY(status);
    SDI_TRY(sdi_vocab_append(env, vocab, SDI_CLIP_BOS, strlen(SDI_CLIP_BOS)));
    return sdi_vocab_append(env, vocab, SDI_CLIP_EOS, strlen(SDI_CLIP_EOS));
}

static sdiff_status new_from_rules(const sdi_env *env, const char *name, const char *text,
                                   size_t size, sdi_tokenizer **out)
{
    enum { CLIP_RULES = 49152 - 256 - 2 }; // the file holds more, CLIP uses the first ones
    const sdi_merges rules = {name, text, size, CLIP_RULES, 1};
    sdi_vocab *vocab = NULL;
    SDI_TRY(sdi_vocab_new(env, name, &vocab));
    sdiff_status status = vocab_of_rules(env, &rules, vocab);
    if (status == SDIFF_OK)
        status = new_tokenizer(env, vocab, &rules, out);
    sdi_vocab_free(env, vocab);
    return status;
}

sdiff_status sdi_tokenizer_new_bpe(const sdi_env *env, const char *name, const void *bytes,
                                   size_t size, sdi_tokenizer **out)
{
    *out = NULL;
    if (!sdi_is_gzip(bytes, size))
        return new_from_rules(env, name, bytes, size, out);
    char *text = NULL;
    size_t length = 0;
    SDI_TRY(sdi_gunzip(env, name, bytes, size, SDI_VOCAB_FILE_LIMIT, &text, &length));
    const sdiff_status status = new_from_rules(env, name, text, length, out);
    sdi_free(env, text);
    return status;
}

void sdi_tokenizer_free(const sdi_env *env, sdi_tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    sdi_bpe_free(env, tokenizer->bpe);
    sdi_free(env, tokenizer);
}

int32_t sdi_tokenizer_vocab_size(const sdi_tokenizer *tokenizer)
{
    return tokenizer->vocab_size;
}

int32_t sdi_tokenizer_bos(const sdi_tokenizer *tokenizer)
{
    return tokenizer->bos;
}

int32_t sdi_tokenizer_eos(const sdi_tokenizer *tokenizer)
{
    return tokenizer->eos;
}

int32_t sdi_tokenizer_comma(const sdi_tokenizer *tokenizer)
{
    return sdi_bpe_last_id(tokenizer->bpe, ',');
}

/* --- encoding ------------------------------------------------------------------------------- */

typedef struct encoding {
    const sdi_env *env;
    const sdi_tokenizer *tokenizer;
    sdi_tokenizer_variant variant;
    sdi_bpe_scratch scratch;
    sdi_strbuf word; // as UTF-8
    sdi_ids *out;
} encoding;

/* A view of codes [start, end). */
static sdi_codes slice(const sdi_codes *codes, size_t start, size_t end)
{
    return (sdi_codes){codes->at + start, end - start, 0};
}

static sdiff_status encode_word(encoding *e, const sdi_codes *word)
{
    e->word.length = 0;
    for (size_t i = 0; i < word->count; i++) {
        char utf8[4];
        sdi_strbuf_append(&e->word, utf8, sdi_utf8_encode(word->at[i], (unsigned char *)utf8));
    }
    SDI_TRY(e->word.status);
    return sdi_bpe_encode(e->env, e->tokenizer->bpe, &e->scratch,
                          (const unsigned char *)e->word.text, e->word.length, e->out);
}

/* The id of a word that is a special as a whole, or -1. */
static int32_t special_word(const encoding *e, const sdi_codes *word)
{
    if (word->count == strlen(SDI_CLIP_BOS) &&
        sdi_codes_match(word, 0, SDI_CLIP_BOS, SDI_CLIP_PATTERN_PLAIN))
        return e->tokenizer->bos;
    if (word->count == strlen(SDI_CLIP_EOS) &&
        sdi_codes_match(word, 0, SDI_CLIP_EOS, SDI_CLIP_PATTERN_PLAIN))
        return e->tokenizer->eos;
    return -1;
}

static sdiff_status encode_words(encoding *e, const sdi_codes *text)
{
    const sdi_clip_pattern pattern =
        e->variant == SDI_TOKENIZER_HF_FAST ? SDI_CLIP_PATTERN_PLAIN : SDI_CLIP_PATTERN_IGNORE_CASE;
    size_t start = 0, end = 0;
    for (; sdi_clip_split(text, pattern, &start, &end); start = end) {
        const sdi_codes word = slice(text, start, end);
        const int32_t special =
            pattern == SDI_CLIP_PATTERN_IGNORE_CASE ? special_word(e, &word) : -1;
        if (special >= 0)
            SDI_TRY(sdi_ids_push(e->env, e->out, special));
        else
            SDI_TRY(encode_word(e, &word));
    }
    return SDIFF_OK;
}

typedef sdiff_status (*part_fn)(encoding *e, const sdi_codes *part);

/* Cuts the text at each occurrence of the given specials: their ids between what fn makes of the
 * parts. */
static sdiff_status cut_at_specials(encoding *e, const sdi_codes *text, int bos, int eos,
                                    part_fn fn)
{
    size_t start = 0;
    for (size_t i = 0; i < text->count; i++) {
        int32_t id = -1;
        size_t length = 0;
        if (bos && sdi_codes_match(text, i, SDI_CLIP_BOS, SDI_CLIP_PATTERN_PLAIN)) {
            id = e->tokenizer->bos;
            length = strlen(SDI_CLIP_BOS);
        } else if (eos && sdi_codes_match(text, i, SDI_CLIP_EOS, SDI_CLIP_PATTERN_PLAIN)) {
            id = e->tokenizer->eos;
            length = strlen(SDI_CLIP_EOS);
        }
        if (id < 0)
            continue;
        const sdi_codes part = slice(text, start, i);
        SDI_TRY(fn(e, &part));
        SDI_TRY(sdi_ids_push(e->env, e->out, id));
        start = i + length;
        i = start - 1;
    }
    const sdi_codes rest = slice(text, start, text->count);
    return fn(e, &rest);
}

static sdiff_status encode_part(encoding *e, const sdi_codes *part)
{
    sdi_codes normal = {0};
    sdiff_status status = sdi_clip_normalize(e->env, e->variant, part, &normal);
    /* tokenizer.json marks BOS as a token that is looked for after normalisation, in any case. */
    if (status == SDIFF_OK)
        status = cut_at_specials(e, &normal, e->variant == SDI_TOKENIZER_HF_FAST, 0, encode_words);
    sdi_codes_free(e->env, &normal);
    return status;
}

static sdiff_status encode_codes(encoding *e, const sdi_codes *text)
{
    switch (e->variant) {
    case SDI_TOKENIZER_HF_FAST: return cut_at_specials(e, text, 0, 1, encode_part);
    case SDI_TOKENIZER_HF_SLOW: return cut_at_specials(e, text, 1, 1, encode_part);
    default: return encode_part(e, text);
    }
}

sdiff_status sdi_tokenizer_encode(const sdi_env *env, const sdi_tokenizer *tokenizer,
                                  sdi_tokenizer_variant variant, const char *text, size_t length,
                                  sdi_ids *out)
{
    enum { LONGEST_TEXT = 1 << 24 };
    if (length > LONGEST_TEXT)
        return sdi_fail(env, SDIFF_ERROR_LIMIT, "a text of %zu bytes, at most %d are possible",
                        length, LONGEST_TEXT);
    encoding e = {.env = env, .tokenizer = tokenizer, .variant = variant, .out = out};
    sdi_strbuf_init(&e.word, env);
    sdi_codes codes = {0};
    sdiff_status status = sdi_codes_append_utf8(env, &codes, text, length);
    if (status == SDIFF_OK)
        status = encode_codes(&e, &codes);
    sdi_codes_free(env, &codes);
    sdi_strbuf_free(&e.word);
    sdi_bpe_scratch_free(env, &e.scratch);
    return status;
}

int32_t sdi_tokenizer_frame(const sdi_tokenizer *tokenizer, const sdi_ids *ids, int32_t pad,
                            int32_t length, int32_t *out)
{
    const int32_t used = SDI_MIN(ids->count, length - 2);
    int32_t n = 0;
    out[n++] = tokenizer->bos;
    for (int32_t i = 0; i < used; i++)
        out[n++] = ids->ids[i];
    out[n++] = tokenizer->eos;
    while (n < length)
        out[n++] = pad;
    return ids->count - used;
}
