#pragma once

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define PTBERT_SANITIZED
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PTBERT_SANITIZED
#endif

/// Before a function whose loops gain from wide vectors: it is compiled for AVX2 as well, which
/// runs where the processor has it. Without fused multiply-add, so that all processors round alike.
#if defined(__x86_64__) && !defined(PTBERT_SANITIZED)
#define PTBERT_VECTORIZED __attribute__((target_clones("avx2", "default")))
#else // a sanitizer is not up yet when the loader chooses
#define PTBERT_VECTORIZED
#endif
