/* SPDX-License-Identifier: MIT
 *
 * The library in a rough house: trapped floating-point exceptions, small stacks, full disks, closed
 * descriptors, signals, forks, another locale. Each case runs in a child process, since what it
 * changes belongs to the whole process and a defect would end it.
 */
#define _GNU_SOURCE
#include "test_api_support.h"

#include <errno.h>
#include <fcntl.h>
#include <fenv.h>
#include <locale.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

/* No case takes more than a few seconds: what takes this long hangs. */
enum { PATIENCE = 60 };

/* What one ordinary life gave: filled in the parent, compared with in the children. */
static api_result expected;

/* ---- children -------------------------------------------------------------------------------- */

/* In a child a failed assertion is an exit code: cmocka's jump would leave two processes. */
#define CHILD_REQUIRE(condition)                                                                   \
    do {                                                                                           \
        if (!(condition))                                                                          \
            _exit(__LINE__ % 200 + 10);                                                            \
    } while (0)

static void in_child(void (*body)(void))
{
    const pid_t child = fork();
    int status = 0;
    assert_true(child >= 0);
    if (child == 0) {
        static const int caught[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGSYS}; // by cmocka
        for (size_t i = 0; i < sizeof caught / sizeof *caught; i++)
            signal(caught[i], SIG_DFL);
        alarm(PATIENCE);
        body();
        _exit(0);
    }
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    if (WIFSIGNALED(status))
        fail_msg("signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    if (WEXITSTATUS(status) != 0)
        fail_msg("exit code %d: a line of this file modulo 200, plus 10", WEXITSTATUS(status));
}

typedef struct life {
    sdiff_context *context;
    sdiff_model *model;
    sdiff_pipeline *pipeline;
} life;

static life begin(const char *path, int32_t threads)
{
    life l = {0};
    sdiff_context_params params;
    sdiff_context_params_init(&params, sizeof params);
    params.threads = threads;
    CHILD_REQUIRE(sdiff_context_new(&params, &l.context) == SDIFF_OK);
    CHILD_REQUIRE(sdiff_model_open(l.context, path, NULL, &l.model) == SDIFF_OK);
    CHILD_REQUIRE(sdiff_pipeline_new(l.model, &l.pipeline) == SDIFF_OK);
    return l;
}

static void make_expected(life *l)
{
    api_result result;
    const sdiff_generate_params request = api_request("a red apple");
    CHILD_REQUIRE(sdiff_pipeline_generate(l->pipeline, &request) == SDIFF_OK);
    CHILD_REQUIRE(sdiff_pipeline_result(l->pipeline, 0, result.latents, result.pixels) == SDIFF_OK);
    CHILD_REQUIRE(memcmp(&result, &expected, sizeof result) == 0);
}

static void end(life *l)
{
    sdiff_pipeline_free(l->pipeline);
    sdiff_model_free(l->model);
    sdiff_context_free(l->context);
}

static void live(void)
{
    life l = begin(api_model_path(), 2);
    make_expected(&l);
    end(&l);
}

/* ---- floating point -------------------------------------------------------------------------- */

/* Every sampler of every schedule; their arithmetic is not the kernels'. */
static void try_samplers(life *l)
{
    for (int32_t i = 0; sdiff_sampler_name(i); i++) {
        sdiff_generate_params request = api_request("a (red:1.3) [apple|pear] AND a cat :0.5");
        request.sampler = sdiff_sampler_name(i);
        request.steps = 2;
        request.width = request.height = 16;
        const sdiff_status status = sdiff_pipeline_generate(l->pipeline, &request);
        CHILD_REQUIRE(status == SDIFF_OK || sdiff_pipeline_error(l->pipeline)[0]);
    }
    for (int32_t i = 0; sdiff_schedule_name(i); i++) {
        sdiff_generate_params request = api_request("a cat");
        request.schedule = sdiff_schedule_name(i);
        request.width = request.height = 16;
        const sdiff_status status = sdiff_pipeline_generate(l->pipeline, &request);
        CHILD_REQUIRE(status == SDIFF_OK || sdiff_pipeline_error(l->pipeline)[0]);
    }
    const double absurd[] = {(double)NAN, (double)INFINITY, -1e308, 1e308};
    for (size_t i = 0; i < sizeof absurd / sizeof *absurd; i++) {
        sdiff_generate_params request = api_request("a cat");
        request.cfg_scale = request.cfg_rescale = request.eta = absurd[i];
        CHILD_REQUIRE(sdiff_pipeline_generate(l->pipeline, &request) != SDIFF_OK);
    }
}

static void live_with_traps(void)
{
    const int traps = FE_DIVBYZERO | FE_INVALID | FE_OVERFLOW;
    CHILD_REQUIRE(feenableexcept(traps) >= 0);
    life l = begin(api_model_path(), 2);
    make_expected(&l);
    try_samplers(&l);
    end(&l);
    CHILD_REQUIRE(fegetexcept() == traps);
}

static void test_trapped_exceptions_do_not_go_off(void **state)
{
    in_child(live_with_traps);
}

static void live_rounding_upward(void)
{
    CHILD_REQUIRE(fesetround(FE_UPWARD) == 0);
    live();
    CHILD_REQUIRE(fegetround() == FE_UPWARD);
}

static void live_without_denormals(void)
{
#if defined(__SSE2__)
    _mm_setcsr(_mm_getcsr() | 0x8040);
    live();
    CHILD_REQUIRE((_mm_getcsr() & 0x8040) == 0x8040);
#endif
}

static void test_results_do_not_depend_on_the_hosts_mode(void **state)
{
    in_child(live_without_denormals);
    in_child(live_rounding_upward);
}

/* ---- processes and threads ------------------------------------------------------------------- */

static void live_across_fork(void)
{
    life l = begin(api_model_path(), 4);
    make_expected(&l);
    in_child(live);
    const pid_t child = fork();
    CHILD_REQUIRE(child >= 0);
    if (child == 0) {
        alarm(PATIENCE);
        make_expected(&l); // without the pool's threads, which stayed behind
        end(&l);
        _exit(0);
    }
    int status = 0;
    CHILD_REQUIRE(waitpid(child, &status, 0) == child);
    CHILD_REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    make_expected(&l);
    end(&l);
}

static void test_a_forked_child_can_use_and_free_the_handles(void **state)
{
    in_child(live_across_fork);
}

static void *live_in_thread(void *user)
{
    (void)user;
    live();
    return NULL;
}

static void live_on_small_stack(void)
{
    enum { STACK = 128 << 10 };
    pthread_attr_t attributes;
    pthread_t thread;
    CHILD_REQUIRE(pthread_attr_init(&attributes) == 0);
    CHILD_REQUIRE(pthread_attr_setstacksize(&attributes, STACK) == 0);
    CHILD_REQUIRE(pthread_create(&thread, &attributes, live_in_thread, NULL) == 0);
    CHILD_REQUIRE(pthread_join(thread, NULL) == 0);
}

static void test_a_thread_of_128_KiB_is_enough(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); // their frames are several times as large
#endif
    in_child(live_on_small_stack);
}

static void do_nothing(int number)
{
    (void)number;
}

static void live_with_signals(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = do_nothing; // without SA_RESTART
    CHILD_REQUIRE(sigaction(SIGVTALRM, &action, NULL) == 0);
    const struct itimerval often = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    CHILD_REQUIRE(setitimer(ITIMER_VIRTUAL, &often, NULL) == 0);
    live();
    CHILD_REQUIRE(setitimer(ITIMER_VIRTUAL, &never, NULL) == 0);
}

static void test_signals_do_not_disturb(void **state)
{
    in_child(live_with_signals);
}

/* ---- files ----------------------------------------------------------------------------------- */

static const char *folder(void)
{
    static char path[] = "/tmp/test_api_hostile.XXXXXX";
    static int made;
    if (!made)
        CHILD_REQUIRE(mkdtemp(path) != NULL);
    made = 1;
    return path;
}

static const char *in_folder(const char *name)
{
    static char path[200];
    snprintf(path, sizeof path, "%s/%s", folder(), name);
    return path;
}

static void save_over_the_limit(void)
{
    life l = begin(api_model_path(), 1);
    make_expected(&l);
    const struct rlimit limit = {1000, 1000};
    CHILD_REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    sdiff_image *image = sdiff_pipeline_image(l.pipeline, 0);
    CHILD_REQUIRE(sdiff_image_save_png(l.context, image, in_folder("a.png"), NULL) ==
                  SDIFF_ERROR_IO);
    CHILD_REQUIRE(strstr(sdiff_context_error(l.context), "a.png"));
    CHILD_REQUIRE(sdiff_model_save(l.model, in_folder("a.safetensors"), NULL) == SDIFF_ERROR_IO);
    CHILD_REQUIRE(strstr(sdiff_model_error(l.model), "a.safetensors"));
    end(&l);
    CHILD_REQUIRE(rmdir(folder()) == 0); // nothing is left in it
}

static void test_a_limit_of_file_sizes_is_an_error(void **state)
{
    in_child(save_over_the_limit);
}

static void save_to_pipes(void)
{
    life l = begin(api_model_path(), 1);
    make_expected(&l);
    sdiff_image *image = sdiff_pipeline_image(l.pipeline, 0);
    CHILD_REQUIRE(mkfifo(in_folder("fifo"), 0600) == 0);
    CHILD_REQUIRE(sdiff_image_save_png(l.context, image, in_folder("fifo"), NULL) ==
                  SDIFF_ERROR_IO); // nobody reads it
    const int reader = open(in_folder("fifo"), O_RDONLY | O_NONBLOCK);
    CHILD_REQUIRE(reader >= 0);
    CHILD_REQUIRE(sdiff_image_save_png(l.context, image, in_folder("fifo"), NULL) == SDIFF_OK);
    unsigned char start[4];
    CHILD_REQUIRE(read(reader, start, sizeof start) == 4 && memcmp(start + 1, "PNG", 3) == 0);
    close(reader);
    int ends[2]; // a pipe whose reader goes away
    char path[64];
    CHILD_REQUIRE(pipe(ends) == 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", ends[1]);
    unsigned char noise[128 * 128 * 3]; // more than the pipe holds
    uint64_t random = 1;
    for (size_t i = 0; i < sizeof noise; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        noise[i] = (unsigned char)(random >> 33);
    }
    CHILD_REQUIRE(fcntl(ends[1], F_SETPIPE_SZ, 4096) >= 0);
    CHILD_REQUIRE(sdiff_image_new(l.context, 128, 128, 3, noise, &image) == SDIFF_OK);
    const pid_t child = fork();
    CHILD_REQUIRE(child >= 0);
    if (child == 0) {
        close(ends[1]);
        _exit(read(ends[0], start, 1) == 1 ? 0 : 1);
    }
    close(ends[0]);
    CHILD_REQUIRE(sdiff_image_save_png(l.context, image, path, NULL) == SDIFF_ERROR_IO);
    sdiff_image_free(image);
    CHILD_REQUIRE(waitpid(child, NULL, 0) == child);
    unlink(in_folder("fifo"));
    end(&l);
    CHILD_REQUIRE(rmdir(folder()) == 0);
}

static void test_pipes_are_written_or_refused(void **state)
{
    in_child(save_to_pipes);
}

static void live_without_descriptors(void)
{
    close(0);
    close(1);
    close(2);
    life l = begin(api_model_path(), 2);
    make_expected(&l);
    sdiff_image *image = sdiff_pipeline_image(l.pipeline, 0), *again = NULL;
    CHILD_REQUIRE(sdiff_image_save_png(l.context, image, in_folder("a.png"), NULL) == SDIFF_OK);
    CHILD_REQUIRE(sdiff_image_load_png(l.context, in_folder("a.png"), &again) == SDIFF_OK);
    CHILD_REQUIRE(memcmp(sdiff_image_pixels(image), sdiff_image_pixels(again), 32 * 32 * 3) == 0);
    sdiff_image_free(again);
    end(&l);
    CHILD_REQUIRE(unlink(in_folder("a.png")) == 0 && rmdir(folder()) == 0);
}

static void test_closed_descriptors_are_no_matter(void **state)
{
    in_child(live_without_descriptors);
}

/* ---- locale ---------------------------------------------------------------------------------- */

static void live_with_comma(void)
{
    CHILD_REQUIRE(setlocale(LC_ALL, "de_DE.UTF-8") != NULL);
    CHILD_REQUIRE(strcmp(localeconv()->decimal_point, ",") == 0);
    life l = begin(api_model_path(), 1);
    make_expected(&l);
    CHILD_REQUIRE(sdiff_model_save(l.model, in_folder("a.safetensors"), NULL) == SDIFF_OK);
    end(&l);
    l = begin(in_folder("a.safetensors"), 1); // its configuration is numbers in text
    end(&l);
    CHILD_REQUIRE(unlink(in_folder("a.safetensors")) == 0 && rmdir(folder()) == 0);
}

static void test_numbers_are_read_in_any_locale(void **state)
{
    char *found = setlocale(LC_ALL, "de_DE.UTF-8");
    setlocale(LC_ALL, "C");
    if (!found)
        skip();
    in_child(live_with_comma);
}

/* Of one ordinary life, in a child as well: the parent stays without threads, so that it can fork
 * under any sanitizer. The numbers come back through a pipe. */
static int make_reference(void **state)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(PATIENCE);
        life l = begin(api_model_path(), 2);
        const sdiff_generate_params request = api_request("a red apple");
        CHILD_REQUIRE(sdiff_pipeline_generate(l.pipeline, &request) == SDIFF_OK);
        sdiff_pipeline_result(l.pipeline, 0, expected.latents, expected.pixels);
        const char *at = (const char *)&expected;
        for (size_t left = sizeof expected; left > 0;) {
            const ssize_t count = write(ends[1], at, left);
            CHILD_REQUIRE(count > 0);
            at += count;
            left -= (size_t)count;
        }
        end(&l);
        _exit(0);
    }
    close(ends[1]);
    size_t have = 0;
    for (ssize_t count; have < sizeof expected; have += (size_t)count) {
        count = read(ends[0], (char *)&expected + have, sizeof expected - have);
        if (count <= 0)
            break;
    }
    close(ends[0]);
    waitpid(child, NULL, 0);
    return have == sizeof expected ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trapped_exceptions_do_not_go_off),
        cmocka_unit_test(test_results_do_not_depend_on_the_hosts_mode),
        cmocka_unit_test(test_a_forked_child_can_use_and_free_the_handles),
        cmocka_unit_test(test_a_thread_of_128_KiB_is_enough),
        cmocka_unit_test(test_signals_do_not_disturb),
        cmocka_unit_test(test_a_limit_of_file_sizes_is_an_error),
        cmocka_unit_test(test_pipes_are_written_or_refused),
        cmocka_unit_test(test_closed_descriptors_are_no_matter),
        cmocka_unit_test(test_numbers_are_read_in_any_locale),
    };
    return cmocka_run_group_tests(tests, make_reference, NULL);
}
