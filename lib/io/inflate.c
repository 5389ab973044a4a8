/* SPDX-License-Identifier: MIT
 *
 * Raw deflate through zlib, in pieces that fit its 32-bit counters.
 */
#include "io/inflate.h"

#include "base/memory.h"

#include <string.h>
#include <zlib.h>

enum { PIECE = 1 << 30, SCRATCH = 64 << 10 };

typedef struct stream {
    z_stream z;
    const unsigned char *in;
    uint64_t in_left;
    int ended;
} stream;

static voidpf allocate(voidpf env, uInt count, uInt size)
{
    return sdi_alloc(env, count, size);
}

static void release(voidpf env, voidpf memory)
{
    sdi_free(env, memory);
}

/* Inflates exactly size bytes; 0 when the stream does not give them. */
static int inflate_into(stream *s, unsigned char *out, uint64_t size)
{
    while (size > 0 && !s->ended) {
        if (s->z.avail_in == 0 && s->in_left > 0) {
            s->z.next_in = (z_const Bytef *)(uintptr_t)s->in;
            s->z.avail_in = (uInt)SDI_MIN(s->in_left, (uint64_t)PIECE);
            s->in += s->z.avail_in;
            s->in_left -= s->z.avail_in;
        }
        const uInt room = (uInt)SDI_MIN(size, (uint64_t)PIECE);
        s->z.next_out = out;
        s->z.avail_out = room;
        const int result = inflate(&s->z, Z_NO_FLUSH);
        if (result != Z_OK && result != Z_STREAM_END)
            return 0; // damaged, or no input is left
        s->ended = result == Z_STREAM_END;
        out += room - s->z.avail_out;
        size -= room - s->z.avail_out;
    }
    return size == 0;
}

static sdiff_status run(const sdi_env *env, const char *name, stream *s, uint64_t skip, void *out,
                        uint64_t size)
{
    unsigned char *scratch = skip ? sdi_alloc(env, SCRATCH, 1) : NULL;
    if (skip && !scratch)
        return SDIFF_ERROR_NO_MEMORY;
    int good = 1;
    while (good && skip > 0) {
        const uint64_t part = SDI_MIN(skip, (uint64_t)SCRATCH);
        good = inflate_into(s, scratch, part);
        skip -= part;
    }
    sdi_free(env, scratch);
    if (good && inflate_into(s, out, size))
        return SDIFF_OK;
    return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: a compressed entry is damaged (%s)", name,
                    s->z.msg ? s->z.msg : "it ends too early");
}

sdiff_status sdi_inflate(const sdi_env *env, const char *name, const unsigned char *in,
                         uint64_t in_size, uint64_t skip, void *out, uint64_t size)
{
    stream s = {.in = in, .in_left = in_size};
    s.z.zalloc = allocate;
    s.z.zfree = release;
    s.z.opaque = (voidpf)(uintptr_t)env;
    if (inflateInit2(&s.z, -MAX_WBITS) != Z_OK)
        return sdi_fail(env, SDIFF_ERROR_NO_MEMORY, "%s: no memory to inflate an entry", name);
    const sdiff_status status = run(env, name, &s, skip, out, size);
    inflateEnd(&s.z);
    return status;
}

uint32_t sdi_crc32(const unsigned char *bytes, uint64_t size)
{
    uLong crc = crc32(0, NULL, 0);
    while (size > 0) {
        const uInt part = (uInt)SDI_MIN(size, (uint64_t)PIECE);
        crc = crc32(crc, bytes, part);
        bytes += part;
        size -= part;
    }
    return (uint32_t)crc;
}
