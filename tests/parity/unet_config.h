/* SPDX-License-Identifier: MIT
 *
 * A U-Net's configuration as far as the fixtures use it, read by the tests themselves.
 */
#ifndef TEST_PARITY_UNET_CONFIG_H
#define TEST_PARITY_UNET_CONFIG_H

#include "net/unet.h"

void parity_unet_config(sdi_unet_config *config, const char *file /* below shared/ */);

#endif
