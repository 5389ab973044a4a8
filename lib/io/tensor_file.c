/* SPDX-License-Identifier: MIT
 *
 * Opens a file of tensors: recognises the container by its first bytes and says what it is
 * instead where it is none.
 */
#include "io/tensor_file.h"

#include "io/bytes.h"
#include "io/tensor_table.h"

#include <string.h>

enum { HEAD = 512 };

typedef enum container {
    CONTAINER_UNKNOWN,
    CONTAINER_SAFETENSORS,
    CONTAINER_ZIP,
    CONTAINER_PICKLE,
    CONTAINER_JSON
} container;

typedef struct head {
    unsigned char bytes[HEAD]; // zeros behind the end of the file
    uint64_t size;             // of the whole file
} head;

static sdiff_status read_head(const sdi_env *env, sdi_source *source, head *h)
{
    memset(h, 0, sizeof *h);
    h->size = sdi_source_size(source);
    if (h->size == 0)
        return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: is empty", sdi_source_name(source));
    return sdi_source_read(env, source, 0, h->bytes, SDI_MIN(h->size, (uint64_t)HEAD));
}

/* Eight characters of text would be a safetensors header of more than 2^56 bytes. */
static int begins_with_text(const head *h)
{
    for (uint64_t i = 0; i < SDI_MIN(h->size, 8); i++)
        if (h->bytes[i] >= 0xf8 || (h->bytes[i] < 0x20 && !memchr("\t\r\n", h->bytes[i], 3)))
            return 0;
    return 1;
}

static const unsigned char *skip_blanks(const head *h)
{
    const unsigned char *p = h->bytes;
    if (memcmp(p, "\xef\xbb\xbf", 3) == 0)
        p += 3;
    while (p < h->bytes + HEAD - 1 && *p && memchr(" \t\r\n", *p, 4))
        p++;
    return p;
}

static container recognise(const head *h)
{
    const unsigned char *b = h->bytes;
    if (memcmp(b, "PK\3\4", 4) == 0 || memcmp(b, "PK\5\6", 4) == 0)
        return CONTAINER_ZIP;
    if (begins_with_text(h))
        return *skip_blanks(h) == '{' ? CONTAINER_JSON : CONTAINER_UNKNOWN;
    const int pickle = b[0] == 0x80 && b[1] >= 1 && b[1] <= 5;
    const int framed = pickle && b[1] >= 4 && b[2] == 0x95; // then b[4] … are zeros as well
    if (h->size > 8 && (b[8] == '{' || (!framed && sdi_le32(b + 4) == 0)))
        return CONTAINER_SAFETENSORS;
    if (pickle)
        return CONTAINER_PICKLE;
    return CONTAINER_UNKNOWN;
}

/* What people have under the name of a model, and what to do about it. */
static const char *guess(const head *h)
{
    static const struct {
        const char *start;
        const char *meaning;
    } known[] = {
        {"version https://git-lfs", "is a pointer of git-lfs, not the model: run git lfs pull"},
        {"<", "is a web page (HTML or XML), not a model: the download went wrong"},
        {"{", "is JSON; an index of shards can only be opened by its path"},
        {"GGUF", "is a GGUF file, which is not supported"},
        {"\x89HDF", "is an HDF5 file, which is not supported"},
        {"\x89PNG", "is a PNG picture, not a model"},
        {"\x1f\x8b", "is compressed with gzip: unpack it first"},
        {"BZh", "is compressed with bzip2: unpack it first"},
        {"7z\xbc\xaf", "is a 7-zip archive: unpack it first"},
        {"Rar!", "is a RAR archive: unpack it first"},
    };
    const char *text = (const char *)skip_blanks(h);
    for (size_t i = 0; i < SDI_COUNT(known); i++)
        if (strncmp(text, known[i].start, strlen(known[i].start)) == 0)
            return known[i].meaning;
    /* torch before 0.1.10 wrote the members sys_info, pickle, storages and tensors. */
    if (memcmp(h->bytes + 257, "ustar", 5) == 0 || strncmp(text, "sys_info", 8) == 0)
        return "is a tar archive (the oldest torch format), which is not supported: save it again "
               "with a newer torch";
    return NULL;
}

static sdiff_status fail_unknown(const sdi_env *env, const char *name, const head *h)
{
    const char *meaning = guess(h);
    if (meaning)
        return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: %s", name, meaning);
    return sdi_fail(env, SDIFF_ERROR_FORMAT,
                    "%s: is neither safetensors nor a torch checkpoint (%llu bytes, it begins with "
                    "%02x %02x %02x %02x)",
                    name, (unsigned long long)h->size, h->bytes[0], h->bytes[1], h->bytes[2],
                    h->bytes[3]);
}

static sdiff_status read_as(const sdi_env *env, sdi_tensor_file *file, sdi_source *source,
                            container kind, const head *h)
{
    switch (kind) {
    case CONTAINER_SAFETENSORS: return sdi_safetensors_read(env, file, source);
    case CONTAINER_ZIP: return sdi_torch_zip_read(env, file, source);
    case CONTAINER_PICKLE: return sdi_torch_legacy_read(env, file, source);
    case CONTAINER_JSON:
    case CONTAINER_UNKNOWN: break;
    }
    return fail_unknown(env, sdi_source_name(source), h);
}

sdiff_status sdi_container_read(const sdi_env *env, sdi_tensor_file *file, sdi_source *source)
{
    head h;
    SDI_TRY(read_head(env, source, &h));
    return read_as(env, file, source, recognise(&h), &h);
}

/* Ends an opening: hands the table out, or frees it. */
static sdiff_status finish(const sdi_env *env, sdi_tensor_file *file, sdiff_status status,
                           sdi_tensor_file **out)
{
    if (status == SDIFF_OK)
        status = sdi_table_finish(env, file);
    if (status != SDIFF_OK) {
        sdi_tensor_file_free(env, file);
        return status;
    }
    *out = file;
    return SDIFF_OK;
}

sdiff_status sdi_tensor_file_open(const sdi_env *env, sdi_source *source, sdi_tensor_file **out)
{
    sdi_tensor_file *file = NULL;
    *out = NULL;
    SDI_TRY(sdi_table_new(env, &file));
    return finish(env, file, sdi_container_read(env, file, source), out);
}

sdiff_status sdi_tensor_file_open_path(const sdi_env *env, const char *path, sdi_tensor_file **out)
{
    sdi_source *source = NULL;
    sdi_tensor_file *file = NULL;
    head h;
    *out = NULL;
    SDI_TRY(sdi_source_open_path(env, path, &source));
    sdiff_status status = read_head(env, source, &h);
    if (status == SDIFF_OK)
        status = sdi_table_new(env, &file);
    if (status == SDIFF_OK) {
        const container kind = recognise(&h);
        status = kind == CONTAINER_JSON ? sdi_index_read(env, file, path)
                                        : read_as(env, file, source, kind, &h);
        status = finish(env, file, status, out);
    }
    sdi_source_unref(env, source);
    return status;
}
