#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "hash.h"

namespace ptbert::detail {

/// A cache from recent words to their pieces or symbols, 2 MB in size; new words replace older
/// ones. Not thread-safe.
template <typename Value> class WordCache {
public:
  static constexpr std::size_t kMaxBytes = 32;
  static constexpr std::size_t kMaxValues = 7;

  struct Key {
    std::array<std::uint64_t, 4> bytes{};
    std::uint16_t size = 0;
  };

  struct alignas(64) Entry {
    std::array<std::uint64_t, 4> bytes{};
    std::uint16_t size = 0; // in bytes; 0: free
    std::uint16_t count = 0;
    std::array<Value, kMaxValues> values{};

    bool holds(const Key& key) const { return size == key.size && bytes == key.bytes; }
  };
  static_assert(sizeof(Entry) == 64, "an entry is a cache line");

  /// `word` must have 1 to kMaxBytes bytes. Overlapping loads cover it, so equal keys mean equal
  /// words.
  static Key key_of(std::string_view word) {
    const std::size_t size = word.size();
    Key key;
    key.size = static_cast<std::uint16_t>(size);
    if (size <= 8) {
      key.bytes[0] = load_short(word.data(), size);
    } else {
      key.bytes[0] = load<std::uint64_t>(word.data());
      key.bytes[1] = load<std::uint64_t>(word.data() + size - 8);
    }
    if (size > 16) {
      key.bytes[2] = load<std::uint64_t>(word.data() + 8);
      key.bytes[3] = load<std::uint64_t>(word.data() + size - 16);
    }
    return key;
  }

  /// Returns the entry of a word or nullptr; valid until the next insert().
  const Entry* find(const Key& key) const {
    const std::size_t slot = slot_of(key);
    for (const std::size_t candidate : {slot, slot ^ 1}) {
      if (entries_[candidate].holds(key)) {
        return &entries_[candidate];
      }
    }
    return nullptr;
  }

  void insert(const Key& key, const Value* values, std::size_t count) {
    Entry& entry = entries_[slot_of(key)];
    if (entry.size != 0) {
      entries_[slot_of(key) ^ 1] = entry;
    }
    entry.bytes = key.bytes;
    entry.size = key.size;
    entry.count = static_cast<std::uint16_t>(count);
    std::copy_n(values, count, entry.values.begin());
  }

  /// Appends the values of a word from the cache, or else calls `make()`, which appends them and
  /// returns whether they may be cached.
  template <typename Make>
  void append(std::string_view word, std::vector<Value>& values, Make make) {
    if (word.size() > kMaxBytes) {
      make();
      return;
    }
    const Key key = key_of(word);
    if (const Entry* entry = find(key)) {
      values.insert(values.end(), entry->values.begin(), entry->values.begin() + entry->count);
      return;
    }
    const std::size_t before = values.size();
    const bool may_be_cached = make();
    const std::size_t count = values.size() - before;
    if (may_be_cached && count <= kMaxValues) {
      insert(key, values.data() + before, count);
    }
  }

private:
  static constexpr std::size_t kEntries = 1 << 15;

  static std::size_t slot_of(const Key& key) {
    std::uint64_t hash = mix(key.size, key.bytes[0]);
    if (key.size > 8) {
      hash = mix(hash, key.bytes[1]);
    }
    if (key.size > 16) {
      hash = mix(mix(hash, key.bytes[2]), key.bytes[3]);
    }
    return hash % kEntries;
  }

  std::vector<Entry> entries_ = std::vector<Entry>(kEntries);
};

} // namespace ptbert::detail
