#pragma once

#include <vector>

#include "bpe_word_cache.h"
#include "ptbert/text/bpe.h"
#include "word_buffer.h"
#include "workspace_pool.h"

namespace ptbert::detail {

/// What one thread needs for byte-pair encoding.
struct BpeWorkspace {
  BpeWordCache cache;
  std::vector<Bpe::Piece> pieces; // of a word
  WordBuffer token;               // of BERT's basic tokenizer
};

class BpeWorkspaces : public WorkspacePool<BpeWorkspace> {};

} // namespace ptbert::detail
