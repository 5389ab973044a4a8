/* SPDX-License-Identifier: MIT
 *
 * Elapsed time.
 */
#ifndef SDI_BASE_CLOCK_H
#define SDI_BASE_CLOCK_H

double sdi_clock_seconds(void); // monotonic, from an unspecified start

#endif
