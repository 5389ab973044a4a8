/* SPDX-License-Identifier: MIT
 *
 * Writes PNG files through libpng: 8-bit gray, RGB or RGBA, with texts.
 */
#include "image/image.h"

#include "base/memory.h"
#include "io/out_file.h"

#include <png.h>
#include <setjmp.h>
#include <string.h>

typedef struct writer {
    const sdi_env *env;
    const sdi_image *image;
    const char *const *text;
    sdi_out_file *file;
    jmp_buf failed;
    png_structp png;
    png_infop info;
    png_textp texts;
    sdiff_status status;
    int no_memory; // an allocation of libpng's failed
} writer;

static void on_error(png_structp png, png_const_charp message)
{
    writer *w = png_get_error_ptr(png);
    if (w->status == SDIFF_OK && w->no_memory)
        w->status = SDIFF_ERROR_NO_MEMORY;
    else if (w->status == SDIFF_OK)
        w->status = sdi_fail(w->env, SDIFF_ERROR_INVALID_ARGUMENT, "the PNG cannot be written: %s",
                             message);
    longjmp(w->failed, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

static png_voidp on_alloc(png_structp png, png_alloc_size_t size)
{
    writer *w = png_get_mem_ptr(png);
    void *memory = sdi_alloc(w->env, size, 1);
    w->no_memory |= !memory;
    return memory;
}

static void on_free(png_structp png, png_voidp memory)
{
    writer *w = png_get_mem_ptr(png);
    sdi_free(w->env, memory);
}

static void on_write(png_structp png, png_bytep bytes, size_t count)
{
    writer *w = png_get_io_ptr(png);
    w->status = sdi_out_write(w->env, w->file, bytes, count);
    if (w->status != SDIFF_OK)
        longjmp(w->failed, 1);
}

static void on_flush(png_structp png)
{
    (void)png;
}

static int is_ascii(const char *text)
{
    while (*text && (unsigned char)*text < 0x80)
        text++;
    return !*text;
}

/* ASCII as tEXt, which every reader knows; the rest as iTXt. */
static void set_texts(writer *w)
{
    int count = 0;
    while (w->text && w->text[2 * count] && w->text[2 * count + 1])
        count++;
    if (!count)
        return;
    w->texts = sdi_zalloc(w->env, (uint64_t)count, sizeof *w->texts);
    if (!w->texts) {
        w->status = SDIFF_ERROR_NO_MEMORY;
        longjmp(w->failed, 1);
    }
    for (int i = 0; i < count; i++) {
        const char *value = w->text[2 * i + 1];
        w->texts[i].compression =
            is_ascii(value) ? PNG_TEXT_COMPRESSION_NONE : PNG_ITXT_COMPRESSION_NONE;
        w->texts[i].key = (png_charp)w->text[2 * i];
        w->texts[i].text = (png_charp)value;
        w->texts[i].text_length = strlen(value);
    }
    png_set_text(w->png, w->info, w->texts, count);
}

static void write_all(writer *w)
{
    const sdi_image *image = w->image;
    const int colour = image->channels == 1   ? PNG_COLOR_TYPE_GRAY
                       : image->channels == 3 ? PNG_COLOR_TYPE_RGB
                                              : PNG_COLOR_TYPE_RGBA;
    png_set_write_fn(w->png, w, on_write, on_flush);
    png_set_IHDR(w->png, w->info, (png_uint_32)image->width, (png_uint_32)image->height, 8, colour,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    set_texts(w);
    png_write_info(w->png, w->info);
    const size_t row = (size_t)image->width * (size_t)image->channels;
    for (int32_t y = 0; y < image->height; y++)
        png_write_row(w->png, image->pixels + (size_t)y * row);
    png_write_end(w->png, w->info);
}

static sdiff_status encode(writer *w)
{
    if (setjmp(w->failed) == 0) {
        w->png = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, w, on_error, on_warning, w,
                                           on_alloc, on_free);
        w->info = w->png ? png_create_info_struct(w->png) : NULL;
        if (w->info)
            write_all(w);
        else
            w->status = SDIFF_ERROR_NO_MEMORY;
    }
    png_destroy_write_struct(&w->png, &w->info);
    sdi_free(w->env, w->texts);
    return w->status;
}

/* libpng would cut what it cannot hold. */
static sdiff_status check_keywords(const sdi_env *env, const char *const *text)
{
    enum { LONGEST = 79 };
    for (; text && text[0] && text[1]; text += 2)
        if (!*text[0] || strlen(text[0]) > LONGEST || !is_ascii(text[0]))
            return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                            "the keyword '%s' cannot be in a PNG: 1 to %d ASCII letters are needed",
                            text[0], LONGEST);
    return SDIFF_OK;
}

sdiff_status sdi_png_write(const sdi_env *env, const sdi_image *image, const char *path,
                           const char *const *text)
{
    SDI_TRY(check_keywords(env, text));
    writer *w = sdi_zalloc(env, 1, sizeof *w);
    if (!w)
        return SDIFF_ERROR_NO_MEMORY;
    w->env = env;
    w->image = image;
    w->text = text;
    sdiff_status status = sdi_out_open(env, path, &w->file);
    if (status == SDIFF_OK)
        status = encode(w);
    sdi_out_file *file = w->file;
    sdi_free(env, w);
    if (status == SDIFF_OK)
        return sdi_out_commit(env, file);
    sdi_out_abandon(env, file);
    return status;
}
