/* SPDX-License-Identifier: MIT */
#include "support.h"

#include "base/cores.h"
#include "base/threads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A small file system of its own, below the working folder of the test. */
static const char *root = "test_cores.root";

static void write_file(const char *path, const char *text)
{
    char full[512];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *slash = strchr(full, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(full, 0700);
        *slash = '/';
    }
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int clear(void **state)
{
    return system("rm -rf test_cores.root");
}

static void test_siblings_count_as_one_core(void **state)
{
    const int32_t cpus[] = {0, 1, 2, 3, 7};
    write_file("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "0,2\n");
    write_file("/sys/devices/system/cpu/cpu1/topology/thread_siblings_list", "1,3\n");
    write_file("/sys/devices/system/cpu/cpu2/topology/thread_siblings_list", "0,2\n");
    write_file("/sys/devices/system/cpu/cpu3/topology/thread_siblings_list", "1,3\n");
    assert_int_equal(sdi_distinct_cores(root, cpus, 4), 2);
    assert_int_equal(sdi_distinct_cores(root, cpus + 1, 2), 2);
    assert_int_equal(sdi_distinct_cores(root, cpus, 5), 3); // 7 is not described
}

static void test_version_2_takes_the_least_quota_upwards(void **state)
{
    write_file("/proc/self/cgroup", "0::/a/b\n");
    assert_int_equal(sdi_quota_cores(root), 0);
    write_file("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    assert_int_equal(sdi_quota_cores(root), 0);
    write_file("/sys/fs/cgroup/a/cpu.max", "250000 100000\n");
    assert_int_equal(sdi_quota_cores(root), 3);
    write_file("/sys/fs/cgroup/cpu.max", "50000 100000\n");
    assert_int_equal(sdi_quota_cores(root), 1);
}

static void test_version_1_reads_the_cpu_controller(void **state)
{
    write_file("/proc/self/cgroup", "4:memory:/x\n2:cpu,cpuacct:/x/y\n0::/\n");
    write_file("/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "-1\n");
    write_file("/sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n");
    assert_int_equal(sdi_quota_cores(root), 0);
    write_file("/sys/fs/cgroup/cpu/x/y/cpu.cfs_quota_us", "200000\n");
    write_file("/sys/fs/cgroup/cpu/x/y/cpu.cfs_period_us", "100000\n");
    assert_int_equal(sdi_quota_cores(root), 2);
}

static void test_broken_files_set_no_limit(void **state)
{
    write_file("/proc/self/cgroup", "\nnonsense\n1:cpu\n::\n0::/a\n3:cpu:\n");
    write_file("/sys/fs/cgroup/a/cpu.max", "0 0\n");
    write_file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "many");
    assert_int_equal(sdi_quota_cores(root), 0);
    assert_int_equal(sdi_quota_cores("test_cores.absent"), 0);
}

static void test_a_core_is_usable_here(void **state)
{
    sdi_env env = test_env_new();
    sdi_pool *pool = NULL;
    assert_in_range(sdi_usable_cores(), 1, 4096);
    test_ok(&env, sdi_pool_new(&env, 0, NULL, NULL, &pool));
    assert_int_equal(sdi_pool_size(pool), sdi_usable_cores());
    sdi_pool_free(&env, pool);
    test_env_free(&env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_siblings_count_as_one_core, clear, clear),
        cmocka_unit_test_setup_teardown(test_version_2_takes_the_least_quota_upwards, clear, clear),
        cmocka_unit_test_setup_teardown(test_version_1_reads_the_cpu_controller, clear, clear),
        cmocka_unit_test_setup_teardown(test_broken_files_set_no_limit, clear, clear),
        cmocka_unit_test(test_a_core_is_usable_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
