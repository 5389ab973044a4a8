/* SPDX-License-Identifier: MIT
 *
 * Files that appear complete or not at all.
 */
#define _GNU_SOURCE
#include "io/out_file.h"

#include "base/memory.h"
#include "base/strbuf.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct sdi_out_file {
    char *path;
    char *temporary; // NULL: the path itself is written
    int descriptor;
};

static sdiff_status fail_path(const sdi_env *env, const char *path, const char *what)
{
    return sdi_fail(env, SDIFF_ERROR_IO, "%s: %s: %s", path, what, strerror(errno));
}

static void free_file(const sdi_env *env, sdi_out_file *file)
{
    if (file->descriptor >= 0)
        close(file->descriptor);
    sdi_free(env, file->path);
    sdi_free(env, file->temporary);
    sdi_free(env, file);
}

/* A name beside the path that nobody has yet. */
static sdiff_status open_temporary(const sdi_env *env, sdi_out_file *file)
{
    for (int attempt = 0; attempt < 100; attempt++) {
        sdi_strbuf name;
        sdi_strbuf_init(&name, env);
        sdi_strbuf_printf(&name, "%s.part-%ld-%d", file->path, (long)getpid(), attempt);
        sdi_free(env, file->temporary);
        file->temporary = sdi_strbuf_take(&name);
        if (!file->temporary)
            return SDIFF_ERROR_NO_MEMORY;
        file->descriptor = open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (file->descriptor >= 0)
            return SDIFF_OK;
        if (errno != EEXIST)
            break;
    }
    const sdiff_status status = fail_path(env, file->path, "cannot be created");
    sdi_free(env, file->temporary);
    file->temporary = NULL;
    return status;
}

static sdiff_status open_file(const sdi_env *env, sdi_out_file *file)
{
    struct stat info;
    if (stat(file->path, &info) != 0 || S_ISREG(info.st_mode))
        return open_temporary(env, file);
    if (S_ISDIR(info.st_mode))
        return sdi_fail(env, SDIFF_ERROR_IO, "%s: is a folder, a file was needed", file->path);
    /* Not blocking, so that a named pipe that nobody reads is refused instead of waited for. */
    file->descriptor = open(file->path, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (file->descriptor < 0 || fcntl(file->descriptor, F_SETFL, O_WRONLY) != 0)
        return fail_path(env, file->path, "cannot be opened");
    return SDIFF_OK;
}

sdiff_status sdi_out_open(const sdi_env *env, const char *path, sdi_out_file **out)
{
    *out = NULL;
    sdi_out_file *file = sdi_zalloc(env, 1, sizeof *file);
    if (!file)
        return SDIFF_ERROR_NO_MEMORY;
    file->descriptor = -1;
    file->path = sdi_strdup(env, path);
    const sdiff_status status = file->path ? open_file(env, file) : SDIFF_ERROR_NO_MEMORY;
    if (status != SDIFF_OK) {
        free_file(env, file);
        return status;
    }
    *out = file;
    return SDIFF_OK;
}

/* As write(), but a file size limit or a pipe without a reader is an error and no signal: both
 * would end a host that does not expect them. */
static ssize_t write_without_signal(int descriptor, const void *bytes, size_t size)
{
    static const int signals[] = {SIGXFSZ, SIGPIPE};
    const struct timespec now = {0, 0};
    sigset_t mine, before, old;
    sigemptyset(&mine);
    sigpending(&before);
    for (size_t i = 0; i < SDI_COUNT(signals); i++)
        if (!sigismember(&before, signals[i])) // one that waits already is the host's
            sigaddset(&mine, signals[i]);
    pthread_sigmask(SIG_BLOCK, &mine, &old);
    const ssize_t count = write(descriptor, bytes, size);
    const int error = errno;
    if (count < 0 && (error == EFBIG || error == EPIPE))
        (void)sigtimedwait(&mine, NULL, &now);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = error;
    return count;
}

sdiff_status sdi_out_write(const sdi_env *env, sdi_out_file *file, const void *bytes, uint64_t size)
{
    const unsigned char *at = bytes;
    while (size > 0) {
        const ssize_t count =
            write_without_signal(file->descriptor, at, (size_t)SDI_MIN(size, 1u << 30));
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return fail_path(env, file->path, "cannot be written");
        at += count;
        size -= (uint64_t)count;
    }
    return SDIFF_OK;
}

sdiff_status sdi_out_commit(const sdi_env *env, sdi_out_file *file)
{
    /* Network file systems tell of a full disk only here. */
    const int closed = close(file->descriptor);
    file->descriptor = -1;
    sdiff_status status = SDIFF_OK;
    if (closed != 0)
        status = fail_path(env, file->path, "cannot be written");
    else if (file->temporary && rename(file->temporary, file->path) != 0)
        status = fail_path(env, file->path, "cannot be replaced");
    if (status != SDIFF_OK && file->temporary)
        unlink(file->temporary);
    free_file(env, file);
    return status;
}

void sdi_out_abandon(const sdi_env *env, sdi_out_file *file)
{
    if (!file)
        return;
    if (file->temporary)
        unlink(file->temporary);
    free_file(env, file);
}
