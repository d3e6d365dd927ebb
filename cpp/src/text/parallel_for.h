#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

namespace ptbert::detail {

/// Returns how many threads to use for texts: at most `num_threads` (0: all processors), and one
/// per 64 KB, since starting a thread takes as long as tokenizing some tens of KB.
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

/// Calls `make(i, own)` for all i in [0, count) on up to `threads` threads, including the caller's;
/// each thread calls `make_own()` once for its `own`. Calls `use(first, last)` on the caller's
/// thread, for consecutive ranges in order, as soon as a range is made, while other threads
/// continue. An exception is rethrown when all threads have ended.
template <typename MakeOwn, typename Make, typename Use>
void parallel_in_order(std::size_t count, std::size_t threads, MakeOwn make_own, Make make,
                       Use use) {
  constexpr std::size_t kRangesPerThread = 16; // several, as ranges take unequal time
  threads = std::clamp<std::size_t>(threads, 1, std::max<std::size_t>(count, 1));
  const std::size_t range = std::max<std::size_t>(1, count / (threads * kRangesPerThread));
  const std::size_t ranges = (count + range - 1) / range;
  std::atomic<std::size_t> next = 0;
  std::mutex mutex; // guards the following variables
  std::condition_variable changed;
  std::vector<char> is_made(ranges, 0);
  std::exception_ptr failure;

  const auto fail = [&] {
    next = ranges;
    const std::lock_guard lock(mutex);
    failure = std::current_exception();
    changed.notify_one();
  };
  /// Makes the next range; returns false if none is left.
  const auto make_next = [&](const auto& own) {
    const std::size_t i = next.fetch_add(1);
    if (i >= ranges) {
      return false;
    }
    for (std::size_t item = i * range; item < std::min((i + 1) * range, count); ++item) {
      make(item, own);
    }
    const std::lock_guard lock(mutex);
    is_made[i] = 1;
    changed.notify_one();
    return true;
  };
  const auto work = [&] {
    try {
      const auto& own = make_own();
      while (make_next(own)) {
      }
    } catch (...) {
      fail();
    }
  };
  std::vector<std::thread> others;
  others.reserve(threads - 1);
  try {
    while (others.size() + 1 < threads) {
      others.emplace_back(work);
    }
  } catch (const std::exception&) {
    // No more threads can be started: the existing ones do the work.
  }
  try {
    const auto& own = make_own();
    for (std::size_t i = 0; i < ranges; ++i) {
      std::unique_lock lock(mutex);
      while (is_made[i] == 0 && failure == nullptr) {
        lock.unlock();
        const bool found = make_next(own);
        lock.lock();
        if (!found) {
          changed.wait(lock, [&] { return is_made[i] != 0 || failure != nullptr; });
        }
      }
      if (failure != nullptr) {
        break;
      }
      lock.unlock();
      use(i * range, std::min((i + 1) * range, count));
    }
  } catch (...) {
    fail();
  }
  for (std::thread& other : others) {
    other.join();
  }
  if (failure != nullptr) {
    std::rethrow_exception(failure);
  }
}

/// The same without `use`.
template <typename MakeOwn, typename Function>
void parallel_for(std::size_t count, std::size_t threads, MakeOwn make_own, Function function) {
  parallel_in_order(count, threads, make_own, function, [](std::size_t, std::size_t) {});
}

/// The same for a `function(i)` without per-thread data.
template <typename Function>
void parallel_for(std::size_t count, std::size_t threads, Function function) {
  struct Nothing {};
  parallel_for(
      count, threads, [] { return Nothing(); },
      [&](std::size_t i, const Nothing&) { function(i); });
}

} // namespace ptbert::detail
