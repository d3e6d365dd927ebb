#pragma once

#include <iterator>
#include <type_traits>
#include <vector>

namespace ptbert::detail {

/// Returns the results of `function` for the items of a range, in order.
template <typename Range, typename Function> auto mapped(const Range& range, Function function) {
  std::vector<std::decay_t<decltype(function(*std::begin(range)))>> results;
  if constexpr (requires { std::size(range); })
    results.reserve(std::size(range));
  for (auto&& item : range)
    results.push_back(function(item));
  return results;
}

} // namespace ptbert::detail
