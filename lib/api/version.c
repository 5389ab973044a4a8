/* SPDX-License-Identifier: MIT
 *
 * The version of the running library.
 */
#include "stablediff/version.h"

#define TEXT(x) #x
#define JOIN(a, b, c) TEXT(a) "." TEXT(b) "." TEXT(c)

int sdiff_version_number(void)
{
    return SDIFF_VERSION_NUMBER;
}

const char *sdiff_version_string(void)
{
    return JOIN(SDIFF_VERSION_MAJOR, SDIFF_VERSION_MINOR, SDIFF_VERSION_PATCH);
}
