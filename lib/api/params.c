/* SPDX-License-Identifier: MIT
 *
 * Structs that grow (the rules of openat2 and clone3): size first, append only, zero means as
 * before. And arguments that may not be NULL.
 */
#include "api/handle.h"

#include <string.h>

sdiff_status sdi_null_argument(sdi_error *error, const char *which)
{
    const sdi_env env = {.error = error};
    return sdi_fail(&env, SDIFF_ERROR_INVALID_ARGUMENT,
                    "an argument is NULL that may not be (%s)", which);
}

void sdi_params_init(void *theirs, size_t their_size, const void *mine, size_t size)
{
    if (!theirs || their_size < sizeof(size_t))
        return;
    memset(theirs, 0, their_size);
    memcpy(theirs, mine, SDI_MIN(size, their_size));
    memcpy(theirs, &their_size, sizeof their_size);
}

sdiff_status sdi_params_read(const sdi_env *env, const char *what, void *mine, size_t size,
                             size_t minimum, const void *theirs)
{
    if (!theirs)
        return SDIFF_OK;
    size_t their_size;
    memcpy(&their_size, theirs, sizeof their_size);
    if (their_size < minimum || their_size > 65536)
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "%s: struct_size is %zu, at least %zu is needed (call the init function)",
                        what, their_size, minimum);
    for (size_t i = size; i < their_size; i++)
        if (((const unsigned char *)theirs)[i])
            return sdi_fail(env, SDIFF_ERROR_UNSUPPORTED,
                            "%s: a field at offset %zu is set that this library does not know",
                            what, i);
    memcpy(mine, theirs, SDI_MIN(size, their_size));
    memcpy(mine, &size, sizeof size);
    return SDIFF_OK;
}
