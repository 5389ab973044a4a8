/* SPDX-License-Identifier: MIT
 *
 * Finds the files of a tokenizer below a path.
 */
#include "base/memory.h"
#include "base/strbuf.h"
#include "io/gunzip.h"
#include "io/source.h"
#include "text/tokenizer.h"

#include <sys/stat.h>

typedef enum found { ABSENT, A_FILE, A_FOLDER } found;

static found look(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return ABSENT;
    return S_ISDIR(info.st_mode) ? A_FOLDER : A_FILE;
}

/* folder/name in a fresh block. */
static sdiff_status join(const sdi_env *env, const char *folder, const char *name, char **path)
{
    sdi_strbuf text;
    sdi_strbuf_init(&text, env);
    sdi_strbuf_printf(&text, "%s/%s", folder, name);
    *path = sdi_strbuf_take(&text);
    return *path ? SDIFF_OK : SDIFF_ERROR_NO_MEMORY;
}

static sdiff_status open_pair(const sdi_env *env, const char *vocab_path, const char *merges_path,
                              sdi_tokenizer **out)
{
    char *vocab = NULL, *merges = NULL;
    size_t vocab_size = 0, merges_size = 0;
    sdiff_status status =
        sdi_read_small_file(env, vocab_path, SDI_VOCAB_FILE_LIMIT, &vocab, &vocab_size);
    if (status == SDIFF_OK)
        status = sdi_read_small_file(env, merges_path, SDI_VOCAB_FILE_LIMIT, &merges, &merges_size);
    if (status == SDIFF_OK)
        status = sdi_tokenizer_new_hf(env, vocab_path, vocab, vocab_size, merges_path, merges,
                                      merges_size, out);
    sdi_free(env, vocab);
    sdi_free(env, merges);
    return status;
}

static sdiff_status open_rules(const sdi_env *env, const char *path, sdi_tokenizer **out)
{
    char *bytes = NULL;
    size_t size = 0;
    SDI_TRY(sdi_read_small_file(env, path, SDI_VOCAB_FILE_LIMIT, &bytes, &size));
    const sdiff_status status = sdi_tokenizer_new_bpe(env, path, bytes, size, out);
    sdi_free(env, bytes);
    return status;
}

/* One place where a tokenizer may be; *out stays NULL where there is none. */
static sdiff_status try_pair(const sdi_env *env, const char *folder, const char *vocab_name,
                             const char *merges_name, sdi_tokenizer **out)
{
    char *vocab = NULL, *merges = NULL;
    sdiff_status status = join(env, folder, vocab_name, &vocab);
    if (status == SDIFF_OK)
        status = join(env, folder, merges_name, &merges);
    if (status == SDIFF_OK && look(vocab) == A_FILE)
        status = open_pair(env, vocab, merges, out);
    sdi_free(env, vocab);
    sdi_free(env, merges);
    return status;
}

static sdiff_status try_rules(const sdi_env *env, const char *folder, const char *name,
                              sdi_tokenizer **out)
{
    char *path = NULL;
    SDI_TRY(join(env, folder, name, &path));
    const sdiff_status status = look(path) == A_FILE ? open_rules(env, path, out) : SDIFF_OK;
    sdi_free(env, path);
    return status;
}

static sdiff_status open_folder(const sdi_env *env, const char *folder, sdi_tokenizer **out)
{
    static const char *const rules[] = {"bpe_simple_vocab_16e6.txt.gz",
                                        "bpe_simple_vocab_16e6.txt"};
    SDI_TRY(try_pair(env, folder, "vocab.json", "merges.txt", out));
    if (!*out)
        SDI_TRY(try_pair(env, folder, "tokenizer/vocab.json", "tokenizer/merges.txt", out));
    for (size_t i = 0; i < SDI_COUNT(rules) && !*out; i++)
        SDI_TRY(try_rules(env, folder, rules[i], out));
    if (*out)
        return SDIFF_OK;
    return sdi_fail(
        env, SDIFF_ERROR_IO,
        "%s: no tokenizer: neither vocab.json (with merges.txt) nor tokenizer/vocab.json "
        "nor %s nor %s is there",
        folder, rules[0], rules[1]);
}

sdiff_status sdi_tokenizer_open(const sdi_env *env, const char *path, sdi_tokenizer **out)
{
    *out = NULL;
    return look(path) == A_FOLDER ? open_folder(env, path, out) : open_rules(env, path, out);
}
