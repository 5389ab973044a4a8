/* SPDX-License-Identifier: MIT
 *
 * The bytes of one entry of a zip archive.
 */
#include "base/memory.h"
#include "io/bytes.h"
#include "io/inflate.h"
#include "io/zip.h"

#include <string.h>

enum {
    LOCAL_SIZE = 30,
    FLAG_ENCRYPTED = 1 << 0,
    FLAG_STRONG = 1 << 6,
    FLAG_MASKED = 1 << 13,
    METHOD_STORED = 0,
    METHOD_DEFLATED = 8,
    DEFLATE_RATIO = 1032 // no deflate stream holds more
};

static sdiff_status fail_entry(const sdi_env *env, const sdi_zip *zip, const sdi_zip_entry *entry,
                               sdiff_status status, const char *what)
{
    return sdi_fail(env, status, "%s: the archive's entry '%.*s' %s", sdi_source_name(zip->source),
                    (int)SDI_MIN(entry->name_length, 200u), (const char *)entry->name, what);
}

static sdiff_status check_kind(const sdi_env *env, const sdi_zip *zip, const sdi_zip_entry *entry)
{
    if (entry->flags & (FLAG_ENCRYPTED | FLAG_STRONG | FLAG_MASKED))
        return fail_entry(env, zip, entry, SDIFF_ERROR_UNSUPPORTED, "is encrypted");
    if (entry->method != METHOD_STORED && entry->method != METHOD_DEFLATED)
        return fail_entry(env, zip, entry, SDIFF_ERROR_UNSUPPORTED,
                          "is compressed by a method other than deflate");
    if (entry->method == METHOD_STORED && entry->packed != entry->bytes)
        return fail_entry(env, zip, entry, SDIFF_ERROR_FORMAT,
                          "is not compressed and yet has two sizes");
    if (entry->method == METHOD_DEFLATED && entry->bytes / DEFLATE_RATIO > entry->packed)
        return fail_entry(env, zip, entry, SDIFF_ERROR_FORMAT,
                          "claims more bytes than its compressed form can hold");
    return SDIFF_OK;
}

/* Whether the local header is there and bears the same name; *data is the offset behind it. */
static sdiff_status read_local(const sdi_env *env, const sdi_zip *zip, const sdi_zip_entry *entry,
                               uint64_t *data)
{
    const uint64_t room = zip->directory_offset;
    if (entry->local > room || room - entry->local < (uint64_t)LOCAL_SIZE + entry->name_length)
        return fail_entry(env, zip, entry, SDIFF_ERROR_FORMAT, "lies outside of the file");
    const unsigned char *p = NULL;
    void *owned = NULL;
    SDI_TRY(sdi_source_view(env, zip->source, entry->local, LOCAL_SIZE + entry->name_length, &p,
                            &owned));
    const int good = memcmp(p, "PK\3\4", 4) == 0 && sdi_le16(p + 26) == entry->name_length &&
                     memcmp(p + LOCAL_SIZE, entry->name, entry->name_length) == 0;
    *data = entry->local + LOCAL_SIZE + entry->name_length + sdi_le16(p + 28);
    sdi_free(env, owned);
    if (!good)
        return fail_entry(env, zip, entry, SDIFF_ERROR_FORMAT,
                          "has no matching header where the directory says");
    return SDIFF_OK;
}

sdiff_status sdi_zip_locate(const sdi_env *env, const sdi_zip *zip, const sdi_zip_entry *entry,
                            sdi_storage *storage)
{
    uint64_t data = 0;
    SDI_TRY(check_kind(env, zip, entry));
    SDI_TRY(read_local(env, zip, entry, &data));
    if (data > zip->directory_offset || entry->packed > zip->directory_offset - data)
        return fail_entry(env, zip, entry, SDIFF_ERROR_FORMAT, "is longer than the file");
    storage->offset = data;
    storage->packed = entry->packed;
    storage->bytes = entry->bytes;
    storage->deflated = entry->method == METHOD_DEFLATED;
    return SDIFF_OK;
}

sdiff_status sdi_zip_view(const sdi_env *env, const sdi_zip *zip, const sdi_zip_entry *entry,
                          uint64_t limit, const unsigned char **bytes, void **owned)
{
    sdi_storage storage = {0};
    *bytes = NULL;
    *owned = NULL;
    SDI_TRY(sdi_zip_locate(env, zip, entry, &storage));
    if (storage.bytes > limit)
        return fail_entry(env, zip, entry, SDIFF_ERROR_LIMIT, "is larger than any of its kind");
    SDI_TRY(sdi_storage_view(env, zip->source, &storage, 0, storage.bytes, bytes, owned));
    if (sdi_crc32(*bytes, storage.bytes) == entry->crc)
        return SDIFF_OK;
    sdi_free(env, *owned);
    *bytes = NULL;
    *owned = NULL;
    return fail_entry(env, zip, entry, SDIFF_ERROR_FORMAT, "does not fit its check sum");
}
