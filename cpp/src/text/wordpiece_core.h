#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

#include "ptbert/text/wordpiece_tokenizer.h"
#include "token_trie.h"
#include "word_buffer.h"
#include "word_cache.h"

namespace ptbert::detail {

/// What tokenizing needs beside its result, kept for the next text.
struct Workspace {
  WordBuffer token;
  WordCache cache;
};

/// WordPiece over a trie, and the workspaces of the threads that use it.
class WordpieceCore {
public:
  WordpieceCore(const Vocabulary& vocab, std::int64_t max_input_chars_per_word)
      : trie_(vocab), continuation_(trie_.find("##")),
        max_input_chars_per_word_(max_input_chars_per_word) {}

  /// Appends the pieces of a UTF-8 word and, if `ends` is given, the byte of the word that each
  /// ends before.
  void append_pieces(std::string_view word, std::vector<Piece>& pieces,
                     std::vector<std::size_t>* ends) const;

  std::unique_ptr<Workspace> take_workspace() const;
  void give_back(std::unique_ptr<Workspace> workspace) const;

private:
  TokenTrie trie_;
  TokenTrie::Node continuation_; // the node of "##", or kNone
  std::int64_t max_input_chars_per_word_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Workspace>> idle_;
};

/// A workspace for as long as one text takes.
class WorkspaceLease {
public:
  explicit WorkspaceLease(const WordpieceCore& core)
      : core_(core), workspace_(core.take_workspace()) {}
  ~WorkspaceLease() { core_.give_back(std::move(workspace_)); }
  WorkspaceLease(const WorkspaceLease&) = delete;
  WorkspaceLease& operator=(const WorkspaceLease&) = delete;

  Workspace* operator->() const { return workspace_.get(); }

private:
  const WordpieceCore& core_;
  std::unique_ptr<Workspace> workspace_;
};

} // namespace ptbert::detail
