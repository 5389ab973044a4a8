/* SPDX-License-Identifier: MIT
 *
 * Cores from /sys and control groups from /proc and /sys; whatever cannot be read sets no limit.
 */
#define _GNU_SOURCE
#include "base/cores.h"

#include "base/attributes.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 4096, CPUS_MAX = CPU_SETSIZE };

/* A whole number at the start of a small file, -1 if there is none. */
static int64_t read_number(const char *path)
{
    FILE *file = fopen(path, "re");
    int64_t number = -1;
    if (!file)
        return -1;
    if (fscanf(file, "%" SCNd64, &number) != 1)
        number = -1;
    fclose(file);
    return number;
}

/* The first of the CPUs that share a core with this one: the core's name. */
static int32_t core_of(const char *root, int32_t cpu)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list",
             root, cpu);
    const int64_t first = read_number(path);
    return first >= 0 && first < CPUS_MAX ? (int32_t)first : cpu;
}

int32_t sdi_distinct_cores(const char *root, const int32_t *cpus, int32_t count)
{
    unsigned char seen[CPUS_MAX] = {0};
    int32_t cores = 0;
    for (int32_t i = 0; i < count; i++) {
        const int32_t core = core_of(root, cpus[i]);
        cores += !seen[core];
        seen[core] = 1;
    }
    return cores;
}

static int64_t quota_of(int64_t quota, int64_t period)
{
    if (quota <= 0 || period <= 0)
        return 0;
    return SDI_MIN((quota + period - 1) / period, CPUS_MAX);
}

/* Version 2: "quota period" or "max period" in one file. */
static int64_t quota_v2(const char *folder)
{
    char path[PATH_BYTES + 32];
    int64_t quota = 0, period = 0;
    snprintf(path, sizeof path, "%s/cpu.max", folder);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    if (fscanf(file, "%" SCNd64 " %" SCNd64, &quota, &period) != 2)
        quota = 0;
    fclose(file);
    return quota_of(quota, period);
}

static int64_t quota_v1(const char *folder)
{
    char quota[PATH_BYTES + 32], period[PATH_BYTES + 32];
    snprintf(quota, sizeof quota, "%s/cpu.cfs_quota_us", folder);
    snprintf(period, sizeof period, "%s/cpu.cfs_period_us", folder);
    return quota_of(read_number(quota), read_number(period));
}

/* The smallest quota of a group and all above it. In a container the group's path may not exist
 * below its mount; the walk then ends at the mount itself, which is the container's group. */
static int64_t quota_upwards(const char *mount, char *group, int64_t (*quota)(const char *))
{
    int64_t least = 0;
    for (;;) {
        char folder[PATH_BYTES];
        snprintf(folder, sizeof folder, "%s%s", mount, group);
        const int64_t here = quota(folder);
        if (here && (!least || here < least))
            least = here;
        char *slash = strrchr(group, '/');
        if (!slash)
            return least;
        *slash = 0;
    }
}

/* One line of /proc/self/cgroup, "number:controllers:/group". */
static int64_t quota_of_line(const char *root, char *line)
{
    char mount[PATH_BYTES];
    char *controllers = strchr(line, ':');
    char *group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group)
        return 0;
    *group++ = 0;
    group[strcspn(group, "\n")] = 0;
    controllers++;
    if (!*controllers) {
        snprintf(mount, sizeof mount, "%s/sys/fs/cgroup", root);
        return quota_upwards(mount, group, quota_v2);
    }
    for (char *save, *name = strtok_r(controllers, ",", &save); name;
         name = strtok_r(NULL, ",", &save)) {
        if (strcmp(name, "cpu") != 0)
            continue;
        snprintf(mount, sizeof mount, "%s/sys/fs/cgroup/cpu", root);
        return quota_upwards(mount, group, quota_v1);
    }
    return 0;
}

int32_t sdi_quota_cores(const char *root)
{
    char path[PATH_BYTES], line[PATH_BYTES];
    int64_t least = 0;
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    while (fgets(line, sizeof line, file)) {
        const int64_t quota = quota_of_line(root, line);
        if (quota && (!least || quota < least))
            least = quota;
    }
    fclose(file);
    return (int32_t)least;
}

int32_t sdi_usable_cores(void)
{
    int32_t cpus[CPUS_MAX], count = 0;
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    for (int32_t cpu = 0; cpu < CPUS_MAX; cpu++)
        if (CPU_ISSET(cpu, &set))
            cpus[count++] = cpu;
    const int32_t cores = sdi_distinct_cores("", cpus, count), quota = sdi_quota_cores("");
    return SDI_MAX(1, quota ? SDI_MIN(cores, quota) : cores);
}
