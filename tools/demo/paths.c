/* SPDX-License-Identifier: MIT
 *
 * Names of files: the model that comes with the project, numbered outputs.
 */
#include "demo.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

static int is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* The folder that this program lies in; "" where the system does not tell. The name it was started
 * by serves where /proc is not mounted, as in a bare chroot. */
static void own_folder(char path[PATH_MAX])
{
    const char *started = (const char *)getauxval(AT_EXECFN);
    path[0] = '\0';
    if (!realpath("/proc/self/exe", path) && (!started || !realpath(started, path)))
        path[0] = '\0';
    char *slash = strrchr(path, '/');
    if (slash)
        *slash = '\0';
}

const char *default_model(void)
{
    static const char *const places[] = {"/../../models/tinysd",
                                         "/../share/stablediff/models/tinysd"};
    static char path[PATH_MAX + 64];
    char folder[PATH_MAX];
    const char *data = getenv("SDIFF_DATA_DIR");
    snprintf(path, sizeof path, "%.4000s/models/tinysd", data ? data : "");
    if (data && *data && is_folder(path))
        return path;
    own_folder(folder);
    for (size_t i = 0; *folder && i < sizeof places / sizeof places[0]; i++) {
        snprintf(path, sizeof path, "%s%s", folder, places[i]);
        if (is_folder(path))
            return path;
    }
    return is_folder(DEMO_DATA_DIR "/models/tinysd") ? DEMO_DATA_DIR "/models/tinysd" : NULL;
}

/* Where the last part of a path begins, and its extension (or the end). */
static const char *last_part(const char *path, const char **extension)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    *extension = dot && dot > name ? dot : name + strlen(name);
    return name;
}

char *numbered_path(const char *path, int64_t number, int64_t count)
{
    const size_t size = strlen(path) + 24;
    const char *extension = NULL;
    char *out = malloc(size);
    last_part(path, &extension);
    if (out && count == 1)
        snprintf(out, size, "%s", path);
    else if (out)
        snprintf(out, size, "%.*s-%lld%s", (int)(extension - path), path, (long long)number,
                 extension);
    return out;
}

char *model_name(const char *path)
{
    const char *extension = NULL;
    char *copy = strdup(path);
    for (size_t n = copy ? strlen(copy) : 0; n > 1 && copy[n - 1] == '/'; n--)
        copy[n - 1] = '\0';
    if (!copy)
        return NULL;
    const char *name = last_part(copy, &extension);
    const size_t length = is_folder(copy) ? strlen(name) : (size_t)(extension - name);
    memmove(copy, name, length);
    copy[length] = '\0';
    return copy;
}

int check_output(const char *path)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    if (slash)
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - path + 1), path);
    else
        snprintf(folder, sizeof folder, ".");
    if (!*path)
        return fail(SDIFF_ERROR_INVALID_ARGUMENT, "the name of a picture is empty");
    if (is_folder(path))
        return fail(SDIFF_ERROR_IO, "%s: is a folder, the name of a picture was needed", path);
    if (!is_folder(folder))
        return fail(SDIFF_ERROR_IO, "%s: the folder does not exist", path);
    if (access(folder, W_OK) == 0)
        return 0;
    const int reason = errno; // of the folder: that the picture is not there yet is no reason
    if (access(path, W_OK) != 0)
        return fail(SDIFF_ERROR_IO, "%s: cannot be created: %s", path,
                    strerror(errno == ENOENT ? reason : errno));
    return 0;
}
