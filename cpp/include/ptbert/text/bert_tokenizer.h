#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ptbert/text/basic_tokenizer.h"
#include "ptbert/text/bert_text_encoder.h"
#include "ptbert/text/vocabulary.h"
#include "ptbert/text/wordpiece_tokenizer.h"

namespace ptbert {

/// Returns the word pieces of every basic token of a UTF-8 text. Slow reference that runs both
/// tokenizers in turn; tests compare BertTextEncoder with it.
std::vector<std::string> tokenize(const BasicTokenizer& basic, const WordpieceTokenizer& wordpiece,
                                  std::string_view text);

/// BERT's tokenizer, from text to ids and back: basic tokenization followed by WordPiece.
class BertTokenizer {
public:
  /// `vocab_file` is read by Vocabulary::load(). `max_len` is the model's limit, for callers that
  /// truncate. Without `do_basic_tokenize` texts are split on white space only; `do_lower_case` and
  /// `never_split` then have no effect.
  explicit BertTokenizer(const std::filesystem::path& vocab_file, bool do_lower_case = true,
                         std::optional<std::int64_t> max_len = std::nullopt,
                         bool do_basic_tokenize = true,
                         const std::vector<std::string>& never_split = kBertSpecialTokens);

  /// Takes and returns UTF-8; throws std::invalid_argument for anything else.
  std::vector<std::string> tokenize(std::string_view text) const;
  /// Throws KeyError for an unknown token. The result may be longer than max_len().
  std::vector<std::int64_t> convert_tokens_to_ids(const std::vector<std::string>& tokens) const;
  /// Throws std::out_of_range for an unknown id.
  std::vector<std::string> convert_ids_to_tokens(const std::vector<std::int64_t>& ids) const;
  /// Writes the vocabulary to a file, or to vocab.txt in a directory; returns the file.
  std::filesystem::path save_vocabulary(const std::filesystem::path& vocab_path) const;

  /// Encodes texts and pairs of texts directly to ids.
  const BertTextEncoder& encoder() const { return encoder_; }
  const Vocabulary& vocab() const { return *vocab_; }
  std::optional<std::int64_t> max_len() const { return max_len_; }

private:
  std::shared_ptr<const Vocabulary> vocab_;
  std::optional<std::int64_t> max_len_;
  BertTextEncoder encoder_;
};

} // namespace ptbert
