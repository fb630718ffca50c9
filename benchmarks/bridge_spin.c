/* The floor of bench_bridge.py: two C processes that spin on shared memory.  Each step the agent writes a number and 32 bytes
 * of action, the game copies `size` bytes of a private frame out, and the agent copies them into a private buffer of its own.
 * Usage: bridge_spin SIZE STEPS; prints the nanoseconds of each step.  Build: cc -O2 -std=gnu11 bridge_spin.c -o bridge_spin */
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef struct {
    _Alignas(64) atomic_uint request;
    _Alignas(64) atomic_uint response;
    _Alignas(64) unsigned char action[64];
    _Alignas(64) unsigned char frame[];
} region;

static void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static void game(region *shared, size_t size, uint32_t steps) {
    unsigned char *mine = calloc(1, size), action[32];
    for (uint32_t k = 1; k <= steps; k++) {
        while (atomic_load_explicit(&shared->request, memory_order_acquire) != k) relax();
        memcpy(action, shared->action, sizeof action);
        mine[0] = action[0];
        memcpy(shared->frame, mine, size);
        atomic_store_explicit(&shared->response, k, memory_order_release);
    }
    _exit(0);
}

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    size_t size = strtoul(argv[1], NULL, 10);
    uint32_t steps = (uint32_t)strtoul(argv[2], NULL, 10), warm = steps / 10, all = steps + warm;
    region *shared = mmap(NULL, sizeof *shared + size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || size == 0) return 1;
    if (fork() == 0) game(shared, size, all);
    unsigned char *mine = malloc(size), action[32] = {0};
    uint64_t *times = malloc(all * sizeof *times), before = now();
    for (uint32_t k = 1; k <= all; k++) {
        action[0] = (unsigned char)k;
        memcpy(shared->action, action, sizeof action);
        atomic_store_explicit(&shared->request, k, memory_order_release);
        while (atomic_load_explicit(&shared->response, memory_order_acquire) != k) relax();
        memcpy(mine, shared->frame, size);
        if (mine[0] != (unsigned char)k) return 1;
        uint64_t after = now();
        times[k - 1] = after - before;
        before = after;
    }
    wait(NULL);
    for (uint32_t k = warm; k < all; k++) printf("%llu\n", (unsigned long long)times[k]);
    return 0;
}
