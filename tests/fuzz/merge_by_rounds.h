#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ptbert/text/bpe.h"

namespace ptbert::fuzz {

using Strings = std::vector<std::string>;
using Ranks = std::map<std::pair<std::string, std::string>, std::uint32_t>;

inline Ranks ranks_of(const std::vector<Bpe::Merge>& merges) {
  Ranks ranks;
  for (const Bpe::Merge& merge : merges) {
    ranks[{std::string(merge.left), std::string(merge.right)}] = merge.rank;
  }
  return ranks;
}

/// Byte-pair encoding as its definition has it, over strings: what Bpe is held to.
inline Strings merge_by_rounds(Strings word, const Ranks& ranks) {
  for (;;) {
    auto lowest = ranks.end();
    for (std::size_t i = 0; i + 1 < word.size(); ++i) {
      const auto found = ranks.find({word[i], word[i + 1]});
      if (found != ranks.end() && (lowest == ranks.end() || found->second < lowest->second)) {
        lowest = found;
      }
    }
    if (lowest == ranks.end()) {
      return word;
    }
    const auto& [left, right] = lowest->first;
    Strings merged;
    for (std::size_t i = 0; i < word.size(); ++i) {
      const bool is_pair = i + 1 < word.size() && word[i] == left && word[i + 1] == right;
      merged.push_back(is_pair ? left + right : word[i]);
      i += is_pair ? 1 : 0;
    }
    word = std::move(merged);
  }
}

/// The tokens and what the merges make of them, numbered in their order, each once.
inline std::vector<Vocabulary::Entry> number_tokens(Strings tokens,
                                                    const std::vector<Bpe::Merge>& merges) {
  for (const Bpe::Merge& merge : merges) {
    tokens.push_back(std::string(merge.left).append(merge.right));
  }
  std::vector<Vocabulary::Entry> entries;
  std::map<std::string, bool> seen;
  for (const std::string& token : tokens) {
    if (!std::exchange(seen[token], true)) {
      entries.push_back({token, static_cast<std::int64_t>(entries.size())});
    }
  }
  return entries;
}

} // namespace ptbert::fuzz
