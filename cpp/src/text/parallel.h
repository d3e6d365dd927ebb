#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace ptbert::detail {

/// Calls `function(begin, end)` for ranges that cover 0 to `count`, on up to `num_threads` threads
/// (0: as many as the machine runs at once), the caller's among them. What one of them throws is
/// thrown again when all have ended.
template <typename Function>
void parallel_for(std::size_t count, std::size_t num_threads, Function function) {
  constexpr std::size_t kRangesPerThread = 8; // ranges take unequal times
  const std::size_t available = std::max(1u, std::thread::hardware_concurrency());
  const std::size_t threads = std::min(num_threads == 0 ? available : num_threads, count);
  if (threads <= 1) {
    function(std::size_t{0}, count);
    return;
  }
  const std::size_t step = std::max<std::size_t>(1, count / (threads * kRangesPerThread));
  std::atomic<std::size_t> next = 0;
  std::exception_ptr error;
  std::mutex error_mutex;
  const auto work = [&] {
    try {
      for (std::size_t begin = next.fetch_add(step); begin < count; begin = next.fetch_add(step)) {
        function(begin, std::min(begin + step, count));
      }
    } catch (...) {
      next = count;
      const std::lock_guard lock(error_mutex);
      error = std::current_exception();
    }
  };
  std::vector<std::thread> others;
  try {
    while (others.size() + 1 < threads) {
      others.emplace_back(work);
    }
  } catch (const std::system_error&) {
    // No more threads to be had: those that there are do the work.
  }
  work();
  for (std::thread& thread : others) {
    thread.join();
  }
  if (error != nullptr) {
    std::rethrow_exception(error);
  }
}

} // namespace ptbert::detail
