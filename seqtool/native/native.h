/* What the parts in C share: threads, a copy of a function for each kind of processor, and sixteen numbers at once. */
#include <stdint.h>
#include <string.h>

#ifdef _OPENMP
#include <omp.h>
#include <sched.h>
#endif

#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#if defined(__x86_64__)
#define PLAIN "x86-64"
#elif defined(__aarch64__)
#define PLAIN "aarch64"
#else
#define PLAIN "the compiler's default"
#endif

/* A FOR_EACH_PROCESSOR function is compiled for WIDE, for MIDDLE and for PLAIN processors, and when the part is loaded the first
   of them that this processor runs is chosen. Where a compiler does not know the levels of x86-64, two features stand for
   them; where it has no target_clones, or the C library no way to choose, everything is PLAIN. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__has_attribute)
#if __has_attribute(target_clones)
#define HAS_CLONES
#endif
#endif

#if defined(HAS_CLONES) && !defined(__clang__) && __GNUC__ >= 12
#define WIDE "x86-64-v4"
#define MIDDLE "x86-64-v3"
#define FOR_EACH_PROCESSOR __attribute__((target_clones("arch=" WIDE, "arch=" MIDDLE, "default")))
#elif defined(HAS_CLONES)
#define WIDE "avx512f"
#define MIDDLE "avx2"
#define FOR_EACH_PROCESSOR __attribute__((target_clones(WIDE, MIDDLE, "default")))
#else
#define WIDE PLAIN
#define FOR_EACH_PROCESSOR
#endif

/* The instructions that FOR_EACH_PROCESSOR functions use on this processor. */
static inline const char *instructions(void) {
#ifdef HAS_CLONES
    __builtin_cpu_init();
    if (__builtin_cpu_supports(WIDE)) return WIDE;
    if (__builtin_cpu_supports(MIDDLE)) return MIDDLE;
#endif
    return PLAIN;
}

/* Whether the part was compiled with OpenMP; without, it computes in one thread. */
int64_t seqtool_has_openmp(void) {
#ifdef _OPENMP
    return 1;
#else
    return 0;
#endif
}

/* What a FOR_EACH_PROCESSOR function calls must become a part of it, or it is compiled for the oldest processor. */
#define INSIDE static inline __attribute__((always_inline))

/* Sixteen numbers that need not be aligned, in as many registers as the processor needs for them. */
typedef float floats __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t ints __attribute__((vector_size(64)));
enum { LANES = 16 };
#define AT(from) (*(floats *)(from))

/* Numbers as fp32, or as the upper 16 bits of it. `bf16` is a constant wherever these become a part. */

typedef uint16_t halves __attribute__((vector_size(32), aligned(2), may_alias));
typedef uint32_t bits __attribute__((vector_size(64)));

INSIDE floats from_bf16(halves from) { return (floats)(__builtin_convertvector(from, bits) << 16); }

INSIDE halves to_bf16(floats from) {
    bits raw = (bits)from;
    return __builtin_convertvector((raw + 0x7fff + ((raw >> 16) & 1)) >> 16, halves);
}

INSIDE int64_t bytes_of(int bf16) { return bf16 ? 2 : 4; }

INSIDE floats get(const void *from, int64_t at, int bf16) {
    return bf16 ? from_bf16(*(halves *)((uint16_t *)from + at)) : AT((float *)from + at);
}

INSIDE void put(void *to, int64_t at, floats value, int bf16) {
    if (bf16) *(halves *)((uint16_t *)to + at) = to_bf16(value);
    else AT((float *)to + at) = value;
}

INSIDE void put_one(void *to, int64_t at, float value, int bf16) {
    if (bf16) {
        uint32_t raw;
        memcpy(&raw, &value, sizeof raw);
        ((uint16_t *)to)[at] = (raw + 0x7fff + ((raw >> 16) & 1)) >> 16;
    } else ((float *)to)[at] = value;
}

INSIDE float get_one(const void *from, int64_t at, int bf16) {
    if (!bf16) return ((const float *)from)[at];
    uint32_t raw = (uint32_t)((const uint16_t *)from)[at] << 16;
    float value;
    memcpy(&value, &raw, sizeof value);
    return value;
}

/* get and put for `count` numbers of LANES; the others read as zero and are not written. */
INSIDE floats get_some(const void *from, int64_t at, int64_t count, int bf16) {
    if (count == LANES) return get(from, at, bf16);
    char whole[LANES * 4] = {0};
    memcpy(whole, (char *)from + at * bytes_of(bf16), count * bytes_of(bf16));
    return get(whole, 0, bf16);
}

INSIDE void put_some(void *to, int64_t at, floats value, int64_t count, int bf16) {
    if (count == LANES) {
        put(to, at, value, bf16);
        return;
    }
    char whole[LANES * 4];
    put(whole, 0, value, bf16);
    memcpy((char *)to + at * bytes_of(bf16), whole, count * bytes_of(bf16));
}

INSIDE floats chosen(ints mask, floats yes, floats no) { return (floats)((mask & (ints)yes) | (~mask & (ints)no)); }

/* x, which is positive, rounded down, less `offset`. Unsigned, since NaN may become any integer, from which a difference
   could overflow. */
INSIDE ints whole(floats x, uint32_t offset) { return (ints)((bits)__builtin_convertvector(x, ints) - offset); }

/* 2^n for n from -126 to 127. */
INSIDE floats power_of_2(ints n) { return (floats)(((bits)n + 127) << 23); }

/* e^x: 2^n times a polynomial of the rest, which lies between -1/2 and 1/2. */
INSIDE floats exponential(floats x) {
    floats most = {0}, least = {0};
    most += 88.0f, least -= 87.0f;
    x = chosen((ints)(x > most), most, x);
    x = chosen((ints)(x < least), least, x);
    floats t = x * 1.44269504f;
    ints n = whole(t + 127.5f, 127);
    floats r = t - __builtin_convertvector(n, floats);
    floats p = r * 1.54035304e-4f + 1.33335581e-3f;
    p = p * r + 9.61812911e-3f;
    p = p * r + 5.55041087e-2f;
    p = p * r + 2.40226507e-1f;
    p = p * r + 6.93147181e-1f;
    p = p * r + 1.0f;
    return p * power_of_2(n);
}

INSIDE floats sigmoid(floats x) { return 1.0f / (1.0f + exponential(-x)); }

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
    int32_t arrived, turn, asleep;
} Meeting;

/* Go on when all threads are here. A short wait is watched; after it the thread sleeps, so that its core is free for
   whoever else wants it, which may be the very thread that is waited for. */
static inline void meet(Meeting *meeting, int64_t threads) {
    const int32_t turn = __atomic_load_n(&meeting->turn, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&meeting->arrived, 1, __ATOMIC_ACQ_REL) == threads) {
        meeting->arrived = 0;
        __atomic_store_n(&meeting->turn, turn + 1, __ATOMIC_SEQ_CST);
#ifdef __linux__
        if (__atomic_load_n(&meeting->asleep, __ATOMIC_SEQ_CST))
            syscall(SYS_futex, &meeting->turn, FUTEX_WAKE_PRIVATE, threads, NULL, NULL, 0);
#endif
        return;
    }
    for (int looks = 0; looks < PATIENCE; looks++) {
        if (__atomic_load_n(&meeting->turn, __ATOMIC_ACQUIRE) != turn) return;
#ifdef __x86_64__
        __builtin_ia32_pause();
#endif
    }
    __atomic_add_fetch(&meeting->asleep, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&meeting->turn, __ATOMIC_SEQ_CST) == turn) {
#ifdef __linux__
        syscall(SYS_futex, &meeting->turn, FUTEX_WAIT_PRIVATE, turn, NULL, NULL, 0);
#elif defined(_OPENMP)
        sched_yield();
#endif
    }
    __atomic_sub_fetch(&meeting->asleep, 1, __ATOMIC_SEQ_CST);
}
