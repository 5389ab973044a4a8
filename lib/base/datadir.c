/* SPDX-License-Identifier: MIT
 *
 * Where the library's data lies.
 */
#include "base/datadir.h"

#include <stdlib.h>

#ifndef SDI_DATA_DIR
#define SDI_DATA_DIR "/usr/share/stablediff"
#endif

const char *sdi_data_dir(void)
{
    const char *chosen = getenv("SDIFF_DATA_DIR");
    return chosen && *chosen ? chosen : SDI_DATA_DIR;
}
