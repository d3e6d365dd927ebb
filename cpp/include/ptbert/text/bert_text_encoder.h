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

/// One text or a pair of texts as a model takes them: [CLS] a [SEP] or [CLS] a [SEP] b [SEP].
struct EncodedPair {
  std::vector<std::int64_t> input_ids;
  std::vector<std::int64_t> token_type_ids; ///< 0 up to the first [SEP], 1 after it
};

/// Basic tokenization and WordPiece in one pass: what `BertTokenizer` does, fast. Many threads may
/// use one. Texts are UTF-8, or std::invalid_argument is thrown.
class BertTextEncoder {
public:
  /// Without `basic`, texts are split on white space only. std::invalid_argument where `wordpiece`
  /// has no vocabulary of its own.
  BertTextEncoder(std::optional<BasicTokenizer> basic, WordpieceTokenizer wordpiece);

  /// Returns the word pieces of a text and, if `offsets` is given, sets it to where each stands. A
  /// piece goes from the first to the last code point that something of it comes from; pieces of
  /// one and the same code point have the same place.
  std::vector<Piece> find_pieces(std::string_view text,
                                 std::vector<Offset>* offsets = nullptr) const;
  /// Gives the pieces of texts from `first` to before `last` as `rows[first]` and so on.
  using UsePieces = std::function<void(std::size_t first, std::size_t last,
                                       const std::vector<std::vector<Piece>>& rows)>;
  /// The pieces of many texts, found by `num_threads` threads; 0 stands for all processors. `use`
  /// is called for them on this thread, in their order, while other threads go on.
  void find_pieces_of_all(const std::vector<std::string_view>& texts, std::size_t num_threads,
                          const UsePieces& use) const;

  const std::string& token(Piece piece) const;
  /// KeyError where `unk_token` is not in the vocabulary.
  std::int64_t id(Piece piece) const;

  /// Returns the ids of a text, [CLS] and [SEP] not added.
  std::vector<std::int64_t> encode(std::string_view text) const;
  /// Adds [CLS] and [SEP]. What is more than `max_length` tokens in all is cut from the end of the
  /// longer text, of the second where they are equal, token by token, as in run_classifier.py of
  /// 2019. std::invalid_argument where `max_length` has no room for [CLS] and [SEP]; KeyError where
  /// the vocabulary has none.
  EncodedPair encode_pair(std::string_view text_a, std::optional<std::string_view> text_b,
                          std::optional<std::size_t> max_length) const;
  /// The same for many texts, padded with [PAD]. `texts_b` has as many as `texts_a`.
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
