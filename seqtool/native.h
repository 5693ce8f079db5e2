/* What the parts in C share: threads, a copy of a function for each kind of processor, and sixteen numbers at once. */
#ifdef _OPENMP
#include <omp.h>
#endif

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__linux__)
#define FOR_EACH_PROCESSOR __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FOR_EACH_PROCESSOR
#endif

/* Sixteen numbers that need not be aligned, in as many registers as the processor needs for them. */
typedef float floats __attribute__((vector_size(64), aligned(4), may_alias));
enum { LANES = 16 };
#define AT(from) (*(floats *)(from))
