/* SPDX-License-Identifier: MIT
 *
 * Symbolic links that became text files. git writes a link as a small file that holds the target
 * where links are not possible, and model folders share their parts by links. Such a file is
 * followed only to something of the same name ("vae" -> "../tiny-sd1/vae").
 */
#include "model/load.h"

#include "base/memory.h"
#include "io/source.h"

#include <string.h>
#include <sys/stat.h>

enum { LONGEST = 255, HOPS = 4 };

static const char *last_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Whether the text is a relative path to something called like the file it stands in. */
static int is_target(const char *path, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] < 0x21 || text[i] == 0x7f)
            return 0;
    return text[0] != '/' && strchr(text, '/') && strcmp(last_name(path), last_name(text)) == 0;
}

/* One hop: *next stays NULL where the file is not such a link. */
static sdiff_status read_link(const sdi_env *env, const char *path, char **next)
{
    const sdi_env quiet = {.mem = env->mem};
    struct stat info;
    char *text = NULL;
    size_t size = 0;
    *next = NULL;
    if (stat(path, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size < 1 ||
        info.st_size > LONGEST || sdi_read_small_file(&quiet, path, LONGEST, &text, &size))
        return SDIFF_OK;
    sdiff_status status = SDIFF_OK;
    if (is_target(path, text, size)) {
        const size_t folder = (size_t)(last_name(path) - path);
        *next = sdi_alloc(env, folder + size + 1, 1);
        if (*next) {
            memcpy(*next, path, folder);
            memcpy(*next + folder, text, size + 1);
        }
        status = *next ? SDIFF_OK : SDIFF_ERROR_NO_MEMORY;
    }
    sdi_free(env, text);
    if (*next && !sdi_exists(*next)) {
        sdi_free(env, *next);
        *next = NULL;
    }
    return status;
}

sdiff_status sdi_follow(const sdi_env *env, const char *path, char **out)
{
    *out = sdi_strdup(env, path);
    for (int hop = 0; *out && hop < HOPS; hop++) {
        char *next = NULL;
        const sdiff_status status = read_link(env, *out, &next);
        if (status != SDIFF_OK) {
            sdi_free(env, *out);
            *out = NULL;
            return status;
        }
        if (!next)
            break;
        sdi_free(env, *out);
        *out = next;
    }
    return *out ? SDIFF_OK : SDIFF_ERROR_NO_MEMORY;
}

sdiff_status sdi_follow_join(const sdi_env *env, const char *folder, const char *name, char **out)
{
    char *path = sdi_join(env, folder, name, "");
    *out = NULL;
    if (!path)
        return SDIFF_ERROR_NO_MEMORY;
    const sdiff_status status = sdi_follow(env, path, out);
    sdi_free(env, path);
    return status;
}
