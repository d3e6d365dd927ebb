#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "word_buffer.h"
#include "word_cache.h"
#include "wordpiece_core.h"

namespace ptbert::detail {

/// A sink for basic_pass that splits each token into word pieces.
class PieceSink {
public:
  PieceSink(const WordpieceCore& core, WordCache<Piece>& cache, std::vector<Piece>& pieces)
      : core_(core), cache_(cache), pieces_(pieces) {}

  std::size_t mark() const { return pieces_.size(); }
  void back_to(std::size_t mark) { pieces_.resize(mark); }

  void word(const WordBuffer& token) {
    const std::string_view word(token.bytes.data(), token.length);
    cache_.append(word, pieces_, [&] {
      core_.append_pieces(word, pieces_, nullptr);
      return true;
    });
  }

private:
  const WordpieceCore& core_;
  WordCache<Piece>& cache_;
  std::vector<Piece>& pieces_;
};

/// The same, also collecting the offset of every piece.
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
      offsets_.push_back(offset_of(token.sources.data() + start, token.sources.data() + end));
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
