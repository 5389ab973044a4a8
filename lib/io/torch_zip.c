/* SPDX-License-Identifier: MIT
 *
 * The zip form of torch.save (since torch 1.6): NAME/data.pkl is the pickle, NAME/data/KEY the
 * storages, NAME/byteorder (since 2.0) tells the order of bytes.
 */
#include "base/memory.h"
#include "base/strbuf.h"
#include "io/torch_tree.h"
#include "io/zip.h"

#include <string.h>

/* The pickle of a model of thousands of tensors has a megabyte. */
static const uint64_t PICKLE_LIMIT = 64 << 20;

typedef struct archive {
    sdi_zip zip;
    const char *name;   // of the file
    const char *prefix; // "NAME/", or nothing; not terminated
    size_t prefix_length;
    uint32_t source; // its index in the table
} archive;

static const sdi_zip_entry *find_inside(const sdi_env *env, const archive *a, const char *folder,
                                        const char *name, size_t length, sdiff_status *status)
{
    sdi_strbuf path;
    sdi_strbuf_init(&path, env);
    sdi_strbuf_append(&path, a->prefix, a->prefix_length);
    sdi_strbuf_append(&path, folder, strlen(folder));
    sdi_strbuf_append(&path, name, length);
    *status = path.status;
    const sdi_zip_entry *entry =
        path.status == SDIFF_OK ? sdi_zip_find(&a->zip, path.text, path.length) : NULL;
    sdi_strbuf_free(&path);
    return entry;
}

static int ends_with(const sdi_zip_entry *entry, const char *text)
{
    const size_t length = strlen(text);
    return entry->name_length >= length &&
           memcmp(entry->name + entry->name_length - length, text, length) == 0;
}

/* The entry "NAME/data.pkl" or "data.pkl" at the top. */
static const sdi_zip_entry *find_pickle(archive *a)
{
    for (uint64_t i = 0; i < a->zip.count; i++) {
        const sdi_zip_entry *entry = &a->zip.entries[i];
        const unsigned char *slash = memchr(entry->name, '/', entry->name_length);
        const size_t prefix = slash ? (size_t)(slash - entry->name) + 1 : 0;
        if (ends_with(entry, "data.pkl") && entry->name_length == prefix + strlen("data.pkl")) {
            a->prefix = (const char *)entry->name;
            a->prefix_length = prefix;
            return entry;
        }
    }
    return NULL;
}

static sdiff_status check_byte_order(const sdi_env *env, const archive *a)
{
    sdiff_status status = SDIFF_OK;
    const sdi_zip_entry *entry = find_inside(env, a, "", "byteorder", strlen("byteorder"), &status);
    if (!entry)
        return status;
    const unsigned char *text = NULL;
    void *owned = NULL;
    SDI_TRY(sdi_zip_view(env, &a->zip, entry, 64, &text, &owned));
    if (entry->bytes != 6 || memcmp(text, "little", 6) != 0)
        status = sdi_fail(env, SDIFF_ERROR_UNSUPPORTED,
                          "%s: its numbers are not in little-endian order", a->name);
    sdi_free(env, owned);
    return status;
}

static sdiff_status check_form(const sdi_env *env, const archive *a)
{
    static const char constants[] = "constants.pkl";
    sdiff_status status = SDIFF_OK;
    if (find_inside(env, a, "", constants, strlen(constants), &status))
        return sdi_fail(env, SDIFF_ERROR_UNSUPPORTED,
                        "%s: is a TorchScript program, not a checkpoint: save its state dict",
                        a->name);
    SDI_TRY(status);
    return check_byte_order(env, a);
}

static sdiff_status resolve(const sdi_env *env, void *user, sdi_tensor_file *file,
                            const sdi_pickle_storage *storage, uint32_t *index)
{
    const archive *a = user;
    sdiff_status status = SDIFF_OK;
    const sdi_zip_entry *entry =
        find_inside(env, a, "data/", storage->key, (size_t)storage->key_length, &status);
    SDI_TRY(status);
    if (!entry)
        return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: the archive has no storage 'data/%.*s'",
                        a->name, (int)SDI_MIN(storage->key_length, 200u), storage->key);
    sdi_storage place = {.source = a->source};
    SDI_TRY(sdi_zip_locate(env, &a->zip, entry, &place));
    return sdi_table_add_storage(env, file, &place, index);
}

static sdiff_status read_pickle(const sdi_env *env, archive *a, sdi_tensor_file *file,
                                const sdi_zip_entry *entry)
{
    const unsigned char *bytes = NULL;
    void *owned = NULL;
    sdi_pickle pickle;
    SDI_TRY(sdi_zip_view(env, &a->zip, entry, PICKLE_LIMIT, &bytes, &owned));
    sdiff_status status = sdi_pickle_read(env, a->name, bytes, entry->bytes, &pickle);
    if (status == SDIFF_OK) {
        status = sdi_tree_read(env, file, a->name, pickle.root, resolve, a);
        sdi_pickle_free(env, &pickle);
    }
    sdi_free(env, owned);
    return status;
}

static sdiff_status read_archive(const sdi_env *env, archive *a, sdi_tensor_file *file)
{
    const sdi_zip_entry *entry = find_pickle(a);
    if (!entry)
        return sdi_fail(env, SDIFF_ERROR_FORMAT,
                        "%s: is a zip archive without data.pkl, not a torch checkpoint", a->name);
    SDI_TRY(check_form(env, a));
    return read_pickle(env, a, file, entry);
}

sdiff_status sdi_torch_zip_read(const sdi_env *env, sdi_tensor_file *file, sdi_source *source)
{
    archive a = {.name = sdi_source_name(source)};
    SDI_TRY(sdi_table_add_source(env, file, source, &a.source));
    SDI_TRY(sdi_zip_open(env, source, &a.zip));
    const sdiff_status status = read_archive(env, &a, file);
    sdi_zip_close(env, &a.zip);
    return status;
}
