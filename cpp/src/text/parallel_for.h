#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace ptbert::detail {

/// Calls `function(i)` for all i below `count` on `threads` threads, this one among them. The first
/// exception is thrown again when all have ended.
template <typename Function>
void parallel_for(std::size_t count, std::size_t threads, Function function) {
  constexpr std::size_t kShare = 16; // calls that a thread takes at a time
  std::atomic<std::size_t> next{0};
  std::exception_ptr failure;
  std::mutex mutex;
  const auto work = [&] {
    try {
      for (std::size_t first; (first = next.fetch_add(kShare)) < count;) {
        for (std::size_t i = first; i < std::min(first + kShare, count); ++i) {
          function(i);
        }
      }
    } catch (...) {
      next = count;
      const std::lock_guard lock(mutex);
      failure = std::current_exception();
    }
  };
  std::vector<std::thread> others;
  for (std::size_t i = 1; i < threads; ++i) {
    others.emplace_back(work);
  }
  work();
  for (std::thread& other : others) {
    other.join();
  }
  if (failure) {
    std::rethrow_exception(failure);
  }
}

} // namespace ptbert::detail
