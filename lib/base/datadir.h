/* SPDX-License-Identifier: MIT
 *
 * Where the library's data lies when nothing nearer is found.
 */
#ifndef SDI_BASE_DATADIR_H
#define SDI_BASE_DATADIR_H

/* The environment variable SDIFF_DATA_DIR, else the folder chosen at build time. */
const char *sdi_data_dir(void);

#endif
