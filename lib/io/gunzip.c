/* SPDX-License-Identifier: MIT
 *
 * gzip through zlib, with the library's own allocator.
 */
#include "io/gunzip.h"

#include "base/memory.h"
#include "base/strbuf.h"

#include <zlib.h>

static voidpf allocate(voidpf env, uInt items, uInt size)
{
    return sdi_alloc(env, items, size);
}

static void release(voidpf env, voidpf memory)
{
    sdi_free(env, memory);
}

int sdi_is_gzip(const void *bytes, size_t size)
{
    const unsigned char *b = bytes;
    return size >= 2 && b[0] == 0x1f && b[1] == 0x8b;
}

/* Inflates until the end of the stream, the limit, or damage. */
static int inflate_all(z_stream *stream, size_t limit, sdi_strbuf *out)
{
    unsigned char piece[16384];
    int result = Z_OK;
    while (result == Z_OK && out->length <= limit && out->status == SDIFF_OK) {
        stream->next_out = piece;
        stream->avail_out = sizeof piece;
        result = inflate(stream, Z_NO_FLUSH);
        sdi_strbuf_append(out, (char *)piece, sizeof piece - stream->avail_out);
    }
    return result;
}

sdiff_status sdi_gunzip(const sdi_env *env, const char *name, const void *bytes, size_t size,
                        size_t limit, char **text, size_t *length)
{
    enum { GZIP_WINDOW = 15 + 16 };
    *text = NULL;
    if (size > UINT32_MAX)
        return sdi_fail(env, SDIFF_ERROR_LIMIT, "%s: too large", name);
    z_stream stream = {.zalloc = allocate, .zfree = release, .opaque = (voidpf)env};
    stream.next_in = (z_const Bytef *)bytes;
    stream.avail_in = (uInt)size;
    if (inflateInit2(&stream, GZIP_WINDOW) != Z_OK)
        return SDIFF_ERROR_NO_MEMORY;
    sdi_strbuf out;
    sdi_strbuf_init(&out, env);
    const int result = inflate_all(&stream, limit, &out);
    inflateEnd(&stream);
    sdiff_status status = out.status;
    if (result == Z_MEM_ERROR)
        status = SDIFF_ERROR_NO_MEMORY;
    else if (status == SDIFF_OK && out.length > limit)
        status =
            sdi_fail(env, SDIFF_ERROR_LIMIT, "%s: unpacks to more than %zu bytes", name, limit);
    else if (status == SDIFF_OK && result != Z_STREAM_END)
        status = sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: damaged or truncated gzip data", name);
    if (status == SDIFF_OK) {
        *length = out.length;
        *text = sdi_strbuf_take(&out);
    }
    sdi_strbuf_free(&out);
    return status == SDIFF_OK && !*text ? SDIFF_ERROR_NO_MEMORY : status;
}
