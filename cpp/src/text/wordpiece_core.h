#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "ptbert/text/wordpiece_tokenizer.h"
#include "token_trie.h"
#include "word_buffer.h"
#include "word_cache.h"
#include "workspace_pool.h"

namespace ptbert::detail {

/// Reusable memory of one thread for WordPiece.
struct WordpieceWorkspace {
  WordBuffer token;
  WordCache<Piece> cache;

  void trim() { token.trim(); }
};

/// WordPiece on a trie, with the workspaces of the threads that use it.
class WordpieceCore {
public:
  WordpieceCore(const Vocabulary& vocab, std::int64_t max_input_chars_per_word)
      : trie_(vocab), continuation_(trie_.find("##")),
        max_input_chars_per_word_(max_input_chars_per_word) {}

  /// Appends the pieces of a UTF-8 word and, unless `ends` is null, the byte position in the word
  /// at which each piece ends.
  void append_pieces(std::string_view word, std::vector<Piece>& pieces,
                     std::vector<std::size_t>* ends) const;

  WorkspacePool<WordpieceWorkspace>::Lease borrow_workspace() const { return workspaces_.borrow(); }

private:
  TokenTrie trie_;
  TokenTrie::Node continuation_; // the node of "##", or kNone
  std::int64_t max_input_chars_per_word_;
  mutable WorkspacePool<WordpieceWorkspace> workspaces_;
};

} // namespace ptbert::detail
