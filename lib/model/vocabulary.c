/* SPDX-License-Identifier: MIT
 *
 * Where the tokenizer comes from, and which id fills up a prompt. A model without a tokenizer is a
 * model still: the sentence that says what was looked for is kept for those who need one.
 */
#include "model/load.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/strbuf.h"
#include "io/source.h"

#include <string.h>

enum { LARGEST_FILE = 64 << 20 };

typedef struct search {
    sdi_loader *l;
    sdi_strbuf tried; // the places, and what was wrong with them
    int stop;         // a damaged vocabulary is not passed over for another one
} search;

static sdiff_status open_pair(const sdi_env *env, const char *vocab, const char *merges,
                              sdi_tokenizer **out)
{
    char *words = NULL, *rules = NULL;
    size_t words_size = 0, rules_size = 0;
    sdiff_status status = sdi_read_small_file(env, vocab, LARGEST_FILE, &words, &words_size);
    if (status == SDIFF_OK)
        status = sdi_read_small_file(env, merges, LARGEST_FILE, &rules, &rules_size);
    if (status == SDIFF_OK)
        status = sdi_tokenizer_new_hf(env, vocab, words, words_size, merges, rules, rules_size,
                                      out);
    sdi_free(env, words);
    sdi_free(env, rules);
    return status;
}

/* The tokenizer of a diffusers folder some of whose links became text files; *out stays NULL where
 * there are none of these. */
static sdiff_status open_linked(const sdi_env *env, const char *place, sdi_tokenizer **out)
{
    char *folder = NULL, *vocab = NULL, *merges = NULL;
    char *plain = sdi_join(env, place, "/tokenizer/vocab.json", "");
    sdiff_status status = plain ? sdi_follow_join(env, place, "/tokenizer", &folder)
                                : SDIFF_ERROR_NO_MEMORY;
    if (status == SDIFF_OK)
        status = sdi_follow_join(env, folder, "/vocab.json", &vocab);
    if (status == SDIFF_OK)
        status = sdi_follow_join(env, folder, "/merges.txt", &merges);
    if (status == SDIFF_OK && sdi_exists(vocab) && strcmp(vocab, plain) != 0)
        status = open_pair(env, vocab, merges, out);
    sdi_free(env, plain);
    sdi_free(env, folder);
    sdi_free(env, vocab);
    sdi_free(env, merges);
    return status;
}

static sdiff_status open_tokenizer(const sdi_env *env, const char *place, sdi_tokenizer **out)
{
    *out = NULL;
    if (sdi_is_folder(place))
        SDI_TRY(open_linked(env, place, out));
    return *out ? SDIFF_OK : sdi_tokenizer_open(env, place, out);
}

/* Opens the vocabulary of one place. `must` is the caller's own choice: then any failure counts,
 * and a size that does not fit the text encoder is the caller's business. */
static sdiff_status try_place(search *s, const char *place, int must)
{
    const sdi_env *env = s->l->env;
    sdi_model *m = s->l->model;
    sdi_error error = {0};
    const sdi_env own = {.mem = env->mem, .log = env->log, .error = &error};
    if (m->tokenizer || s->stop)
        return SDIFF_OK;
    const sdiff_status status = open_tokenizer(&own, place, &m->tokenizer);
    if (status == SDIFF_ERROR_NO_MEMORY || (must && status != SDIFF_OK))
        return sdi_fail(env, status, "%s", error.text);
    if (status != SDIFF_OK) {
        s->stop = status != SDIFF_ERROR_IO;
        sdi_strbuf_printf(&s->tried, "%s%s", s->tried.length ? "; " : "", error.text);
        return s->tried.status;
    }
    const int32_t size = sdi_tokenizer_vocab_size(m->tokenizer);
    if (m->config.has[SDI_PART_TEXT] && size > m->config.clip.vocab_size && !must) {
        sdi_strbuf_printf(&s->tried, "%s%s has %d entries, the text encoder's table %d rows",
                          s->tried.length ? "; " : "", place, (int)size,
                          (int)m->config.clip.vocab_size);
        sdi_tokenizer_free(env, m->tokenizer);
        m->tokenizer = NULL;
        return s->tried.status;
    }
    m->tokenizer_place = sdi_strdup(env, place);
    return m->tokenizer_place ? SDIFF_OK : SDIFF_ERROR_NO_MEMORY;
}

static sdiff_status try_beside(search *s, const char *path)
{
    if (s->l->model->diffusers)
        return try_place(s, path, 0);
    char *folder = sdi_strdup(s->l->env, path);
    if (!folder)
        return SDIFF_ERROR_NO_MEMORY;
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = '\0';
    const sdiff_status status = try_place(s, slash == folder ? "/" : slash ? folder : ".", 0);
    sdi_free(s->l->env, folder);
    return status;
}

static sdiff_status try_embedded(search *s)
{
    const sdi_model_options *o = s->l->options;
    sdi_model *m = s->l->model;
    if (m->tokenizer || s->stop || !o->embedded_vocab)
        return SDIFF_OK;
    SDI_TRY(sdi_tokenizer_new_bpe(s->l->env, "the vocabulary built in", o->embedded_vocab,
                                  o->embedded_vocab_size, &m->tokenizer));
    m->tokenizer_place = sdi_strdup(s->l->env, "built in");
    if (!m->tokenizer_place)
        return SDIFF_ERROR_NO_MEMORY;
    if (!m->config.has[SDI_PART_TEXT] ||
        sdi_tokenizer_vocab_size(m->tokenizer) <= m->config.clip.vocab_size)
        return SDIFF_OK;
    sdi_strbuf_printf(&s->tried, "%sthe vocabulary built in has %d entries, the text encoder's "
                      "table %d rows", s->tried.length ? "; " : "",
                      (int)sdi_tokenizer_vocab_size(m->tokenizer), (int)m->config.clip.vocab_size);
    sdi_tokenizer_free(s->l->env, m->tokenizer);
    m->tokenizer = NULL;
    return s->tried.status;
}

static int needs_vocabulary(const sdi_model *m)
{
    return m->config.has[SDI_PART_TEXT] || m->config.family == SDI_FAMILY_SD1 ||
           m->config.family == SDI_FAMILY_SD2;
}

static sdiff_status look_everywhere(search *s)
{
    const sdi_model_options *o = s->l->options;
    if (o->vocab)
        return try_place(s, o->vocab, 1);
    if (!needs_vocabulary(s->l->model))
        return SDIFF_OK;
    if (s->l->source->path)
        SDI_TRY(try_beside(s, s->l->source->path));
    if (o->data_dir)
        SDI_TRY(try_place(s, o->data_dir, 0));
    return try_embedded(s);
}

static sdiff_status keep_reason(search *s)
{
    sdi_model *m = s->l->model;
    sdi_strbuf text;
    sdi_strbuf_init(&text, s->l->env);
    if (!needs_vocabulary(m))
        sdi_strbuf_printf(&text, "%s has no text encoder, and so no CLIP vocabulary", m->name);
    else
        sdi_strbuf_printf(&text, "no CLIP vocabulary for %s: %s; vocab.json and merges.txt, or "
                      "bpe_simple_vocab_16e6.txt.gz, can lie beside the model or be named by "
                      "--vocab%s%s%s", m->name,
                      m->diffusers ? "its folder holds none"
                                   : "a single-file checkpoint carries none",
                      s->tried.length ? " (" : "", s->tried.length ? s->tried.text : "",
                      s->tried.length ? ")" : "");
    m->tokenizer_reason = sdi_strbuf_take(&text);
    return m->tokenizer_reason ? SDIFF_OK : SDIFF_ERROR_NO_MEMORY;
}

/* ---- padding --------------------------------------------------------------------------------- */

/* "pad_token": "!" or {"content": "!"}; NULL where the file does not say. */
static const char *pad_word(const json_t *json)
{
    const json_t *pad = json_object_get(json, "pad_token");
    return json_string_value(json_is_object(pad) ? json_object_get(pad, "content") : pad);
}

/* The id of a token by its spelling, from the file that has them all; "!" is the first of every
 * CLIP vocabulary, also where the folder holds none. */
static sdiff_status look_up(const sdi_env *env, const char *folder, const char *word, int32_t *id)
{
    json_t *vocabulary = NULL;
    char *path = NULL;
    SDI_TRY(sdi_follow_join(env, folder, "/vocab.json", &path));
    const int first = !sdi_exists(path) && strcmp(word, "!") == 0;
    const sdiff_status status = first ? SDIFF_OK : sdi_json_parse_file(env, path, &vocabulary);
    sdi_free(env, path);
    SDI_TRY(status);
    if (first)
        *id = 0;
    const json_t *value = json_object_get(vocabulary, word);
    if (json_is_integer(value) && json_integer_value(value) >= 0 &&
        json_integer_value(value) < 1 << 24)
        *id = (int32_t)json_integer_value(value);
    json_decref(vocabulary);
    return SDIFF_OK;
}

static sdiff_status read_pad(const sdi_loader *l, const char *folder, const char *file)
{
    sdi_clip_config *c = &l->model->config.clip;
    json_t *json = NULL;
    char *path = NULL;
    SDI_TRY(sdi_follow_join(l->env, folder, file, &path));
    sdiff_status status = SDIFF_OK;
    if (sdi_exists(path))
        status = sdi_json_parse_file(l->env, path, &json);
    sdi_free(l->env, path);
    const char *word = pad_word(json);
    if (status == SDIFF_OK && word && strcmp(word, "<|endoftext|>") == 0)
        c->pad_token = c->eos_token;
    else if (status == SDIFF_OK && word)
        status = look_up(l->env, folder, word, &c->pad_token);
    json_decref(json);
    return status;
}

/* Ids of the vocabulary go before those that configurations name, which are wrong in most
 * published folders. */
static sdiff_status set_tokens(const sdi_loader *l)
{
    const sdi_model *m = l->model;
    sdi_clip_config *c = &l->model->config.clip;
    const int pads_with_eos = c->pad_token == c->eos_token;
    if (!m->config.has[SDI_PART_TEXT])
        return SDIFF_OK;
    if (m->tokenizer && sdi_tokenizer_vocab_size(m->tokenizer) <= c->vocab_size) {
        c->bos_token = sdi_tokenizer_bos(m->tokenizer);
        c->eos_token = sdi_tokenizer_eos(m->tokenizer);
        c->pad_token = pads_with_eos ? c->eos_token : c->pad_token;
    }
    if (!m->diffusers || !l->source->path)
        return SDIFF_OK;
    char *folder = NULL;
    sdiff_status status = sdi_follow_join(l->env, l->source->path, "/tokenizer", &folder);
    if (status == SDIFF_OK)
        status = read_pad(l, folder, "/special_tokens_map.json");
    if (status == SDIFF_OK)
        status = read_pad(l, folder, "/tokenizer_config.json");
    sdi_free(l->env, folder);
    return status;
}

sdiff_status sdi_find_tokenizer(sdi_loader *l)
{
    const uint32_t wanted = l->options->components;
    search s = {.l = l};
    sdi_strbuf_init(&s.tried, l->env);
    sdiff_status status = SDIFF_OK;
    if (wanted == SDI_LOAD_ALL || (wanted & SDI_LOAD_TOKENIZER)) {
        status = look_everywhere(&s);
        if (status == SDIFF_OK && !l->model->tokenizer)
            status = keep_reason(&s);
    }
    sdi_strbuf_free(&s.tried);
    return status == SDIFF_OK ? set_tokens(l) : status;
}
