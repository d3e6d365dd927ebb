#include "ptbert/text/bpe.h"

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <queue>
#include <stdexcept>
#include <string>
#include <utility>

#include "hash.h"

namespace ptbert {
namespace {

// Words of up to this many pieces are scanned for the lowest rank after each merge, which for short
// words is faster than a heap.
constexpr std::size_t kShortWord = 96;

constexpr std::size_t kFilterBitsPerSlot = 8;

} // namespace

Bpe::Bpe(const std::vector<Vocabulary::Entry>& tokens, const std::vector<Merge>& merges)
    : strings_(tokens.size()) {
  ids_.reserve(tokens.size() + 1);
  tokens_.reserve(tokens.size());
  ids_.push_back(0); // kUnknown
  for (const Vocabulary::Entry& token : tokens) {
    const Symbol symbol = strings_.add(token.token) + 1;
    if (symbol == ids_.size()) {
      tokens_.push_back(symbol);
      ids_.push_back(0);
    }
    ids_[symbol] = token.id;
  }
  index_ids();

  pairs_.resize(detail::power_of_two_above(2 * merges.size()));
  filter_.resize(pairs_.size() * kFilterBitsPerSlot / 64);
  direct_.resize(kDirectSymbols * kDirectSymbols);
  add_merges(merges);
  ids_.resize(num_symbols());
}

/// The tables do not fit into the L1 and L2 caches, so merges are added in groups: prefetches of a
/// group overlap instead of each merge waiting for memory.
void Bpe::add_merges(const std::vector<Merge>& merges) {
  constexpr std::size_t kTogether = 32;
  std::array<std::uint32_t, kTogether> left_hashes, right_hashes;
  std::array<Pair, kTogether> pairs;
  std::string text_of_merged;
  Symbol merged = kUnknown;
  for (std::size_t first = 0; first < merges.size(); first += kTogether) {
    const Merge* const some = &merges[first];
    const std::size_t count = std::min(kTogether, merges.size() - first);
    for (std::size_t i = 0; i < count; ++i) {
      left_hashes[i] = SymbolTable::hash_of(some[i].left);
      right_hashes[i] = SymbolTable::hash_of(some[i].right);
      strings_.prefetch(left_hashes[i]);
      strings_.prefetch(right_hashes[i]);
    }
    for (std::size_t i = 0; i < count; ++i) {
      const Symbol left = strings_.add(some[i].left, left_hashes[i]) + 1;
      const Symbol right = strings_.add(some[i].right, right_hashes[i]) + 1;
      text_of_merged.assign(some[i].left).append(some[i].right);
      // Vocabularies mostly list merged tokens in the order of merges.
      const bool is_next = merged + 1 < num_symbols() && text(merged + 1) == text_of_merged;
      merged = is_next ? merged + 1 : strings_.add(text_of_merged) + 1;
      pairs[i] = {left, right, {some[i].rank, merged}};
      detail::prefetch(&pairs_[hash_of_pair(left, right) & (pairs_.size() - 1)]);
    }
    for (std::size_t i = 0; i < count; ++i) {
      add_pair(pairs[i]);
    }
  }
}

void Bpe::index_ids() {
  const auto is_dense = [&](Symbol token) {
    return ids_[token] >= 0 && ids_[token] < 2 * static_cast<std::int64_t>(tokens_.size());
  };
  if (std::all_of(tokens_.begin(), tokens_.end(), is_dense)) {
    symbols_of_ids_.resize(2 * tokens_.size());
    for (const Symbol token : tokens_) {
      symbols_of_ids_[ids_[token]] = token;
    }
    return;
  }
  for (const Symbol token : tokens_) {
    sparse_ids_.emplace_back(ids_[token], token);
  }
  std::sort(sparse_ids_.begin(), sparse_ids_.end()); // equal ids: in the order of the vocabulary
}

Bpe::Symbol Bpe::symbol_of_id(std::int64_t id) const {
  if (sparse_ids_.empty()) {
    const bool in_range = id >= 0 && id < static_cast<std::int64_t>(symbols_of_ids_.size());
    return in_range ? symbols_of_ids_[id] : kUnknown;
  }
  const auto after = std::upper_bound(sparse_ids_.begin(), sparse_ids_.end(),
                                      std::pair<std::int64_t, Symbol>(id, 0xFFFFFFFF));
  return after != sparse_ids_.begin() && (after - 1)->first == id ? (after - 1)->second : kUnknown;
}

std::uint64_t Bpe::hash_of_pair(Symbol left, Symbol right) {
  return detail::mix(left, static_cast<std::uint64_t>(right) << 32);
}

inline std::size_t Bpe::pair_slot_of(Symbol left, Symbol right, std::uint64_t hash) const {
  const std::size_t mask = pairs_.size() - 1;
  std::size_t slot = hash & mask;
  while (pairs_[slot].merged.symbol != kUnknown &&
         (pairs_[slot].left != left || pairs_[slot].right != right)) {
    slot = (slot + 1) & mask;
  }
  return slot;
}

void Bpe::add_pair(const Pair& pair) {
  const auto [left, right, merged] = pair;
  const std::uint64_t hash = hash_of_pair(left, right);
  pairs_[pair_slot_of(left, right, hash)] = pair;
  filter_[filter_bit_of(hash) / 64] |= std::uint64_t{1} << filter_bit_of(hash) % 64;
  if (left < kDirectSymbols && right < kDirectSymbols) {
    direct_[left * kDirectSymbols + right] = merged;
  }
}

inline Bpe::Merged Bpe::find_pair(Symbol left, Symbol right) const {
  if (left < kDirectSymbols && right < kDirectSymbols) {
    return direct_[left * kDirectSymbols + right];
  }
  const std::uint64_t hash = hash_of_pair(left, right);
  if ((filter_[filter_bit_of(hash) / 64] >> filter_bit_of(hash) % 64 & 1) == 0) {
    return {};
  }
  return pairs_[pair_slot_of(left, right, hash)].merged;
}

std::vector<Bpe::Merge> Bpe::merges() const {
  std::vector<Merge> merges;
  for (const Pair& pair : pairs_) {
    if (pair.merged.symbol != kUnknown) {
      merges.push_back({text(pair.left), text(pair.right), pair.merged.rank});
    }
  }
  std::sort(merges.begin(), merges.end(),
            [](const Merge& a, const Merge& b) { return a.rank < b.rank; });
  return merges;
}

void Bpe::merge(std::vector<Piece>& pieces) const {
  if (pieces.size() > kShortWord || !merge_short(pieces)) {
    merge_long(pieces);
  }
}

// Merges one position at a time: the lowest rank, then the leftmost position. The 2019 library
// merges all positions of a pair before the next pair; that is the same unless a merge creates a
// pair of a lower rank than its own, which merge_long() must then handle.
bool Bpe::merge_short(std::vector<Piece>& pieces) const {
  // Rank and position of each pair in one number below 2**24, which a float holds exactly: unlike
  // for integers, every processor has a vector minimum for floats.
  using Key = float;
  constexpr int kPositionBits = 7;
  constexpr Key kNone = std::numeric_limits<Key>::infinity();
  constexpr std::uint32_t kMaxRank = (1 << 24) >> kPositionBits;
  constexpr std::size_t kLanes = 8;
  static_assert(kShortWord < 1 << kPositionBits && kShortWord % kLanes == 0);

  const std::size_t count = pieces.size();
  std::array<Key, kShortWord> keys;
  std::array<Symbol, kShortWord> symbols, merged; // merged: of a piece and the next one
  std::array<std::uint8_t, kShortWord> previous, next;
  for (std::size_t i = 0; i < count; ++i) {
    symbols[i] = pieces[i].symbol;
    previous[i] = static_cast<std::uint8_t>(i - 1);
    next[i] = static_cast<std::uint8_t>(i + 1);
  }
  /// Looks up the pair that begins at a position; returns its rank.
  const auto look_up = [&](std::size_t i) {
    const Merged pair = next[i] < count ? find_pair(symbols[i], symbols[next[i]]) : Merged();
    merged[i] = pair.symbol;
    keys[i] = pair.symbol == kUnknown ? kNone : static_cast<Key>(pair.rank << kPositionBits | i);
    return pair.rank;
  };
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t rank = look_up(i);
    if (rank >= kMaxRank && rank != kNoRank) {
      return false;
    }
  }
  const std::size_t whole_lanes = (count + kLanes - 1) / kLanes * kLanes;
  std::fill(keys.begin() + count, keys.begin() + whole_lanes, kNone);
  for (;;) {
    std::array<Key, kLanes> least;
    least.fill(kNone);
    for (std::size_t i = 0; i < whole_lanes; i += kLanes) {
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        least[lane] = keys[i + lane] < least[lane] ? keys[i + lane] : least[lane];
      }
    }
    const Key lowest = *std::min_element(least.begin(), least.end());
    if (lowest == kNone) {
      break;
    }
    const auto rank_and_position = static_cast<std::uint32_t>(lowest);
    const std::size_t position = rank_and_position & ((1 << kPositionBits) - 1);
    const std::size_t absorbed = next[position];
    symbols[position] = merged[position];
    keys[absorbed] = kNone;
    next[position] = next[absorbed];
    if (next[position] < count) {
      previous[next[position]] = static_cast<std::uint8_t>(position);
    }
    const std::uint32_t after = look_up(position);
    const std::uint32_t before = position > 0 ? look_up(previous[position]) : kNoRank;
    const std::uint32_t rank = rank_and_position >> kPositionBits;
    const auto is_fine = [&](std::uint32_t new_rank) {
      return new_rank == kNoRank || (new_rank > rank && new_rank < kMaxRank);
    };
    if (!is_fine(before) || !is_fine(after)) {
      return false;
    }
  }
  std::size_t written = 0;
  for (std::size_t i = 0; i < count; i = next[i]) {
    std::uint32_t bytes = 0;
    for (std::size_t j = i; j < next[i]; ++j) {
      bytes += pieces[j].bytes;
    }
    pieces[written++] = {symbols[i], bytes};
  }
  pieces.resize(written);
  return true;
}

void Bpe::merge_long(std::vector<Piece>& pieces) const {
  using Position = std::uint32_t;
  constexpr std::uint32_t kRemoved = kNoRank;
  struct Link { // of a doubly linked list of pieces
    Position previous, next;
    std::uint32_t rank; // of the pair that begins here
  };
  if (pieces.size() >= kRemoved) {
    throw std::length_error("`text` must have words of fewer than 2**32 - 1 pieces, but one has " +
                            std::to_string(pieces.size()) + ".");
  }
  const Position count = static_cast<Position>(pieces.size());
  std::vector<Link> links(count);
  // Rank (upper half) and position (lower half) of pairs. Entries that other merges made invalid
  // are skipped when they come up.
  std::priority_queue<std::uint64_t, std::vector<std::uint64_t>, std::greater<>> queue;
  const auto look_up = [&](Position i) {
    const Position next = links[i].next;
    links[i].rank = next < count ? find_pair(pieces[i].symbol, pieces[next].symbol).rank : kNoRank;
    if (links[i].rank != kNoRank) {
      queue.push(static_cast<std::uint64_t>(links[i].rank) << 32 | i);
    }
  };
  for (Position i = 0; i < count; ++i) {
    links[i] = {i - 1, i + 1, kNoRank};
  }
  for (Position i = 0; i < count; ++i) {
    look_up(i);
  }
  std::vector<Position> round; // positions of the pair with the lowest rank, from left to right
  while (!queue.empty()) {
    const std::uint32_t rank = static_cast<std::uint32_t>(queue.top() >> 32);
    round.clear();
    for (; !queue.empty() && queue.top() >> 32 == rank; queue.pop()) {
      round.push_back(static_cast<Position>(queue.top()));
    }
    for (const Position i : round) {
      if (links[i].rank != rank) {
        continue;
      }
      const Position next = links[i].next;
      const Symbol merged = find_pair(pieces[i].symbol, pieces[next].symbol).symbol;
      pieces[i] = {merged, pieces[i].bytes + pieces[next].bytes};
      pieces[next].bytes = 0;
      links[next].rank = kRemoved;
      links[i].next = links[next].next;
      if (links[i].next < count) {
        links[links[i].next].previous = i;
      }
      look_up(i);
      if (links[i].previous < count) {
        look_up(links[i].previous);
      }
    }
  }
  pieces.erase(std::remove_if(pieces.begin(), pieces.end(),
                              [](const Piece& piece) { return piece.bytes == 0; }),
               pieces.end());
}

} // namespace ptbert
