#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

namespace ptbert::detail {

/// Returns how many threads texts are worth: at most `num_threads` (0: as many as the machine runs
/// at once), and no more than their size pays for. Starting a thread takes as long as tokenizing
/// some tens of KB.
inline std::size_t thread_count(std::size_t num_threads,
                                const std::vector<std::string_view>& texts) {
  constexpr std::size_t kBytesPerThread = 65536;
  std::size_t bytes = 0;
  for (const std::string_view text : texts) {
    bytes += text.size();
  }
  if (num_threads == 0) {
    num_threads = std::max(1U, std::thread::hardware_concurrency());
  }
  return std::min(num_threads, 1 + bytes / kBytesPerThread);
}

/// Calls `function(i)` for all i below `count` on up to `threads` threads, the caller's among them.
/// What one of them throws is thrown again when all have ended.
template <typename Function>
void parallel_for(std::size_t count, std::size_t threads, Function function) {
  constexpr std::size_t kSharesPerThread = 16; // of unequal length in time
  threads = std::clamp<std::size_t>(threads, 1, std::max<std::size_t>(count, 1));
  const std::size_t share = std::max<std::size_t>(1, count / (threads * kSharesPerThread));
  std::atomic<std::size_t> next = 0;
  std::exception_ptr failure;
  std::mutex failure_mutex;
  const auto work = [&] {
    try {
      for (std::size_t first; (first = next.fetch_add(share)) < count;) {
        for (std::size_t i = first; i < std::min(first + share, count); ++i) {
          function(i);
        }
      }
    } catch (...) {
      next = count;
      const std::lock_guard lock(failure_mutex);
      failure = std::current_exception();
    }
  };
  std::vector<std::thread> others;
  others.reserve(threads - 1);
  try {
    while (others.size() + 1 < threads) {
      others.emplace_back(work);
    }
  } catch (const std::exception&) {
    // No more threads to be had: those that there are do the work.
  }
  work();
  for (std::thread& other : others) {
    other.join();
  }
  if (failure != nullptr) {
    std::rethrow_exception(failure);
  }
}

} // namespace ptbert::detail
