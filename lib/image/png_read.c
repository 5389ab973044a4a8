/* SPDX-License-Identifier: MIT
 *
 * Reads PNG files from memory through libpng: any colour type and depth as 8 bits of gray, RGB or
 * RGBA, with their texts. libpng's errors become statuses; it never prints or exits.
 */
#include "image/image.h"

#include "base/memory.h"

#include <png.h>
#include <setjmp.h>
#include <string.h>

enum { MAX_TEXT = 4 << 20 }; // bytes of one decompressed text

typedef struct reader {
    const sdi_env *env;
    const char *name;
    const unsigned char *bytes;
    size_t size, offset;
    jmp_buf failed;
    png_structp png; // here, since locals do not survive a longjmp
    png_infop info;
    sdi_image *image;
    png_bytep *rows;
    sdiff_status status;
    int no_memory; // an allocation of libpng's failed
} reader;

/* ---- what libpng calls ----------------------------------------------------------------------- */

static void on_error(png_structp png, png_const_charp message)
{
    reader *r = png_get_error_ptr(png);
    if (r->status == SDIFF_OK && r->no_memory)
        r->status = SDIFF_ERROR_NO_MEMORY;
    else if (r->status == SDIFF_OK)
        r->status = sdi_fail(r->env, SDIFF_ERROR_FORMAT, "'%s' is a damaged PNG: %s", r->name,
                             message);
    longjmp(r->failed, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message; // damage in ancillary chunks does not change the pixels
}

static png_voidp on_alloc(png_structp png, png_alloc_size_t size)
{
    reader *r = png_get_mem_ptr(png);
    void *memory = sdi_alloc(r->env, size, 1);
    r->no_memory |= !memory;
    return memory;
}

static void on_free(png_structp png, png_voidp memory)
{
    reader *r = png_get_mem_ptr(png);
    sdi_free(r->env, memory);
}

static void on_read(png_structp png, png_bytep out, size_t count)
{
    reader *r = png_get_io_ptr(png);
    if (count > r->size - r->offset)
        png_error(png, "the file ends too early");
    memcpy(out, r->bytes + r->offset, count);
    r->offset += count;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Everything to 8 bits; transparency of palettes and colour keys to an alpha channel. */
static void ask_for_8_bits(png_structp png, png_infop info)
{
    const int colour = png_get_color_type(png, info);
    const int transparent = png_get_valid(png, info, PNG_INFO_tRNS) != 0;
    png_set_expand(png);
    png_set_scale_16(png);
    if ((colour == PNG_COLOR_TYPE_GRAY && transparent) || colour == PNG_COLOR_TYPE_GRAY_ALPHA)
        png_set_gray_to_rgb(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
}

static void read_pixels(png_structp png, png_infop info, reader *r)
{
    const int32_t height = (int32_t)png_get_image_height(png, info);
    const int32_t channels = png_get_channels(png, info);
    r->status = sdi_image_new(r->env, (int32_t)png_get_image_width(png, info), height, channels,
                              NULL, &r->image);
    if (r->status == SDIFF_OK) {
        r->rows = sdi_alloc(r->env, (uint64_t)height, sizeof *r->rows);
        if (!r->rows)
            r->status = SDIFF_ERROR_NO_MEMORY;
    }
    if (r->status != SDIFF_OK)
        longjmp(r->failed, 1);
    for (int32_t y = 0; y < height; y++)
        r->rows[y] = r->image->pixels + (size_t)y * (size_t)r->image->width * (size_t)channels;
    png_read_image(png, r->rows);
}

/* tEXt and zTXt are Latin-1, iTXt is UTF-8. */
static char *to_utf8(const sdi_env *env, const png_text *text)
{
    const int is_utf8 = text->compression >= PNG_ITXT_COMPRESSION_NONE;
    const size_t length = strlen(text->text);
    char *copy = sdi_alloc(env, 2 * length + 1, 1);
    char *end = copy;
    for (size_t i = 0; copy && i < length; i++) {
        const unsigned char c = (unsigned char)text->text[i];
        if (is_utf8 || c < 0x80) {
            *end++ = (char)c;
        } else {
            *end++ = (char)(0xc0 | c >> 6);
            *end++ = (char)(0x80 | (c & 0x3f));
        }
    }
    if (copy)
        *end = '\0';
    return copy;
}

static void read_texts(png_structp png, png_infop info, reader *r)
{
    png_textp texts = NULL;
    const int count = png_get_text(png, info, &texts, NULL);
    if (count <= 0)
        return;
    r->image->text = sdi_zalloc(r->env, 2 * (uint64_t)count, sizeof *r->image->text);
    if (!r->image->text) {
        r->status = SDIFF_ERROR_NO_MEMORY;
        longjmp(r->failed, 1);
    }
    for (int i = 0; i < count; i++) {
        char **pair = &r->image->text[2 * r->image->text_count];
        if (!texts[i].key || !texts[i].text)
            continue;
        pair[0] = sdi_strdup(r->env, texts[i].key);
        pair[1] = to_utf8(r->env, &texts[i]);
        r->image->text_count++;
        if (!pair[0] || !pair[1]) {
            r->status = SDIFF_ERROR_NO_MEMORY;
            longjmp(r->failed, 1);
        }
    }
}

/* Deflate shortens to 1/1032 at best: a small file that claims more is not worth the memory. */
static void check_size(png_structp png, png_infop info, const reader *r)
{
    const uint64_t bytes =
        (uint64_t)png_get_rowbytes(png, info) * (uint64_t)png_get_image_height(png, info);
    if (bytes / 1032 > r->size)
        png_error(png, "there are less data than its size needs");
}

static void read_all(png_structp png, png_infop info, reader *r)
{
    png_set_read_fn(png, r, on_read);
    png_set_user_limits(png, SDI_IMAGE_MAX_SIDE, SDI_IMAGE_MAX_SIDE);
    png_set_chunk_malloc_max(png, MAX_TEXT);
    png_set_chunk_cache_max(png, 64);
    png_read_info(png, info);
    check_size(png, info, r);
    ask_for_8_bits(png, info);
    read_pixels(png, info, r);
    png_read_end(png, info);
    read_texts(png, info, r);
}

static uint32_t big_endian(const unsigned char *b)
{
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* The sides stand at a fixed place; libpng would call too large ones damaged. */
static sdiff_status check_sides(const sdi_env *env, const char *name, const unsigned char *bytes,
                                size_t size)
{
    enum { WIDTH_AT = 16, HEIGHT_AT = 20, HEADER = 24 };
    const uint32_t width = size >= HEADER ? big_endian(bytes + WIDTH_AT) : 0;
    const uint32_t height = size >= HEADER ? big_endian(bytes + HEIGHT_AT) : 0;
    if (size < HEADER || memcmp(bytes + 12, "IHDR", 4) != 0 ||
        (width <= SDI_IMAGE_MAX_SIDE && height <= SDI_IMAGE_MAX_SIDE))
        return SDIFF_OK;
    return sdi_fail(env, SDIFF_ERROR_LIMIT, "'%s' has %u x %u pixels: sides up to %d are read",
                    name, width, height, SDI_IMAGE_MAX_SIDE);
}

sdiff_status sdi_png_read(const sdi_env *env, const char *name, const void *bytes, size_t size,
                          sdi_image **out)
{
    *out = NULL;
    if (size < 8 || png_sig_cmp(bytes, 0, 8) != 0)
        return sdi_fail(env, SDIFF_ERROR_FORMAT, "'%s' is not a PNG file", name);
    SDI_TRY(check_sides(env, name, bytes, size));
    reader *r = sdi_zalloc(env, 1, sizeof *r);
    if (!r)
        return SDIFF_ERROR_NO_MEMORY;
    r->env = env;
    r->name = name;
    r->bytes = bytes;
    r->size = size;
    if (setjmp(r->failed) == 0) {
        r->png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, r, on_error, on_warning, r,
                                          on_alloc, on_free);
        r->info = r->png ? png_create_info_struct(r->png) : NULL;
        if (r->info)
            read_all(r->png, r->info, r);
        else
            r->status = SDIFF_ERROR_NO_MEMORY;
    }
    png_destroy_read_struct(&r->png, &r->info, NULL);
    const sdiff_status status = r->status;
    if (status == SDIFF_OK)
        *out = r->image;
    else
        sdi_image_free(env, r->image);
    sdi_free(env, r->rows);
    sdi_free(env, r);
    return status;
}
