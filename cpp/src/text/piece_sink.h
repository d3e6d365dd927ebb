#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "word_buffer.h"
#include "word_cache.h"
#include "wordpiece_core.h"

namespace ptbert::detail {

/// Takes tokens from basic_pass, gives word pieces.
class PieceSink {
public:
  PieceSink(const WordpieceCore& core, WordCache& cache, std::vector<Piece>& pieces)
      : core_(core), cache_(cache), pieces_(pieces) {}

  std::size_t mark() const { return pieces_.size(); }
  void back_to(std::size_t mark) { pieces_.resize(mark); }

  void word(const WordBuffer& token) {
    const std::string_view word(token.bytes.data(), token.length);
    if (word.size() > WordCache::kMaxBytes) {
      core_.append_pieces(word, pieces_, nullptr);
      return;
    }
    const WordCache::Key key = WordCache::key_of(word.data(), word.size());
    WordCache::Slot& slot = cache_.slot_of(key);
    if (!(slot.key == key)) {
      look_up(word, key, slot);
    } else if (slot.count == 1) {
      pieces_.push_back(slot.pieces[0]);
    } else {
      pieces_.insert(pieces_.end(), slot.pieces, slot.pieces + slot.count);
    }
  }

private:
  void look_up(std::string_view word, const WordCache::Key& key, WordCache::Slot& slot) {
    const std::size_t before = pieces_.size();
    core_.append_pieces(word, pieces_, nullptr);
    const std::size_t count = pieces_.size() - before;
    if (count <= WordCache::kMaxPieces) {
      slot.key = key;
      slot.count = static_cast<std::uint32_t>(count);
      std::copy(pieces_.end() - static_cast<std::ptrdiff_t>(count), pieces_.end(), slot.pieces);
    }
  }

  const WordpieceCore& core_;
  WordCache& cache_;
  std::vector<Piece>& pieces_;
};

/// The same with the code points of the text that every piece comes from.
class OffsetSink {
public:
  OffsetSink(const WordpieceCore& core, std::vector<Piece>& pieces, std::vector<Offset>& offsets)
      : core_(core), pieces_(pieces), offsets_(offsets) {}

  std::size_t mark() const { return pieces_.size(); }
  void back_to(std::size_t mark) {
    pieces_.resize(mark);
    offsets_.resize(mark);
  }

  void word(const WordBuffer& token) {
    ends_.clear();
    core_.append_pieces({token.bytes.data(), token.length}, pieces_, &ends_);
    std::size_t start = 0;
    for (const std::size_t end : ends_) {
      offsets_.push_back(place_of(token.sources.data() + start, token.sources.data() + end));
      start = end;
    }
  }

private:
  const WordpieceCore& core_;
  std::vector<Piece>& pieces_;
  std::vector<Offset>& offsets_;
  std::vector<std::size_t> ends_;
};

} // namespace ptbert::detail
