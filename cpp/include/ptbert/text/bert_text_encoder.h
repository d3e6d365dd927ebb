#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ptbert/text/basic_tokenizer.h"
#include "ptbert/text/encoded_batch.h"
#include "ptbert/text/wordpiece_tokenizer.h"

namespace ptbert {
namespace detail {
struct WordpieceWorkspace;
}

/// The model's inputs for one text or a pair: [CLS] a [SEP] or [CLS] a [SEP] b [SEP].
struct EncodedPair {
  std::vector<std::int64_t> input_ids;
  std::vector<std::int64_t> token_type_ids; ///< 0 up to the first [SEP], 1 after it
};

/// Basic tokenization and WordPiece in one pass. Thread-safe. Throws std::invalid_argument if a
/// text is not UTF-8.
class BertTextEncoder {
public:
  /// Without `basic`, texts are split on white space only. Throws std::invalid_argument if
  /// `wordpiece` was made without a vocabulary.
  BertTextEncoder(std::optional<BasicTokenizer> basic, WordpieceTokenizer wordpiece);

  /// Returns the word pieces of a text and sets `*offsets`, unless null, to their offsets. A piece
  /// spans the first to the last code point that it was made from; pieces made from the same code
  /// point have the same offset.
  std::vector<Piece> find_pieces(std::string_view text,
                                 std::vector<Offset>* offsets = nullptr) const;
  /// Called with the pieces of the texts [first, last) in `rows[first]` to `rows[last - 1]`.
  using UsePieces = std::function<void(std::size_t first, std::size_t last,
                                       const std::vector<std::vector<Piece>>& rows)>;
  /// Finds the pieces of many texts on `num_threads` threads (0: all processors). Calls `use` on
  /// the calling thread, in the order of the texts, while other threads continue.
  void find_pieces_of_all(const std::vector<std::string_view>& texts, std::size_t num_threads,
                          const UsePieces& use) const;

  const std::string& token(Piece piece) const;
  /// Throws KeyError for kUnknownPiece if `unk_token` is not in the vocabulary.
  std::int64_t id(Piece piece) const;

  /// Returns the ids of a text without [CLS] and [SEP].
  std::vector<std::int64_t> encode(std::string_view text) const;
  /// Returns the ids with [CLS] and [SEP]. To fit into `max_length` tokens, removes the last token
  /// of the longer text (the second if equal) repeatedly, as run_classifier.py of 2019 does. Throws
  /// std::invalid_argument if `max_length` has no room for [CLS] and [SEP], KeyError if the
  /// vocabulary lacks them.
  EncodedPair encode_pair(std::string_view text_a, std::optional<std::string_view> text_b,
                          std::optional<std::size_t> max_length) const;
  /// The same for many texts, padded with [PAD]. `texts_b` must be as long as `texts_a`.
  EncodedBatch encode_pairs(const std::vector<std::string_view>& texts_a,
                            const std::optional<std::vector<std::string_view>>& texts_b,
                            std::optional<std::size_t> max_length,
                            std::size_t num_threads = 0) const;

private:
  struct PiecesOfPair {
    std::vector<Piece> a;
    std::optional<std::vector<Piece>> b;

    /// With [CLS] and [SEP].
    std::size_t length() const { return 1 + a.size() + 1 + (b ? b->size() + 1 : 0); }
  };
  std::vector<Piece> find_pieces(std::string_view text,
                                 detail::WordpieceWorkspace& workspace) const;
  PiecesOfPair find_pieces_of_pair(std::string_view text_a, std::optional<std::string_view> text_b,
                                   std::optional<std::size_t> max_length,
                                   detail::WordpieceWorkspace& workspace) const;
  void write(const PiecesOfPair& pieces, std::int64_t* input_ids,
             std::int64_t* token_type_ids) const;

  std::optional<BasicTokenizer> basic_;
  WordpieceTokenizer wordpiece_;
};

} // namespace ptbert
