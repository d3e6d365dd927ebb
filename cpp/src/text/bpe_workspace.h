#pragma once

#include <cstddef>
#include <vector>

#include "ptbert/text/bpe.h"
#include "word_buffer.h"
#include "word_cache.h"
#include "workspace_pool.h"

namespace ptbert::detail {

/// Reusable memory of one thread for byte-pair encoding.
struct BpeWorkspace {
  WordCache<Bpe::Symbol> cache;
  std::vector<Bpe::Piece> pieces; // of a word
  WordBuffer token;               // of BERT's basic tokenizer

  void trim() {
    constexpr std::size_t kKept = 1 << 17;
    token.trim();
    if (pieces.capacity() > kKept) {
      pieces = std::vector<Bpe::Piece>();
    }
  }
};

class BpeWorkspaces : public WorkspacePool<BpeWorkspace> {};

} // namespace ptbert::detail
