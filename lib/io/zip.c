/* SPDX-License-Identifier: MIT
 *
 * The central directory of a zip archive.
 */
#include "io/zip.h"

#include "base/memory.h"
#include "io/bytes.h"

#include <stdlib.h>
#include <string.h>

enum {
    END_SIZE = 22,       // end of central directory record
    LOCATOR_SIZE = 20,   // zip64 locator, just before it
    END64_SIZE = 56,     // zip64 end record
    ENTRY_SIZE = 46,     // one entry of the directory
    LONGEST_COMMENT = 65535
};

/* What the end records tell. */
typedef struct ending {
    uint64_t count, size, offset;
    uint64_t at; // where the records begin: the directory must end before
} ending;

static sdiff_status fail_zip(const sdi_env *env, const sdi_zip *zip, const char *what)
{
    return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: damaged zip archive: %s",
                    sdi_source_name(zip->source), what);
}

static int has_signature(const unsigned char *p, unsigned char third, unsigned char fourth)
{
    return p[0] == 'P' && p[1] == 'K' && p[2] == third && p[3] == fourth;
}

static sdiff_status read_end64(const sdi_env *env, const sdi_zip *zip, uint64_t at, ending *end)
{
    unsigned char record[END64_SIZE];
    if (at > end->at || end->at - at < END64_SIZE + LOCATOR_SIZE)
        return fail_zip(env, zip, "the zip64 locator points outside");
    SDI_TRY(sdi_source_read(env, zip->source, at, record, sizeof record));
    if (!has_signature(record, 6, 6))
        return fail_zip(env, zip, "there is no zip64 record where the locator points");
    end->count = sdi_le64(record + 32);
    end->size = sdi_le64(record + 40);
    end->offset = sdi_le64(record + 48);
    end->at = at;
    return SDIFF_OK;
}

/* `tail` is the end of the file, `from` its offset. The record ends with a comment of a length
 * that must reach the end of the file exactly. */
static sdiff_status find_end(const sdi_env *env, const sdi_zip *zip, const unsigned char *tail,
                             uint64_t from, uint64_t size, ending *end)
{
    for (uint64_t i = size - END_SIZE + 1; i-- > 0;) {
        const unsigned char *p = tail + i;
        if (!has_signature(p, 5, 6) || i + END_SIZE + sdi_le16(p + 20) != size)
            continue;
        *end = (ending){sdi_le16(p + 10), sdi_le32(p + 12), sdi_le32(p + 16), from + i};
        if (i >= LOCATOR_SIZE && has_signature(p - LOCATOR_SIZE, 6, 7))
            return read_end64(env, zip, sdi_le64(p - LOCATOR_SIZE + 8), end);
        return SDIFF_OK;
    }
    return fail_zip(env, zip, "no directory at its end (an incomplete download?)");
}

static sdiff_status read_ending(const sdi_env *env, const sdi_zip *zip, ending *end)
{
    const uint64_t size = sdi_source_size(zip->source);
    if (size < END_SIZE)
        return fail_zip(env, zip, "it is too short");
    const uint64_t part = SDI_MIN(size, (uint64_t)END_SIZE + LOCATOR_SIZE + LONGEST_COMMENT);
    const unsigned char *tail = NULL;
    void *owned = NULL;
    SDI_TRY(sdi_source_view(env, zip->source, size - part, part, &tail, &owned));
    sdiff_status status = find_end(env, zip, tail, size - part, part, end);
    sdi_free(env, owned);
    if (status == SDIFF_OK && (end->offset > end->at || end->size > end->at - end->offset))
        status = fail_zip(env, zip, "its directory does not lie inside the file");
    if (status == SDIFF_OK && end->count > end->size / ENTRY_SIZE)
        status = fail_zip(env, zip, "it counts more entries than its directory can hold");
    return status;
}

/* Values that do not fit 32 bits stand in the extra field 1, in this order, each only if needed. */
static int read_extra64(sdi_zip_entry *entry, const unsigned char *extra, uint32_t size)
{
    uint64_t *const wide[] = {&entry->bytes, &entry->packed, &entry->local};
    uint32_t needed = 0;
    for (int i = 0; i < 3; i++)
        needed += *wide[i] == UINT32_MAX;
    while (needed > 0 && size >= 4) {
        const uint32_t length = sdi_le16(extra + 2);
        if (length > size - 4)
            return 0;
        if (sdi_le16(extra) == 1) {
            const unsigned char *value = extra + 4;
            for (int i = 0; i < 3; i++)
                if (*wide[i] == UINT32_MAX) {
                    if (value + 8 > extra + 4 + length)
                        return 0;
                    *wide[i] = sdi_le64(value);
                    value += 8;
                }
            return 1;
        }
        extra += 4 + length;
        size -= 4 + length;
    }
    return 1;
}

/* Reads the entry at *at of the directory and moves *at behind it; 0 where it is damaged. */
static int read_entry(const sdi_zip *zip, uint64_t *at, sdi_zip_entry *entry)
{
    const unsigned char *p = zip->directory + *at;
    if (zip->directory_size - *at < ENTRY_SIZE || !has_signature(p, 1, 2))
        return 0;
    const uint32_t name = sdi_le16(p + 28), extra = sdi_le16(p + 30), comment = sdi_le16(p + 32);
    if (zip->directory_size - *at - ENTRY_SIZE < (uint64_t)name + extra + comment)
        return 0;
    *entry = (sdi_zip_entry){.name = p + ENTRY_SIZE,
                             .name_length = name,
                             .flags = sdi_le16(p + 8),
                             .method = sdi_le16(p + 10),
                             .crc = sdi_le32(p + 16),
                             .packed = sdi_le32(p + 20),
                             .bytes = sdi_le32(p + 24),
                             .local = sdi_le32(p + 42)};
    *at += ENTRY_SIZE + name + extra + comment;
    return read_extra64(entry, p + ENTRY_SIZE + name, extra);
}

static int by_name(const void *a, const void *b)
{
    const sdi_zip_entry *x = a, *y = b;
    const uint32_t common = SDI_MIN(x->name_length, y->name_length);
    const int order = memcmp(x->name, y->name, common);
    return order ? order : (x->name_length > y->name_length) - (x->name_length < y->name_length);
}

static sdiff_status read_entries(const sdi_env *env, sdi_zip *zip)
{
    uint64_t at = 0;
    for (uint64_t i = 0; i < zip->count; i++)
        if (!read_entry(zip, &at, &zip->entries[i]))
            return fail_zip(env, zip, "an entry of its directory is cut or damaged");
    if (at != zip->directory_size)
        return fail_zip(env, zip, "its directory is longer than its entries");
    qsort(zip->entries, (size_t)zip->count, sizeof *zip->entries, by_name);
    for (uint64_t i = 1; i < zip->count; i++)
        if (by_name(&zip->entries[i - 1], &zip->entries[i]) == 0)
            return fail_zip(env, zip, "two entries have the same name");
    return SDIFF_OK;
}

sdiff_status sdi_zip_open(const sdi_env *env, sdi_source *source, sdi_zip *zip)
{
    ending end = {0};
    memset(zip, 0, sizeof *zip);
    zip->source = source;
    SDI_TRY(read_ending(env, zip, &end));
    zip->directory_offset = end.offset;
    zip->directory_size = end.size;
    zip->count = end.count;
    SDI_TRY(sdi_source_view(env, source, end.offset, end.size, &zip->directory, &zip->owned));
    zip->entries = sdi_alloc(env, zip->count, sizeof *zip->entries);
    const sdiff_status status = zip->entries ? read_entries(env, zip) : SDIFF_ERROR_NO_MEMORY;
    if (status != SDIFF_OK)
        sdi_zip_close(env, zip);
    return status;
}

void sdi_zip_close(const sdi_env *env, sdi_zip *zip)
{
    sdi_free(env, zip->entries);
    sdi_free(env, zip->owned);
    memset(zip, 0, sizeof *zip);
}

const sdi_zip_entry *sdi_zip_find(const sdi_zip *zip, const char *name, size_t length)
{
    if (length > UINT32_MAX || zip->count == 0)
        return NULL;
    const sdi_zip_entry wanted = {.name = (const unsigned char *)name,
                                  .name_length = (uint32_t)length};
    return bsearch(&wanted, zip->entries, (size_t)zip->count, sizeof wanted, by_name);
}
