/* SPDX-License-Identifier: MIT
 *
 * What the tests share: an sdi_env whose leaks are checked, and the place of the fixtures.
 */
#ifndef TEST_SUPPORT_H
#define TEST_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/env.h"
#include "base/memory.h"
#include "net/vae.h"

/* A fresh environment; test_env_free asserts that nothing is left allocated. */
sdi_env test_env_new(void);
sdi_env test_env_with(const sdi_mem_params *params);
void test_env_free(sdi_env *env);
const char *test_error(const sdi_env *env); // the last sentence, "" if none

/* Fails the test with the sentence of env unless status is SDIFF_OK. */
void test_ok(const sdi_env *env, sdiff_status status);

/* Path of a file in shared/ ("fixtures/rng/…"); skips the running test, visibly, where the folder
 * shared/ is absent. The returned buffer is static and holds the last 8 results. */
const char *test_shared(const char *relative);

/* Removes what is in a folder, and says how many files and folders that were. */
int test_sweep(const char *folder);

/* Without the padding after the last member, which holds anything. */
void test_same_vae(const sdi_vae_config *a, const sdi_vae_config *b);

/* Whole file in a fresh heap block (free()), so that the address sanitizer sees an over-read. */
void *test_read_file(const char *path, size_t *size);

#endif
