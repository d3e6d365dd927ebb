#include "ptbert/text/encoded_batch.h"

#include <sys/mman.h>

#include <algorithm>
#include <new>

#include "parallel_for.h"

namespace ptbert {
namespace {

constexpr std::size_t kHugePage = 1 << 21; // bytes

/// Uninitialised memory, so that page faults happen in the threads that fill it. Large arrays use
/// huge pages if the system has them: faults of small pages take longer than writing the values.
EncodedBatch::Array allocate(std::size_t count) {
  constexpr std::size_t kLarge = 2 * kHugePage;
  const std::size_t bytes = std::max<std::size_t>(1, count) * sizeof(std::int64_t);
  void* memory = nullptr;
  if (bytes < kLarge) {
    memory = std::malloc(bytes);
  } else {
    const std::size_t whole_pages = (bytes + kHugePage - 1) / kHugePage * kHugePage;
    memory = std::aligned_alloc(kHugePage, whole_pages);
#ifdef MADV_HUGEPAGE
    if (memory != nullptr) {
      madvise(memory, whole_pages, MADV_HUGEPAGE); // a hint; may be refused
    }
#endif
  }
  if (memory == nullptr) {
    throw std::bad_alloc();
  }
  return EncodedBatch::Array(static_cast<std::int64_t*>(memory));
}

} // namespace

EncodedBatch EncodedBatch::pad(const std::vector<std::size_t>& lengths, std::int64_t padding,
                               bool has_token_types, std::size_t num_threads,
                               const WriteRow& write) {
  EncodedBatch batch;
  batch.batch = lengths.size();
  for (const std::size_t length : lengths) {
    batch.length = std::max(batch.length, length);
  }
  const std::size_t count = batch.batch * batch.length;
  batch.input_ids = allocate(count);
  batch.attention_mask = allocate(count);
  if (has_token_types) {
    batch.token_type_ids = allocate(count);
  }
  const auto fill_row = [&](std::size_t i) {
    const std::size_t begin = i * batch.length, length = lengths[i];
    const std::size_t padded = batch.length - length;
    std::int64_t* const ids = batch.input_ids.get() + begin;
    std::int64_t* const types = has_token_types ? batch.token_type_ids.get() + begin : nullptr;
    write(i, ids, types);
    std::fill_n(ids + length, padded, padding);
    std::fill_n(std::fill_n(batch.attention_mask.get() + begin, length, 1), padded, 0);
    if (types != nullptr) {
      std::fill_n(types + length, padded, 0);
    }
  };
  // Blocks of about a huge page, so that threads do not wait for the same page fault.
  const std::size_t row_bytes = std::max<std::size_t>(1, batch.length) * sizeof(std::int64_t);
  const std::size_t rows = std::max<std::size_t>(1, kHugePage / row_bytes);
  detail::parallel_for((batch.batch + rows - 1) / rows, num_threads, [&](std::size_t block) {
    for (std::size_t i = block * rows; i < std::min((block + 1) * rows, batch.batch); ++i) {
      fill_row(i);
    }
  });
  return batch;
}

} // namespace ptbert
