#pragma once

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define PTBERT_SANITIZED
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PTBERT_SANITIZED
#endif

/// Put before a function to compile it for AVX2 too; the loader chooses the version that the
/// processor can run. Not for fused multiply-add, so that all processors round alike.
#if defined(__x86_64__) && !defined(PTBERT_SANITIZED)
#define PTBERT_VECTORIZED __attribute__((target_clones("avx2", "default")))
/// The same, and with fused multiply-add and AVX-512 where the processor has them: rounding then
/// depends on the processor, as that of torch's own products does.
#define PTBERT_FUSED                                                                               \
  __attribute__((target_clones("arch=skylake-avx512", "arch=haswell", "default")))
#else // the loader would choose before a sanitizer is initialised
#define PTBERT_VECTORIZED
#define PTBERT_FUSED
#endif
