/* What the parts in C share: threads, a copy of a function for each kind of processor, and sixteen numbers at once. */
#include <stdint.h>

#ifdef _OPENMP
#include <omp.h>
#include <sched.h>
#endif

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__linux__)
#define FOR_EACH_PROCESSOR __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FOR_EACH_PROCESSOR
#endif

/* What a FOR_EACH_PROCESSOR function calls must become a part of it, or it is compiled for the oldest processor. */
#define INSIDE static inline __attribute__((always_inline))

/* Sixteen numbers that need not be aligned, in as many registers as the processor needs for them. */
typedef float floats __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t ints __attribute__((vector_size(64)));
enum { LANES = 16 };
#define AT(from) (*(floats *)(from))

static inline int64_t share(int64_t count, int64_t part, int64_t parts) { /* where a thread's part of them begins */
    return count * part / parts;
}

static inline int64_t thread_number(void) {
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

static inline int64_t thread_count(void) {
#ifdef _OPENMP
    return omp_get_num_threads();
#else
    return 1;
#endif
}

enum { PATIENCE = 2000 }; /* looks, before a waiting thread gives its core away */

/* Where the threads of a step wait for each other. */
typedef struct {
    int64_t arrived, turn;
} Meeting;

/* Go on when all threads are here. A short wait is watched; after it the core goes to whoever else wants it. */
static inline void meet(Meeting *meeting, int64_t threads) {
    const int64_t turn = __atomic_load_n(&meeting->turn, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&meeting->arrived, 1, __ATOMIC_ACQ_REL) == threads) {
        meeting->arrived = 0;
        __atomic_store_n(&meeting->turn, turn + 1, __ATOMIC_RELEASE);
        return;
    }
    for (int looks = 0; __atomic_load_n(&meeting->turn, __ATOMIC_ACQUIRE) == turn; looks++) {
#ifdef __x86_64__
        __builtin_ia32_pause();
#endif
#ifdef _OPENMP
        if (looks >= PATIENCE) sched_yield();
#endif
    }
}
